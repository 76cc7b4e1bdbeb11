"""Changes: what one event of an entity's life says differently from the one before.

Always holds: place, time and proof are no change; they differ between any two events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loglineos.ledger.record import RECORD_FIELDS, Record

NOT_COMPARED: Final = frozenset({
    "tenant_id", "id", "seq", "position", "recorded_at", "at", "prev_hash", "curr_hash",
    "signature", "public_key",
})  # fmt: skip


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One column that differs; None where it is not set."""

    field: str
    old: Any
    new: Any


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a life with what it changed; the first event has no changes, it is all new."""

    record: Record
    changes: tuple[Change, ...]


def changes_between(old: Record, new: Record) -> tuple[Change, ...]:
    """List the columns that differ, in the order of the table."""
    return tuple(
        Change(field=name, old=getattr(old, name), new=getattr(new, name))
        for name in RECORD_FIELDS
        if name not in NOT_COMPARED and getattr(old, name) != getattr(new, name)
    )


def events_of(records: Sequence[Record]) -> tuple[Event, ...]:
    """Join each record of one life with its changes from the one before in `records`."""
    return tuple(
        Event(
            record=record, changes=changes_between(records[index - 1], record) if index else ()
        )
        for index, record in enumerate(records)
    )  # fmt: skip
