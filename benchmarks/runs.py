"""Durable runs: a workflow of three steps beside DBOS, journaled calls, resuming, replaying.

A step of ours emits a record and is journaled by it; a step of DBOS returns a value and is kept in
its tables. Both are durable before the next step begins, on the same server and disk. Ours signs
each step, chains it and puts it into the tree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from benchmarks.figures import Figure, Scale, ratio
from benchmarks.house import TENANT, House, new_node, tell
from benchmarks.queue_peers import DbosPeer
from loglineos.engine import Engine, open_engine
from loglineos.node import Node
from loglineos.runtime.execution.replay import replay
from loglineos.runtime.execution.requests import draft_request
from loglineos.runtime.execution.sources import LedgerSource
from loglineos.runtime.functions import Function
from loglineos.runtime.header import read_source
from loglineos.runtime.publishing import push
from loglineos.services.queue.worker import WorkerSettings

_AT_ONCE: Final = 50
_CALLS: Final = 100
_SOURCES: Final = {
    "passos": """
import ctx
FUNCTION = {"effects": ["emit"]}
def main(input):
    for step in range(3):
        ctx.emit({"did": "passo", "this": "pedido " + str(input["n"]) + "/" + str(step),
                  "confirmed_by": "ana", "if_ok": "a", "if_doubt": "b", "if_not": "c"})
    return input["n"]
""",
    "perguntas": f"""
import ctx
FUNCTION = {{"effects": []}}
def main(input):
    for _ in range({_CALLS}):
        ctx.uuid()
""",
    "espera": """
import ctx
FUNCTION = {"effects": []}
def main(input):
    ctx.sleep(86400)
    return input["n"]
""",
}


class Ours:
    """LogLineOS, with the functions to run."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.node = engine.node
        self.functions: dict[str, Function] = {}

    async def publish(self) -> None:
        for name, text in _SOURCES.items():
            source = read_source(text, filename=f"{name}.py")
            await push(self.node.writer, TENANT, source, who="medidor")
            await self.engine.laws.refresh(TENANT)
            self.functions[name] = await self.engine.laws.function(TENANT, name)

    async def ask(self, name: str, count: int) -> None:
        function = self.functions[name]
        drafts = [
            draft_request(
                function=function.id, name=name, who="medidor", input={"n": number},
                max_attempts=1,
            )
            for number in range(count)
        ]  # fmt: skip
        for start in range(0, count, 1_000):
            await self.node.writer.append(drafts[start : start + 1_000], tenant=TENANT)

    async def work(self, count: int) -> float:
        """Run what is due until so many runs rested or ended; return seconds."""
        worker = self.engine.worker(WorkerSettings(slots=_AT_ONCE, ahead_max=_AT_ONCE))
        began = time.perf_counter()
        task = asyncio.create_task(worker.run())
        while worker.ended < count:
            await asyncio.sleep(0.002)
        spent = time.perf_counter() - began
        worker.stop()
        await task
        return spent

    async def make_due(self) -> None:
        """Let the time of everything that sleeps come: as if the clock had gone on."""
        async with self.engine.work.connection() as connection:
            await connection.execute(
                "UPDATE ledger.job SET due_at = now() WHERE tenant_id = %s AND status = 'waiting'",
                [TENANT],
            )


class Workflows(DbosPeer):
    """DBOS with a workflow of three steps, fifty at a time."""

    def _launch(self) -> None:
        from dbos import DBOS  # noqa: PLC0415 - only here, only when asked

        super()._launch()

        @DBOS.step()
        def step(n: int, number: int) -> str:
            return f"pedido {n}/{number}"

        @DBOS.workflow()
        def three(n: int) -> int:
            for number in range(3):
                step(n, number)
            self.done += 1
            return n

        self.noop = three


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Measure each by turns, on one node."""
    is_quick = scale.lines < 100_000
    flows, few = (100, 40) if is_quick else (2_000, 300)
    asking, sleeping = (4, 20) if is_quick else (60, 1_000)
    rates: dict[str, list[float]] = {
        name: [] for name in ("ours", "dbos", "calls", "resumed", "replayed")
    }
    async with new_node() as node, _ours(node) as ours:
        peer = Workflows(node)
        await peer.open()
        for run in range(scale.runs):
            await ours.ask("passos", flows)
            rates["ours"].append(flows / await ours.work(flows))
            rates["dbos"].append(await peer.drain(few))
            await ours.ask("perguntas", asking)
            rates["calls"].append(asking * _CALLS / await ours.work(asking))
            rates["resumed"].append(await _resumed(ours, sleeping))
            rates["replayed"].append(await _replayed(ours, few))
            told = ", ".join(f"{name} {found[-1]:,.0f}/s" for name, found in rates.items())
            tell(f"runs {run + 1}/{scale.runs}: {told}")
        await peer.close()
    return _figures(rates)


@asynccontextmanager
async def _ours(node: Node) -> AsyncIterator[Ours]:
    async with open_engine(node) as engine:
        ours = Ours(engine)
        await ours.publish()
        yield ours


async def _resumed(ours: Ours, count: int) -> float:
    """Pause runs, then let another worker, which knows nothing of them, resume them all."""
    await ours.ask("espera", count)
    await ours.work(count)
    await ours.make_due()
    real = ours.node.clock.now
    ours.node.clock.now = lambda: real() + timedelta(days=2)  # type: ignore[method-assign]
    try:
        return count / await ours.work(count)
    finally:
        ours.node.clock.now = real  # type: ignore[method-assign]


async def _replayed(ours: Ours, count: int) -> float:
    """Replay the first executions that ended, four at a time."""
    source = LedgerSource(ours.node.reader_pool, TENANT)
    wanted = []
    async for execution in source.ended():
        wanted.append(execution)
        if len(wanted) == count:
            break
    slots = asyncio.Semaphore(4)

    async def one(execution):
        async with slots:
            return await replay(ours.engine.runners, source, execution)

    began = time.perf_counter()
    verdicts = await asyncio.gather(*(one(execution) for execution in wanted))
    spent = time.perf_counter() - began
    assert {verdict.verdict for verdict in verdicts} == {"equal"}
    return count / spent


def _figures(rates: dict[str, list[float]]) -> list[Figure]:
    def figure(
        name: str, what: str, unit: str, goal: float | None = None, note: str = ""
    ) -> Figure:
        return Figure(what=what, unit=unit, runs=tuple(rates[name]), goal=goal, note=note)

    flow = f"a workflow of 3 durable steps, {_AT_ONCE} at a time"
    ours = figure(
        "ours", f"{flow}: LogLineOS", "workflows/s", note="5 signed records each, sandboxed"
    )
    dbos = figure("dbos", f"{flow}: DBOS", "workflows/s")
    return [
        ours, dbos, ratio("LogLineOS against DBOS, workflows", ours, dbos, goal=8.0),
        figure("calls", "external calls journaled, one worker", "calls/s", 5_000),
        figure("resumed", "paused runs resumed by another worker", "runs/s", 500),
        figure("replayed", "finished runs replayed, one runner", "runs/s", 300, "per core"),
    ]  # fmt: skip
