"""Running a command as an act: its start and its end are LogLines, its output passes unchanged.

Always holds: the child reads our standard input, its output goes on byte for byte as it comes, its
exit status becomes ours (128 + n for a signal); the record holds hashes and counts of the output,
never the output, unless a tail was asked for; secrets in the arguments are hidden (`redact.py`).
The child writes to pipes, so a program that asks whether it writes to a terminal is told no.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.intake.redact import redacted
from loglineos.ledger.record import Draft

OUTPUT_DOMAIN: Final = b"loglineos/wrap/v1\n"
TAIL_BYTES: Final = 2048
"""The tail that `logline wrap --tail` keeps of each stream."""
DRAIN_S_MAX: Final = 2.0
"""How long output is still read when the child has ended but a grandchild holds the pipe."""
_CHUNK_BYTES: Final = 64 * 1024
_COMMAND_CHARS_MAX: Final = 8 * 1024
_FORWARDED: Final = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT")

Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[Stream, bytes], None]


class StreamTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What went through one stream: BLAKE3-256 in hex, bytes, and the tail if one was asked for."""

    digest: str
    size_bytes: int
    tail: bytes = b""


class WrapResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended. `signal` names the one that killed it; `problem` why it never began."""

    exit_status: int
    duration_ms: int
    stdout: StreamTotal
    stderr: StreamTotal
    signal: str | None = None
    problem: Text | None = None


async def run_wrapped(
    argv: Sequence[str], *, capture_bytes_max: int = 0, on_output: OnOutput | None = None
) -> WrapResult:
    """Run a command, pass its output on as it comes, and tell how it ended.

    Signals that ask a program to stop are passed to the child; those of the terminal (SIGINT,
    SIGQUIT) reach it by themselves. `on_output` replaces our own standard output and error. A
    command that is not there ends with 127, one that may not run with 126, as in a shell; nothing
    is raised. When the task is cancelled the child is terminated and waited for.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=None, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except (OSError, ValueError) as cause:
        return _not_started(cause)
    flow = on_output or write_through
    counters = (_Counter("stdout", capture_bytes_max), _Counter("stderr", capture_bytes_max))
    assert child.stdout is not None
    assert child.stderr is not None
    with _signals_go_to(child):
        pumps = [
            asyncio.create_task(_pump(child.stdout, counters[0], flow)),
            asyncio.create_task(_pump(child.stderr, counters[1], flow)),
        ]
        try:
            code = await child.wait()
            await asyncio.wait(pumps, timeout=DRAIN_S_MAX)
        finally:
            await _end(child, pumps)
    for pump in pumps:
        if not pump.cancelled() and (fault := pump.exception()) is not None:
            raise fault
    return WrapResult(
        exit_status=code if code >= 0 else 128 - code,
        signal=_signal_name(-code) if code < 0 else None,
        duration_ms=round((loop.time() - started) * 1000),
        stdout=counters[0].total(),
        stderr=counters[1].total(),
    )


def write_through(stream: Stream, data: bytes) -> None:
    """Write a piece of output to our own stream of that name, at once."""
    target = sys.stdout if stream == "stdout" else sys.stderr
    target.flush()
    with contextlib.suppress(BrokenPipeError):
        target.buffer.write(data)
        target.buffer.flush()


async def _pump(reader: asyncio.StreamReader, counter: _Counter, flow: OnOutput) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        counter.add(data)
        flow(counter.stream, data)


async def _end(child: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]]) -> None:
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.wait()


class _Counter:
    """Hashes and counts one stream; keeps its last bytes."""

    def __init__(self, stream: Stream, tail_bytes_max: int) -> None:
        self.stream: Stream = stream
        self._tail_bytes_max = tail_bytes_max
        self._hash = blake3()
        self._size = 0
        self._tail = b""

    def add(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        if self._tail_bytes_max:
            self._tail = (self._tail + data)[-self._tail_bytes_max :]

    def total(self) -> StreamTotal:
        return StreamTotal(digest=self._hash.hexdigest(), size_bytes=self._size, tail=self._tail)


@contextlib.contextmanager
def _signals_go_to(child: asyncio.subprocess.Process) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    at_terminal = os.isatty(0)
    caught: list[int] = []

    def forward(number: int) -> None:
        if at_terminal and number in (signal.SIGINT, signal.SIGQUIT):
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    for name in _FORWARDED:
        number = getattr(signal, name)
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(number, forward, number)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _not_started(cause: Exception) -> WrapResult:
    status = 127 if isinstance(cause, FileNotFoundError) else 126
    nothing = StreamTotal(digest=blake3(b"").hexdigest(), size_bytes=0)
    why = getattr(cause, "strerror", None) or str(cause)
    return WrapResult(
        exit_status=status,
        duration_ms=0,
        stdout=nothing,
        stderr=nothing,
        problem=Text(f"não começou: {why}", f"did not start: {why}"),
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def start_draft(
    argv: Sequence[str],
    *,
    who: str,
    id: UUID,  # noqa: A002 - the name of the column
    at: datetime,
    tenant: str | None = None,
    did: str = "run_command",
    confirmed_by: str = "operating_system",
    if_ok: str = "go_on",
    if_doubt: str = "ask_the_operator",
    if_not: str = "alert_the_operator",
) -> Draft:
    """Say that a command begins: event 0 of its life, `running`. Secrets are hidden."""
    told = redacted([_printable(argument) for argument in argv])
    return Draft(
        tenant_id=tenant,
        id=id,
        seq=0,
        who=who,
        did=did,
        this=shlex.join(told)[:_COMMAND_CHARS_MAX] or "(nothing)",
        at=at,
        confirmed_by=confirmed_by,
        if_ok=if_ok,
        if_doubt=if_doubt,
        if_not=if_not,
        status="running",
        type="system",
        subsystem="wrap",
        details={"arguments": len(argv)},
    )


def finish_draft(started: Draft, *, result: WrapResult, at: datetime) -> Draft:
    r"""Say how it ended: event 1, `executed` for exit status 0, else `failed` (`if_not` follows).

    `output` has exit status, signal, and hash and size of each stream (and the tails that were
    captured); `output_hash` is BLAKE3("loglineos/wrap/v1\\n" ‖ stdout hash ‖ stderr hash).
    """
    digests = bytes.fromhex(result.stdout.digest) + bytes.fromhex(result.stderr.digest)
    output: dict[str, Any] = {
        "exit_status": result.exit_status,
        "stdout": _told(result.stdout),
        "stderr": _told(result.stderr),
    }
    if result.signal is not None:
        output["signal"] = result.signal
    failed = result.exit_status != 0
    error: dict[str, Any] | None = {"exit_status": result.exit_status} if failed else None
    if error is not None and result.problem is not None:
        error["problem"] = {"pt": result.problem.pt, "en": result.problem.en}
    return msgspec.structs.replace(
        started,
        seq=(started.seq or 0) + 1,
        at=at,
        status="failed" if failed else "executed",
        duration_ms=min(result.duration_ms, limits.integer_max),
        output=output,
        output_hash=blake3(OUTPUT_DOMAIN + digests).hexdigest(),
        error=error,
    )


def _told(total: StreamTotal) -> dict[str, Any]:
    told: dict[str, Any] = {"hash": total.digest, "bytes": total.size_bytes}
    if total.tail:
        told["tail"] = total.tail.decode("utf-8", "replace").replace("\0", "\ufffd")
    return told


def _printable(argument: str) -> str:
    kept = argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return kept.replace("\0", "\ufffd")
