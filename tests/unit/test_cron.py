"""Cron over the days when clocks change, against a plain reference that walks every minute."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput
from loglineos.services.schedule.cron import Cron

LISBON, SAO_PAULO = "Europe/Lisbon", "America/Sao_Paulo"
MINUTE = timedelta(minutes=1)

CHANGES = {
    "Lisbon, spring 2026: 01:00 becomes 02:00": (LISBON, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    "Lisbon, autumn 2026: 02:00 becomes 01:00": (LISBON, datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "São Paulo, spring 2018: 00:00 becomes 01:00": (
        SAO_PAULO, datetime(2018, 11, 4, 3, tzinfo=UTC),
    ),
    "São Paulo, autumn 2019, the last: 00:00 becomes 23:00": (
        SAO_PAULO, datetime(2019, 2, 17, 2, tzinfo=UTC),
    ),
}  # fmt: skip


def local(*parts: int, zone: str = LISBON, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def times_of_day(
    minutes: set[int], hours: set[int], zone: str, after: datetime, until: datetime
) -> list[datetime]:
    """The reference for times of day: each local day, each time, moved to the end of its gap."""
    where, found = ZoneInfo(zone), set()
    day = after.astimezone(where).date() - timedelta(days=1)
    while day <= until.astimezone(where).date():
        for hour in hours:
            for minute in minutes:
                naive = datetime.combine(day, time(hour, minute))
                while True:
                    instant = naive.replace(tzinfo=where).astimezone(UTC)
                    if instant.astimezone(where).replace(tzinfo=None) == naive:
                        break
                    naive += MINUTE  # it does not exist
                found.add(instant)
        day += timedelta(days=1)
    return sorted(instant for instant in found if after < instant <= until)


def intervals(
    fits: set[int], hours: set[int], zone: str, after: datetime, until: datetime
) -> list[datetime]:
    """The reference for intervals: every minute that passes, if its local time fits."""
    where, found = ZoneInfo(zone), []
    instant = after.replace(second=0, microsecond=0) + MINUTE
    while instant <= until:
        told = instant.astimezone(where)
        if told.minute in fits and told.hour in hours:
            found.append(instant)
        instant += MINUTE
    return found


some_minutes = st.sets(st.integers(0, 59), min_size=1, max_size=3)
some_hours = st.sets(st.sampled_from([0, 1, 2, 3, 12, 22, 23]), min_size=1, max_size=4)
changes = st.sampled_from(sorted(CHANGES))
offsets = st.timedeltas(timedelta(hours=-30), timedelta(hours=30))


def listed(values: set[int]) -> str:
    return ",".join(str(value) for value in sorted(values))


@settings(max_examples=300, deadline=None)
@given(changes, some_minutes, some_hours, offsets)
def test_times_of_day_come_as_the_reference_says(change, minutes, hours, offset):
    zone, at = CHANGES[change]
    after, until = at + offset, at + timedelta(hours=50)
    cron = Cron(f"{listed(minutes)} {listed(hours)} * * *", zone)
    assert list(cron.between(after, until)) == times_of_day(minutes, hours, zone, after, until)


@settings(max_examples=60, deadline=None)
@given(changes, st.sampled_from([1, 5, 7, 15, 30]), st.booleans(), offsets)
def test_intervals_come_as_the_reference_says(change, step, is_any_hour, offset):
    zone, at = CHANGES[change]
    after, until = at + offset, at + timedelta(hours=30)
    hours = set(range(24)) if is_any_hour else set(range(0, 24, 2))
    cron = Cron(f"*/{step} {'*' if is_any_hour else '*/2'} * * *", zone)
    fits = set(range(0, 60, step))
    assert list(cron.between(after, until)) == intervals(fits, hours, zone, after, until)


@settings(max_examples=100, deadline=None)
@given(changes, some_minutes, some_hours, offsets, st.integers(1, 9))
def test_the_last_ones_are_the_last_of_all(change, minutes, hours, offset, count):
    zone, at = CHANGES[change]
    after, until = at + offset, at + timedelta(days=9)
    cron = Cron(f"{listed(minutes)} {listed(hours)} * * *", zone)
    everything = list(cron.between(after, until))
    assert cron.newest_between(after, until, count) == everything[-count:]
    assert cron.last_between(after, until) == (everything[-1] if everything else None)


def test_a_time_that_does_not_exist_comes_at_the_first_instant_after_the_gap():
    cron = Cron("30 1 * * *", LISBON)
    came = cron.next_after(local(2026, 3, 28, 12))
    assert came == local(2026, 3, 29, 2, 0) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert cron.next_after(came) == local(2026, 3, 30, 1, 30)
    midnight = Cron("0 0 * * *", SAO_PAULO)
    came = midnight.next_after(local(2018, 11, 3, 12, zone=SAO_PAULO))
    assert came == local(2018, 11, 4, 1, 0, zone=SAO_PAULO)


def test_a_time_that_exists_twice_comes_once_the_first_time():
    cron = Cron("30 1 * * *", LISBON)
    first, second = local(2026, 10, 25, 1, 30), local(2026, 10, 25, 1, 30, fold=1)
    assert second - first == timedelta(hours=1)
    assert cron.next_after(local(2026, 10, 24, 12)) == first
    assert cron.next_after(first) == local(2026, 10, 26, 1, 30)
    assert cron.next_after(second - 10 * MINUTE) == local(2026, 10, 26, 1, 30)


def test_an_interval_goes_on_through_the_hour_that_comes_twice():
    cron = Cron("*/30 * * * *", LISBON)
    start = local(2026, 10, 25, 0, 45)
    assert list(cron.between(start, start + timedelta(hours=3))) == [
        local(2026, 10, 25, 1, 0), local(2026, 10, 25, 1, 30), local(2026, 10, 25, 1, 0, fold=1),
        local(2026, 10, 25, 1, 30, fold=1), local(2026, 10, 25, 2, 0), local(2026, 10, 25, 2, 30),
    ]  # fmt: skip


def test_sao_paulo_keeps_one_time_since_2019():
    cron = Cron("0 0 * * *", SAO_PAULO)
    year = list(cron.between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert {later - earlier for earlier, later in pairwise(year)} == {timedelta(days=1)}


def test_the_last_of_a_year_of_minutes_is_found_without_walking_them_all():
    cron = Cron("* * * * *", "UTC")
    until = datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC)
    after = until - timedelta(days=365)
    assert cron.last_between(after, until) == until - timedelta(seconds=30)
    newest = cron.newest_between(after, until, 1000)
    assert len(newest) == 1000
    assert newest[-1] == until - timedelta(seconds=30)
    assert newest[0] == newest[-1] - 999 * MINUTE


def test_what_never_comes_is_never():
    assert Cron("0 0 29 2 *", "UTC").next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
        2028, 2, 29, tzinfo=UTC
    )
    assert Cron("@daily", "UTC").expression == "0 0 * * *"


@pytest.mark.parametrize(
    ("expression", "zone", "field"),
    [
        ("* * * *", "UTC", "cron"), ("0 0 0 * * *", "UTC", "cron"), ("61 * * * *", "UTC", "cron"),
        ("a b c d e", "UTC", "cron"), ("", "UTC", "cron"), ("0 0 31 2 *", "UTC", "cron"),
        ("* * * * *", "Europe/Nowhere", "timezone"), ("* * * * *", "../etc/passwd", "timezone"),
        ("* * * * *", "", "timezone"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_field(expression: str, zone: str, field: str):
    with pytest.raises(InvalidInput) as refused:
        Cron(expression, zone)
    assert refused.value.fields["field"] == field
