"""A founded house on a database of the test's own: the real ledger, on a clock turned by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SystemEntropy
from loglineos.database.pool import Pool, connect, open_pool
from loglineos.ledger.appender import Appender
from loglineos.ledger.founding import found_tenant
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from tests.conftest import Database

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NINE = {
    "who": "joao", "did": "registrar_entrega", "this": "pedido 312 no quarto 204", "at": NOON,
    "confirmed_by": "ana", "if_ok": "enviar recibo", "if_doubt": "pedir verificação",
    "if_not": "abrir incidente", "status": "valid",
}  # fmt: skip


class House:
    """The tenants `casa` and `pensao`, and everything that writes to them."""

    tenant = "casa"
    other = "pensao"

    def __init__(self, database: Database, folder: Path, stack: AsyncExitStack) -> None:
        self.database = database
        self.clock = ManualClock(NOON)
        self.entropy = SystemEntropy()
        self.keyring = KeyRing(folder / "keys", environment={})
        self._stack = stack
        self._pools: dict[str, Pool] = {}
        self.appender: Appender
        self.writer: Writer

    async def connect(self, role: str = "logline_appender") -> psycopg.AsyncConnection[Any]:
        """Open a connection in a role; closed with the house."""
        opened = await connect(self.database.dsn(role), name="test")
        self._stack.push_async_callback(opened.close)
        return opened

    async def pool(self, role: str) -> Pool:
        """Open, once, a pool in a role; closed with the house."""
        if role not in self._pools:
            pool = await open_pool(self.database.dsn(role), name="test", max_size=4)
            self._stack.push_async_callback(pool.close)
            self._pools[role] = pool
        return self._pools[role]

    async def new_appender(self, **more: Any) -> Appender:
        """Start another appender on the same database."""

        async def open_connection() -> psycopg.AsyncConnection[Any]:
            return await connect(self.database.dsn("logline_appender"), name="appender")

        return await self._stack.enter_async_context(
            Appender(open_connection, clock=self.clock, **more)
        )

    async def add(self, *, tenant: str = "casa", **fields: Any) -> Record:
        """Append one act: the nine fields of a delivery, changed by `fields` (None leaves out)."""
        (record,) = await self.writer.append([Draft(**{**NINE, **fields})], tenant=tenant)
        return record


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    """A house with two founded tenants."""
    async with AsyncExitStack() as stack:
        house = House(database, tmp_path, stack)
        house.keyring.create()
        house.appender = await house.new_appender()
        house.writer = Writer(
            house.appender,
            pool=await house.pool("logline_reader"),
            keyring=house.keyring,
            clock=house.clock,
            entropy=house.entropy,
        )
        await found_tenant(house.writer, house.tenant)
        await found_tenant(house.writer, house.other)
        yield house
