"""Each function of the prelude, run in the engine, answers what Python's own library answers."""

from __future__ import annotations

import calendar
import dataclasses
import functools
import heapq
import hmac
import html
import re
import statistics
import string
import textwrap
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_monty import Monty, MontyError

from loglineos.base.clock import rfc3339
from loglineos.runtime.sandbox.lint import check_python
from loglineos.runtime.sandbox.lint.prelude import members_of, source_of
from tests.unit.sandboxed import LIMITS, LOADER, run_in_engine, same

Call = Callable[..., Any]
WHOLE = st.integers(-(10**9), 10**9)
FLOATS = st.floats(-1e9, 1e9, allow_nan=False, width=32)
AMOUNTS = st.decimals(-(10**9), 10**9, places=4, allow_nan=False)
NUMBERS = st.one_of(
    st.lists(WHOLE, min_size=2, max_size=20), st.lists(FLOATS, min_size=2, max_size=20)
)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
PLAIN = st.text(st.sampled_from("ab c\tde-\n.éx"), max_size=80)


def instants(first: int, last: int) -> st.SearchStrategy[datetime]:
    start = datetime(first, 1, 1, tzinfo=UTC)
    seconds = (datetime(last, 1, 1, tzinfo=UTC) - start).total_seconds()
    micros = st.integers(0, int(seconds) * 1_000_000)
    return micros.map(lambda micros: start + timedelta(microseconds=micros))


INSTANTS = instants(1900, 2200)
DAYS = st.dates(date(1900, 1, 1), date(2200, 1, 1))
QUICK = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def pool() -> Iterator[Monty]:
    with Monty(request_timeout=20) as pool:
        yield pool


@pytest.fixture(scope="module")
def call(pool: Monty) -> Iterator[Call]:
    """Call a function of the prelude inside the engine."""
    with pool.checkout(limits=LIMITS) as session:
        session.feed_run(LOADER, inputs={"sdk_source": source_of("sdk.py")})

        def call(name: str, *given: Any, **named: Any) -> Any:
            return session.feed_run(
                f"sdk.{name}(*given, **named)", inputs={"given": list(given), "named": named}
            )

        yield call


def refused(call: Call, name: str, *given: Any, **named: Any) -> str:
    with pytest.raises(MontyError) as caught:
        call(name, *given, **named)
    return type(caught.value.exception()).__name__


# --- money ---------------------------------------------------------------------------------------


@QUICK
@given(amount=AMOUNTS, places=st.integers(0, 4))
def test_money_rounds_halves_up(call: Call, amount: Decimal, places: int) -> None:
    wanted = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    assert same(call("money", amount, places), wanted)
    assert same(call("money", str(amount), places), wanted)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [("2.675", "2.68"), ("2.665", "2.67"), ("-2.675", "-2.68"), (5, "5.00"), ("0.004", "0.00")],
)
def test_money_of_well_known_amounts(call: Call, given_: Any, wanted: str) -> None:
    assert str(call("money", given_)) == wanted


@pytest.mark.parametrize("amount", [1.1, True])
def test_money_refuses_floats(call: Call, amount: Any) -> None:
    assert refused(call, "money", amount) == "ValueError"
    assert refused(call, "percent", "10", 1.1) == "ValueError"


def test_money_takes_amounts_beyond_the_usual_precision(call: Call) -> None:
    assert str(call("money", "123456789012345678901234567890.125")) == (
        "123456789012345678901234567890.13"
    )


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("1234.5", "1.234,50 €"), ("0", "0,00 €"), ("-1234567.891", "-1.234.567,89 €"),
        ("999", "999,00 €"), ("12.345", "12,35 €"),
    ],
)  # fmt: skip
def test_amounts_are_written_as_in_portugal(call: Call, amount: str, told: str) -> None:
    assert call("format_money", amount) == told
    assert call("format_money", amount, "") == told.removesuffix(" €")
    assert call("format_money", amount, "EUR") == told.replace("€", "EUR")


