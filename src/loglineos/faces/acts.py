"""What a program says about an act, as keyword arguments, becomes a draft.

Always holds: a known field that does not fit its column is kept verbatim in `details.given` and
makes the act a ghost; only a name that does not exist, or an identity that cannot be read, is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger.canonical import canonical
from loglineos.ledger.intake.cells import ALIASES, NOT_READ, READERS, SHAPES
from loglineos.ledger.record import DRAFT_FIELDS, NINE, Draft, Json

_IDENTITY: Final = ("id", "seq", "tenant_id", "entity_type", "visibility")
_REPR_CHARS_MAX: Final = 2_000


def draft_from(fields: Mapping[str, Any]) -> Draft:
    """Make a draft of fields by the names that people and columns use; `when` is `at`.

    Times are aware datetimes or RFC 3339 text, ids are UUIDs or text.

    Raises:
        UnknownName: a field does not exist.
        InvalidInput: id, seq, tenant, entity type or visibility cannot be read.
    """
    values: dict[str, Any] = {}
    given: dict[str, Json] = {}
    for name, value in fields.items():
        column = ALIASES.get(name, name)
        if column not in DRAFT_FIELDS:
            known = ", ".join((*NINE, *DRAFT_FIELDS))
            raise UnknownName(field="fields", shape=repr(name)[:60], known=known)
        if value is None:
            continue
        found = _read(column, value)
        if found is not NOT_READ:
            values[column] = found
        elif column in _IDENTITY:
            raise InvalidInput(field=name, shape=shape_of(value), reason=_wanted(column))
        else:
            given[name] = plain(value)
    if given:
        values["details"] = {**values.get("details", {}), "given": given}
    return Draft(**values)


def plain(value: Any) -> Json:
    """Turn a Python value into JSON: structs, dataclasses, dates and ids too; else its `repr`."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_shown)


def readable(text: str, chars_max: int = _REPR_CHARS_MAX) -> str:
    """Cut a text, and replace what no record may hold: U+0000 and lone surrogates."""
    kept = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return kept[:chars_max]


def is_keepable(value: Json) -> bool:
    """Tell whether a JSON value has canonical bytes (no NaN, no U+0000, integers within 2^53)."""
    try:
        canonical(value)
    except InvalidInput:
        return False
    return True


def _read(column: str, value: Any) -> Any:
    if column == "entity_type":
        return value if isinstance(value, str) and value else NOT_READ
    if isinstance(value, datetime):
        value = value.isoformat()
    elif isinstance(value, UUID):
        value = str(value)
    elif isinstance(value, (list, tuple)):
        value = [str(item) if isinstance(item, UUID) else item for item in value]
    elif isinstance(value, Mapping):
        value = plain(value)
    return READERS[column](value)


def _wanted(column: str) -> Text:
    shape = SHAPES[column]
    return Text(f"tem de ser {shape.pt}", f"must be {shape.en}")


def _shown(value: Any) -> str:
    return repr(value)[:_REPR_CHARS_MAX]
