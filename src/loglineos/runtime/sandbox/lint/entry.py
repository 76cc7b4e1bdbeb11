"""The function that will be called: it must be there, and take one argument."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint.findings import Finding

POLICY_ENTRY = "on"
"""A program whose entry is this is a policy: it gets one span and gives actions, without ctx."""


def check_entry(tree: ast.Module, entry: str) -> list[Finding]:
    """Check that the program defines its entry, with room for exactly one argument.

    An entry that is assigned (`main = make()`) is taken as it is. An empty `entry` is a script.
    """
    if not entry:
        return []
    defined = [one for one in _statements(tree.body) if _defines(one, entry)]
    if not defined:
        message = Text(f"falta a função `{entry}`", f"the function `{entry}` is missing")
        given = "span" if entry == POLICY_ENTRY else "input"
        rewrite = Text(f"escreva: def {entry}({given}): ...", f"write: def {entry}({given}): ...")
        return [Finding(line=1, column=1, code="entry_missing", message=message, rewrite=rewrite)]
    return list(_check_definition(defined[-1], entry))


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements that run when the program is loaded, those under `if` and `try` too."""
    waiting = list(reversed(body))
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            parts = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
            waiting.extend(reversed([one for part in parts for one in part]))


def _defines(statement: ast.stmt, entry: str) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name == entry
    if isinstance(statement, ast.Assign):
        return any(isinstance(one, ast.Name) and one.id == entry for one in statement.targets)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == entry for alias in statement.names)
    return False


def _check_definition(statement: ast.stmt, entry: str) -> Iterator[Finding]:
    given: ast.arguments | None = None
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        given = statement.args if not statement.decorator_list else None
    elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Lambda):
        given = statement.value.args
    line, column = statement.lineno, statement.col_offset + 1
    if given is not None and not _takes_one(given):
        message = Text(
            f"`{entry}` recebe um só argumento", f"`{entry}` is given exactly one argument"
        )
        wanted = "span" if entry == POLICY_ENTRY else "input"
        rewrite = Text(f"escreva: def {entry}({wanted}):", f"write: def {entry}({wanted}):")
        yield Finding(
            line=line, column=column, code="entry_arguments", message=message, rewrite=rewrite
        )
    if entry == POLICY_ENTRY and isinstance(statement, ast.AsyncFunctionDef):
        yield Finding(line=line, column=column, code="entry_async", message=_ASYNC, rewrite=_PLAIN)


def _takes_one(given: ast.arguments) -> bool:
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    has_room = bool(positional) or given.vararg is not None
    return has_room and required <= 1 and not any(one is None for one in given.kw_defaults)


_ASYNC = Text("uma política não pode ser async", "a policy cannot be async")
_PLAIN = Text("escreva: def on(span):", "write: def on(span):")
