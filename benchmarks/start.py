"""From a command to the first durable append: first start (folder made), then second starts."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from benchmarks.figures import Figure, Scale
from benchmarks.house import House, folder, tell


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Start in a new folder, then again in the same one; Postgres starts each time."""
    with folder() as home:
        first = await _first_append(home)
        again = [await _first_append(home) for _ in range(max(scale.runs, 2))]
    tell(f"start: {first:.2f} s at first, then {again[-1]:.2f} s")
    return [
        Figure(
            what="first start to first append", unit="s", runs=(first,),
            note="makes database, keys and schema",
        ),
        Figure(
            what="second start to first append", unit="s", runs=tuple(again), goal=3,
            sense="at most", note="Python, Postgres, migration check, append",
        ),
    ]  # fmt: skip


async def _first_append(home: Path) -> float:
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.start_process", str(home), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    said = await child.stdout.readline()
    seconds = time.perf_counter() - began
    await child.wait()
    if not said.strip().isdigit() or child.returncode:
        raise RuntimeError("the start did not append")
    return seconds
