"""Numbered, forward-only migrations: `schema/NNNN_name.sql`, each once, in order, in a transaction.

Always holds: what was applied is recorded with its SHA-256 in the same transaction; two nodes
never migrate at once; a database that another history or a newer node made is refused untouched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec
import psycopg

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.database.queries import Queries

QUERIES: Final = Queries.load("loglineos.database", "queries.sql")
CURRENT: Final = "current.sql"
_FILE: Final = re.compile(r"^(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql$")


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its number from 1 without gaps, its name, its SQL."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's bytes, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says was applied."""

    number: int
    name: str
    checksum: str
    applied_at: datetime


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What was applied, what waits, and what is wrong with the history (None: nothing)."""

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    fault: Misconfigured | None


def read_migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """Read the migrations of the package (or of `folder`) in order.

    Raises:
        Misconfigured: a number is missing or given twice: the package is broken.
    """
    place = resources.files("loglineos").joinpath("schema") if folder is None else folder
    found = []
    for file in place.iterdir():
        parts = _FILE.match(file.name)
        if parts is not None:
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(number=int(parts["number"]), name=parts["name"], sql=sql))
    found.sort(key=lambda migration: migration.number)
    for place_wanted, migration in enumerate(found, start=1):
        if migration.number != place_wanted:
            raise _broken_history(
                Text(
                    f"falta ou repete-se a migração {place_wanted:04}",
                    f"migration {place_wanted:04} is missing or given twice",
                )
            )
    return tuple(found)


def read_current(folder: Traversable | None = None) -> str:
    """Return the one statement file of the current schema, equal to the sum of the migrations."""
    place = resources.files("loglineos").joinpath("schema") if folder is None else folder
    return place.joinpath(CURRENT).read_text(encoding="utf-8")


async def migrate(
    connection: psycopg.AsyncConnection[Any], *, migrations: Sequence[Migration] | None = None
) -> list[Migration]:
    """Apply what waits, in order, and return it; a repeat applies nothing.

    `connection` is the admin's, outside a transaction. Each migration commits by itself: after a
    failure the ones before it stay, and the next call goes on. Other nodes wait for their turn.

    Raises:
        Misconfigured: a changed file, a gap, or a database newer than this program.
        psycopg.Error: the statement that failed; its migration left nothing.
    """
    wanted = read_migrations() if migrations is None else tuple(migrations)
    async with _in_autocommit(connection), _alone(connection):
        await execute_script(connection, QUERIES["make_migrations"])
        now = await status(connection, migrations=wanted)
        if now.fault is not None:
            raise now.fault
        for migration in now.pending:
            await _apply(connection, migration)
    return list(now.pending)


async def status(
    connection: psycopg.AsyncConnection[Any], *, migrations: Sequence[Migration] | None = None
) -> Status:
    """Compare the database with the package; changes nothing and raises nothing of ours."""
    wanted = read_migrations() if migrations is None else tuple(migrations)
    applied = await _read_applied(connection)
    return Status(
        applied=applied,
        pending=tuple(m for m in wanted if m.number > len(applied)),
        fault=_find_fault(applied, wanted),
    )


async def execute_script(connection: psycopg.AsyncConnection[Any], sql: str) -> None:
    """Run many statements without parameters in one round trip."""
    async with psycopg.AsyncCursor(connection) as cursor:  # text format: the simple protocol
        await cursor.execute(sql.encode(), prepare=False)


def _find_fault(applied: Sequence[Applied], wanted: Sequence[Migration]) -> Misconfigured | None:
    for place, row in enumerate(applied, start=1):
        if row.number != place:
            return _broken_history(
                Text(
                    f"a base de dados não tem a migração {place:04}, mas tem a {row.number:04}",
                    f"the database lacks migration {place:04} but has {row.number:04}",
                )
            )
        if place > len(wanted):
            return _newer_database(row, len(wanted))
        if row.checksum != wanted[place - 1].checksum:
            return _broken_history(
                Text(
                    f"a migração {place:04}_{row.name} mudou depois de aplicada",
                    f"migration {place:04}_{row.name} was changed after it was applied",
                )
            )
    return None


def _newer_database(row: Applied, known: int) -> Misconfigured:
    return Misconfigured(
        setting="schema",
        reason=Text(
            f"a base de dados está na migração {row.number:04}_{row.name}; este programa só "
            f"conhece até {known:04}",
            f"the database is at migration {row.number:04}_{row.name}; this program knows only "
            f"up to {known:04}",
        ),
        remedy=Text(
            "instale a versão mais recente do loglineos; nada foi mudado",
            "install the newest loglineos; nothing was changed",
        ),
    )


def _broken_history(reason: Text) -> Misconfigured:
    return Misconfigured(
        setting="schema",
        reason=reason,
        remedy=Text(
            "reinstale a versão do loglineos que migrou esta base de dados; as migrações nunca "
            "mudam, acrescenta-se outra",
            "install again the loglineos that migrated this database; migrations never change, "
            "another one is added",
        ),
    )


async def _read_applied(connection: psycopg.AsyncConnection[Any]) -> tuple[Applied, ...]:
    found = await (await connection.execute(QUERIES["find_migrations"])).fetchone()
    if found is None or not found[0]:
        return ()
    rows = await (await connection.execute(QUERIES["read_migrations"])).fetchall()
    return tuple(Applied(number=n, name=name, checksum=c, applied_at=at) for n, name, c, at in rows)


async def _apply(connection: psycopg.AsyncConnection[Any], migration: Migration) -> None:
    async with connection.transaction():
        # Recorded first: the migration may change to the owner's role, who may not record.
        await connection.execute(
            QUERIES["add_migration"],
            {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
        )
        await execute_script(connection, migration.sql)


@asynccontextmanager
async def _alone(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    await connection.execute(QUERIES["take_lock"])
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute(QUERIES["drop_lock"])


@asynccontextmanager
async def _in_autocommit(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    before = connection.autocommit
    await connection.set_autocommit(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_autocommit(before)
