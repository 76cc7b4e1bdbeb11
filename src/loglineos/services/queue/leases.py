"""Leases: who works on what, for how long. All the SQL that a worker speaks beside the registry.

A lease is operational: it is no record, and losing it harms nothing, because the end of a job has
its chosen place in the life of the execution, which only one worker can take.
Always holds: a row is leased to one worker at a time; a job whose lease ran out is told with the
name of the worker that lost it; limits of a queue hold over all workers, counted under one lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import orjson

from loglineos.base.clock import Clock
from loglineos.database.pool import Connection, Pool
from loglineos.database.queries import Queries
from loglineos.ledger.canonical import from_jsonb
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import is_scratch
from loglineos.ledger.writer import Writer
from loglineos.services.asking import asking
from loglineos.services.queue.limits import let_through

_SQL: Final = Queries.load("loglineos.services.queue", "leases.sql")
_OWN_COLUMNS: Final = 3
_FORGOTTEN_AFTER: Final = timedelta(days=1)


class Group(NamedTuple):
    """The jobs of one queue and priority of a tenant."""

    queue: str
    priority: int
    is_ready: bool
    next_due: datetime | None


class Limit(NamedTuple):
    """What a queue (or, with `queue` None, all queues of a tenant together) may do."""

    queue: str | None
    concurrency: int | None
    rate_per_s: float | None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A leased job: the latest event of the execution, with the input of its request.

    `lost_by` is the worker whose lease ran out, where one did.
    """

    tenant: str
    execution: Record
    lost_by: str | None
    claimed_at: datetime

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.execution.attempt or 1


