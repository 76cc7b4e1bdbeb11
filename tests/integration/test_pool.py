"""Pools: who asks is quoted, ends with its transaction, and never reaches the next user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, TooLarge
from loglineos.database.pool import (
    IDENTITY_BYTES_MAX,
    Limits,
    Pool,
    open_pool,
    reading,
    tenant_transaction,
)

WHO = (
    "SELECT current_setting('app.tenant_id'), current_setting('app.user_id'),"
    " current_setting('app.role')"
)
HOSTILE = [
    "x'; DROP TABLE victim; --",
    "x\\'; DROP TABLE victim; --",
    "\\",
    "'",
    "''",
    '"',
    "$$",
    "%s %(x)s %%",
    "João; SELECT 1",
    "linha\nnova",
    "",
]


@pytest_asyncio.fixture
async def pool(empty_database) -> AsyncIterator[Pool]:
    pool = await open_pool(empty_database.dsn(), name="test", min_size=1, max_size=1)
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE victim (value text)")
    yield pool
    await pool.close()


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_hostile_name_is_only_a_name(pool: Pool, value: str):
    async with reading(pool, tenant=value, user=value, role=value) as connection:
        row = await (await connection.execute(WHO)).fetchone()
        assert row == (value, value, value)
        found = await (await connection.execute("SELECT to_regclass('victim')::text")).fetchone()
        assert found == ("victim",)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        max_size=IDENTITY_BYTES_MAX // 4,
    )
)
async def test_any_text_comes_back_as_it_was(pool: Pool, value: str):
    async with reading(pool, tenant=value, user="ana", role="owner") as connection:
        assert await (await connection.execute(WHO)).fetchone() == (value, "ana", "owner")


async def test_the_next_user_of_a_connection_does_not_inherit_a_name(pool: Pool):
    async with tenant_transaction(pool, tenant="casa", user="ana", role="owner"):
        pass
    with pytest.raises(ZeroDivisionError):
        async with tenant_transaction(pool, tenant="casa", user="ana", role="owner"):
            raise ZeroDivisionError
    async with pool.connection() as connection:
        names = "SELECT coalesce(current_setting('app.user_id', true), '')"
        assert await (await connection.execute(names)).fetchone() == ("",)


@pytest.mark.parametrize("value", ["a\0b", "a\ud800b"])
async def test_a_character_that_cannot_be_kept_is_refused(pool: Pool, value: str):
    with pytest.raises(InvalidInput):
        async with reading(pool, tenant="casa", user=value, role="owner"):
            pytest.fail("it was let in")


async def test_a_name_over_the_limit_is_refused(pool: Pool):
    with pytest.raises(TooLarge) as caught:
        async with reading(pool, tenant="é" * 129, user="ana", role="owner"):
            pytest.fail("it was let in")
    assert caught.value.fields["limit"] == IDENTITY_BYTES_MAX


async def test_reading_does_not_write_and_a_transaction_does(pool: Pool):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with reading(pool, tenant="casa", user="ana", role="owner") as connection:
            await connection.execute("INSERT INTO victim VALUES ('a')")
    async with tenant_transaction(pool, tenant="casa", user="ana", role="owner") as connection:
        await connection.execute("INSERT INTO victim VALUES ('b')")
    with pytest.raises(ZeroDivisionError):
        async with tenant_transaction(pool, tenant="casa", user="ana", role="owner") as connection:
            await connection.execute("INSERT INTO victim VALUES ('c')")
            raise ZeroDivisionError
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT value FROM victim")).fetchall()
    assert rows == [("b",)]


async def test_a_failure_that_was_passed_over_is_not_taken_for_a_commit(pool: Pool):
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        async with tenant_transaction(pool, tenant="casa", user="ana", role="owner") as connection:
            await connection.execute("INSERT INTO victim VALUES ('a')")
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1 / 0")
    async with pool.connection() as connection:
        assert await (await connection.execute("SELECT value FROM victim")).fetchall() == []


async def test_values_come_back_with_their_types_and_times_in_utc(pool: Pool):
    instant = datetime(2026, 3, 29, 1, 30, 0, 123456, UTC)
    one = UUID("01980000-0000-7000-8000-000000000001")
    async with reading(pool, tenant="casa", user="ana", role="owner") as connection:
        cursor = await connection.execute(
            "SELECT %(at)s::timestamptz, %(id)s::uuid, %(ids)s::uuid[], '{\"é\": [1, 2.5]}'::jsonb,"
            " 'a'::text, ARRAY['b'], 7::bigint, NULL, current_setting('TimeZone')",
            {"at": instant, "id": one, "ids": [one]},
        )
        row = await cursor.fetchone()
    assert row == (instant, one, [one], {"é": [1, 2.5]}, "a", ["b"], 7, None, "UTC")
    assert row[0].utcoffset() == timedelta(0)


async def test_a_statement_that_takes_too_long_is_stopped(empty_database):
    limits = Limits(statement_s_max=0.05)
    pool = await open_pool(empty_database.dsn(), name="test", max_size=1, limits=limits)
    async with pool:
        with pytest.raises(psycopg.errors.QueryCanceled):
            async with reading(pool, tenant="casa", user="ana", role="owner") as connection:
                await connection.execute("SELECT pg_sleep(30)")


async def test_a_pool_with_a_role_has_its_rights_only(database):
    pool = await open_pool(database.dsn(), name="test", max_size=1, role="logline_app")
    async with pool, reading(pool, tenant="casa", user="ana", role="owner") as connection:
        row = await (await connection.execute("SELECT current_user::text")).fetchone()
        assert row == ("logline_app",)
