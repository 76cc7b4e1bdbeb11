"""What only the house's own runtime may write: the words of its code, and the journal of its runs.

A run is resumed and replayed from its journal, so whoever could write into one could put answers
into the mouth of the world. Always holds: no face and no intake appends such a record; the runtime
says that it is the one who writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from loglineos.base.errors import Forbidden
from loglineos.ledger.record import Draft

CODE: Final = "function:"
"""How the names of functions begin when they speak."""
JOURNAL: Final = "step"
"""The entity type of a journal's entries, and where a record's metadata says that it is one."""


def is_of_code(who: Any, entity_type: Any, metadata: Any) -> bool:
    """Tell whether these columns say that code of the house speaks, or keep its journal."""
    return (
        (isinstance(who, str) and who.startswith(CODE))
        or entity_type == JOURNAL
        or (isinstance(metadata, dict) and isinstance(metadata.get(JOURNAL), dict))
    )


def check_not_of_code(drafts: Iterable[Draft]) -> None:
    """Check that nobody speaks for the house's code.

    Raises:
        Forbidden: somebody does.
    """
    for draft in drafts:
        if is_of_code(draft.who, draft.entity_type, draft.metadata):
            raise Forbidden(actor=draft.who, role="-", act=f"append {draft.entity_type}")
