"""A large call is inserted while it is made: whole or not at all, whatever happens to its rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from loglineos.base.errors import (
    Conflict,
    InvalidInput,
    KeyNotTrusted,
    MoveNotAllowed,
    Pushback,
    ReadOnly,
    SignatureBroken,
    Unavailable,
)
from loglineos.base.ids import uuid7
from loglineos.database.pool import Limits, connect
from loglineos.ledger.appender import Appender
from loglineos.ledger.founding import enrol_key, revoke_key
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import Sealed, seal
from loglineos.ledger.signature import SigningKey, signing_key
from loglineos.ledger.trust import key_entity_id
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


async def test_calls_that_have_begun_count_as_in_flight_before_their_first_records(house: House):
    appender = await house.new_appender(in_flight_max=1_000)
    gate = asyncio.Event()

    async def late() -> AsyncIterator[list[Sealed]]:
        await gate.wait()
        for chunk in chunked(house):
            yield chunk

    def begun() -> asyncio.Task[list[Record]]:
        return asyncio.create_task(
            appender.append_as_made(late(), count=375, verified=True, if_absent=False)
        )

    calls = [begun() for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Pushback):
        await begun()
    calls[0].cancel()
    gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in answers] == [asyncio.CancelledError, list, Pushback, Pushback]
    assert appender._in_flight == 0
    assert len(await appender.append_as_made(
        made(chunked(house)), count=375, verified=True, if_absent=False)) == 375  # fmt: skip


async def test_a_call_whose_appender_closes_before_its_first_records_is_told(house: House):
    await house.add()
    before = await size(house)
    opened, gate = asyncio.Event(), asyncio.Event()
    chunks = chunked(house)

    async def late() -> AsyncIterator[list[Sealed]]:
        opened.set()
        await gate.wait()
        for chunk in chunks:
            yield chunk

    async with AsyncExitStack() as stack:
        appender = await stack.enter_async_context(
            Appender(
                lambda: connect(house.database.dsn("logline_appender"), name="appender"),
                clock=house.clock,
            )
        )
        call = asyncio.create_task(
            appender.append_as_made(late(), count=375, verified=False, if_absent=False)
        )
        await opened.wait()
    gate.set()
    with pytest.raises(Unavailable):
        await call
    assert await size(house) == before


@pytest.mark.parametrize("count", [374, 376])
async def test_a_maker_that_miscounts_harms_nobody_but_itself(house: House, count: int):
    await house.add()
    before = await size(house)
    with pytest.raises(AssertionError):
        async with asyncio.timeout(20):
            await house.appender.append_as_made(
                made([*chunked(house, 2), [sealed(house) for _ in range(count - 250)]]),
                count=375, verified=True, if_absent=False,
            )  # fmt: skip
    assert (await house.add()).position == before
    await is_right(house)


async def test_a_statement_that_takes_too_long_in_the_middle_leaves_nothing(house: House):
    await house.add()
    before = await size(house)
    admin = await house.connect("postgres")
    await admin.execute("""
        CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM pg_sleep(CASE WHEN NEW.this = 'devagar' THEN 5 ELSE 0 END); RETURN NEW;
        END $$""")
    await admin.execute(
        "CREATE TRIGGER dawdle BEFORE INSERT ON ledger.universal_registry"
        " FOR EACH ROW EXECUTE FUNCTION public.dawdle()"
    )

    async def hurried() -> psycopg.AsyncConnection[Any]:
        dsn = house.database.dsn("logline_appender")
        return await connect(dsn, name="appender", limits=Limits(statement_s_max=0.4))

    lives = acts()
    lives[300] = msgspec.structs.replace(lives[300], this="devagar")
    async with Appender(hurried, clock=house.clock) as appender:
        house.writer.appender = appender
        await house.add()
        for drafts in (lives, lives[299:301]):
            with pytest.raises(Unavailable):
                await house.writer.append(drafts, tenant="casa")
            assert (await house.add()).this == NINE["this"]
        house.writer.appender = house.appender
    assert await size(house) == before + 3
    await is_right(house)


async def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(house: House):
    await house.add()
    before = await size(house)
    admin = await house.connect("postgres")
    await admin.execute("""
        CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.this = 'cheio' THEN
            RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';
          END IF;
          RETURN NEW; END $$""")
    await admin.execute(
        "CREATE TRIGGER no_room BEFORE INSERT ON ledger.universal_registry"
        " FOR EACH ROW EXECUTE FUNCTION public.no_room()"
    )
    lives = acts()
    lives[300] = msgspec.structs.replace(lives[300], this="cheio")
    with pytest.raises(ReadOnly):
        await house.writer.append(lives, tenant="casa")
    house.clock.advance(timedelta(seconds=3))
    assert (await house.add()).position == before
    with pytest.raises(ReadOnly):
        await house.add(this="cheio")
    house.clock.advance(timedelta(seconds=3))
    records = await house.writer.append(acts(), tenant="casa")
    assert records[0].position == before + 1
    await is_right(house)


def foreign(house: House, key: SigningKey, **fields: Any) -> Record:
    """Seal an act by somebody's own key."""
    draft = judge(Draft(**{"tenant_id": "casa", "id": uuid7(), **NINE, **fields}))
    return seal(draft, key=key, clock=house.clock, entropy=house.entropy).record


