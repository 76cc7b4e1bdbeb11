"""The scheduler: makes an execution of each instant at which a schedule is due.

Any number of schedulers may run on one database, on clocks that differ, jump or stand still.
Always holds: an instant is fired at most once, because its execution's id follows from it; nothing
is fired before its time by the clock of this node; what is looked at is remembered only after what
was due is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from loglineos.base.clock import Clock
from loglineos.base.errors import LoglineError
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.scratch import is_scratch
from loglineos.ledger.writer import Writer
from loglineos.services.asking import asking
from loglineos.services.definitions import Definitions
from loglineos.services.queue.handlers import handler_id
from loglineos.services.schedule.schedules import (
    SCHEDULE,
    Schedule,
    backfilled,
    draft_firing,
    schedule_of,
)

_SQL: Final = Queries.load("loglineos.services.schedule", "scheduler.sql")
_LOG: Final = logging.getLogger(__name__)
_POLL_S: Final = 1.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BATCH: Final = 1_000


class _Plan:
    """What is known of one schedule: how far it was looked at, and when it is due next."""

    def __init__(self, schedule: Schedule, since: datetime) -> None:
        self.schedule = schedule
        self.since = since
        self.next = schedule.cron.next_after(since)


class Scheduler:
    """Fires the schedules of every tenant of a node, or of a simulation's scratch tenant alone."""

    def __init__(
        self,
        writer: Writer,
        *,
        pool: Pool,
        clock: Clock,
        hints: Callable[[], AsyncIterator[str]] | None = None,
        poll_s: float = _POLL_S,
        tenants: Sequence[str] | None = None,
    ) -> None:
        """Keep cursors through `pool` (role logline_appender); look at each hint and each poll.

        `tenants`: whose schedules; None: every tenant's but the scratch tenants'.
        """
        self._writer = writer
        self._pool = pool
        self._clock = clock
        self._hints = hints
        self._poll_s = poll_s
        self._tenants = tenants
        self._definitions = Definitions(pool, SCHEDULE)
        self._plans: dict[str, dict[UUID, _Plan]] = {}
        self._seen_at: datetime | None = None
        self._bell = asyncio.Event()
        self._stop = asyncio.Event()
        self.fired = 0

    @property
    def next_due(self) -> datetime | None:
        """When the next schedule comes due, as far as was looked; None: none does."""
        nexts = [p.next for plans in self._plans.values() for p in plans.values() if p.next]
        return min(nexts, default=None)

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()
        self._bell.set()

    async def run(self) -> None:
        """Fire what comes due, until `stop`. A database that is away is waited for.

        Raises:
            LoglineError: the database refuses for a reason that waiting does not change.
        """
        listening = asyncio.create_task(self._listen(), name="hints of schedules")
        try:
            while not self._stop.is_set():
                self._bell.clear()
                try:
                    await self.look()
                except LoglineError as failure:
                    if not failure.retryable:
                        raise
                await self._rest()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def look(self) -> int:
        """Read what schedules there are, fire what is due; return how many executions were asked.

        Raises:
            DatabaseUnavailable, Pushback: not now; the next look makes up for it.
        """
        now = self._clock.now()
        if self._seen_at is not None and now < self._seen_at:
            self._plans.clear()  # the clock was set back: what was fired keeps its ids
        self._seen_at = now
        tenants = await self._served()
        for tenant in {*await self._definitions.refresh(tenants), *tenants}:
            await self._plan(tenant, now)
        fired = 0
        for tenant, plans in self._plans.items():
            due = [plan for plan in plans.values() if plan.next is not None and plan.next <= now]
            if due:
                fired += await self._fire(tenant, due, now)
        self.fired += fired
        return fired

    async def _plan(self, tenant: str, now: datetime) -> None:
        """Make plans for the schedules that are new or changed, and drop those that do not run."""
        plans = self._plans.setdefault(tenant, {})
        fresh: list[Schedule] = []
        for identity, record in self._definitions.of(tenant).items():
            known = plans.get(identity)
            if known is not None and known.schedule.record.seq == record.seq:
                continue
            plans.pop(identity, None)
            try:
                schedule = schedule_of(record)
            except LoglineError as fault:
                _LOG.warning("schedule %s of %s: %s", record.name, tenant, fault)
                continue
            if schedule.runs:
                fresh.append(schedule)
        if not fresh:
            return
        asked = {"tenant": tenant, "names": [_cursor(one.id) for one in fresh]}
        cursors = {row[0]: int(row[1]) for row in await self._rows("read_cursors", asked)}
        for schedule in fresh:
            since = schedule.record.recorded_at or now
            position = cursors.get(_cursor(schedule.id))
            if position is not None:
                since = max(since, _EPOCH + position * _MICROSECOND)
            plans[schedule.id] = _Plan(schedule, min(since, now))

    async def _fire(self, tenant: str, due: Sequence[_Plan], now: datetime) -> int:
        functions = await function_ids(self._pool, tenant, [p.schedule.function for p in due])
        drafts = [
            draft_firing(plan.schedule, instant, function=functions[plan.schedule.function])
            for plan in due
            for instant in plan.schedule.due(plan.since, now)
        ]
        await self._append(tenant, drafts)
        for plan in due:
            plan.since = now
            plan.next = plan.schedule.cron.next_after(now)
        position = (now - _EPOCH) // _MICROSECOND
        names = [_cursor(plan.schedule.id) for plan in due]
        kept = {"tenant": tenant, "names": names, "positions": [position] * len(names), "now": now}
        async with asking(self._pool) as connection:
            await connection.execute(_SQL["keep_cursors"], kept)
        return len(drafts)

    async def _append(self, tenant: str, drafts: Sequence[Draft]) -> None:
        """Append firings; one that may not enter keeps no other out."""
        for start in range(0, len(drafts), _BATCH):
            batch = drafts[start : start + _BATCH]
            try:
                await self._writer.append(batch, tenant=tenant, if_absent=True)
            except LoglineError as failure:
                if failure.retryable:
                    raise
                for draft in batch:
                    try:
                        await self._writer.append([draft], tenant=tenant, if_absent=True)
                    except LoglineError as refusal:
                        if refusal.retryable:
                            raise
                        _LOG.warning("%s of %s not fired: %s", draft.who, tenant, refusal)

    async def _rest(self) -> None:
        """Wait for the next instant, a hint or the poll, whichever comes first."""
        pause_s = self._poll_s
        if (due := self.next_due) is not None:
            pause_s = min(pause_s, max(0.001, (due - self._clock.now()).total_seconds()))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._bell.wait()

    async def _served(self) -> Sequence[str]:
        if self._tenants is not None:
            return self._tenants
        return [row[0] for row in await self._rows("list_tenants", {}) if not is_scratch(row[0])]

    async def _listen(self) -> None:
        if self._hints is None:
            return
        async with aclosing(self._hints()) as hints:  # type: ignore[type-var]
            async for tenant in hints:
                with suppress(LoglineError):
                    if await self._definitions.refresh([tenant]):
                        self._bell.set()

    async def _rows(self, name: str, asked: dict[str, Any]) -> list[Any]:
        async with asking(self._pool) as connection:
            return await (await connection.execute(_SQL[name], asked)).fetchall()


