"""Looks: what the database says of a node at one moment, for all of its processes together.

Always holds: a look only reads, and by index; it costs nothing while nobody looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.scratch import is_scratch
from loglineos.runtime.following import Lag
from loglineos.services.asking import asking
from loglineos.services.queue.overview import ENDS

_SQL: Final = Queries.load("loglineos.services.telemetry", "looks.sql")
_WHOLE_TENANT: Final = "queues"


class QueueCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many executions of a queue are `ready`, `running`, `waiting` or for `later`."""

    tenant: str
    queue: str
    stands: str
    count: int


class NodeLook(msgspec.Struct, frozen=True, kw_only=True):
    """What a node holds now: `sizes` are the records of each tenant's log."""

    sizes: dict[str, int]
    queues: tuple[QueueCount, ...]
    lags: tuple[Lag, ...]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Executions of one function that ended the same way: how many, and how long they took."""

    function: str
    status: str
    count: int
    total_ms: int
    longest_ms: int


async def look_at_node(pool: Pool, *, now: datetime) -> NodeLook:
    """Look at every tenant of the node, simulations apart.

    Raises:
        LoglineError: what the database's failure means.
    """
    async with asking(pool) as connection:
        sizes = await (await connection.execute(_SQL["list_sizes"])).fetchall()
        queues = await (await connection.execute(_SQL["count_all_jobs"], {"now": now})).fetchall()
        lags = await (await connection.execute(_SQL["list_all_lags"])).fetchall()
    return NodeLook(
        sizes={row[0]: int(row[1]) for row in sizes if not is_scratch(row[0])},
        queues=tuple(
            QueueCount(tenant=row[0], queue=row[1], stands=row[2], count=int(row[3]))
            for row in queues
            if not is_scratch(row[0])
        ),
        lags=tuple(
            Lag(tenant=row[0], name=row[1], position=int(row[2]), head=int(row[3]))
            for row in lags
            if is_follower(row[1]) and not is_scratch(row[0])
        ),
    )


def is_follower(name: str) -> bool:
    """Tell whether a cursor is the place of a follower of a log.

    Others count what queues let through and what schedules were looked at for; each policy's own
    (`policy/ID`) is behind the common one, `policies`, only as far as nothing concerns it.
    """
    return not (name == _WHOLE_TENANT or ":" in name or "/" in name)


async def count_dead(pool: Pool, tenant: str) -> int:
    """Count the executions of a tenant that ran out of attempts and were not put back."""
    async with asking(pool) as connection:
        row = await (await connection.execute(_SQL["count_dead"], {"tenant": tenant})).fetchone()
    return int(row[0]) if row is not None else 0


async def count_ended(
    pool: Pool, tenant: str, *, start: int, end: int, since: datetime
) -> list[Ended]:
    """Count how executions ended in the positions from `start` to before `end`, since then."""
    asked = {"tenant": tenant, "start": start, "end": end, "since": since, "ends": list(ENDS)}
    async with asking(pool) as connection:
        rows = await (await connection.execute(_SQL["count_ended"], asked)).fetchall()
    return [
        Ended(
            function=row[0], status=row[1], count=int(row[2]), total_ms=int(row[3]),
            longest_ms=int(row[4]),
        )
        for row in rows
    ]  # fmt: skip


def added(found: Iterable[Ended]) -> list[Ended]:
    """Add up what was found at several times, by function and end."""
    sums: dict[tuple[str, str], Ended] = {}
    for one in found:
        key = (one.function, one.status)
        before = sums.get(key)
        sums[key] = one if before is None else Ended(
            function=one.function, status=one.status, count=before.count + one.count,
            total_ms=before.total_ms + one.total_ms,
            longest_ms=max(before.longest_ms, one.longest_ms),
        )  # fmt: skip
    return list(sums.values())
