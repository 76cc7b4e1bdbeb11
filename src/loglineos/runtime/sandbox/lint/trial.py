"""The trial compile: the pinned engine itself reads a program, without running any of it.

Only the runner's process drives the engine, so this is called there, with the runner's pool; its
findings are plain structs that cross the pipe. It takes some 20 ms: for publishing only.

Always holds: no line of the program runs; a program that harms the engine's process is a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic_monty import (
    ExternalModule,
    Monty,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    MontyTypingError,
    ResourceLimits,
)

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint.findings import Finding, Severity
from loglineos.runtime.sandbox.lint.prelude import published_stubs
from loglineos.runtime.sandbox.lint.rules import engine
from loglineos.runtime.sandbox.lint.source import check_text

STOP: Final = "__stop__()\n"
"""Put before the program: the engine reads all of it, then stops here."""

LIMITS: Final[ResourceLimits] = {
    "max_feed_duration_secs": 2.0,
    "max_turn_duration_secs": 2.0,
    "max_memory": 128 * 1024 * 1024,
    "max_recursion_depth": 200,
    "max_suspensions": 4,
}
_SURE: Final = frozenset(
    {
        "unresolved-reference", "unresolved-import", "too-many-positional-arguments",
        "missing-argument", "unknown-argument", "call-non-callable", "invalid-syntax",
    }
)  # fmt: skip
"""Where the type check is sure; the rest of what it says depends on values, and is a warning."""
_UNRESOLVED: Final = re.compile(r"Name `([^`]+)` used when not defined")
_FINDINGS_MAX: Final = 50
_MESSAGE_CHARACTERS_MAX: Final = 300


def trial_compile(
    pool: Monty, source: str, *, stubs: Mapping[str, str] | None = None, with_types: bool = True
) -> list[Finding]:
    """Compile a program in the engine and check its types, without running it.

    `stubs` are the texts of the modules that it may import, by name; without them, those that this
    version was published with. An error is what would keep the program from loading, or would fail
    whenever its line is reached; everything else that the type check says is a warning.
    """
    faults = check_text(source) or _compile(pool, source)
    if faults or not with_types:
        return faults
    return _check_types(pool, source, published_stubs() if stubs is None else stubs)


def _compile(pool: Monty, source: str) -> list[Finding]:
    try:
        with pool.checkout(limits=LIMITS) as session:
            session.feed_start(STOP + source)
    except (MontySyntaxError, MontyRuntimeError) as error:
        return _failure(error)
    except MontyError:
        return [_harmful()]
    return []


def _failure(error: MontySyntaxError | MontyRuntimeError) -> list[Finding]:
    frames = error.traceback()
    line = frames[-1].line - 1 if frames else 1
    inner = error.exception()
    if line < 1 and isinstance(inner, NameError):
        return []  # the program defines the name of the stop
    if isinstance(inner, MemoryError | RecursionError | TimeoutError):
        return [_harmful()]
    told = _told(str(inner))
    message = Text(f"o motor não aceita: {told}", f"the engine does not accept: {told}")
    column = max(1, frames[-1].column) if frames else 1
    return [
        Finding(line=max(1, line), column=column, code="compile", message=message, rewrite=_REWRITE)
    ]


def _check_types(pool: Monty, source: str, stubs: Mapping[str, str]) -> list[Finding]:
    given = {name: ExternalModule({}, stubs=text) for name, text in stubs.items()}
    try:
        with pool.checkout(
            limits=LIMITS, type_check=True, type_check_format="json", external_modules=given
        ) as session:
            session.feed_run(STOP + source)  # always refused: the stop has no type
    except MontyTypingError as error:
        return _diagnostics(error.display())
    except MontyError:
        return [_harmful()]
    return []


def _diagnostics(text: str) -> list[Finding]:
    try:
        told: list[dict[str, Any]] = json.loads(text)
    except ValueError:
        return []
    found = [
        _diagnostic(one)
        for one in told
        if one["location"]["row"] > 1 and not _knows_better(one["code"], one["message"])
    ]
    return sorted(found[:_FINDINGS_MAX], key=lambda one: (one.line, one.column))


def _knows_better(code: str, message: str) -> bool:
    """Tell whether the type check misses a name that the engine does have: it knows a few less."""
    found = _UNRESOLVED.match(message) if code == "unresolved-reference" else None
    return found is not None and found[1] in engine().builtins | engine().exceptions


def _diagnostic(one: dict[str, Any]) -> Finding:
    message = _told(one["message"])
    severity: Severity = "error" if one["code"] in _SURE else "warning"
    return Finding(
        line=one["location"]["row"] - 1, column=one["location"]["column"], code=one["code"],
        message=Text(f"tipos: {message}", f"types: {message}"), rewrite=_TYPES, severity=severity,
    )  # fmt: skip


def _told(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE_CHARACTERS_MAX]


def _harmful() -> Finding:
    return Finding(line=1, column=1, code="compile", message=_TOO_MUCH, rewrite=_SPLIT)


_REWRITE = Text(
    "veja em docs/reference/functions.md como se escreve aqui",
    "see docs/reference/functions.md for how it is written here",
)
_TYPES = Text(
    "compare com os tipos em docs/reference/functions.md",
    "compare with the types in docs/reference/functions.md",
)
_TOO_MUCH = Text(
    "compilar este código passa os limites do motor",
    "compiling this code exceeds the engine's limits",
)
_SPLIT = Text("divida-o em funções mais pequenas", "split it into smaller functions")