async def backfill(
    writer: Writer, record: Record, *, tenant: str, since: datetime, until: datetime
) -> list[Record]:
    """Make the executions of every instant from `since` on and before `until`; return them.

    Instants that were fired before are answered with their executions and not fired again.

    Raises:
        InvalidInput: more than BACKFILL_MAX instants.
    """
    schedule = schedule_of(record)
    functions = await function_ids(writer.pool, tenant, [schedule.function])
    drafts = [
        draft_firing(schedule, instant, function=functions[schedule.function], is_backfill=True)
        for instant in backfilled(schedule, since, until)
    ]
    made: list[Record] = []
    for start in range(0, len(drafts), _BATCH):
        batch = drafts[start : start + _BATCH]
        made += await writer.append(batch, tenant=tenant, if_absent=True)
    return made


async def function_ids(pool: Pool, tenant: str, names: Sequence[str]) -> dict[str, UUID]:
    """Return the id of the function of each name; of one that is not there, its handler's."""
    asked = {"tenant": tenant, "names": sorted(set(names))}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["function_ids"], asked)
        found = {row[0]: row[1] for row in await cursor.fetchall()}
    return {name: found.get(name) or handler_id(name) for name in names}


def _cursor(schedule: UUID) -> str:
    return f"schedule:{schedule}"
