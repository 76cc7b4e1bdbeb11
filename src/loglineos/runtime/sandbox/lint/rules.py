"""What the pinned engine lacks or does otherwise than CPython, and how to write it instead.

Each rule carries two small programs: one with the construct, one written as the rule advises. The
tests run both in the engine and in CPython, so that no rule says more than is true: the first fails
or answers otherwise in the engine, the second answers there what the first answers in CPython.

The rules are in the `.toml` files beside this one, `python_check.py` finds them in a program, and
docs/reference/functions.md is made of them. `engine.toml` lists what the engine does have.

Source: pydantic-monty 1.4.0.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import msgspec

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint.findings import Finding, Severity

FILES: Final = ("rules_syntax.toml", "rules_names.toml", "rules_modules.toml")
CARE: Final = frozenset({"round_money", "float_money", "unchecked_code"})
"""Rules about what works, but a house should not want."""

ABSENT: Final = Text("aqui não existe {what}", "there is no {what} here")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One construct, called `what` in Markdown; `message` says what is the matter with it.

    `names` are what it is found by, where it is found by name: `heapq`, `functools.wraps`.
    `missing` and `instead` are scripts whose last line is their answer; an empty `instead` says
    that nothing in the sandbox stands for it.
    """

    code: str
    what: str
    rewrite: Text
    missing: str
    instead: str = ""
    names: tuple[str, ...] = ()
    severity: Severity = "error"
    message: Text = ABSENT

    def says(self, what: str | None = None) -> Text:
        """Return the message about `what` (without it: about the whole rule)."""
        called = what or self.what
        return Text(self.message.fill("pt", what=called), self.message.fill("en", what=called))

    def found(self, line: int, column: int, what: str | None = None) -> Finding:
        """Return the finding of this rule at a place."""
        return Finding(
            line=line, column=column, code=self.code, message=self.says(what),
            rewrite=self.rewrite, severity=self.severity,
        )  # fmt: skip


class Engine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the engine has: modules with their members, and methods that can only be called."""

    modules: dict[str, frozenset[str]]
    types: frozenset[str]
    type_functions: frozenset[str]
    """The few members of the built-in types that are there without a value: `dict.fromkeys`."""
    methods: frozenset[str]
    builtins: frozenset[str]
    exceptions: frozenset[str]
    encodings: frozenset[str]


class _Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...]


@cache
def every_rule() -> tuple[Rule, ...]:
    """Return all rules in the order of their files."""
    return tuple(
        rule for name in FILES for rule in msgspec.toml.decode(_text(name), type=_Rules).rules
    )


@cache
def rule_of(code: str) -> Rule:
    """Return the rule that is found by the shape of the code.

    Raises:
        KeyError: there is none of this code.
    """
    for rule in every_rule():
        if rule.code == code and not rule.names:
            return rule
    raise KeyError(code)


@cache
def rules_named(code: str) -> dict[str, Rule]:
    """Return the rules of one code (`builtin`, `method`, `member`...) by the names they are for."""
    return {name: rule for rule in every_rule() if rule.code == code for name in rule.names}


@cache
def engine() -> Engine:
    """Return what the pinned engine has."""
    return msgspec.toml.decode(_text("engine.toml"), type=Engine)


def _text(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
