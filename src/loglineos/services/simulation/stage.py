"""The stage of a simulation: a scratch tenant with the whole machinery of a house, on a set clock.

Founded like any tenant, with the house's law and how things stood; its own appender, writer, laws,
executor, policies, consequences, schedules and wakes; nothing of it has a door to the world. Always
holds: the clock only moves forward, and stands while anything is done; what one instant may lead to
is bounded, and where it is too much a record says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.clock import ManualClock, rfc3339
from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import Conflict, LoglineError, MoveNotAllowed, RunnerLost
from loglineos.base.language import Text
from loglineos.database.pool import Connection, Pool
from loglineos.database.queries import Queries
from loglineos.ledger.appender import Appender
from loglineos.ledger.founding import found_tenant
from loglineos.ledger.limits import batch_records_max
from loglineos.ledger.reading.reader import Reader
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.scratch import SIMULATION, scratch_name
from loglineos.ledger.writer import Writer
from loglineos.runtime.consequence.consequences import NAME as CONSEQUENCES
from loglineos.runtime.consequence.consequences import TenantConsequences
from loglineos.runtime.execution.effects.effect import Call, Denied, Secrets, World
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.waking import NAME as WAKING
from loglineos.runtime.execution.waking import Waker
from loglineos.runtime.following import Cursors, Follower, Log, asking
from loglineos.runtime.ids import derived_id
from loglineos.runtime.laws import Laws
from loglineos.runtime.policy.tenant import TenantPolicies
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.violations import violation_draft
from loglineos.services.queue.lives import cancel
from loglineos.services.schedule.scheduler import Scheduler
from loglineos.services.simulation.hands import Hands
from loglineos.services.simulation.law import Law

_SQL: Final = Queries.load("loglineos.services.simulation", "inputs.sql")
RECORDS_MAX: Final = 5_000
"""Records that one instant may lead to."""
RUNS_MAX: Final = 1_000
"""Runs that one instant may lead to."""
LOSSES_MAX: Final = 20
"""How often policies may lose their runner at one instant."""
_PAGE: Final = 500


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation stands on: a node's writer (read and sign), pools, sandbox and secrets.

    `connect` opens connections as logline_appender, `work` is a pool of the same role. `on_commit`
    and `gate` are the node's own, so that the scratch tenant's log is signed like any other.
    """

    writer: Writer
    connect: Callable[[], Awaitable[Connection]]
    work: Pool
    runners: Runners
    reader: Callable[[str, str], Reader]
    secrets: Secrets
    on_commit: Callable[[dict[str, int]], Awaitable[None]] | None = None
    gate: Callable[[], None] | None = None


class TooMuch(Exception):
    """One instant led to more than it may."""


class _NoDoor:
    """The way out of a simulation: there is none."""

    async def request(self, call: Call, *, secrets: dict[str, str]) -> Denied:  # noqa: ARG002
        """Refuse; `ctx.http` does not come here while its world is simulated."""
        said = f"{call.name}: nothing leaves a simulation"
        return Denied(type="PermissionError", code="simulated", message=said)


class _Placeholders:
    """Secrets of the house by name only: that there is one, never what it is."""

    def __init__(self, secrets: Secrets, tenant: str) -> None:
        self._secrets = secrets
        self._tenant = tenant

    def read(self, tenant: str, name: str) -> str | None:  # noqa: ARG002
        """Return a word in place of a secret that the house has."""
        return None if self._secrets.read(self._tenant, name) is None else "simulated"


