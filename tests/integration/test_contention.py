"""The appender when others are in the way, give up, lie, or read while it writes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from loglineos.base.errors import (
    InvalidInput,
    LoglineError,
    Pushback,
    SignatureBroken,
    Unavailable,
    VerificationFailed,
)
from loglineos.ledger.appender import Appender
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed
from tests.integration.conftest import House
from tests.integration.pressure import (
    Door,
    admin,
    append_one,
    held_head,
    proved,
    sealed,
    until,
    until_one_waits,
)

# Others are in the way --------------------------------------------------------------------------


async def test_what_is_over_the_bound_is_pushed_back_and_comes_in_later(house: House):
    appender = await house.new_appender(in_flight_max=10)
    async with held_head(house):
        calls = [asyncio.create_task(append_one(appender, sealed(house))) for _ in range(10)]
        await until_one_waits(house)
        late = sealed(house)
        with pytest.raises(Pushback):
            await append_one(appender, late)
    records = await asyncio.gather(*calls)
    proved(house, [*records, await append_one(appender, late)])


async def test_a_slow_transaction_that_holds_the_head_is_waited_for(house: House):
    door = Door(house, lock_s_max=0.1)
    async with Appender(door, clock=house.clock) as appender:
        async with held_head(house):
            calls = [asyncio.create_task(append_one(appender, sealed(house))) for _ in range(20)]
            await until(lambda: len(door.opened) >= 3)
            assert not any(call.done() for call in calls)
        records = await asyncio.gather(*calls)
    proved(house, records)


async def test_a_head_that_is_held_for_too_long_is_told_and_the_repeat_comes_in(house: House):
    door = Door(house, lock_s_max=0.05)
    wanted = [sealed(house) for _ in range(20)]
    async with Appender(door, clock=house.clock) as appender:
        async with held_head(house):
            answers = await asyncio.gather(
                *[append_one(appender, one) for one in wanted], return_exceptions=True
            )
            assert {type(answer) for answer in answers} == {Pushback}
            assert len(door.opened) == 6
        proved(house, [])
        records = await asyncio.gather(*[append_one(appender, one) for one in wanted])
    proved(house, records)


async def test_callers_who_give_up_leave_the_appender_working(house: House):
    appender = await house.new_appender(in_flight_max=5)
    async with held_head(house):
        first = asyncio.create_task(append_one(appender, sealed(house)))
        await until_one_waits(house)
        calls = [asyncio.create_task(append_one(appender, sealed(house))) for _ in range(4)]
        await asyncio.sleep(0)
        for call in (first, *calls[:3]):
            call.cancel()
        await asyncio.wait([first, *calls[:3]])
        with pytest.raises(Pushback):  # they still lie in the queue, which has a bound
            await append_one(appender, sealed(house))
    kept = await calls[3]
    more = await asyncio.gather(*[append_one(appender, sealed(house)) for _ in range(5)])
    assert first.cancelled()
    found = await _at(house, 2)  # the first was under way: given up is not taken back
    assert found.position == 2
    proved(house, [found, kept, *more])


async def _at(house: House, position: int) -> Record:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT id FROM ledger.universal_registry WHERE tenant_id = 'casa' AND position = %s",
        (position,),
    )
    (identity,) = await cursor.fetchone() or (None,)
    return await house.writer.latest("casa", identity)


async def test_closing_answers_all_that_is_in_flight_and_takes_no_more(house: House):
    async with held_head(house):
        appender = await Appender(Door(house), clock=house.clock).__aenter__()
        calls = [asyncio.create_task(append_one(appender, sealed(house))) for _ in range(2_500)]
        await until_one_waits(house)
        closing = asyncio.create_task(appender.__aexit__())
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="stopping"):
            await append_one(appender, sealed(house))
    records = await asyncio.gather(*calls)
    await closing
    proved(house, records)


async def test_an_appender_whose_task_is_cancelled_leaves_nobody_waiting(house: House):
    appender = await Appender(Door(house), clock=house.clock).__aenter__()
    async with held_head(house):
        calls = [asyncio.create_task(append_one(appender, sealed(house))) for _ in range(1_500)]
        await until_one_waits(house)
        closing = asyncio.create_task(appender.__aexit__())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    with pytest.raises(Unavailable):
        await append_one(appender, sealed(house))
    proved(house, [])


# Others lie -------------------------------------------------------------------------------------


async def test_a_forged_record_does_not_push_out_the_true_one_beside_it(house: House):
    true = sealed(house)
    other = sealed(house, id=true.record.id, this="pedido 999")
    forged = Sealed(
        msgspec.structs.replace(other.record, signature=true.record.signature), other.bytes
    )
    async with held_head(house):
        blocker = asyncio.create_task(append_one(house.appender, sealed(house)))
        await until_one_waits(house)  # so that the next two share one group
        calls = [
            asyncio.create_task(append_one(house.appender, one, verified=False))
            for one in (forged, true)
        ]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], SignatureBroken)
    assert isinstance(answers[1], Record)
    proved(house, [await blocker, answers[1]])


async def test_a_record_that_the_server_refuses_does_not_harm_its_neighbours(house: House):
    async with admin(house) as connection:
        await connection.execute(
            "ALTER TABLE ledger.universal_registry ADD CHECK (\"this\" <> 'veneno')"
        )
    things = ["veneno" if number in (3, 40) else f"pedido {number}" for number in range(64)]
    answers = await asyncio.gather(
        *[append_one(house.appender, sealed(house, this=this)) for this in things],
        return_exceptions=True,
    )
    refused = [
        this
        for this, answer in zip(things, answers, strict=True)
        if isinstance(answer, LoglineError)
    ]
    assert refused == ["veneno", "veneno"]
    proved(house, [answer for answer in answers if isinstance(answer, Record)])


async def test_a_refusal_of_the_server_is_told_to_a_whole_group_at_once(house: House):
    door = Door(house)
    async with admin(house) as connection:
        await connection.execute("REVOKE INSERT ON ledger.universal_registry FROM logline_appender")
    async with Appender(door, clock=house.clock) as appender:
        answers = await asyncio.gather(
            *[append_one(appender, sealed(house)) for _ in range(500)], return_exceptions=True
        )
    assert {answer.code for answer in answers} == {"refused"}
    assert len(door.opened) == 1
    proved(house, [])


async def test_one_call_is_of_one_tenant(house: House):
    both = [sealed(house), sealed(house, tenant_id="pensao")]
    with pytest.raises(InvalidInput, match="tenant"):
        await house.appender.append(both, verified=True)
    proved(house, [])


async def test_nothing_grows_on_a_log_whose_head_does_not_fit_its_rows(house: House):
    first = await append_one(house.appender, sealed(house))
    async with admin(house) as connection:
        cursor = await connection.execute(
            "SELECT root FROM ledger.log_head WHERE tenant_id = 'casa'"
        )
        (true_root,) = await cursor.fetchone() or (None,)
        change = "UPDATE ledger.log_head SET root = %s WHERE tenant_id = 'casa'"
        await connection.execute(change, (bytes(32),))
        with pytest.raises(VerificationFailed, match="head"):
            await append_one(house.appender, sealed(house))
        other = await append_one(house.appender, sealed(house, tenant_id="pensao"))
        await connection.execute(change, (true_root,))
    proved(house, [first, other, await append_one(house.appender, sealed(house))])


async def test_a_server_that_answers_before_its_disk_is_told_not_to(house: House):
    async with admin(house) as connection:
        name = house.database.name
        await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    door = Door(house)
    async with Appender(door, clock=house.clock) as appender:
        await append_one(appender, sealed(house))
        cursor = await door.opened[0].execute("SHOW synchronous_commit")
        assert await cursor.fetchone() == ("on",)


# Who reads by position --------------------------------------------------------------------------


async def test_a_reader_by_position_never_skips_a_slow_transaction(house: House):
    """Of two appenders one stops in the middle of its insert; no page of the reader has a gap."""
    async with admin(house) as connection:
        await connection.execute("""
            CREATE FUNCTION public.be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              IF NEW."this" = 'devagar' THEN PERFORM pg_advisory_xact_lock(42); END IF;
              RETURN NEW;
            END $$""")
        await connection.execute("""
            CREATE TRIGGER be_slow BEFORE INSERT ON ledger.universal_registry
            FOR EACH ROW EXECUTE FUNCTION public.be_slow()""")
        other = await house.new_appender()
        reader = asyncio.create_task(_read_by_position(house, until=42))
        await connection.execute("SELECT pg_advisory_lock(42)")
        slow = asyncio.create_task(append_one(house.appender, sealed(house, this="devagar")))
        await until_one_waits(house)
        fast = [asyncio.create_task(append_one(other, sealed(house))) for _ in range(20)]
        await until_one_waits(house, count=2)
        seen = await _positions(house, 0)
        assert seen == [0, 1]
        beside = await append_one(await house.new_appender(), sealed(house, tenant_id="pensao"))
        await connection.execute("SELECT pg_advisory_unlock(42)")
        records = await asyncio.gather(slow, *fast)
        mixed = [
            append_one(one, sealed(house, this="devagar" if number % 5 == 0 else "depressa"))
            for number in range(10)
            for one in (house.appender, other)
        ]
        records += await asyncio.gather(*mixed[:19])
        mixed[19].close()
    assert await reader == list(range(42))
    proved(house, [*records, beside])


async def _read_by_position(house: House, *, until: int) -> list[int]:
    """Follow the log of casa: each page continues where the one before ended."""
    read: list[int] = []
    async with asyncio.timeout(30):
        while len(read) < until:
            read += await _positions(house, len(read))
            assert read == list(range(len(read)))
    return read


async def _positions(house: House, first: int) -> list[int]:
    pool = await house.pool("logline_reader")
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT position FROM ledger.universal_registry"
            " WHERE tenant_id = 'casa' AND position >= %s ORDER BY position",
            (first,),
        )
        return [row[0] for row in await cursor.fetchall()]
