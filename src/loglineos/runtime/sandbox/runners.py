"""The host's side of the sandbox: keeps runner processes, talks with the sessions in them.

    async with Runners(RunnerSettings()) as runners:
        async with runners.session(limits=DURABLE) as session:
            turn = await session.start(program, value)
            while isinstance(turn, Suspended): turn = await session.resume(answer)

Always holds: what comes out of a runner goes through `canon` once more here; a runner that dies or
hangs takes its own sessions with it and nothing else, and another is started in its place.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import orjson

from loglineos.base.errors import LoglineError, Pushback, Unexpected
from loglineos.runtime.sandbox import frames, jail, quickjs
from loglineos.runtime.sandbox.batches import failing, parse, written
from loglineos.runtime.sandbox.frames import BatchText, Reply
from loglineos.runtime.sandbox.limits import DURABLE, PURE, RunLimits
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.runner_process import Lane, RunnerProcess
from loglineos.runtime.sandbox.session import (
    Session,
    check_program,
    checked,
    unless_fault,
)
from loglineos.runtime.sandbox.tally import Tally
from loglineos.runtime.sandbox.turns import Completed, Evaluated, Failed, Outcome, Program
from loglineos.runtime.sandbox.values import canon

__all__ = ["RunnerSettings", "Runners", "Session"]

_RESTART_S: Final = 0.5
_RESTART_S_MAX: Final = 30.0


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many runner processes there are, and which layers of the jail may be missing."""

    processes: int = 2
    sessions_max: int = 32
    """Most sessions at once in each process; more wait for `wait_s`, then `Pushback`."""
    wait_s: float = 30.0
    silence_s: float = 15.0
    """How long past a feed's own limit a runner may be silent before it is taken for hung."""
    layers_missing_allowed: frozenset[str] = frozenset()
    """Names of layers (`jail.LAYERS`) that this machine may lack; record it where it is set."""
    folder: str | None = None
    """Where the private folder of a run is made; must allow programs. None: the system's."""
    javascript_folder: str | None = None
    """Where the compiled JavaScript machine is kept, a private folder. None: the folder of the run,
    so that the first program in JavaScript of each pool waits a second for it."""


