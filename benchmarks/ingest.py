"""Ingest: lines a second and peak memory of our process, each run into a node of its own."""

from __future__ import annotations

from benchmarks.figures import Figure, Scale
from benchmarks.house import House, folder, ingest_apart, lines_file, tell


async def measure(scale: Scale, house: House) -> list[Figure]:
    """Ingest a file of foreign lines; report the building of the shared house too, if it was."""
    path = lines_file(scale.lines, foreign=True)
    rates, peaks = [], []
    for run in range(scale.ingest_runs):
        with folder() as home:
            told = await ingest_apart(home, path)
        rates.append(told["lines"] / told["seconds"])
        peaks.append(told["peak_bytes"] / 1e6)
        tell(f"ingest {run + 1}/{scale.ingest_runs}: {rates[-1]:,.0f} lines/s")
    size = f"{scale.lines:,} lines, {path.stat().st_size / 1e6:,.0f} MB"
    found = [
        Figure(
            what=f"ingest of a file ({size})", unit="lines/s", runs=tuple(rates), goal=8_000,
            note="no ids in it: each line its own entity",
        ),
        Figure(
            what="peak memory of our process meanwhile", unit="MB", runs=tuple(peaks), goal=400,
            sense="at most",
        ),
    ]  # fmt: skip
    if house.built is not None:
        rate = house.built["lines"] / house.built["seconds"]
        found.append(
            Figure(
                what=f"ingest of {house.lines:,} lines that are events of longer lives",
                unit="lines/s",
                runs=(rate,),
                note="the house that proof, timeline and verify use",
            )
        )
    return found
