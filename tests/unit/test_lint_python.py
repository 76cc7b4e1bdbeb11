"""What the publish-time check finds in a whole program, and what it leaves alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_monty import Monty

from loglineos.base.errors import ProgramRefused
from loglineos.runtime.sandbox.limits import SOURCE_BYTES_MAX
from loglineos.runtime.sandbox.lint import (
    check_javascript,
    check_python,
    effects_used,
    errors_among,
    refuse,
    told,
)
from loglineos.runtime.sandbox.lint.rules import every_rule

ROWS = Path(__file__).parents[2] / "src" / "loglineos" / "rows"
PLAIN = """
import ctx
import json
import re
from collections import Counter, defaultdict, namedtuple
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from sdk import format_money, money

Line = namedtuple('Line', 'count index')

@dataclass(frozen=True, eq=True)
class Order:
    price: Decimal
    lines: list = field(default_factory=list)

    def total(self):
        return sum([line.price for line in self.lines], money(0))

    def translate(self, text):
        return text

class Stay:
    NIGHTS = 2

    def __init__(self, room):
        self.room = room
        self.lower = 1

    def __eq__(self, other):
        return self.room == other.room

    def __iadd__x(self):
        return self

def helper(value, *, times=2):
    global seen
    seen = value
    callable = lambda x: x
    return callable(value)

async def main(input):
    order = Order(price=money(input['price']))
    stay = Stay('7')
    answer = await ctx.confirm('Sure?', who='ana')
    found = re.sub('a', 'b', 'banana')
    counts = Counter(found)
    try:
        helper(order, times=int('3'))
    except (ValueError, KeyError) as error:
        raise RuntimeError(f'bad: {error}') from error
    match answer:
        case {'answer': 'yes'}:
            told = format_money(order.price)
        case _:
            told = json.dumps({'at': datetime.now(timezone.utc).isoformat()}, indent=2)
    order.translate(told)
    line = Line(1, 2)
    ahead = timedelta(hours=1) * 3
    when = line.count + line.index + stay.lower
    total = money('1.10') * 3
    return {'told': told, 'n': when, 'k': type(order).__name__, 'c': Stay.__name__, 'd': list(counts)}
