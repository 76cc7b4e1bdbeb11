"""The short way: one statement when what is remembered still holds, otherwise the long way decides."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from loglineos.base.errors import (
    Conflict,
    KeyNotTrusted,
    MoveNotAllowed,
    SignatureBroken,
    UnknownTenant,
)
from loglineos.base.ids import uuid7
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.verification.rebuild import rebuild
from tests.integration.conftest import NINE, House
from tests.integration.pressure import append_one, proved, sealed


class Counted:
    """How often each step of a transaction was passed; the short way takes no `BEGIN`."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def __call__(self, step: str) -> None:
        self.steps.append(step)


async def went_short(house: House) -> bool:
    """Tell whether the appender's last statement was the short way's; the long way ends in COMMIT."""
    connection = await house.connect("postgres")
    cursor = await connection.execute(
        "SELECT query FROM pg_stat_activity"
        " WHERE application_name = 'appender' AND datname = current_database()"
    )
    (query,) = await cursor.fetchone() or ("",)
    assert query.strip().startswith(("COMMIT", "WITH head"))
    return bool(query.strip().startswith("WITH head"))


async def is_right(house: House, tenant: str = "casa") -> None:
    report = await rebuild(await house.connect("logline_reader"), tenant=tenant)
    assert report.is_equal, report.differences


async def test_what_follows_an_append_goes_the_short_way(house: House):
    first = await house.add()
    assert (await house.add()).position == first.position + 1
    assert await went_short(house)
    second = await house.add(id=first.id, seq=1, status="confirmed")
    assert (second.position, second.prev_hash) == (first.position + 2, first.curr_hash)
    assert await went_short(house)
    await is_right(house)


async def test_what_is_not_known_goes_the_long_way(house: House):
    first = await house.add()
    for fields in (
        {"entity_type": "execution", "status": "scheduled", "queue": "default", "valid": None},
        {"id": first.id, "seq": 1, "metadata": {"gesture": "annotate", "by": "rui"}},
    ):
        await house.add(**fields)
        assert not await went_short(house)
    lives = [Draft(**{**NINE, "id": uuid7(), "seq": seq}) for seq in (0,)]
    await house.writer.append(lives, tenant="casa")
    assert await went_short(house)
    await is_right(house)


async def test_a_head_that_another_appender_moved_sends_it_the_long_way(house: House):
    other = await house.new_appender()
    records = []
    for number in range(6):
        records.append(await house.add(this=f"pedido {number}"))
        records.append(await append_one(other, sealed(house)))
    assert [r.position for r in records] == list(
        range(records[0].position, records[0].position + 12)
    )
    proved(house, records)
    await is_right(house)


async def test_two_appenders_at_once_give_every_position_once(house: House):
    other = await house.new_appender()
    both = (house.appender, other)
    calls = [append_one(both[n % 2], sealed(house)) for n in range(120)]
    records = await asyncio.gather(*calls)
    assert len({record.position for record in records}) == 120
    proved(house, records)
    await is_right(house)


async def test_a_repeat_is_answered_with_what_is_stored(house: House):
    await house.add()
    one = sealed(house)
    first = await append_one(house.appender, one)
    assert await append_one(house.appender, one) == first
    (again,) = await house.appender.append([sealed(house)], verified=True, if_absent=True)
    assert again.position == first.position + 1
    await is_right(house)


async def test_what_is_remembered_refuses_nothing_the_database_would_allow(house: House):
    """Another appender wrote the event that this one follows; the one before is remembered."""
    first = await house.add()
    mine = house.writer.appender
    house.writer.appender = await house.new_appender()
    second = await house.add(id=first.id, seq=1, status="confirmed")
    house.writer.appender = mine
    third = await house.add(id=first.id, seq=2, status="archived")
    assert third.prev_hash == second.curr_hash
    with pytest.raises(Conflict):
        await house.add(id=first.id, seq=2, status="archived", this="outro")
    await is_right(house)


async def test_refusals_are_those_of_the_long_way(house: House):
    first = await house.add(status="denied")
    with pytest.raises(MoveNotAllowed):
        await house.add(id=first.id, seq=1, status="draft")
    with pytest.raises(UnknownTenant):
        await house.add(tenant="ninguem")
    broken = sealed(house)
    forged = msgspec.structs.replace(broken.record, signature="ab" * 64)
    with pytest.raises(SignatureBroken):
        await house.appender.append([broken._replace(record=forged)], verified=False)
    assert (await house.add()).position == first.position + 1
    await is_right(house)


async def test_a_group_enters_whole_with_one_block_of_time_and_every_entity(house: House):
    await house.add()
    drafts = [Draft(**{**NINE, "this": f"pedido {n}"}) for n in range(30)]
    records: list[Record] = await house.writer.append(drafts, tenant="casa")
    assert [r.position for r in records] == list(
        range(records[0].position, records[0].position + 30)
    )
    assert await went_short(house)
    await is_right(house)


async def test_the_steps_are_passed_in_their_order(house: House):
    counted = Counted()
    appender = await house.new_appender(at_step=counted)
    for _ in range(2):
        await append_one(appender, sealed(house))
    assert counted.steps == ["locked", "inserted", "committed", "answered"] * 2


async def test_keys_that_were_changed_behind_its_back_are_read_again(house: House):
    await house.add()
    admin = await house.connect("postgres")
    await admin.execute("UPDATE ledger.actor_key SET revoked = 1 WHERE custody = 'node'")
    await admin.execute("UPDATE ledger.log_head SET keys_changed = keys_changed + 1")
    with pytest.raises(KeyNotTrusted):
        await house.add()
