"""Drives a program in the real engine, without the runner's process: every turn is at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from loglineos.runtime.sandbox import jail
from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.python_engine import PythonEngine, PythonSession
from loglineos.runtime.sandbox.turns import (
    Answer,
    Completed,
    Failed,
    Later,
    Module,
    Program,
    Raised,
    Suspended,
    Turn,
    Value,
    Waiting,
)
from tests.sandbox_programs import PRELUDE, told

CALLS = ("host.ext", "host.aext")
LIMITS = RunLimits(
    turn_s=5.0, feed_s=5.0, memory_bytes=128 * 1024 * 1024, depth_max=200, suspensions_max=1000
)


@contextmanager
def engine(*, jailed: bool, workers_max: int = 1) -> Iterator[PythonEngine]:
    """Open the engine, its workers behind the layers of the operating system or not."""
    binary = jail.monty()
    with tempfile.TemporaryDirectory(prefix="logline-") as folder:
        path = binary.path
        if jailed:
            path = str(jail.write_launcher(Path(folder), binary, jail.worker_plan(path)))
        opened = PythonEngine(path, workers_max=workers_max)
        try:
            yield opened
        finally:
            opened.close()


def program(code: str) -> Program:
    return Program(
        source=told(code),
        entry="",
        prelude=(Module(name="sdk", source=PRELUDE),),
        modules=CALLS,
        seed="exec-0001",
    )


class Entry(msgspec.Struct, frozen=True):
    """One suspension and its answer, as a journal keeps it."""

    asked: tuple[Any, ...]
    answer: Answer


class Driver:
    """Runs one program to its end and keeps its journal."""

    def __init__(self, given: Program, *, journal: list[Entry] | None = None) -> None:
        self.program = given
        self.journal: list[Entry] = []
        self.printed = ""
        self._given = iter(journal) if journal is not None else None
        self._owed: dict[int, Answer] = {}
        self._clock_s = 0

    def run(
        self,
        session: PythonSession,
        move: Callable[[PythonSession, Turn], tuple[PythonSession, Turn]] | None = None,
    ) -> Completed | Failed:
        """Answer every turn; `move` may take the run elsewhere before each answer."""
        turn = session.start(None)
        while not isinstance(turn, (Completed, Failed)):
            self.printed += turn.printed
            if move is not None:
                session, turn = move(session, turn)
            turn = self._answer(session, turn)
        self.printed += turn.printed
        session.close()
        return turn

    def _answer(self, session: PythonSession, turn: Suspended | Waiting) -> Turn:
        if isinstance(turn, Waiting):
            call_id = turn.pending[len(turn.pending) // 2]  # not the first, not the last
            owed = self._owed.pop(call_id)
            self._keep(("settle", call_id), owed)
            assert not isinstance(owed, Later)
            return session.settle(call_id, owed)
        asked = (turn.kind, turn.name, turn.args, turn.kwargs, turn.call_id, turn.awaited)
        answer = self._keep(asked, self._outcome(turn))
        if turn.awaited:
            self._owed[turn.call_id] = answer
            return session.resume(Later())
        return session.resume(answer)

    def _outcome(self, turn: Suspended) -> Answer:
        if turn.kind == "os":
            self._clock_s += 1
            instant = f"2026-03-02T12:00:{self._clock_s % 60:02}.000000Z"
            return Value(None if turn.name.endswith("sleep") else {"$time": instant})
        name, value = turn.args
        if name == "raise":
            return Raised("RuntimeError", "provider said no")
        if name == "inner" and value % 3 == 0:
            return Raised("RuntimeError", f"inner {value}")
        return Value((value * 31 + 7) % 101 if isinstance(value, int) else len(value))

    def _keep(self, asked: tuple[Any, ...], answer: Answer) -> Answer:
        if self._given is not None:
            entry = next(self._given)
            assert entry.asked == asked, "the run parted from its journal"
            answer = entry.answer
        self.journal.append(Entry(asked, answer))
        return answer
