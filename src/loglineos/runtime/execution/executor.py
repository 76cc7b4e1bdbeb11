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
from typing import Any, Final
from uuid import UUID

from loglineos.base.errors import Conflict, Diverged, LoglineError, RunnerLost
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.journal import Journal
from loglineos.runtime.execution.requests import follow_up, is_unfinished
from loglineos.runtime.execution.run import Run
from loglineos.runtime.execution.tools import Law, Outcome, Tools
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.values import canon

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
_TAKEN_ANEW_MAX: Final = 5
"""How often a run whose step was taken by another reads its journal again before it gives up."""


class Executor:
    """Runs executions of any tenant. One per worker process; many runs at once."""

    def __init__(
        self, *, world: World, law: Law, runners: Runners, reading: Pool, work: Pool, name: str
    ) -> None:
        """Read journals through `reading`, wake runs through `work` (role logline_appender).

        `name` is the worker's, in the records of what it ran.
        """
        self.world = world
        self._law = law
        self._reading = reading
        self._work = work
        self._tools = Tools(world=world, law=law, runners=runners, name=name, wake=self.wake)

    async def run(
        self,
        tenant: str,
        execution: Record,
        *,
        attempt: int = 1,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Run or resume an execution whose latest event is `execution`, to its next rest.

        Everything that it leads to is appended here; an outcome tells what was. `is_lost` tells
        whether the lease has gone to another: then nothing more is begun.

        Raises:
            DatabaseUnavailable, ReadOnly, Pushback: not now; the journal has what was done.
        """
        for _ in range(_TAKEN_ANEW_MAX):
            if not is_unfinished(execution):
                break
            try:
                return await self._run(execution, attempt=attempt, is_lost=is_lost)
            except Conflict:
                execution = await self.world.writer.latest(tenant, execution.id)
        return Outcome(kind="lost", record=execution)

    async def _run(
        self, execution: Record, *, attempt: int, is_lost: Callable[[], bool]
    ) -> Outcome:
        pinned = ((execution.metadata or {}).get("header") or {}).get("function") or {}
        which = execution.parent_id or execution.name or ""
        try:
            function = await self._law.function(execution.tenant_id, which, pinned.get("seq"))
            journal, first = await self.journal_of(execution)
            value = canon(first)
            function.check_input(value)
        except LoglineError as failure:
            if failure.retryable:
                raise
            return await self._refuse(execution, failure, attempt)
        run = Run(
            self._tools, execution, input=value, function=function, journal=journal,
            attempt=attempt, is_lost=is_lost,
        )  # fmt: skip
        try:
            return await run.go()
        except RunnerLost as lost:
            return await run.try_again(lost.code, lost.describe("en"))
        except Diverged as parted:
            return await self._refuse(run.head, parted, attempt)

    async def journal_of(self, execution: Record) -> tuple[Journal, Any]:
        """Read what a run was answered so far, and its input."""
        if execution.seq == 0:
            return Journal(execution.id), execution.input
        asked = {"tenant": execution.tenant_id, "execution": execution.id}
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

    async def _refuse(self, execution: Record, failure: LoglineError, attempt: int) -> Outcome:
        """Say in the execution's life why it was not run, or not run on."""
        error = {
            "code": failure.code,
            "type": type(failure).__name__,
            "message": failure.describe("en"),
        }
        draft = follow_up(
            execution, who=f"function:{execution.name}", did="refuse", status="error", error=error,
            attempt=attempt, worker=self._tools.name,
        )  # fmt: skip
        (record,) = await self.world.writer.append([draft], tenant=execution.tenant_id)
        return Outcome(kind="error", record=record)
