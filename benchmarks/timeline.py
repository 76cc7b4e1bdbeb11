"""A page of the timeline at the size of the shared house, through every kind of filter."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import Final

from benchmarks.figures import Figure, Scale, percentile
from benchmarks.house import House, reader_of, tell
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Record

ROWS: Final = 50


async def measure(scale: Scale, house: House) -> list[Figure]:
    """Read pages from the head and from random places, each filter in turn."""
    dice = random.Random(7)
    p50, p99, worst_runs = [], [], []
    worst_name = ""
    async with house.open() as node:
        reader = reader_of(node)
        size = (await reader.head()).size
        sample = [await reader.at(dice.randrange(size // 2, size)) for _ in range(8)]
        for run in range(scale.runs):
            waits: dict[str, list[float]] = {}
            for number in range(scale.pages):
                before = None if number % 2 else dice.randrange(size)
                for name, wanted in filters(sample[number % len(sample)]).items():
                    began = time.perf_counter()
                    await reader.timeline(wanted, before=before, limit=ROWS)
                    waits.setdefault(name, []).append((time.perf_counter() - began) * 1000)
            every = [wait for found in waits.values() for wait in found]
            p50.append(percentile(every, 50))
            p99.append(percentile(every, 99))
            worst_name = max(waits, key=lambda name: percentile(waits[name], 99))
            worst_runs.append(percentile(waits[worst_name], 99))
            tell(f"timeline {run + 1}/{scale.runs}: p99 {p99[-1]:.1f} ms, worst by {worst_name}")
    what = f"timeline page of {ROWS} rows at {size:,} records"
    kinds = len(filters(sample[0]))
    return [
        Figure(what=f"{what}, {kinds} kinds of filter, p50", unit="ms", runs=tuple(p50)),
        Figure(
            what=f"{what}, {kinds} kinds of filter, p99", unit="ms", runs=tuple(p99), goal=20,
            sense="at most",
        ),
        Figure(
            what=f"{what}, p99 of the slowest kind", unit="ms", runs=tuple(worst_runs), goal=20,
            sense="at most", note=f"slowest last: {worst_name}",
        ),
    ]  # fmt: skip


def filters(one: Record) -> dict[str, Filter]:
    """Make every kind of filter, about things that are there and things that are not."""
    word = (one.this or "quarto").split()[0].lower()
    day = timedelta(days=1)
    return {
        "nothing": Filter(),
        "who": Filter(who=one.who),
        "did": Filter(did=one.did),
        "this": Filter(this=one.this),
        "status": Filter(status=one.status),
        "type": Filter(type=one.type),
        "kind of entity": Filter(entity_type=one.entity_type),
        "a day": Filter(since=one.at - day, until=one.at + day),
        "a week": Filter(since=one.at - 7 * day),
        "words": Filter(words=(word,)),
        "beginning of a word": Filter(prefixes=(word[:4],)),
        "a tag": Filter(tags=one.tags or ("urgente",)),
        "who and did": Filter(who=one.who, did=one.did),
        "did and status": Filter(did=one.did, status="failed"),
        "who, on a day": Filter(who=one.who, since=one.at - day, until=one.at + day),
        "words and status": Filter(words=(word,), status=one.status),
        "open ghosts": Filter(ghosts=True),
        "latest events": Filter(latest=True),
        "latest by who": Filter(latest=True, who=one.who),
        "who that is not there": Filter(who="ninguem"),
        "words that are not there": Filter(words=("inexistente",)),
    }
