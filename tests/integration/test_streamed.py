"""A large call is inserted while it is made: whole or not at all, whatever happens to its rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from loglineos.base.errors import Conflict, InvalidInput, MoveNotAllowed, SignatureBroken
from loglineos.base.ids import uuid7
from loglineos.ledger.record import Draft
from loglineos.ledger.seal import Sealed
from loglineos.ledger.verification.rebuild import rebuild
from loglineos.ledger.writer import STREAMED_MIN
from tests.integration.conftest import NINE, House
from tests.integration.pressure import append_one, proved, sealed

COUNT = 2 * STREAMED_MIN + 7


def acts(count: int = COUNT, **more: object) -> list[Draft]:
    return [Draft(**{**NINE, "this": f"pedido {n}", **more}) for n in range(count)]


async def size(house: House) -> int:
    found = await house.writer.log_size("casa")
    assert found is not None
    return found


async def is_right(house: House) -> None:
    report = await rebuild(await house.connect("logline_reader"), tenant="casa")
    assert report.is_equal, report.differences


async def made(
    chunks: list[list[Sealed]], *, gate: asyncio.Event | None = None
) -> AsyncIterator[list[Sealed]]:
    """Yield the first chunk, and the others once the gate is open."""
    for number, chunk in enumerate(chunks):
        if number and gate is not None:
            await gate.wait()
        yield chunk


def chunked(house: House, count: int = 3) -> list[list[Sealed]]:
    return [[sealed(house) for _ in range(125)] for _ in range(count)]


async def inserted(house: House) -> bool:
    """Tell whether a transaction that has inserted something is open."""
    connection = await house.connect("postgres")
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'appender'"
        " AND datname = current_database() AND backend_xid IS NOT NULL"
    )
    return (await cursor.fetchone()) == (1,)


async def test_drafts_enter_in_their_order_and_what_is_derived_is_right(house: House):
    first = await house.add()
    lives = acts()
    entity = uuid7()
    lives[20] = msgspec.structs.replace(lives[20], id=entity)
    lives[400] = msgspec.structs.replace(lives[400], id=entity, status="confirmed")
    lives[401] = msgspec.structs.replace(lives[401], id=first.id, seq=1, status="confirmed")
    records = await house.writer.append(lives, tenant="casa")
    assert [r.position for r in records] == list(
        range(first.position + 1, first.position + 1 + COUNT)
    )
    assert [r.this for r in records] == [draft.this for draft in lives]
    assert (records[400].seq, records[400].prev_hash) == (1, records[20].curr_hash)
    assert records[401].prev_hash == first.curr_hash
    await is_right(house)


async def test_rows_are_inserted_before_the_last_of_them_is_made(house: House):
    await house.add()
    gate = asyncio.Event()
    chunks = chunked(house)
    call = asyncio.create_task(
        house.appender.append_as_made(
            made(chunks, gate=gate), count=375, verified=True, if_absent=False
        )
    )
    async with asyncio.timeout(20):
        while not await inserted(house):
            assert not call.done()
    gate.set()
    assert len(await call) == 375
    await is_right(house)


async def test_a_connection_lost_in_the_middle_loses_nothing_and_doubles_nothing(house: House):
    await house.add()
    before = await size(house)
    gate = asyncio.Event()
    call = asyncio.create_task(
        house.appender.append_as_made(
            made(chunked(house), gate=gate), count=375, verified=True, if_absent=False
        )
    )
    async with asyncio.timeout(20):
        while not await inserted(house):
            assert not call.done()
    admin = await house.connect("postgres")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'appender' AND datname = current_database()"
    )
    gate.set()
    records = await call
    assert [r.position for r in records] == list(range(before, before + 375))
    await is_right(house)


async def test_a_draft_that_cannot_be_kept_takes_the_whole_call_with_it(house: House):
    await house.add()
    before = await size(house)
    lives = acts()
    lives[-1] = msgspec.structs.replace(lives[-1], details={"x": float("nan")})
    with pytest.raises(InvalidInput):
        await house.writer.append(lives, tenant="casa")
    assert (await house.add()).position == before
    assert await size(house) == before + 1
    await is_right(house)


async def test_a_caller_who_gives_up_in_the_middle_leaves_nothing(house: House):
    await house.add()
    before = await size(house)
    call = asyncio.create_task(
        house.appender.append_as_made(
            made(chunked(house), gate=asyncio.Event()), count=375, verified=True, if_absent=False
        )
    )
    async with asyncio.timeout(20):
        while not await inserted(house):
            assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await house.add()).position == before
    assert house.appender._in_flight == 0
    await is_right(house)


async def test_one_bad_signature_among_many_refuses_the_call_and_no_other(house: House):
    await house.add()
    before = await size(house)
    chunks = chunked(house)
    last = chunks[2][-1]
    chunks[2][-1] = last._replace(record=msgspec.structs.replace(last.record, signature="ab" * 64))
    bad, good = await asyncio.gather(
        house.appender.append_as_made(made(chunks), count=375, verified=False, if_absent=False),
        append_one(house.appender, sealed(house)),
        return_exceptions=True,
    )
    assert isinstance(bad, SignatureBroken)
    assert good.position == before
    assert await size(house) == before + 1
    await is_right(house)


async def test_what_is_refused_at_the_end_is_refused_as_ever(house: House):
    first = await house.add(status="denied")
    lives = acts()
    lives[-1] = msgspec.structs.replace(lives[-1], id=first.id, seq=1, status="draft")
    with pytest.raises(MoveNotAllowed):
        await house.writer.append(lives, tenant="casa")
    lives[-1] = msgspec.structs.replace(lives[-1], seq=0)
    with pytest.raises(Conflict):
        await house.writer.append(lives, tenant="casa")
    assert await size(house) == first.position + 1
    await is_right(house)


async def test_a_repeat_is_answered_with_what_is_stored(house: House):
    chunks = chunked(house)
    more = {"count": 375, "verified": True, "if_absent": False}
    records = await house.appender.append_as_made(made(chunks), **more)
    assert await house.appender.append_as_made(made(chunks), **more) == records
    assert await size(house) == records[-1].position + 1
    proved(house, records)


async def test_another_appender_that_was_faster_is_seen(house: House):
    """What is remembered of the head is old: the long way asks."""
    other = await house.new_appender()
    records = []
    for _ in range(2):
        records += [await house.add(), await append_one(other, sealed(house))]
        records += await house.writer.append(acts(), tenant="casa")
    await is_right(house)
    proved(house, records)


async def test_two_appenders_with_large_calls_take_turns(house: House):
    other = await house.new_appender()
    calls = [
        (house.appender, other)[n % 2].append_as_made(
            made(chunked(house)), count=375, verified=True, if_absent=False
        )
        for n in range(6)
    ]
    records = [r for answer in await asyncio.gather(*calls) for r in answer]
    proved(house, records)
    await is_right(house)


async def test_calls_beside_a_long_one_wait_for_it_and_follow_it(house: House):
    first = await house.add()
    calls = [house.writer.append(acts(), tenant="casa") for _ in range(3)]
    ones = [house.add() for _ in range(20)]
    answers = await asyncio.gather(*calls, *ones)
    records = [first, *(r for answer in answers[:3] for r in answer), *answers[3:]]
    proved(house, records)
    await is_right(house)
