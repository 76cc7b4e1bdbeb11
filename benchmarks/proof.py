"""Inclusion proofs at the size of the shared house: from a position to a receipt."""

from __future__ import annotations

import random
import time

from benchmarks.figures import Figure, Scale, percentile
from benchmarks.house import TENANT, House, tell


async def measure(scale: Scale, house: House) -> list[Figure]:
    """Prove records at random positions, each to the published checkpoint of the whole log."""
    dice = random.Random(7)
    p50, p99, first = [], [], []
    async with house.open() as node:
        size = await node.writer.log_size(TENANT) or 0
        began = time.perf_counter()
        await node.prover.prove(TENANT, position=size - 1)
        first.append((time.perf_counter() - began) * 1000)
        for run in range(scale.runs):
            waits = []
            for _ in range(scale.proofs):
                position = dice.randrange(size)
                began = time.perf_counter()
                await node.prover.prove(TENANT, position=position)
                waits.append((time.perf_counter() - began) * 1000)
            p50.append(percentile(waits, 50))
            p99.append(percentile(waits, 99))
            tell(f"proof {run + 1}/{scale.runs}: p99 {p99[-1]:.1f} ms")
    return [
        Figure(what=f"inclusion proof at {size:,} records, p50", unit="ms", runs=tuple(p50)),
        Figure(
            what=f"inclusion proof at {size:,} records, p99", unit="ms", runs=tuple(p99), goal=10,
            sense="at most", note="with the root log's proof: a whole receipt",
        ),
        Figure(
            what="the first receipt, with the signing of the checkpoints", unit="ms",
            runs=tuple(first),
        ),
    ]  # fmt: skip
