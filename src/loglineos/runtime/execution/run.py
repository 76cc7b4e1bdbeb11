"""One run of an execution in one worker: from where its journal ends to its next rest.

Always holds: whatever happens, the execution's latest event tells where it stands and who may take
it up; a run without effects ends in one record.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Literal

import msgspec
from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.base.errors import (
    LoglineError,
    Misconfigured,
    RunnerLost,
    VerificationFailed,
)
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.conversation import Conversation
from loglineos.runtime.execution.effects.effect import Asker, End, Rest
from loglineos.runtime.execution.journal import Journal
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.execution.questions import (
    ATTEMPTS_MAX,
    OUT_OF_TIME,
    Ending,
    Passing,
    Pending,
    Resting,
    Speaker,
    told_of,
)
from loglineos.runtime.execution.scribe import Scribe
from loglineos.runtime.execution.snapshots import Standing, is_worth_keeping
from loglineos.runtime.execution.tools import Tools
from loglineos.runtime.functions import Function
from loglineos.runtime.sandbox.full_python import FULL, PROOF, engine_name, packages_name
from loglineos.runtime.sandbox.limits import BUDGET, DURABLE, PURE, RunLimits
from loglineos.runtime.sandbox.session import Session
from loglineos.runtime.sandbox.turns import (
    Completed,
    Failed,
    Program,
    ProgramError,
    Suspended,
    Turn,
)
from loglineos.runtime.sandbox.values import canon, digest

TIMEOUT: Final = "timeout"
"""The error's code when workers were at a run for longer than its function allows."""
RETRY_FIRST_S: Final = 1.0
RETRY_LONGEST_S: Final = 3_600.0
_PRINTED_MAX: Final = 4_000


