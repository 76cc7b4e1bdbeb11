"""Ingest one file in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.house import TENANT, settings_of
from loglineos.ledger.intake.formats import read_items
from loglineos.ledger.intake.ingest import ingest
from loglineos.ledger.intake.intake import drafts_of
from loglineos.node import open_node


async def main(home: Path, path: Path) -> None:
    """Open the node, ingest, print seconds, counts and peak bytes as JSON."""
    async with open_node(settings_of(home)) as node:
        began = time.perf_counter()
        drafts = (d for _, d in drafts_of(read_items(path), tenant=TENANT, source=path.name))
        report = await ingest(node.writer, drafts, tenant=TENANT)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    told = {"seconds": seconds, "lines": report.lines, "added": report.added}
    print(json.dumps({**told, "ghosts": report.ghosts, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
