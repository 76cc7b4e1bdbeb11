"""Mappings: foreign logs become LogLines; a faulty file says which line is wrong."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loglineos.base.errors import InvalidInput, NotFound, TooLarge
from loglineos.ledger.intake.formats import Item, read_items
from loglineos.ledger.intake.intake import draft_of, drafts_of, raw_bytes_of
from loglineos.ledger.intake.mapping_file import (
    load_mapping,
    parse_mapping,
    shipped_mappings,
    time_fault,
)
from loglineos.ledger.intake.template import parse_template
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mappings.md"


def mapped(name: str, data: str) -> list[Draft]:
    mapping = load_mapping(name)
    read = read_items(io.BytesIO(data.encode()), format=mapping.format)
    return [draft_of(mapping.apply(item)) for item in read]


def test_every_shipped_mapping_loads_and_tells_itself_in_both_languages() -> None:
    assert shipped_mappings() == ("access-log", "cloudevents", "git", "python-logging")
    for name in shipped_mappings():
        mapping = load_mapping(name)
        assert mapping.reading == f"{name}/1"
        assert mapping.about.pt and mapping.about.en and mapping.about.pt != mapping.about.en


def test_an_access_log_becomes_acts_with_consequences() -> None:
    common = '192.0.2.7 - ana [20/May/2025:12:34:56 +0100] "GET /a?b=1 HTTP/1.1" 200 512'
    combined = common.replace("200", "503") + ' "https://example.org/" "Curl \\"x\\" 8"'
    denied = common.replace("200", "403").replace("ana", "-")
    ok, failed, refused, odd = mapped("access-log", f"{common}\n{combined}\n{denied}\nnonsense\n")
    assert (ok.who, ok.did, ok.this, ok.status) == ("ana", "http_get", "/a?b=1", "executed")
    assert ok.at is not None and ok.at.isoformat() == "2025-05-20T11:34:56+00:00"
    assert ok.size_bytes == 512 and ok.tags == ("web", "http_200")
    assert judge(ok).valid and judge(failed).valid and judge(refused).valid
    assert (failed.status, failed.if_not) == ("failed", "alert_the_operator")
    assert (refused.status, refused.who) == ("denied", "192.0.2.7")
    assert odd.type == "ghost" and raw_bytes_of(odd) == b"nonsense"


def test_python_logging_records_become_acts() -> None:
    line = {
        "asctime": "2025-05-20 12:34:56,789", "name": "loja.pagamentos", "levelname": "ERROR",
        "message": "cartão recusado", "lineno": 7, "pedido": 42,
    }  # fmt: skip
    (made,) = mapped("python-logging", json.dumps(line))
    assert (made.who, made.did, made.status) == ("loja.pagamentos", "log_error", "failed")
    assert made.at is not None and made.at.microsecond == 789_000
    assert made.details == {"line": 7, "extra": {"pedido": 42}}
    assert judge(made).valid
    (epoch,) = mapped("python-logging", '{"created": 1747744496.5, "msg": "x", "level": "info"}')
    assert epoch.at is not None and epoch.at.isoformat() == "2025-05-20T12:34:56.500000+00:00"
    assert judge(epoch).valid


def test_cloudevents_become_acts_and_other_objects_say_why_not() -> None:
    event = {
        "specversion": "1.0", "id": "a-1", "source": "/loja", "type": "pedido.criado",
        "time": "2025-05-20T12:34:56Z", "data": {"total": 7}, "traceparent": "00-x",
    }  # fmt: skip
    good, bad = mapped("cloudevents", json.dumps(event) + '\n{"who":"Ana"}\n')
    assert (good.who, good.did, good.this, good.input) == (
        "/loja",
        "pedido.criado",
        "a-1",
        {"total": 7},
    )
    assert good.id is None and judge(good).valid
    assert good.details is not None and good.details["extra"] == {"traceparent": "00-x"}
    assert bad.who == "Ana" and bad.details is not None
    assert "cloudevents" in bad.details["intake"]["problem"]["en"]


def test_another_reading_makes_other_entities_of_the_same_content() -> None:
    item = Item(line=1, byte_offset_end=1, data=b"x", size_bytes=1)
    ((_, one),) = drafts_of([item], tenant="casa")
    ((_, two),) = drafts_of([item], tenant="casa", reading="access-log/1")
    assert one.id != two.id


def test_the_worked_example_of_the_reference_page_works() -> None:
    text = PAGE.read_text(encoding="utf-8")
    yaml_block, log, expected = re.findall(r"```(?:yaml|text|json)\n(.*?)```", text, re.DOTALL)[:3]
    mapping = parse_mapping(yaml_block.encode())
    (item,) = read_items(io.BytesIO(log.encode()), format=mapping.format)
    made = judge(draft_of(mapping.apply(item)))
    told = json.loads(msgspec.json.encode(made))
    wanted: dict[str, Any] = json.loads(expected)
    assert {key: told.get("at" if key == "when" else key) for key in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("name: x\nfoo: 1\n", 2, "foo"),
        ("version: 1\n", 1, "name"),
        ("name: x\nformat: xml\n", 2, "format"),
        ("name: x\nfields:\n  who: a\n  colour: b\n", 4, "fields.colour"),
        ("name: x\nfields:\n  who: '{a'\n", 3, "fields.who"),
        ("name: x\nfields:\n  who: '{a:reverse}'\n", 3, "fields.who"),
        ("name: x\nmatch:\n  regex: '('\n", 3, "match.regex"),
        ("name: x\nmatch:\n  regex: '(a+)+b'\n", 3, "match.regex"),
        ("name: x\nwhen:\n  from: '{t}'\n  format: soon\n", 4, "when.format"),
        ("name: x\nwhen:\n  from: '{t}'\n  offset: Lisbon\n", 4, "when.offset"),
        ("name: x\nwhen:\n  from: '{t}'\n  zone: UTC\n", 4, "when.zone"),
        ("name: x\ntags: red\n", 2, "tags"),
        ("name: x\nmatch:\n  require: 5\n", 3, "match.require"),
        ("name: x\nfields: &a\n  who: b\ndetails: *a\n", 1, "mapping"),
        ("name: x\n\tbad\n", 2, "mapping"),
        ("- a\n", 1, "mapping"),
        ("name: x\nfields: !!python/object/apply:os.system ['true']\n", 2, "mapping"),
        ("", 1, "mapping"),
    ],
)
def test_a_faulty_mapping_names_the_line_in_both_languages(
    text: str, line: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(text.encode())
    assert caught.value.fields["field"] == field
    assert f"line {line}:" in caught.value.describe("en")
    assert f"linha {line}:" in caught.value.describe("pt")


def test_size_and_absence_are_named(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        parse_mapping(b"#" * 70_000)
    with pytest.raises(TooLarge):
        parse_mapping(b"name: x\nmatch:\n  regex: '" + b"a" * 3_000 + b"'\n")
    with pytest.raises(NotFound):
        load_mapping(tmp_path / "none.yaml")
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\nfields: {who: Ana}\n")
    assert load_mapping(mine).name == "mine"


def test_expressions_that_could_never_end_are_refused() -> None:
    for pattern in ("(a*)*", "(a|b+)+", r"(\w+\s?)*", r"(a)\1", "(?:(?:x{2,})y)*"):
        assert time_fault(pattern) is not None
    for pattern in (r"\S+ \S+", r"(?:\d+ms)?", r'"(?:[^"\\]|\\.)*"', "(a{1,3}){1,3}"):
        assert time_fault(pattern) is None


def test_templates_follow_paths_choose_and_filter() -> None:
    values = {"a": {"b": ["x", "Y"]}, "n": "7", "e": "", "o": {"k": 1}}
    for source, told in {
        "{a.b.1:lower}!": "y!", "{e|a.b.0}": "x", "{z|'none'}": "none", "{{{n}}}": "{7}",
        "{n:int}": 7, "{o:json}": {"k": 1}, "{o}": '{"k":1}', "{z} {n}": None, "{a.b.9}": None,
        "plain": "plain", "{n:float}": 7.0, "{a.b.0:int}": None, "": "",
    }.items():  # fmt: skip
        assert parse_template(source).fill(values) == told
