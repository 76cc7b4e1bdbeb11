"""The page of what a function may use: made of the stubs of ctx, the prelude and the linter's rules.

Always holds: what the page says is missing is what the check before publishing refuses.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from loglineos.runtime.sandbox.lint.prelude import source_of
from loglineos.runtime.sandbox.lint.rules import ABSENT, CARE, Rule, engine, every_rule

Table = Callable[[Iterable[object], Iterable[Iterable[object]]], str]

_MISSING: Final = {
    "": "Grammar and habits", "builtin": "Built-in names", "special_method": "Special methods of classes",
    "method": "Methods of values", "member": "Members of modules", "module": "Modules",
}  # fmt: skip
_SECTION: Final = re.compile(r"# --- (?P<title>[^-].*?) -{3,}")


def functions_parts(table: Table) -> list[str]:
    """Return the parts of the page, in order; `table` writes a Markdown table."""
    rules = every_rule()
    missing = [one for one in rules if one.code not in CARE]
    return [
        "A function of a house is Python in one file: `def main(input)` gets JSON and returns JSON; a\n"
        "policy is `def on(span)` and returns a list of actions. It runs in a sandbox that knows a part\n"
        "of Python 3.11. This page says which part: what `ctx` offers, what `sdk` adds, what is missing\n"
        "and how to write it instead. What stands under *What is missing* is also what the check before\n"
        "publishing names, with the line; each entry is proved by running both ways in the engine.",
        "## ctx: what a function may ask of its house\n\n"
        "`import ctx`, in a function of runtime `durable`. Each call is one step of the journal. The\n"
        "effect must be declared by the function and granted by the house's manifest.\n\n"
        + table(("call", "effect", "what it does"), _capabilities()),
        "## sdk: what the prelude adds\n\n"
        "`from sdk import money`. It runs inside the sandbox beside the function: it costs no step and\n"
        "gives the same answer each time. What is named as in Python's library answers as it does there.",
        *(f"### {title}\n\n{table(('name', 'what it does'), rows)}" for title, rows in _prelude()),
        "## What can be imported\n\n"
        "Besides `ctx` and the prelude, these modules, with these members:\n\n"
        + table(("module", "members"), _modules()),
        "## What is missing\n\n"
        "Where nothing is said to be the matter, it is simply not there. Findings marked *warning* are\n"
        "told, and do not keep a function from being published.",
        *_tables(table, missing),
        "## What to be wary of\n\n"
        "It works, and is told as a warning: it is rarely what a house wants.\n\n"
        + table(_HEADS, (_row(one) for one in rules if one.code in CARE)),
        "## What differs silently\n\n"
        "Measured against CPython: `round()` of a float differs in some 6 of 400 cases; the last digit\n"
        "of `gamma`, `lgamma` and `cbrt` may; so do `re` patterns that match nothing (`'x*'`), `$` before\n"
        "a last line break, and a dict with the keys `1`, `True` and `1.0`. Sets keep the order in which\n"
        "they were filled. Count money in `Decimal` or in whole cents.",
    ]


def capability_names() -> list[str]:
    """Name every function of ctx, as a program calls it."""
    return [name for name, _ in _stubs()]


def _capabilities() -> Iterator[tuple[str, str, str]]:
    for name, stub in _stubs():
        told = " ".join((ast.get_docstring(stub) or "").split())
        about, _, effect = told.partition(" [")
        yield f"`{name}{_signature(stub)}`", f"{effect.rstrip(']')}", about


def _stubs() -> Iterator[tuple[str, ast.FunctionDef]]:
    tree = ast.parse(source_of("ctx.pyi"))
    groups = {
        ast.unparse(one.annotation): ast.unparse(one.target)
        for one in tree.body
        if isinstance(one, ast.AnnAssign)
    }
    for one in tree.body:
        if isinstance(one, ast.ClassDef):
            for part in one.body:
                if isinstance(part, ast.FunctionDef):
                    yield f"ctx.{groups[one.name]}.{part.name}", part
        elif isinstance(one, ast.FunctionDef):
            yield f"ctx.{one.name}", one


def _signature(stub: ast.FunctionDef) -> str:
    given = copy.deepcopy(stub.args)
    for one in (*given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if one is not None:
            one.annotation = None
    return f"({ast.unparse(given).removeprefix('self, ')})"


def _prelude() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    source = source_of("sdk.py")
    titles = [
        (number, found["title"])
        for number, line in enumerate(source.split("\n"), start=1)
        if (found := _SECTION.match(line))
    ]
    for place, (start, title) in enumerate(titles):
        end = titles[place + 1][0] if place + 1 < len(titles) else 10**9
        rows = [row for one in ast.parse(source).body if start < one.lineno < end for row in _member(one)]
        yield title[:1].upper() + title[1:], rows


def _member(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_"):
        told = " ".join((ast.get_docstring(statement) or "").split())
        yield f"`{statement.name}{_signature(statement)}`", told
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield f"`{target.id}`", f"`` {ast.unparse(statement.value)} ``"


def _modules() -> Iterator[tuple[str, str]]:
    for name, members in engine().modules.items():
        yield f"`{name}`", ", ".join(f"`{one}`" for one in sorted(members))


_HEADS: Final = ("construct", "what is the matter", "instead", "em português")


def _tables(table: Table, rules: list[Rule]) -> Iterator[str]:
    for code, title in _MISSING.items():
        chosen = [one for one in rules if one.code == code or (not code and not one.names)]
        yield f"### {title}\n\n{table(_HEADS, (_row(one) for one in chosen))}"


def _row(rule: Rule) -> tuple[str, str, str, str]:
    matter = [] if rule.message == ABSENT else [rule.says().en]
    matter += ["*(warning)*"] if rule.severity == "warning" else []
    return rule.what, " ".join(matter), _rewrite(rule.rewrite.en, "write: "), _rewrite(rule.rewrite.pt, "escreva: ")


def _rewrite(text: str, mark: str) -> str:
    """Set what is all code as code."""
    bare = text.removeprefix(mark)
    is_code = bare != text and not re.search(r"; | com | where |, ou |, or ", bare)
    return f"`{bare}`" if is_code else text