@QUICK
@given(amount=st.decimals(-(10**9), 10**9, places=2, allow_nan=False))
def test_an_amount_that_is_written_can_be_read_again(call: Call, amount: Decimal) -> None:
    assert call("parse_money", call("format_money", amount)) == amount
    assert call("from_cents", call("cents", amount)) == amount


@pytest.mark.parametrize(
    ("told", "amount"),
    [("1.234,50 €", "1234.50"), ("12,5", "12.50"), ("-3", "-3.00"), ("1 234,5 EUR", "1234.50"),
     ("12.345", "12345.00")],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(call: Call, told: str, amount: str) -> None:
    assert str(call("parse_money", told)) == amount


@pytest.mark.parametrize("told", ["", "abc", "1,2,3", "1.23,4", "12.50", "--3", "1.234.56"])
def test_what_is_no_amount_is_refused(call: Call, told: str) -> None:
    assert refused(call, "parse_money", told) == "ValueError"


def test_per_cents_are_rounded_to_the_cent(call: Call) -> None:
    assert str(call("percent", "80", 23)) == "18.40"
    assert str(call("percent", "0.25", "50")) == "0.13"


@QUICK
@given(cents=WHOLE, parts=st.integers(1, 50))
def test_the_parts_of_an_amount_add_up_and_differ_by_a_cent(
    call: Call, cents: int, parts: int
) -> None:
    shares = call("split_money", Decimal(cents) / 100, parts)
    assert sum(shares) * 100 == cents
    assert len(shares) == parts
    assert max(shares) - min(shares) <= Decimal("0.01")


# --- dates ---------------------------------------------------------------------------------------


@QUICK
@given(instant=INSTANTS)
def test_instants_are_written_and_read_as_the_ledger_does(call: Call, instant: datetime) -> None:
    told = call("format_time", instant)
    assert told == rfc3339(instant)
    assert same(call("parse_time", told), datetime.fromisoformat(told))


@pytest.mark.parametrize(
    ("told", "instant"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02t03:04:05.5+01:00", datetime(2026, 1, 2, 2, 4, 5, 500000, tzinfo=UTC)),
        ("2026-01-02 03:04:05.123456789z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05-23:59", datetime(2026, 1, 3, 3, 3, 5, tzinfo=UTC)),
    ],
)
def test_instants_are_read_in_each_form_of_the_standard(
    call: Call, told: str, instant: datetime
) -> None:
    assert same(call("parse_time", told), instant)


@pytest.mark.parametrize(
    "told",
    ["2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "x", "2026-01-02T25:00:00Z"],
)
def test_a_time_without_a_zone_is_refused(call: Call, told: str) -> None:
    assert refused(call, "parse_time", told) == "ValueError"


def test_a_naive_time_is_taken_as_utc_and_early_years_keep_four_digits(call: Call) -> None:
    naive = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)
    assert call("format_time", naive) == "2026-01-02T00:00:00.000000Z"
    assert call("format_time", datetime(33, 1, 2, tzinfo=UTC)) == "0033-01-02T00:00:00.000000Z"


@QUICK
@given(seconds=st.one_of(st.integers(-(2**31), 2**32), st.floats(-(2.0**31), 2.0**32)))
def test_timestamps_become_instants(call: Call, seconds: float) -> None:
    assert same(call("from_timestamp", seconds), datetime.fromtimestamp(seconds, UTC))


@QUICK
@given(
    days=st.floats(-1e4, 1e4), hours=st.floats(-1e5, 1e5), minutes=st.integers(-(10**6), 10**6),
    seconds=st.floats(-1e6, 1e6), weeks=st.integers(-100, 100),
)  # fmt: skip
def test_durations_take_fractions(
    call: Call, days: float, hours: float, minutes: int, seconds: float, weeks: int
) -> None:
    for one in (
        {"days": days, "weeks": weeks}, {"hours": hours, "minutes": minutes}, {"seconds": seconds},
        {"milliseconds": 1500, "microseconds": 7, "hours": 1.5},
    ):  # fmt: skip
        apart = call("duration", **one) - timedelta(**one)
        assert abs(apart) <= timedelta(microseconds=1)
    assert call("duration", hours=1.5) == timedelta(hours=1.5)


@QUICK
@given(day=DAYS, instant=INSTANTS, days=st.integers(-5000, 5000))
def test_days_are_added_to_dates_times_and_texts(
    call: Call, day: date, instant: datetime, days: int
) -> None:
    step = timedelta(days=days)
    assert same(call("add_days", day, days), day + step)
    assert same(call("add_days", instant, days), instant + step)
    assert call("add_days", day.isoformat(), days) == (day + step).isoformat()
    assert call("add_days", rfc3339(instant), days) == rfc3339(instant + step)
    assert call("days_between", day, (day + step).isoformat()) == days


@pytest.mark.parametrize(
    ("day", "months", "wanted"),
    [
        ("2026-01-31", 1, "2026-02-28"), ("2024-01-31", 1, "2024-02-29"),
        ("2026-03-31", -1, "2026-02-28"), ("2026-12-15", 1, "2027-01-15"),
        ("2026-01-15", -1, "2025-12-15"), ("2026-05-31", 13, "2027-06-30"),
    ],
)  # fmt: skip
def test_months_are_added(call: Call, day: str, months: int, wanted: str) -> None:
    assert call("add_months", day, months) == wanted
    assert call("add_months", date.fromisoformat(day), months) == date.fromisoformat(wanted)


@QUICK
@given(day=DAYS, instant=INSTANTS)
def test_days_of_the_week_are_those_of_the_calendar(
    call: Call, day: date, instant: datetime
) -> None:
    assert call("weekday", day) == day.weekday()
    assert call("weekday", rfc3339(instant)) == instant.weekday()
    assert tuple(call("iso_week", day)) == tuple(day.isocalendar())
    assert call("days_in_month", day.year, day.month) == calendar.monthrange(day.year, day.month)[1]
    assert same(call("as_date", instant), instant.date())


@QUICK
@given(instant=instants(1997, 2037))
@pytest.mark.parametrize(
    ("place", "hours"), [("Europe/Lisbon", 0), ("Europe/Madrid", 1), ("Atlantic/Azores", -1)]
)
def test_european_time_is_that_of_the_place(
    call: Call, place: str, hours: int, instant: datetime
) -> None:
    there = instant.astimezone(ZoneInfo(place))
    assert call("european_time", instant, hours).isoformat() == there.isoformat()


# --- numbers of a list -----------------------------------------------------------------------------


@QUICK
@given(data=NUMBERS)
@pytest.mark.parametrize(
    "name",
    [
        "mean",
        "fmean",
        "median",
        "median_low",
        "median_high",
        "variance",
        "pvariance",
        "stdev",
        "pstdev",
    ],
)
def test_statistics_are_those_of_python(call: Call, name: str, data: list[float]) -> None:
    assert same(call(name, data), getattr(statistics, name)(data))


@QUICK
@given(data=st.lists(AMOUNTS, min_size=2, max_size=12))
@pytest.mark.parametrize("name", ["mean", "median", "variance", "stdev"])
def test_statistics_of_decimals_are_decimals(call: Call, name: str, data: list[Decimal]) -> None:
    ours, theirs = call(name, data), getattr(statistics, name)(data)
    assert isinstance(ours, Decimal)
    assert abs(ours - theirs) <= abs(theirs) * Decimal("1e-26")


@QUICK
@given(data=st.lists(st.integers(-5, 5), min_size=1, max_size=20), n=st.integers(1, 12))
def test_modes_and_quantiles_are_those_of_python(call: Call, data: list[int], n: int) -> None:
    assert call("mode", data) == statistics.mode(data)
    assert call("multimode", data) == statistics.multimode(data)
    if len(data) > 1:
        assert same(call("quantiles", data, n), statistics.quantiles(data, n=n))


@pytest.mark.parametrize(
    "name", ["mean", "fmean", "median", "mode", "pvariance", "stdev", "quantiles"]
)
def test_statistics_of_nothing_are_refused(call: Call, name: str) -> None:
    assert refused(call, name, []) == "ValueError"
    assert call("multimode", []) == []


# --- heaps and order ---------------------------------------------------------------------------------


@QUICK
@given(items=st.lists(st.tuples(st.integers(0, 9), st.text("ab", max_size=2)), max_size=30))
def test_a_heap_gives_its_items_in_order(pool: Monty, items: list[Any]) -> None:
    script = (
        "from sdk import heapify, heappush, heappop, heappushpop, heapreplace\n"
        "heap, other = [], [tuple(i) for i in items]\n"
        "for i in items: heappush(heap, tuple(i))\n"
        "heapify(other)\n"
        "held = [heappushpop(list(other), (5, 'a')), heapreplace(list(other), (5, 'a')) if other else 0]\n"
        "[[heappop(heap) for i in items], [heappop(other) for i in items], held]"
    )
    ours = run_in_engine(pool, script, items=items).value
    heap = list(items)
    heapq.heapify(heap)
    held = [
        heapq.heappushpop(list(heap), (5, "a")),
        heapq.heapreplace(list(heap), (5, "a")) if heap else 0,
    ]
    assert ours == [sorted(items), sorted(items), held]


@QUICK
@given(items=st.lists(st.integers(-9, 9), max_size=20), n=st.integers(-1, 25))
def test_the_least_and_the_greatest(call: Call, items: list[int], n: int) -> None:
    assert call("nsmallest", n, items) == heapq.nsmallest(n, items)
    assert call("nlargest", n, items) == heapq.nlargest(n, items)


@QUICK
@given(items=st.lists(st.tuples(st.integers(0, 3), st.integers()), max_size=30))
def test_items_are_ordered_by_a_comparison_and_equals_stay(pool: Monty, items: list[Any]) -> None:
    script = "from sdk import sort_by\nsort_by(items, lambda a, b: b[0] - a[0])"
    wanted = sorted(items, key=functools.cmp_to_key(lambda a, b: b[0] - a[0]))
    assert [tuple(one) for one in run_in_engine(pool, script, items=items).value] == wanted


# --- text --------------------------------------------------------------------------------------------


def test_constants_are_those_of_python(pool: Monty) -> None:
    names = (
        "ascii_lowercase",
        "ascii_uppercase",
        "ascii_letters",
        "digits",
        "hexdigits",
        "punctuation",
    )
    script = f"from sdk import {', '.join(names)}\n[{', '.join(names)}]"
    assert run_in_engine(pool, script).value == [getattr(string, name) for name in names]


@QUICK
@given(text=st.text("ab1 é\n", max_size=40), count=st.integers(0, 3))
@pytest.mark.parametrize("pattern", ["a", "[ab]+", r"(a)(b)?", r"\d|é", "(?<=a)b", "^a", r"\s+"])
def test_sub_takes_a_function(pool: Monty, pattern: str, text: str, count: int) -> None:
    script = "from sdk import subn\nsubn(pattern, lambda m: '<' + m.group(0) + '>', text, count)"
    ours = run_in_engine(pool, script, pattern=pattern, text=text, count=count).value
    assert tuple(ours) == re.subn(pattern, lambda m: f"<{m.group(0)}>", text, count=count)


@QUICK
@given(text=TEXT)
def test_translate_replaces_single_characters(call: Call, text: str) -> None:
    assert call("translate", text, {"a": "bb", "e": None}) == text.translate(
        str.maketrans({"a": "bb", "e": None})
    )


@QUICK
@given(text=PLAIN, width=st.integers(6, 20))
def test_texts_are_wrapped_as_python_does(call: Call, text: str, width: int) -> None:
    wanted = textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)
    wanted = [line.rstrip() for line in wanted]  # it leaves a space before a word that it breaks
    assert call("wrap", text, width) == wanted
    assert call("fill", text, width) == "\n".join(wanted)


