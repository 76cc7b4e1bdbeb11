"""Constructs that are known by the shape of the code: which rules a node breaks."""

from __future__ import annotations

import ast
import codecs
from collections.abc import Callable, Iterator
from typing import Any, Final

from loglineos.runtime.sandbox.lint.names import Names
from loglineos.runtime.sandbox.lint.rules import engine

_ENDLESS: Final = frozenset({"itertools.count", "itertools.cycle", "itertools.repeat"})
_LISTS_AT_ONCE: Final = frozenset({"map", "filter", "enumerate", "reversed", "itertools.starmap"})
"""Give lists in the engine, made at once, where CPython gives iterators."""
_NOT_ITERATORS: Final = frozenset({"map", "filter", "zip", "enumerate", "reversed"})
_DATACLASS_OPTIONS: Final = frozenset({"frozen", "eq"})
_ON: Final = frozenset({"init", "repr", "match_args"})
"""Options of a dataclass that are on unless it says otherwise; the others are off."""
_FIELD_OPTIONS: Final = frozenset({"default", "default_factory"})
_BASES: Final = {
    "enum.Enum": "enum", "enum.StrEnum": "enum", "enum.IntEnum": "enum", "enum.Flag": "enum",
    "typing.TypedDict": "typed_dict", "typing.NamedTuple": "named_tuple",
}  # fmt: skip


def shapes_of(node: ast.AST, names: Names) -> Iterator[str]:
    """Give the codes of the rules that this node breaks, by itself."""
    check = _CHECKS.get(type(node))
    if check is not None:
        yield from check(node, names)


def _class(node: ast.ClassDef, names: Names) -> Iterator[str]:
    for base in node.bases:
        target = names.target(base) or ""
        if target in _BASES:
            yield _BASES[target]
        elif target.endswith(("Exception", "Error")):
            yield "custom_exception"
        else:
            yield "inheritance"
    if node.keywords:
        yield "inheritance"
    for part in node.body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            if part.decorator_list:
                yield "method_decorator"
        elif not _is_simple(part):
            yield "class_body"


def _is_simple(part: ast.stmt) -> bool:
    if isinstance(part, ast.Assign):
        return len(part.targets) == 1 and isinstance(part.targets[0], ast.Name)
    if isinstance(part, ast.AnnAssign):
        return isinstance(part.target, ast.Name)
    return isinstance(part, ast.Pass) or (
        isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
    )


def _import_from(node: ast.ImportFrom, _: Names) -> Iterator[str]:
    if node.level:
        yield "relative_import"
    if any(alias.name == "*" for alias in node.names):
        yield "star_import"


def _call(node: ast.Call, names: Names) -> Iterator[str]:
    target = names.target(node.func) or ""
    keywords = {one.arg for one in node.keywords if one.arg is not None}
    if _is_exception(target) and _takes_no_text(node):
        yield "exception_argument"
    if target == "next" and node.args and _makes_list(node.args[0], names):
        yield "next_of_list"
    if target in _LISTS_AT_ONCE and any(_is_endless(one, names) for one in node.args):
        yield "endless"
    if target == "zip" and node.args and all(_is_endless(one, names) for one in node.args):
        yield "endless"
    if target == "dataclasses.dataclass" and _asks(node, keywords - _DATACLASS_OPTIONS):
        yield "dataclass_option"
    if target == "dataclasses.field" and keywords - _FIELD_OPTIONS:
        yield "field_option"
    if target == "re.sub" and len(node.args) > 1 and _is_function(node.args[1], names):
        yield "sub_callable"
    if target == "datetime.timedelta" and _takes_fraction(node):
        yield "timedelta_float"
    if target == "bytes" and len(node.args) == 1 and isinstance(node.args[0], _SEQUENCES):
        yield "bytes_of_list"
    if target in ("json.dumps", "json.dump") and keywords & {"default", "cls"}:
        yield "json_option"
    is_text = isinstance(node.func, ast.Attribute) and node.func.attr in ("encode", "decode")
    if is_text and node.args and _is_other_encoding(node.args[0]):
        yield "encoding"