class Run:
    """One run. Made for one use."""

    def __init__(
        self, tools: Tools, execution: Record, *, input: Any, function: Function,  # noqa: A002
        program: Program, journal: Journal, worker: str, attempt: int, is_replay: bool = False,
    ) -> None:  # fmt: skip
        """Prepare to run or resume `execution`, its latest event, with its first input.

        `is_replay`: only the journal answers; a question beyond it parts from it.
        """
        self._tools = tools
        self._function = function
        self._program = program
        self._input = input
        self._attempt = attempt
        self._is_replay = is_replay
        self._scribe = Scribe(
            tools.world.writer, execution, journal, worker=worker, attempt=attempt,
            clock=tools.clock, observer=tools.observer,
        )  # fmt: skip
        asker = Asker(
            id=function.id, seq=function.seq, name=function.name, effects=tuple(function.effects)
        )
        self._talk = Conversation(tools, self._scribe, asker, attempt=attempt, is_replay=is_replay)
        self._cpu_us = journal.cpu_us
        self._printed = ""
        self._printed_bytes = 0
        self._scribe.header = self._scribe.header or self._header()

    @property
    def head(self) -> Record:
        """The execution's latest event."""
        return self._scribe.head

    async def go(self) -> Outcome:
        """Run to the next rest.

        Raises:
            Conflict: another worker was here; read the journal again.
            RunnerLost: the sandbox went away; `try_again`.
        """
        outcome = await self._go()
        if self._tools.snapshots is not None and outcome.kind in ("complete", "error"):
            journal = self._scribe.journal
            if journal.cuts or is_worth_keeping(len(journal.steps), journal.cpu_us):
                await self._tools.snapshots.drop(self.head)
        return outcome

    async def _go(self) -> Outcome:
        try:
            failing = (self.head.metadata or {}).get("failing")
            if isinstance(failing, dict):  # it failed before, and undoes what it did
                return await self._fail(failing)
            if self._function.runtime == "pure":
                return await self._go_pure()
            if self._function.runtime == "full":
                return await self._go_full()
            return await self._go_durable()
        except Resting as resting:
            return await self._rest(resting.pending)
        except Ending as ending:
            return await self._end(ending.end)
        except Passing as passing:
            denied = passing.denied
            return await self.try_again(denied.code, denied.message)
        finally:
            self._talk.stop()

    async def try_again(self, code: str, message: str) -> Outcome:
        """Leave the run for later, with a wait that doubles; out of attempts it has failed."""
        error = {"code": code, "type": "Unavailable", "message": message}
        if self._attempt >= max(self.head.max_attempts or 1, ATTEMPTS_MAX):
            return self._ended("error", error=error, is_final=True)
        world = self._tools.world
        wait_s = min(RETRY_FIRST_S * 2 ** (self._attempt - 1), RETRY_LONGEST_S)
        noise = int.from_bytes(world.entropy.bytes(2), "big") / 65_536
        run_at = world.clock.now() + timedelta(seconds=wait_s * (0.75 + noise / 2))
        draft = self._scribe.next_event(
            "queue", "queued", run_at=run_at, attempt=self._attempt + 1, error=error
        )
        await self._scribe.append([], ends=draft)
        return Outcome(kind="rested", head=self.head)

    async def _go_pure(self) -> Outcome:
        turn = await self._tools.runners.run_pure(
            self._program, self._input, limits=self._limits(PURE)
        )
        self._note(turn)
        if isinstance(turn, Completed):
            return await self._complete(turn.output)
        return await self._fail(self._error_of(turn.error))

    async def _go_durable(self) -> Outcome:
        standing = await self._standing()
        if standing is not None:
            limits = self._limits(DURABLE)
            left = limits.printed_bytes_max - standing.printed_bytes
            limits = msgspec.structs.replace(limits, printed_bytes_max=left)
            async with self._tools.runners.session(limits=limits) as session:
                turn = await self._load(session, standing)
                if turn is not None:
                    self._talk.asked = standing.asked
                    self._talk.compensations = list(standing.compensations)
                    self._printed = standing.printed
                    self._printed_bytes = standing.printed_bytes
                    return await self._converse(session, turn)
        async with self._tools.runners.session(limits=self._limits(DURABLE)) as session:
            return await self._converse(session)

    async def _standing(self) -> Standing | None:
        """Find where a long run stood; None: it is asked again from its start."""
        journal, snapshots = self._scribe.journal, self._tools.snapshots
        if snapshots is None or not is_worth_keeping(len(journal.steps), journal.cpu_us):
            return None
        return await snapshots.find(self.head, header=self._scribe.header, engine=self._engine())

    async def _load(self, session: Session, standing: Standing) -> Turn | None:
        """Take up a run where it stood; None: it cannot be, and is asked again from its start.

        Raises:
            RunnerLost: the sandbox went away; the next attempt does without the snapshot.
        """
        try:
            return await session.load(standing.dump, self._program)
        except VerificationFailed:
            return None
        except RunnerLost:
            assert self._tools.snapshots is not None, "it was found there"
            await self._tools.snapshots.drop(self.head)
            raise

    async def _keep_standing(self, session: Session, pending: list[Pending]) -> None:
        """Keep where a long run stands, if it rests on one question and awaits no other."""
        journal, snapshots = self._scribe.journal, self._tools.snapshots
        if snapshots is None or len(pending) != 1 or self._talk.is_awaiting:
            return
        if self._printed_bytes >= DURABLE.printed_bytes_max:
            return
        if not is_worth_keeping(len(journal.steps), journal.cpu_us):
            return
        try:
            dump = await session.dump()
        except LoglineError:  # too large, or the sandbox is gone: the journal is enough
            return
        standing = Standing(
            asked=self._talk.asked - 1, compensations=self._talk.compensations,
            printed=self._printed, printed_bytes=self._printed_bytes, dump=dump,
        )  # fmt: skip
        await snapshots.keep(self.head, standing, header=self._scribe.header, engine=self._engine())

    async def _go_full(self) -> Outcome:
        if self._tools.full_python is None:
            raise Misconfigured(setting="sandbox.full_python", reason=_NO_FULL_PYTHON)
        packages = self._function.packages
        async with self._tools.full_python().session(
            limits=self._limits(FULL), packages=packages_name(packages) if packages else None
        ) as session:
            return await self._converse(session)

    async def _converse(self, session: Speaker, turn: Turn | None = None) -> Outcome:
        try:
            return await self._talk_on(session, turn)
        except Resting as resting:
            if isinstance(session, Session):  # it stands still, and can be kept
                await self._keep_standing(session, resting.pending)
            raise

    async def _talk_on(self, session: Speaker, turn: Turn | None) -> Outcome:
        if turn is None:
            turn = await session.start(self._program, self._input)
        while True:
            self._note(turn)
            if isinstance(turn, Completed):
                return await self._complete(turn.output)
            if isinstance(turn, Failed):
                return await self._fail(self._error_of(turn.error))
            if self._cpu_us > BUDGET.cpu_s * 1_000_000:
                return await self._fail(OUT_OF_TIME)
            if self._is_over_time:
                return await self._fail(self._timeout())
            if isinstance(turn, Suspended):
                turn = await self._talk.answer(session, turn)
            else:
                assert isinstance(session, Session), "only a session of the runners has coroutines"
                turn = await self._talk.settle(session, turn)

    async def _complete(self, output: Any) -> Outcome:
        plain = canon(output)
        try:
            self._function.check_output(plain)
        except LoglineError as fault:
            message = f"the output is not what the function promises: {fault.describe('en')}"
            return await self._fail({"code": "bad_output", "type": "Output", "message": message})
        if self._function.runtime != "pure":  # what was done by a run that cannot end is undone
            try:
                self._scribe.check(self._scribe.next_event("complete", "complete", output=plain))
            except LoglineError as fault:
                message = f"the output does not fit a record: {fault.code}"
                return await self._fail({"code": fault.code, "type": "Output", "message": message})
        return self._ended("complete", output=plain, output_hash=digest(plain))

    async def _end(self, end: End) -> Outcome:
        if end.error is not None:
            return await self._fail(end.error)
        plain = canon(end.output)
        return self._ended("complete", drafts=end.drafts, output=plain, output_hash=digest(plain))

    async def _fail(self, error: dict[str, Any]) -> Outcome:
        """Undo what was to be undone, the last first, then say that the run failed."""
        undone: list[dict[str, Any]] = []
        about = self.head.metadata or {}
        if "failing" in about:
            self._talk.asked = int(about["asked"])
        asked = self._talk.asked
        for function, value in reversed(self._compensations()):
            try:
                step = await self._talk.ask_next("ctx.run", [function, value, True])
            except Resting as resting:
                return await self._rest(resting.pending, failing=error, asked=asked)
            undone.append({"function": function, "error": step.error})
        told: dict[str, Any] = {"compensated": undone} if undone else {}
        is_final = bool(undone) or self._function.runtime == "pure" or error.get("code") == TIMEOUT
        if not is_final and self._attempt < (self.head.max_attempts or 1):
            told["cuts"] = self._cuts()
        return self._ended(
            "error", error=error, is_final=is_final, metadata=told,
            output_hash=digest(canon({"error": error})),
        )  # fmt: skip

    def _cuts(self) -> list[int]:
        """Say from which step on the next attempt asks anew: from the last that failed."""
        steps = self._scribe.journal.steps
        failed = [n for n, step in steps.items() if step.error is not None]
        return [*((self.head.metadata or {}).get("cuts") or ()), max(failed, default=1)]

    async def _rest(
        self, pending: list[Pending], *, failing: dict[str, Any] | None = None, asked: int = 0
    ) -> Outcome:
        """Let go of the run until what it waits for; look once more before leaving."""
        times = [one.rest.until for one in pending]
        until = min((time for time in times if time is not None), default=None)
        about: dict[str, Any] = {"waiting_for": [one.rest.waiting_for for one in pending]}
        if failing is not None:
            about["failing"], about["asked"] = failing, asked
            about["compensations"] = [list(one) for one in self._compensations()]
        draft = self._scribe.next_event("wait", "waiting", run_at=until, metadata=about)
        await self._scribe.append([], ends=draft)
        world = self._tools.world
        for one in pending:  # what came between the question and the rest woke nobody
            effect, call, _ = one.question
            call = msgspec.structs.replace(
                call, step=self._scribe.journal.steps.get(call.n), now=world.clock.now()
            )
            if not isinstance(await effect.perform(world, call), Rest):
                await self._tools.wake(self.head.tenant_id, [self.head.id])
                break
        return Outcome(kind="rested", head=self.head)

    def _ended(
        self, kind: Literal["complete", "error"], *, drafts: tuple[Draft, ...] = (),
        metadata: dict[str, Any] | None = None, output_hash: str | None = None, **fields: Any,
    ) -> Outcome:  # fmt: skip
        """Tell how the run ended, with what is to be appended together with its end."""
        about = {
            "header": self._scribe.header, "active_ms": self._scribe.active_ms,
            "cpu_us": self._cpu_us, "steps": len(self._scribe.journal.steps), **(metadata or {}),
        }  # fmt: skip
        if self._function.runtime == "full":
            about["proof"] = PROOF
        columns: dict[str, Any] = {"duration_ms": self._scribe.active_ms}
        if self._printed:
            columns["details"] = {"printed": self._printed}
        if kind == "error" and output_hash is not None:
            columns["output_hash"] = output_hash
            output_hash = None
        return Outcome(
            kind=kind, head=self.head, drafts=(*self._scribe.take_held(), *drafts),
            output_hash=output_hash, columns=columns, metadata=about, **fields,
        )  # fmt: skip

    def _compensations(self) -> list[tuple[str, Any]]:
        kept = (self.head.metadata or {}).get("compensations")
        return [(str(one[0]), one[1]) for one in kept] if kept else self._talk.compensations

    def _note(self, turn: Turn) -> None:
        self._cpu_us += turn.cpu_us
        self._talk.note_cpu(turn.cpu_us)
        self._printed_bytes += len(turn.printed.encode())
        self._printed = (self._printed + turn.printed.replace("\0", "\ufffd"))[:_PRINTED_MAX]

    @property
    def _is_over_time(self) -> bool:
        return not self._is_replay and self._scribe.active_ms >= self._function.timeout_ms

    def _timeout(self) -> dict[str, Any]:
        message = f"more than {self._function.timeout_ms} ms of running"
        return {"code": TIMEOUT, "type": "Limit", "message": message}

    def _error_of(self, error: ProgramError) -> dict[str, Any]:
        """Tell how the program failed; time that its function allows it not is no other limit's."""
        if error.limit == "time" and self._is_over_time:
            return self._timeout()
        return told_of(error)

    def _limits(self, base: RunLimits) -> RunLimits:
        """Bound one session: what the journal already has is asked again, and comes on top."""
        journal, most_s = self._scribe.journal, max(base.feed_s, BUDGET.cpu_s)
        timeout_s = most_s if self._is_replay else self._function.timeout_ms / 1000
        feed_s = min(base.feed_s + journal.cpu_us / 1_000_000, most_s, timeout_s)
        return msgspec.structs.replace(
            base, feed_s=feed_s, turn_s=min(base.turn_s, timeout_s),
            suspensions_max=base.suspensions_max + len(journal.steps),
        )  # fmt: skip

    def _engine(self) -> str:
        if self._function.runtime == "full":
            return engine_name()
        return self._tools.runners.engine_of(self._function.language)

    def _header(self) -> dict[str, Any]:
        """Tell what a replay needs: the versions of everything that decided the outcome."""
        function, program = self._function, self._program
        prelude = {
            module.name: blake3(module.source.encode()).hexdigest() for module in program.prelude
        }
        return {
            "function": {"id": str(function.id), "seq": function.seq, "hash": function.code_hash},
            "prelude": prelude,
            "engine": self._engine(),
            "input_hash": digest(self._input),
            "seed": program.seed,
            "frozen_at": program.frozen_at,
            "effects": list(function.effects),
            "started_at": rfc3339(self._tools.world.clock.now()),
        }


_NO_FULL_PYTHON: Final = Text("aqui não há CPython completo", "there is no full CPython here")
