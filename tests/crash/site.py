"""A server of the crash tests' own, on which whole rounds of appending and crashing are played."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from loglineos.base.clock import SystemClock
from loglineos.base.entropy import SystemEntropy
from loglineos.database.embedded import ADMIN, EmbeddedPostgres
from loglineos.database.failures import wait_for_database
from loglineos.database.migrate import migrate
from loglineos.database.pool import connect, open_pool
from loglineos.database.roles import ensure_roles
from loglineos.ledger.appender import Appender
from loglineos.ledger.founding import found_tenant
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.verification.rebuild import rebuild
from loglineos.ledger.writer import Writer
from tests.crash.plan import TENANTS, Ack, Submitter, ack_of, make_plan
from tests.crash.proof import prove
from tests.crash.worker import Fault, Task

GROUND = "ground"
ROOT = Path(__file__).parents[2]
FOUNDING_RECORDS = 2 * len(TENANTS)


class Site:
    """A running server with a founded database to clone, and the keys that founded it."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self.keyring = KeyRing(postgres.home / "keys", environment={})
        self._databases = 0
        self._workers = 0

    @classmethod
    def make(cls, postgres: EmbeddedPostgres) -> Site:
        site = cls(postgres)
        site.keyring.create()
        site._create(GROUND, "template0")
        asyncio.run(site._found())
        return site

    def new_database(self) -> Rounds:
        self._databases += 1
        name = f"crash_{self._databases}"
        self._create(name, GROUND)
        return Rounds(self, name)

    def drop(self, name: str) -> None:
        with self._admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))

    def next_worker(self) -> int:
        self._workers += 1
        return self._workers

    def _create(self, name: str, template: str) -> None:
        with self._admin() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )

    def _admin(self) -> psycopg.Connection[Any]:
        async def open_connection() -> psycopg.Connection[Any]:
            return psycopg.connect(self.postgres.dsn(ADMIN, "postgres"), autocommit=True)

        return asyncio.run(wait_for_database(open_connection, wait_s_max=30))

    async def _found(self) -> None:
        dsn = self.postgres.dsn(ADMIN, GROUND)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await ensure_roles(connection)
            await migrate(connection)
        pool = await open_pool(self.postgres.dsn("logline_reader", GROUND), name="ground")
        async with Appender(lambda: open_writing(self, GROUND), clock=SystemClock()) as appender:
            writer = Writer(
                appender,
                pool=pool,
                keyring=self.keyring,
                clock=SystemClock(),
                entropy=SystemEntropy(),
            )
            for tenant in TENANTS:
                await found_tenant(writer, tenant)
        await pool.close()


class Worker:
    """A process that appends the plan of a seed."""

    def __init__(
        self, site: Site, name: str, *, seed: int, faults: Sequence[Fault], is_lone: bool
    ) -> None:
        self.seed = seed
        self.is_lone = is_lone
        self._acks = site.postgres.home / f"acks-{site.next_worker()}"
        host = conninfo_to_dict(site.postgres.dsn(ADMIN))["host"]
        task = Task(
            home=str(site.postgres.home),
            socket=str(host),
            database=name,
            keys=str(site.keyring.folder),
            acks=str(self._acks),
            seed=seed,
            is_lone=is_lone,
            faults=tuple(faults),
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker", msgspec.json.encode(task).decode()],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> list[Ack]:
        """Wait until it has ended, by itself or not; return what was acknowledged to it.

        A Postgres that ended meanwhile comes back by its keeper alone.
        """
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.acks()

    def acks(self) -> list[Ack]:
        if not self._acks.exists():
            return []
        whole = self._acks.read_text().rpartition("\n")[0]
        return [Ack(*json.loads(line)) for line in whole.splitlines()]


class Rounds:
    """Rounds on one database: append and crash, then repeat everything, then prove everything."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.acks: list[Ack] = []
        self.seeds: set[int] = set()

    def work(self, seed: int, *faults: Fault, is_lone: bool = False) -> Worker:
        """Start a worker; the caller ends it."""
        self.seeds.add(seed)
        return Worker(self.site, self.name, seed=seed, faults=faults, is_lone=is_lone)

    def settle(self, *workers: Worker) -> int:
        """Repeat all that the workers wanted, prove the ledger; return how many were unanswered."""
        told = [(worker, worker.end()) for worker in workers]
        unanswered = sum(asyncio.run(self._repeat(worker, acks)) for worker, acks in told)
        stored = prove(self.site.postgres.dsn(ADMIN, self.name), self.acks)
        asyncio.run(self._compare())
        assert len(set(self.acks)) == len(self.acks)
        assert stored == FOUNDING_RECORDS + len(self.acks), "something came in beside the plans"
        return unanswered

    async def _compare(self) -> None:
        """Compare all that is derived, jobs and search terms too, with the registry."""
        reader = await connect(self.site.postgres.dsn("logline_reader", self.name), name="rebuild")
        async with reader:
            for tenant in TENANTS:
                report = await rebuild(reader, tenant=tenant)
                assert report.is_equal, report.differences

    async def _repeat(self, worker: Worker, acks: list[Ack]) -> int:
        """Submit a whole plan again: what was acknowledged must be answered as it was."""
        key = self.site.keyring.key("node")
        plan = make_plan(worker.seed, key, is_lone=worker.is_lone)
        async with Appender(
            lambda: open_writing(self.site, self.name), clock=SystemClock()
        ) as appender:
            answers = await asyncio.gather(*[_submit(appender, one) for one in plan])
        again = [ack for one in answers for ack in one]
        assert set(acks) <= set(again), "an acknowledgement was taken back"
        assert len(set(acks)) == len(acks), "a record was acknowledged twice"
        self.acks += again
        return len(again) - len(acks)


async def _submit(appender: Appender, submitter: Submitter) -> list[Ack]:
    return [
        ack_of(record)
        for call in submitter
        for record in await appender.append(call, verified=False)
    ]


async def open_writing(site: Site, name: str) -> psycopg.AsyncConnection[Any]:
    return await connect(site.postgres.dsn("logline_appender", name), name="appender")


def start_again(postgres: EmbeddedPostgres) -> None:
    """Start a server that was stopped, as the next node would do; its first hold keeps it."""
    EmbeddedPostgres.start(postgres.home).stop()


def wait_until(is_true: Callable[[], object], *, wait_s_max: float = 30) -> None:
    end = time.monotonic() + wait_s_max
    while not is_true():
        assert time.monotonic() < end, "the condition never came"
        time.sleep(0.002)
