"""The queue: no-op jobs, enqueued in batches and drained by one worker, beside three peers.

The same server, so the same disk and the same fsync; a database of its own for each. Ours signs the
request and the end of each job, chains them and puts them into the tree; the peers keep rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.figures import Figure, Scale, percentile, ratio
from benchmarks.house import TENANT, House, new_node, tell
from benchmarks.queue_peers import DbosPeer, Peer, PgQueuerPeer, ProcrastinatePeer
from loglineos.node import Node
from loglineos.runtime.execution.requests import draft_request
from loglineos.services.queue.enqueue import enqueue
from loglineos.services.queue.handlers import NOOP, Handlers, handler_id
from loglineos.services.queue.worker import Worker

_BATCH = 1_000
_APART_S = 0.03


class Ours:
    """LogLineOS, in the shape of a peer."""

    name = "LogLineOS"

    def __init__(self, node: Node) -> None:
        self.node = node
        self.started: dict[int, float] = {}

    async def enqueue(self, first: int, count: int, *, name: str = NOOP) -> None:
        for start in range(first, first + count, _BATCH):
            drafts = [
                draft_request(
                    function=handler_id(name), name=name, who="medidor", input={"n": number}
                )
                for number in range(start, min(start + _BATCH, first + count))
            ]
            await enqueue(self.node.writer, drafts, tenant=TENANT)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        def mark(given: Any) -> None:
            self.started[given["n"]] = time.perf_counter()

        async with self.node.work_pool() as pool:
            worker = Worker(
                self.node.writer, Handlers({"mark": mark}), pool=pool, clock=self.node.clock,
                entropy=self.node.entropy, name="bench", hints=self.node.grown,
            )  # fmt: skip
            task = asyncio.create_task(worker.run())
            try:
                yield worker
            finally:
                worker.stop()
                await task

    async def drain(self, count: int) -> float:
        began = time.perf_counter()
        async with self.working() as worker:
            while worker.ended < count:
                await asyncio.sleep(0.005)
            return count / (time.perf_counter() - began)

    async def waits(self, count: int) -> list[float]:
        """Return how long each of `count` single jobs took from the request to its start, in ms."""
        found = []
        async with self.working():
            await asyncio.sleep(1)
            for number in range(count):
                began = time.perf_counter()
                await self.enqueue(number, 1, name="mark")
                while number not in self.started:
                    await asyncio.sleep(0.0005)
                found.append((self.started.pop(number) - began) * 1000)
                await asyncio.sleep(_APART_S)
        return found


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Enqueue and drain by turns, then one job at a time."""
    is_quick = scale.lines < 100_000
    jobs = 500 if is_quick else 20_000
    few = 100 if is_quick else 3_000
    singles = 10 if is_quick else 150
    enqueued: list[float] = []
    drained: dict[str, list[float]] = {}
    waits: dict[str, tuple[list[float], list[float]]] = {}
    async with new_node() as node:
        ours = Ours(node)
        peers: list[tuple[Peer, int]] = [
            (ProcrastinatePeer(node), few), (DbosPeer(node), few // 2),
            (PgQueuerPeer(node), jobs // 2), (PgQueuerPeer(node, batch=1_000), jobs // 2),
        ]  # fmt: skip
        for peer, _ in peers:
            await peer.open()
        try:
            for run in range(scale.runs):
                began = time.perf_counter()
                await ours.enqueue(0, jobs)
                enqueued.append(jobs / (time.perf_counter() - began))
                drained.setdefault(ours.name, []).append(await ours.drain(jobs))
                for peer, count in peers:
                    drained.setdefault(peer.name, []).append(await peer.drain(count))
                for one in (ours, *(peer for peer, _ in peers if peer.is_awaited)):
                    told = await one.waits(singles)
                    p50, p99 = waits.setdefault(one.name, ([], []))
                    p50.append(percentile(told, 50))
                    p99.append(percentile(told, 99))
                rates = ", ".join(f"{name} {runs[-1]:,.0f}/s" for name, runs in drained.items())
                tell(f"queue {run + 1}/{scale.runs}: {rates}")
        finally:
            for peer, _ in peers:
                await peer.close()
    return _figures(enqueued, drained, waits)


def _figures(
    enqueued: list[float],
    drained: dict[str, list[float]],
    waits: dict[str, tuple[list[float], list[float]]],
) -> list[Figure]:
    goals = {"Procrastinate": 4.0, "DBOS": 2.0, "PgQueuer, defaults": 0.5}
    figures = [
        Figure(
            what=f"jobs enqueued, batches of {_BATCH:,}: LogLineOS",
            unit="jobs/s",
            runs=tuple(enqueued),
            goal=8_000,
            note="signed",
        )
    ]
    ours = Figure(
        what="no-op jobs drained by one worker: LogLineOS", unit="jobs/s",
        runs=tuple(drained["LogLineOS"]), goal=4_000, note="each end signed",
    )  # fmt: skip
    figures.append(ours)
    for name, runs in drained.items():
        if name == ours.what or name == "LogLineOS":
            continue
        peer = Figure(what=f"the same: {name}", unit="jobs/s", runs=tuple(runs))
        figures += [peer, ratio(f"against {name}", ours, peer, goal=goals.get(name))]
    for name, (p50, p99) in waits.items():
        is_ours = name == "LogLineOS"
        for percent, runs, goal in ((50, p50, 8.0), (99, p99, 40.0)):
            figures.append(
                Figure(
                    what=f"one job at a time, asked to begun, p{percent}: {name}",
                    unit="ms",
                    runs=tuple(runs),
                    goal=goal if is_ours else None,
                    sense="at most",
                )
            )
    return figures
