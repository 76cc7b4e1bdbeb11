"""What a benchmark reports, and the table made of it.

Always holds: a figure is the median of its runs, with the lowest and highest beside it; what misses
its goal says so; a peer is measured in the same run, on the same machine, to the same disk.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: what was measured, in which unit, in each run, against which goal."""

    what: str
    unit: str
    runs: tuple[float, ...]
    goal: float | None = None
    sense: Literal["at least", "at most"] = "at least"
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.sense == "at least" else self.median <= self.goal


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    runs: int = 5
    submitters: int = 256
    records_each: int = 48
    batch_records: int = 1_000
    batches: int = 20
    peer_events: int = 1_500
    lines: int = 1_000_000
    ingest_runs: int = 5
    proofs: int = 1_000
    pages: int = 40
    verify_runs: int = 5
    sandbox_batches: int = 20
    sandbox_runs: int = 200
    sandbox_calls: int = 1_000


QUICK: Final = Scale(
    runs=2, records_each=4, batches=3, peer_events=100, lines=5_000, ingest_runs=1, proofs=50,
    pages=3, verify_runs=1, sandbox_batches=2, sandbox_runs=20, sandbox_calls=100,
)  # fmt: skip


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def ratio(what: str, ours: Figure, peer: Figure, *, goal: float | None = None) -> Figure:
    """Compare two figures run by run: how many times the peer we are."""
    runs = tuple(our / their for our, their in zip(ours.runs, peer.runs, strict=True))
    return Figure(what=what, unit="x", runs=runs, goal=goal)


def table(figures: Sequence[Figure]) -> str:
    """Write the figures as a Markdown table."""
    lines = [
        "| what | median | lowest to highest | runs | goal | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for figure in figures:
        low, high = min(figure.runs), max(figure.runs)
        goal = "" if figure.goal is None else f"{figure.sense} {number(figure.goal)}"
        met = {True: "met", False: "**missed**", None: ""}[figure.is_met]
        told = f"{met}; {figure.note}" if met and figure.note else met or figure.note
        lines.append(
            f"| {figure.what} | {number(figure.median)} {figure.unit} "
            f"| {number(low)} to {number(high)} | {len(figure.runs)} | {goal} | {told} |"
        )
    return "\n".join(lines)


def number(value: float) -> str:
    """Write a number with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def put_between_marks(page: str, text: str) -> str:
    """Replace what stands between the marks of a page; `ValueError` when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks for the figures")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