@pytest.mark.parametrize("count", [2, COUNT])
async def test_a_key_revoked_in_the_call_before_signs_no_more_on_any_way(house: House, count: int):
    key = signing_key(b"o" * 32)
    known = {"actor": "joao", "role": "operator", "custody": "own"}
    await enrol_key(house.writer, "casa", key.public.hex(), **known)
    first, second = ([foreign(house, key) for _ in range(count)] for _ in range(2))
    assert len(await house.writer.append_signed(first)) == count
    gone, after = await asyncio.gather(
        revoke_key(house.writer, "casa", key.public.hex(), reason="perdida"),
        house.writer.append_signed(second),
        return_exceptions=True,
    )
    if not isinstance(after, KeyNotTrusted):
        assert all(one.position < gone.position for one in after)
    before = await size(house)
    with pytest.raises(KeyNotTrusted):
        await house.writer.append_signed([foreign(house, key) for _ in range(count)])
    assert await size(house) == before
    repeated = await house.writer.append_signed(first)  # what was good stays so
    assert [r.position for r in repeated] == list(range(3, 3 + count))
    await is_right(house)


@pytest.mark.parametrize("count", [2, COUNT])
async def test_a_key_enrolled_inside_a_call_signs_the_rest_of_it(house: House, count: int):
    await house.add()
    key, root = signing_key(b"o" * 32), house.keyring.key("root")
    other = await house.new_appender()
    await append_one(other, sealed(house))
    enrolment = Draft(
        tenant_id="casa", id=key_entity_id("casa", key.public.hex()), seq=0, entity_type="key",
        who="root", did="enrol", this=key.public.hex(), name="joao", status="active",
        metadata={"role": "operator", "custody": "own"},
    )  # fmt: skip
    told = seal(enrolment, key=root, clock=house.clock, entropy=house.entropy).record
    ana = [sealed(house, who="ana").record for _ in range(count)]
    mine = [foreign(house, key) for _ in range(count)]
    before = await size(house)
    with pytest.raises(KeyNotTrusted):
        await house.writer.append_signed([*mine, told])
    records = await house.writer.append_signed([*ana, told, *mine])
    assert [r.position for r in records] == list(range(before, before + 2 * count + 1))
    for appender in (other, house.appender):  # each reads the keys that another changed
        house.writer.appender = appender
        more = [foreign(house, key) for _ in range(count)]
        assert len(await house.writer.append_signed(more)) == count
        with pytest.raises(KeyNotTrusted):
            await house.writer.append([Draft(**NINE)] * count, tenant="casa")
    await is_right(house)


@pytest.mark.parametrize("count", [1, 100, COUNT])
async def test_executions_wait_or_end_in_calls_of_every_size(house: House, count: int):
    more = {"entity_type": "execution", "queue": "default", "status": "queued"}
    begun = await house.writer.append(acts(count, **more), tenant="casa")
    running = [
        Draft(**{**NINE, **more, "id": one.id, "seq": 1, "status": "running"}) for one in begun
    ]
    await house.writer.append(running, tenant="casa")
    ends = [msgspec.structs.replace(one, seq=2, status="executed") for one in running]
    await house.writer.append(ends[: count // 2 + 1], tenant="casa")
    reader = await house.connect("logline_reader")
    cursor = await reader.execute("SELECT count(*) FROM ledger.job WHERE tenant_id = 'casa'")
    assert await cursor.fetchone() == (count - count // 2 - 1,)
    await is_right(house)


async def test_a_life_that_begins_and_goes_on_in_one_chunk_is_not_inserted_twice(house: House):
    steps: list[str] = []

    async def note(step: str) -> None:
        steps.append(step)

    appender = await house.new_appender(at_step=note)
    await append_one(appender, sealed(house))
    chunks = chunked(house)
    begun = chunks[0][3].record
    chunks[0][4] = seal(
        judge(Draft(**{**NINE, "tenant_id": "casa", "id": begun.id, "seq": 1})),
        key=house.keyring.key("node"), clock=house.clock, entropy=house.entropy,
        prev_hash=begun.curr_hash,
    )  # fmt: skip
    steps.clear()

    async def turned() -> AsyncIterator[list[Sealed]]:
        for chunk in chunks:
            yield chunk
            for _ in range(20):
                await asyncio.sleep(0)

    records = await appender.append_as_made(turned(), count=375, verified=True, if_absent=False)
    assert steps[:3] == ["locked", "inserted", "committed"]
    assert (records[4].id, records[4].seq) == (begun.id, 1)
    await is_right(house)
