"""What goes back and forth in the engine's own terms: answers on the way in, errors on the way out.

Always holds: an answer raises nothing but `ALLOWED_ERRORS`; an error tells the program's own words,
and, when a limit tripped, a fixed sentence without measured numbers.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import pydantic_monty as engine

from loglineos.base.errors import ValueRefused
from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.python_source import Prepared
from loglineos.runtime.sandbox.turns import ALLOWED_ERRORS, ProgramError, Raised, Settled, Value
from loglineos.runtime.sandbox.values import revive

CLOCKS: Final = ("datetime.now", "date.today", "time.time")
SLEEPS: Final = ("time.sleep", "asyncio.sleep")
_WHERE_LINES_MAX: Final = 20
_MESSAGE_MAX: Final = 2000

Limit = Literal["time", "memory", "depth", "calls", "size"]


def settled(answer: Settled, *, clock: str | None = None, arguments: Any = ()) -> Any:
    """Return an answer as the engine takes it; for a clock, in the form that was asked for."""
    if isinstance(answer, Value):
        value = revive(answer.value)
        if clock in CLOCKS:
            value = _instant_for(clock, value, arguments)
        return {"return_value": value}
    assert isinstance(answer, Raised)
    kind = answer.type if answer.type in ALLOWED_ERRORS else "RuntimeError"
    return {"exc_type": kind, "message": answer.message}


def _instant_for(clock: str | None, value: Any, arguments: Any) -> Any:
    """Give an instant the form in which the program asked for the time."""
    if not isinstance(value, datetime):
        return value
    if clock == "time.time":
        return (value - _EPOCH) / timedelta(seconds=1)
    if clock == "date.today":
        return value.date()
    zone = arguments[0] if arguments else None
    return value.replace(tzinfo=None) if zone is None else value.astimezone(zone)


def error_of(
    error: engine.MontyError, prepared: Prepared | None, limits: RunLimits
) -> ProgramError:
    """Tell an error of the engine as the program's own, or as the limit that tripped."""
    inner = error.exception()
    kind, message = type(inner).__name__, _message_of(inner)
    limit = _limit_of(kind, message, limits)
    if limit is not None:
        message = MESSAGES[limit]
    return ProgramError(
        type=kind, message=message[:_MESSAGE_MAX], where=_where(error, prepared), limit=limit
    )


def _message_of(error: BaseException) -> str:
    """Return what the program said when it raised; text of the sandbox, of no other."""
    text = str(error.args[0]) if error.args else ""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _limit_of(kind: str, message: str, limits: RunLimits) -> Limit | None:
    if kind == "TimeoutError" and _TIME.match(message):
        return "time"
    if kind == "MemoryError" and message.startswith(_WORKER_MEMORY):
        return "memory"
    if kind == "MemoryError" and (found := _MEMORY.match(message)):
        return "size" if int(found[1]) == limits.printed_bytes_max else "memory"
    if kind == "RecursionError":
        return "depth"
    if kind == "RuntimeError" and _SUSPENSIONS.match(message):
        return "calls"
    return None


def _where(error: engine.MontyError, prepared: Prepared | None) -> tuple[str, ...]:
    if not isinstance(error, (engine.MontyRuntimeError, engine.MontySyntaxError)):
        return ()
    last = prepared.lines if prepared is not None else sys.maxsize
    lines = []
    for frame in error.traceback():
        place = frame.function_name or "<module>"
        if frame.filename == "<string>":
            lines.append(f"prelude line {frame.line} in {place}")
        elif frame.line <= last:
            lines.append(f"line {frame.line} in {place}")
    return tuple(lines[-_WHERE_LINES_MAX:])


def refusal(refused: ValueRefused, *, limit: Limit | None = None) -> ProgramError:
    """Tell that the program gave what may not cross the boundary."""
    return ProgramError(type="ValueRefused", message=refused.describe("en"), limit=limit)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(feed|turn) time limit exceeded")
_MEMORY: Final = re.compile(r"memory limit exceeded: \d+ bytes > (\d+) bytes")
_WORKER_MEMORY: Final = "the worker exceeded its memory limit"
_SUSPENSIONS: Final = re.compile(r"suspension limit \d+ exceeded")
CALLS_MESSAGE: Final = "too many calls"
MESSAGES: Final[dict[str, str]] = {
    "time": "time limit exceeded",
    "memory": "memory limit exceeded",
    "depth": "maximum recursion depth exceeded",
    "calls": CALLS_MESSAGE,
    "size": "too much printed",
}
