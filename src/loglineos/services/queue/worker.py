"""The worker: takes jobs by lease, has them run, appends their ends, and leaves in good order.

Any number of workers share one database. Always holds: a job that was taken is ended, given back or
left to its lease, never forgotten; a job whose lease another worker lost runs again only after a
record says so; nothing is taken after `stop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.entropy import Entropy
from loglineos.base.errors import Conflict, LoglineError
from loglineos.database.pool import Pool
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.observer import SILENT, Observer, turn_seen
from loglineos.runtime.execution.outcome import Outcome
from loglineos.services.definitions import Definitions
from loglineos.services.queue.endings import Endings
from loglineos.services.queue.leases import Claim, Leases
from loglineos.services.queue.lives import end_of, failure_of, lost_lease
from loglineos.services.queue.offers import Offers
from loglineos.services.queue.settings import QUEUE, QueueSettings, settings_by_name

_AHEAD_S: Final = 0.25
"""How much work is taken in advance: what this worker ended in so many seconds."""
_TOO_LONG_IN_HAND: Final = timedelta(seconds=8 * _AHEAD_S)
_PACE_KEPT: Final = 0.7
_PAUSE_S: Final = 0.5


class Executor(Protocol):
    """Runs one execution to its next rest."""

    async def run(self, tenant: str, execution: Record, *, worker: str, attempt: int) -> Outcome:
        """Run or resume; append what must be durable on the way; leave the end to the worker."""
        ...


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works: `slots` run at once, `ahead_max` wait in hand; `queues` None: all."""

    slots: int = 64
    ahead_max: int = 1_000
    lease_s: float = 30.0
    poll_s: float = 1.0
    drain_s: float = 25.0
    queues: tuple[str, ...] | None = None


class _Job:
    """A job in hand."""

    def __init__(self, claim: Claim, until: datetime) -> None:
        self.claim = claim
        self.until = until
        self.is_begun = False
        self.task: asyncio.Task[None]


