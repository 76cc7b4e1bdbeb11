"""A simulation: a period told again, instant by instant, and what the house makes of it.

    next instant = the earliest of: a record, a job, a wait, a schedule, an answer, a tick
    → the clock moves there → what came from outside is told → all that follows is done → again

Time that nothing happens in does not pass, so a wait of a day takes no longer than one of a second.
Always holds: the house's own log gets nothing; the same period, law and seed give the same account;
each simulation ends, at the latest where one instant leads to too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.record import Record
from loglineos.ledger.scratch import SIMULATION
from loglineos.runtime.header import Source
from loglineos.runtime.publishing import Check
from loglineos.services.simulation.account import Account, Bookkeeping, Comparison, compare
from loglineos.services.simulation.inputs import (
    Answer,
    Period,
    Subject,
    is_of_machines,
    subject_of,
)
from loglineos.services.simulation.law import Law, with_changes
from loglineos.services.simulation.stage import TOO_MUCH, Ground, Stage, TooMuch, open_stage

AnswerWord = Literal["yes", "no", "none"]
ANSWERS: Final[dict[AnswerWord, str | None]] = {"yes": "confirm", "no": "deny", "none": None}
"""What is answered where nobody did: the gesture; None leaves the question open."""
ANSWER_AFTER: Final = timedelta(minutes=1)
"""How long after its question such an answer comes."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[float], None]
"""Is told how much of the work is done, from 0 to 1."""


class SimulationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a simulation goes.

    `seed` fixes whatever is left to chance. `answer` is given to questions that nobody answered
    then. Policies that need time to pass are asked every `tick_s`. `keeps_waiting` leaves in the
    scratch tenant's queue what still waits at the end.
    """

    seed: int = 0
    answer: AnswerWord = "none"
    tick_s: int = 900
    keeps_waiting: bool = False


class Simulation:
    """Simulates periods of one house. Nothing of it reaches the house, or the world."""

    def __init__(
        self, ground: Ground, law: Law, *, settings: SimulationSettings = SimulationSettings(),  # noqa: B008 - frozen
        check: Check | None = None,
    ) -> None:  # fmt: skip
        """Stand on `ground`, under `law`; `check` refuses changes that could not be published."""
        self._ground = ground
        self._law = law
        self._settings = settings
        self._check = check

    @property
    def law(self) -> Law:
        """The law of the house as it was read."""
        return self._law

    async def run(
        self, period: Period, *, changes: Sequence[Source] = (), on_progress: Progress | None = None
    ) -> Account:
        """Tell a period once, with these changes of the law in force from its beginning.

        Raises:
            ProgramRefused: a change could not be published.
            Refused: the house has no lawful manifest.
            LoglineError: the database refuses; the scratch tenant stays as it came to be.
        """
        for source in changes:
            if self._check is not None:
                await self._check(source)
        law = with_changes(self._law, changes) if changes else self._law
        return await self._play(period, law, changes, on_progress or (lambda _: None))

    async def compare(
        self, period: Period, changes: Sequence[Source], *, on_progress: Progress | None = None
    ) -> Comparison:
        """Tell a period twice, as it is and with changes of the law; say what differs.

        Raises:
            As `run`.
        """
        tell = on_progress or (lambda _: None)
        for source in changes:
            if self._check is not None:
                await self._check(source)
        law = with_changes(self._law, changes)
        as_is = await self._play(period, self._law, (), lambda done: tell(done / 2))
        changed = await self._play(period, law, changes, lambda done: tell(0.5 + done / 2))
        return compare(as_is, changed, changes=[one.name for one in changes])

    async def _play(
        self, period: Period, law: Law, changes: Sequence[Source], on_progress: Progress
    ) -> Account:
        about: dict[str, Any] = {
            "of": period.tenant, "source": period.source, "since": rfc3339(period.since),
            "until": rfc3339(period.until), "settings": msgspec.to_builtins(self._settings),
            "changes": [
                {"kind": one.kind, "name": one.name, "code_hash": one.code_hash} for one in changes
            ],
        }  # fmt: skip
        async with open_stage(
            self._ground, tenant=period.tenant, since=period.since, law=law,
            standing=period.standing, about=about, seed=self._settings.seed,
        ) as stage:  # fmt: skip
            play = _Play(stage, period, self._settings)
            await play.go(on_progress)
            account = play.account()
            if not self._settings.keeps_waiting:
                await stage.put_away()
            ended = {"digest": account.digest, "cut": account.cut, "made": account.made}
            await stage.note("end_simulation", ended)
        return account


class _Play:
    """One telling of a period."""

    def __init__(self, stage: Stage, period: Period, settings: SimulationSettings) -> None:
        self._stage = stage
        self._period = period
        self._settings = settings
        self._books = Bookkeeping(tenant=period.tenant, scratch=stage.scratch)
        self._lives: dict[Subject, list[UUID]] = {}
        self._answers: dict[UUID, list[Answer]] = {}
        for one in period.answers:
            if one.life not in self._answers:
                self._lives.setdefault(one.about, []).append(one.life)
            self._answers.setdefault(one.life, []).append(one)
        self._due: list[tuple[datetime, int, UUID, Answer]] = []
        self._count = self._told = self._refused = self._questions = self._answered = 0
        self._left_out = period.left_out
        self._cut: str | None = None
        self._tick = timedelta(seconds=settings.tick_s)

    async def go(self, on_progress: Progress) -> None:
        """Go through the period, instant by instant."""
        span_s = (self._period.until - self._period.since).total_seconds()
        tick = self._next_tick(self._period.since)
        while (instant := self._next(tick)) < self._period.until:
            self._stage.move_to(instant)
            now = self._stage.clock.now()
            on_progress((now - self._period.since).total_seconds() / span_s)
            is_told = await self._tell(now)
            if now >= tick:
                await self._stage.tick()
                tick = self._next_tick(now)
            due = self._stage.next_due
            if not (is_told or (due is not None and due <= now) or await self._stage.has_grown()):
                continue
            try:
                self._take(await self._stage.settle(), now)
            except TooMuch:
                self._cut = rfc3339(now)
                await self._stage.say_too_much()
                self._take(await self._stage.read_on(), now)
                break
        self._stage.move_to(self._period.until)
        on_progress(1.0)

    def account(self) -> Account:
        """Close the account."""
        unused = sum(len(answers) for answers in self._answers.values())
        return self._books.account(
            since=rfc3339(self._period.since), until=rfc3339(self._period.until),
            told=self._told, refused=self._refused, left_out=self._left_out + unused,
            made=self._books.records - self._told - self._answered, questions=self._questions,
            answered=self._answered, cut=self._cut,
        )  # fmt: skip

    def _next(self, tick: datetime) -> datetime:
        """Return the next instant at which anything happens."""
        now = self._stage.clock.now()
        known = [tick]
        at = self._told + self._refused
        if at < len(self._period.told):
            known.append(self._period.told[at].instant)
        if self._due:
            known.append(self._due[0][0])
        if (due := self._stage.next_due) is not None:
            known.append(due)
        return max(now, min(known))

    def _next_tick(self, after: datetime) -> datetime:
        return _EPOCH + ((after - _EPOCH) // self._tick + 1) * self._tick

    async def _tell(self, now: datetime) -> bool:
        """Tell what is due from outside; tell whether there was anything."""
        is_told = False
        while (at := self._told + self._refused) < len(self._period.told):
            told = self._period.told[at]
            if told.instant > now:
                break
            if await self._stage.tell(told.draft):
                self._told += 1
            else:
                self._refused += 1
            is_told = True
        while self._due and self._due[0][0] <= now:
            _, _, entity, answer = heappop(self._due)
            await self._answer(entity, answer)
            is_told = True
        return is_told

    async def _answer(self, entity: UUID, answer: Answer) -> None:
        try:
            await make_gesture(
                self._stage.writer, answer.gesture, entity, tenant=self._stage.scratch,
                by=answer.by, note=answer.note,
            )  # fmt: skip
        except LoglineError as refusal:
            if refusal.retryable:
                raise
            self._left_out += 1
            return
        self._answered += 1

    def _take(self, records: Sequence[Record], now: datetime) -> None:
        """Enter records into the account; see to answers for what the house began by itself."""
        for record in records:
            self._books.take(record)
            if record.seq or not is_of_machines(record.who):
                continue
            about = subject_of(record)
            is_question = record.entity_type == "question" and record.status == "pending"
            self._questions += is_question
            lives = self._lives.get(about)
            if lives:
                for answer in self._answers.pop(lives.pop(0)):
                    self._expect(max(answer.instant, now), record.id, answer)
                continue
            gesture = ANSWERS[self._settings.answer]
            if is_question and gesture is not None:
                answer = Answer(
                    about=about, life=record.id, instant=now + ANSWER_AFTER, gesture=gesture,
                    by=_whom(record),
                )  # fmt: skip
                self._expect(answer.instant, record.id, answer)

    def _expect(self, instant: datetime, entity: UUID, answer: Answer) -> None:
        self._count += 1
        heappush(self._due, (instant, self._count, entity, answer))


def _whom(question: Record) -> str:
    """Return in whose name an answer is given: whoever is asked, else the simulation's own."""
    asked = question.confirmed_by
    return SIMULATION if asked is None or asked.startswith("role:") else asked


__all__ = ["TOO_MUCH", "Simulation", "SimulationSettings"]
