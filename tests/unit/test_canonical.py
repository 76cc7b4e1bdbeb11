"""RFC 8785: numbers, order of keys, both serialisers, and everything that has no canonical form."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import orjson
import pytest
import rfc8785
from blake3 import blake3
from hypothesis import example, given

from loglineos.base.errors import InvalidInput, TooLarge
from loglineos.ledger import limits
from loglineos.ledger.canonical import canonical, from_jsonb, is_plain
from tests.drafts import INTEGER_MAX, floats, jsons
from tests.vectors_of_others import read_vectors

STATIC = """
    0000000000000000 8000000000000000 0000000000000001 8000000000000001 c46696695dbd1cc3
    c43211ede4974a35 c3fce97ca0f21056 c3c7213080c1a6ac c39280f39a348556 c35d9b1f5d20d557
    c327af4c4a80aaac c2f2f2a36ecd5556 c2be51057e155558 c28840d131aaaaac c253670dc1555557
    c21f0b4935555557 c1e8d5d42aaaaaac c1b3de4355555556 c17fca0555555556 c1496e6aaaaaaaab
    c114585555555555 c0e046aaaaaaaaab c0aa0aaaaaaaaaaa c074d55555555555 c040aaaaaaaaaaab
    c00aaaaaaaaaaaab bfd5555555555555 bfa1111111111111 bf6b4e81b4e81b4f bf35d867c3ece2a5
    bf0179ec9cbd821e becbf647612f3696 be965e9f80f29212 be61e54c672874db be2ca213d840baf8
    bdf6e80fe033c8c6 bdc2533fe68fd3d2 bd8d51ffd74c861c bd5774ccac3d3817 bd22c3d6f030f9ac
    bcee0624b3818f79 bcb804ea293472c7 bc833721ba905bd3 bc4ebe9c5db3c61e bc18987d17c304e5
    bbe3ad30dfcf371d bbaf7b816618582f bb792f9ab81379bf bb442615600f9499 bb101e77800c76e1
    bad9ca58cce0be35 baa4a1e0a3e6fe90 ba708180831f320d ba3a68cd9e985016 446696695dbd1cc3
    443211ede4974a35 43fce97ca0f21056 43c7213080c1a6ac 439280f39a348556 435d9b1f5d20d557
    4327af4c4a80aaac 42f2f2a36ecd5556 42be51057e155558 428840d131aaaaac 4253670dc1555557
    421f0b4935555557 41e8d5d42aaaaaac 41b3de4355555556 417fca0555555556 41496e6aaaaaaaab
    4114585555555555 40e046aaaaaaaaab 40aa0aaaaaaaaaaa 4074d55555555555 4040aaaaaaaaaaab
    400aaaaaaaaaaaab 3fd5555555555555 3fa1111111111111 3f6b4e81b4e81b4f 3f35d867c3ece2a5
    3f0179ec9cbd821e 3ecbf647612f3696 3e965e9f80f29212 3e61e54c672874db 3e2ca213d840baf8
    3df6e80fe033c8c6 3dc2533fe68fd3d2 3d8d51ffd74c861c 3d5774ccac3d3817 3d22c3d6f030f9ac
    3cee0624b3818f79 3cb804ea293472c7 3c833721ba905bd3 3c4ebe9c5db3c61e 3c18987d17c304e5
    3be3ad30dfcf371d 3baf7b816618582f 3b792f9ab81379bf 3b442615600f9499 3b101e77800c76e1
    3ad9ca58cce0be35 3aa4a1e0a3e6fe90 3a708180831f320d 3a3a68cd9e985016 4024000000000000
    4014000000000000 3fe0000000000000 3fa999999999999a 3f747ae147ae147b 3f40624dd2f1a9fc
    3f0a36e2eb1c432d 3ed4f8b588e368f1 3ea0c6f7a0b5ed8d 3e6ad7f29abcaf48 3e35798ee2308c3a
    3ed539223589fa95 3ed4ff26cd5a7781 3ed4f95a762283ff 3ed4f8c60703520c 3ed4f8b72f19cd0d
    3ed4f8b5b31c0c8d 3ed4f8b58d1c461a 3ed4f8b5894f7f0e 3ed4f8b588ee37f3 3ed4f8b588e47da4
    3ed4f8b588e3849c 3ed4f8b588e36bb5 3ed4f8b588e36937 3ed4f8b588e368f8 3ed4f8b588e368f1
    3ff0000000000000 bff0000000000000 bfeffffffffffffa bfeffffffffffffb 3feffffffffffffa
    3feffffffffffffb 3feffffffffffffc 3feffffffffffffe bfefffffffffffff bfefffffffffffff
    3fefffffffffffff 3fefffffffffffff 3fd3333333333332 3fd3333333333333 3fd3333333333334
    0010000000000000 000ffffffffffffd 000fffffffffffff 7fefffffffffffff ffefffffffffffff
    4340000000000000 c340000000000000 4430000000000000 44b52d02c7e14af5 44b52d02c7e14af6
    44b52d02c7e14af7 444b1ae4d6e2ef4e 444b1ae4d6e2ef4f 444b1ae4d6e2ef50 3eb0c6f7a0b5ed8c
    3eb0c6f7a0b5ed8d 41b3de4355555553 41b3de4355555554 41b3de4355555555 41b3de4355555556
    41b3de4355555557 becbf647612f3696 43143ff3c1cb0959
