"""The arithmetic of rates and of waiting, by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.entropy import SeededEntropy
from loglineos.services.queue.limits import BACKOFF_S_MAX, let_through, wait_before

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@given(
    st.floats(0.01, 10_000),
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 500)), min_size=1, max_size=60),
)
def test_a_rate_is_never_passed_by_more_than_a_seconds_worth(rate, asked):
    position, now, passed = 0, NOON, 0
    for pause_s, wanted in asked:
        now += timedelta(seconds=pause_s)
        passing, position = let_through(position, rate_per_s=rate, now=now, wanted=wanted)
        assert 0 <= passing <= wanted
        passed += passing
        seconds = (now - NOON).total_seconds()
        assert passed <= rate * seconds * 1.001 + max(rate * 1.001, 1) + 1


def test_a_rate_is_reached_by_who_always_asks():
    position, now, passed = 0, NOON, 0
    for _ in range(1_000):
        now += timedelta(seconds=0.1)
        passing, position = let_through(position, rate_per_s=5, now=now, wanted=50)
        passed += passing
    assert abs(passed - 505) <= 2


def test_a_rate_below_one_a_second_lets_one_through_at_its_time():
    passing, position = let_through(0, rate_per_s=0.1, now=NOON, wanted=9)
    assert passing == 1
    later, _ = let_through(position, rate_per_s=0.1, now=NOON + timedelta(seconds=9), wanted=9)
    assert later == 0
    later, _ = let_through(position, rate_per_s=0.1, now=NOON + timedelta(seconds=10), wanted=9)
    assert later == 1


def test_a_clock_that_was_ahead_does_not_block_a_queue():
    _, position = let_through(0, rate_per_s=1, now=NOON + timedelta(days=900), wanted=1)
    passing, position = let_through(position, rate_per_s=1, now=NOON, wanted=1)
    assert passing == 0
    passing, _ = let_through(position, rate_per_s=1, now=NOON + timedelta(seconds=3), wanted=1)
    assert passing == 1


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_waiting_doubles_up_to_an_hour_with_half_of_it_by_chance(attempt, seed):
    longest = min(BACKOFF_S_MAX, 2.0 ** (attempt - 1))
    waited = wait_before(attempt, SeededEntropy(seed)).total_seconds()
    assert longest / 2 - 1e-6 <= waited <= longest + 1e-6


def test_those_who_failed_together_come_back_apart():
    entropy = SeededEntropy(3)
    assert len({wait_before(5, entropy) for _ in range(100)}) > 90
