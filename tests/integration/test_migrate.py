"""Migrations: once, in order, all or nothing; a foreign history is refused untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from loglineos.base.errors import Misconfigured
from loglineos.database.catalog import snapshot
from loglineos.database.migrate import (
    Migration,
    execute_script,
    migrate,
    read_current,
    read_migrations,
    status,
)

ONE = Migration(number=1, name="one", sql="CREATE TABLE one (a int); INSERT INTO one VALUES (1);")
TWO = Migration(number=2, name="two", sql="ALTER TABLE one ADD b text DEFAULT '%s;';")


async def enter(dsn: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


def numbers(migrations: Sequence[object]) -> list[int]:
    return [migration.number for migration in migrations]


async def test_migrations_are_applied_once_and_in_order(empty_database):
    async with await enter(empty_database.dsn()) as connection:
        before = await status(connection, migrations=[ONE, TWO])
        assert (before.applied, numbers(before.pending), before.fault) == ((), [1, 2], None)
        assert numbers(await migrate(connection, migrations=[ONE])) == [1]
        assert numbers(await migrate(connection, migrations=[ONE, TWO])) == [2]
        assert await migrate(connection, migrations=[ONE, TWO]) == []
        rows = await (await connection.execute("SELECT a, b FROM one")).fetchall()
        assert rows == [(1, "%s;")]
        after = await status(connection, migrations=[ONE, TWO])
        assert (numbers(after.applied), after.pending, after.fault) == ([1, 2], (), None)
        assert after.applied[0].checksum == ONE.checksum


async def test_a_migration_that_fails_leaves_nothing_and_the_next_call_goes_on(empty_database):
    broken = Migration(number=2, name="two", sql="CREATE TABLE half (a int); SELECT 1 / 0;")
    async with await enter(empty_database.dsn()) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await migrate(connection, migrations=[ONE, broken])
        assert not await exists(connection, "half")
        assert numbers((await status(connection, migrations=[ONE, broken])).applied) == [1]
        assert numbers(await migrate(connection, migrations=[ONE, TWO])) == [2]


async def exists(connection: psycopg.AsyncConnection[tuple[object, ...]], name: str) -> bool:
    row = await (await connection.execute("SELECT to_regclass(%s)", (name,))).fetchone()
    return row != (None,)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ([ONE, Migration(number=2, name="two", sql="SELECT 1;")], "0002_two was changed"),
        ([ONE], "knows only up to 0001"),
        ([], "knows only up to 0000"),
    ],
)
async def test_another_history_is_refused_and_nothing_changes(empty_database, now, words: str):
    async with await enter(empty_database.dsn()) as connection:
        await migrate(connection, migrations=[ONE, TWO])
        before = await snapshot(connection)
        three = Migration(number=3, name="three", sql="CREATE TABLE three (a int);")
        wanted = [*now, three] if len(now) == 2 else now
        with pytest.raises(Misconfigured, match=words) as caught:
            await migrate(connection, migrations=wanted)
        assert caught.value.advise("pt") != caught.value.advise("en")
        fault = (await status(connection, migrations=wanted)).fault
        assert fault is not None
        assert fault.describe("en") == caught.value.describe("en")
        assert await snapshot(connection) == before


async def test_a_gap_in_the_database_is_refused(empty_database):
    async with await enter(empty_database.dsn()) as connection:
        await migrate(connection, migrations=[ONE, TWO])
        await connection.execute("DELETE FROM ledger_meta.migration WHERE number = 1")
        with pytest.raises(Misconfigured, match="lacks migration 0001"):
            await migrate(connection, migrations=[ONE, TWO])


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]]
)
def test_a_gap_or_a_double_in_the_package_is_refused(tmp_path: Path, names: list[str]):
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(Misconfigured):
        read_migrations(tmp_path)


async def test_two_nodes_that_migrate_at_once_do_it_once(empty_database):
    async def one_node() -> list[int]:
        async with await enter(empty_database.dsn()) as connection:
            return numbers(await migrate(connection, migrations=[ONE, TWO]))

    done = await asyncio.gather(*(one_node() for _ in range(4)))
    assert sorted(done) == [[], [], [], [1, 2]]


async def test_the_current_schema_is_the_sum_of_all_migrations(database, empty_database):
    async with await enter(empty_database.dsn()) as connection:
        async with connection.transaction():
            await execute_script(connection, read_current())
        current = await snapshot(connection)
    async with await enter(database.dsn()) as connection:
        summed = await snapshot(connection)
    assert current == summed
    assert len(current) > 100


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE ledger.extra (tenant_id text)",
        "ALTER TABLE ledger.universal_registry ALTER who SET DEFAULT 'x'",
        "ALTER TABLE ledger.universal_registry DROP CONSTRAINT universal_registry_pkey CASCADE",
        "ALTER TABLE ledger.universal_registry NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE ledger.universal_registry DISABLE TRIGGER USER",
        "ALTER TABLE ledger.universal_registry OWNER TO postgres",
        "GRANT INSERT ON ledger.universal_registry TO logline_app",
        "GRANT UPDATE (who) ON ledger.universal_registry TO logline_app",
        "CREATE INDEX extra ON ledger.universal_registry (tenant_id, who)",
        "CREATE POLICY extra ON ledger.universal_registry USING (true)",
        "ALTER FUNCTION app.is_staff() VOLATILE",
        "ALTER VIEW ledger.visible_timeline RESET (security_invoker)",
    ],
)
async def test_a_snapshot_sees_every_kind_of_change(database, change: str):
    async with await enter(database.dsn()) as connection:
        before = await snapshot(connection)
        await connection.execute(change.encode())
        assert await snapshot(connection) != before
