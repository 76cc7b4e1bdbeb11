"""Overviews: the distributions that a house asks for, and its open ghosts by what they miss.

Always holds: what is counted is what the viewer may see; a distribution tells how many different
values there are, also when only the most frequent are listed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from loglineos.database.pool import Connection
from loglineos.database.queries import Queries
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.moments import zone_of
from loglineos.ledger.record import Record

_SQL: Final = Queries.load("loglineos.ledger.reading", "overview.sql")
_COUNTED: Final = ("status", "who", "did", "confirmed_by", "entity_type", "day")
_WHICH: Final = {63 - (32 >> index): name for index, name in enumerate(_COUNTED)}
_TOTAL: Final = 63
Span = tuple[int | None, int | None] | None


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A value and how many records have it; None where it is not set."""

    value: str | None
    records: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent values of a column, and how many different ones there are."""

    values: tuple[Count, ...] = ()
    different: int = 0


class GhostGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Open ghosts for one reason: its stored words, its faults by kind, how many, since when."""

    reason: str | None
    faults: dict[str, tuple[str, ...]]
    count: int
    oldest_position: int
    since: datetime


class Ghosts(msgspec.Struct, frozen=True, kw_only=True):
    """The open ghosts of a house: groups by reason, most frequent first; the oldest in order."""

    groups: tuple[GhostGroup, ...]
    oldest: tuple[Record, ...]

    @property
    def total(self) -> int:
        """How many ghosts wait to be completed."""
        return sum(group.count for group in self.groups)

    @property
    def by_field(self) -> tuple[Count, ...]:
        """How many ghosts each field is missing from or malformed in, most frequent first."""
        return count_fields(self.groups)


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter lets through, counted.

    `ghosts_born` entities among these records were once a ghost; `ghosts_open` of them still are.
    `ghost_groups` are the open ghosts of the whole house. `by_day` is in the order of the days,
    the other distributions by frequency.
    """

    records: int
    by_status: Distribution
    by_who: Distribution
    by_did: Distribution
    by_confirmed_by: Distribution
    by_entity_type: Distribution
    by_day: Distribution
    ghosts_born: int
    ghosts_open: int
    ghost_groups: tuple[GhostGroup, ...]

    @property
    def ghosts_completed(self) -> int:
        """Ghosts among these records that somebody completed."""
        return self.ghosts_born - self.ghosts_open

    @property
    def ghosts_by_field(self) -> tuple[Count, ...]:
        """Open ghosts of the house by missing or malformed field."""
        return count_fields(self.ghost_groups)


def count_fields(groups: tuple[GhostGroup, ...]) -> tuple[Count, ...]:
    """Add groups up by the fields that they miss or have malformed, most frequent first."""
    totals: dict[str, int] = {}
    for group in groups:
        for field in {field for fields in group.faults.values() for field in fields}:
            totals[field] = totals.get(field, 0) + group.count
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Count(value=field, records=count) for field, count in ordered)


async def ghost_groups(connection: Connection, *, tenant: str) -> tuple[GhostGroup, ...]:
    """Group the open ghosts that the viewer may see by reason."""
    cursor = await connection.execute(_SQL["group_ghosts"], {"tenant": tenant})
    return tuple(
        GhostGroup(
            reason=row[0], count=row[1], oldest_position=row[2], faults=_faults(row[3]),
            since=row[4],
        )
        for row in await cursor.fetchall()
    )  # fmt: skip


async def stats(
    connection: Connection, wanted: Filter, *, tenant: str, zone: str, top: int, span: Span
) -> Stats:
    """Count what the filter lets through; `span` bounds the positions, None: nothing is in it.

    Raises:
        UnknownName: no such time zone.
    """
    zone_of(zone)
    first, end = span or (0, 0)
    asked: dict[str, Any] = {
        "tenant": tenant, "zone": zone, "top": top, "position_from": first, "position_before": end,
        "who": wanted.who, "did": wanted.did, "this": wanted.this, "status": wanted.wanted_status,
        "type": wanted.type, "entity_type": wanted.entity_type, "since": wanted.since,
        "until": wanted.until, "latest": wanted.is_latest_only, "tags": list(wanted.tags),
        "words": list(wanted.words), "prefixes": list(wanted.prefixes), "terms": wanted.terms,
        "openings": wanted.openings,
        "is_searched": bool(wanted.words or wanted.prefixes or wanted.tags),
    }  # fmt: skip
    cursor = await connection.execute(_SQL["count_distributions"], asked, prepare=False)
    found: dict[int, Distribution] = {}
    for which, value, records, different in await cursor.fetchall():
        before = found.get(which, Distribution()).values
        found[which] = Distribution(
            values=(*before, Count(value=value, records=records)), different=different
        )
    cursor = await connection.execute(_SQL["count_ghosts"], asked, prepare=False)
    ghosts = await cursor.fetchone()
    assert ghosts is not None, "an aggregate has a row"
    by = {f"by_{name}": found.get(which, Distribution()) for which, name in _WHICH.items()}
    by["by_day"] = msgspec.structs.replace(
        by["by_day"], values=tuple(sorted(by["by_day"].values, key=lambda one: one.value or ""))
    )
    return Stats(
        records=found[_TOTAL].values[0].records,
        ghosts_born=ghosts[0],
        ghosts_open=ghosts[1],
        ghost_groups=await ghost_groups(connection, tenant=tenant),
        **by,
    )


def _faults(told: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(told, dict):
        return {}
    return {
        str(kind): tuple(str(field) for field in fields)
        for kind, fields in told.items()
        if isinstance(fields, list)
    }
