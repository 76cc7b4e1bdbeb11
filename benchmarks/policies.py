"""Policies over the ledger: records read, shown to eight policies, and their places kept."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import Final

from benchmarks.append import acts
from benchmarks.figures import Figure, Scale
from benchmarks.house import TENANT, House, new_node, tell
from loglineos.engine import Engine, open_engine
from loglineos.node import Node
from loglineos.runtime.header import read_source
from loglineos.runtime.policy.agent import PolicyAgent
from loglineos.runtime.publishing import push, set_pause

_POLICY: Final = """
POLICY = {"effects": ["emit"]}


def on(span):
    if span["entity_type"] == "execution" and (span.get("duration_ms") or 0) > 5000:
        return [{"notify": "lento"}]
    return []
"""
_POLICIES: Final = 8
_BATCH: Final = 500


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Measure what is there already, and what is appended while the policies look."""
    count = _BATCH * scale.batches
    behind: list[float] = []
    beside: list[float] = []
    async with new_node() as node, open_engine(node) as engine:
        agent = await _agent(node, engine)
        await _append(node, 2 * _BATCH)
        await agent.catch_up(TENANT)
        for run in range(scale.runs):
            tell(f"policies, run {run + 1}")
            await _append(node, count)
            began = time.perf_counter()
            await agent.catch_up(TENANT)
            behind.append(count / (time.perf_counter() - began))
            began = time.perf_counter()
            await _both(node, agent, count)
            beside.append(count / (time.perf_counter() - began))
    what = f"{_POLICIES} policies, each shown every record"
    return [
        Figure(
            what=f"{what}: records of the past", unit="records/s", runs=tuple(behind), goal=5_000
        ),
        Figure(
            what=f"{what}: appended meanwhile, to the last one's end", unit="records/s",
            runs=tuple(beside), note="the appends share the machine",
        ),
    ]  # fmt: skip


async def _agent(node: Node, engine: Engine) -> PolicyAgent:
    for policy in await engine.laws.policies(TENANT):
        await set_pause(
            node.writer, TENANT, policy.id, who="medidor", is_paused=True, reason="benchmark"
        )
    for number in range(_POLICIES):
        source = read_source(_POLICY, filename=f"p{number}.py", kind="policy")
        await push(node.writer, TENANT, source, who="medidor")
    return engine.policies()


async def _append(node: Node, count: int) -> None:
    drafts = acts("joao")
    for _ in range(count // _BATCH):
        await node.writer.append(list(islice(drafts, _BATCH)), tenant=TENANT)


async def _both(node: Node, agent: PolicyAgent, count: int) -> None:
    """Append while the policies look; come back when they have seen all of it."""
    appending = asyncio.create_task(_append(node, count))
    while not appending.done():
        await agent.catch_up(TENANT)
        await asyncio.sleep(0.001)
    await appending
    await agent.catch_up(TENANT)