"""


def codes(source: str, *, entry: str = "", effects: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    return [(one.line, one.code) for one in check_python(source, entry=entry, effects=effects)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Monty]:
    with Monty(request_timeout=20) as pool:
        yield pool


def test_a_program_of_plain_python_has_no_findings() -> None:
    assert check_python(PLAIN, entry="main", effects=["confirm"]) == []


def test_findings_come_in_the_order_of_the_lines_with_their_columns() -> None:
    source = "x = 1\ndef main(input):\n    del x; yield 2\n    return super()\n"
    found = check_python(source, entry="main", effects=[])
    assert [(one.line, one.column, one.code) for one in found] == [
        (3, 5, "del"), (3, 12, "yield"), (4, 12, "builtin"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "def callable(x):\n    return x\ncallable(1)",
        "def f(input, object=None):\n    return input, object",
        "from functools import reduce as wraps\nwraps",
        "class Room:\n    def translate(self):\n        return 1\nRoom().translate()",
        "class Room:\n    def __init__(self):\n        self.upper = 1\nr = Room()\nx = r.upper",
        "import math\nf = math.floor\nf(1.5)",
        "import ctx\nfetch = ctx.ledger.get",
        "import datetime as dt\ndt.datetime.now(dt.timezone.utc)",
        "x = {'append': 1}\nx['append']",
        "next(iter([1]), None)",
        "def pay():\n    return 1\nprice = pay()\nprice.name",
        "from typing import Sequence\ndef f(a: Sequence[int]) -> None: ...",
        "for index, price in enumerate([1]):\n    total = price + 1",
        "price_cents = 250\nhalf_cents = price_cents // 2",
        "round(1.5)",
        "raise ValueError",
        "raise ValueError(f'{5}')",
        "error = KeyError(*['a'])",
        "b = bytes(5)",
        "import itertools\nlist(zip([1], itertools.count()))\nlist(itertools.islice(itertools.count(), 3))",
        "from dataclasses import dataclass\n@dataclass(order=False, repr=True)\nclass P:\n    x: int",
        "import os.path\nos.path.join('a', 'b')",
        "import os\nos.path.join('a', os.sep)",
        "import collections\nx = collections.Counter()\nx.most_common",
    ],
)
def test_what_the_engine_can_do_is_no_error(source: str, pool: Monty) -> None:
    found = [
        one
        for one in check_python(source, entry="", effects=["ledger.read"])
        if one.code != "effect_unused"
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("from functools import wraps as w\n", 1),
        ("import functools as ft\n@ft.wraps\ndef f(): ...", 2),
        ("import dataclasses as d\n\nd.asdict(1)", 3),
        ("from dataclasses import asdict\n", 1),
        ("import statistics as s", 1),
        ("import urllib.parse", 1),
        ("import xml.etree.ElementTree as E", 1),
        ("from os import environ", 1),
        ("import os\n\nos.listdir('.')", 3),
        ("from sdk import nothing", 1),
        ("import sdk\nsdk.nothing", 2),
        ("import nosuchmodule", 1),
        ("try:\n    1\nexcept BrokenPipeError:\n    2", 3),
        ("from datetime import timedelta as td\ntd(hours=3 / 2)", 2),
        ("import datetime\ndatetime.timedelta(0.5)", 2),
        ("def f():\n    async with f() as x:\n        pass", 2),
        ("class A:\n    x, y = 1, 2", 1),
        ("class A(metaclass=type):\n    pass", 1),
    ],
)
def test_what_is_missing_is_found_under_each_name(source: str, line: int) -> None:
    if "async with" in source:
        source = "async " + source
    errors = errors_among(check_python(source, entry="", effects=[]))
    assert [one.line for one in errors] == [line]


# --- entry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "def main(input): ...", "async def main(input): ...", "def main(input, /): ...",
        "def main(*given): ...", "def main(input=None): ...", "def main(input, more=1): ...",
        "main = lambda input: 1", "main = make()", "if 1:\n    def main(input): ...",
        "try:\n    def main(input): ...\nfinally:\n    pass", "from sdk import money as main",
        "@cached\ndef main(): ...", "def main(): ...\ndef main(input): ...",
    ],
)  # fmt: skip
def test_an_entry_that_takes_one_argument_is_accepted(source: str) -> None:
    assert [
        one for one in check_python(source, entry="main", effects=[]) if "entry" in one.code
    ] == []


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("def other(input): ...", "entry_missing"), ("", "entry_missing"),
        ("def f():\n    def main(input): ...", "entry_missing"),
        ("def main(): ...", "entry_arguments"), ("def main(a, b): ...", "entry_arguments"),
        ("def main(*, input): ...", "entry_arguments"),
        ("def main(input, *, more): ...", "entry_arguments"),
        ("main = lambda: 1", "entry_arguments"),
        ("def main(input): ...\ndef main(): ...", "entry_arguments"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_called_is_refused(source: str, code: str) -> None:
    assert [one for _, one in codes(source, entry="main")] == [code]


def test_a_policy_is_not_async_and_has_no_ctx() -> None:
    source = "import ctx\nasync def on(span):\n    return []"
    assert codes(source, entry="on") == [(1, "policy_ctx"), (2, "entry_async")]
    assert codes("def on(span):\n    return []", entry="on") == []


def test_a_policy_may_read_the_figures_of_its_house_and_a_function_may_not() -> None:
    source = "import house\ndef {0}(x):\n    return [house.slow_ms]"
    assert codes(source.format("on"), entry="on") == []
    assert codes(source.format("main"), entry="main") == [(1, "module")]


def test_modules_of_the_houses_own_prelude_can_be_imported() -> None:
    source = "import prices\nprices.of(1)"
    assert check_python(source, entry="", effects=[], modules=["prices"]) == []
    assert codes(source) == [(1, "module")]


def test_a_function_of_the_full_runtime_may_use_all_of_python() -> None:
    source = "import ctx, numpy\nclass A(Exception): pass\ndef main(input):\n    del input\n    ctx.emit({})"
    found = check_python(source, entry="main", effects=[], is_full=True)
    assert [one.code for one in found] == ["effect_undeclared"]


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [check_python, check_javascript])
def test_what_is_too_long_or_holds_strange_characters_is_refused(check) -> None:
    more = {"effects": []} if check is check_python else {}
    longest = "#" * SOURCE_BYTES_MAX if check is check_python else "/" * SOURCE_BYTES_MAX
    assert [one.code for one in check(longest, entry="", **more)] == []
    assert [one.code for one in check(longest + "#", entry="", **more)] == ["source_size"]
    assert [one.code for one in check("é" * (SOURCE_BYTES_MAX // 2 + 1), entry="", **more)] == [
        "source_size"
    ]
    found = check("a\nbc\0d", entry="", **more)
    assert [(one.code, one.line, one.column) for one in found] == [("source_characters", 2, 3)]
    assert [one.code for one in check("a = '\ud800'", entry="", **more)] == ["source_characters"]


def test_what_is_no_python_is_told_with_its_line() -> None:
    assert codes("x = 1\ny = (\n", entry="main") == [(2, "syntax")]


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 5000 + ")" * 5000, "-" * 200_000 + "1", "a" + ".a" * 100_000, "1" + "+1" * 100_000,
        "lambda:" * 20_000 + "1", "not " * 60_000 + "1", "f" + "(1)" * 60_000, "9" * 5000,
        "x" + "[0]" * 60_000, "a=" * 100_000 + "1", "1," * 100_000, "f'{" * 100 + "1" + "}'" * 100,
        "if 1: pass\n" + "elif 1: pass\n" * 15_000, "x: " + "list[" * 190 + "int" + "]" * 190,
        "a if b else " * 20_000 + "c", "@f\n" * 80_000 + "def g(): ...", "x;" * 100_000,
        "import a." + "b." * 100_000 + "c", "\\\n" * 100_000, "ctx.emit(" * 150 + ")" * 150,
    ],
    ids=range(20),
)  # fmt: skip
def test_the_check_ends_whatever_the_text_is(bomb: str) -> None:
    began = time.process_time()
    check_python(bomb[:SOURCE_BYTES_MAX], entry="main", effects=["*"])
    effects_used(bomb[:SOURCE_BYTES_MAX])
    assert time.process_time() - began < 20


@settings(max_examples=150, deadline=None)
@given(
    programs=st.lists(
        st.sampled_from([one.missing for one in every_rule()]), min_size=1, max_size=3
    ),
    cut=st.floats(0, 1),
    text=st.text(max_size=20),
)
def test_the_check_never_raises(programs: list[str], cut: float, text: str) -> None:
    source = "\n".join(programs)
    at = int(len(source) * cut)
    for one in (
        text,
        source[:at] + text + source[at:],
        source[:at],
        PLAIN[:at] + text + PLAIN[at:],
    ):
        for finding in check_python(one, entry="main", effects=["emit"]):
            assert 1 <= finding.line <= one.count("\n") + one.count("\r") + one.count("\f") + 2
            assert finding.column >= 1
        effects_used(one)


# --- effects -------------------------------------------------------------------------------------

USES = """
import ctx
import ctx as house_
from ctx import emit, ledger
from ctx.ledger import history as lives
def main(input):
    house_.ledger.get(input)
    ledger.find(who='ana')
    lives(input)
    emit({})
    ctx.http('GET', 'https://API.example.org:8443/x')
    ctx.http('GET', url=f'https://shop.example.org/{input}')
    ctx.http('GET', 'https://mail.example.org/' + input)
    ctx.http('GET', f'https://{input}.example.org/')
    ctx.http('POST', input, secret=ctx.secret.use('bank'))
    ctx.secret.use(input)
    later = ctx.enqueue
    ctx.run('f')
    ctx.compensate('g')
    ctx.confirm('?')
    ctx.wait_for({'did': 'pay'})
    ctx.log('x'), ctx.uuid(), ctx.now(), ctx.sleep(1), ctx.until('x'), ctx.fail('x')