@QUICK
@given(text=PLAIN, prefix=st.sampled_from(["> ", "  "]))
def test_texts_are_indented_and_dedented(call: Call, text: str, prefix: str) -> None:
    assert call("indent", text, prefix) == textwrap.indent(text, prefix)
    assert call("dedent", text) == textwrap.dedent(text)
    assert call("dedent", textwrap.indent(text, prefix)) == textwrap.dedent(
        textwrap.indent(text, prefix)
    )


@QUICK
@given(text=st.text("ab c", max_size=40), width=st.integers(6, 30))
def test_texts_are_cut_at_a_word(call: Call, text: str, width: int) -> None:
    assert call("shorten", text, width) == textwrap.shorten(text, width)


@QUICK
@given(text=TEXT)
def test_html_is_made_safe_and_read_back(call: Call, text: str) -> None:
    assert call("html_escape", text) == html.escape(text)
    assert call("html_escape", text, False) == html.escape(text, quote=False)
    assert call("html_unescape", html.escape(text)) == html.unescape(html.escape(text))


@pytest.mark.parametrize(
    "text",
    [
        "&eacute;",
        "&#233;",
        "&#xE9;",
        "&euro;&nbsp;&mdash;",
        "&#0;",
        "&#xD800;",
        "&#x110000;",
        "a & b",
        "&lt",
    ],
)
def test_entities_are_read_or_left_alone(call: Call, text: str) -> None:
    known = {"&eacute;", "&lt"}  # named ones beyond the common, and those without a semicolon
    assert call("html_unescape", text) == (text if text in known else html.unescape(text))


