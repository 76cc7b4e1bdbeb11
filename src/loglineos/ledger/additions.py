"""Additions: what somebody may change who completes or annotates another's act. Little.

Always holds: an act keeps what its author said and whose it is; an annotation adds a note, a
completion fills what was missing or did not fit, and neither touches consequences, owner,
visibility or tombstone otherwise. Each key is held to this, the node's own too.
"""

from __future__ import annotations

from typing import Any, Final

from loglineos.base.errors import Refused
from loglineos.base.language import Text
from loglineos.ledger.record import RECORD_FIELDS, Record
from loglineos.ledger.trust import ADDING, speaker_of

_OF_EACH_EVENT: Final = frozenset(
    {"seq", "at", "position", "recorded_at", "prev_hash", "curr_hash", "signature", "public_key"}
)
_JUDGED: Final = frozenset({"valid", "ghost_reason", "status", "details", "metadata"})
_SETTLED: Final = frozenset({"given", "replaced", "claimed_status", "note"})
_AUTHORS: Final = frozenset({"owner_id", "visibility", "shared_with", "is_deleted", "entity_type"})


def is_addition(record: Record) -> bool:
    """Tell whether a record adds to another's act."""
    return (
        record.seq > 0
        and (record.metadata or {}).get("gesture") in ADDING
        and speaker_of(record) != record.who
    )


def check_addition(before: Record, record: Record) -> None:
    """Check that an addition leaves the act before it as its author said it.

    Raises:
        Refused: it changes a column that is not its to change; the error names it.
    """
    gesture = (record.metadata or {}).get("gesture")
    given = _part(before.details, "given")
    for name in RECORD_FIELDS:
        if name in _OF_EACH_EVENT | _JUDGED or getattr(before, name) == getattr(record, name):
            continue
        is_open = name in given or (name not in _AUTHORS and _is_lacking(before, name))
        if not (is_open and gesture == "complete"):
            raise _refused(name)
    if gesture == "annotate" and before.status != record.status:
        raise _refused("status")
    after = record.details or {}
    for name, value in (before.details or {}).items():
        if name not in _SETTLED and after.get(name) != value:
            raise _refused(f"details.{name}")


def _is_lacking(before: Record, name: str) -> bool:
    """Tell whether a column of an act was missing."""
    value = getattr(before, name)
    is_blank = value is None or (isinstance(value, str) and not value.strip())
    return is_blank or (name == "type" and value == "ghost")


def _part(told: dict[str, Any] | None, name: str) -> dict[str, Any]:
    part = (told or {}).get(name)
    return part if isinstance(part, dict) else {}


def _refused(name: str) -> Refused:
    reason = Text(
        f"quem completa ou anota não muda {name}",
        f"who completes or annotates does not change {name}",
    )
    return Refused(field=name, reason=reason)
