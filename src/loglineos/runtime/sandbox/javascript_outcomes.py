"""What comes out of a JavaScript machine: the lines of house.js, read as those of a stranger.

Always holds: whatever a program did to its machine, each line is an answer or an error; an error
tells the program's own words and the lines of its own source, of no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

import orjson

from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.quickjs_machine import SOURCE_NAME
from loglineos.runtime.sandbox.turns import ProgramError

Limit = Literal["time", "memory", "depth", "calls", "size"]

_WHERE_LINES_MAX: Final = 20


def head_of(line: bytes, limits: RunLimits) -> tuple[str, ProgramError | None]:
    """Read the first line: what was printed, and the failure of all if too much was said."""
    is_over, is_printed_over, printed = _json(line)
    text = _clean(printed)
    if is_over:
        return text, limited("size", "the answers are too long")
    if is_printed_over or len(text.encode()) > limits.printed_bytes_max:
        cut = text.encode()[: limits.printed_bytes_max].decode(errors="ignore")
        return cut, limited("size", "too much printed")
    return text, None


def answer_of(line: bytes) -> bytes | ProgramError:
    """Read one line of the house: the JSON text of an answer, or an error."""
    content = line[1:]
    if line[:1] == b"!":
        return error_of(content)
    if content in _COMMON:
        return content
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        # A lone surrogate, or nested deeper than any value may be.
        return ProgramError(type="ValueRefused", message="the answer may not cross the boundary")
    return content


def error_of(content: bytes) -> ProgramError:
    """Read an error as the house tells it: type, message, stack, and "size" if it was too long."""
    parts = [_clean(part) for part in _json(content)]
    kind, message, stack = parts[:3]
    limit: Limit | None = "size" if len(parts) > 3 else _limit_of(kind, message)
    return ProgramError(type=kind, message=message, where=_where(stack), limit=limit)


def is_fatal(answer: bytes | ProgramError) -> bool:
    """Tell if an answer shows that the machine is no good for the other inputs either."""
    return isinstance(answer, ProgramError) and answer.limit == "memory"


def limited(limit: str, message: str | None = None) -> ProgramError:
    """Tell that a limit tripped."""
    kinds: dict[str, tuple[Limit, str, str]] = {
        "time": ("time", "TimeoutError", "time limit exceeded"),
        "depth": ("depth", "RecursionError", "maximum recursion depth exceeded"),
        "calls": ("calls", "RuntimeError", "promises leave too many jobs"),
        "size": ("size", "MemoryError", "too long"),
    }
    known = kinds.get(limit, ("memory", "MemoryError", "memory limit exceeded"))
    return ProgramError(type=known[1], message=message or known[2], limit=known[0])


def batch_text(answers: Iterable[bytes | ProgramError]) -> str:
    """Write the answers as `BatchText` has them: `[actions, error]` for each span."""
    parts = []
    for answer in answers:
        if isinstance(answer, ProgramError):
            told = orjson.dumps([answer.type, answer.message, answer.where])
            parts.append(b"[null," + told + b"]")
        else:
            parts.append(b"[" + answer + b",null]")
    return (b"[" + b",".join(parts) + b"]").decode()


def _limit_of(kind: str, message: str) -> Limit | None:
    if kind == "InternalError" and message == "out of memory":
        return "memory"
    if kind in ("RangeError", "InternalError") and message in _DEPTH:
        return "depth"
    return None


def _where(stack: str) -> tuple[str, ...]:
    """Read the lines of the program's own source out of a stack, innermost last."""
    found = []
    for match in _FRAME.finditer(stack):
        place = match[1] or "<module>"
        found.append(f"line {match[2]} in {'<module>' if place == '<eval>' else place}")
    return tuple(reversed(found[:_WHERE_LINES_MAX]))


def _json(content: bytes) -> list[Any]:
    """Read what the house wrote; its texts may hold lone surrogates, which orjson refuses."""
    try:
        read = orjson.loads(content)
    except orjson.JSONDecodeError:
        read = orjson.loads(_LONE.sub(rb"\\ufffd", content))
    assert isinstance(read, list)
    return read


def _clean(text: object) -> Any:
    return text.replace("\0", "\ufffd") if isinstance(text, str) else text


_COMMON: Final = frozenset((b"[]", b"null"))
_DEPTH: Final = ("Maximum call stack size exceeded", "stack overflow")
_FRAME: Final = re.compile(rf"^\s*at (?:(\S+) \()?{re.escape(SOURCE_NAME)}:(\d+)", re.MULTILINE)
_LONE: Final = re.compile(rb"\\u[dD][89abAB-F][0-9a-fA-F]{2}")
