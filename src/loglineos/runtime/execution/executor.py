"""The executor: runs one execution to its next rest, and can do so again from any of its steps.

    journal → program asks → known? answer from the journal
                           → new?   authorise, intent, perform, answer, journal → program goes on
                           → waits? the run rests: `waiting`, nothing is held

Always holds: an answer is journaled before anything that follows from it can be seen outside of the
sandbox; each question is authorised when it is asked; who lost the run to another worker finds its
step taken, drops what it did, and reads the journal again.
Source: docs/explanation/executions.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.base.errors import Conflict, Diverged, LoglineError, RunnerLost
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.reserved import CODE
from loglineos.ledger.rows import record_of
from loglineos.runtime.execution.admission import Admission
from loglineos.runtime.execution.effects.catalog import NAMES
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.entry import Entry, refused
from loglineos.runtime.execution.journal import Journal
from loglineos.runtime.execution.observer import SILENT, Observer
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.execution.requests import follow_up, is_unfinished
from loglineos.runtime.execution.run import Run
from loglineos.runtime.execution.snapshots import Snapshots
from loglineos.runtime.execution.tools import Tools
from loglineos.runtime.functions import Function
from loglineos.runtime.laws import Laws
from loglineos.runtime.sandbox.full_python import FullPython
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Program
from loglineos.runtime.sandbox.values import canon
from loglineos.runtime.violations import violation_draft

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
_KERNEL: Final = "run_code"
_TAKEN_ANEW_MAX: Final = 5
"""How often a run whose step was taken by another reads its journal again before it gives up."""


class Executor:
    """Runs executions of any tenant. One per worker process; many runs at once."""

    def __init__(
        self, *, world: World, laws: Laws, runners: Runners, reading: Pool, work: Pool,
        observer: Observer = SILENT, full_python: Callable[[], FullPython] | None = None,
        secret: bytes | None = None,
    ) -> None:  # fmt: skip
        """Read journals through `reading`, wake runs through `work` (role logline_appender).

        `observer` is told of each step. `full_python` opens full CPython when a run needs it.
        `secret` seals snapshots of long runs; without it none are kept.
        """
        self.world = world
        self._laws = laws
        self._admission = Admission(laws)
        self._entry = Entry(laws, world.writer, wake=self.wake)
        self._reading = reading
        self._work = work
        self._tools = Tools(
            world=world, laws=laws, runners=runners, wake=self.wake, observer=observer,
            clock=world.clock, full_python=full_python,
            snapshots=Snapshots(work, secret=secret, clock=world.clock) if secret else None,
        )  # fmt: skip

    async def run(
        self, tenant: str, execution: Record, *, worker: str, attempt: int = 1
    ) -> Outcome:
        """Run or resume an execution whose latest event is `execution`, to its next rest.

        What must be durable on the way is appended here; its end is left to `worker`, who appends
        the ends of many together. Cancel it when the lease is lost: the journal has what was done.

        Raises:
            DatabaseUnavailable, ReadOnly, Pushback: not now; the journal has what was done.
        """
        for number in range(_TAKEN_ANEW_MAX):
            if not is_unfinished(execution):
                break
            try:
                is_new = execution.seq == 0 and number == 0
                return await self._run(execution, worker=worker, attempt=attempt, is_new=is_new)
            except Conflict:
                execution = await self.world.writer.latest(tenant, execution.id)
        return Outcome(kind="lost", head=execution)

    async def _run(self, execution: Record, *, worker: str, attempt: int, is_new: bool) -> Outcome:
        journal, first = Journal(execution.id), execution.input
        if not is_new:
            journal, first = await self.journal_of(execution)
        header = journal.header_after(execution.metadata or {})
        pinned = header.get("function") or {}
        try:
            function = await self._entry.function(execution, pinned.get("seq"))
            if function is None:
                return await self._entry.hold(
                    execution, pinned["id"], worker=worker, attempt=attempt
                )
            value = canon(first)
            function.check_input(value)
            if not pinned and (stopped := await self._admit(execution, function, attempt)):
                return stopped
        except LoglineError as failure:
            if failure.retryable:
                raise
            return await self._entry.refuse(execution, failure, attempt=attempt)
        program = await self._program(execution, function, header)
        run = Run(
            self._tools, execution, input=value, function=function, program=program,
            journal=journal, worker=worker, attempt=attempt,
        )  # fmt: skip
        try:
            return await run.go()
        except RunnerLost as lost:
            return await run.try_again(lost.code, lost.describe("en"))
        except Diverged as parted:
            return refused(run.head, parted)

    async def _program(
        self, execution: Record, function: Function, header: dict[str, Any]
    ) -> Program:
        """Return what the sandbox is given: a pure function sees the clock stand still."""
        is_pure = function.runtime == "pure"
        return await self._laws.program(
            execution.tenant_id, function,
            frozen_at=header.get("frozen_at") or rfc3339(execution.at) if is_pure else None,
            seed=seed_of(execution.id), modules=() if is_pure else NAMES,
        )  # fmt: skip

    async def _admit(self, execution: Record, function: Function, attempt: int) -> Outcome | None:
        """Ask whether a run may start; None: it may. Otherwise its life says why not."""
        decided = await self._admission.decide(execution, function, attempt=attempt)
        if decided["do"] == "run":
            return None
        error = {
            "code": decided["reason"], "type": "Refused", "message": decided["said"]["en"],
        }  # fmt: skip
        about = {"said": decided["said"]}
        if decided["do"] == "defer":
            until = datetime.fromisoformat(decided["until"])
            later = follow_up(
                execution, who=_KERNEL, did="defer", status="queued", run_at=until, error=error,
                attempt=attempt, metadata=about,
            )  # fmt: skip
            (head,) = await self.world.writer.append([later], tenant=execution.tenant_id)
            return Outcome(kind="rested", head=head)
        figures = {name: decided.get(name) for name in ("limit", "used")}
        violation = violation_draft(
            decided["reason"], who=_KERNEL, said=decided["said"], which=function.id, **figures
        )
        denied = follow_up(
            execution, who=_KERNEL, did="block", status="denied", error=error, attempt=attempt,
            metadata=about,
        )  # fmt: skip
        written = await self.world.writer.append([violation, denied], tenant=execution.tenant_id)
        return Outcome(kind="rested", head=written[-1])

    async def journal_of(self, execution: Record) -> tuple[Journal, Any]:
        """Read what a run was answered so far, and its input."""
        asked = {
            "tenant": execution.tenant_id, "execution": execution.id,
            "who": f"{CODE}{execution.name}",
        }  # fmt: skip
        async with self._reading.connection() as connection:
            cursor = await connection.execute(_SQL["steps_of"], asked)
            records = [record_of(row) for row in await cursor.fetchall()]
            row = await (await connection.execute(_SQL["first_event"], asked)).fetchone()
        cuts = (execution.metadata or {}).get("cuts") or ()
        first = record_of(row).input if row is not None else None
        return Journal.of_records(execution.id, records, cuts=cuts), first

    async def wake(self, tenant: str, executions: list[UUID]) -> int:
        """Make waiting executions due now; return how many were waiting."""
        asked = {"tenant": tenant, "ids": executions, "now": self.world.clock.now()}
        async with self._work.connection() as connection:
            return (await connection.execute(_SQL["wake_jobs"], asked)).rowcount


def seed_of(execution: UUID) -> str:
    """Return the seed of an execution's randomness, which follows from its id."""
    return blake3(b"seed\n" + execution.bytes).hexdigest()
