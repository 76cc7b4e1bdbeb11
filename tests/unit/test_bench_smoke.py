"""The benchmarks' tables render and keep to their page; what they measure is not timed here."""

from __future__ import annotations

from importlib import import_module

import pytest
from benchmarks.__main__ import NAMES, PAGE
from benchmarks.figures import (
    BEGIN,
    END,
    QUICK,
    Figure,
    Scale,
    number,
    percentile,
    put_between_marks,
    ratio,
    table,
)


def test_a_table_shows_the_median_and_says_what_is_missed():
    met = Figure(what="appends", unit="/s", runs=(5.0, 9_000.0, 7_000.0), goal=6_000)
    missed = Figure(what="wait", unit="ms", runs=(151.0,), goal=150, sense="at most", note="cold")
    bare = Figure(what="peer", unit="/s", runs=(1.5, 2.5))
    assert table([met, missed, bare]).splitlines()[2:] == [
        "| appends | 7,000 /s | 5.00 to 9,000 | 3 | at least 6,000 | met |",
        "| wait | 151 ms | 151 to 151 | 1 | at most 150 | **missed**; cold |",
        "| peer | 2.00 /s | 1.50 to 2.50 | 2 |  |  |",
    ]


def test_a_ratio_compares_run_by_run():
    ours = Figure(what="ours", unit="/s", runs=(30.0, 80.0))
    peer = Figure(what="peer", unit="/s", runs=(10.0, 20.0))
    compared = ratio("against the peer", ours, peer, goal=3)
    assert (compared.runs, compared.median, compared.is_met) == ((3.0, 4.0), 3.5, True)


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (99, 10), (100, 10), (1, 1)])
def test_a_percentile_is_one_of_the_values(percent: float, value: int):
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == value


@pytest.mark.parametrize(("value", "told"), [(0.3, "0.30"), (12.34, "12.3"), (12_345.6, "12,346")])
def test_numbers_have_the_digits_that_they_deserve(value: float, told: str):
    assert number(value) == told


def test_the_page_has_marks_and_keeps_the_rest():
    page = PAGE.read_text(encoding="utf-8")
    written = put_between_marks(page, "| new |")
    assert f"{BEGIN}\n| new |\n{END}" in written
    assert written.partition(BEGIN)[0] == page.partition(BEGIN)[0]
    assert written.partition(END)[2] == page.partition(END)[2]
    with pytest.raises(ValueError, match="marks"):
        put_between_marks("no marks here", "x")


def test_every_benchmark_can_be_named_and_measured():
    for name in NAMES:
        assert callable(import_module(f"benchmarks.{name}").measure)
    assert Scale().runs >= 5
    assert QUICK.lines < Scale().lines
