"""What crosses the sandbox's boundary, and what never does."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import ValueRefused
from loglineos.runtime.sandbox.limits import ValueLimits
from loglineos.runtime.sandbox.values import INTEGER_MAX, canon, digest, revive

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) <= INTEGER_MAX)
    | texts
)
rich = (
    scalars
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3))]))
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
)


def trees(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(texts, inner, max_size=4)
            | st.tuples(inner, inner)
        ),
        max_leaves=20,
    )


@given(trees(rich))
def test_what_is_accepted_survives_json_and_a_second_crossing(value):
    plain = canon(value)
    assert json.loads(json.dumps(plain)) == plain
    assert canon(plain) == plain
    assert canon(revive(plain)) == plain
    assert digest(json.loads(json.dumps(plain))) == digest(plain)


@given(trees(scalars))
def test_a_replay_sees_the_order_and_the_numbers_of_the_first_run(value):
    plain = canon(value)
    reread = json.loads(json.dumps(plain, sort_keys=True))
    assert repr(canon(reread)) == repr(plain)


def test_bytes_times_and_decimals_come_back_as_themselves():
    noon = datetime(2026, 3, 2, 12, 0, 0, 5, tzinfo=UTC)
    value = {"a": b"\x00\xff", "b": noon, "c": Decimal("12.50"), "d": (1, 2.0)}
    plain = canon(value)
    assert plain == {
        "a": {"$bytes": "00ff"},
        "b": {"$time": "2026-03-02T12:00:00.000005Z"},
        "c": {"$decimal": "12.50"},
        "d": [1, 2],
    }
    assert revive(plain) == {"a": b"\x00\xff", "b": noon, "c": Decimal("12.50"), "d": [1, 2]}
    assert canon(noon.replace(tzinfo=None)) == plain["b"]


@pytest.mark.parametrize(
    "looks",
    [
        {"$bytes": "abc"},
        {"$bytes": "AB"},
        {"$bytes": 5},
        {"$time": "2026-02-30T00:00:00.000000Z"},
        {"$time": "tomorrow"},
        {"$decimal": "1E99999"},
        {"$decimal": "NaN"},
        {"$decimal": "1_0"},
        {"$decimal": "1.0", "more": 1},
    ],
)
def test_an_object_that_only_looks_special_stays_what_it_is(looks):
    assert revive(looks) == looks
    assert canon(revive(canon(looks))) == looks


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, {2, 3}]}, "value.a[1]"),
        ([float("nan")], "value[0]"),
        (float("inf"), "value"),
        (2**53, "value"),
        ({"a": 10**400}, "value.a"),
        ({1: "x"}, "value"),
        ("a\0b", "value"),
        ("\ud800", "value"),
        ({"k\0": 1}, "value.k\\x00"),
        (Text("x"), "value"),
        (Decimal("NaN"), "value"),
        (Decimal("1e9999"), "value"),
        (object(), "value"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "value"),
        ({"f": len}, "value.f"),
        (bytearray(b"x"), "value"),
    ],
)
def test_everything_else_is_refused_by_its_path(value, path):
    with pytest.raises(ValueRefused) as refused:
        canon(value)
    assert refused.value.fields["field"] == path


@pytest.mark.parametrize("levels", [17, 30, 60, 10_000])
def test_a_value_with_shared_parts_is_refused_at_once(levels):
    value = [1]
    for _ in range(levels):
        value = [value, value]
    began = time.process_time()
    with pytest.raises(ValueRefused):
        canon(value)
    assert time.process_time() - began < 1


def test_a_shared_dict_and_a_circle_are_refused_too():
    wide = {"a": 1}
    for _ in range(40):
        wide = {"a": wide, "b": wide}
    circle = []
    circle.append(circle)
    for value in (wide, circle):
        with pytest.raises(ValueRefused):
            canon(value)


def test_each_limit_is_exact():
    limits = ValueLimits(bytes_max=40, nodes_max=5, depth_max=2)
    assert canon([[1, 2, 3]], limits=limits) == [[1, 2, 3]]
    for value in ([[1, 2, 3, 4]], [[[1]]], "x" * 39, {"k" * 38: 1}, b"x" * 14):
        with pytest.raises(ValueRefused):
            canon(value, limits=limits)
    assert canon("x" * 38, limits=limits)
    # Control characters take six bytes each when written.
    with pytest.raises(ValueRefused):
        canon("\x01" * 8, limits=limits)


@given(trees(rich), st.integers(1, 200))
def test_what_is_accepted_is_not_longer_than_its_limit(value, bytes_max):
    try:
        plain = canon(value, limits=ValueLimits(bytes_max=bytes_max))
    except ValueRefused:
        return
    written = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    assert len(written.encode()) <= bytes_max
