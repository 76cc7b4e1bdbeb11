"""Which effects a program asks for, and whether its row declares them.

The runtime asks again at each call; this is so that an author learns it before publishing. An
effect is seen where `ctx` is used by name, however it is imported; a `ctx` that is handed around is
told as what cannot be followed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint.entry import POLICY_ENTRY
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.lint.names import Names

NEEDS: Final[dict[str, str]] = {
    "ctx.ledger.get": "ledger.read", "ctx.ledger.find": "ledger.read",
    "ctx.ledger.history": "ledger.read", "ctx.emit": "emit", "ctx.enqueue": "enqueue",
    "ctx.run": "run", "ctx.compensate": "run", "ctx.continue_as_new": "run", "ctx.http": "http",
    "ctx.confirm": "confirm", "ctx.wait_for": "wait", "ctx.secret.use": "secret",
    "ctx.sleep": "", "ctx.until": "", "ctx.now": "", "ctx.uuid": "", "ctx.log": "", "ctx.fail": "",
}  # fmt: skip
"""Each capability and the effect that it needs; "http" and "secret" go with a name, "" is none."""

ACTIONS: Final[dict[str, str]] = {
    "run": "run", "enqueue": "enqueue", "emit_span": "emit", "status_patch": "emit",
    "notify": "emit", "confirm": "confirm",
}  # fmt: skip
"""The actions that a policy may return, and the effect that each needs."""

UNKNOWN: Final = "?"
"""The name of a host or secret that is only known when the program runs."""


_GROUPS: Final = ("ctx.ledger", "ctx.secret")


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One place that asks for an effect: `effect` is "" where it needs none."""

    effect: str
    name: str
    line: int
    column: int


def effects_of(tree: ast.Module, names: Names, *, entry: str) -> tuple[str, ...]:
    """Name the effects of a program, sorted."""
    uses = _actions(tree) if entry == POLICY_ENTRY else _uses(tree, names)
    return tuple(sorted({use.effect for use in uses if use.effect}))


def check_effects(
    tree: ast.Module, names: Names, *, entry: str, declared: Sequence[str]
) -> list[Finding]:
    """Compare the effects that a program asks for with those that its row declares."""
    if entry == POLICY_ENTRY:
        uses = list(_actions(tree))
        found = [_no_ctx(node) for node in _imports(tree)]
        found += [_undeclared(use, "warning") for use in uses if not _is_declared(use, declared)]
    else:
        uses = list(_uses(tree, names))
        found = [_unknown(use) for use in uses if use.name not in NEEDS]
        found += [_undeclared(use, "error") for use in uses if not _is_declared(use, declared)]
        found += [_handed_on(node) for node in _handed(tree, names)]
        if any(True for _ in _handed(tree, names)):
            return found  # what is used elsewhere cannot be seen
    found += [_unused(one) for one in declared if not _is_used(one, uses)]
    return found