class Worker:
    """One worker of one process."""

    def __init__(
        self,
        writer: Writer,
        executor: Executor,
        *,
        pool: Pool,
        clock: Clock,
        entropy: Entropy,
        name: str,
        hints: Callable[[], AsyncIterator[str]] | None = None,
        settings: WorkerSettings = WorkerSettings(),  # noqa: B008 - frozen
        about: dict[str, Any] | None = None,
        observer: Observer = SILENT,
    ) -> None:
        """Work as `name`, unique among all workers, through `pool` (role logline_appender).

        `hints` yields the names of tenants whose log has grown; None: only polling. `about` is
        what is told of this worker besides its name; `observer` is told of each turn.
        """
        self.name = name
        self.settings = settings
        self.ended = 0
        self._writer = writer
        self._executor = executor
        self._clock = clock
        self._entropy = entropy
        self._hints = hints
        self._about = about or {}
        self._observer = observer
        self._leases = Leases(pool, writer, worker=name, clock=clock, lease_s=settings.lease_s)
        self._offers = Offers(self._leases, queues=settings.queues)
        self._definitions = Definitions(pool, QUEUE)
        self._queues: dict[str, dict[str, QueueSettings]] = {}
        self._endings = Endings(writer)
        self._jobs: dict[tuple[str, UUID], _Job] = {}
        self._slots = asyncio.Semaphore(settings.slots)
        self._bell = asyncio.Event()
        self._stop = asyncio.Event()
        self._is_over = False
        self._to_look: set[str] = set()
        self._polls_at = 0.0
        self._pace = 0.0

    @property
    def in_hand(self) -> int:
        """How many jobs this worker has taken and not ended."""
        return len(self._jobs)

    def stop(self) -> None:
        """Take nothing more; `run` returns when what was begun has ended, or `drain_s` is over."""
        self._stop.set()
        self._bell.set()

    def wake(self, tenants: Collection[str]) -> None:
        """Look at once what these tenants have: a hint."""
        self._to_look.update(tenants)
        self._bell.set()

    async def run(self) -> None:
        """Work until `stop`. A database that is away is waited for.

        Raises:
            LoglineError: the database refuses for a reason that waiting does not change.
        """
        beside = [
            asyncio.create_task(self._listen(), name="hints of the queue"),
            asyncio.create_task(self._beat(), name="heartbeat"),
        ]
        try:
            await self._work()
            await self._drain()
        finally:
            self._is_over = True
            for task in [*beside, *(job.task for job in self._jobs.values())]:
                task.cancel()
            await asyncio.gather(
                *beside, *(job.task for job in self._jobs.values()), return_exceptions=True
            )
            await self._endings.close()
            with suppress(LoglineError, TimeoutError):
                async with asyncio.timeout(4 * _PAUSE_S):
                    await self._leases.leave()

    async def _work(self) -> None:
        while not self._stop.is_set():
            self._bell.clear()
            try:
                is_taking = await self._take()
            except LoglineError as failure:
                if not failure.retryable:
                    raise
                self._polls_at = 0.0
                await self._rest(_PAUSE_S)
                continue
            if not is_taking:
                await self._rest(self._pause_s())

    async def _take(self) -> bool:
        """Take what there is room for, look where something may be; tell whether to go on.

        At a hint the queues that were known are tried before anything is looked at: it is what
        the one who waits most often needs.
        """
        now_s = asyncio.get_running_loop().time()
        tenants = self._to_look | set(self._offers.due_tenants(self._clock.now()))
        self._to_look = set()
        try:
            if now_s >= self._polls_at:
                tenants |= set(await self._leases.tenants())
                # of those without a job too: a pause counts for what comes before the next look
                await self._read_settings(sorted(tenants | self._queues.keys()))
                self._polls_at = now_s + self.settings.poll_s
            else:
                await self._read_settings([one for one in tenants if one not in self._queues])
            self._offers.expect(tenants, self._queues)
            taken = await self._take_offered()
            rest = [one for one in sorted(tenants) if not self._offers.has(one)]
            await self._offers.look(rest, self._queues)
        except LoglineError:
            self._to_look |= tenants
            raise
        return (taken > 0 or bool(rest)) and self._free() > 0 and not self._offers.is_empty

    async def _take_offered(self) -> int:
        free = self._free()
        if free < 1 or self._offers.is_empty:
            return 0
        claims = await self._offers.take(free, self._queues)
        until = self._clock.now() + timedelta(seconds=self.settings.lease_s)
        for claim in claims:
            self._begin(claim, until)
        if claims:
            await asyncio.sleep(0)
        return len(claims)

    def _free(self) -> int:
        """Return how many jobs may be taken now: the free slots, and some ahead at a fast pace.

        A few places that come free at a fast pace are not worth a claim: they are gathered.
        """
        ahead = min(self.settings.ahead_max, int(self._pace * _AHEAD_S))
        most = self.settings.slots + ahead
        free = most - len(self._jobs)
        return free if free * 4 >= ahead else 0

    def _pause_s(self) -> float:
        """Return how long nothing needs to be looked at, unless the bell rings."""
        now_s = asyncio.get_running_loop().time()
        pause_s = max(0.0, self._polls_at - now_s)
        due = self._offers.next_due
        if due is not None:
            pause_s = min(pause_s, max(0.001, (due - self._clock.now()).total_seconds()))
        return pause_s

    async def _rest(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._bell.wait()

    async def _read_settings(self, tenants: Sequence[str]) -> None:
        changed = await self._definitions.refresh(tenants) if tenants else []
        for tenant in {*changed, *(one for one in tenants if one not in self._queues)}:
            self._queues[tenant] = settings_by_name(self._definitions.of(tenant))

    def _begin(self, claim: Claim, until: datetime) -> None:
        job = _Job(claim, until)
        key = (claim.tenant, claim.execution.id)
        before = self._jobs.get(key)
        if before is not None:  # its lease was lost, perhaps by a machine that slept
            before.task.cancel()
        self._jobs[key] = job
        work = self._tell_lost(claim) if claim.lost_by is not None else self._run(job)
        job.task = asyncio.create_task(work)
        job.task.add_done_callback(lambda _: self._finish(key, job))

    def _finish(self, key: tuple[str, UUID], job: _Job) -> None:
        if self._jobs.get(key) is job:
            del self._jobs[key]
        self._bell.set()
        if job.task.cancelled() or job.task.exception() is not None:
            return  # a fault of ours, or no longer ours: the lease brings the job back
        self.ended += 1

    async def _run(self, job: _Job) -> None:
        claim = job.claim
        async with self._slots:
            job.is_begun = True
            began, event = self._clock.now(), None
            told: dict[str, Any] = {"worker": self.name, "attempt": claim.attempt}
            self._observer.begin(claim.execution, **told)
            try:
                outcome = await self._executor.run(claim.tenant, claim.execution, **told)
            except Exception as cause:  # noqa: BLE001 - whatever it raises is the end of this try
                outcome = failure_of(cause)
            except BaseException:
                self._tell_end(claim, None, began)
                raise
        try:
            event = await self._written(claim, outcome)
        finally:
            self._tell_end(claim, event, began)

    def _tell_end(self, claim: Claim, event: Draft | Record | None, began: datetime) -> None:
        if self._observer is not SILENT:
            seen = turn_seen(
                claim.execution, event, worker=self.name, attempt=claim.attempt, began=began,
                ended=self._clock.now(),
            )  # fmt: skip
            self._observer.end(claim.execution, seen)

    async def _written(self, claim: Claim, outcome: Outcome) -> Draft | Record | None:
        """Append what is left of a turn; return the event that it left; None: it is lost."""
        if outcome.kind in ("complete", "error"):
            return await self._end(claim, outcome)
        return outcome.head if outcome.kind == "rested" else None

    async def _end(self, claim: Claim, outcome: Outcome) -> Draft | None:
        now = self._clock.now()
        drafts = end_of(claim, outcome, worker=self.name, now=now, entropy=self._entropy)
        try:
            await self._endings.append(claim.tenant, drafts)
        except Conflict:
            return None  # somebody else has it: cancelled, or taken over when its lease was lost
        except LoglineError as refusal:
            if outcome.kind == "error" and outcome.is_final:
                raise
            refused = msgspec.structs.replace(failure_of(refusal), head=outcome.head, is_final=True)
            return await self._end(claim, refused)  # e.g. an output that no record may hold
        return drafts[-1]

    async def _tell_lost(self, claim: Claim) -> None:
        """Record that a lease was lost; the execution then waits for its next attempt."""
        with suppress(Conflict):
            lost = lost_lease(claim, lost_by=claim.lost_by or "?")
            await self._endings.append(claim.tenant, [lost])

    async def _listen(self) -> None:
        if self._hints is None:
            return
        async with aclosing(self._hints()) as hints:  # type: ignore[type-var]
            async for tenant in hints:
                self.wake([tenant])

    async def _beat(self) -> None:
        """Prolong the leases in hand and say that this worker lives, three times a lease."""
        every_s = self.settings.lease_s / 3
        loop = asyncio.get_running_loop()
        pace_at, ended = loop.time(), self.ended
        beats_at = 0.0
        while not self._is_over:
            now_s = loop.time()
            if now_s >= beats_at:
                beats_at = now_s + every_s
                with suppress(LoglineError):
                    await self._renew()
                    await self._leases.tell(self._described())
            self._drop_overdue()
            with suppress(LoglineError):
                await self._give_back(not_begun_since=self._clock.now() - _TOO_LONG_IN_HAND)
            await asyncio.sleep(min(_AHEAD_S / 2, every_s))
            fresh = (self.ended - ended) / max(1e-6, loop.time() - pace_at)
            pace_at, ended = loop.time(), self.ended
            self._pace = fresh if fresh > self._pace else self._pace * _PACE_KEPT + fresh * 0.3

    async def _renew(self) -> None:
        """Prolong what was taken before the last beat; let go of what is no longer ours."""
        soon = self._clock.now() + timedelta(seconds=self.settings.lease_s * 0.8)
        held: dict[str, list[UUID]] = {}
        for (tenant, identity), job in self._jobs.items():
            if job.until <= soon:
                held.setdefault(tenant, []).append(identity)
        if not held:
            return
        until = self._clock.now() + timedelta(seconds=self.settings.lease_s)
        asked = [(key, self._jobs[key]) for key in ((t, i) for t, ids in held.items() for i in ids)]
        kept = await self._leases.renew(held)
        for key, job in asked:
            if key in kept:
                job.until = until
            elif self._jobs.get(key) is job and not job.task.done():
                job.task.cancel()

    def _drop_overdue(self) -> None:
        """Stop working on what others may have by now: the lease ran out and was not prolonged."""
        now = self._clock.now()
        for job in list(self._jobs.values()):
            if job.until <= now:
                job.task.cancel()

    async def _give_back(self, *, not_begun_since: datetime) -> None:
        """Let others have what waits in hand for a slot since then, or longer."""
        held: dict[str, list[UUID]] = {}
        for (tenant, identity), job in self._jobs.items():
            is_waiting = not job.is_begun and job.claim.lost_by is None
            if is_waiting and job.claim.claimed_at <= not_begun_since:
                job.task.cancel()
                held.setdefault(tenant, []).append(identity)
        if held:
            await self._leases.release(held)

    def _described(self) -> dict[str, Any]:
        return {
            **self._about, "in_hand": len(self._jobs), "slots": self.settings.slots,
            "ended": self.ended, "queues": self.settings.queues,
            "is_draining": self._stop.is_set(),
        }  # fmt: skip

    async def _drain(self) -> None:
        """Give back what was not begun, let the rest end; record what has to be left."""
        with suppress(LoglineError):
            await self._give_back(not_begun_since=self._clock.now())
        tasks = [job.task for job in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=self.settings.drain_s)
        left = [job for job in self._jobs.values() if not job.task.done()]
        for job in left:
            job.task.cancel()
        await asyncio.gather(*(job.task for job in left), return_exceptions=True)
        told = [lost_lease(job.claim, lost_by=self.name, reason="stopped") for job in left]
        for job, draft in zip(left, told, strict=True):
            with suppress(LoglineError, TimeoutError):
                async with asyncio.timeout(_PAUSE_S * 4):
                    await self._endings.append(job.claim.tenant, [draft])