def _asks(node: ast.Call, options: set[str]) -> bool:
    """Tell whether one of the options is asked for: `order=False` is what there is anyway."""
    return any(
        one.arg in options
        and not (isinstance(one.value, ast.Constant) and one.value.value is (one.arg in _ON))
        for one in node.keywords
    )


def _is_exception(target: str) -> bool:
    return target in engine().exceptions


def _takes_no_text(node: ast.Call) -> bool:
    if len(node.args) > 1:
        return True
    if not node.args or isinstance(node.args[0], ast.Starred):
        return False
    given = node.args[0]
    if isinstance(given, ast.Constant):
        return not isinstance(given.value, str)
    return isinstance(given, ast.Tuple | ast.List | ast.Dict | ast.Set)


def _makes_list(node: ast.expr, names: Names) -> bool:
    if isinstance(node, ast.GeneratorExp):
        return True
    return isinstance(node, ast.Call) and (names.target(node.func) or "") in _NOT_ITERATORS


def _is_endless(node: ast.expr, names: Names) -> bool:
    if not isinstance(node, ast.Call):
        return False
    target = names.target(node.func) or ""
    if target == "itertools.repeat":
        return len(node.args) < 2 and not node.keywords
    return target in _ENDLESS


def _comprehension(
    node: ast.GeneratorExp | ast.ListComp | ast.SetComp, names: Names
) -> Iterator[str]:
    if any(_is_endless(one.iter, names) for one in node.generators):
        yield "endless"
    if any(one.is_async for one in node.generators):
        yield "async_for"


def _is_function(node: ast.expr, names: Names) -> bool:
    if isinstance(node, ast.Lambda):
        return True
    return isinstance(node, ast.Name) and node.id in names.functions


def _takes_fraction(node: ast.Call) -> bool:
    return any(_is_fraction(one) for one in [*node.args, *(one.value for one in node.keywords)])


def _is_fraction(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return True
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _is_other_encoding(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    try:
        return codecs.lookup(node.value).name not in engine().encodings
    except (LookupError, ValueError):
        return True


def _attribute(node: ast.Attribute, names: Names) -> Iterator[str]:
    target = names.target(node.value)
    if isinstance(node.value, ast.Name) and node.value.id in names.functions - names.classes:
        if node.attr == "__name__":
            yield "function_name"
        elif not (node.attr.startswith("__") or isinstance(node.ctx, ast.Load)):
            yield "function_attribute"
    if target in engine().types:
        name = f"{target}.{node.attr}"
        if name not in engine().type_functions and not node.attr.startswith("__"):
            yield "type_method"
    elif _is_method_value(node, names, target):
        yield "method_value"


def _is_method_value(node: ast.Attribute, names: Names, target: str | None) -> bool:
    if node.attr not in engine().methods or node.attr in names.attributes:
        return False
    if not isinstance(node.ctx, ast.Load) or id(node) in names.called or id(node) in names.inner:
        return False
    imported = names.modules.keys() | names.members.keys()
    root = (target or "").partition(".")[0]
    return not (root and (root in names.modules.values() or _root_of(node) in imported))


def _root_of(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _compare(node: ast.Compare, names: Names) -> Iterator[str]:
    sides = [node.left, *node.comparators]
    asks_type = any(isinstance(one, ast.Call) and names.target(one.func) == "type" for one in sides)
    if asks_type and any(_is_exception(names.target(one) or "") for one in sides):
        yield "exception_type"


def _one(code: str) -> Callable[[Any, Names], Iterator[str]]:
    return lambda _node, _names: iter((code,))


_SEQUENCES: Final = (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp)
_CHECKS: Final[dict[type[ast.AST], Callable[[Any, Names], Iterator[str]]]] = {
    ast.Yield: _one("yield"),
    ast.YieldFrom: _one("yield"),
    ast.Delete: _one("del"),
    ast.AsyncFor: _one("async_for"),
    ast.AsyncWith: _one("async_for"),
    ast.TryStar: _one("except_star"),
    ast.ClassDef: _class,
    ast.ImportFrom: _import_from,
    ast.Call: _call,
    ast.GeneratorExp: _comprehension,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.Attribute: _attribute,
    ast.Compare: _compare,
}