def _uses(tree: ast.Module, names: Names) -> Iterator[Use]:
    parents = {id(call.func): call for call in ast.walk(tree) if isinstance(call, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name) or id(node) in names.inner:
            continue
        if not isinstance(node.ctx, ast.Load):
            continue
        name = names.target(node) or ""
        if not name.startswith("ctx.") or name in _GROUPS:
            continue
        effect = _effect(name, parents.get(id(node)))
        yield Use(effect=effect, name=name, line=node.lineno, column=node.col_offset + 1)


def _effect(name: str, call: ast.Call | None) -> str:
    need = NEEDS.get(name, "")
    if need == "http":
        return f"http:{_host(_argument(call, 1, 'url'))}"
    if need == "secret":
        given = _argument(call, 0, "name")
        return f"secret:{given.value if _is_text(given) else UNKNOWN}"  # type: ignore[union-attr]
    return need


def _argument(call: ast.Call | None, place: int, name: str) -> ast.expr | None:
    if call is None:
        return None
    if len(call.args) > place and not any(isinstance(a, ast.Starred) for a in call.args):
        return call.args[place]
    return next((one.value for one in call.keywords if one.arg == name), None)


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _host(node: ast.expr | None) -> str:
    """Read the host of a URL that is written out, at least up to the slash after it."""
    is_whole = True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        node, is_whole = node.left, False
    if isinstance(node, ast.JoinedStr) and node.values:
        node, is_whole = node.values[0], False
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return UNKNOWN
    text = node.value
    if not is_whole and text.count("/") < 3:
        return UNKNOWN
    try:
        return (urlsplit(text).hostname or UNKNOWN).rstrip(".").lower()
    except ValueError:
        return UNKNOWN


def _actions(tree: ast.Module) -> Iterator[Use]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for key in node.keys:
            if isinstance(key, ast.Constant) and key.value in ACTIONS:
                yield Use(
                    effect=ACTIONS[key.value], name=str(key.value), line=key.lineno,
                    column=key.col_offset + 1,
                )  # fmt: skip


def _imports(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            if any(alias.name.partition(".")[0] == "ctx" for alias in node.names):
                yield node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ctx":
            yield node


def _handed(tree: ast.Module, names: Names) -> Iterator[ast.expr]:
    """Give the places where ctx itself, or a part of it, is handed to something else."""
    steps = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in steps:
            target = names.target(node)
            if target in ("ctx", *_GROUPS) and isinstance(node.ctx, ast.Load):
                yield node


def _is_declared(use: Use, declared: Sequence[str]) -> bool:
    if not use.effect:
        return True
    return any(_covers(one, use.effect) for one in declared)


def _is_used(effect: str, uses: Sequence[Use]) -> bool:
    return any(use.effect and _covers(effect, use.effect) for use in uses)


def _covers(pattern: str, effect: str) -> bool:
    """Tell whether a declared effect, which may be a pattern, covers one that is asked for."""
    if pattern in ("*", effect):
        return True
    word, _, name = pattern.partition(":")
    asked, _, which = effect.partition(":")
    if word != asked or not which:
        return False
    if name == "*" or which == UNKNOWN:
        return True
    return name.startswith("*.") and which.endswith(name[1:])


def _undeclared(use: Use, severity: str) -> Finding:
    message = Text(
        f"`{use.name}` precisa do efeito `{use.effect}`, que a função não declara",
        f"`{use.name}` needs the effect `{use.effect}`, which the function does not declare",
    )
    wanted = use.effect
    if wanted.endswith(f":{UNKNOWN}"):
        wanted = "http:HOST" if wanted.startswith("http") else "secret:NAME"
    rewrite = Text(f"declare o efeito {wanted}", f"declare the effect {wanted}")
    return Finding(
        line=use.line, column=use.column, code="effect_undeclared", message=message,
        rewrite=rewrite, severity="error" if severity == "error" else "warning",
    )  # fmt: skip


def _unknown(use: Use) -> Finding:
    message = Text(f"não existe `{use.name}`", f"there is no `{use.name}`")
    known = ", ".join(sorted(NEEDS))
    rewrite = Text(f"use um destes: {known}", f"use one of: {known}")
    return Finding(
        line=use.line, column=use.column, code="ctx_unknown", message=message, rewrite=rewrite
    )


def _unused(effect: str) -> Finding:
    message = Text(
        f"o efeito `{effect}` é declarado e não é usado",
        f"the effect `{effect}` is declared and never used",
    )
    return Finding(
        line=1,
        column=1,
        code="effect_unused",
        message=message,
        rewrite=_TAKE_OUT,
        severity="warning",
    )


def _no_ctx(node: ast.stmt) -> Finding:
    return Finding(
        line=node.lineno, column=node.col_offset + 1, code="policy_ctx", message=_POLICY_CTX,
        rewrite=_RETURN_ACTIONS,
    )  # fmt: skip


def _handed_on(node: ast.expr) -> Finding:
    return Finding(
        line=node.lineno, column=node.col_offset + 1, code="ctx_handed_on", message=_HANDED,
        rewrite=_BY_NAME, severity="warning",
    )  # fmt: skip


_TAKE_OUT = Text("tire-o dos efeitos da função", "take it out of the function's effects")
_POLICY_CTX = Text("uma política não tem ctx", "a policy has no ctx")
_RETURN_ACTIONS = Text(
    "devolva ações: return [{'run': 'nome'}]", "return actions: return [{'run': 'name'}]"
)
_HANDED = Text(
    "ctx passado adiante: não se vê que efeitos são usados",
    "ctx is handed on: which effects are used cannot be seen",
)
_BY_NAME = Text("use ctx pelo nome: ctx.emit(...)", "use ctx by name: ctx.emit(...)")