@QUICK
@given(text=TEXT, safe=st.sampled_from(["/", "", ":&"]))
def test_urls_are_quoted_as_python_does(call: Call, text: str, safe: str) -> None:
    assert call("quote", text, safe) == urllib.parse.quote(text, safe=safe)
    assert call("quote_plus", text) == urllib.parse.quote_plus(text)
    assert call("unquote", urllib.parse.quote(text)) == text
    assert call("unquote_plus", urllib.parse.quote_plus(text)) == text
    assert call("unquote", text) == urllib.parse.unquote(text)


def test_what_is_no_utf_8_is_replaced(call: Call) -> None:
    assert call("unquote", "%FFa%C3%A7%4") == urllib.parse.unquote("%FFa%C3%A7%4")


@QUICK
@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_queries_are_written_and_read(call: Call, pairs: list[tuple[str, str]]) -> None:
    query = urllib.parse.urlencode(pairs)
    assert call("urlencode", [list(pair) for pair in pairs]) == query
    assert [tuple(pair) for pair in call("parse_qsl", query)] == urllib.parse.parse_qsl(query)
    assert call("urlencode", {"a": 1, "b": "c d"}) == "a=1&b=c+d"


# --- values ------------------------------------------------------------------------------------------

POINTS = """
from dataclasses import dataclass, field
@dataclass
class Point:
    x: int
    tags: list = field(default_factory=list)
@dataclass(frozen=True)
class Line:
    start: Point
    more: dict
line = Line(Point(1, ['a']), {'p': Point(2), 'q': (Point(3), 4)})
"""


