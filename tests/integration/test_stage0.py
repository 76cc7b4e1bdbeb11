"""Stage-0: what may run, and every way in which it may not."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from blake3 import blake3

from loglineos.base.errors import NotFound, Refused
from loglineos.ledger.founding import enrol_key, revoke_key, rotate_node_key
from loglineos.ledger.record import Draft
from loglineos.ledger.signature import signing_key
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import MANIFEST_ID, manifest_draft, with_item, with_value
from tests.integration.lawful_house import decided, of_type, publish, tamper, violations

RUN_CODE = UUID("00000000-0000-4000-8000-000000000001")
FACTS = {"configured": [], "provider": None, "payload": {}}


def laws_of(house) -> Laws:
    return Laws(house.writer, root=house.keyring.public("root"))


async def refused(asking, law: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await asking
    assert caught.value.fields["law"] == law
    return caught.value


async def recorded(house, law: str, which: UUID) -> None:
    """Exactly one violation was recorded, of this law, about this entity, in words."""
    (violation,) = await violations(house)
    assert (violation.this, violation.who, violation.status) == (law, "stage0", "error")
    assert violation.related_to == (which,)
    assert set(violation.metadata["said"]) == {"pt", "en"}


async def change_manifest(house, change, *, key=None) -> None:
    laws = laws_of(house)
    manifest = await laws.manifest("casa")
    head = await house.writer.latest("casa", MANIFEST_ID)
    draft = manifest_draft(change(manifest), who="root", seq=head.seq + 1)
    await house.writer.append([draft], tenant="casa", key=key or house.keyring.key("root"))


async def test_a_published_function_is_verified_and_may_run(house):
    await write_rows(house.writer, "casa")
    record = await publish(house)
    function = await laws_of(house).function("casa", "double")
    assert (function.id, function.seq, function.hash) == (record.id, 0, record.curr_hash)
    assert await violations(house) == []


async def test_code_changed_behind_our_back_is_refused_recorded_once_and_never_given_out(house):
    await write_rows(house.writer, "casa")
    record = await publish(house)
    evil = record.code.replace("2 * input", "3 * input")
    await tamper(
        house, "UPDATE ledger.universal_registry SET code = %s WHERE id = %s", evil, record.id
    )
    laws = laws_of(house)
    for which in ("double", "duplicar", record.id):
        await refused(laws.function("casa", which), "code.tampered")
    await refused(laws.resolve("casa", "double it"), "code.tampered")
    await recorded(house, "code.tampered", record.id)


async def test_changed_code_with_a_code_hash_to_fit_is_refused_too(house):
    await write_rows(house.writer, "casa")
    record = await publish(house)
    evil = record.code.replace("2 * input", "3 * input")
    await tamper(
        house,
        "UPDATE ledger.universal_registry SET code = %s, code_hash = %s WHERE id = %s",
        evil, blake3(evil.encode()).hexdigest(), record.id,
    )  # fmt: skip
    await refused(laws_of(house).function("casa", record.id), "code.tampered")


async def test_effects_added_behind_our_back_are_refused(house):
    await write_rows(house.writer, "casa")
    record = await publish(house)
    await tamper(
        house, "UPDATE ledger.universal_registry SET effects = '{emit}' WHERE id = %s", record.id
    )
    await refused(laws_of(house).function("casa", record.id), "code.tampered")


async def test_a_code_hash_that_is_not_of_the_code_is_refused_though_it_is_signed(house):
    await write_rows(house.writer, "casa")
    draft = Draft(
        entity_type="function", who="ana", did="push", this="f", name="f", status="active",
        code="def main(input):\n    return 1\n", code_hash="00" * 32,
    )  # fmt: skip
    (record,) = await house.writer.append([draft], tenant="casa")
    await refused(laws_of(house).function("casa", "f"), "code.other_bytes")
    await recorded(house, "code.other_bytes", record.id)


async def test_code_signed_by_a_key_that_the_manifest_does_not_name_is_refused(house):
    await write_rows(house.writer, "casa")
    key = signing_key(b"\x07" * 32)
    await enrol_key(
        house.writer, "casa", key.public.hex(), actor="rui", role="manager", custody="own"
    )
    code = "def main(input):\n    return 1\n"
    draft = Draft(
        entity_type="function", who="rui", did="push", this="f", name="f", status="active",
        code=code, code_hash=blake3(code.encode()).hexdigest(),
    )  # fmt: skip
    (record,) = await house.writer.append([draft], tenant="casa", key=key)
    laws = laws_of(house)
    await refused(laws.function("casa", "f"), "code.untrusted_author")
    await recorded(house, "code.untrusted_author", record.id)

    await change_manifest(
        house, lambda m: with_item(m, "trusted_keys", key.public.hex(), is_in=True)
    )
    assert (await laws.function("casa", "f")).source == code


async def test_a_courier_whose_key_is_known_cannot_even_write_code(house):
    await write_rows(house.writer, "casa")
    key = signing_key(b"\x08" * 32)
    await enrol_key(
        house.writer, "casa", key.public.hex(), actor="rui", role="courier", custody="own"
    )
    draft = Draft(entity_type="function", who="rui", did="push", this="f", name="f", code="x")
    with pytest.raises(Refused):
        await house.writer.append([draft], tenant="casa", key=key)
    assert [r.name for r in await of_type(house, "function") if r.name == "f"] == []


async def test_what_a_key_signed_before_it_was_revoked_still_runs_and_nothing_after(house):
    await write_rows(house.writer, "casa")
    key = signing_key(b"\x09" * 32)
    await enrol_key(
        house.writer, "casa", key.public.hex(), actor="rui", role="manager", custody="own"
    )
    await change_manifest(
        house, lambda m: with_item(m, "trusted_keys", key.public.hex(), is_in=True)
    )
    code = "def main(input):\n    return 1\n"
    draft = Draft(
        entity_type="function", who="rui", did="push", this="f", name="f", status="active",
        code=code, code_hash=blake3(code.encode()).hexdigest(),
    )  # fmt: skip
    (record,) = await house.writer.append([draft], tenant="casa", key=key)
    await revoke_key(house.writer, "casa", key.public.hex(), reason="lost")
    laws = laws_of(house)
    assert (await laws.function("casa", "f")).id == record.id

    # The ledger would never place it there; a superuser can.
    await tamper(
        house,
        "UPDATE ledger.universal_registry SET position = position + 1000 WHERE id = %s",
        record.id,
    )
    await laws.refresh("casa")
    await refused(laws_of(house).function("casa", "f"), "code.revoked_key")
    await recorded(house, "code.revoked_key", record.id)


async def test_after_the_nodes_key_is_rotated_old_and_new_code_run(house):
    await write_rows(house.writer, "casa")
    await publish(house)
    await rotate_node_key(house.writer, ["casa"])
    laws = laws_of(house)
    assert (await laws.function("casa", "double")).seq == 0
    renewed = "def main(input):\n    return 3\n"
    await publish(house, renewed, "triple.py")
    await refused(laws.function("casa", "triple"), "code.untrusted_author")
    report = await write_rows(house.writer, "casa")
    assert report.written == ("manifest.json",)
    assert (await laws.function("casa", "triple")).source == renewed
    assert (await laws.function("casa", "double")).seq == 0


async def test_a_house_without_a_manifest_runs_nothing(house):
    record = await publish(house)
    laws = laws_of(house)
    await refused(laws.manifest("casa"), "manifest.missing")
    await refused(laws.function("casa", record.id), "manifest.missing")
    await recorded(house, "manifest.missing", MANIFEST_ID)


async def test_a_manifest_that_an_owner_signed_in_place_of_the_root_is_refused(house):
    await write_rows(house.writer, "casa")
    key = signing_key(b"\x0a" * 32)
    await enrol_key(
        house.writer, "casa", key.public.hex(), actor="root", role="owner", custody="held"
    )
    await change_manifest(house, lambda m: with_value(m, "effects_granted", ["*"]), key=key)
    laws = laws_of(house)
    await refused(laws.manifest("casa"), "manifest.not_by_root")
    await refused(laws.function("casa", RUN_CODE), "manifest.not_by_root")
    await recorded(house, "manifest.not_by_root", MANIFEST_ID)


async def test_a_manifest_changed_behind_our_back_is_refused(house):
    await write_rows(house.writer, "casa")
    await tamper(
        house,
        'UPDATE ledger.universal_registry SET metadata = metadata || \'{"effects_granted": ["*"]}\''
        " WHERE tenant_id = 'casa' AND id = %s",
        MANIFEST_ID,
    )
    await refused(laws_of(house).manifest("casa"), "manifest.tampered")
    await recorded(house, "manifest.tampered", MANIFEST_ID)


async def test_a_manifest_that_cannot_be_read_is_refused_though_the_root_signed_it(house):
    await write_rows(house.writer, "casa")
    head = await house.writer.latest("casa", MANIFEST_ID)
    draft = Draft(
        id=MANIFEST_ID, seq=head.seq + 1, entity_type="manifest", who="root", did="define",
        this="manifest", status="active", metadata={"effects_granted": ["teleport"]},
    )  # fmt: skip
    await house.writer.append([draft], tenant="casa", key=house.keyring.key("root"))
    await refused(laws_of(house).manifest("casa"), "manifest.unreadable")


async def test_a_house_of_another_root_than_this_nodes_is_refused(house):
    await write_rows(house.writer, "casa")
    foreign = Laws(house.writer, root=signing_key(b"\x0b" * 32).public.hex())
    await refused(foreign.manifest("casa"), "house.foreign_root")
    assert (await Laws(house.writer, root=None).manifest("casa")).kernels


async def test_a_function_copied_from_another_house_is_not_this_houses(house):
    await write_rows(house.writer, "casa")
    await write_rows(house.writer, "pensao")
    record = await publish(house)
    laws = laws_of(house)
    with pytest.raises(NotFound):
        await laws.function("pensao", record.id)
    connection = await house.connect("postgres")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "CREATE TEMP TABLE taken AS SELECT * FROM ledger.universal_registry WHERE id = %s",
        (record.id,),
    )
    await connection.execute("UPDATE taken SET tenant_id = 'pensao', position = 900")
    await connection.execute("INSERT INTO ledger.universal_registry SELECT * FROM taken")
    await connection.execute(
        'INSERT INTO ledger.entity SELECT (jsonb_populate_record(e, \'{"tenant_id": "pensao"}\')).*'
        " FROM ledger.entity e WHERE id = %s",
        (record.id,),
    )
    await connection.commit()
    await refused(laws_of(house).function("pensao", record.id), "code.tampered")
    assert (await laws.function("casa", record.id)).tenant == "casa"


async def test_withdrawn_code_does_not_run(house):
    await write_rows(house.writer, "casa")
    record = await publish(house)
    draft = Draft(
        **{
            name: getattr(record, name)
            for name in ("id", "entity_type", "name", "code", "code_hash", "language", "runtime")
        },
        seq=1, who="ana", did="withdraw", this="double", status="archived",
    )  # fmt: skip
    await house.writer.append([draft], tenant="casa", key=house.keyring.key("node"))
    await refused(laws_of(house).function("casa", record.id), "code.withdrawn")
    with pytest.raises(NotFound):
        await laws_of(house).function("casa", "double")


async def test_each_boot_of_a_kernel_leaves_one_event_for_each_start_of_a_node(house):
    async with decided(house) as laws:
        for _ in range(3):
            await laws.decide("casa", "provider_exec", FACTS)
        (event,) = [e for e in await of_type(house, "boot_event") if e.did == "booted"]
        assert (event.this, event.input["seq"]) == ("provider_exec", 0)
        await publish(house)  # the law changed, the kernel did not
        await laws.decide("casa", "provider_exec", FACTS)
        again = Laws(house.writer, laws._runners, root=None)
        await again.decide("casa", "provider_exec", FACTS)
    assert len([e for e in await of_type(house, "boot_event") if e.did == "booted"]) == 2
    assert await violations(house) == []


async def test_an_upgraded_kernel_boots_anew_and_decides_anew(house):
    async with decided(house) as laws:
        await laws.decide("casa", "provider_exec", FACTS)
        text = "def main(input):\n    return {'do': 'none', 'output': 7}\n"
        await publish(house, text, "provider_exec.py")
        assert (await laws.decide("casa", "provider_exec", FACTS))["output"] == 7
    booted = [e.input["seq"] for e in await of_type(house, "boot_event") if e.did == "booted"]
    assert booted == [0, 1]


async def test_a_kernel_whose_id_is_not_allowed_does_not_boot(house):
    async with decided(house) as laws:
        await change_manifest(
            house,
            lambda m: msgspec.structs.replace(m, allowed_boot_ids=m.allowed_boot_ids[1:]),
        )
        await refused(laws.decide("casa", "run_code", {}), "boot.not_allowed")
        await recorded(house, "boot.not_allowed", RUN_CODE)
        assert [e for e in await of_type(house, "boot_event") if e.did == "booted"] == []
        assert (await laws.decide("casa", "provider_exec", FACTS))["do"] == "none"


async def test_a_kernel_that_the_manifest_does_not_name_does_not_boot(house):
    async with decided(house) as laws:
        await refused(laws.decide("casa", "mint_money", {}), "boot.unknown")
        await recorded(house, "boot.unknown", MANIFEST_ID)


async def test_a_kernel_that_is_not_in_the_registry_does_not_boot(house):
    nobody = "00000000-0000-4000-8000-0000000000ff"
    async with decided(house) as laws:
        await change_manifest(
            house,
            lambda m: msgspec.structs.replace(
                m, kernels={**m.kernels, "stage0_loader": nobody},
                allowed_boot_ids=(*m.allowed_boot_ids, nobody),
            ),
        )  # fmt: skip
        await refused(laws.decide("casa", "stage0_loader", {}), "boot.missing")
        await recorded(house, "boot.missing", UUID(nobody))


async def test_a_tampered_kernel_does_not_decide(house):
    async with decided(house) as laws:
        await tamper(
            house,
            "UPDATE ledger.universal_registry SET code = 'def main(input): return {}'"
            " WHERE tenant_id = 'casa' AND id = %s",
            RUN_CODE,
        )
        await refused(laws.decide("casa", "run_code", {}), "code.tampered")
        await recorded(house, "code.tampered", RUN_CODE)
