"""How a program is made into the text that the engine is fed."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.runtime.sandbox.python_source import INPUT, prepare
from loglineos.runtime.sandbox.turns import SCRIPT, Module, Program

SDK = (
    Module(name="sdk", source="from rounding import half\ndef money(x): return half(x)"),
    Module(name="rounding", source="def half(x): return x"),
    Module(name="unused", source="1/0"),
)


def text_of(source, entry=SCRIPT, prelude=SDK):
    return prepare(Program(source=source, entry=entry, prelude=prelude)).text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import sdk", "sdk = __modules__['sdk']"),
        ("import sdk as s, json", "s = __modules__['sdk']; import json"),
        ("if 1: import sdk; x = 1", "if 1: sdk = __modules__['sdk']; x = 1"),
        ("from sdk import money", "money = (__modules__['sdk'].money)"),
        (
            "from sdk import money as m, add",
            "m, add = (__modules__['sdk'].money, __modules__['sdk'].add)",
        ),
        ("'import sdk'", "'import sdk'"),
        ("from sdk import *", "from sdk import *"),
        ("from .sdk import money", "from .sdk import money"),
        ("import json", "import json"),
        ("sdk = (", "sdk = ("),
    ],
)
def test_imports_of_the_prelude_become_assignments(source, text):
    assert text_of(source) == text


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3), st.booleans())
def test_every_line_keeps_its_number(names, spread):
    joiner = ",\n  " if spread else ", "
    source = f"x = 'é'\nfrom sdk import ({joiner.join(names)}); y = 1\ndef main(i):\n  return 1/0\n"
    text = text_of(source)
    ast.parse(text)
    assert text.count("\n") == source.count("\n")
    place = source.split("\n").index("  return 1/0")
    assert text.split("\n")[place] == "  return 1/0"


def test_a_backslash_and_other_line_ends_keep_their_lines_too():
    text = text_of("import sdk, \\\n  json\r\nx = 1\ry = 2")
    ast.parse(text)
    assert text.split("\n")[2:] == ["x = 1", "y = 2"]


def test_only_the_modules_that_are_used_are_run_the_used_before_the_user():
    prepared = prepare(Program(source="from sdk import money", entry=SCRIPT, prelude=SDK))
    assert [name for name, _ in prepared.prelude] == ["rounding", "sdk"]
    assert prepare(Program(source="1", prelude=SDK)).prelude == ()


def test_modules_in_a_circle_end():
    circle = (
        Module(name="one", source="import two"),
        Module(name="two", source="import one"),
    )
    prepared = prepare(Program(source="import one", entry=SCRIPT, prelude=circle))
    assert {name for name, _ in prepared.prelude} == {"one", "two"}


def test_an_async_entry_is_awaited():
    assert text_of("async def main(i): pass", "main").endswith(f"\nawait main({INPUT})\n")
    assert text_of("def main(i): pass", "main").endswith(f"\nmain({INPUT})\n")
    assert text_of("def main(i): pass\n# async def main", "main").endswith(f"\nmain({INPUT})\n")


def awaited_of(source):
    prepared = prepare(Program(source=source, entry=SCRIPT))
    content = prepared.text.encode()
    return {content[start:end].decode() for start, end in prepared.awaited}


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("async def m():\n  a = await ctx.ask('é')\n  b = ctx.get(1)", {"ctx.ask('é')"}),
        ("await asyncio.gather(ctx.a(1), ctx.b(2))", {"ctx.a(1)", "ctx.b(2)"}),
        ("jobs = gather(*[ctx.a(ctx.b(i)) for i in x])\nawait jobs", {"ctx.a(ctx.b(i))"}),
        ("x = [ctx.a(1)]", set()),
    ],
)
def test_calls_whose_answers_are_awaited_are_known(source, calls):
    found = awaited_of(source)
    assert calls <= found
    assert "ctx.get(1)" not in found
    assert "ctx.b(i)" not in found
