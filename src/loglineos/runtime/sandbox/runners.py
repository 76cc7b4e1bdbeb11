"""The host's side of the sandbox: keeps runner processes, talks with the sessions in them.

async with Runners(RunnerSettings()) as runners:
    async with runners.session(limits=DURABLE) as session:
        turn = await session.start(program, input)
        while isinstance(turn, Suspended): turn = await session.resume(answer)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import msgspec

from loglineos.runtime.sandbox.limits import DURABLE, PURE, RunLimits
from loglineos.runtime.sandbox.turns import Answer, Outcome, Program, Settled, Turn


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many runner processes there are, and which layers of the jail may be missing."""

    processes: int = 2
    sessions_max: int = 32
    """Most sessions at once in each process; more wait for `wait_s`, then `Pushback`."""
    wait_s: float = 30.0
    layers_missing_allowed: frozenset[str] = frozenset()
    """Names of layers (`jail.LAYERS`) that this machine may lack; record it where it is set."""


class Session:
    """One conversation with one program; not to be shared between tasks."""

    async def start(self, program: Program, value: Any = None) -> Turn:
        """Run the program on `value` up to its first turn."""
        raise NotImplementedError

    async def resume(self, answer: Answer) -> Turn:
        """Answer the `Suspended` turn and run on to the next."""
        raise NotImplementedError

    async def settle(self, call_id: int, answer: Settled) -> Turn:
        """Settle one pending call of a `Waiting` turn and run on to the next."""
        raise NotImplementedError

    async def dump(self) -> bytes:
        """Return the run as it stands, at a `Suspended` or `Waiting` turn; it stays usable."""
        raise NotImplementedError

    async def load(self, blob: bytes, program: Program) -> Turn:
        """Go on from a dump of this engine: gives the turn that it was taken at once more."""
        raise NotImplementedError


class Runners:
    """The pool of runner processes."""

    def __init__(self, settings: RunnerSettings) -> None:
        """Keep the settings; `async with` starts the processes."""
        self._settings = settings

    async def __aenter__(self) -> Self:
        """Check the jail and start the runners."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""

    @property
    def engine(self) -> str:
        """Name the Python engine: `monty/<version>+<first 12 of the sha256 of its binary>`."""
        raise NotImplementedError

    def session(self, *, limits: RunLimits = DURABLE) -> AbstractAsyncContextManager[Session]:
        """Take a place in a runner for one conversation."""
        raise NotImplementedError

    async def run_pure(
        self, program: Program, value: Any = None, *, limits: RunLimits = PURE
    ) -> Turn:
        """Run a program without effects to its end: `Completed` or `Failed`."""
        raise NotImplementedError

    async def evaluate(
        self, program: Program, spans: Sequence[Any], *, limits: RunLimits = PURE
    ) -> Outcome:
        """Call `on(span)` for each span, all in one fresh machine."""
        raise NotImplementedError