class Leases:
    """The leases of one worker. Jobs of scratch tenants are leased to their simulation alone."""

    def __init__(
        self, pool: Pool, writer: Writer, *, worker: str, clock: Clock, lease_s: float
    ) -> None:
        """Use `pool`, of the role logline_appender; a lease lasts `lease_s` unless renewed."""
        self._pool = pool
        self._writer = writer
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self.worker = worker

    async def tenants(self) -> list[str]:
        """List the tenants that have jobs at all."""
        async with asking(self._pool) as connection:
            cursor = await connection.execute(_SQL["tenants_with_jobs"])
            return [row[0] for row in await cursor.fetchall() if self._serves(row[0])]

    async def groups(self, tenants: Sequence[str]) -> dict[str, list[Group]]:
        """Look what these tenants have, in one round trip; the lowest priority number first."""
        now = self._clock.now()
        served = [tenant for tenant in tenants if self._serves(tenant)]
        async with asking(self._pool) as connection, connection.pipeline():
            cursors = [
                await connection.execute(_SQL["ready_groups"], {"tenant": tenant, "now": now})
                for tenant in served
            ]
            return {
                tenant: [Group(*row) for row in await cursor.fetchall()]
                for tenant, cursor in zip(served, cursors, strict=True)
            }

    async def take(self, wanted: Sequence[tuple[str, Sequence[Group], int]]) -> list[Claim]:
        """Lease at most so many jobs of these groups of each tenant, in one round trip."""
        now = self._clock.now()
        wanted = [one for one in wanted if self._serves(one[0])]
        async with asking(self._pool) as connection, connection.pipeline():
            cursors = [
                await connection.execute(_SQL["take_jobs"], self._asked(tenant, groups, most, now))
                for tenant, groups, most in wanted
            ]
            found = [
                (tenant, await cursor.fetchall())
                for (tenant, _, _), cursor in zip(wanted, cursors, strict=True)
            ]
        return [await self._claim(tenant, row, now) for tenant, rows in found for row in rows]

    async def take_limited(
        self, tenant: str, groups: Sequence[Group], most: int, *, limits: Sequence[Limit]
    ) -> list[Claim]:
        """Lease jobs of one queue that has limits, at most what each of them lets through now."""
        if not self._serves(tenant):
            return []
        now = self._clock.now()
        async with asking(self._pool) as connection, connection.transaction():
            moved = []
            for limit in limits:  # the tenant's before the queue's: nobody waits in a circle
                most, position = await _room(connection, tenant, limit, most, now)
                moved.append((limit, position))
            if most < 1:
                return []
            asked = self._asked(tenant, groups, most, now)
            rows = await (await connection.execute(_SQL["take_jobs"], asked)).fetchall()
            for limit, position in moved:
                if limit.rate_per_s is not None and rows:
                    _, after = let_through(
                        position, rate_per_s=limit.rate_per_s, now=now, wanted=len(rows)
                    )
                    place = {"tenant": tenant, "name": _name(limit), "position": after}
                    await connection.execute(_SQL["move_limit"], place)
        return [await self._claim(tenant, row, now) for row in rows]

    async def renew(self, held: dict[str, list[UUID]]) -> set[tuple[str, UUID]]:
        """Prolong leases, by tenant; return those that are still this worker's."""
        until = self._clock.now() + self._lease
        async with asking(self._pool) as connection, connection.pipeline():
            cursors = {
                tenant: await connection.execute(
                    _SQL["renew_leases"],
                    {"tenant": tenant, "ids": ids, "worker": self.worker, "lease_until": until},
                )
                for tenant, ids in held.items()
            }
            return {
                (tenant, row[0])
                for tenant, cursor in cursors.items()
                for row in await cursor.fetchall()
            }

    async def release(self, held: dict[str, list[UUID]]) -> None:
        """Give jobs back that were never begun."""
        async with asking(self._pool) as connection, connection.pipeline():
            for tenant, ids in held.items():
                asked = {"tenant": tenant, "ids": ids, "worker": self.worker}
                await connection.execute(_SQL["release_leases"], asked)

    async def tell(self, about: dict[str, Any]) -> None:
        """Say that this worker lives, and what it does."""
        told = {
            "worker": self.worker, "now": self._clock.now(), "about": orjson.dumps(about).decode(),
        }  # fmt: skip
        async with asking(self._pool) as connection:
            await connection.execute(_SQL["tell_worker"], told)

    async def leave(self) -> None:
        """Strike this worker off the list."""
        before = self._clock.now() - _FORGOTTEN_AFTER
        async with asking(self._pool) as connection:
            await connection.execute(
                _SQL["forget_workers"], {"worker": self.worker, "seen_before": before}
            )

    def _serves(self, tenant: str) -> bool:
        """Tell whether a tenant's jobs are this worker's to take."""
        return is_scratch(tenant) == self._writer.is_simulated

    def _asked(
        self, tenant: str, groups: Sequence[Group], most: int, now: datetime
    ) -> dict[str, Any]:
        return {
            "tenant": tenant, "queues": [group.queue for group in groups],
            "priorities": [group.priority for group in groups], "jobs_max": most, "now": now,
            "lease_until": now + self._lease, "worker": self.worker,
        }  # fmt: skip

    async def _claim(self, tenant: str, row: Sequence[Any], now: datetime) -> Claim:
        identity, lost_by, first_input, *columns = row
        if columns[0] is None:
            latest = await self._writer.latest(tenant, identity)
        else:
            latest = record_of(columns)
        if first_input is not None and latest.input is None:
            latest = msgspec.structs.replace(latest, input=from_jsonb(first_input))
        return Claim(tenant=tenant, execution=latest, lost_by=lost_by, claimed_at=now)


async def _room(
    connection: Connection, tenant: str, limit: Limit, most: int, now: datetime
) -> tuple[int, int]:
    """Lock a limit and return how many of `most` it lets through now, and where it stands."""
    named = {"tenant": tenant, "name": _name(limit), "now": now}
    row = await (await connection.execute(_SQL["lock_limit"], named)).fetchone()
    position = int(row[0]) if row else 0
    if limit.concurrency is not None:
        counted = {"tenant": tenant, "queue": limit.queue, "now": now}
        busy = await (await connection.execute(_SQL["count_leases"], counted)).fetchone()
        most = min(most, limit.concurrency - (int(busy[0]) if busy else 0))
    if limit.rate_per_s is not None and most > 0:
        most, _ = let_through(position, rate_per_s=limit.rate_per_s, now=now, wanted=most)
    return most, position


def _name(limit: Limit) -> str:
    return "queues" if limit.queue is None else f"queue:{limit.queue}"
