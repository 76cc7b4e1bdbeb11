"""A process that appends a plan, notes each acknowledgement, and suffers faults on the way.

Run as `python -m tests.crash.worker '<json of Task>'`. It says `ready` before its first append;
every line of its ack file is written after the answer and outlives a SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from loglineos.base.clock import SystemClock
from loglineos.base.errors import Conflict, LoglineError
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.pool import connect
from loglineos.ledger.appender import Appender
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.seal import Sealed
from tests.crash.cutter import Cutter
from tests.crash.plan import LARGE, Call, Submitter, ack_of, make_plan

KINDS = (
    "exception", "disconnect", "kill_worker", "terminate_backend", "kill_backend",
    "kill_postmaster", "quit_postmaster",
)  # fmt: skip
CUTS = ("question_lost", "answer_lost")
CHUNK = 100
"""Records that a large call hands over at once: another number than the appender inserts."""
FAULTS_LEFT = 3
"""How a worker ends that appended everything before its last fault came."""
STEPS = ("locked", "inserted", "committed", "answered")
MADE = "made"
"""The step of a call that comes in chunks before its last: its transaction may be open."""
WAYS = {"append_shortly": "short", "_append_streamed": "streamed", "commit_batch": "long"}
"""Which way passes a step, by the function that awaits it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong at the next `step` of a `way` (None: any) after `skip` of them.

    A cut strikes the next bytes that follow its step.
    """

    kind: str
    step: str = "inserted"
    skip: int = 0
    way: str | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does."""

    home: str
    socket: str
    database: str
    keys: str
    acks: str
    seed: int
    calls: int = 6
    is_lone: bool = False
    faults: tuple[Fault, ...] = ()


class Worker:
    """The faults that are still to come, and the connection that they strike."""

    def __init__(self, task: Task, stack: AsyncExitStack) -> None:
        self._task = task
        self._stack = stack
        self._postgres = EmbeddedPostgres(Path(task.home))
        self._socket = Path(task.socket)
        self._faults = list(task.faults)
        self._seen = 0
        self._backend = 0
        self._cutter = Cutter(self._socket)
        self._acks = os.open(task.acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def run(self) -> None:
        task = self._task
        key = KeyRing(Path(task.keys), environment={}).key("node")
        plan = make_plan(task.seed, key, calls=task.calls, is_lone=task.is_lone)
        way = Path(task.acks + ".d")
        way.mkdir(mode=0o700)
        await self._stack.enter_async_context(self._cutter.listening(way))
        appender = await self._stack.enter_async_context(
            Appender(lambda: self._connect(way), clock=SystemClock(), at_step=self._at_step)
        )
        print("ready", flush=True)
        async with asyncio.TaskGroup() as group:
            for number, submitter in enumerate(plan):
                group.create_task(self._submit(appender, submitter, verified=bool(number % 2)))
        if self._faults:
            sys.exit(FAULTS_LEFT)

    async def _submit(self, appender: Appender, submitter: Submitter, *, verified: bool) -> None:
        for number, call in enumerate(submitter):
            is_verified = bool(number // 2 % 2) if self._task.is_lone else verified
            self._acknowledge(await self._until_it_is_in(appender, call, verified=is_verified))

    async def _until_it_is_in(self, appender: Appender, call: Call, *, verified: bool) -> list[Any]:
        """Repeat a call as a patient client does: whatever the answer was, short of a conflict."""
        for _ in range(5):
            try:
                if len(call) < LARGE:
                    return await appender.append(call, verified=verified)
                return await appender.append_as_made(
                    self._chunks(call), count=len(call), verified=verified, if_absent=False
                )
            except Conflict:
                raise
            except LoglineError as refused:
                last = refused
        raise last

    async def _chunks(self, call: Call) -> AsyncIterator[list[Sealed]]:
        for start in range(0, len(call), CHUNK):
            if start + CHUNK >= len(call):
                await self._pass(MADE, way="streamed")
            yield call[start : start + CHUNK]
            for _ in range(20):  # as who seals leaves others their turns
                await asyncio.sleep(0)

    def _acknowledge(self, records: list[Any]) -> None:
        lines = "".join(json.dumps(ack_of(record)) + "\n" for record in records).encode()
        assert os.write(self._acks, lines) == len(lines)

    async def _connect(self, way: Path) -> psycopg.AsyncConnection[Any]:
        opened = await connect(self._dsn("logline_appender", way), name="appender")
        self._backend = opened.info.backend_pid
        return opened

    def _dsn(self, role: str, folder: Path) -> str:
        return f"host={folder} port=5432 user={role} dbname={self._task.database}"

    async def _at_step(self, step: str) -> None:
        await self._pass(step, way=WAYS[sys._getframe(1).f_code.co_name])

    async def _pass(self, step: str, *, way: str) -> None:
        if not self._faults or step != self._faults[0].step:
            return
        if self._faults[0].way not in (None, way):
            return
        self._seen += 1
        if self._seen <= self._faults[0].skip:
            return
        self._seen = 0
        await self._strike(self._faults.pop(0).kind)

    async def _strike(self, kind: str) -> None:
        if kind == "exception":
            raise RuntimeError("a fault of ours")
        if kind == "disconnect":
            raise ConnectionResetError("the network is away")
        if kind == "kill_worker":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind in CUTS:
            self._cutter.cut("question_lost" if kind == "question_lost" else "answer_lost")
        if kind == "terminate_backend":
            admin = self._dsn("postgres", self._socket)
            async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
                await connection.execute("SELECT pg_terminate_backend(%s)", (self._backend,))
        if kind == "kill_backend":
            os.kill(self._backend, signal.SIGKILL)
        if kind in ("kill_postmaster", "quit_postmaster"):
            pid = self._postgres.postmaster_pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL if kind == "kill_postmaster" else signal.SIGQUIT)


async def main(words: str) -> None:
    task = msgspec.json.decode(words, type=Task)
    async with AsyncExitStack() as stack:
        await Worker(task, stack).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
