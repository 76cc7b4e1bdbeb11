"""A house with its rows, and what decides in it: the real Stage-0, laws and sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loglineos.ledger.record import Record
from loglineos.ledger.rows import ROW_COLUMNS, record_of
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.publishing import push
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings

DOUBLE = '''"""Doubles a number."""

FUNCTION = {
    "aliases": ["double it", "duplicar"],
    "input_schema": {"type": "integer"},
    "output_schema": {"type": "integer", "maximum": 100},
}


def main(input):
    return 2 * input
'''


@asynccontextmanager
async def decided(house: Any) -> AsyncIterator[Laws]:
    """Give the laws of a house that has its rows, with runners that decide."""
    await write_rows(house.writer, house.tenant)
    async with Runners(RunnerSettings(processes=1)) as runners:
        yield Laws(house.writer, runners, root=house.keyring.public("root"))


async def publish(house: Any, text: str = DOUBLE, name: str = "double.py") -> Record:
    """Publish a function, and return its record."""
    source = read_source(text, filename=name)
    return (await push(house.writer, house.tenant, source, who="ana")).record


async def violations(house: Any, tenant: str = "casa") -> list[Record]:
    """Read what the law said no to, oldest first."""
    return await of_type(house, "policy_violation", tenant)


async def of_type(house: Any, entity_type: str, tenant: str = "casa") -> list[Record]:
    """Read every record of a type, oldest first."""
    async with (await house.pool("logline_reader")).connection() as connection:
        cursor = await connection.execute(
            f"SELECT {ROW_COLUMNS} FROM ledger.universal_registry"
            " WHERE tenant_id = %s AND entity_type = %s ORDER BY position",
            (tenant, entity_type),
        )
        return [record_of(row) for row in await cursor.fetchall()]


async def tamper(house: Any, statement: str, *values: Any) -> None:
    """Change a row behind the ledger's back, as only a superuser can."""
    connection = await house.connect("postgres")
    await connection.execute("SET session_replication_role = replica")
    cursor = await connection.execute(statement, values)
    assert cursor.rowcount == 1
    await connection.commit()
