"""What the tests of the queue share: workers on a house, requests, and the lives that came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from loglineos.base.entropy import SeededEntropy
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.runtime.execution.requests import draft_request
from loglineos.services.queue.enqueue import enqueue
from loglineos.services.queue.handlers import Handlers, handler_id
from loglineos.services.queue.worker import Worker, WorkerSettings

SOON_S = 20.0


async def ask(
    house, name: str, count: int = 1, *, tenant: str = "casa", **more: Any
) -> list[Record]:
    """Enqueue so many requests for a handler, each with its number as input."""
    drafts = [
        draft_request(function=handler_id(name), name=name, who="ana", input={"n": n}, **more)
        for n in range(count)
    ]
    return await enqueue(house.writer, drafts, tenant=tenant)


async def new_worker(house, handlers: Any, name: str = "w1", **settings: Any) -> Worker:
    """Make a worker that polls every 20 ms of real time, on the house's clock."""
    executor = handlers if hasattr(handlers, "run") else Handlers(handlers)
    told = {"poll_s": 0.02, "lease_s": 30.0, "drain_s": 5.0, **settings}
    return Worker(
        house.writer, executor, pool=await house.pool("logline_appender"), clock=house.clock,
        entropy=SeededEntropy(7), name=name, settings=WorkerSettings(**told),
    )  # fmt: skip


@asynccontextmanager
async def working(*workers: Worker) -> AsyncIterator[None]:
    """Let workers work for the time of the block, then stop and await them."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)


async def until(is_so: Callable[[], Any]) -> None:
    """Wait for a condition, sync or async, a bounded time."""
    async with asyncio.timeout(SOON_S):
        while True:
            found = is_so()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


async def life(house, identity: UUID, *, tenant: str = "casa") -> list[Record]:
    """Return every event of an execution."""
    async with house.writer.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM ledger.universal_registry WHERE tenant_id = %s AND id = %s ORDER BY seq",
            [tenant, identity],
        )
        return [record_of(row) for row in await cursor.fetchall()]


async def statuses(house, records: list[Record], *, tenant: str = "casa") -> list[str | None]:
    """Return where executions stand now."""
    return [(await house.writer.latest(tenant, record.id)).status for record in records]


async def rows_of(house, sql: str, *values: Any) -> list[Any]:
    """Ask the database as the reader."""
    async with house.writer.pool.connection() as connection:
        return await (await connection.execute(sql, values)).fetchall()