"""
"""The doubles, as hex, that the published sequence begins with."""
BLAKE3_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
BLAKE3_OF_THREE = "e1be4d7a8ab5560aa4199eea339849ba8e293d55ca0a81006726d184519e647f"
SEQUENCE_HASHES = {
    1_000: "be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687",
    10_000: "b9f7a8e75ef22a835685a52ccba7f7d6bdc99e34b010992cbc5864cd12be6892",
    100_000: "22776e6d4b49fa294a0d0f349268e5c28808fe7e0cb2bcbe28f63894e494d4c7",
}
"""SHA-256 of the first lines. Source: cyberphone/json-canonicalization, testdata/README.md."""


def doubles() -> Iterator[tuple[str, float]]:
    """Give the published sequence: edge cases, 2,000 in a row, then hashes of hashes."""
    for bits in [*(int(one, 16) for one in STATIC.split()), *range(1 << 52, (1 << 52) + 2000)]:
        yield f"{bits:x}", struct.unpack("<d", struct.pack("<Q", bits))[0]
    block = bytes(32)
    while True:
        block = sha256(block).digest()
        for (bits,), (value,) in zip(
            struct.iter_unpack("<Q", block), struct.iter_unpack("<d", block), strict=True
        ):
            if value and math.isfinite(value):
                yield f"{bits:x}", value


def test_numbers_are_written_as_the_published_sequence_is():
    told, found = sha256(), {}
    for count, (bits, value) in enumerate(doubles(), start=1):
        told.update(f"{bits},{canonical(value).decode()}\n".encode())
        if count in SEQUENCE_HASHES:
            found[count] = told.hexdigest()
        if count == max(SEQUENCE_HASHES):
            break
    assert found == SEQUENCE_HASHES


def test_blake3_is_the_published_one():
    pinned = {
        "cases": [
            {"input_len": 0, "hash": BLAKE3_OF_NOTHING},
            {"input_len": 3, "hash": BLAKE3_OF_THREE},
        ]
    }  # fmt: skip
    cases = read_vectors("blake3.json", pinned=pinned)["cases"]
    assert len(cases) in (35, 2)
    for case in cases:
        data = bytes(number % 251 for number in range(case["input_len"]))
        assert blake3(data).hexdigest() == case["hash"][:64]


@given(jsons)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": {"\U00010000": [1], "\uffff": {}}})
@example([1e16, -0.0, 1e-6, 1e21, 5e-324, 0.1])
@example({"": "", "\u2028": '\x7f\x1f\b\t\n\f\r"\\/<>é'})
def test_either_serialiser_writes_the_same(value: Any):
    assert canonical(value) == rfc8785.dumps(value)


@given(jsons)
def test_canonical_bytes_read_back_to_the_same_bytes(value: Any):
    back = from_jsonb(json.loads(canonical(value)))  # a large double is written like an integer
    assert canonical(back) == canonical(value)


def test_the_quick_serialiser_is_taken_only_where_it_is_equal():
    assert is_plain({"a": [1, "é", None, True]}, field="x")
    assert is_plain({"\ud7ff": {"b": INTEGER_MAX}}, field="x")
    assert not is_plain({"a": [1.0]}, field="x")
    assert not is_plain({"\ue000": 1}, field="x")
    assert not is_plain([{"\U0001f600": 1}], field="x")
    unlike = {"\U00010000": 1, "\uffff": 2}
    assert orjson.dumps(unlike, option=orjson.OPT_SORT_KEYS) != canonical(unlike)


def test_keys_are_sorted_by_utf_16_as_the_rfc_shows():
    keys = ["€", "\r", "\ufb33", "1", "😀", "\x80", "ö"]
    assert list(json.loads(canonical(dict.fromkeys(keys, 0)))) == [
        "\r", "1", "\x80", "ö", "€", "😀", "\ufb33"
    ]  # fmt: skip


BAD = {
    "NaN": ({"a": {"b": [0, math.nan]}}, "details.a.b[1]", "finite"),
    "infinity": ({"a": -math.inf}, "details.a", "finite"),
    "2^53": ({"n": 2**53}, "details.n", "text"),
    "-2^53": ([1, -(2**53)], "details[1]", "text"),
    "an integer too long to write out": ({"n": 10**5000}, "details.n", "text"),
    "U+0000": ({"a": ["b\0"]}, "details.a[0]", "U+0000"),
    "U+0000 in a key": ({"a": {"\0": 1}}, "details.a", "U+0000"),
    "a lone surrogate": ({"a": "\ud800"}, "details.a", "surrogate"),
    "a lone low surrogate": ([["x\udfff"]], "details[0][0]", "surrogate"),
    "a lone surrogate in a key": ({"\ud83d": 1}, "details", "surrogate"),
    "a key that is no text": ({"a": {1: 2}}, "details.a", "keys"),
    "bytes": ({"a": b"x"}, "details.a", "JSON"),
    "a time": ([datetime(2026, 3, 2, tzinfo=UTC)], "details[0]", "JSON"),
    "a decimal": ({"a": Decimal("1.2")}, "details.a", "JSON"),
    "a set": ({"a": {1}}, "details.a", "JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_canonical_form_is_named_with_its_place(name: str):
    value, field, word = BAD[name]
    with pytest.raises(InvalidInput) as refusal:
        canonical(value, field="details")
    assert refusal.value.fields["field"] == field
    assert word in refusal.value.describe("en")
    assert field in refusal.value.advise("pt")
    assert len(str(refusal.value)) < 300


def nested(depth: int, leaf: Any) -> Any:
    for level in range(depth):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


@pytest.mark.parametrize("leaf", [1, 0.5], ids=["plain", "with a float"])
def test_depth_is_bounded_and_named(leaf: Any):
    assert canonical(nested(limits.json_depth_max, leaf))
    with pytest.raises(TooLarge, match="json_depth_max"):
        canonical(nested(limits.json_depth_max + 1, leaf))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TooLarge, match="json_depth_max"):
        canonical(endless)


@given(jsons)
def test_what_a_database_of_decimals_gives_back_is_what_was_admitted(value: Any):
    def as_jsonb(item: Any) -> Any:
        """Turn numbers into what jsonb keeps: a decimal, read as int when it has no point."""
        if isinstance(item, dict):
            return {key: as_jsonb(one) for key, one in item.items()}
        if isinstance(item, list):
            return [as_jsonb(one) for one in item]
        if isinstance(item, bool) or not isinstance(item, int | float):
            return item
        text = format(Decimal(canonical(item).decode()), "f")
        return float(text) if "." in text else int(text)

    back = from_jsonb(as_jsonb(value))
    assert back == value
    assert canonical(back) == canonical(value)


@given(floats)
def test_every_finite_double_survives(value: float):
    assert float(canonical(value)) == value
