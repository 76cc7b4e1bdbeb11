"""What a program is, what it says at each turn, and what it may be answered.

A session is a conversation: `start` gives the first turn; a `Suspended` or `Waiting` turn is
answered and gives the next; `Completed` and `Failed` are the last.

Always holds: every value in a turn or answer has been through `canon` (values.py) on both sides of
the runner's pipe; no text of ours (paths, names of our functions) is in a turn.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

ALLOWED_ERRORS: Final = (
    "RuntimeError",
    "ValueError",
    "TimeoutError",
    "PermissionError",
    "KeyError",
)
"""The only exceptions that an answer may raise inside the sandbox."""

SCRIPT: Final = ""
"""`Program.entry` of a script: it has no entry function, its last expression is its output."""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module of the prelude: runs inside the sandbox, reachable by `import name`."""

    name: str
    source: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, and the world that it sees.

    `modules` lists the capabilities, each by its whole name: `("ctx.emit", "ctx.ledger.get")`.
    `frozen_at` set is tier P: the clock stands still and sleeping is refused. None is tier D: clock
    readings and sleeps become suspensions of kind "os".
    """

    source: str
    entry: str = "main"
    language: Literal["python", "javascript"] = "python"
    prelude: tuple[Module, ...] = ()
    modules: tuple[str, ...] = ()
    seed: str = ""
    frozen_at: str | None = None


class Suspended(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="suspended"):
    """The program asks for something and stands still until it is answered.

    Kind "call": `name` is one of `Program.modules`. Kind "os": `name` is `datetime.now`,
    `date.today`, `time.time` (answer: the instant, as `{"$time": ...}`; the runner gives it the
    form that was asked for), `time.sleep` or `asyncio.sleep` (args: seconds; answer: None).

    `awaited`: the call stands under an `await` or in a `gather`, so it must be answered with
    `Later` and settled when the turn is `Waiting`. Every other call must be answered outright.
    """

    kind: Literal["call", "os"]
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    call_id: int
    awaited: bool = False
    cpu_us: int = 0
    printed: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="waiting"):
    """Every coroutine waits: settle exactly one of `pending` (sorted), then go on.

    The order of settling can be seen by the program, so it belongs in the journal.
    """

    pending: tuple[int, ...]
    cpu_us: int = 0
    printed: str = ""


class Completed(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="completed"):
    """The program is done; `output` is plain JSON."""

    output: Any
    cpu_us: int = 0
    printed: str = ""


class ProgramError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong in the program: its own exception, or the limit that it passed.

    `where` lists lines like `line 3 in main`, innermost last. `limit` says which limit tripped;
    such an outcome is recorded, a replay cannot prove it.
    """

    type: str
    message: str
    where: tuple[str, ...] = ()
    limit: Literal["time", "memory", "depth", "calls", "size"] | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="failed"):
    """The program is done, badly."""

    error: ProgramError
    cpu_us: int = 0
    printed: str = ""


Turn = Suspended | Waiting | Completed | Failed


class Value(msgspec.Struct, frozen=True, tag_field="answer", tag="value"):
    """The answer is this value; `{"$time": ...}` and its like reach the program as themselves."""

    value: Any = None


class Raised(msgspec.Struct, frozen=True, tag_field="answer", tag="raised"):
    """The answer is this exception, of a type in `ALLOWED_ERRORS`; anything else is RuntimeError.

    `message` is shown to the program: write it from a fixed vocabulary, never from `str(error)`.
    """

    type: str
    message: str = ""


class Later(msgspec.Struct, frozen=True, tag_field="answer", tag="later"):
    """The answer comes by `settle`, when the turn is `Waiting`; only for an `awaited` call."""


Settled = Value | Raised
Answer = Value | Raised | Later


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="evaluated"):
    """One result for each span of a batch, in order: what `on(span)` gave, or how it failed.

    A result that is no `ProgramError` is the list of actions, plain JSON; `None` counts as none.
    """

    results: tuple[tuple[list[Any] | None, ProgramError | None], ...]
    cpu_us: int = 0
    printed: str = ""


Outcome = Evaluated | Failed
"""`Failed` is of the whole batch: a limit tripped or the source does not load; bisect it."""
