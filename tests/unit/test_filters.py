"""Filters and moments: what people type is read as meant, or refused with what would be right."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, TooLarge, UnknownName
from loglineos.ledger.reading import short_ids
from loglineos.ledger.reading.filters import FILTERS, Filter, checked, filter_of, parse_text
from loglineos.ledger.reading.moments import instant_of, zone_of

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
LISBON = ZoneInfo("Europe/Lisbon")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def read(**named: object) -> Filter:
    return filter_of(named, now=NOW, zone=LISBON)


def test_nothing_given_lets_everything_through():
    assert read(who=None, tag=None) == Filter()
    assert not Filter().is_searched


def test_every_name_is_read_into_its_field():
    wanted = read(
        who="ana", did="entregou", this="pedido 3", status="valid", type="human",
        entity_type="order", tag=["#quarto", "casa"], since="2h", until="now",
        text="João quart* #casa", latest="sim", ghosts=False,
    )  # fmt: skip
    assert wanted == Filter(
        who="ana", did="entregou", this="pedido 3", status="valid", type="human",
        entity_type="order", tags=("quarto", "casa"), words=("João",), prefixes=("quart",),
        since=NOW - timedelta(hours=2), until=NOW, latest=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 11, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 23, tzinfo=UTC)),
        ("3d", NOW - timedelta(days=3)),
        ("90 min", NOW - timedelta(minutes=90)),
        ("hoje", datetime(2026, 3, 2, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 1, tzinfo=UTC)),
        ("anteontem", datetime(2026, 2, 28, tzinfo=UTC)),
        ("agora", NOW),
    ],
)
def test_a_moment_is_read_as_it_is_said(text: str, expected: datetime):
    assert instant_of(text, now=NOW, zone=LISBON, field="since") == expected


def test_a_day_begins_where_the_reader_is():
    yesterday = instant_of("ontem", now=NOW, zone=SAO_PAULO, field="since")
    assert yesterday == datetime(2026, 2, 28, 3, tzinfo=UTC), "there it is still 1 March"


@pytest.mark.parametrize(
    "text", ["", "amanhã", "2026-13-01", "5x", "99999999d", "999999w", 7, NOW.replace(tzinfo=None)]
)
def test_what_is_no_moment_is_refused_with_the_forms_that_are(text: object):
    with pytest.raises(InvalidInput) as refused:
        instant_of(text, now=NOW, zone=LISBON, field="since")
    assert refused.value.fields["field"] == "since"
    assert "2h" in refused.value.describe("pt")


@given(st.text())
def test_no_text_breaks_the_reading_of_moments(text: str):
    with contextlib.suppress(InvalidInput):
        assert instant_of(text, now=NOW, zone=LISBON, field="until").tzinfo is UTC


@given(st.text())
def test_no_text_breaks_the_reading_of_short_ids(text: str):
    try:
        meant = short_ids.parse(text)
    except InvalidInput:
        return
    assert meant.position is not None or meant.first is not None


def test_an_unknown_filter_status_type_or_zone_is_answered_with_those_that_exist():
    with pytest.raises(UnknownName) as refused:
        read(colour="red")
    assert refused.value.fields["known"] == ", ".join(FILTERS)
    for name in ("status", "type"):
        with pytest.raises(UnknownName) as refused:
            read(**{name: "azul"})
        assert refused.value.fields["field"] == name
    with pytest.raises(UnknownName):
        zone_of("Lua/Tranquilidade")


@pytest.mark.parametrize(
    "named",
    [
        {"who": 3}, {"text": ["a"]}, {"latest": "talvez"}, {"tag": [1]}, {"who": "a\0"},
        {"who": "\ud800"}, {"since": "now", "until": "2h"}, {"ghosts": True, "status": "valid"},
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_refused_by_field(named: dict[str, object]):
    with pytest.raises(InvalidInput) as refused:
        read(**named)
    assert refused.value.describe("en")
    assert refused.value.advise("pt")


def test_too_many_words_or_too_long_a_text_is_refused():
    with pytest.raises(TooLarge):
        read(text=" ".join("abcdefghijklmnopq"))
    with pytest.raises(TooLarge):
        read(who="é" * 600)


def test_a_time_without_a_zone_is_refused_in_a_filter_made_by_hand():
    with pytest.raises(InvalidInput):
        checked(Filter(since=NOW.replace(tzinfo=None)))


def test_text_is_split_into_words_prefixes_and_tags():
    assert parse_text("  ana #vip quart* * # ** #a#b ") == (("ana",), ("quart",), ("vip", "a#b"))


@pytest.mark.parametrize(
    ("text", "position", "has_id", "seq"),
    [
        ("12", 12, False, None), ("@12", 12, False, None), ("123456", 123456, True, None),
        ("0192f3", None, True, None), ("0192F3AB-12", None, True, None),
        ("0192f3ab/3", None, True, 3),
    ],
)  # fmt: skip
def test_a_short_id_is_a_position_or_the_beginning_of_an_id(text, position, has_id, seq):
    meant = short_ids.parse(text)
    assert (meant.position, meant.first is not None, meant.seq) == (position, has_id, seq)


@pytest.mark.parametrize(
    "text", ["", "0192f", "@", "@x", "xyz", "0192f3/", "0192f3/a", "0" * 33, "-1"]
)
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(InvalidInput):
        short_ids.parse(text)
