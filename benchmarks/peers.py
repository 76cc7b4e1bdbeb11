"""One event a call, beside the PyPI package `eventsourcing` with its PostgreSQL recorder.

The same server, so the same disk and the same fsync; a database of its own. Their call saves a new
aggregate with one event of the same nine fields; ours appends one record, hashed, signed, chained
and in the tree.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from benchmarks.append import acts
from benchmarks.figures import Figure, Scale, ratio
from benchmarks.house import TENANT, House, new_node, tell
from loglineos.ledger.record import Draft
from loglineos.node import Node

_THREADS = (1, 8)
_MANY = 256
"""Callers that one event loop serves; the peer would need a thread and a connection for each."""


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Save and append by turns, by 1 and by 8 callers."""
    ours: dict[int, list[float]] = {callers: [] for callers in (*_THREADS, _MANY)}
    theirs: dict[int, list[float]] = {threads: [] for threads in _THREADS}
    async with new_node() as node:
        application, act = await asyncio.to_thread(_application, await _database(node))
        try:
            for run in range(scale.runs):
                for threads in _THREADS:
                    drafts = list(islice(acts("maria"), scale.peer_events))
                    theirs[threads].append(
                        await asyncio.to_thread(_save, application, act, drafts, threads)
                    )
                    ours[threads].append(await _append(node, drafts, threads))
                many = list(islice(acts("maria"), scale.peer_events * 4))
                ours[_MANY].append(await _append(node, many, _MANY))
                tell(
                    f"peers {run + 1}/{scale.runs}: {ours[1][-1]:,.0f}/s and {theirs[1][-1]:,.0f}/s"
                )
        finally:
            application.close()
    found = [figure for threads in _THREADS for figure in _figures(threads, ours, theirs)]
    many_callers = Figure(
        what=f"one act a call, {_MANY} callers: LogLineOS", unit="records/s",
        runs=tuple(ours[_MANY]),
    )  # fmt: skip
    best = Figure(
        what="eventsourcing at its better", unit="events/s",
        runs=max(map(tuple, theirs.values()), key=statistics.median),
    )  # fmt: skip
    what = f"one act a call, {_MANY} callers, against eventsourcing at its better of 1 and 8"
    return [*found, many_callers, ratio(what, many_callers, best)]


def _figures(
    threads: int, ours: dict[int, list[float]], theirs: dict[int, list[float]]
) -> list[Figure]:
    callers = "1 caller" if threads == 1 else f"{threads} callers"
    one = Figure(
        what=f"one act a call, {callers}: LogLineOS", unit="records/s", runs=tuple(ours[threads])
    )
    other = Figure(
        what=f"one act a call, {callers}: eventsourcing", unit="events/s",
        runs=tuple(theirs[threads]),
    )  # fmt: skip
    return [one, other, ratio(f"against eventsourcing, {callers}", one, other, goal=3)]


async def _append(node: Node, drafts: list[Draft], callers: int) -> float:
    async def submit(own: list[Draft]) -> None:
        for draft in own:
            await node.writer.append([draft], tenant=TENANT)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(submit(drafts[number::callers]))
    return len(drafts) / (time.perf_counter() - began)


def _save(application: Any, act: Any, drafts: list[Draft], threads: int) -> float:
    def save(own: list[Draft]) -> None:
        for draft in own:
            application.save(
                act(
                    who=draft.who, did=draft.did, this=draft.this, when=str(draft.at),
                    confirmed_by=draft.confirmed_by, if_ok=draft.if_ok, if_doubt=draft.if_doubt,
                    if_not=draft.if_not, status=draft.status,
                )
            )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(save, [drafts[number::threads] for number in range(threads)]))
        return len(drafts) / (time.perf_counter() - began)


async def _database(node: Node) -> dict[str, str]:
    """Make a database for the peer on the node's own server; return the peer's settings."""
    connection = await node.database.connect(None, name="bench")
    await connection.execute("CREATE DATABASE peer TEMPLATE template0")
    await connection.close()
    told = conninfo_to_dict(node.database.dsn(None))
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": "peer",
        "POSTGRES_HOST": str(told["host"]),
        "POSTGRES_PORT": str(told.get("port", "5432")),
        "POSTGRES_USER": str(told["user"]),
        "POSTGRES_PASSWORD": str(told.get("password", "")) or "none",
        "POSTGRES_POOL_SIZE": "8",
    }


def _application(settings: dict[str, str]) -> tuple[Any, Any]:
    """Make the peer's application, and the class of its acts."""
    from eventsourcing.application import Application  # noqa: PLC0415 - only here, only when asked
    from eventsourcing.domain import Aggregate, event  # noqa: PLC0415

    class Act(Aggregate):
        @event("Told")
        def __init__(
            self, who: str, did: str, this: str, when: str, confirmed_by: str, if_ok: str,
            if_doubt: str, if_not: str, status: str,
        ) -> None:  # fmt: skip
            self.told = (who, did, this, when, confirmed_by, if_ok, if_doubt, if_not, status)

    return Application(env=settings), Act
