"""A worker with law and sandbox, to be killed: `python -m tests.crash.runtime_process DSN KEYS NAME LEASE_S`."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from psycopg.conninfo import make_conninfo

from loglineos.base.clock import SystemClock
from loglineos.base.entropy import SystemEntropy
from loglineos.database.pool import connect, open_pool
from loglineos.ledger.appender import Appender
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.effects.door import HttpDoor
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.secrets import FileSecrets
from loglineos.runtime.execution.waking import NAME, Waker
from loglineos.runtime.following import Bell, Cursors, Follower, Log, tend
from loglineos.runtime.laws import Laws
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.services.queue.worker import Worker, WorkerSettings


async def main(dsn: str, keys: str, name: str, lease_s: float) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    as_appender = make_conninfo(dsn, user="logline_appender")
    async with AsyncExitStack() as stack:
        work = await open_pool(as_appender, name=name, max_size=4)
        stack.push_async_callback(work.close)
        reading = await open_pool(make_conninfo(dsn, user="logline_reader"), name=name, max_size=4)
        stack.push_async_callback(reading.close)
        app = await open_pool(make_conninfo(dsn, user="logline_app"), name=name, max_size=4)
        stack.push_async_callback(app.close)
        opening = partial(connect, as_appender, name=name)
        appender = await stack.enter_async_context(Appender(opening, clock=clock))
        keyring = KeyRing(Path(keys), environment={})
        writer = Writer(appender, pool=reading, keyring=keyring, clock=clock, entropy=entropy)
        runners = await stack.enter_async_context(
            Runners(RunnerSettings(processes=1, sessions_max=16))
        )
        laws = Laws(writer, runners, root=keyring.public("root"))

        def reader(tenant: str, function: str) -> Reader:
            viewer = Viewer(tenant=tenant, actor=f"function:{function}", role="operator")
            return Reader(app, viewer=viewer)

        world = World(
            writer=writer, reader=reader, clock=clock, entropy=entropy, directory=laws,
            door=await stack.enter_async_context(HttpDoor()),
            secrets=FileSecrets(Path(keys).parent / "secrets"),
        )  # fmt: skip
        executor = Executor(
            world=world, laws=laws, runners=runners, reading=reading, work=work,
            secret=keyring.key("node").secret,
        )  # fmt: skip
        worker = Worker(
            writer, executor, pool=work, clock=clock, entropy=entropy, name=name,
            settings=WorkerSettings(slots=4, ahead_max=4, lease_s=lease_s, poll_s=0.05),
        )  # fmt: skip
        waker = Waker("casa", reading=reading, wake=executor.wake)
        follower = Follower(
            NAME, tenant="casa", handle=waker.handle, log=Log(reading),
            cursors=Cursors(work, clock=clock),
        )  # fmt: skip
        waking = asyncio.create_task(
            tend(follower.step, bell=Bell(), name="waking", s_max=lambda: 0.05)
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("ready", flush=True)
        await worker.run()
        waking.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
