"""What the prelude gives to programs: modules like `sdk`, and the stubs of `ctx`.

They are data of the ledger; these are the copies that this version is published with.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import resources
from typing import Final

HOUSE: Final = "house"
"""The figures of the house's law, as a module of constants; only policies have it."""


@cache
def modules() -> frozenset[str]:
    """Name the modules of the prelude: they run inside the sandbox, beside the program."""
    folder = resources.files("loglineos").joinpath("rows", "prelude")
    files = [one.name for one in folder.iterdir() if one.name.endswith(".py")]
    return frozenset(name.removesuffix(".py") for name in files)


@cache
def source_of(name: str) -> str:
    """Return the text of one file of the prelude: `sdk.py`, `ctx.pyi`."""
    return resources.files("loglineos").joinpath("rows", "prelude", name).read_text("utf-8")


@cache
def stub_of(module: str) -> str:
    """Return a module of the prelude without the bodies of its functions, for the type check."""
    return stub_of_text(source_of(f"{module}.py"))


def stub_of_text(source: str) -> str:
    """Return the source of a module without the bodies of its functions."""
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            statement.body = [ast.Expr(ast.Constant(...))]
    return ast.unparse(tree)


def published_stubs() -> dict[str, str]:
    """Return the stubs of the modules that programs may import, as this version has them."""
    return {
        "ctx": source_of("ctx.pyi"),
        HOUSE: "def __getattr__(name: str) -> int: ...",
        **{name: stub_of(name) for name in sorted(modules())},
    }


@cache
def members_of(module: str) -> frozenset[str]:
    """Name what can be imported from a module of the prelude: functions and constants."""
    found: set[str] = set()
    for statement in ast.parse(source_of(f"{module}.py")).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            found.update(one.id for one in statement.targets if isinstance(one, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.add(statement.target.id)
    return frozenset(name for name in found if not name.startswith("_"))
