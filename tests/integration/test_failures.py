"""What failures mean: a server really killed, stopped and waited for."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psycopg
import pytest

from loglineos.base.errors import (
    DatabaseUnavailable,
    LoglineError,
    Misconfigured,
    Pushback,
    ReadOnly,
    Refused,
    Unavailable,
)
from loglineos.base.language import Text
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.failures import (
    as_error,
    is_disk_full,
    is_gone,
    is_retryable,
    wait_for_database,
)
from loglineos.database.pool import connect, open_pool, reading


async def test_a_pool_outlives_a_killed_server(home: Path):
    with EmbeddedPostgres.start(home) as postgres:
        async with await open_pool(postgres.admin_dsn, name="test", max_size=2) as pool:
            async with pool.connection() as held:
                pid = postgres.postmaster_pid()
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                with pytest.raises(psycopg.Error) as caught:
                    while True:
                        await held.execute("SELECT 1")
                assert is_gone(caught.value)
                assert not is_retryable(caught.value)
                assert isinstance(as_error(caught.value), DatabaseUnavailable)

            async def ask() -> object:
                async with reading(pool, tenant="casa", user="ana", role="owner") as connection:
                    return await (await connection.execute("SELECT 7")).fetchone()

            assert await wait_for_database(ask, wait_s_max=30) == (7,)


async def test_waiting_is_told_and_bounded(home: Path):
    with EmbeddedPostgres.start(home) as postgres:
        dsn = postgres.admin_dsn
    told: list[Text] = []
    with pytest.raises(DatabaseUnavailable):
        await wait_for_database(
            lambda: connect(dsn, name="test"), wait_s_max=0.3, on_progress=told.append
        )
    assert told
    assert told[0].pt.startswith("à espera da base de dados: ")


async def test_a_server_that_comes_back_ends_the_waiting(home: Path):
    with EmbeddedPostgres.start(home) as postgres:
        dsn = postgres.admin_dsn
    is_missed = asyncio.Event()
    waiting = asyncio.create_task(
        wait_for_database(
            lambda: connect(dsn, name="test"),
            wait_s_max=60,
            on_progress=lambda _: is_missed.set(),
        )
    )
    await is_missed.wait()
    with await asyncio.to_thread(EmbeddedPostgres.start, home):
        async with await waiting as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_what_waiting_does_not_change_is_told_at_once(empty_database):
    attempts = 0

    async def enter() -> object:
        nonlocal attempts
        attempts += 1
        return await connect(empty_database.dsn("nobody_of_that_name"), name="test")

    with pytest.raises(Misconfigured) as caught:
        await wait_for_database(enter, wait_s_max=60)
    assert attempts == 1
    assert "nobody_of_that_name" in caught.value.describe("en")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (psycopg.errors.DiskFull("x"), ReadOnly),
        (psycopg.errors.IoError("could not extend: No space left on device"), ReadOnly),
        (psycopg.errors.SerializationFailure("x"), Pushback),
        (psycopg.errors.DeadlockDetected("x"), Pushback),
        (psycopg.errors.AdminShutdown("x"), DatabaseUnavailable),
        (psycopg.errors.CannotConnectNow("x"), DatabaseUnavailable),
        (psycopg.errors.TooManyConnections("x"), DatabaseUnavailable),
        (psycopg.OperationalError("the connection is lost"), DatabaseUnavailable),
        (psycopg.errors.QueryCanceled("x"), Unavailable),
        (psycopg.errors.UndefinedTable("x"), Misconfigured),
        (psycopg.errors.InsufficientPrivilege("x"), Refused),
        (psycopg.errors.CheckViolation("x"), LoglineError),
    ],
)
def test_each_failure_has_one_meaning(failure: psycopg.Error, kind: type[LoglineError]):
    error = as_error(failure)
    assert type(error) is kind
    assert error.describe("pt")
    assert error.describe("en")
    assert is_disk_full(failure) == (kind is ReadOnly)
    assert is_gone(failure) == (kind is DatabaseUnavailable)
    assert is_retryable(failure) == (kind is Pushback)
    assert as_error(error) is error
