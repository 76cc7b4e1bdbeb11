"""Pages of the timeline: the nearest records that a filter lets through, from either end.

Always holds: records come in the order of their positions, none is passed over; the page is read in
the caller's transaction, under the caller's rights.
"""

from __future__ import annotations

from typing import Final

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Connection
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.runs import runs_of
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of

_SQL: Final = Queries.load("loglineos.ledger.reading", "pages.sql")


async def page_of(
    connection: Connection,
    wanted: Filter,
    *,
    tenant: str,
    is_staff: bool,
    before: int | None,
    after: int | None,
    rows: int,
    oldest_first: bool,
) -> list[Record]:
    """Return at most `rows` records between two positions, both exclusive; None: no bound.

    `is_staff` says that the one who asks sees the whole house: the index of one column suffices.

    Raises:
        InvalidInput: a bound is no position.
    """
    first = 0 if after is None else within(after, "after", -1) + 1
    end = limits.integer_max if before is None else within(before, "before")
    runs = await runs_of(connection, wanted, tenant=tenant, first=first, end=end)
    name = "oldest_events" if oldest_first else "newest_events"
    if wanted.is_searched or not is_staff:
        name = "searched_events"
    found: list[Record] = []
    for begins, ends in runs if oldest_first else reversed(runs):
        asked = {
            "tenant": tenant, "position_from": max(first, begins),
            "position_before": min(end, ends), "who": wanted.who, "did": wanted.did,
            "this": wanted.this, "status": wanted.wanted_status, "type": wanted.type,
            "entity_type": wanted.entity_type, "tags": list(wanted.tags),
            "words": list(wanted.words), "prefixes": list(wanted.prefixes),
            "terms": wanted.terms, "openings": wanted.openings, "since": wanted.since,
            "until": wanted.until, "latest": wanted.is_latest_only,
            "newest_first": not oldest_first, "rows_max": rows - len(found),
        }  # fmt: skip
        # A plan made for any values would be a bad one for these: never a prepared statement.
        cursor = await connection.execute(_SQL[name], asked, prepare=False)
        of_run = [record_of(row) for row in await cursor.fetchall()]
        of_run.sort(key=lambda record: record.position or 0, reverse=not oldest_first)
        found += of_run
        if len(found) >= rows:
            break
    return found


def within(position: int, field: str, least: int = 0) -> int:
    """Return what can be a position.

    Raises:
        InvalidInput: it is below `least`, or no place in any log.
    """
    if not least <= position <= limits.integer_max:
        raise InvalidInput(field=field, shape=shape_of(position), reason=_BOUND)
    return position


_BOUND: Final = Text("não é uma posição", "is no position")
