"""The conversation with a running program: it asks, the journal or the world answers.

Always holds: questions are numbered in the order in which the program asks them; a refusal is an
answer like any other; an answer that came late is settled in the order that the journal says, so
that a replay sees the same.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from loglineos.base.errors import Conflict, Diverged, InvalidInput, LoglineError, NotGranted
from loglineos.ledger.record import Draft
from loglineos.runtime.execution.effects.acts import failed
from loglineos.runtime.execution.effects.catalog import EFFECTS, OF_THE_SYSTEM
from loglineos.runtime.execution.effects.effect import (
    Asker,
    Call,
    Denied,
    Done,
    End,
    Performed,
    Rest,
)
from loglineos.runtime.execution.effects.waits import until_text
from loglineos.runtime.execution.grants import check_granted
from loglineos.runtime.execution.journal import Step, StepKey, carried, draft_step, key_of
from loglineos.runtime.execution.questions import (
    ATTEMPTS_MAX,
    Ending,
    Passing,
    Pending,
    Question,
    Resting,
    Speaker,
    answer_of,
    error_of,
    limit_end,
    told,
    told_by_name,
    turn_of,
)
from loglineos.runtime.execution.scribe import Scribe
from loglineos.runtime.execution.tools import Tools
from loglineos.runtime.sandbox.limits import BUDGET
from loglineos.runtime.sandbox.runners import Session
from loglineos.runtime.sandbox.turns import (
    Later,
    Suspended,
    Turn,
    Waiting,
)


class Conversation:
    """What one program asks in one run."""

    def __init__(
        self,
        tools: Tools,
        scribe: Scribe,
        asker: Asker,
        *,
        attempt: int,
        is_replay: bool = False,
    ) -> None:
        """Answer for `asker`; `is_replay`: from the journal alone."""
        self._tools = tools
        self._scribe = scribe
        self._journal = scribe.journal
        self._asker = asker
        self._attempt = attempt
        self._is_replay = is_replay
        self.asked = 0
        self._cpu_us = 0
        self._numbers: dict[int, int] = {}
        self._under_way: dict[int, tuple[Question, asyncio.Task[Performed]]] = {}
        self._pending: dict[int, Pending] = {}
        self.compensations: list[tuple[str, Any]] = []

    @property
    def is_awaiting(self) -> bool:
        """Tell whether the program has asked what it will be answered later."""
        return bool(self._numbers)

    def note_cpu(self, cpu_us: int) -> None:
        """Take note of the time that the program ran before its next question."""
        self._cpu_us += cpu_us

    def stop(self) -> None:
        """Leave what is under way; whoever resumes asks it again under the same key."""
        for _, task in self._under_way.values():
            task.cancel()

    async def answer(self, session: Speaker, turn: Suspended) -> Turn:
        """Answer one question of the program and let it go on.

        Raises:
            Resting, Ending, Passing: the run stops here.
            Diverged: the program asks something else than its journal says.
        """
        self.asked += 1
        n, key = self.asked, key_of(turn.kind, turn.name, turn.args, turn.kwargs)
        step = self._journal.expect(n, key)
        is_known = step is not None and step.state == "done"
        if turn.awaited:
            self._numbers[turn.call_id] = n
            if not is_known:
                await self._begin(n, key, turn)
            return await session.resume(Later())
        if step is None or not is_known:
            step = await self.ask(n, key, turn.name, turn.args, turn.kwargs)
        elif step.error is None and turn.name in EFFECTS and EFFECTS[turn.name].mode == "end":
            await self._end_again(n, turn)
        self._note_compensation(turn, step)
        return await session.resume(answer_of(step))

    async def ask(
        self, n: int, key: StepKey, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Step:
        """Ask the world one question, and keep its answer."""
        prepared = await self._prepare(n, key, name, args, kwargs)
        if isinstance(prepared, Step):
            return prepared
        performed = await _perform(prepared, self._tools)
        if not isinstance(performed, Rest):
            return await self._keep(prepared, performed)
        written = await self._write_rest(prepared, performed)
        if isinstance(written, Pending):
            raise Resting([written])
        return written

    async def ask_next(self, name: str, args: list[Any]) -> Step:
        """Ask a question of the house's own after the program's: an undoing."""
        self.asked += 1
        key = key_of("saga", name, args, {})
        step = self._journal.expect(self.asked, key)
        if step is not None and step.state == "done":
            return step
        return await self.ask(self.asked, key, name, args, {})

    async def settle(self, session: Session, turn: Waiting) -> Turn:
        """Give the program the next of its late answers, in the journal's order or their own."""
        call_ids = {self._numbers[call_id]: call_id for call_id in turn.pending}
        while True:
            ready = [
                step
                for n in call_ids
                if (step := self._journal.steps.get(n)) is not None and step.state == "done"
            ]
            if ready:
                step = min(ready, key=turn_of)
                del self._numbers[call_ids[step.n]]
                return await session.settle(call_ids[step.n], answer_of(step))
            await self._hear(sorted(call_ids))

    async def _begin(self, n: int, key: StepKey, turn: Suspended) -> None:
        """Begin what the program will await; several may be under way at once."""
        prepared = await self._prepare(
            n, key, turn.name, turn.args, turn.kwargs, settled=self._journal.next_settling
        )
        if isinstance(prepared, Question):
            performing = _perform(prepared, self._tools)
            self._under_way[n] = (prepared, asyncio.create_task(performing, name=f"step {n}"))

    async def _hear(self, numbers: list[int]) -> None:
        """Wait until a question under way is answered; rest when all that is left waits."""
        tasks = {n: self._under_way[n] for n in numbers if n in self._under_way}
        if not tasks:
            raise Resting([self._pending[n] for n in numbers])
        await asyncio.wait(
            [task for _, task in tasks.values()], return_when=asyncio.FIRST_COMPLETED
        )
        n = min(n for n, (_, task) in tasks.items() if task.done())
        question, task = self._under_way.pop(n)
        performed = task.result()
        if isinstance(performed, Rest):
            turn = self._journal.next_settling
            written = await self._write_rest(question, performed, settled=turn)
            if isinstance(written, Pending):
                self._pending[n] = written
        else:
            await self._keep(question, performed, settled=self._journal.next_settling)

    async def _prepare(
        self, n: int, key: StepKey, name: str, args: list[Any], kwargs: dict[str, Any], *,
        settled: int | None = None,
    ) -> Question | Step:  # fmt: skip
        """Name the arguments, authorise, write the intent; a refusal is an answer already.

        `settled` is the turn of a refusal among the answers that the program awaits.
        """
        if self._is_replay:
            raise Diverged(
                execution=str(self._scribe.head.id), step=n, expected="nothing", found=str(key),
                what="execution", where=f"step {n}", reason=str(key),
            )  # fmt: skip
        if n > BUDGET.calls_max and key.kind != "saga":  # what was done may always be undone
            raise Ending(limit_end("calls", f"more than {BUDGET.calls_max} steps"))
        effect = EFFECTS.get(name) or OF_THE_SYSTEM.get(name)
        asked = told(args, kwargs)
        if effect is None:
            denied = Denied(
                type="PermissionError", message=f"there is no {name[:60]}", code="not_granted"
            )
            return self._refuse(n, key, asked, denied, settled=settled)
        try:
            arguments = effect.bind(args, kwargs)
            private_hosts = await self._authorise(effect.needs(arguments))
        except InvalidInput as fault:
            denied = Denied(type="ValueError", message=fault.describe("en"), code=fault.code)
            return self._refuse(n, key, asked, denied, settled=settled)
        except NotGranted as fault:
            denied = Denied(type="PermissionError", message=fault.describe("en"), code=fault.code)
            return self._refuse(n, key, asked, denied, settled=settled)
        if effect.mode == "external" and n not in self._journal.steps:
            try:
                await self._scribe.append([self._step(n, key, "running", asked=asked)])
            except LoglineError as refusal:
                return self._unwritten(n, key, name, refusal, settled=settled)
        call = Call(
            n=n, name=name, arguments=arguments, execution=self._scribe.head, asker=self._asker,
            now=self._tools.world.clock.now(), step=self._journal.steps.get(n),
            epoch=self._journal.epoch, private_hosts=private_hosts,
        )  # fmt: skip
        return Question(effect, call, key)

    async def _end_again(self, n: int, turn: Suspended) -> None:
        """End where the journal says that the run ended by its own word."""
        effect = EFFECTS[turn.name]
        call = Call(
            n=n, name=turn.name, arguments=effect.bind(turn.args, turn.kwargs),
            execution=self._scribe.head, asker=self._asker, now=self._scribe.head.at,
            epoch=self._journal.epoch,
        )  # fmt: skip
        ended = await effect.perform(self._tools.world, call)
        if isinstance(ended, End):
            raise Ending(msgspec.structs.replace(ended, drafts=()))

    async def _authorise(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        if not needs:
            return ()
        manifest = await self._tools.laws.manifest(self._scribe.head.tenant_id)
        for need in needs:
            check_granted(
                need, function=self._asker.name, declared=self._asker.effects,
                granted=manifest.effects_granted,
            )  # fmt: skip
        return tuple(manifest.limits.http_private_allowed)

    def _refuse(
        self, n: int, key: StepKey, asked: Any, denied: Denied, *, settled: int | None = None
    ) -> Step:
        late: dict[str, Any] = {} if settled is None else {"settled": settled}
        draft = self._step(n, key, "error", asked=asked, error=error_of(denied), **late)
        try:
            self._scribe.hold(draft)
        except LoglineError as refusal:
            return self._unwritten(n, key, key.name, refusal, settled=settled)
        return self._journal.steps[n]

    def _unwritten(
        self, n: int, key: StepKey, name: str, refusal: LoglineError, *, settled: int | None = None
    ) -> Step:
        """Answer with the ledger's refusal of what a step says or does: too large, no such move...

        Raises:
            LoglineError: the refusal itself, where it is none of the program's doing.
        """
        if refusal.retryable or isinstance(refusal, Conflict | Diverged):
            raise refusal
        return self._refuse(n, key, None, failed(name, refusal), settled=settled)

    async def _keep(
        self, question: Question, performed: Performed, *, settled: int | None = None
    ) -> Step:
        """Journal what the world gave, with what it appends.

        Raises:
            Ending, Passing: the run stops here.
        """
        try:
            return await self._written(question, performed, settled=settled)
        except LoglineError as refusal:
            call = question.call
            return self._unwritten(call.n, question.key, call.name, refusal, settled=settled)

    async def _written(
        self, question: Question, performed: Performed, *, settled: int | None
    ) -> Step:
        effect, call, key = question
        asked = told_by_name(call.arguments) if call.step is None else None
        late: dict[str, Any] = {} if settled is None else {"settled": settled}
        if isinstance(performed, Denied):
            if performed.is_passing and self._attempt < ATTEMPTS_MAX:
                raise Passing(performed)
            draft = self._step(call.n, key, "error", asked=asked, error=error_of(performed), **late)
        else:
            value = performed.value if isinstance(performed, Done) else None
            if isinstance(performed, Done) and performed.is_carried:
                await self._keep_carried(question, performed, late)
                return self._journal.steps[call.n]
            draft = self._step(call.n, key, "complete", asked=asked, value=value, **late)
        if effect.mode in ("pure", "end"):
            if isinstance(performed, End):
                self._scribe.check(*performed.drafts)  # they are appended with the run's end
            self._scribe.hold(draft)
        else:
            drafts = performed.drafts if isinstance(performed, Done) else ()
            await self._scribe.append([*drafts, draft])
        if isinstance(performed, End):
            raise Ending(performed)
        return self._journal.steps[call.n]

    async def _keep_carried(
        self, question: Question, performed: Done, late: dict[str, Any]
    ) -> None:
        """Append what was emitted as its own step."""
        *before, emitted = performed.drafts
        about = dict(late)
        if self._journal.epoch:
            about["epoch"] = self._journal.epoch
        if self._cpu_us:
            about["cpu_us"], self._cpu_us = self._cpu_us, 0
        if not self._scribe.is_told:
            about["header"] = self._scribe.header
        step = carried(self._scribe.head, question.call.n, question.key, emitted, **about)
        await self._scribe.append([*before, step], begins=False)

    async def _write_rest(
        self, question: Question, rest: Rest, *, settled: int | None = None
    ) -> Pending | Step:
        """Write that a step waits, once, and again when it waits for something else."""
        call = question.call
        if call.step is None or call.step.state == "intent" or rest.drafts:
            asked = told_by_name(call.arguments) if call.step is None else None
            about = {"until": until_text(rest.until), "again": rest.waiting_for.get("again")}
            told: dict[str, Any] = {k: value for k, value in about.items() if value is not None}
            draft = self._step(call.n, question.key, "waiting", asked=asked, **told)
            try:
                await self._scribe.append([*rest.drafts, draft])
            except LoglineError as refusal:
                return self._unwritten(call.n, question.key, call.name, refusal, settled=settled)
        return Pending(question, rest)

    def _step(
        self, n: int, key: StepKey, status: Any, *, asked: Any = None, value: Any = None,
        error: dict[str, Any] | None = None, **about: Any,
    ) -> Draft:  # fmt: skip
        known = self._journal.steps.get(n)
        metadata = {**(known.metadata if known else {}), **about}
        if self._cpu_us:
            metadata["cpu_us"] = metadata.get("cpu_us", 0) + self._cpu_us
            self._cpu_us = 0
        return draft_step(
            self._scribe.head, n, key, seq=0 if known is None else known.seq + 1, status=status,
            epoch=self._journal.epoch, asked=asked, value=value, error=error, metadata=metadata,
        )  # fmt: skip

    def _note_compensation(self, turn: Suspended, step: Step) -> None:
        if turn.name == "ctx.compensate" and step.error is None:
            bound = EFFECTS[turn.name].bind(turn.args, turn.kwargs)
            self.compensations.append((str(bound["function"]), bound["input"]))


async def _perform(question: Question, tools: Tools) -> Performed:
    try:
        return await question.effect.perform(tools.world, question.call)
    except LoglineError as failure:
        if failure.retryable:
            raise
        return failed(question.call.name, failure)
