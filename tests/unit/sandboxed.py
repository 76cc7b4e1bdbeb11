"""Runs small scripts in the pinned engine and in CPython, so that a test can compare the two."""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

import msgspec
from pydantic_monty import CollectString, Monty, MontyError

from loglineos.runtime.sandbox.lint.prelude import source_of

LIMITS: Any = {
    "max_feed_duration_secs": 5.0,
    "max_turn_duration_secs": 5.0,
    "max_memory": 64 * 1024 * 1024,
    "max_recursion_depth": 200,
}
LOADER = """
class _Module:
    pass
def _load(source):
    names, module = {}, _Module()
    exec(source, names)
    for name, value in names.items():
        setattr(module, name, value)
    return module
sdk = _load(sdk_source)
"""


class Outcome(msgspec.Struct, frozen=True):
    """How a script ended: its answer, or the type and text of what it raised."""

    value: Any = None
    error: str | None = None


def run_in_engine(pool: Monty, script: str, **inputs: Any) -> Outcome:
    """Run a script in the engine; `from sdk import x` works as in a function of a house."""
    try:
        with pool.checkout(limits=LIMITS) as session:
            if "from sdk import" in script:
                session.feed_run(LOADER, inputs={"sdk_source": source_of("sdk.py")})
            value = session.feed_run(
                _bound(script), inputs=inputs, print_callback=CollectString(65536)
            )
    except MontyError as error:
        return Outcome(error=str(error))
    return Outcome(value=value)


def run_in_cpython(script: str, **inputs: Any) -> Outcome:
    """Run a script in this Python."""
    names: dict[str, Any] = dict(inputs)
    if "from sdk import" in script:
        names["sdk"] = module = type("Module", (), {})
        loaded: dict[str, Any] = {"__name__": "sdk"}
        exec(compile(source_of("sdk.py"), "sdk.py", "exec"), loaded)
        for name, value in loaded.items():
            setattr(module, name, staticmethod(value) if callable(value) else value)
    tree = ast.parse(_bound(script))
    last = tree.body.pop()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(tree, "script", "exec"), names)
            if isinstance(last, ast.Expr):
                return Outcome(value=eval(compile(ast.Expression(last.value), "s", "eval"), names))
            exec(compile(ast.Module([last], []), "script", "exec"), names)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is the answer
        return Outcome(error=f"{type(error).__name__}: {error}")
    return Outcome()


def same(one: Any, other: Any) -> bool:
    """Tell whether two answers are the same, of the same types, down to the last digit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other) and repr(one) == repr(other)


def _bound(script: str) -> str:
    """Turn `from sdk import a, b` into assignments, on the same line."""
    lines = script.split("\n")
    for place, line in enumerate(lines):
        if line.startswith("from sdk import "):
            names = [one.strip() for one in line.removeprefix("from sdk import ").split(",")]
            lines[place] = "; ".join(f"{name} = sdk.{name}" for name in names)
    return "\n".join(lines)
