"""Makes the text that the Python engine is fed: imports of the prelude, the call of the entry.

The engine cannot import source, so each module of the prelude that the program uses is run in a
namespace of its own before it, and `import sdk`, `from sdk import money` become assignments. They
keep to their lines: a line number in an error is the line of the author's own text.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Final

import msgspec

from loglineos.runtime.sandbox.turns import SCRIPT, Module, Program

MODULES: Final = "__modules__"
INPUT: Final = "__input__"
SPANS: Final = "__spans__"

LOADER: Final = f"""
def __load__(sources):
    class Module:
        pass
    loaded = {{}}
    for name, source in sources:
        names = {{'{MODULES}': loaded}}
        exec(source, names)
        module = Module()
        for key, value in names.items():
            if key != '{MODULES}':
                setattr(module, key, value)
        loaded[name] = module
    return loaded
{MODULES} = __load__(__sources__)
"""
"""Runs the prelude; `__sources__` lists (name, text), the used before the user."""

EVALUATE: Final = f"""
def __evaluate__(text):
    import json
    results = []
    for span in json.loads(text):
        try:
            results.append(json.dumps([on(span), None]))
        except Exception as error:
            results.append(json.dumps([None, [type(error).__name__, str(error), []]]))
    return '[' + ','.join(results) + ']'
__evaluate__({SPANS})
"""
"""Calls `on` for each span; keeps the failure of one from the others."""


EXPLAIN: Final = f"""
import json as __json__
on(__json__.loads({SPANS})[0])
"""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What to feed: the text, its prelude in order, how many of its lines are the author's own.

    `awaited` holds the places (start, end; UTF-8 bytes) of the calls whose answers are awaited.
    """

    text: str
    prelude: tuple[tuple[str, str], ...]
    lines: int
    awaited: frozenset[tuple[int, int]]


def prepare(program: Program, *, tail: str | None = None) -> Prepared:
    """Return the text for this program; it ends with `tail`, or with the call of its entry."""
    return _prepare(program.source, program.prelude, program.entry, tail)


@lru_cache(maxsize=256)
def _prepare(source: str, prelude: tuple[Module, ...], entry: str, tail: str | None) -> Prepared:
    source = _one_kind_of_line(source)
    sources = {module.name: _one_kind_of_line(module.source) for module in prelude}
    body, used = _bind(source, sources)
    order: dict[str, str] = {}
    _gather(used, sources, order, ())
    awaited = _awaited(body) if "await" in body else frozenset()
    return Prepared(
        text=body + (_call(source, entry) if tail is None else tail),
        prelude=tuple(order.items()),
        lines=source.count("\n") + 1,
        awaited=awaited,
    )


def _call(source: str, entry: str) -> str:
    if entry == SCRIPT:
        return ""
    waits = re.search(rf"^async[ \t]+def[ \t]+{re.escape(entry)}\b", source, re.MULTILINE)
    return f"\n{'await ' if waits else ''}{entry}({INPUT})\n"


def _gather(
    names: frozenset[str], sources: dict[str, str], order: dict[str, str], above: tuple[str, ...]
) -> None:
    """Put the modules in `order`, each after those that it uses; a circle is left to fail."""
    for name in sorted(names):
        if name in order or name in above:
            continue
        text, used = _bind(sources[name], sources)
        _gather(used, sources, order, (*above, name))
        order[name] = text


def _bind(source: str, sources: dict[str, str]) -> tuple[str, frozenset[str]]:
    """Turn imports of prelude modules into assignments; return the text and the modules used."""
    if not any(name in source for name in sources):
        return source, frozenset()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source, frozenset()  # the engine tells what is wrong, in its own words
    used: set[str] = set()
    edits: list[tuple[int, int, bytes]] = []
    starts = _line_starts(source)
    for node in ast.walk(tree):
        bound = _binding(node, sources)
        if bound is not None:
            used |= bound[1]
            edits.append((*_span(node, starts), bound[0]))
    content = source.encode()
    for start, end, new in sorted(edits, reverse=True):
        content = content[:start] + new + content[end:]
    return content.decode(), frozenset(used)


def _binding(node: ast.AST, sources: dict[str, str]) -> tuple[bytes, frozenset[str]] | None:
    lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0)
    if isinstance(node, ast.Import):
        names = frozenset(alias.name for alias in node.names if alias.name in sources)
        if not names:
            return None
        text = "; ".join(
            f"{alias.asname or alias.name} = {MODULES}['{alias.name}']"
            if alias.name in sources
            else f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            for alias in node.names
        )
        return (text + " \\\n" * lines).encode(), names
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in sources:
        if any(alias.name == "*" for alias in node.names):
            return None
        targets = ", ".join(alias.asname or alias.name for alias in node.names)
        values = ", ".join(f"{MODULES}['{node.module}'].{alias.name}" for alias in node.names)
        text = f"{targets} = (" + "\n" * lines + f"{values})"
        return text.encode(), frozenset((node.module,))
    return None


def _awaited(text: str) -> frozenset[tuple[int, int]]:
    """Find the calls that stand under an `await`, or as parts of what `gather` is given there."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    starts = _line_starts(text)
    found: set[tuple[int, int]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Await):
            _add_awaited(node.value, starts, found)
        elif isinstance(node, ast.Call) and _is_gather(node):
            for part in node.args:
                _add_awaited(part, starts, found)
    return frozenset(found)


def _add_awaited(node: ast.expr, starts: list[int], found: set[tuple[int, int]]) -> None:
    if isinstance(node, ast.Call):
        found.add(_span(node, starts))
    elif isinstance(node, ast.Starred):
        _add_awaited(node.value, starts, found)
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        _add_awaited(node.elt, starts, found)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for part in node.elts:
            _add_awaited(part, starts, found)


def _is_gather(node: ast.Call) -> bool:
    callee = node.func
    name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
    return name == "gather"


def _one_kind_of_line(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line_starts(text: str) -> list[int]:
    starts, at = [0], 0
    for line in text.encode().split(b"\n"):
        at += len(line) + 1
        starts.append(at)
    return starts


def _span(node: ast.AST, starts: list[int]) -> tuple[int, int]:
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", 1)
    begin, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)
    return starts[first - 1] + begin, starts[last - 1] + end
