"""What the tests of the runtime share: a house with laws, a sandbox and workers of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from loglineos.base.entropy import SeededEntropy
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.runtime.execution.effects.door import HttpDoor
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.replay import Verdict, replay
from loglineos.runtime.execution.requests import draft_request
from loglineos.runtime.execution.secrets import FileSecrets
from loglineos.runtime.execution.sources import LedgerSource
from loglineos.runtime.execution.waking import NAME, Waker
from loglineos.runtime.following import Bell, Cursors, Follower, Log
from loglineos.runtime.functions import Function
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.publishing import push
from loglineos.runtime.sandbox.full_python import FullPython
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.services.queue.worker import Worker, WorkerSettings

SOON_S = 20.0
SESSIONS = 8


class RuntimeHouse:
    """The runtime of a house, all of it real; only the clock is turned by hand."""

    def __init__(self, house: Any, runners: Runners, folder: Path, stack: AsyncExitStack) -> None:
        self.house = house
        self.runners = runners
        self.clock = house.clock
        self.writer = house.writer
        self.secrets = FileSecrets(folder / "secrets")
        self.packages = folder / "packages"
        self.stack = stack
        self.laws = Laws(house.writer, runners, root=house.keyring.public("root"))
        self.executor: Executor
        self.door: Any

    async def open(self, door: Any = None) -> None:
        """Give the house its rows, an executor, and a waker."""
        await write_rows(self.writer, "casa")
        app = await self.house.pool("logline_app")
        self.door = door or await self.stack.enter_async_context(HttpDoor())

        def reader(tenant: str, function: str) -> Reader:
            viewer = Viewer(tenant=tenant, actor=f"function:{function}", role="operator")
            return Reader(app, viewer=viewer)

        self.world = World(
            writer=self.writer, reader=reader, clock=self.clock, entropy=SeededEntropy(3),
            directory=self.laws, door=self.door, secrets=self.secrets,
        )  # fmt: skip
        self.executor = Executor(
            world=self.world, laws=self.laws, runners=self.runners,
            reading=await self.house.pool("logline_reader"),
            work=await self.house.pool("logline_appender"),
            full_python=lambda: FullPython(packages_root=self.packages), secret=b"s" * 32,
        )  # fmt: skip

    async def push(self, text: str, *, name: str = "f.py") -> Function:
        """Publish a source."""
        await push(self.writer, "casa", read_source(text, filename=name), who="ana")
        return await self.laws.function("casa", name.rpartition(".")[0])

    async def ask(self, name: str, input: Any = None, **more: Any) -> Record:
        """Ask for a run of a function."""
        return await self.ask_for(await self.laws.function("casa", name), input, **more)

    async def ask_for(self, function: Function, input: Any = None, **more: Any) -> Record:
        """Ask for a run of a function that one has in hand, be it paused by now."""
        draft = draft_request(
            function=function.id, name=function.name, who="ana", owner_id="ana", input=input,
            queue=function.queue, max_attempts=function.max_attempts, **more,
        )  # fmt: skip
        (record,) = await self.writer.append([draft], tenant="casa")
        return record

    async def worker(self, name: str = "w1", **settings: Any) -> Worker:
        """Make a worker that polls often in real time, on the house's clock."""
        told = {"poll_s": 0.02, "lease_s": 30.0, "drain_s": 5.0, **settings}
        return Worker(
            self.writer, self.executor, pool=await self.house.pool("logline_appender"),
            clock=self.clock, entropy=SeededEntropy(7), name=name,
            settings=WorkerSettings(**told),
        )  # fmt: skip

    @asynccontextmanager
    async def working(self, *workers: Worker) -> AsyncIterator[None]:
        """Let workers and a waker work for the time of the block."""
        workers = workers or (await self.worker(),)
        reading = await self.house.pool("logline_reader")
        waker = Waker("casa", reading=reading, wake=self.executor.wake)
        cursors = Cursors(await self.house.pool("logline_appender"), clock=self.clock)
        follower = Follower(
            NAME, tenant="casa", handle=waker.handle, log=Log(reading), cursors=cursors
        )
        await follower.begin()
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        waking = asyncio.create_task(_often(follower))
        try:
            yield
        finally:
            waking.cancel()
            for worker in workers:
                worker.stop()
            await asyncio.gather(*tasks)
            await asyncio.gather(waking, return_exceptions=True)

    async def ended(self, execution: Record) -> Record:
        """Wait until an execution has ended; return its last event."""
        return await self.reached(
            execution,
            lambda head: head.status in ("complete", "error", "dead", "denied", "archived"),
        )

    async def waiting(self, execution: Record) -> Record:
        """Wait until an execution waits."""
        return await self.reached(execution, lambda head: head.status == "waiting")

    async def rested(self, execution: Record, *, after: int) -> Record:
        """Wait until an execution waits once more, later in its life than event `after`."""
        return await self.reached(
            execution, lambda head: head.status == "waiting" and head.seq > after
        )

    async def reached(self, execution: Record, is_so: Callable[[Record], bool]) -> Record:
        """Wait, a bounded time, until an execution's latest event is so."""
        head = execution
        try:
            async with asyncio.timeout(SOON_S):
                while not is_so(head := await self.writer.latest("casa", execution.id)):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{head.status}: {head.error or head.metadata}") from None
        return head

    async def run(self, name: str, input: Any = None, **more: Any) -> Record:
        """Run a function to its end by a worker; return its last event."""
        async with self.working():
            return await self.ended(await self.ask(name, input, **more))

    async def answer(self, execution: Record, gesture: str, *, by: str) -> Record:
        """Answer the question that an execution waits for."""
        head = await self.waiting(execution)
        (waits,) = head.metadata["waiting_for"]
        return await make_gesture(self.writer, gesture, UUID(waits["id"]), tenant="casa", by=by)

    async def replay(self, execution: Record) -> Verdict:
        """Replay an execution from the ledger."""
        return await replay(self.runners, self.source, execution.id)

    async def pass_time(self, **span: float) -> None:
        """Turn the clock."""
        self.clock.advance(timedelta(**span))

    # What `replay` reads ------------------------------------------------------------------------

    @property
    def source(self) -> LedgerSource:
        return LedgerSource(self.writer.pool, "casa")

    async def steps(self, execution: UUID) -> list[Record]:
        return await self.source.steps(execution)

    async def emitted(self, execution: Record) -> list[Record]:
        """List what a run appended besides its bookkeeping."""
        found = await self._records("cause_id = %s ORDER BY position", execution.id)
        return [one for one in found if one.entity_type not in ("step", "execution")]

    async def _records(self, where: str, *asked: Any) -> list[Record]:
        async with self.writer.pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT * FROM ledger.universal_registry WHERE tenant_id = 'casa' AND {where}",
                asked,
            )
            return [record_of(row) for row in await cursor.fetchall()]


async def _often(follower: Follower) -> None:
    while True:
        await follower.catch_up()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def open_runtime(
    house: Any, folder: Path, *, door: Any = None
) -> AsyncIterator[RuntimeHouse]:
    """Open a house's runtime."""
    async with AsyncExitStack() as stack:
        settings = RunnerSettings(processes=1, sessions_max=SESSIONS)
        runners = await stack.enter_async_context(Runners(settings))
        runtime = RuntimeHouse(house, runners, folder, stack)
        await runtime.open(door)
        yield runtime


__all__ = ["Bell", "RuntimeHouse", "open_runtime"]
