"""The appender when the database is away or its disk is full: it waits, tells, and recovers."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loglineos.base.clock import SystemClock
from loglineos.base.errors import (
    DatabaseUnavailable,
    ReadOnly,
)
from loglineos.database.embedded import ADMIN, EmbeddedPostgres
from loglineos.ledger.appender import Appender
from loglineos.ledger.seal import Sealed
from tests.crash.plan import ack_of
from tests.crash.proof import prove
from tests.crash.site import Rounds, Site, open_writing, start_again
from tests.integration.conftest import House
from tests.integration.pressure import (
    FOUNDING,
    append_one,
    proved,
    sealed,
    until,
)

# The database is away ---------------------------------------------------------------------------


@pytest.fixture
def away() -> Iterator[Rounds]:
    """A founded ledger on a server of this test's own, which the test stops and starts."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    with EmbeddedPostgres.start(folder) as postgres:
        yield Site.make(postgres).new_database()
    shutil.rmtree(folder)


async def stop(rounds: Rounds) -> None:
    """Tell the keeper to stop the server; nobody starts it again by itself."""
    postgres = rounds.site.postgres
    os.kill(int((postgres.home / "pg" / "keeper").read_text()), signal.SIGTERM)
    await until(lambda: postgres.postmaster_pid() is None)


async def test_appends_wait_for_a_database_that_comes_back_and_are_there_once(away: Rounds):
    attempts = []

    async def door() -> psycopg.AsyncConnection[Any]:
        attempts.append(time.monotonic())
        return await open_writing(away.site, away.name)

    async with Appender(door, clock=SystemClock()) as appender:
        (before,) = await appender.append([sealed(away)], verified=True)
        await stop(away)
        calls = [asyncio.create_task(append_one(appender, sealed(away))) for _ in range(50)]
        await until(lambda: len(attempts) > 3)
        assert not any(call.done() for call in calls)
        await asyncio.to_thread(start_again, away.site.postgres)
        records = [before, *await asyncio.gather(*calls)]
    stored = prove(away.site.postgres.dsn(ADMIN, away.name), [ack_of(r) for r in records])
    assert stored == FOUNDING + 51


async def test_a_database_away_for_too_long_is_told_to_all_in_time_and_repeats_succeed(
    away: Rounds,
):
    async with Appender(
        lambda: open_writing(away.site, away.name), clock=SystemClock(), wait_s_max=0.5
    ) as appender:
        await appender.append([first := sealed(away)], verified=True)
        await stop(away)
        wanted = [first] + [sealed(away) for _ in range(2_500)]
        begun = time.monotonic()
        answers = await asyncio.gather(
            *[append_one(appender, one) for one in wanted], return_exceptions=True
        )
        assert time.monotonic() - begun < 5, "each group began its wait anew"
        assert {type(answer) for answer in answers} == {DatabaseUnavailable}
        assert len({id(answer) for answer in answers}) == len(answers), "an error is shared"
        await asyncio.to_thread(start_again, away.site.postgres)
        records = await asyncio.gather(*[append_one(appender, one) for one in wanted])
    stored = prove(away.site.postgres.dsn(ADMIN, away.name), [ack_of(r) for r in records])
    assert stored == FOUNDING + 2_501


# The disk is full -------------------------------------------------------------------------------


class Disk:
    """Where the registry's rows go: to be filled and freed."""

    def __init__(self, fill: Callable[[], None], free: Callable[[], None]) -> None:
        self.fill = fill
        self.free = free


def _may_mount() -> bool:
    folder = tempfile.mkdtemp(prefix="logline-")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        subprocess.run(["umount", folder], check=True)
    Path(folder).rmdir()
    return mounted.returncode == 0


@contextmanager
def _small_disk(house: House) -> Iterator[Disk]:
    """A file system of 24 MB for the registry: the server meets a real ENOSPC."""
    folder = Path(tempfile.mkdtemp(prefix="logline-"))
    owner = house.database.postgres.pgdata.stat()
    folder.chmod(0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    place, ballast = folder / "space", folder / "ballast"
    place.mkdir(mode=0o700)
    os.chown(place, owner.st_uid, owner.st_gid)

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass

    with psycopg.connect(house.database.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        connection.execute("ALTER TABLE ledger.universal_registry SET TABLESPACE small")
        try:
            yield Disk(fill, ballast.unlink)
        finally:
            connection.execute("ALTER TABLE ledger.universal_registry SET TABLESPACE pg_default")
            connection.execute("DROP TABLESPACE small")
            subprocess.run(["umount", folder], check=True)
            folder.rmdir()


@contextmanager
def _told_disk(house: House) -> Iterator[Disk]:
    """The server says 53100 at each insert while a row says that it is full."""
    with psycopg.connect(house.database.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.is_full (reason text)")
        connection.execute("""
            CREATE FUNCTION public.refuse_when_full() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER AS $$ BEGIN
              IF EXISTS (SELECT FROM public.is_full) THEN
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';
              END IF;
              RETURN NEW;
            END $$""")
        connection.execute("""
            CREATE TRIGGER refuse_when_full BEFORE INSERT ON ledger.universal_registry
            FOR EACH ROW EXECUTE FUNCTION public.refuse_when_full()""")
        yield Disk(
            lambda: _run(connection, "INSERT INTO public.is_full VALUES ('test')"),
            lambda: _run(connection, "DELETE FROM public.is_full"),
        )


def _run(connection: psycopg.Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())


DISKS = [_told_disk, *([_small_disk] if _may_mount() else [])]


@pytest.mark.parametrize("disk_of", DISKS)
async def test_with_a_full_disk_the_node_only_reads_and_writes_again_by_itself(
    house: House, disk_of: Callable[[House], Any]
):
    def heavy() -> Sealed:
        return sealed(house, details={"bytes": secrets.token_hex(100_000)})

    appender = house.appender
    with disk_of(house) as disk:
        before = await append_one(appender, heavy())
        disk.fill()
        wanted = [heavy() for _ in range(8)]
        answers = await asyncio.gather(
            *[append_one(appender, one) for one in wanted], return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {ReadOnly}
        assert appender.is_read_only
        assert await house.writer.latest("casa", before.id) == before
        disk.free()
        with pytest.raises(ReadOnly):  # it looks again every two seconds, not at every call
            await append_one(appender, wanted[0])
        house.clock.advance(timedelta(seconds=2))
        records = await asyncio.gather(*[append_one(appender, one) for one in wanted])
        assert not appender.is_read_only
    proved(house, [before, *records])