class Stage:
    """A scratch tenant at work. Made by `open_stage`."""

    def __init__(
        self, scratch: str, *, tenant: str, ground: Ground, writer: Writer, clock: ManualClock,
        seed: int,
    ) -> None:  # fmt: skip
        self.scratch = scratch
        self.writer = writer
        self.clock = clock
        self._ground = ground
        self.laws = Laws(writer, ground.runners, root=writer.keyring.public("root"))
        self.log = Log(writer.pool)
        self._place = 0
        self._cursors = cursors = Cursors(ground.work, clock=clock)
        world = World(
            writer=writer, reader=ground.reader, clock=clock, entropy=SeededEntropy(seed + 1),
            directory=self.laws, door=_NoDoor(), secrets=_Placeholders(ground.secrets, tenant),
            is_simulated=True,
        )  # fmt: skip
        executor = Executor(
            world=world, laws=self.laws, runners=ground.runners, reading=writer.pool,
            work=ground.work,
        )  # fmt: skip
        self._hands = Hands(
            scratch, writer=writer, executor=executor, pool=ground.work,
            entropy=SeededEntropy(seed + 2),
        )  # fmt: skip
        self._policies = TenantPolicies(
            scratch, writer=writer, log=self.log, cursors=cursors, runners=ground.runners,
            laws=self.laws, patience_s=None,
        )  # fmt: skip
        self._consequences = TenantConsequences(
            scratch, writer=writer, log=self.log, cursors=cursors, laws=self.laws, start="beginning"
        )
        waker = Waker(scratch, reading=writer.pool, wake=executor.wake)
        self._waking = Follower(
            WAKING, tenant=scratch, handle=waker.handle, log=self.log, cursors=cursors
        )
        self._scheduler = Scheduler(writer, pool=ground.work, clock=clock, tenants=[scratch])

    @property
    def next_due(self) -> datetime | None:
        """When something comes due by itself: a job, a wait or a schedule."""
        known = [due for due in (self._hands.next_due, self._scheduler.next_due) if due is not None]
        return min(known, default=None)

    async def begin(self) -> None:
        """Let everybody who follows the log begin at its head."""
        head = await self.log.size(self.scratch)
        await self._cursors.begin(
            self.scratch, CONSEQUENCES, head
        )  # how things stood fires nothing
        await self._waking.begin()
        await self._policies.catch_up()
        await self._scheduler.look()
        self._place = await self.log.size(self.scratch)

    def move_to(self, instant: datetime) -> None:
        """Move the clock forward to `instant`; an earlier one leaves it where it is."""
        self.clock.advance(max(instant - self.clock.now(), timedelta()))

    async def tell(self, draft: Draft) -> bool:
        """Append what came from outside; False: it does not fit what has become of the house."""
        try:
            await self.writer.append([draft], tenant=self.scratch)
        except (MoveNotAllowed, Conflict):
            return False
        except LoglineError as refusal:
            if refusal.retryable:
                raise
            return False
        return True

    async def tick(self) -> None:
        """Ask the policies that need time to pass."""
        await self._policies.tick()

    async def settle(self) -> list[Record]:
        """Do all that follows at this instant; return the records that the log got since the last.

        Raises:
            TooMuch: it led to more than an instant may.
        """
        begun, runs = self._place, 0
        size = -1
        await self._scheduler.look()
        while True:
            before, size = size, await self._bounded(begun)
            if size == before:
                break
            await self._ask_policies(begun)
            await self._consequences.follower.catch_up()
            await self._waking.catch_up()
            while await self._hands.do_one():
                runs += 1
                if runs > RUNS_MAX:
                    raise TooMuch
                await self._bounded(begun)
        return await self.read_on()

    async def read_on(self) -> list[Record]:
        """Return what the log got since this was last asked."""
        found: list[Record] = []
        while True:
            batch = await self.log.read(self.scratch, self._place, rows_max=_PAGE)
            found += batch.records
            self._place = batch.end
            if len(batch.records) < _PAGE:
                return found

    async def has_grown(self) -> bool:
        """Tell whether the log has got something since it was last read."""
        return await self.log.size(self.scratch) > self._place

    async def say_too_much(self) -> None:
        """Leave the record that says why the simulation ends here."""
        draft = violation_draft(
            "simulation.loop", who=SIMULATION, said=TOO_MUCH, at=rfc3339(self.clock.now()),
            records_max=RECORDS_MAX, runs_max=RUNS_MAX,
        )  # fmt: skip
        await self.writer.append([draft], tenant=self.scratch)

    async def note(self, did: str, about: dict[str, Any]) -> None:
        """Leave a record about the simulation itself."""
        draft = Draft(
            entity_type="boot_event", who=SIMULATION, did=did, this=self.scratch,
            status="complete", metadata=about,
        )  # fmt: skip
        await self.writer.append([draft], tenant=self.scratch)

    async def put_away(self) -> int:
        """End what still waits, so that nothing of it stays in a queue; count it."""
        async with asking(self._ground.work) as connection:
            cursor = await connection.execute(_SQL["unfinished_jobs"], {"tenant": self.scratch})
            waiting: list[UUID] = [row[0] for row in await cursor.fetchall()]
        for execution in waiting:
            head = await self.writer.latest(self.scratch, execution)
            await cancel(
                self.writer, head, tenant=self.scratch, by=SIMULATION,
                reason="the simulation has ended",
            )  # fmt: skip
        return len(waiting)

    async def _ask_policies(self, begun: int) -> None:
        """Ask the policies until they have seen everything; a runner that is lost is replaced."""
        losses = 0
        while True:
            try:
                has_more = await self._policies.step()
                has_more = await self._policies.step_behind() or has_more
            except RunnerLost:
                losses += 1
                if losses > LOSSES_MAX:
                    raise
                continue
            if not has_more:
                return
            await self._bounded(begun)

    async def _bounded(self, begun: int) -> int:
        size = await self.log.size(self.scratch)
        if size - begun > RECORDS_MAX:
            raise TooMuch
        return size


