"""What the names of a program stand for: imports, classes, functions, attributes of its own.

Scopes are not told apart: a name that the program binds anywhere counts as its own everywhere, so
that a check may miss something, but never accuses a program of what it does not do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec


class Names(msgspec.Struct, kw_only=True):
    """What one program binds, and where its nodes hang."""

    modules: dict[str, str] = msgspec.field(default_factory=dict)
    """Local name → module: `import datetime as dt` is {"dt": "datetime"}."""
    members: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    """Local name → (module, member): `from re import sub` is {"sub": ("re", "sub")}."""
    bound: set[str] = msgspec.field(default_factory=set)
    """Names that the program itself binds, without its imports."""
    classes: set[str] = msgspec.field(default_factory=set)
    functions: set[str] = msgspec.field(default_factory=set)
    attributes: set[str] = msgspec.field(default_factory=set)
    """Methods, class variables and attributes that the program gives its own values."""
    prelude: set[str] = msgspec.field(default_factory=set)
    """Modules that it may import besides those of the engine and of this version's prelude."""
    called: set[int] = msgspec.field(default_factory=set)
    """`id` of each node that is called: `f` in `f(x)`."""
    inner: set[int] = msgspec.field(default_factory=set)
    """`id` of each attribute that is only a step to another: `ctx.ledger` in `ctx.ledger.get`."""

    def target(self, node: ast.expr) -> str | None:
        """Name what an expression stands for in full: `wraps` may be `functools.wraps`.

        A built-in name that the program does not bind stands for itself. None: not known.
        """
        steps: list[str] = []
        while isinstance(node, ast.Attribute):
            steps.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        if node.id in self.bound:
            return None
        if node.id in self.modules:
            base = self.modules[node.id]
        elif node.id in self.members:
            base = ".".join(self.members[node.id])
        else:
            base = node.id
        return ".".join([base, *reversed(steps)])


def names_of(tree: ast.Module) -> Names:
    """Read the names of a program in one walk; needs no recursion, however deep the program is."""
    names = Names()
    for node in ast.walk(tree):
        _note(node, names)
    return names


def _note(node: ast.AST, names: Names) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            names.modules[local] = alias.name if alias.asname else local
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            names.members[alias.asname or alias.name] = (node.module or "", alias.name)
    elif isinstance(node, ast.ClassDef):
        names.bound.add(node.name)
        names.classes.add(node.name)
        names.attributes.update(_class_names(node))
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names.bound.add(node.name)
        names.functions.add(node.name)
    elif isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            names.bound.add(node.id)
    elif isinstance(node, ast.arg):
        names.bound.add(node.arg)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        names.bound.update([node.name] if node.name else [])
    elif isinstance(node, ast.MatchMapping):
        names.bound.update([node.rest] if node.rest else [])
    elif isinstance(node, ast.Call):
        names.called.add(id(node.func))
        names.attributes.update(_field_names(node))
    elif isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Attribute):
            names.inner.add(id(node.value))
        if isinstance(node.ctx, ast.Store):
            names.attributes.add(node.attr)


def _class_names(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id
        elif isinstance(part, ast.Assign):
            yield from (one.id for one in part.targets if isinstance(one, ast.Name))


def _field_names(node: ast.Call) -> Iterator[str]:
    """Give the fields that `namedtuple('P', 'x y')` makes, and the name that `setattr` sets."""
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if called not in ("namedtuple", "setattr") or len(node.args) < 2:
        return
    given = node.args[1]
    parts = given.elts if isinstance(given, ast.List | ast.Tuple) else [given]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from part.value.replace(",", " ").split()
