"""Keys on a real ledger: founding, enrolment, custody, rotation and revocation by position."""

from __future__ import annotations

from typing import Any

import pytest

from loglineos.base.errors import Forbidden, InvalidInput, KeyNotTrusted, NotFound, UnknownName
from loglineos.ledger.founding import (
    enrol_actor,
    enrol_key,
    found_tenant,
    give_held_key,
    revoke_key,
    rotate_node_key,
)
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import SigningKey, signing_key
from loglineos.ledger.trust import key_entity_id
from loglineos.ledger.writer import Writer
from tests.integration.conftest import NINE, House
from tests.unit.test_signature import UNSAFE

OWN = signing_key(b"o" * 32)
BOSS = signing_key(b"b" * 32)


def enrol(house: House, key: SigningKey, actor: str, *, role: str = "operator", **more: Any):
    more.setdefault("custody", "own")
    return enrol_key(house.writer, "casa", key.public.hex(), actor=actor, role=role, **more)


def signed(house: House, key: SigningKey, **fields: Any) -> Record:
    draft = judge(Draft(**{"tenant_id": "casa", **NINE, **fields}))
    return seal(draft, key=key, clock=house.clock, entropy=house.entropy).record


def key_record(house: House, signer: SigningKey, key: str, who: str, **fields: Any) -> Record:
    told: dict[str, Any] = {
        "id": key_entity_id("casa", key), "entity_type": "key", "who": who, "did": "enrol",
        "this": key, "name": who, "status": "active",
        "metadata": {"role": "owner", "custody": "own"}, **fields,
    }  # fmt: skip
    draft = Draft(tenant_id="casa", seq=0, **told)
    return seal(draft, key=signer, clock=house.clock, entropy=house.entropy).record


async def size(house: House) -> int:
    return await house.writer.log_size("casa") or 0


async def test_founding_twice_changes_nothing(house: House) -> None:
    assert await found_tenant(house.writer, "casa") == []
    assert await size(house) == 2


@pytest.mark.parametrize(
    "name", ["", "Casa", "1casa", "casa_2", "a" * 64, "@root", "casa/x", "çasa"]
)
async def test_a_name_that_cannot_be_a_tenants_is_refused(house: House, name: str) -> None:
    with pytest.raises(InvalidInput):
        await found_tenant(house.writer, name)


async def test_who_signs_with_an_own_key_is_not_spoken_for(house: House) -> None:
    await enrol(house, OWN, "joao")
    with pytest.raises(KeyNotTrusted, match="their name"):
        await house.add()
    (record,) = await house.writer.append_signed([signed(house, OWN)])
    assert record.position == 3
    with pytest.raises(KeyNotTrusted, match="someone else"):
        await house.writer.append_signed([signed(house, OWN, who="ana")])
    assert await size(house) == 4


async def test_a_key_of_one_house_says_nothing_in_another(house: House) -> None:
    await enrol(house, OWN, "joao")
    with pytest.raises(KeyNotTrusted):
        await house.writer.append_signed([signed(house, OWN, tenant_id="pensao")])


async def test_records_of_two_houses_in_one_call_are_refused(house: House) -> None:
    node = house.keyring.key("node")
    with pytest.raises(InvalidInput, match="tenant_id"):
        await house.writer.append_signed(
            [signed(house, node), signed(house, node, tenant_id="pensao")]
        )
    assert await house.writer.append_signed([]) == []


async def test_a_held_key_is_rotated_and_its_old_signatures_stay_good(house: House) -> None:
    await give_held_key(house.writer, "casa", "joao", role="operator")
    first = await house.add()
    old = house.keyring.held("casa", "joao")
    assert old is not None
    await give_held_key(house.writer, "casa", "joao", role="operator")
    second = await house.add()
    assert first.public_key == old.public.hex() != second.public_key
    with pytest.raises(KeyNotTrusted, match="revoked"):
        await house.writer.append_signed([signed(house, old)])


