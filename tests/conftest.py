"""One embedded Postgres for the whole run; a template with all migrations, cloned for each test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from loglineos.database.embedded import ADMIN, EmbeddedPostgres
from loglineos.database.migrate import migrate
from loglineos.database.roles import ensure_roles

TEMPLATE = "logline_template"
_numbers = itertools.count(1)


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A database of one test: migrated, empty, dropped afterwards."""

    postgres: EmbeddedPostgres
    name: str

    def dsn(self, user: str = ADMIN) -> str:
        """Return the keyword string for a role, e.g. `logline_app`; the superuser by default."""
        return self.postgres.dsn(user, self.name)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty data folder with a short path that a Postgres of root's may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The server of this run, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="logline-"))
    with EmbeddedPostgres.start(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the roles and all migrations; nobody stays connected to it."""
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        _create(connection, TEMPLATE, "template0")
    asyncio.run(_migrate(postgres.dsn(ADMIN, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    yield from _clone(postgres, template)


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A database without any of our tables, on the same server."""
    yield from _clone(postgres, "template0")


def _clone(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    name = f"logline_test_{next(_numbers)}"
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        _create(connection, name, template)
    yield Database(postgres=postgres, name=name)
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _create(connection: psycopg.Connection[tuple[object, ...]], name: str, template: str) -> None:
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name), sql.Identifier(template), sql.SQL("FILE_COPY")
        )
    )


async def _migrate(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_roles(connection)
        await migrate(connection)
