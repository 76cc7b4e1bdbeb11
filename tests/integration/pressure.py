"""What the tests of outages and contention share: acts, connections that count, held locks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from loglineos.base.clock import SystemClock
from loglineos.base.entropy import SystemEntropy
from loglineos.base.ids import uuid7
from loglineos.database.pool import Limits, connect
from loglineos.ledger.appender import Appender
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import Sealed, seal
from tests.crash.plan import ack_of
from tests.crash.proof import prove
from tests.crash.site import Rounds
from tests.integration.conftest import NINE, House

FOUNDING = 4


def sealed(house: House | Rounds, **fields: Any) -> Sealed:
    """Seal one delivery by the node's key."""
    keyring = house.keyring if isinstance(house, House) else house.site.keyring
    draft = judge(Draft(**{"tenant_id": "casa", "id": uuid7(), **NINE, **fields}))
    return seal(draft, key=keyring.key("node"), clock=SystemClock(), entropy=SystemEntropy())


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.005)


class Door:
    """Opens the appender's connections and counts them."""

    def __init__(self, house: House, *, lock_s_max: float = 10.0) -> None:
        self._house = house
        self._limits = Limits(lock_s_max=lock_s_max)
        self.opened: list[psycopg.AsyncConnection[Any]] = []

    async def __call__(self) -> psycopg.AsyncConnection[Any]:
        dsn = self._house.database.dsn("logline_appender")
        self.opened.append(await connect(dsn, name="appender", limits=self._limits))
        return self.opened[-1]


@asynccontextmanager
async def admin(house: House) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(
        house.database.dsn(), autocommit=True
    ) as connection:
        yield connection


@asynccontextmanager
async def held_head(house: House) -> AsyncIterator[None]:
    """Another transaction holds the head of casa's log until the block ends."""
    async with admin(house) as connection, connection.transaction():
        await connection.execute(
            "SELECT size FROM ledger.log_head WHERE tenant_id = 'casa' FOR UPDATE"
        )
        yield


async def waiting_for_locks(house: House) -> int:
    async with admin(house) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        (count,) = await cursor.fetchone() or (0,)
        return int(count)


async def until_one_waits(house: House, *, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while await waiting_for_locks(house) < count:
            await asyncio.sleep(0.005)


def proved(house: House, records: list[Record]) -> None:
    """Check that the ledger holds the founding and these records, each once, and nothing else."""
    stored = prove(house.database.dsn(), [ack_of(record) for record in records])
    assert stored == FOUNDING + len({(r.tenant_id, r.id, r.seq) for r in records})


async def append_one(appender: Appender, one: Sealed, *, verified: bool = True) -> Record:
    (record,) = await appender.append([one], verified=verified)
    return record
