"""The publish-time check of a Python program: what the engine lacks, and what it is not granted.

It reads the program and never runs it. It names constructs by their shape and names; what only
shows when the program runs, it cannot see, so a program without findings may still fail.
Always holds: the check ends, whatever the text is, and its findings are in the order of the lines.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Sequence

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint import effects as effects_check
from loglineos.runtime.sandbox.lint.care import check_care
from loglineos.runtime.sandbox.lint.entry import POLICY_ENTRY, check_entry
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.lint.names import Names, names_of
from loglineos.runtime.sandbox.lint.prelude import HOUSE, members_of
from loglineos.runtime.sandbox.lint.prelude import modules as prelude_modules
from loglineos.runtime.sandbox.lint.rules import engine, rule_of, rules_named
from loglineos.runtime.sandbox.lint.shapes import shapes_of
from loglineos.runtime.sandbox.lint.source import check_text, parse

CAPABILITIES = "ctx"
"""The one module whose members are effects."""


def check_python(
    source: str,
    *,
    entry: str,
    effects: Sequence[str],
    modules: Collection[str] = (),
    is_full: bool = False,
) -> list[Finding]:
    """Check a Python program before it is published; findings come in the order of the lines.

    `entry` is the function that will be called with one argument: `main`, or `on` for a policy;
    empty for a script. `effects` are those that its row declares. `modules` are those that the
    house's own prelude adds. `is_full`: it will run in CPython, and what the engine lacks is no
    matter. A program may be published when none of the findings is an error.
    """
    faults = check_text(source)
    if faults:
        return faults
    tree = parse(source)
    if isinstance(tree, Finding):
        return [tree]
    names = names_of(tree)
    names.prelude = {*modules, *([HOUSE] if entry == POLICY_ENTRY else [])}
    nodes = () if is_full else ast.walk(tree)
    found = [
        *(finding for node in nodes for finding in _check_node(node, names)),
        *check_entry(tree, entry),
        *effects_check.check_effects(tree, names, entry=entry, declared=effects),
    ]
    return _in_order(found)


def effects_used(source: str, *, entry: str = "main") -> tuple[str, ...]:
    """Name the effects that a program asks for, sorted: what its row should declare.

    A host that is only known when the program runs is named `http:?`, such a secret `secret:?`.
    Empty for a text that is no Python.
    """
    tree = parse(source) if not check_text(source) else None
    if not isinstance(tree, ast.Module):
        return ()
    return effects_check.effects_of(tree, names_of(tree), entry=entry)


def _check_node(node: ast.AST, names: Names) -> Iterator[Finding]:
    for code in shapes_of(node, names):
        yield rule_of(code).found(*_place(node))
    yield from check_care(node, names)
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _check_import(node, names)
    elif isinstance(node, ast.Name):
        yield from _check_name(node, names)
    elif isinstance(node, ast.Attribute):
        yield from _check_attribute(node, names)
    elif isinstance(node, ast.ClassDef):
        yield from _check_methods(node)


def _check_import(node: ast.Import | ast.ImportFrom, names: Names) -> Iterator[Finding]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _check_module(node, alias.name, names)
        return
    if node.level or any(alias.name == "*" for alias in node.names):
        return  # a shape of its own
    module = node.module or ""
    if module.partition(".")[0] == CAPABILITIES:
        return
    missing = list(_check_module(node, module, names))
    if missing:
        yield from missing
        return
    for alias in node.names:
        yield from _check_member(node, module, alias.name)


def _check_module(node: ast.stmt, module: str, names: Names) -> Iterator[Finding]:
    top = module.partition(".")[0]
    if top == CAPABILITIES or module in names.prelude or module in prelude_modules():
        return
    if module in engine().modules:
        return
    rules = rules_named("module")
    rule = rules.get(module) or rules.get(top)
    if rule is not None:
        yield rule.found(*_place(node), what=f"`{module}`")
    else:
        yield _absent(node, "module", module, _NO_MODULE)


def _check_member(node: ast.AST, module: str, member: str) -> Iterator[Finding]:
    if module in prelude_modules():
        if member not in members_of(module):
            yield _absent(node, "member", f"{module}.{member}", _SEE_REFERENCE)
        return
    known = engine().modules.get(module)
    name = f"{module}.{member}"
    if known is None or member in known or name in engine().modules:
        return
    rule = rules_named("member").get(name)
    if rule is None and name in _OF_CLASSES:
        rule = rule_of(_OF_CLASSES[name])
    yield rule.found(*_place(node)) if rule else _absent(node, "member", name, _SEE_REFERENCE)


def _check_name(node: ast.Name, names: Names) -> Iterator[Finding]:
    name = node.id
    if not isinstance(node.ctx, ast.Load) or name in names.bound:
        return
    if name in names.modules or name in names.members:
        return
    rule = rules_named("builtin").get(name)
    if rule is not None:
        if name != "object" or id(node) in names.called:
            yield rule.found(*_place(node))
        return
    known = getattr(builtins, name, None)
    is_exception = isinstance(known, type) and issubclass(known, BaseException)
    if is_exception and name not in engine().exceptions:
        yield _absent(node, "builtin", name, _USE_VALUE_ERROR)


def _check_attribute(node: ast.Attribute, names: Names) -> Iterator[Finding]:
    target = names.target(node.value)
    if target is not None and target.partition(".")[0] == CAPABILITIES:
        return
    if target is not None and (target in engine().modules or target in prelude_modules()):
        yield from _check_member(node, target, node.attr)
        return
    if node.attr in names.attributes:
        return
    rule = rules_named("method").get(node.attr)
    if rule is not None and isinstance(node.ctx, ast.Load):
        yield rule.found(*_place(node))


def _check_methods(node: ast.ClassDef) -> Iterator[Finding]:
    rules = rules_named("special_method")
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name in rules:
            yield rules[part.name].found(*_place(part))


def _absent(node: ast.AST, code: str, name: str, rewrite: Text) -> Finding:
    line, column = _place(node)
    message = Text(f"aqui não existe `{name}`", f"there is no `{name}` here")
    return Finding(line=line, column=column, code=code, message=message, rewrite=rewrite)


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1


def _in_order(found: list[Finding]) -> list[Finding]:
    kept: dict[tuple[int, int, str], Finding] = {}
    for finding in found:
        kept.setdefault((finding.line, finding.column, finding.message.en), finding)
    return sorted(kept.values(), key=lambda one: (one.line, one.column, one.code))


_OF_CLASSES = {"typing.TypedDict": "typed_dict", "typing.NamedTuple": "named_tuple"}
"""Members that are told by the rule for the class that is made of them."""
_NO_MODULE = Text(
    "escreva o que precisa, ou use uma função de tipo full (docs/reference/functions.md)",
    "write what you need, or use a function of runtime full (docs/reference/functions.md)",
)
_SEE_REFERENCE = Text(
    "veja em docs/reference/functions.md o que há",
    "see docs/reference/functions.md for what there is",
)
_USE_VALUE_ERROR = Text(
    "use ValueError ou RuntimeError, com um texto que comece por um código",
    "use ValueError or RuntimeError, with a text that begins with a code",
)
