"""Other queues on Postgres, each in a database of its own on the server that is measured."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loglineos.node import Node

_APART_S = 0.03
_THREADS = 10


class Peer(Protocol):
    """A queue that is measured."""

    name: str
    is_awaited: bool

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def drain(self, count: int) -> float: ...
    async def waits(self, count: int) -> list[float]: ...


async def _database(node: Node, name: str) -> str:
    connection = await node.database.connect(None, name="bench")
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await connection.close()
    return make_conninfo(node.database.dsn(None), dbname=name)


class ProcrastinatePeer:
    """Procrastinate: `concurrency` 10; its worker fetches one job at a time."""

    name = "Procrastinate"
    is_awaited = True

    def __init__(self, node: Node) -> None:
        self.node = node
        self.done = 0
        self.started: dict[int, float] = {}

    async def open(self) -> None:
        import procrastinate  # noqa: PLC0415 - only here, only when asked

        dsn = await _database(self.node, "peer_procrastinate")
        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
        await self.app.open_async()
        await self.app.schema_manager.apply_schema_async()

        @self.app.task(name="noop")
        async def noop(n: int) -> None:
            self.done += 1
            self.started[n] = time.perf_counter()

        self.task = noop

    async def close(self) -> None:
        await self.app.close_async()

    def _work(self) -> asyncio.Task[Any]:
        return asyncio.create_task(
            self.app.run_worker_async(concurrency=10, install_signal_handlers=False)
        )

    async def drain(self, count: int) -> float:
        await self.task.batch_defer_async(*({"n": n} for n in range(count)))
        self.done = 0
        began = time.perf_counter()
        work = self._work()
        while self.done < count:
            await asyncio.sleep(0.005)
        spent = time.perf_counter() - began
        await _end(work)
        return count / spent

    async def waits(self, count: int) -> list[float]:
        work, found = self._work(), []
        await asyncio.sleep(1)
        self.started.clear()
        for number in range(count):
            began = time.perf_counter()
            await self.task.defer_async(n=number)
            found.append(await _begun(self.started, number, began))
        await _end(work)
        return found


class PgQueuerPeer:
    """PgQueuer, at its defaults or with a large batch."""

    def __init__(self, node: Node, batch: int | None = None) -> None:
        self.node = node
        self.batch = batch
        self.name = "PgQueuer, defaults" if batch is None else f"PgQueuer, batches of {batch:,}"
        self.is_awaited = batch is None
        self.done = 0
        self.started: dict[int, float] = {}

    async def open(self) -> None:
        from pgqueuer.db import AsyncpgDriver  # noqa: PLC0415 - only here, only when asked
        from pgqueuer.queries import Queries  # noqa: PLC0415

        suffix = "default" if self.batch is None else "batch"
        self.dsn = await _database(self.node, f"peer_pgqueuer_{suffix}")
        logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)
        self.connection = await self._connect()
        self.queries = Queries(AsyncpgDriver(self.connection))
        await self.queries.install()

    async def _connect(self) -> Any:
        import asyncpg  # noqa: PLC0415 - only here, only when asked

        told = conninfo_to_dict(self.dsn)
        return await asyncpg.connect(
            host=str(told["host"]), user=str(told["user"]), database=str(told["dbname"])
        )

    async def close(self) -> None:
        await self.connection.close()

    async def _work(self) -> tuple[Any, asyncio.Task[Any], Any]:
        from pgqueuer import PgQueuer  # noqa: PLC0415
        from pgqueuer.db import AsyncpgDriver  # noqa: PLC0415

        connection = await self._connect()
        pgq = PgQueuer(AsyncpgDriver(connection))

        @pgq.entrypoint("noop")
        async def noop(job: Any) -> None:
            self.done += 1
            self.started[int(job.payload)] = time.perf_counter()

        more = {} if self.batch is None else {"batch_size": self.batch}
        running = pgq.run(dequeue_timeout=timedelta(seconds=1), **more)
        return pgq, asyncio.create_task(running), connection

    async def _stop(self, work: tuple[Any, asyncio.Task[Any], Any]) -> None:
        pgq, task, connection = work
        pgq.shutdown.set()
        with suppress(Exception):
            async with asyncio.timeout(10):
                await task
        await connection.close()

    async def drain(self, count: int) -> float:
        for start in range(0, count, 1_000):
            size = min(1_000, count - start)
            payloads: list[bytes | None] = [str(start + n).encode() for n in range(size)]
            await self.queries.enqueue(["noop"] * size, payloads, [0] * size)
        self.done = 0
        began = time.perf_counter()
        work = await self._work()
        while self.done < count:
            await asyncio.sleep(0.005)
        spent = time.perf_counter() - began
        await self._stop(work)
        return count / spent

    async def waits(self, count: int) -> list[float]:
        work, found = await self._work(), []
        await asyncio.sleep(1)
        self.started.clear()
        for number in range(count):
            began = time.perf_counter()
            await self.queries.enqueue("noop", str(number).encode())
            found.append(await _begun(self.started, number, began))
        await self._stop(work)
        return found


class DbosPeer:
    """DBOS: workflows without steps on a queue that polls each 10 ms, enqueued by ten threads."""

    name = "DBOS"
    is_awaited = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.done = 0

    async def open(self) -> None:
        dsn = await _database(self.node, "peer_dbos")
        told = conninfo_to_dict(dsn)
        url = f"postgresql+psycopg://{told['user']}@/{told['dbname']}?host={told['host']}"
        self.url = url

    async def close(self) -> None:
        return None

    def _launch(self) -> None:
        from dbos import DBOS  # noqa: PLC0415 - only here, only when asked

        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        DBOS(config={"name": "peer", "system_database_url": self.url, "log_level": "CRITICAL"})

        @DBOS.workflow()
        def noop(n: int) -> None:  # noqa: ARG001 - the input
            self.done += 1

        self.noop = noop
        DBOS.launch()
        self.queue = DBOS.register_queue("peer", polling_interval_sec=0.01)

    def _destroy(self) -> None:
        from dbos import DBOS  # noqa: PLC0415

        DBOS.destroy(destroy_registry=True)

    async def drain(self, count: int) -> float:
        """Enqueue and drain at once: its worker is part of the process that enqueues."""
        await asyncio.to_thread(self._launch)  # it polls, and would disturb the others
        self.done = 0
        began = time.perf_counter()
        await asyncio.to_thread(self._enqueue, count)
        while self.done < count:
            await asyncio.sleep(0.005)
        spent = time.perf_counter() - began
        await asyncio.to_thread(self._destroy)
        return count / spent

    def _enqueue(self, count: int) -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            for future in [pool.submit(self.queue.enqueue, self.noop, n) for n in range(count)]:
                future.result()

    async def waits(self, count: int) -> list[float]:
        raise NotImplementedError("it polls; there is nothing to compare")


async def _begun(started: dict[int, float], number: int, began: float) -> float:
    """Wait until a job has begun; return how long that took in ms, and leave a pause."""
    while number not in started:
        await asyncio.sleep(0.0005)
    await asyncio.sleep(_APART_S)
    return (started.pop(number) - began) * 1000


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
