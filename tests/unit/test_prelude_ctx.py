"""The stubs of ctx are what the runtime offers: the same names, arguments and effects."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from loglineos.runtime.execution.effects.catalog import EFFECTS as OFFERED
from loglineos.runtime.manifest import EFFECTS
from loglineos.runtime.sandbox.lint.effects import ACTIONS, NEEDS
from loglineos.runtime.sandbox.lint.prelude import source_of

TREE = ast.parse(source_of("ctx.pyi"))


def stubs() -> dict[str, ast.FunctionDef]:
    """Name each function of the stubs as a program calls it: `ctx.ledger.get`."""
    groups = {
        one.annotation.id: one.target.id
        for one in TREE.body
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.annotation, ast.Name)
        and isinstance(one.target, ast.Name)
    }
    found = {f"ctx.{one.name}": one for one in TREE.body if isinstance(one, ast.FunctionDef)}
    for one in TREE.body:
        if isinstance(one, ast.ClassDef):
            for part in one.body:
                assert isinstance(part, ast.FunctionDef)
                found[f"ctx.{groups[one.name]}.{part.name}"] = part
    return found


def arguments_of(stub: ast.FunctionDef) -> list[str]:
    given = [*stub.args.args, *stub.args.kwonlyargs]
    return [one.arg for one in given if one.arg != "self"]


def test_the_stubs_name_every_capability_and_no_other() -> None:
    assert set(stubs()) == set(OFFERED) == set(NEEDS)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_the_arguments_of_a_stub_are_those_of_the_capability(name: str) -> None:
    signature = OFFERED[name].signature
    named = [
        one.name
        for one in signature.parameters.values()
        if one.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    assert sorted(arguments_of(stubs()[name])) == sorted(named)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_stub_says_what_it_does_and_which_effect_it_needs(name: str) -> None:
    told = ast.get_docstring(stubs()[name]) or ""
    assert told
    bracket = re.search(r"\[([a-z.]+)", told)
    assert (bracket[1] if bracket else "") == NEEDS[name]


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_the_check_asks_for_the_effect_that_the_runtime_asks_for(name: str) -> None:
    arguments = {
        "url": "https://api.example.org/x",
        "secret": None,
        "headers": None,
        "name": "bank",
    }
    needed = [one.partition(":")[0] for one in OFFERED[name].needs(arguments)]
    assert needed == ([NEEDS[name]] if NEEDS[name] else [])


def test_every_effect_that_is_asked_for_can_be_declared() -> None:
    assert {*NEEDS.values(), *ACTIONS.values()} - {""} <= set(EFFECTS)
