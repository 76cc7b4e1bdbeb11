"""No rule of the linter says more than the engine itself confirms."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator

import pytest
from pydantic_monty import Monty

from loglineos.runtime.sandbox.lint import check_python, errors_among
from loglineos.runtime.sandbox.lint.rules import CARE, Rule, engine, every_rule
from tests.unit.sandboxed import run_in_cpython, run_in_engine, same

RULES = every_rule()
NOTHING_INSTEAD = {
    "relative_import", "builtin input", "builtin aiter", "builtin anext", "builtin breakpoint",
    "builtin help", "builtin exit", "builtin quit", "builtin open", "method __traceback__",
    "member functools.total_ordering", "member os.environ", "member os.getenv", "member sys.exit",
    "module traceback", "module xml", "module socket", "module threading", "module sqlite3",
    "module shutil", "module numpy", "module ctypes",
}  # fmt: skip


def _name(rule: Rule) -> str:
    return f"{rule.code} {rule.names[0] if rule.names else ''}".strip()


def _is_exception(name: str) -> bool:
    known = getattr(builtins, name)
    return isinstance(known, type) and issubclass(known, BaseException)


@pytest.fixture(scope="module")
def pool() -> Iterator[Monty]:
    with Monty(request_timeout=20) as pool:
        yield pool


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_linter_finds_what_a_rule_is_about(rule: Rule) -> None:
    found = check_python(rule.missing, entry="", effects=[])
    ours = [one for one in found if one.code == rule.code]
    assert [one.severity for one in ours[:1]] == [rule.severity], found
    assert all(one.message.pt and one.rewrite.pt and one.rewrite.en for one in ours)


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_linter_accepts_what_a_rule_advises(rule: Rule) -> None:
    assert errors_among(check_python(rule.instead, entry="", effects=[])) == []


@pytest.mark.parametrize("rule", [one for one in RULES if one.code not in CARE], ids=_name)
def test_the_engine_really_lacks_what_a_rule_says_it_lacks(rule: Rule, pool: Monty) -> None:
    here = run_in_engine(pool, rule.missing)
    assert here.error is not None or not same(here.value, run_in_cpython(rule.missing).value)


@pytest.mark.parametrize("rule", [one for one in RULES if one.instead], ids=_name)
def test_what_a_rule_advises_does_in_the_engine_what_python_does(rule: Rule, pool: Monty) -> None:
    here = run_in_engine(pool, rule.instead)
    assert here.error is None, here.error
    there = run_in_cpython(rule.instead if rule.code in CARE else rule.missing)
    if there.error is not None:  # a package that is not installed, a name of a younger Python
        there = run_in_cpython(rule.instead)
    assert same(here.value, there.value), (here, there)


def test_a_rule_that_offers_nothing_instead_is_about_the_world_outside() -> None:
    offers_nothing = {_name(rule) for rule in RULES if not rule.instead}
    assert offers_nothing == NOTHING_INSTEAD


def test_no_two_rules_claim_the_same_name() -> None:
    claimed = [(rule.code, name) for rule in RULES for name in rule.names]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize("module", sorted(engine().modules))
def test_a_module_has_the_members_that_we_say(module: str, pool: Monty) -> None:
    wanted = engine().modules[module]
    script = f"import {module}\n[n for n in NAMES if hasattr({module}, n)]"
    if module == "os":
        assert (
            run_in_engine(pool, "import os\n[" + ",".join(f"os.{n}" for n in wanted) + "]").error
            is None
        )
        return
    public = [name for name in dir(importlib.import_module(module)) if not name.startswith("_")]
    outcome = run_in_engine(pool, script, NAMES=sorted({*public, *wanted}))
    younger = {name for name in wanted if name not in public}
    assert outcome.error is None
    assert set(outcome.value) - younger == wanted - younger


def test_no_other_module_can_be_imported(pool: Monty) -> None:
    known = {name.partition(".")[0] for name in engine().modules}
    others = sorted(
        name for name in sys.stdlib_module_names if not name.startswith("_") and name not in known
    )
    imports = "\n".join(
        f"try:\n    import {name}\n    found.append('{name}')\nexcept ImportError:\n    pass"
        for name in others
    )
    assert run_in_engine(pool, f"found = []\n{imports}\nfound").value == []


def test_the_engine_has_the_exceptions_that_we_say_and_no_other(pool: Monty) -> None:
    every = [name for name in dir(builtins) if _is_exception(name)]
    found = {name for name in every if run_in_engine(pool, f"{name}\n1").error is None}
    assert found == engine().exceptions


def test_the_engine_has_the_built_in_names_that_we_say_and_a_rule_for_the_rest(pool: Monty) -> None:
    every = [name for name in dir(builtins) if name not in ("None", "True", "False")]
    plain = [name for name in every if not _is_exception(name) and not name.startswith("_")]
    found = {name for name in plain if run_in_engine(pool, f"{name}\n1").error is None}
    told = {name for rule in RULES if rule.code == "builtin" for name in rule.names}
    decorators = {"property", "staticmethod", "classmethod"}
    assert {name for name in engine().builtins if not name.startswith("_")} <= found
    assert found - engine().builtins == {"object", "open", "property"}
    assert set(plain) - found - told - decorators == {"copyright", "credits", "license"}


def test_methods_that_no_type_has_are_on_no_type(pool: Monty) -> None:
    values = (
        "'a'", "1", "1.0", "b'a'", "[1]", "(1,)", "{1: 2}", "{1}", "frozenset({1})", "True", "range(3)",
        "datetime.datetime(2020, 1, 1)", "datetime.date(2020, 1, 1)", "datetime.timedelta(1)",
        "decimal.Decimal(1)", "collections.Counter()", "collections.deque()", "re.compile('a')",
        "re.match('a', 'a')", "hashlib.sha256(b'')", "random.Random(1)",
    )  # fmt: skip
    imports = "import collections, datetime, decimal, hashlib, random, re\n"
    methods = [name for rule in RULES if rule.code == "method" for name in rule.names]
    held = []
    for value in values:
        for name in methods:
            told = run_in_engine(pool, f"{imports}({value}).{name}()").error or ""
            if "has no attribute" not in told:
                held.append((value, name, told))
    assert held == []


@pytest.mark.parametrize("name", sorted(engine().methods))
def test_a_method_of_a_value_can_be_called_but_not_kept(name: str, pool: Monty) -> None:
    values = ("'a'", "b'a'", "[1]", "(1,)", "{1: 2}", "{1}", "deque([1])")
    start = "from collections import deque\n"
    kept = [v for v in values if run_in_engine(pool, f"{start}f = {v}.{name}\n1").error is None]
    called = [
        v
        for v in values
        if "has no attribute" not in (run_in_engine(pool, f"{start}{v}.{name}()").error or "")
    ]
    assert kept == []
    assert called


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-be", "mac_roman", "hex"])
def test_other_encodings_are_refused_by_the_engine_too(encoding: str, pool: Monty) -> None:
    script = f"'a'.encode('{encoding}')"
    is_known = run_in_engine(pool, script).error is None
    assert is_known == (errors_among(check_python(script, entry="", effects=[])) == [])
