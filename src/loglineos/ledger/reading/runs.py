"""Runs of positions: where the records of a span of time can lie.

Always holds: no record of the span lies outside its runs, whatever the order in which authors told
their times; runs are whole blocks and lie apart.
"""

from __future__ import annotations

from typing import Final

from loglineos.database.pool import Connection
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.reading.filters import Filter

_SQL: Final = Queries.load("loglineos.ledger.reading", "runs.sql")


async def runs_of(
    connection: Connection, wanted: Filter, *, tenant: str, first: int, end: int
) -> list[tuple[int, int]]:
    """List the runs of positions among which every record of a filter's time lies, in order.

    Each as its first position and the one after its last. Without a span of time: from `first` to
    `end`. Blocks that touch neither side of these bounds are left out.
    """
    if wanted.since is None and wanted.until is None:
        return [(first, end)]
    asked = {
        "tenant": tenant, "since": wanted.since, "until": wanted.until, "first": first, "end": end,
        "block_positions": limits.block_positions,
    }  # fmt: skip
    cursor = await connection.execute(_SQL["runs_of_time"], asked)
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def span_of(
    connection: Connection, wanted: Filter, *, tenant: str
) -> tuple[int | None, int | None] | None:
    """Return the first and the last bound of all runs; None when no record can lie in them."""
    if wanted.since is None and wanted.until is None:
        return None, None
    runs = await runs_of(connection, wanted, tenant=tenant, first=0, end=limits.integer_max)
    return (runs[0][0], runs[-1][1]) if runs else None