async def test_a_held_key_that_was_never_enrolled_is_replaced(house: House) -> None:
    house.keyring.make_held("casa", "joao")  # and the node died before it could enrol it
    await give_held_key(house.writer, "casa", "joao", role="operator")
    assert (await house.add()).position == 3


async def test_the_nodes_key_is_rotated_also_when_it_stopped_half_way(house: House) -> None:
    old = house.keyring.key("node")
    await rotate_node_key(house.writer, ["casa"])  # and the node died before it came to `pensao`
    new = await rotate_node_key(house.writer, ["casa", "pensao"])
    for tenant in ("casa", "pensao"):
        assert (await house.add(tenant=tenant)).public_key == new
        with pytest.raises(KeyNotTrusted):
            await house.writer.append_signed([signed(house, old, tenant_id=tenant)])


async def test_a_revoked_key_is_refused_from_that_position_on_within_a_batch_too(
    house: House,
) -> None:
    await enrol(house, BOSS, "helena", role="owner")
    before, after = signed(house, BOSS, who="helena"), signed(house, BOSS, who="helena")
    # One submission: a line by the key, its end, and a line after its end.
    enrolment = await house.writer.latest("casa", key_entity_id("casa", BOSS.public.hex()))
    gone = Draft(
        tenant_id="casa", id=enrolment.id, seq=1, entity_type="key", who="helena", did="revoke",
        this=BOSS.public.hex(), name="helena", status="revoked", metadata=enrolment.metadata,
    )  # fmt: skip
    ended = seal(
        gone, key=BOSS, clock=house.clock, entropy=house.entropy, prev_hash=enrolment.curr_hash
    ).record
    with pytest.raises(KeyNotTrusted, match="revoked"):
        await house.writer.append_signed([before, ended, after])
    assert await size(house) == 3
    assert len(await house.writer.append_signed([before, ended])) == 2
    with pytest.raises(KeyNotTrusted, match="revoked"):
        await house.writer.append_signed([after])
    assert await house.writer.append_signed([before])  # a repeat of what was good is answered
    assert await size(house) == 5


async def test_a_repeated_revocation_changes_nothing(house: House) -> None:
    await enrol(house, OWN, "joao")
    first = await revoke_key(house.writer, "casa", OWN.public.hex(), reason="perdida")
    assert await revoke_key(house.writer, "casa", OWN.public.hex(), reason="outra vez") == first
    with pytest.raises(NotFound):
        await revoke_key(house.writer, "casa", BOSS.public.hex(), reason="x")
    assert (await house.add()).position == 4  # the node may speak for joao again


async def test_a_key_is_enrolled_once(house: House) -> None:
    await enrol(house, OWN, "joao")
    again = key_record(house, house.keyring.key("root"), OWN.public.hex(), "root")
    with pytest.raises(Exception, match=r"taken|enrolled"):
        await house.writer.append_signed([again])
    await revoke_key(house.writer, "casa", OWN.public.hex(), reason="x")
    with pytest.raises(Exception, match=r"taken|enrolled|does not follow"):
        await enrol(house, OWN, "ana")


@pytest.mark.parametrize("name", UNSAFE)
async def test_an_unsafe_key_is_refused_at_both_doors(house: House, name: str) -> None:
    with pytest.raises(KeyNotTrusted):
        await enrol_key(
            house.writer, "casa", UNSAFE[name], actor="joao", role="operator", custody="own"
        )
    record = key_record(house, house.keyring.key("root"), UNSAFE[name], "root", name="joao")
    with pytest.raises(KeyNotTrusted):
        await house.writer.append_signed([record])
    assert await size(house) == 2


