"""A worker process to be killed: `python -m tests.crash.queue_process DSN KEYS NAME LEASE_S`.

Each run notes itself in the table `effect` (what the world saw), takes a moment, and completes.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from loglineos.base.clock import SystemClock
from loglineos.base.entropy import SystemEntropy
from loglineos.database.pool import connect, open_pool
from loglineos.ledger.appender import Appender
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.record import Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.outcome import Outcome
from loglineos.services.queue.worker import Worker, WorkerSettings


class Effects:
    """Does one thing to the world for each attempt, under the key of the execution."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def run(self, tenant: str, execution: Record, *, worker: str, attempt: int) -> Outcome:
        key = f"{execution.id}:0"
        await self.connection.execute(
            "INSERT INTO effect (id, attempt, worker, key) VALUES (%s, %s, %s, %s)",
            [execution.id, attempt, worker, key],
        )
        await asyncio.sleep(0.02)
        return Outcome(kind="complete", output={"key": key})


async def main(dsn: str, keys: str, name: str, lease_s: float) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    pool = await open_pool(make_conninfo(dsn, user="logline_appender"), name=name, max_size=2)
    effects = await connect(dsn, name=name)
    opening = partial(connect, make_conninfo(dsn, user="logline_appender"), name=name)
    async with Appender(opening, clock=clock) as appender:
        keyring = KeyRing(Path(keys), environment={})
        writer = Writer(appender, pool=pool, keyring=keyring, clock=clock, entropy=entropy)
        worker = Worker(
            writer, Effects(effects), pool=pool, clock=clock, entropy=entropy, name=name,
            settings=WorkerSettings(slots=8, lease_s=lease_s, poll_s=0.05),
        )  # fmt: skip
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("ready", flush=True)
        await worker.run()
    await effects.close()
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
