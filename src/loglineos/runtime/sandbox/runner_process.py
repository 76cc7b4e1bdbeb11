"""The host's end of one runner: its process, and one lane for each session that it can hold."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from loglineos.base.errors import Misconfigured, RunnerLost
from loglineos.base.language import Text
from loglineos.runtime.sandbox import frames, jail
from loglineos.runtime.sandbox.frames import FrameBroken, Ready, Reply, Request
from loglineos.runtime.sandbox.runner import RunnerPlan

_START_S_MAX: Final = 30.0
_END_S_MAX: Final = 5.0


class Lane(asyncio.Protocol):
    """One socket to one thread of the runner: a question, then its answer."""

    def __init__(self, runner: RunnerProcess) -> None:
        self.runner = runner
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._stale = 0  # answers to questions whose asker has gone

    @property
    def is_open(self) -> bool:
        """Tell whether the runner is still there."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Give each whole message to whom it was asked by."""
        self._buffer += data
        try:
            while (message := frames.split(self._buffer)) is not None:
                self._hand_over(message)
        except FrameBroken:
            self.runner.abandon()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        """Tell the asker, if there is one, that no answer will come."""
        self._transport = None
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(lost())
        self.runner.abandon()

    def expect(self) -> asyncio.Future[Reply]:
        """Return what the next message will be put into."""
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def tell(self, request: Request) -> None:
        """Send a message that has no answer; to a runner that is gone, nothing."""
        if self._transport is not None:
            self._transport.write(frames.encode(request))

    async def ask(self, request: Request, *, within_s: float) -> Reply:
        """Send a question and wait for its answer.

        Raises:
            RunnerLost: the runner is gone, or did not answer in time and was ended.
        """
        if self._transport is None or self._answer is not None:
            raise lost()
        transport, answer = self._transport, self.expect()
        transport.write(frames.encode(request))
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            self.runner.abandon()
            raise lost() from None
        except asyncio.CancelledError:
            self._forget(answer)
            raise

    def _forget(self, answer: asyncio.Future[Reply]) -> None:
        """Let the answer to a question whose asker is gone fall on the floor when it comes."""
        if self._answer is answer:
            self._answer = None
            self._stale += 1

    def _hand_over(self, message: bytes) -> None:
        if self._stale:
            self._stale -= 1
            return
        answer, self._answer = self._answer, None
        if answer is None:
            raise FrameBroken
        if not answer.done():
            answer.set_result(frames.decode_reply(message))

    def close(self) -> None:
        """Close the socket: the thread at its other end ends."""
        if self._transport is not None:
            self._transport.close()


class RunnerProcess:
    """One runner: started by `start`, ended by `end`; `lost` is called once when it is gone."""

    def __init__(self, *, lost: Callable[[RunnerProcess], None]) -> None:
        self.free: list[Lane] = []
        self.missing: frozenset[str] = frozenset()
        self._lanes: list[Lane] = []
        self._lost: Callable[[RunnerProcess], None] | None = lost
        self._process: asyncio.subprocess.Process | None = None
        self._control: Lane | None = None

    @property
    def process_id(self) -> int | None:
        """The id of its process, for those who watch over it."""
        return self._process.pid if self._process is not None else None

    async def start(
        self,
        binary: jail.Binary,
        launcher: str | None,
        plan: dict[str, Any] | None,
        *,
        javascript_folder: Path,
        lanes: int,
    ) -> None:
        """Start the process and wait until it is behind its layers.

        Raises:
            Misconfigured: it does not start, or the kernel refused a layer that it needs.
        """
        pairs = [socket.socketpair() for _ in range(lanes + 1)]
        theirs = [pair[1].fileno() for pair in pairs]
        told = RunnerPlan(
            control=theirs[0],
            lanes=tuple(theirs[1:]),
            engine_path=launcher or binary.path,
            javascript_folder=str(javascript_folder),
            jail=plan,
            parent=os.getpid(),
        )
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "loglineos.runtime.sandbox.runner"),
            msgspec.json.encode(told).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
            pass_fds=theirs,
        )
        for _, other in pairs:
            other.close()
        self._control = Lane(self)
        first_word = self._control.expect()
        await _connect(self._control, pairs[0][0])
        for ours, _ in pairs[1:]:
            self._lanes.append(await _connect(Lane(self), ours))
        self.missing = await self._hear(first_word)
        self.free = list(self._lanes)

    def abandon(self) -> None:
        """End the process at once and tell the pool, once: its sessions are lost."""
        self._kill()
        tell, self._lost = self._lost, None
        self.free.clear()
        if tell is not None:
            tell(self)

    async def end(self) -> None:
        """End the process, tell nobody, and wait for its end."""
        self._lost = None
        for lane in (*self._lanes, self._control):
            if lane is not None:
                lane.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_END_S_MAX):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _hear(self, first_word: asyncio.Future[Reply]) -> frozenset[str]:
        """Wait until the runner says that it is ready; return the layers that it lacks."""
        try:
            async with asyncio.timeout(_START_S_MAX):
                ready = await first_word
        except (TimeoutError, RunnerLost) as cause:
            raise Misconfigured(setting="sandbox", reason=_NOT_STARTED) from cause
        assert isinstance(ready, Ready)
        if ready.refused is not None:
            raise jail.absent([ready.refused])
        return frozenset(ready.missing)


async def _connect(lane: Lane, ours: socket.socket) -> Lane:
    await asyncio.get_running_loop().create_connection(lambda: lane, sock=ours)
    return lane


def lost() -> RunnerLost:
    """Return the error for a session whose runner is gone."""
    return RunnerLost(reason=_GONE, retry_after_s=1)


_GONE: Final = Text("o processo acabou a meio", "the process ended midway")
_NOT_STARTED: Final = Text("o processo não arrancou", "the process did not start")
