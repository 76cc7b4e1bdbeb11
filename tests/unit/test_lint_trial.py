"""The engine reads a program and says what it thinks, without running a line of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_monty import Monty

from loglineos.runtime.sandbox.limits import SOURCE_BYTES_MAX
from loglineos.runtime.sandbox.lint.prelude import members_of, modules, source_of, stub_of
from loglineos.runtime.sandbox.lint.rules import engine
from loglineos.runtime.sandbox.lint.trial import trial_compile

ROWS = Path(__file__).parents[2] / "src" / "loglineos" / "rows"
PROGRAM = """import ctx
from sdk import format_money, money

def main(input):
    found = ctx.ledger.get(input['id'])
    if found is None:
        ctx.fail('not_found', id=input['id'])
    answer = ctx.confirm('Refund?', who='ana', timeout_s=60)
    try:
        ctx.http('POST', 'https://api.example.org/', json={'a': 1}, secret=ctx.secret.use('bank'))
    except PermissionError as error:
        print(getattr(error, 'args', None))
    return [answer['who'], format_money(money('1.10'))]
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Monty]:
    with Monty(request_timeout=10) as pool:
        yield pool


def told(pool: Monty, source: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.code, one.severity) for one in trial_compile(pool, source)]


def test_a_good_program_has_no_findings(pool: Monty) -> None:
    assert trial_compile(pool, PROGRAM) == []


def test_not_a_line_of_the_program_runs(pool: Monty) -> None:
    assert trial_compile(pool, "while True:\n    pass\n") == []
    assert trial_compile(pool, "raise ValueError('ran')\n", with_types=False) == []
    assert trial_compile(pool, "__stop__ = print\n__stop__('ran')\n") == []
    assert trial_compile(pool, "def __stop__():\n    1 / 0\n__stop__()\n") == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\ndel x\n", 2), ("def f():\n    return 1\n\ndef g():\n    yield 1\n", 5),
        ("x = (\n", 2), ("class A(B):\n    pass\n", 1), ("from __future__ import annotations\ndel x", 2),
        ("nonlocal x", 1),
    ],
)  # fmt: skip
def test_what_does_not_compile_is_told_with_its_line(pool: Monty, source: str, line: int) -> None:
    assert told(pool, source) == [(line, "compile", "error")]


@pytest.mark.parametrize(
    ("call", "code", "severity"),
    [
        ("ctx.ledger.get()", "missing-argument", "error"),
        ("ctx.ledger.get('a', zeq=1)", "unknown-argument", "error"),
        ("ctx.confirm('?', 'ana', 1, 'no', 5)", "too-many-positional-arguments", "error"),
        ("ctx.ledger.get(5)", "invalid-argument-type", "warning"),
        ("ctx.confirm('?', if_timeout='maybe')", "invalid-argument-type", "warning"),
        ("ctx.nothing()", "unresolved-attribute", "warning"),
        ("money(1, 2, 3)", "too-many-positional-arguments", "error"),
        ("nothing(1)", "unresolved-reference", "error"),
        ("'a'.nothing()", "unresolved-attribute", "warning"),
    ],
)
def test_the_types_of_ctx_and_sdk_are_checked(
    pool: Monty, call: str, code: str, severity: str
) -> None:
    source = f"import ctx\nfrom sdk import money\ndef main(input):\n    {call}\n"
    assert (4, code, severity) in told(pool, source)


def test_an_import_of_what_is_not_there_is_an_error(pool: Monty) -> None:
    source = "from sdk import nothing\nimport statistics\n"
    assert told(pool, source) == [
        (1, "unresolved-import", "error"),
        (2, "unresolved-import", "error"),
    ]


def test_names_that_the_engine_has_are_never_called_unknown(pool: Monty) -> None:
    names = sorted(engine().builtins | engine().exceptions)
    assert trial_compile(pool, "\n".join(names) + "\n") == []


@pytest.mark.parametrize("module", sorted(engine().modules))
def test_members_that_the_engine_has_are_never_called_unknown(pool: Monty, module: str) -> None:
    members = sorted(engine().modules[module])
    source = f"import {module}\n" + "\n".join(f"{module}.{name}" for name in members)
    assert [one for one in trial_compile(pool, source) if one.severity == "error"] == []


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_member_of_the_prelude_can_be_imported(pool: Monty, module: str) -> None:
    names = ", ".join(sorted(members_of(module)))
    assert trial_compile(pool, f"from {module} import {names}\n") == []
    assert len(stub_of(module)) < len(source_of(f"{module}.py"))


def test_other_stubs_take_the_place_of_the_published_ones(pool: Monty) -> None:
    source = "import prices\nprices.of(1)\n"
    assert trial_compile(pool, source, stubs={"prices": "def of(x: int) -> int: ..."}) == []
    assert told(pool, source) == [(1, "unresolved-import", "error")]


@pytest.mark.parametrize(
    "bomb",
    ["(" * 5000 + ")" * 5000, "-" * 100_000 + "1", "x=" + "[" * 150 + "]" * 150, "9" * 5000,
     "f" + "(1)" * 60_000, "#" * (SOURCE_BYTES_MAX + 1), "x = '\0'"],
    ids=range(7),
)  # fmt: skip
def test_what_harms_the_engine_is_a_finding_and_the_pool_lives(pool: Monty, bomb: str) -> None:
    assert [one.severity for one in trial_compile(pool, bomb)] == ["error"]
    assert trial_compile(pool, PROGRAM) == []


@pytest.mark.parametrize("path", sorted(ROWS.rglob("*.py")), ids=lambda path: path.name)
def test_the_rows_of_the_product_compile(pool: Monty, path: Path) -> None:
    found = trial_compile(pool, path.read_text(encoding="utf-8"))
    assert [one for one in found if one.severity == "error"] == []
