"""What the queues of a tenant hold, how their executions ended, and who works on them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.services.asking import asking
from loglineos.services.definitions import Definitions
from loglineos.services.queue.settings import QUEUE, QueueSettings, settings_by_name

_SQL: Final = Queries.load("loglineos.services.queue", "overview.sql")
ENDS: Final = ("complete", "error", "dead", "archived", "denied")
_ALIVE: Final = timedelta(minutes=2)


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One queue: how many executions are ready, for later, running, waiting; and its settings.

    `oldest` is since when the first of the ready ones has been due.
    """

    name: str
    settings: QueueSettings
    ready: int = 0
    later: int = 0
    running: int = 0
    waiting: int = 0
    oldest: datetime | None = None
    next_due: datetime | None = None


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker that was seen lately; `leases` are those on jobs of the tenant that asks."""

    name: str
    started_at: datetime
    seen_at: datetime
    about: dict[str, Any]
    leases: int


async def queue_states(pool: Pool, tenant: str, *, now: datetime) -> list[QueueState]:
    """Tell of every queue that holds anything or has settings, by name."""
    definitions = Definitions(pool, QUEUE)
    await definitions.refresh([tenant])
    settings = settings_by_name(definitions.of(tenant))
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["count_jobs"], {"tenant": tenant, "now": now})
        rows = {row[0]: row[1:] for row in await cursor.fetchall()}
    found = []
    for name in sorted({*rows, *settings}):
        running, ready, later, waiting, oldest, next_due = rows.get(name, (0, 0, 0, 0, None, None))
        found.append(
            QueueState(
                name=name,
                settings=settings.get(name) or QueueSettings(name=name),
                ready=ready,
                later=later,
                running=running,
                waiting=waiting,
                oldest=oldest,
                next_due=next_due,
            )
        )
    return found


async def count_ends(pool: Pool, tenant: str, *, since: datetime) -> dict[str, dict[str, int]]:
    """Count how executions ended since then: by queue, then by status."""
    asked = {"tenant": tenant, "ends": list(ENDS), "since": since}
    found: dict[str, dict[str, int]] = {}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["count_ends"], asked)
        for queue, status, count in await cursor.fetchall():
            found.setdefault(queue, {})[status] = int(count)
    return found


async def list_ended(
    pool: Pool, tenant: str, *, ends: tuple[str, ...], queue: str | None, limit: int
) -> list[Record]:
    """List the latest events of executions that ended so, newest first."""
    asked = {"tenant": tenant, "ends": list(ends), "queue": queue, "rows_max": limit}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["list_ended"], asked)
        return [record_of(row) for row in await cursor.fetchall()]


async def list_workers(pool: Pool, tenant: str, *, now: datetime) -> list[WorkerState]:
    """List the workers that were seen in the last two minutes."""
    asked = {"tenant": tenant, "now": now, "seen_after": now - _ALIVE}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["list_workers"], asked)
        return [
            WorkerState(
                name=row[0], started_at=row[1], seen_at=row[2], about=row[3], leases=int(row[4])
            )
            for row in await cursor.fetchall()
        ]
