"""What runs of a function said: its `ctx.log` lines, run by run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.runtime.following import asking

_SQL: Final = Queries.load("loglineos.runtime", "logs.sql")
RUNS_MAX: Final = 500
"""Most runs of one look."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a run logged."""

    at: datetime
    text: str
    fields: dict[str, Any]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run: how it stands now, and what it logged so far."""

    head: Record
    lines: tuple[Line, ...]


async def read_logs(pool: Pool, tenant: str, function: UUID, *, limit: int) -> list[Run]:
    """Return the newest runs of a function, at most `limit` and `RUNS_MAX`, oldest first."""
    async with asking(pool) as connection:
        asked = {"tenant": tenant, "function": function, "rows_max": min(limit, RUNS_MAX)}
        rows = await (await connection.execute(_SQL["read_runs"], asked)).fetchall()
        runs = [record_of(row).id for row in reversed(rows)]
        ids = {"tenant": tenant, "executions": runs}
        heads = await (await connection.execute(_SQL["read_stand"], ids)).fetchall()
        steps = await (await connection.execute(_SQL["read_told"], ids)).fetchall()
    stand = {record.id: record for record in map(record_of, heads)}
    told: dict[UUID | None, list[Line]] = {}
    for step in map(record_of, steps):
        told.setdefault(step.parent_id, []).append(_line(step))
    return [Run(head=stand[one], lines=tuple(told.get(one, ()))) for one in runs]


def _line(step: Record) -> Line:
    asked = step.input.get("arguments") if isinstance(step.input, dict) else None
    asked = asked if isinstance(asked, dict) else {}
    fields = asked.get("fields")
    return Line(
        at=step.at,
        text=str(asked.get("text", "")),
        fields=fields if isinstance(fields, dict) else {},
    )