@asynccontextmanager
async def open_stage(
    ground: Ground, *, tenant: str, since: datetime, law: Law, standing: Sequence[Draft],
    about: dict[str, Any], seed: int,
) -> AsyncIterator[Stage]:  # fmt: skip
    """Found a scratch tenant for a simulation of `tenant`, and set its clock to `since`.

    Raises:
        Misconfigured: the root key, which founds tenants, is sealed or missing.
        TooLarge: this node has as many tenants as it may.
    """
    clock = ManualClock(min([since, *(one.at for one in standing if one.at is not None)]))
    own = ground.writer
    appender = Appender(ground.connect, clock=clock, on_commit=ground.on_commit, gate=ground.gate)
    async with appender:
        writer = Writer(
            appender, pool=own.pool, keyring=own.keyring, clock=clock,
            entropy=SeededEntropy(seed), is_simulated=True,
        )  # fmt: skip
        scratch = await _found(own, writer, tenant, about)
        await _stand(writer, clock, scratch, standing, since=since)
        manifest, *rows = law.rows(own.keyring.public("node"))
        await writer.append([manifest], tenant=scratch, key=own.keyring.key("root"))
        for start in range(0, len(rows), batch_records_max):
            batch = rows[start : start + batch_records_max]
            await writer.append(batch, tenant=scratch, key=own.keyring.key("node"))
        stage = Stage(scratch, tenant=tenant, ground=ground, writer=writer, clock=clock, seed=seed)
        await stage.begin()
        yield stage


async def _found(own: Writer, writer: Writer, tenant: str, about: dict[str, Any]) -> str:
    """Found the next scratch tenant of the day; one that another simulation takes is left to it."""
    today, nonce = own.clock.now().date(), own.entropy.bytes(16).hex()
    number = 0
    while True:
        number += 1
        scratch = scratch_name(tenant, on=today, number=number)
        if await own.log_size(scratch) or not await found_tenant(writer, scratch):
            continue
        begins = Draft(
            id=derived_id(SIMULATION, scratch), seq=0, entity_type="boot_event", who=SIMULATION,
            did="begin_simulation", this=scratch, status="complete",
            metadata={**about, "nonce": nonce},
        )  # fmt: skip
        try:
            await writer.append([begins], tenant=scratch)
        except Conflict:
            continue
        return scratch


async def _stand(
    writer: Writer, clock: ManualClock, scratch: str, standing: Sequence[Draft], *, since: datetime
) -> None:
    """Write how things stood, each hour's at its time; then it is `since`."""

    def hour_of(draft: Draft) -> datetime:
        return min(draft.at or since, since).replace(minute=0, second=0, microsecond=0)

    for _, group in groupby(sorted(standing, key=hour_of), hour_of):
        drafts = list(group)
        latest = max(min(draft.at or since, since) for draft in drafts)
        clock.advance(max(latest - clock.now(), timedelta()))
        await _write_what_fits(writer, scratch, drafts)
    clock.advance(max(since - clock.now(), timedelta()))


async def _write_what_fits(writer: Writer, scratch: str, standing: Sequence[Draft]) -> None:
    try:
        if standing:
            await writer.append(standing, tenant=scratch, is_of_code=True)
    except LoglineError as refusal:
        if refusal.retryable:
            raise
        half = len(standing) // 2
        if half:
            await _write_what_fits(writer, scratch, standing[:half])
            await _write_what_fits(writer, scratch, standing[half:])


TOO_MUCH: Final = Text(
    "um só instante levou a mais do que pode: a simulação acaba aqui",
    "one instant led to more than it may: the simulation ends here",
)