class Runners:
    """The pool of runner processes."""

    def __init__(self, settings: RunnerSettings | None = None) -> None:
        """Keep the settings; `async with` starts the processes."""
        self._settings = settings or RunnerSettings()
        self._binary: jail.Binary | None = None
        self._folder: Path | None = None
        self._javascript_folder: Path | None = None
        self._javascript_lock = asyncio.Lock()
        self._is_javascript_ready = False
        self._launcher: str | None = None
        self._plan: dict[str, Any] | None = None
        self._runners: list[RunnerProcess] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._restarts: set[asyncio.Task[None]] = set()
        self.layers: jail.Layers | None = None
        self.tally = Tally()

    async def __aenter__(self) -> Self:
        """Check the engine and the jail, start the runners.

        Raises:
            Misconfigured: a layer is missing without its override, the engine's bytes are not those
                that were installed, or nothing can be run from the folder.
        """
        try:
            await asyncio.to_thread(self._prepare)
            await self._start_all()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the runners; sessions that still stand are lost."""
        await self._end()

    @property
    def engine(self) -> str:
        """Name the Python engine: `monty/<version>+<first 12 of the sha256 of its binary>`."""
        assert self._binary is not None, "the pool is not open"
        return self._binary.engine

    def engine_of(self, language: str) -> str:
        """Name the engine of a language as the header of an execution does."""
        return quickjs.ENGINE if language == "javascript" else self.engine

    @property
    def process_ids(self) -> list[int]:
        """List the processes of the runners that are up, for those who watch over them."""
        return [r.process_id for r in self._runners if r.process_id is not None]

    @asynccontextmanager
    async def session(self, *, limits: RunLimits = DURABLE) -> AsyncIterator[Session]:
        """Take a place in a runner for one conversation.

        Raises:
            Pushback: no place became free within `wait_s`.
        """
        lane = await self._take()
        try:
            self.tally.runs["durable"] += 1
            silence_s = self._settings.silence_s
            yield Session(lane, limits, silence_s=silence_s, note=self.tally.note)
        finally:
            lane.tell(frames.Close())
            self._give(lane)

    async def run_pure(
        self, program: Program, value: Any = None, *, limits: RunLimits = PURE
    ) -> Completed | Failed:
        """Run a program without effects to its end; asking for an effect fails it."""
        check_program(program, language=program.language)
        plain = canon(value, field="input")
        request = frames.Pure(program=program, value=plain, limits=limits)
        turn = checked(await self._once(request), limits)
        assert isinstance(turn, (Completed, Failed))
        return turn

    async def evaluate(
        self, program: Program, spans: Sequence[Any] | bytes, *, limits: RunLimits = PURE
    ) -> Outcome:
        """Call `on(span)` for each of at most 500 spans, all in one fresh machine.

        `spans` may be given as the bytes of a JSON array, if the caller has them. The first span
        that fails is run once more by itself to learn in which line.

        Raises:
            TooLarge: too many spans, or more than `BATCH_LIMITS` of bytes.
        """
        check_program(program, language=program.language)
        text = written(spans)
        reply = await self._once(frames.Evaluate(program=program, spans=text, limits=limits))
        if isinstance(reply, Failed):
            return reply
        if not isinstance(reply, BatchText):
            raise Unexpected(kind=type(reply).__name__)
        outcome = parse(reply, limits)
        if isinstance(outcome, Evaluated) and (first := failing(outcome)) is not None:
            return await self._explained(program, text, outcome, first, limits)
        return outcome

    async def trial(self, source: str, *, stubs: Mapping[str, str]) -> list[Finding]:
        """Have the Python engine compile a program and check its types; nothing of it runs.

        `stubs` are the texts of the modules that it may import, by name. An error among the
        findings is what would keep it from loading, or fail whenever its line is reached.
        """
        lane = await self._take()
        try:
            request = frames.Trial(source=source, stubs=dict(stubs))
            reply = unless_fault(await lane.ask(request, within_s=self._settings.silence_s))
        finally:
            self._give(lane)
        if not isinstance(reply, frames.Tried):
            raise Unexpected(kind=type(reply).__name__)
        return list(reply.findings)

    async def _explained(
        self, program: Program, text: str, outcome: Evaluated, first: int, limits: RunLimits
    ) -> Evaluated:
        """Put the lines of its failure into the result of the first span that failed."""
        one = orjson.dumps([orjson.loads(text)[first]]).decode()
        request = frames.Evaluate(program=program, spans=one, limits=limits, explain=True)
        reply = await self._once(request)
        _, error = outcome.results[first]
        if not isinstance(reply, Failed) or error is None or reply.error.type != error.type:
            return outcome
        results = list(outcome.results)
        results[first] = (None, msgspec.structs.replace(error, where=reply.error.where))
        return msgspec.structs.replace(outcome, results=tuple(results))

    async def _once(self, request: frames.Pure | frames.Evaluate) -> Reply:
        within_s = request.limits.feed_s + self._settings.silence_s
        if request.program.language == "javascript":
            await self._have_javascript()
        lane = await self._take()
        try:
            reply = unless_fault(await lane.ask(request, within_s=within_s))
        finally:
            self._give(lane)
        self.tally.runs["pure" if isinstance(request, frames.Pure) else "policy"] += 1
        self.tally.note(reply)
        return reply

    async def _have_javascript(self) -> None:
        """Compile the JavaScript machine where the runners may read it, once."""
        async with self._javascript_lock:
            if self._is_javascript_ready:
                return
            # Most houses have no JavaScript: its engine is not even loaded for them.
            from loglineos.runtime.sandbox.quickjs_module import prepare  # noqa: PLC0415

            assert self._javascript_folder is not None, "the pool is not open"
            await asyncio.to_thread(
                prepare, memory_bytes_max=PURE.memory_bytes, cache_folder=self._javascript_folder
            )
            self._is_javascript_ready = True

    async def _take(self) -> Lane:
        """Take a lane of the runner that has most of them free."""
        deadline = asyncio.get_running_loop().time() + self._settings.wait_s
        while True:
            runner = max(self._runners, key=lambda r: len(r.free), default=None)
            if runner is not None and runner.free:
                return runner.free.pop()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                async with asyncio.timeout_at(deadline):
                    await turn
            except TimeoutError:
                raise Pushback(retry_after_s=1) from None
            finally:
                if not turn.done():
                    turn.cancel()
                with suppress(ValueError):
                    self._waiting.remove(turn)

    def _give(self, lane: Lane) -> None:
        if lane.is_open and lane.runner in self._runners:
            lane.runner.free.append(lane)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _prepare(self) -> None:
        """Check what can be checked before a process is started."""
        allowed = self._settings.layers_missing_allowed
        self.layers = jail.require(allowed)
        self._binary = jail.monty()
        self._folder = Path(tempfile.mkdtemp(prefix="loglineos-", dir=self._settings.folder))
        kept = self._settings.javascript_folder
        self._javascript_folder = self._folder if kept is None else Path(kept)
        self._javascript_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.layers.missing == jail.LAYERS:
            return  # another system: the engine's own walls are all that there is
        plan = jail.worker_plan(
            self._binary.path, missing_allowed=allowed, inherited=("namespaces",)
        )
        self._launcher = str(jail.write_launcher(self._folder, self._binary, plan))
        self._plan = jail.runner_plan(
            self._binary,
            self._launcher,
            missing_allowed=allowed,
            readable=[str(self._javascript_folder)],
        )

    async def _start_all(self) -> None:
        starts = [self._start() for _ in range(self._settings.processes)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        self._runners += [one for one in started if isinstance(one, RunnerProcess)]
        for failure in started:
            if isinstance(failure, BaseException):
                raise failure

    async def _start(self) -> RunnerProcess:
        assert self._binary is not None
        assert self._javascript_folder is not None
        runner = RunnerProcess(lost=self._replace)
        try:
            await runner.start(
                self._binary,
                self._launcher,
                self._plan,
                javascript_folder=self._javascript_folder,
                lanes=self._settings.sessions_max,
            )
        except BaseException:
            await runner.end()
            raise
        return runner

    def _replace(self, runner: RunnerProcess) -> None:
        """Start another in the place of one that is gone."""
        if runner not in self._runners:
            return
        self._runners.remove(runner)
        self.tally.runners_lost += 1
        task = asyncio.get_running_loop().create_task(self._restart(runner))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _restart(self, gone: RunnerProcess) -> None:
        await gone.end()
        pause_s = _RESTART_S
        while True:
            try:
                runner = await self._start()
            except (LoglineError, OSError):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RESTART_S_MAX)
                continue
            self._runners.append(runner)
            for _ in runner.free:
                self._wake()
            return

    async def _end(self) -> None:
        for task in list(self._restarts):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.end()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