async def test_only_an_owner_enrols_and_in_their_own_name(house: House) -> None:
    await enrol(house, OWN, "joao")
    other = signing_key(b"x" * 32).public.hex()
    with pytest.raises(Forbidden):
        await house.writer.append_signed([key_record(house, OWN, other, "joao")])
    with pytest.raises(Forbidden):
        await house.writer.append_signed(
            [key_record(house, house.keyring.key("node"), other, "node")]
        )
    await enrol(house, BOSS, "helena", role="owner")
    record = await enrol_key(
        house.writer, "casa", other, actor="rui", role="courier", custody="own", key=BOSS,
        by="helena",
    )  # fmt: skip
    assert (record.who, record.public_key) == ("helena", BOSS.public.hex())


async def test_whoever_holds_a_key_may_give_it_up_an_auditor_too(house: House) -> None:
    await enrol(house, OWN, "rosa", role="auditor")
    with pytest.raises(Forbidden):
        await house.writer.append_signed([signed(house, OWN, who="rosa")])
    done = await revoke_key(
        house.writer, "casa", OWN.public.hex(), reason="saí", key=OWN, by="rosa"
    )
    assert done.status == "revoked"


async def test_nobody_but_the_root_ends_the_root(house: House) -> None:
    await enrol(house, BOSS, "helena", role="owner")
    root = house.keyring.public("root")
    record = key_record(house, BOSS, root, "helena", status="revoked", did="revoke")
    with pytest.raises(Forbidden):
        await house.writer.append_signed([record])
    assert (await enrol(house, OWN, "joao")).position == 3


async def test_the_root_signs_only_what_defines_the_house(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.writer.append_signed([signed(house, house.keyring.key("root"), who="root")])


@pytest.mark.parametrize("entity_type", ["tenant", "actor", "manifest", "forgetting"])
async def test_what_defines_the_house_is_not_a_couriers_to_say(
    house: House, entity_type: str
) -> None:
    await enrol(house, OWN, "rui", role="courier")
    record = signed(house, OWN, who="rui", entity_type=entity_type, valid=None, status="active")
    with pytest.raises(Forbidden):
        await house.writer.append_signed([record])
    assert await size(house) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": None}, {"metadata": {"role": "king", "custody": "own"}}, {"name": None},
        {"metadata": {"role": "owner", "custody": "root"}}, {"status": "archived"},
        {"id": key_entity_id("casa", "another")},
    ],
)  # fmt: skip
async def test_a_key_record_that_says_not_enough_is_refused(house: House, fields: Any) -> None:
    root = house.keyring.key("root")
    record = key_record(house, root, OWN.public.hex(), "root", **{"name": "joao", **fields})
    with pytest.raises(InvalidInput):
        await house.writer.append_signed([record])
    assert await size(house) == 2


async def test_actors_are_enrolled_once_and_change_by_a_new_event(house: House) -> None:
    first = await enrol_actor(house.writer, "casa", "Ana", role="operator")
    assert await enrol_actor(house.writer, "casa", "Ana", role="operator") == first
    changed = await enrol_actor(house.writer, "casa", "Ana", role="manager")
    assert (changed.id, changed.seq) == (first.id, 1)
    with pytest.raises(UnknownName):
        await enrol_actor(house.writer, "casa", "Ana", role="king")


async def test_an_actor_whose_name_no_file_can_bear_still_speaks(house: House) -> None:
    for who in ("á" * 256, "../../root", ".", "CON", "a/b"):
        assert (await house.add(who=who)).who == who
        await give_held_key(house.writer, "casa", who, role="operator")
        assert (await house.add(who=who)).public_key != house.keyring.public("node")
    with pytest.raises(InvalidInput, match="who"):
        await house.add(who="\ud800")


async def test_a_running_node_takes_up_a_key_that_another_process_rotated(house: House) -> None:
    await house.add()
    elsewhere = Writer(
        house.appender,
        pool=await house.pool("logline_reader"),
        keyring=KeyRing(house.keyring.folder, environment={}),
        clock=house.clock,
        entropy=house.entropy,
    )
    fresh = await rotate_node_key(elsewhere, ["casa", "pensao"])
    record = await house.add()
    assert record.public_key == fresh
