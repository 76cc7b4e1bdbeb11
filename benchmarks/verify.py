"""Verifying everything: hash, signature, chain and tree of every record, on all cores."""

from __future__ import annotations

import os
import time

from benchmarks.figures import Figure, Scale
from benchmarks.house import TENANT, House, tell
from loglineos.ledger.verification.verifier import verify_tenant


async def measure(scale: Scale, house: House) -> list[Figure]:
    """Verify the whole log of the shared house."""
    rates = []
    async with house.open() as node:
        size = await node.writer.log_size(TENANT) or 0
        for run in range(scale.verify_runs):
            began = time.perf_counter()
            report = await verify_tenant(node.verification(), TENANT)
            rates.append(size / (time.perf_counter() - began))
            if not report.is_clean:
                raise RuntimeError("the house to measure does not verify")
            tell(f"verify {run + 1}/{scale.verify_runs}: {rates[-1]:,.0f} records/s")
    return [
        Figure(
            what=f"verify everything, {size:,} records, {os.cpu_count()} cores",
            unit="records/s",
            runs=tuple(rates),
            goal=20_000,
        )
    ]