def test_dataclasses_become_dicts_tuples_and_copies(pool: Monty) -> None:
    script = f"""from sdk import asdict, astuple, fields, replace
{POINTS}
changed = replace(line, more={{}})
held = asdict(line)
held['start']['tags'].append('b')
[asdict(line), astuple(line), fields(line), fields(Point), asdict(changed), asdict(Point(5))]"""
    names: dict[str, Any] = {}
    exec(POINTS, names)
    line, point = names["line"], names["Point"]
    wanted = [
        dataclasses.asdict(line), dataclasses.astuple(line), ["start", "more"], ["x", "tags"],
        dataclasses.asdict(dataclasses.replace(line, more={})), dataclasses.asdict(point(5)),
    ]  # fmt: skip
    assert same(run_in_engine(pool, script).value, wanted)


def test_a_field_that_is_not_there_cannot_be_replaced(pool: Monty) -> None:
    told = run_in_engine(pool, f"from sdk import replace\n{POINTS}\nreplace(line, nothing=1)").error
    assert told == "ValueError: replace: there is no field nothing"


# --- bytes, whole numbers and ids ------------------------------------------------------------------------


@QUICK
@given(data=st.binary(max_size=40), order=st.sampled_from(["big", "little"]), signed=st.booleans())
def test_bytes_and_whole_numbers(call: Call, data: bytes, order: Any, signed: bool) -> None:
    number = int.from_bytes(data, order, signed=signed)
    assert call("int_from_bytes", data, order, signed=signed) == number
    assert call("int_to_bytes", number, len(data), order, signed=signed) == data
    assert call("bytes_of", list(data)) == data