"""
EFFECTS = (
    "confirm", "emit", "enqueue", "http:?", "http:api.example.org", "http:mail.example.org",
    "http:shop.example.org", "ledger.read", "run", "secret:?", "secret:bank", "wait",
)  # fmt: skip


def test_effects_are_found_under_each_way_to_name_them() -> None:
    assert effects_used(USES) == EFFECTS


def test_declared_effects_are_enough_and_each_missing_one_is_named() -> None:
    declared = [
        "http:*" if one == "http:?" else "secret:*" if one == "secret:?" else one for one in EFFECTS
    ]
    assert check_python(USES, entry="main", effects=declared) == []
    assert check_python(USES, entry="main", effects=["*"]) == []
    found = check_python(USES, entry="main", effects=[])
    assert {one.code for one in found} == {"effect_undeclared"}
    named = {one.rewrite.en.rpartition(" ")[2] for one in found}
    wanted = {
        "http:HOST" if one == "http:?" else "secret:NAME" if one == "secret:?" else one
        for one in EFFECTS
    }
    assert named == wanted
    assert all(one.severity == "error" for one in found)


@pytest.mark.parametrize(
    ("effect", "url", "is_enough"),
    [
        ("http:api.example.org", "https://api.example.org/x", True),
        ("http:*.example.org", "https://api.example.org/x", True),
        ("http:*.example.org", "https://example.org/x", False),
        ("http:*.example.org", "https://badexample.org/x", False),
        ("http:*", "https://api.example.org", True),
        ("http:api.example.org", "https://api.example.org.evil.test/", False),
        ("http:api.example.org", "https://api.example.org@evil.test/", False),
        ("http:api.example.org", "https://API.EXAMPLE.ORG./", True),
        ("secret:*", "https://api.example.org/x", False),
        ("emit", "https://api.example.org/x", False),
    ],
)
def test_a_host_must_be_declared(effect: str, url: str, is_enough: bool) -> None:
    source = f"import ctx\nctx.http('GET', {url!r})"
    assert (errors_among(check_python(source, entry="", effects=[effect])) == []) == is_enough


def test_a_url_that_is_built_up_is_known_only_past_its_host() -> None:
    assert effects_used("import ctx\nctx.http('GET', f'https://api.example.org{x}')") == ("http:?",)
    assert effects_used("import ctx\nctx.http('GET', 'https://api.example' + x)") == ("http:?",)
    assert effects_used("import ctx\nctx.http(*given)") == ("http:?",)


def test_an_effect_that_is_never_used_is_a_warning() -> None:
    found = check_python("import ctx\nctx.emit({})", entry="", effects=["emit", "run", "http:*"])
    assert [(one.code, one.severity) for one in found] == [("effect_unused", "warning")] * 2


def test_what_is_not_in_ctx_is_an_error() -> None:
    assert codes("import ctx\nctx.nothing(1)") == [(2, "ctx_unknown")]
    assert codes("from ctx import nothing\nnothing(1)") == [(2, "ctx_unknown")]


def test_ctx_that_is_handed_on_is_told_and_its_effects_are_not_called_unused() -> None:
    found = check_python("import ctx\nf(ctx)\ng(ctx.ledger)", entry="", effects=["emit"])
    assert [(one.line, one.code, one.severity) for one in found] == [
        (2, "ctx_handed_on", "warning"), (3, "ctx_handed_on", "warning"),
    ]  # fmt: skip


def test_a_name_of_ones_own_is_not_ctx() -> None:
    assert codes("def f(ctx):\n    ctx.emit(1)\n    return ctx") == []


def test_the_actions_of_a_policy_are_its_effects() -> None:
    source = (
        "def on(span):\n    return [{'run': 'f'}, {'emit_span': {}}, {'confirm': '?'}, {'who': 1}]"
    )
    assert effects_used(source, entry="on") == ("confirm", "emit", "run")
    found = check_python(source, entry="on", effects=["run", "enqueue"])
    assert sorted((one.code, one.severity) for one in found) == [
        ("effect_undeclared", "warning"), ("effect_undeclared", "warning"), ("effect_unused", "warning"),
    ]  # fmt: skip


# --- money ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "price * 1.23", "order.total + 0.5", "line['valor'] / 2.0", "preco = 12.5", "valor += 0.1",
        "preço * float(x)", "float(amount)", "total: float = 1", "unit_price * -0.1",
        "price_cents / 2", "total_cents /= 2", "round(total)", "round(x * y, 2)", "round(price * 3, 1)",
    ],
)  # fmt: skip
def test_money_in_floats_is_a_warning(line: str) -> None:
    found = check_python(f"def f():\n    {line}\n", entry="", effects=[])
    assert {one.code for one in found} <= {"float_money", "round_money"}
    assert [one.severity for one in found] == ["warning"] * len(found) != []


@pytest.mark.parametrize(
    "line",
    ["price * 3", "total_cents // 2", "width * 1.5", "totality * 1.5", "round(width, 1)",
     "price = 12", "x = prices[0.5]", "price_cents * 2"],
)  # fmt: skip
def test_other_numbers_are_left_alone(line: str) -> None:
    assert codes(f"def f():\n    {line}\n") == []


# --- telling -------------------------------------------------------------------------------------


def test_a_refusal_names_every_error_in_both_languages_and_warnings_pass() -> None:
    found = check_python("del x\nround(price)\ny = super()", entry="", effects=[])
    with pytest.raises(ProgramRefused) as caught:
        refuse(found, shape="pay")
    assert caught.value.advise("en").count("\n") == 1
    assert "line 1: there is no `del` here; write: d.pop(k)" in caught.value.advise("en")
    assert "linha 3: aqui não existe `super`" in caught.value.advise("pt")
    refuse([one for one in found if one.severity == "warning"], shape="pay")
    refuse([], shape="pay")
    assert told(found).en.count("line ") == 3


@pytest.mark.parametrize(
    ("source", "is_there"),
    [
        ("function main(input) { return 1 }", True), ("export default (input) => 1", True),
        ("globalThis.default = x => x", True), ("const main = input => 1", True),
        ("function domain() {}", False), ("", False),
    ],
)  # fmt: skip
def test_a_javascript_program_names_its_entry(source: str, is_there: bool) -> None:
    assert (check_javascript(source, entry="main") == []) == is_there
    assert check_javascript(source, entry="") == []


@pytest.mark.parametrize("path", sorted(ROWS.rglob("*.py")), ids=lambda path: path.name)
def test_the_rows_of_the_product_pass_the_check(path: Path) -> None:
    entry = {"policies": "on", "prelude": ""}.get(path.parent.name, "main")
    found = check_python(path.read_text(encoding="utf-8"), entry=entry, effects=["*"])
    assert errors_among(found) == []
