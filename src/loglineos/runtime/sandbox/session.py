"""One conversation with one program, and what is checked on both ends of it.

Always holds: nothing is asked of a runner that it would have to refuse; what a runner says goes
through `canon` once more before anybody sees it.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from typing import Any, Final

from loglineos.base.errors import (
    InvalidInput,
    TooLarge,
    Unexpected,
    UnknownName,
    ValueRefused,
    VerificationFailed,
)
from loglineos.base.language import Text
from loglineos.runtime.sandbox import frames
from loglineos.runtime.sandbox.frames import Dumped, Fault, Reply
from loglineos.runtime.sandbox.limits import SNAPSHOT_BYTES_MAX, SOURCE_BYTES_MAX, RunLimits
from loglineos.runtime.sandbox.runner_process import Lane, lost
from loglineos.runtime.sandbox.turns import (
    SCRIPT,
    Answer,
    Completed,
    Failed,
    Program,
    Settled,
    Suspended,
    Turn,
    Value,
    Waiting,
)
from loglineos.runtime.sandbox.values import canon


class Session:
    """One conversation with one program; not to be shared between tasks."""

    def __init__(
        self,
        lane: Lane,
        limits: RunLimits,
        *,
        silence_s: float,
        note: Callable[[object], None] = lambda _: None,
    ) -> None:
        """Talk through `lane`; `note` is told each turn."""
        self._lane = lane
        self._limits = limits
        self._within_s = limits.feed_s + silence_s
        self._note = note

    async def start(self, program: Program, value: Any = None) -> Turn:
        """Run the program on `value` up to its first turn.

        Raises:
            InvalidInput: the program cannot be started at all: no Python, no such entry, too long.
            ValueRefused: `value` may not cross.
            RunnerLost: the runner is gone; start anew from the journal.
        """
        check_program(program, language="python")
        plain = canon(value, field="input")
        return await self._turn(frames.Start(program=program, value=plain, limits=self._limits))

    async def resume(self, answer: Answer) -> Turn:
        """Answer the `Suspended` turn and run on to the next.

        Raises:
            ValueRefused: the answer's value may not cross; the turn still stands.
            InvalidInput: no call stands.
            RunnerLost: the runner is gone; start anew from the journal.
        """
        return await self._turn(frames.Resume(answer=_plain(answer)))

    async def settle(self, call_id: int, answer: Settled) -> Turn:
        """Settle one pending call of a `Waiting` turn and run on; errors as of `resume`."""
        return await self._turn(frames.Settle(call_id=call_id, answer=_plain(answer)))

    async def dump(self) -> bytes:
        """Return the run as it stands, at a `Suspended` or `Waiting` turn; it stays usable.

        Whoever keeps the bytes must seal them with a MAC and check it before `load`: a changed
        dump may be accepted and give another result.

        Raises:
            TooLarge: more than `SNAPSHOT_BYTES_MAX`; do without, the journal is enough.
        """
        reply = await self._ask(frames.Dump())
        if not isinstance(reply, Dumped):
            raise Unexpected(kind=type(reply).__name__)
        if len(reply.blob) > SNAPSHOT_BYTES_MAX:
            raise TooLarge(
                field="snapshot",
                shape=f"{len(reply.blob)} bytes",
                limit=SNAPSHOT_BYTES_MAX,
                limit_name="SNAPSHOT_BYTES_MAX",
            )
        return reply.blob

    async def load(self, blob: bytes, program: Program) -> Turn:
        """Go on from a dump of this engine: gives the turn that it was taken at once more.

        The clocks and counts of the limits begin anew; the caller adds up `cpu_us`.

        Raises:
            VerificationFailed: no dump that this engine can go on from; replay from the journal.
        """
        check_program(program, language="python")
        return await self._turn(frames.Load(blob=blob, program=program, limits=self._limits))

    async def _turn(self, request: frames.Request) -> Turn:
        turn = checked(await self._ask(request), self._limits)
        self._note(turn)
        return turn

    async def _ask(self, request: frames.Request) -> Reply:
        return unless_fault(await self._lane.ask(request, within_s=self._within_s))


def check_program(program: Program, *, language: str) -> None:
    """Refuse what cannot be started at all, before a runner sees it.

    Raises:
        InvalidInput: no such entry, or not the language of sessions.
        TooLarge: a source over `SOURCE_BYTES_MAX`.
    """
    if program.language != language:
        raise UnknownName(field="language", shape=program.language, known=language)
    if program.entry != SCRIPT and (
        not program.entry.isidentifier() or keyword.iskeyword(program.entry)
    ):
        raise InvalidInput(field="entry", shape=repr(program.entry[:40]), reason=_ENTRY)
    for name, source in (
        ("source", program.source),
        *((m.name, m.source) for m in program.prelude),
    ):
        if len(source) * 4 > SOURCE_BYTES_MAX and len(source.encode()) > SOURCE_BYTES_MAX:
            raise TooLarge(
                field=name,
                shape=f"{len(source)} characters",
                limit=SOURCE_BYTES_MAX,
                limit_name="SOURCE_BYTES_MAX",
            )


def checked(reply: Reply, limits: RunLimits) -> Turn:
    """Take a turn out of a runner's reply, its values through `canon`.

    Raises:
        Unexpected: no turn, or values that no runner of ours sends.
    """
    try:
        if isinstance(reply, Suspended):
            canon(reply.args, limits=limits.value, field="args")
            canon(reply.kwargs, limits=limits.value, field="kwargs")
        elif isinstance(reply, Completed):
            canon(reply.output, limits=limits.value, field="output")
        elif not isinstance(reply, (Waiting, Failed)):
            raise Unexpected(kind=type(reply).__name__)
    except ValueRefused as cause:
        raise Unexpected(kind="value") from cause
    return reply


def unless_fault(reply: Reply) -> Reply:
    """Return the reply, unless the runner says that there is none.

    Raises:
        RunnerLost: the worker is gone.
        VerificationFailed: the dump is none.
        InvalidInput: nothing stands that could be answered.
        Unexpected: a fault of ours in the runner.
    """
    if not isinstance(reply, Fault):
        return reply
    if reply.kind == "lost":
        raise lost()
    if reply.kind == "snapshot":
        raise VerificationFailed(
            what="snapshot", where="session", reason=_SNAPSHOT, remedy=_SNAPSHOT_REMEDY
        )
    if reply.kind == "turn":
        raise InvalidInput(field="answer", shape="answer", reason=_TURN)
    raise Unexpected(kind="runner")


def _plain(answer: Any) -> Any:
    return Value(canon(answer.value, field="answer")) if isinstance(answer, Value) else answer


_ENTRY: Final = Text("não é o nome de uma função", "is not the name of a function")
_TURN: Final = Text("nada espera por esta resposta", "nothing waits for this answer")
_SNAPSHOT: Final = Text(
    "não é uma cópia deste motor em espera", "it is no dump of a waiting run of this engine"
)
_SNAPSHOT_REMEDY: Final = Text(
    "repita a execução desde o início, pelo diário", "replay the execution from its journal"
)
