"""Following: every record once and in order: while others write, and while connections die."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import islice

import pytest

from loglineos.base.errors import InvalidInput
from loglineos.database.notify import Notifier
from loglineos.ledger.reading import follower
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.follower import CHANNEL, hints_from
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.record import Draft, Record
from tests.integration.conftest import NINE, House


async def follower_of(house: House, *, hinted: bool = False, role: str = "manager") -> Reader:
    hints = hints_from(house.database.dsn("logline_app"), tenant="casa") if hinted else None
    viewer = Viewer(tenant="casa", actor="estafeta.7", role=role)
    return Reader(await house.pool("logline_app"), viewer=viewer, hints=hints)


async def take(records, count: int) -> list[Record]:
    async with asyncio.timeout(60):
        return [await anext(records) for _ in range(count)]


async def write(house: House, count: int, *, size: int = 1, **fields) -> list[Record]:
    drafts = (Draft(**{**NINE, **fields, "this": f"pedido {n}"}) for n in range(count * size))
    stored: list[Record] = []
    while batch := list(islice(drafts, size)):
        stored += await house.writer.append(batch, tenant="casa")
    return stored


async def test_what_is_there_comes_first_and_what_follows_comes_next(house):
    before = await write(house, 2, size=700)
    reader = await follower_of(house)
    async with aclosing(reader.follow(from_position=before[0].position)) as records:
        assert await take(records, 1400) == before
        later = await write(house, 3)
        assert await take(records, 3) == later


async def test_from_now_on_means_that_the_past_is_left_out(house):
    await write(house, 3)
    reader = await follower_of(house)
    async with aclosing(reader.follow()) as records:
        first = asyncio.ensure_future(take(records, 1))
        written: list[Record] = []
        while not first.done():
            written += await write(house, 1)
            await asyncio.wait([first], timeout=0.2)
        assert (await first)[0] in written


async def test_a_hint_wakes_at_once_and_no_hint_costs_a_second_at_most(house, monkeypatch):
    monkeypatch.setattr(follower, "POLL_EVERY_S", 3600.0)
    reader = await follower_of(house, hinted=True)
    start = (await reader.head()).size
    async with (
        Notifier(house.database.dsn("logline_appender")) as notifier,
        aclosing(reader.follow(from_position=start)) as records,
    ):
        coming = asyncio.ensure_future(take(records, 5))
        stored = await write(house, 5)
        while not coming.done():
            await notifier.notify(CHANNEL, "casa")
            await asyncio.wait([coming], timeout=0.1)
        assert await coming == stored
    async with aclosing(Reader.follow(await follower_of(house), from_position=start)) as records:
        assert await take(records, 5) == stored


async def test_only_what_the_filter_and_the_rights_let_through_is_given(house):
    reader = await follower_of(house, role="courier")
    start = (await reader.head()).size
    async with aclosing(reader.follow(Filter(did="entregou"), from_position=start)) as records:
        await house.add(did="entregou", who="estafeta.8")
        mine = await house.add(did="entregou", who="estafeta.7")
        await house.add(did="recolheu", who="estafeta.7")
        shared = await house.add(did="entregou", shared_with=("role:courier",))
        assert await take(records, 2) == [mine, shared]


async def test_nothing_is_skipped_or_doubled_while_many_write_and_connections_are_killed(house):
    reader = await follower_of(house, hinted=True)
    start = (await reader.head()).size
    admin = await house.connect("postgres")
    count = 60
    async with aclosing(reader.follow(from_position=start)) as records:
        coming = asyncio.ensure_future(take(records, 3 * count))
        writers = [asyncio.ensure_future(write(house, count)) for _ in range(3)]
        kills = 0
        while not all(one.done() for one in writers):
            cursor = await admin.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE usename = 'logline_app' AND datname = current_database()"
            )
            kills += (await cursor.fetchone())[0]
            await asyncio.wait(writers, timeout=0.3)
        written = [record for one in writers for record in await one]
        assert kills > 0
        assert await coming == sorted(written, key=lambda record: record.position)


async def test_a_filter_that_makes_no_sense_is_refused_before_anything_is_read(house):
    reader = await follower_of(house)
    with pytest.raises(InvalidInput):
        reader.follow(Filter(status="azul"))
