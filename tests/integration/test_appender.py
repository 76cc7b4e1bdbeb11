"""The appender and the writer: order, chain, repeats, races and refusals, on a real database."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from loglineos.base.errors import (
    Conflict,
    InvalidInput,
    KeyNotTrusted,
    MoveNotAllowed,
    Refused,
    SignatureBroken,
    UnknownTenant,
)
from loglineos.base.ids import uuid7
from loglineos.ledger.founding import enrol_key
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft
from loglineos.ledger.seal import bytes_of, check_seal, seal
from loglineos.ledger.signature import signing_key
from loglineos.ledger.trust import actor_entity_id, key_entity_id
from tests.integration.conftest import NINE, House


async def rows(house: House) -> int:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT count(*) FROM ledger.universal_registry WHERE tenant_id = 'casa'"
    )
    (count,) = await cursor.fetchone() or (0,)
    return int(count)


async def test_a_house_begins_with_its_founding_and_the_nodes_key(house: House) -> None:
    first = await house.add()
    assert first.position == 2
    assert first.valid is True
    assert first.public_key == house.keyring.public("node")
    assert check_seal(first)


async def test_positions_are_dense_when_many_append_at_once(house: House) -> None:
    records = await asyncio.gather(*[house.add(this=f"pedido {n}") for n in range(300)])
    assert sorted(r.position for r in records) == list(range(2, 302))
    assert await rows(house) == 302


async def test_a_repeat_returns_the_stored_record_and_writes_nothing(house: House) -> None:
    draft = Draft(id=uuid7(), seq=0, **NINE)
    (once,) = await house.writer.append([draft], tenant="casa")
    (again,) = await house.writer.append([draft], tenant="casa")
    assert again == once
    assert await rows(house) == 3


async def test_other_bytes_at_a_taken_place_are_a_conflict(house: House) -> None:
    draft = Draft(id=uuid7(), seq=0, **NINE)
    await house.writer.append([draft], tenant="casa")
    with pytest.raises(Conflict):
        await house.writer.append(
            [msgspec.structs.replace(draft, this="outra coisa")], tenant="casa"
        )
    assert await rows(house) == 3


async def test_a_call_enters_whole_or_not_at_all(house: House) -> None:
    taken = Draft(id=uuid7(), seq=0, **NINE)
    await house.writer.append([taken], tenant="casa")
    with pytest.raises(Conflict):
        await house.writer.append(
            [Draft(**NINE), msgspec.structs.replace(taken, did="negar")], tenant="casa"
        )
    assert await rows(house) == 3


async def test_each_event_carries_the_hash_of_the_one_before(house: House) -> None:
    first = await house.add()
    second = await house.add(id=first.id, status="executed")
    third = await house.add(id=first.id, status="indexed")
    assert (second.seq, third.seq) == (1, 2)
    assert second.prev_hash == first.curr_hash
    assert third.prev_hash == second.curr_hash


async def test_authors_who_race_for_the_next_event_all_get_one(house: House) -> None:
    first = await house.add()
    events = await asyncio.gather(*[house.add(id=first.id, this=f"nota {n}") for n in range(5)])
    assert sorted(e.seq for e in events) == [1, 2, 3, 4, 5]


async def test_a_status_that_does_not_follow_is_refused(house: House) -> None:
    first = await house.add(status="denied")
    with pytest.raises(MoveNotAllowed, match="running"):
        await house.add(id=first.id, status="running")
    assert await rows(house) == 3


async def test_a_tenant_that_does_not_exist_is_named(house: House) -> None:
    with pytest.raises(UnknownTenant, match="hotel"):
        await house.add(tenant="hotel")


async def test_a_broken_signature_is_refused_and_its_neighbours_enter(house: House) -> None:
    sealed = [
        seal(
            judge(Draft(tenant_id="casa", **NINE)),
            key=house.keyring.key("node"),
            clock=house.clock,
            entropy=house.entropy,
        ).record
        for _ in range(3)
    ]
    forged = msgspec.structs.replace(sealed[1], signature=sealed[0].signature)
    answers = await asyncio.gather(
        *[house.writer.append_signed([one]) for one in (sealed[0], forged, sealed[2])],
        return_exceptions=True,
    )
    assert isinstance(answers[1], SignatureBroken)
    assert [len(answers[0]), len(answers[2])] == [1, 1]
    assert await rows(house) == 4


async def test_a_field_that_changed_after_signing_is_refused(house: House) -> None:
    record = seal(
        judge(Draft(tenant_id="casa", **NINE)),
        key=house.keyring.key("node"),
        clock=house.clock,
        entropy=house.entropy,
    ).record
    with pytest.raises(SignatureBroken):
        await house.writer.append_signed([msgspec.structs.replace(record, this="mais caro")])


async def test_an_unknown_key_is_refused(house: House) -> None:
    with pytest.raises(KeyNotTrusted):
        await house.writer.append([Draft(**NINE)], tenant="casa", key=signing_key(b"x" * 32))


async def test_when_more_than_five_minutes_ahead_is_refused(house: House) -> None:
    ahead = house.clock.now().replace(minute=6)
    with pytest.raises(InvalidInput, match="when"):
        await house.add(at=ahead)


async def test_two_appenders_share_one_log_without_gaps(house: House) -> None:
    other = await house.new_appender()

    async def through_other(number: int) -> int | None:
        one = seal(
            judge(Draft(tenant_id="casa", **{**NINE, "this": f"pedido {number}"})),
            key=house.keyring.key("node"),
            clock=house.clock,
            entropy=house.entropy,
        )
        (record,) = await other.append([one], verified=False)
        return record.position

    first = [through_other(n) for n in range(100)]
    second = [house.add(this=f"pedido {n}") for n in range(100)]
    answers = await asyncio.gather(*first, *second)
    positions = [one if isinstance(one, int) else one.position for one in answers]
    assert sorted(positions) == list(range(2, 202))


async def test_what_is_stored_reads_back_to_the_same_bytes(house: House) -> None:
    written = await house.add(
        details={"preço": "12.30", "n": [1, 2.5, None, {"a": 1e300}], "vazio": {}},
        tags=("entrega", "ç"),
        latitude=38.7169,
        score=1,
        related_to=(uuid7(),),
    )
    stored = await house.writer.latest("casa", written.id)
    assert stored == written
    assert bytes_of(stored) == bytes_of(written)


async def test_nobody_takes_the_place_of_a_key_or_actor_beforehand(house: House) -> None:
    for taken in (key_entity_id("casa", "ab" * 32), actor_entity_id("casa", "rui")):
        with pytest.raises(Refused):
            await house.add(id=taken)
    assert await rows(house) == 2


async def test_an_entity_does_not_change_its_type(house: House) -> None:
    first = await house.add()
    with pytest.raises(Refused):
        await house.add(id=first.id, entity_type="delivery")
    assert await rows(house) == 3


async def test_an_own_key_may_not_rewrite_what_another_said(house: House) -> None:
    mallory = signing_key(b"m" * 32)
    await enrol_key(
        house.writer, "casa", mallory.public.hex(), actor="rui", role="courier", custody="own"
    )
    first = await house.add()
    draft = Draft(
        id=first.id,
        **{**NINE, "if_ok": "pagar ao rui"},
        metadata={"gesture": "annotate", "by": "rui"},
    )
    with pytest.raises(Refused):
        await house.writer.append([draft], tenant="casa", key=mallory)
    assert (await house.writer.latest("casa", first.id)) == first


async def test_plans_are_made_anew_each_time_the_log_has_doubled(house: House) -> None:
    for number in range(20):
        await house.add(this=f"pedido {number}")
    assert 8 <= house.appender._cache.planned_at <= 22