@pytest.mark.parametrize(
    ("number", "length", "signed"), [(256, 1, False), (-1, 1, False), (128, 1, True)]
)
def test_a_number_that_does_not_fit_is_refused(
    call: Call, number: int, length: int, signed: bool
) -> None:
    with pytest.raises(OverflowError):
        number.to_bytes(length, "big", signed=signed)
    assert refused(call, "int_to_bytes", number, length, "big", signed) == "OverflowError"
    assert refused(call, "bytes_of", [256]) == "ValueError"


@QUICK
@given(name=TEXT, space=st.uuids())
def test_ids_of_names_are_those_of_the_standard(call: Call, name: str, space: uuid.UUID) -> None:
    assert call("uuid5", str(space), name) == str(uuid.uuid5(space, name))


def test_namespaces_are_those_of_the_standard(pool: Monty) -> None:
    script = "from sdk import NAMESPACE_DNS, NAMESPACE_URL, NAMESPACE_OID\n[NAMESPACE_DNS, NAMESPACE_URL, NAMESPACE_OID]"
    wanted = [uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL, uuid.NAMESPACE_OID]
    assert run_in_engine(pool, script).value == [str(one) for one in wanted]


@QUICK
@given(key=st.binary(max_size=150), data=st.binary(max_size=100))
def test_codes_of_messages_are_those_of_the_standard(call: Call, key: bytes, data: bytes) -> None:
    assert call("hmac_sha256", key, data) == hmac.digest(key, data, "sha256")


# --- the whole -----------------------------------------------------------------------------------------


def test_the_prelude_passes_its_own_check() -> None:
    assert check_python(source_of("sdk.py"), entry="", effects=[]) == []


def test_every_member_has_a_test_and_every_function_says_what_it_does() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    untested = {
        name for name in members_of("sdk") if f'"{name}"' not in here and f" {name}" not in here
    }
    assert untested == set()
    names: dict[str, Any] = {}
    exec(compile(source_of("sdk.py"), "sdk.py", "exec"), names)
    functions = [names[name] for name in members_of("sdk") if callable(names[name])]
    assert [one.__name__ for one in functions if not one.__doc__] == []


def test_the_prelude_asks_for_nothing_and_loads_in_a_moment(pool: Monty) -> None:
    with pool.checkout(
        limits={**LIMITS, "max_suspensions": 0, "max_turn_duration_secs": 0.25}
    ) as one:
        one.feed_run(LOADER, inputs={"sdk_source": source_of("sdk.py")})
        assert one.feed_run("sdk.cents('1.10')") == 110
