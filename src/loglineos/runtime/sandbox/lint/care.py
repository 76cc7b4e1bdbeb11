"""What works, but a house should not want: money in floats, code that nobody has checked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.lint.names import Names
from loglineos.runtime.sandbox.lint.rules import rule_of

_MONEY: Final = re.compile(
    r"(^|_)(preco|preço|valor|montante|custo|total|subtotal|saldo|iva|euros?|"
    r"price|amount|cost|balance|fee|tax|salary|discount|desconto|refund|reembolso)s?($|_)"
)
_CENTS: Final = re.compile(r"(^|_)(cents?|centimos?|cêntimos?|centavos?)($|_)")
_ARITHMETIC: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def check_care(node: ast.AST, names: Names) -> Iterator[Finding]:
    """Give the warnings about one node."""
    if isinstance(node, ast.Call):
        target = names.target(node.func)
        if target == "round" and _rounds_money(node):
            yield _found("round_money", node)
        elif target == "float" and node.args and is_money(node.args[0]):
            yield _found("float_money", node)
        elif target in ("eval", "exec"):
            rule = rule_of("unchecked_code")
            yield rule.found(node.lineno, node.col_offset + 1, what=f"`{target}`")
    elif isinstance(node, ast.BinOp):
        if _is_float_arithmetic(node.op, [node.left, node.right]):
            yield _found("float_money", node)
    elif isinstance(node, ast.AugAssign):
        if _is_float_arithmetic(node.op, [node.target, node.value]):
            yield _found("float_money", node)
    elif isinstance(node, ast.Assign):
        if any(is_money(one) for one in node.targets) and _is_float(node.value):
            yield _found("float_money", node)
    elif isinstance(node, ast.AnnAssign) and is_money(node.target):
        is_float = isinstance(node.annotation, ast.Name) and node.annotation.id == "float"
        if is_float or (node.value is not None and _is_float(node.value)):
            yield _found("float_money", node)


def is_money(node: ast.AST) -> bool:
    """Tell whether an expression is money by its name: `price`, `order.total`, `line["valor"]`."""
    name = _name_of(node)
    return name is not None and bool(_MONEY.search(name)) and not _CENTS.search(name)


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id.lower()
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value.lower() if isinstance(node.slice.value, str) else None
    return None


def _is_float_arithmetic(operator: ast.operator, sides: list[ast.expr]) -> bool:
    if not isinstance(operator, _ARITHMETIC):
        return False
    names = [_name_of(one) or "" for one in sides]
    if isinstance(operator, ast.Div) and any(_CENTS.search(name) for name in names):
        return True
    return any(is_money(one) for one in sides) and any(_is_float(one) for one in sides)


def _is_float(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_float(node.operand)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "float"
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _rounds_money(node: ast.Call) -> bool:
    digits = node.args[1] if len(node.args) > 1 else None
    if isinstance(digits, ast.Constant) and digits.value == 2:
        return True
    return bool(node.args) and any(is_money(part) for part in ast.walk(node.args[0]))


def _found(code: str, node: ast.expr | ast.stmt) -> Finding:
    return rule_of(code).found(node.lineno, node.col_offset + 1)
