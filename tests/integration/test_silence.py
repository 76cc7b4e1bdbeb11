"""A database whose machine or network falls silent is given up in time; nothing waits for TCP."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loglineos.base.clock import SystemClock
from loglineos.base.errors import DatabaseUnavailable
from loglineos.database import failures
from loglineos.database.pool import Limits, bounded, connect, open_pool
from loglineos.ledger.appender import Appender
from tests.integration.conftest import House
from tests.integration.pressure import append_one, proved, sealed, until

QUICK = Limits(silence_s_max=3)
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


class Cable:
    """A TCP address of a server that listens on a local socket, and that can be unplugged.

    Unplugged, its sockets drop what arrives before TCP sees it, by a filter of the kernel: no
    byte is acknowledged, no connection refused or reset.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._ends: list[socket.socket] = []
        self._serving: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def plugged(self) -> AsyncIterator[str]:
        """Listen; lend the connection string that leads through here."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            (listener,) = server.sockets
            self._ends.append(listener)
            yield make_conninfo(self._dsn, host="127.0.0.1", port=listener.getsockname()[1])
            self.plug()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving)

    def unplug(self) -> None:
        instruction = ctypes.create_string_buffer(
            struct.pack("HBBI", 0x06, 0, 0, 0)
        )  # keep 0 bytes
        program = struct.pack("HL", 1, ctypes.addressof(instruction))
        for end in self._ends:
            end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def plug(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):  # closed, or never unplugged
                end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._ends.append(writer.get_extra_info("socket"))
        told = conninfo_to_dict(self._dsn)
        there = await asyncio.open_unix_connection(f"{told['host']}/.s.PGSQL.{told['port']}")
        ways = [_pass_on(reader, there[1]), _pass_on(there[0], writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        with contextlib.suppress(asyncio.CancelledError):  # the cable is taken away
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)
        for end in (writer, there[1]):
            end.transport.abort()
            with contextlib.suppress(OSError):
                await end.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while told := await reader.read(1 << 16):
            writer.write(told)
            await writer.drain()


@pytest.mark.parametrize("when", ["before it is asked", "while it works"])
async def test_a_server_that_falls_silent_is_given_up_in_time(empty_database, when: str):
    cable = Cable(empty_database.dsn())
    async with cable.plugged() as dsn:
        connection = await connect(dsn, name="test", limits=QUICK)
        if when == "before it is asked":
            cable.unplug()
        begun = time.monotonic()
        asking = asyncio.create_task(connection.execute("SELECT pg_sleep(25)"))
        if when == "while it works":
            await until(lambda: _is_asleep(empty_database.dsn()))
            cable.unplug()
        with pytest.raises(psycopg.OperationalError) as caught:
            await asking
        assert failures.is_gone(caught.value)
        assert time.monotonic() - begun < 10
        assert connection.closed


def _is_asleep(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        return connection.execute(asleep).fetchone() == (1,)


async def test_connecting_to_silence_ends_in_time(empty_database):
    cable = Cable(empty_database.dsn())
    async with cable.plugged() as dsn:
        cable.unplug()
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            await connect(dsn, name="test", wait_s_max=2)
        with pytest.raises(DatabaseUnavailable):
            await open_pool(dsn, name="test", wait_s_max=2)
        assert time.monotonic() - begun < 8


async def test_an_append_outlives_an_unplugged_database_or_is_told_in_time(house: House):
    cable = Cable(house.database.dsn("logline_appender"))
    async with cable.plugged() as dsn:

        async def door() -> psycopg.AsyncConnection[Any]:
            return await connect(dsn, name="appender", limits=QUICK, wait_s_max=2)

        async with Appender(door, clock=SystemClock(), wait_s_max=2) as appender:
            before = await append_one(appender, sealed(house))
            cable.unplug()
            begun = time.monotonic()
            wanted = sealed(house)
            with pytest.raises(DatabaseUnavailable):
                await append_one(appender, wanted)
            assert time.monotonic() - begun < 10
            cable.plug()
            after = await append_one(appender, wanted)
    proved(house, [before, after])


def test_what_the_connection_string_says_about_time_holds():
    given = (
        "postgresql://ana@example.test/casa?connect_timeout=3&tcp_user_timeout=7000&keepalives=0"
    )
    told = conninfo_to_dict(bounded(given, connect_s_max=10, limits=Limits()))
    assert (told["connect_timeout"], told["tcp_user_timeout"], told["keepalives"]) == (
        "3", "7000", "0",
    )  # fmt: skip
    assert (told["host"], told["user"], told["dbname"]) == ("example.test", "ana", "casa")


def test_without_a_word_about_time_silence_is_told_well_before_an_append_gives_up():
    told = conninfo_to_dict(bounded("host=db.example.test", connect_s_max=10, limits=Limits()))
    assert told == {
        "host": "db.example.test",
        "connect_timeout": "10",
        "keepalives": "1",
        "keepalives_idle": "4",
        "keepalives_interval": "4",
        "keepalives_count": "2",
        "tcp_user_timeout": "12000",
    }
