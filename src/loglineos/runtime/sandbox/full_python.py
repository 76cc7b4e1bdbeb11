"""Tier X: a program that needs a whole CPython, one jailed process for each run.

For code that the small interpreter cannot run, and for packages that an administrator laid out
beforehand. It is opt-in, it is slower to start, and it proves less: effects are journaled like
those of any run, but the clock, threads and hashes of CPython are its own, so a run of it is
`unproven`: repeating it is a best effort.

Packages come from a folder named by its list of requirements (`packages_name`) below
`packages_root`, made by hand and never by a run:

    uv pip install --target ROOT/NAME --requirement list.txt

Always holds: the jail is all that stands between such a program and the machine, so with all of
its layers missing nothing is started; nothing that the process says is believed before `canon`.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.errors import InvalidInput, Misconfigured, Unexpected, ValueRefused
from loglineos.base.language import Text
from loglineos.runtime.sandbox import full_python_child, jail
from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.session import check_program
from loglineos.runtime.sandbox.turns import (
    Answer,
    Completed,
    Failed,
    Later,
    Program,
    ProgramError,
    Raised,
    Suspended,
    Value,
)
from loglineos.runtime.sandbox.values import canon

PROOF: Final = "unproven"
"""What may be said of a run of this tier, whatever its journal holds."""
FULL: Final = RunLimits(
    turn_s=30.0,
    feed_s=60.0,
    memory_bytes=512 * 1024 * 1024,
    depth_max=1000,
    suspensions_max=1000,
)
_FRAME_BYTES_MAX: Final = 8 * 1024 * 1024
_NAME_LENGTH: Final = 32
_SETTING: Final = "sandbox.full_python"
_CHILD: Final = Path(full_python_child.__file__)

FullTurn = Suspended | Completed | Failed


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says: a turn, if it keeps to the protocol."""

    turn: Literal["suspended", "completed", "failed"]
    printed: str = ""
    kind: Literal["call", "os"] = "call"
    name: str = ""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    output: Any = None
    type: str = "Exception"
    message: str = ""
    where: tuple[str, ...] = ()
    limit: Literal["time", "memory", "depth", "calls", "size"] | None = None


