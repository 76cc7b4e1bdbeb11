"""Distribution by tenant on a Citus coordinator: one reviewed SQL file, run once.

Always holds: without the extension, or when a table is distributed already, nothing is changed;
the file is one transaction.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import psycopg

from loglineos.base.errors import Misconfigured, Refused
from loglineos.base.language import Text
from loglineos.database.failures import as_error
from loglineos.database.migrate import execute_script
from loglineos.database.queries import Queries

FILE: Final = "distribute_citus.sql"
_SQL: Final = Queries.load("loglineos.database", "distribute.sql")


def distribution_script() -> str:
    """Return the reviewed SQL file."""
    return resources.files("loglineos").joinpath("schema", FILE).read_text(encoding="utf-8")


async def distribute(connection: psycopg.AsyncConnection[Any]) -> list[str]:
    """Run the file as the administrator, outside a transaction; return the distributed tables.

    Raises:
        Misconfigured: the server has no extension `citus`.
        Refused: tables of the ledger are distributed already.
        LoglineError: the server refuses a statement; nothing was changed.
    """
    found = await (await connection.execute(_SQL["find_citus"])).fetchone()
    if found is None or not found[0]:
        raise Misconfigured(setting="citus", reason=_NO_CITUS, remedy=_GET_CITUS)
    if await _distributed(connection):
        raise Refused(reason=_ALREADY)
    try:
        await execute_script(connection, distribution_script())
    except psycopg.Error as failure:
        raise as_error(failure) from failure
    return await _distributed(connection)


async def _distributed(connection: psycopg.AsyncConnection[Any]) -> list[str]:
    cursor = await connection.execute(_SQL["list_distributed"])
    return [row[0] for row in await cursor.fetchall()]


_NO_CITUS: Final = Text(
    "este servidor não tem a extensão citus", "this server has no extension citus"
)
_GET_CITUS: Final = Text(
    "aponte DATABASE_URL a um coordenador Citus e corra CREATE EXTENSION citus",
    "point DATABASE_URL to a Citus coordinator and run CREATE EXTENSION citus",
)
_ALREADY: Final = Text("as tabelas já estão distribuídas", "the tables are distributed already")
