"""What a source file declares, read and never run; names, ids and schemas of functions."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, ProgramRefused, TooLarge, UnknownName
from loglineos.runtime.checking import read_through
from loglineos.runtime.functions import (
    as_said,
    check_schema,
    check_value,
    function_id,
)
from loglineos.runtime.header import Header, read_source
from loglineos.runtime.manifest import EFFECTS, Manifest
from loglineos.runtime.violations import REFUSALS

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "functions.md"
MANIFEST_PARTS = [
    f"{name}.{inner}" if inner else name
    for name, part in msgspec.to_builtins(Manifest()).items()
    for inner in (part if isinstance(part, dict) and part else ("",))
]

FULL = '''"""Sends a receipt to the client.

More prose that is not the description.
"""

import ctx

FUNCTION = {
    "aliases": ["enviar recibo", "send receipt"],
    "effects": ["emit", "http:api.example.org"],
    "input_schema": {"type": "object", "required": ["pedido"]},
    "timeout_ms": 5000,
    "max_attempts": 3,
    "queue": "mail",
}


def main(input):
    return None
'''


def test_a_file_says_what_its_function_is_called_needs_and_accepts():
    source = read_source(FULL, filename="enviar_recibo.py")
    assert (source.name, source.language, source.runtime) == ("enviar_recibo", "python", "durable")
    assert source.header.description == "Sends a receipt to the client."
    draft = source.draft(who="ana", did="push")
    assert (draft.effects, draft.entrypoint) == (("emit", "http:api.example.org"), "main")
    assert draft.code == FULL
    assert draft.code_hash == blake3(FULL.encode()).hexdigest()
    assert draft.metadata == {
        "aliases": ["enviar recibo", "send receipt"], "queue": "mail", "timeout_ms": 5000,
        "max_attempts": 3, "input_schema": {"type": "object", "required": ["pedido"]},
    }  # fmt: skip


def test_a_file_need_not_declare_anything():
    source = read_source("def main(input):\n    return 1\n", filename="/tmp/One Two.py")
    assert (source.name, source.runtime, source.header.effects) == ("One Two", "pure", ())
    assert source.id == function_id("function", "one_two")


def test_importing_ctx_makes_a_function_durable_without_effects_too():
    text = "def main(input):\n    return 1\n"
    assert read_source("import ctx\n" + text, filename="f.py").runtime == "durable"
    assert read_source("from ctx import log\n" + text, filename="f.py").runtime == "durable"
    assert read_source("import json\n" + text, filename="f.py").runtime == "pure"


def test_a_policy_and_its_javascript_are_read_the_same_way():
    text = '/* logline: {"description": "Watches.", "effects": ["emit"]} */\nfunction on(span) {}'
    source = read_source(text, filename="watch.js", kind="policy")
    assert (source.language, source.entrypoint, source.runtime) == ("javascript", "on", "pure")
    assert source.header.effects == ("emit",)
    assert "queue" not in source.draft(who="g", did="define").metadata
    assert read_source("export default function on(s) {}", filename="x.js").header.effects == ()


def test_nothing_of_the_file_runs_while_it_is_read(tmp_path):
    mark = tmp_path / "ran"
    text = f"open({str(mark)!r}, 'w')\nFUNCTION = {{'name': open({str(mark)!r}, 'w')}}\n"
    with pytest.raises(InvalidInput):
        read_source(text, filename="f.py")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("FUNCTION = [1]", "FUNCTION"),
        ("FUNCTION = dict(name='x')", "FUNCTION"),
        ("FUNCTION = {'efects': []}", "FUNCTION"),
        ("FUNCTION = {'effects': 'emit'}", "FUNCTION.effects"),
        ("FUNCTION = {'effects': ['fly']}", "FUNCTION.effects"),
        ("FUNCTION = {'effects': ['http']}", "FUNCTION.effects"),
        ("FUNCTION = {'timeout_ms': 0}", "FUNCTION.timeout_ms"),
        ("FUNCTION = {'max_attempts': 1000}", "FUNCTION.max_attempts"),
        ("FUNCTION = {'aliases': ['']}", "FUNCTION.aliases"),
        ("FUNCTION = {'aliases': ['a\\nb']}", "FUNCTION.aliases"),
        ("FUNCTION = {'name': '---'}", "name"),
        ("FUNCTION = {'name': 'x' * 5}", "FUNCTION"),
        ("FUNCTION = {'id': '7'}", "FUNCTION.id"),
        ("FUNCTION = {'runtime': 'quantum'}", "FUNCTION.runtime"),
        ("FUNCTION = {'input_schema': {'type': 'banana'}}", "FUNCTION.input_schema"),
        ("FUNCTION = {'output_schema': 7}", "FUNCTION.output_schema"),
        ("FUNCTION: dict = {'queue': 7}", "FUNCTION.queue"),
    ],
)
def test_a_wrong_header_is_refused_by_the_name_of_its_key(text: str, field: str):
    with pytest.raises(InvalidInput) as caught:
        read_source(text, filename="f.py")
    assert caught.value.fields["field"] == field


@pytest.mark.parametrize("text", ["def main(:", "x = '\0'", "(" * 5000, "-" * 100_000 + "1"])
def test_text_that_is_no_python_is_refused_and_harms_nobody(text: str):
    with pytest.raises(ProgramRefused):
        read_source(text, filename="f.py")


def test_a_file_that_is_too_long_or_of_another_language_is_refused():
    with pytest.raises(TooLarge):
        read_source("# " + "é" * 200_000, filename="f.py")
    with pytest.raises(UnknownName):
        read_source("print(1)", filename="f.rb")
    with pytest.raises(InvalidInput):
        read_source("/* logline: {'not': json} */", filename="f.js")


@given(st.text(max_size=30))
def test_a_name_as_it_is_said_is_said_the_same_again(text: str):
    once = as_said(text)
    assert as_said(once) == once


def test_case_accents_and_the_ways_to_join_words_do_not_matter():
    for text in ("Enviar_Recibo", "enviar-recibo", "  ENVIAR  recibo ", "enviar\trecibo"):
        assert as_said(text) == "enviar recibo"
    assert as_said("Reembolso à cliente") == as_said("reembolso a cliente")
    assert as_said("ação") != as_said("acto")


def test_a_schema_reaches_out_for_nothing_and_its_patterns_cannot_run_away():
    for reference in ("http://example.org/x.json", "file:///etc/passwd", "https://127.0.0.1/"):
        with pytest.raises(InvalidInput):
            check_schema({"$ref": reference}, field="schema")
    with pytest.raises(InvalidInput):
        check_schema({"pattern": "(?=a)b"}, field="schema")  # needs backtracking
    schema = {"type": "string", "pattern": "^(a+)+$"}
    check_schema(schema, field="schema")
    with pytest.raises(InvalidInput):
        check_value("a" * 50_000 + "b", schema, field="input")


def test_a_value_that_does_not_fit_is_told_with_the_places_of_its_faults():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
        "additionalProperties": False,
    }
    check_value({"a": [1, 2]}, schema, field="input")
    check_value(object, None, field="input")
    with pytest.raises(InvalidInput) as caught:
        check_value({"a": [1, "x"], "b": 2}, schema, field="input")
    assert "input.a.1" in str(caught.value)
    assert "'b'" in str(caught.value)


def test_a_schema_may_use_its_own_definitions():
    schema = {"$ref": "#/$defs/day", "$defs": {"day": {"type": "string", "format": "date"}}}
    check_schema(schema, field="schema")
    check_value("2026-03-02", schema, field="input")
    with pytest.raises(InvalidInput):
        check_value("tomorrow", schema, field="input")


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("What a file declares", [one.name for one in msgspec.structs.fields(Header)]),
        ("Effects", [*EFFECTS][:-3]),
        ("The manifest", [*MANIFEST_PARTS]),
        ("When something is refused", [*REFUSALS]),
    ],
)
def test_the_guide_explains_each_of_them(section: str, names: list[str]):
    page = GUIDE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    assert [name for name in names if f"`{name}" not in page] == []


def test_the_guides_own_function_is_one():
    page = GUIDE.read_text(encoding="utf-8")
    source = read_source(page.split("```python\n")[1].split("```")[0], filename="agradecer.py")
    assert (source.runtime, source.header.effects) == ("durable", ("emit",))
    assert read_through(source) == []
