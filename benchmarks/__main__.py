"""Measure: `python -m benchmarks [names…] [--quick] [--write] [--runs N] [--lines N]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import QUICK, Figure, Scale, put_between_marks, table
from benchmarks.house import House, machine_line, tell

NAMES: Final = (
    "append",
    "peers",
    "verify",
    "proof",
    "timeline",
    "ingest",
    "start",
    "sandbox",
    "queue",
    "runs",
    "policies",
)
PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"


def main() -> None:
    """Measure what was asked for; write the table to standard output."""
    asked = _arguments()
    unknown = [name for name in asked.names if name not in NAMES]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    scale = QUICK if asked.quick else Scale()
    if asked.lines is not None:
        scale = msgspec.structs.replace(scale, lines=asked.lines)
    if asked.runs is not None:
        scale = msgspec.structs.replace(
            scale, runs=asked.runs, ingest_runs=asked.runs, verify_runs=asked.runs
        )
    text = asyncio.run(_measured(asked.names or NAMES, scale, is_quick=asked.quick))
    print(text)
    if asked.write:
        PAGE.write_text(put_between_marks(PAGE.read_text("utf-8"), text), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run?")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("--runs", type=int, help="runs of each figure (5)")
    parser.add_argument("--lines", type=int, help="lines of the large files (1,000,000)")
    return parser.parse_args()


async def _measured(names: tuple[str, ...] | list[str], scale: Scale, *, is_quick: bool) -> str:
    house = House(scale.lines)
    figures: list[Figure] = []
    try:
        machine = await machine_line()
        for name in (known for known in NAMES if known in names):
            tell(f"{name}…")
            measure: Callable[[Scale, House], Awaitable[list[Figure]]]
            measure = import_module(f"benchmarks.{name}").measure
            figures += await measure(scale, house)
    finally:
        house.remove()
    said = "Quick sizes: these figures only show that the benchmarks run.\n\n" if is_quick else ""
    return f"{said}{machine}\n\n{table(figures)}"


if __name__ == "__main__":
    main()
