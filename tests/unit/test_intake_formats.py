"""Formats: found by content, JSON arrays in any chunks, CSV with its very bytes."""

from __future__ import annotations

import io
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.ledger.intake.array_splitter import ArraySplitter, Piece
from loglineos.ledger.intake.formats import Item, detect, read_items
from loglineos.ledger.intake.intake import draft_of


def items(data: bytes, format: Any = "auto") -> list[Item]:
    return list(read_items(io.BytesIO(data), format=format))


def split(chunks: list[bytes], limit: int = 60) -> list[Piece]:
    splitter = ArraySplitter(element_bytes_max=limit, kept_bytes_max=8)
    found = [piece for chunk in chunks for piece in splitter.feed(chunk)]
    return [*found, *splitter.close()]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='a"\\[]{},é\n', max_size=8),
    lambda s: (
        st.lists(s, max_size=4) | st.dictionaries(st.text('k"]\\', max_size=3), s, max_size=3)
    ),
    max_leaves=8,
)
SOUP = st.lists(st.sampled_from(list('[]{}",:\\ \nab1')), max_size=80).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, max_size=6).map(lambda v: json.dumps(v, indent=1)) | SOUP, st.data())
def test_where_chunks_end_changes_nothing(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert split(chunks) == split([raw])


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=8))
def test_the_elements_of_an_array_come_out_as_they_went_in(values: list[Any]) -> None:
    pieces = split([json.dumps(values).encode()], limit=10_000)
    assert [json.loads(piece.data) for piece in pieces] == values
    assert all(piece.ending == "whole" for piece in pieces)


@settings(max_examples=200, deadline=None)
@given(SOUP)
def test_no_byte_that_means_something_is_lost_between_pieces(text: str) -> None:
    raw = text.encode()
    kept = b"".join(piece.data for piece in split([raw], limit=10_000))
    for byte in set(raw) - set(b" \n,[]"):
        assert kept.count(byte) == raw.count(byte)


def test_a_truncated_array_keeps_what_was_there() -> None:
    whole, tail = items(b'[\n {"who":"Ana"},\n {"who":"Jo')
    assert whole.value == {"who": "Ana"} and whole.line == 2 and whole.problem is None
    assert tail.value is None and tail.line == 3 and tail.data == b'{"who":"Jo'
    (closed,) = items(b'[{"who":"Ana"}')
    assert closed.value == {"who": "Ana"} and closed.problem is not None
    details = draft_of(closed).details
    assert details is not None and "problem" in details["intake"]


def test_an_element_over_the_limit_is_hashed_whatever_the_chunks() -> None:
    data = b'[1,"' + b"y" * 100 + b'",2]'
    one, long, two = split([data])
    assert (one.data, two.data) == (b"1", b"2")
    assert long.data == b'"yyyyyyy' and long.size_bytes == 102 and long.digest is not None
    assert split([data[i : i + 3] for i in range(0, len(data), 3)]) == [one, long, two]


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b'{"a":1}\n{"a":2}\n', "jsonl"), (b'\x1e{"a":1}\n\x1e{"a":2}\n', "jsonl"),
        (b'[{"a":1}]', "json"), (b" [\n]", "json"), (b'{\n "a": 1\n}\n', "json"),
        (b'{"a":\n{"a":2}\n{"a":3}\n', "jsonl"), (b"who,did\na,b\n", "csv"),
        (b"who;did\na;b,c\n", "csv"), (b"who\tdid\na\tb\n", "csv"), (b"", "text"),
        (b"[2025-01-01 10:00] started\n", "text"), (b"one line\nand another\n", "text"),
        (b'oops\n{"a":1}\n{"a":2}\n', "jsonl"), (b'{"a":\n{"b":\n', "jsonl"),
    ],
)  # fmt: skip
def test_the_format_is_found_by_content(data: bytes, format: str) -> None:
    assert detect(data) == format


def test_a_json_sequence_may_span_lines() -> None:
    one, two = items(b'\x1e{"who":\n"Ana"}\n\x1e{"who":"Rui"}\n')
    assert (one.value, two.value, two.line) == ({"who": "Ana"}, {"who": "Rui"}, 3)


def test_csv_cells_get_the_type_of_their_column() -> None:
    data = b"\xef\xbb\xbfwho;did;tags;attempt;valid;details;note\r\n"
    data += 'Ana;"pediu\n\nágua";a,b;2;true;"{""x"": 1}";007\r\n'.encode()
    (item,) = items(data)
    assert item.value == {
        "who": "Ana", "did": "pediu\n\nágua", "tags": ["a", "b"], "attempt": 2, "valid": True,
        "details": {"x": 1}, "note": "007",
    }  # fmt: skip
    assert item.line == 2 and item.data == data.split(b"\r\n", 1)[1].removesuffix(b"\r\n")
    made = draft_of(item)
    assert made.tags == ("a", "b") and made.details == {"x": 1, "extra": {"note": "007"}}


def test_a_broken_csv_row_is_one_item_and_reading_goes_on() -> None:
    found = items(b'who,did\nAna,ok\nRui,"open\nEva,fine\nZe,"a"b\n', "csv")
    assert [item.data for item in found] == [b"Ana,ok", b'Rui,"open', b"Eva,fine", b'Ze,"a"b']
    assert [item.value is None for item in found] == [False, True, False, True]


def test_csv_rows_of_another_length_and_bytes_that_are_no_utf8_are_kept() -> None:
    short, long, odd = items(b"who,did\nAna\nRui,x,y\nJ\xe3o,z\n", "csv")
    assert short.value == {"who": "Ana"}
    assert long.value == {"who": "Rui", "did": "x", "column_3": "y"}
    assert odd.escaped == ("who",)
    details = draft_of(odd).details
    assert details is not None and details["given"]["who"] == {"$json": '"J\\udce3o"'}


def test_a_csv_without_header_names_its_columns() -> None:
    (item, _) = items(b"1,2\n3,4\n", "csv")
    assert item.value == {"column_1": "1", "column_2": "2"}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r\n", b"\x00", b"\xff"]), max_size=30))
def test_every_csv_line_is_in_exactly_one_item(parts: list[bytes]) -> None:
    body = b"who,did\n" + b"".join(parts)
    found = items(body, "csv")
    told = b"".join(item.data for item in found)
    for byte in b'a,"\x00\xff':
        assert told.count(byte) == b"".join(parts).count(byte)


def test_a_large_array_streams() -> None:
    element = orjson.dumps({"who": "Ana", "details": {"text": "x]},{[" * 20}})

    class Endless(io.RawIOBase):
        """A million-element array of which only the first part is ever asked for."""

        def __init__(self) -> None:
            self.asked = 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return False

        def read(self, count: int = -1) -> bytes:
            self.asked += 1
            return b"[" if self.asked == 1 else b",".join([element] * 100) + b",\n"

    endless = Endless()
    stream = read_items(endless)  # type: ignore[arg-type]
    for _ in range(2_000):
        assert next(stream).value is not None
    assert endless.asked < 30
    stream.close()  # type: ignore[attr-defined]