def packages_name(requirements: Iterable[str]) -> str:
    """Name the folder of a list of requirements: order, blank lines and comments do not count."""
    lines = {line.partition("#")[0].strip() for line in requirements} - {""}
    return blake3("\n".join(sorted(lines)).encode()).hexdigest(length=_NAME_LENGTH // 2)


def engine_name() -> str:
    """Name full CPython as the header of an execution does."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return f"cpython/{version}+{PROOF}"


class FullPython:
    """Starts one jailed CPython for each session; at most `processes_max` at a time."""

    def __init__(
        self,
        *,
        packages_root: Path | None = None,
        processes_max: int = 2,
        layers_missing_allowed: frozenset[str] = frozenset(),
    ) -> None:
        """Check the jail.

        Raises:
            Misconfigured: a layer is missing and not allowed to be, or all are.
        """
        layers = jail.require(layers_missing_allowed)
        if layers.missing == jail.LAYERS:
            raise Misconfigured(setting=_SETTING, reason=_NO_JAIL)
        self._missing_allowed = layers_missing_allowed
        self._packages_root = packages_root
        self._places = asyncio.Semaphore(processes_max)

    @property
    def engine(self) -> str:
        """Name the engine as the header of an execution does."""
        return engine_name()

    @asynccontextmanager
    async def session(
        self, *, limits: RunLimits = FULL, packages: str | None = None
    ) -> AsyncIterator[FullSession]:
        """Give one run a process of its own; `packages` is a name that `packages_name` gave.

        Raises:
            Misconfigured: there is no such folder of packages.
        """
        folder = self._folder_of(packages)
        async with self._places:
            session = FullSession(self._command(limits, folder), limits, folder)
            try:
                yield session
            finally:
                await session.close()

    def _folder_of(self, packages: str | None) -> Path | None:
        if packages is None:
            return None
        is_name = len(packages) == _NAME_LENGTH and packages.isalnum()
        folder = self._packages_root / packages if self._packages_root and is_name else None
        if folder is None or not folder.is_dir():
            raise Misconfigured(
                setting=_SETTING, packages=packages, reason=_NO_PACKAGES, remedy=_INSTALL
            )
        return folder.resolve()

    def _command(self, limits: RunLimits, folder: Path | None) -> list[str]:
        python = jail.interpreter()
        readable = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
        readable += [str(path) for path in _shared_library(python)]
        plan = jail.worker_plan(
            python,
            missing_allowed=self._missing_allowed,
            memory_bytes=limits.memory_bytes,
            profile="python",
            readable=[*readable, *([str(folder)] if folder else [])],
            cpu_s=math.ceil(limits.feed_s),
        )
        child = _CHILD.read_text(encoding="utf-8")
        return jail.command(plan, [python, "-I", "-S", "-B", "-X", "utf8", "-c", child])


class FullSession:
    """One run of one program: `start`, then `resume` for each `Suspended` turn.

    It has no `dump`: a run that rests is repeated from its journal. Calls are answered one at a
    time, so no turn is ever `Waiting`.
    """

    def __init__(self, command: list[str], limits: RunLimits, packages: Path | None) -> None:
        """Keep what `start` needs; `FullPython.session` makes it."""
        self._command = command
        self._limits = limits
        self._packages = packages
        self._process: asyncio.subprocess.Process | None = None
        self._modules: frozenset[str] = frozenset()
        self._calls = 0
        self._cpu_ns = 0
        self._is_standing = False

    async def start(self, program: Program, value: Any = None) -> FullTurn:
        """Start the process and run the program on `value` up to its first turn.

        Raises:
            InvalidInput: the program cannot be started at all: no Python, no such entry, too long.
            ValueRefused: `value` may not cross.
        """
        check_program(program, language="python")
        plain = canon(value, field="input")
        if self._process is not None:
            raise InvalidInput(field="program", shape="a second start", reason=_STARTED)
        self._modules = frozenset(program.modules)
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        return await self._turn(
            {
                "source": program.source,
                "entry": program.entry,
                "prelude": [[module.name, module.source] for module in program.prelude],
                "modules": program.modules,
                "seed": program.seed,
                "value": plain,
                "packages": str(self._packages) if self._packages else None,
                "depth_max": self._limits.depth_max,
                "printed_max": self._limits.printed_bytes_max,
            }
        )

    async def resume(self, answer: Answer) -> FullTurn:
        """Answer the `Suspended` turn and run on to the next.

        Raises:
            ValueRefused: the answer's value may not cross; the turn still stands.
            InvalidInput: no call stands, or the answer is `Later`.
        """
        if not self._is_standing or isinstance(answer, Later):
            raise InvalidInput(field="answer", shape=type(answer).__name__, reason=_TURN)
        return await self._turn(_written(answer))

    async def close(self) -> None:
        """End the process; a repeat does nothing."""
        self._is_standing = False
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()

    async def _turn(self, message: dict[str, Any]) -> FullTurn:
        self._is_standing = False
        try:
            async with asyncio.timeout(self._limits.turn_s):
                while True:
                    turn = await self._exchange(message)
                    if not isinstance(turn, Raised):
                        break
                    message = _written(turn)
        except TimeoutError:
            turn = self._failed(_limit("time"))
        if isinstance(turn, Suspended):
            self._is_standing = True
        else:
            await self.close()
        return turn

    async def _exchange(self, message: dict[str, Any]) -> FullTurn | Raised:
        """Say something and hear the next turn, or the answer that its call gets from us."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        content = orjson.dumps(message)
        try:
            process.stdin.write(len(content).to_bytes(4, "big") + content)
            await process.stdin.drain()
            length = int.from_bytes(await process.stdout.readexactly(4), "big")
            if length > _FRAME_BYTES_MAX:
                return self._failed(_limit("size"))
            told = _decoder.decode(await process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
            return self._failed(_end_of(await process.wait()))
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return self._failed(_BROKEN)
        return self._read(told)

    def _read(self, told: _Told) -> FullTurn | Raised:
        printed = told.printed[: self._limits.printed_bytes_max].replace("\0", "\ufffd")
        if told.turn == "completed":
            try:
                output = canon(told.output, limits=self._limits.value, field="output")
            except ValueRefused as refused:
                return self._failed(
                    ProgramError(type="ValueRefused", message=refused.describe("en")), printed
                )
            return Completed(output=output, cpu_us=self._cpu(), printed=printed)
        if told.turn == "failed":
            error = ProgramError(
                type=told.type[:60],
                message=told.message[:2000].replace("\0", "\ufffd"),
                where=tuple(line[:200] for line in told.where[-20:]),
                limit=told.limit,
            )
            return self._failed(error, printed)
        return self._suspended(told, printed)

    def _suspended(self, told: _Told, printed: str) -> FullTurn | Raised:
        is_known = told.name in self._modules if told.kind == "call" else told.name == "time.sleep"
        if not is_known:
            return self._failed(_BROKEN, printed)
        self._calls += 1
        if self._calls > self._limits.suspensions_max:
            return self._failed(_limit("calls"), printed)
        try:
            args = canon(told.args, limits=self._limits.value, field=told.name)
            kwargs = canon(told.kwargs, limits=self._limits.value, field=told.name)
        except ValueRefused as refused:
            return Raised("ValueError", refused.describe("en"))
        return Suspended(
            kind=told.kind,
            name=told.name,
            args=args,
            kwargs=kwargs,
            call_id=self._calls,
            cpu_us=self._cpu(),
            printed=printed,
        )

    def _failed(self, error: ProgramError, printed: str = "") -> Failed:
        return Failed(error=error, cpu_us=self._cpu(), printed=printed)

    def _cpu(self) -> int:
        """Return the process's CPU time since the last turn, in microseconds, by the kernel."""
        process = self._process
        if process is None or not sys.platform.startswith("linux"):
            return 0
        before = self._cpu_ns
        with suppress(OSError):
            self._cpu_ns = time.clock_gettime_ns((~process.pid << 3) | 2)  # clock_getcpuclockid(3)
        return max(0, self._cpu_ns - before) // 1000


def _written(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Value):
        return {"value": canon(answer.value, field="answer")}
    if not isinstance(answer, Raised):
        raise Unexpected(kind=type(answer).__name__)
    return {"raised": answer.type, "message": answer.message}


def _end_of(status: int) -> ProgramError:
    """Tell the end of a process that said nothing of it."""
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return _limit("time")
    if status == jail.EXIT_REFUSED:
        raise Misconfigured(setting=_SETTING, reason=_NOT_JAILED)
    return ProgramError(type="RuntimeError", message="the process ended midway")


def _limit(limit: Literal["time", "calls", "size"]) -> ProgramError:
    kinds = {
        "time": ("TimeoutError", "time limit exceeded"),
        "calls": ("RuntimeError", "too many calls"),
        "size": ("MemoryError", "too long"),
    }
    kind, message = kinds[limit]
    return ProgramError(type=kind, message=message, limit=limit)


def _shared_library(python: str) -> list[Path]:
    """Find libpython, where the interpreter is only a stub that loads it."""
    name, folder = sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LIBDIR")
    candidates = [Path(python).parents[1] / "lib" / str(name), Path(str(folder)) / str(name)]
    return [path for path in candidates if path.is_file()]


_decoder: Final = msgspec.json.Decoder(_Told)
_BROKEN: Final = ProgramError(type="RuntimeError", message="the process broke its protocol")
_NO_JAIL: Final = Text(
    "este sistema não tem nenhuma das camadas de isolamento, e este Python não tem outras",
    "this system has none of the layers of isolation, and this Python has no other",
)
_NOT_JAILED: Final = Text(
    "o processo não pôde entrar nas camadas de isolamento",
    "the process could not enter the layers of isolation",
)
_NO_PACKAGES: Final = Text("não há esta pasta de pacotes", "there is no such folder of packages")
_INSTALL: Final = Text(
    "prepare-a com `uv pip install --target PASTA/{packages} -r LISTA`",
    "make it with `uv pip install --target FOLDER/{packages} -r LIST`",
)
_STARTED: Final = Text(
    "este processo já serve um programa", "this process serves a program already"
)
_TURN: Final = Text("nada espera por esta resposta", "nothing waits for this answer")
