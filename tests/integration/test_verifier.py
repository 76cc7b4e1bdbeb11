"""The verifier: a clean ledger is clean, and every kind of lie is named with its place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from loglineos.base.errors import NotFound, UnknownTenant
from loglineos.ledger.founding import enrol_key, revoke_key
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import leaf_of_row, seal
from loglineos.ledger.signature import signing_key
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.tiles import TileTree
from loglineos.ledger.verification.lies import Lie
from loglineos.ledger.verification.verifier import (
    Progress,
    Verification,
    VerifyReport,
    verify_ledger,
    verify_record,
    verify_tenant,
)
from tests.integration.conftest import NINE, House
from tests.integration.log_house import ORIGIN, LogHouse

COUNT = 600


@pytest.fixture
async def logs(house: House, tmp_path: Path) -> LogHouse:
    """A published house with two full tiles, chains of two events, and a tail."""
    logs = LogHouse(house, tmp_path)
    publisher = await logs.publisher()
    first = await append(house, 300)
    await publisher.publish()
    await append(house, COUNT - 300 - 2 - 20)
    await house.writer.append(
        [
            Draft(id=one.id, seq=1, **{**NINE, "status": "confirmed", "score": 0.5})
            for one in first[100:120]
        ],
        tenant="casa",
    )
    await publisher.publish()
    return logs


async def append(house: House, count: int) -> list[Record]:
    details = {
        "valor": "12.30",
        "quarto": 204,
        "itens": [1, 2.5, "é"],
        "n": {"b": None, "aa": True},
    }
    drafts = [Draft(**{**NINE, "details": details, "tags": ("entrega",)}) for _ in range(count)]
    return await house.writer.append(drafts, tenant="casa")


def verification(logs: LogHouse, **more: Any) -> Verification:
    return Verification(
        dsn=logs.house.database.dsn("logline_reader"),
        origin=ORIGIN,
        publics=(logs.key.public,),
        guard=logs.guard,
        **more,
    )


async def verify(logs: LogHouse, **more: Any) -> VerifyReport:
    return await verify_ledger(verification(logs, **more))


async def first_lie(logs: LogHouse) -> Lie:
    lie = (await verify(logs)).lie
    assert lie is not None
    return lie


async def plant(logs: LogHouse, statement: str, *parameters: Any) -> None:
    """Write as a superuser with triggers and checks switched off: what no node would do."""
    async with await psycopg.AsyncConnection.connect(
        logs.house.database.dsn(), autocommit=True
    ) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "ALTER TABLE ledger.universal_registry DROP CONSTRAINT IF EXISTS ck_chain"
        )
        done = await connection.execute(statement, parameters)  # type: ignore[arg-type]
        assert done.rowcount != 0, "the lie was not planted"


async def event(logs: LogHouse, position: int, tenant: str = "casa") -> tuple[str, int]:
    connection = await logs.house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT id::text, seq FROM ledger.universal_registry"
        " WHERE tenant_id = %s AND position = %s",
        [tenant, position],
    )
    row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


async def test_a_clean_ledger_is_clean(logs: LogHouse) -> None:
    report = await verify(logs)
    assert report.lie is None
    assert report.is_clean
    found = {log.tenant: (log.records, log.checkpoints) for log in report.logs}
    # Two stored checkpoints of casa, one of each other log, and what the guard keeps.
    assert found == {"casa": (COUNT, 3), "pensao": (2, 2), "@root": (3, 3)}
    assert (report.records, report.has_keys) == (COUNT + 2, True)


async def test_an_empty_node_and_an_unpublished_house_are_clean(house: House) -> None:
    report = await verify_ledger(
        Verification(dsn=house.database.dsn("logline_reader"), origin=ORIGIN)
    )
    assert report.is_clean
    assert [log.tenant for log in report.logs] == ["casa", "pensao", "@root"]
    assert not report.has_keys


async def test_what_was_signed_under_the_former_origin_still_holds(logs: LogHouse) -> None:
    renamed = f"{ORIGIN}/2"
    publisher = await logs.publisher(origin=renamed)
    await append(logs.house, 3)
    await publisher.publish()
    now = msgspec.structs.replace(verification(logs), origin=renamed)
    report = await verify_ledger(now)
    assert report.lie is None
    assert [log.checkpoints for log in report.logs] == [4, 1, 4]
    stranger = msgspec.structs.replace(now, guard=None)
    lie = (await verify_ledger(stranger)).lie
    assert lie is not None, "only the guard's word makes an origin one that the node had"
    assert (lie.tenant, lie.what) == ("casa", "checkpoint")


async def test_workers_find_what_one_process_finds(house: House, tmp_path: Path) -> None:
    logs = LogHouse(house, tmp_path)
    for _ in range(3):
        await append(house, 3_000)
    await (await logs.publisher()).publish()
    told: list[Progress] = []
    report = await verify_ledger(verification(logs), on_progress=told.append)
    await asyncio.sleep(0)
    assert report.lie is None
    assert [one.records for one in told if one.tenant == "casa"] == [8_192, 9_002]
    await plant(
        logs, "UPDATE ledger.universal_registry SET who = 'outro' WHERE position IN (8900, 8300)"
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == ("record", 8_300)
    assert (await verify(logs, workers=1)).lie == lie, "one process and many name the same lie"


CHANGES = {
    "who = 'outra'": "record",
    "this = NULL, status = 'ghost'": "record",
    "if_ok = if_ok || ' '": "record",
    "at = at + interval '1 microsecond'": "record",
    "at = 'infinity'": "record",
    "tags = '{}'": "record",
    "visibility = 'public'": "record",
    "is_deleted = true": "record",
    "cost_micros = 1": "record",
    "score = 0.25": "record",
    "details = details || '{\"quarto\": 205}'": "record",
    "details = details - 'n'": "record",
    "details = jsonb_set(details, '{itens,1}', '2.50000000000000000001')": "clean",
    'metadata = \'{"by": "ana"}\'': "record",
    "curr_hash = repeat('0', 64)": "record",
    "signature = repeat('0', 128)": "signature",
    "signature = repeat('z', 128)": "signature",
    "public_key = repeat('1', 64)": "record",
    "seq = 7": "chain",
    "prev_hash = repeat('0', 64)": "chain",
    "id = gen_random_uuid()": "record",
    "recorded_at = recorded_at + interval '1 s'": "leaf",
    "tenant_id = 'pensao'": "position",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_column_is_named_with_its_record(logs: LogHouse, change: str) -> None:
    where = await event(logs, 210)
    await plant(
        logs,
        f"UPDATE ledger.universal_registry SET {change}"
        " WHERE tenant_id = 'casa' AND position = 210",
    )
    if CHANGES[change] == "clean":
        # The database holds more digits than any double: what was hashed is the same number.
        assert (await verify(logs)).lie is None
        return
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what, lie.position) == ("casa", CHANGES[change], 210)
    if lie.id is not None and not change.startswith(("id", "seq")):
        assert (lie.id, lie.seq) == where


async def test_a_chain_that_does_not_continue_is_named(logs: LogHouse) -> None:
    """The later event is intact; what it continues was replaced, well signed by the node."""
    position = COUNT - 20
    identity, seq = await event(logs, position)
    assert seq == 1
    await plant(
        logs,
        "UPDATE ledger.universal_registry SET prev_hash = repeat('a', 64)"
        " WHERE tenant_id = 'casa' AND position = %s",
        position,
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.position, lie.id, lie.seq) == ("chain", position, identity, 1)


async def test_swapped_positions_are_named(logs: LogHouse) -> None:
    await swap(logs, 30, 31)
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == ("leaf", 30)


async def swap(logs: LogHouse, one: int, other: int) -> None:
    async with await psycopg.AsyncConnection.connect(
        logs.house.database.dsn(), autocommit=True
    ) as connection:
        await connection.execute("SET session_replication_role = replica")
        table = "ledger.universal_registry"
        for old, new in ((one, 10**9), (other, one), (10**9, other)):
            await connection.execute(
                f"UPDATE {table} SET position = %s WHERE tenant_id = 'casa' AND position = %s",  # type: ignore[arg-type]
                [new, old],
            )


async def test_records_swapped_in_the_tail_are_caught_by_the_head(logs: LogHouse) -> None:
    """No full tile holds them yet, and they are of different entities: the signed root tells."""
    await swap(logs, COUNT - 30, COUNT - 29)
    lie = await first_lie(logs)
    assert (lie.what, lie.where) == ("checkpoint", f"{COUNT} (302..{COUNT})")


@pytest.mark.parametrize("position", [0, 1, 255, 256, 300, COUNT - 1])
async def test_a_deleted_record_is_missed_at_its_position(logs: LogHouse, position: int) -> None:
    await plant(
        logs,
        "DELETE FROM ledger.universal_registry WHERE tenant_id = 'casa' AND position = %s",
        position,
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == ("position", position)


TILES = {
    "hashes = set_byte(hashes, 100 * 32 + 5, get_byte(hashes, 100 * 32 + 5) # 1)": ("leaf", 356),
    "root = sha256('forged')": ("tile", 256),
}


@pytest.mark.parametrize("change", TILES)
async def test_a_forged_tile_is_named(logs: LogHouse, change: str) -> None:
    await plant(
        logs,
        f"UPDATE ledger.tile SET {change} WHERE tenant_id = 'casa' AND level = 0 AND index = 1",
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == TILES[change]
    assert "tile/0/001" in lie.where


async def test_a_missing_tile_and_one_too_many_are_named(logs: LogHouse) -> None:
    await plant(
        logs,
        "INSERT INTO ledger.tile SELECT tenant_id, 0, 2, root, hashes FROM ledger.tile"
        " WHERE tenant_id = 'casa' AND index = 1",
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.where) == ("tile", "tile/0/2")
    await plant(logs, "DELETE FROM ledger.tile WHERE tenant_id = 'casa' AND index = 1")
    lie = await first_lie(logs)
    assert (lie.what, lie.where, lie.position) == ("tile", "tile/0/001", 256)


async def test_a_changed_root_of_the_head_is_named(logs: LogHouse) -> None:
    await plant(logs, "UPDATE ledger.log_head SET root = sha256('forged') WHERE tenant_id = 'casa'")
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what) == ("casa", "head")


async def test_a_head_set_back_is_named(logs: LogHouse) -> None:
    """An older head, as true as it once was: rows and checkpoints stand beyond it."""
    await set_back(logs, 540)
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == ("position", COUNT - 1)
    await plant(
        logs, "DELETE FROM ledger.universal_registry WHERE position >= 540 AND tenant_id = 'casa'"
    )
    lie = await first_lie(logs)
    assert (lie.what, lie.where) == ("checkpoint", str(COUNT))
    await plant(logs, "DELETE FROM ledger.checkpoint WHERE tenant_id = 'casa' AND size > 540")
    lie = await first_lie(logs)
    assert (lie.what, lie.where) == ("checkpoint", str(COUNT)), "the guard remembers"


async def set_back(logs: LogHouse, size: int) -> None:
    connection = await logs.house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT id, seq, curr_hash, public_key, signature, recorded_at"
        " FROM ledger.universal_registry WHERE tenant_id = 'casa' AND position < %s"
        " ORDER BY position",
        [size],
    )
    tree = TileTree()
    tree.extend([leaf_hash(leaf_of_row("casa", row)) for row in await cursor.fetchall()])
    await plant(
        logs,
        "UPDATE ledger.log_head SET size = %s, root = %s WHERE tenant_id = 'casa'",
        size,
        tree.root(),
    )


async def test_rows_without_a_log_are_named(logs: LogHouse) -> None:
    await plant(logs, "DELETE FROM ledger.log_head WHERE tenant_id = 'pensao'")
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what) == ("pensao", "log")


CHECKPOINTS = {
    "root = sha256('forged')": "columns",
    "note = replace(note, '302', '303')": "signature",
    "note = 'nonsense'": "form",
}


@pytest.mark.parametrize("change", CHECKPOINTS)
async def test_a_forged_checkpoint_is_named(logs: LogHouse, change: str) -> None:
    await plant(
        logs,
        f"UPDATE ledger.checkpoint SET {change} WHERE tenant_id = 'casa' AND size = 302",
    )
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what, lie.where) == ("casa", "checkpoint", "302 (0..302)")


async def test_a_ledger_rewritten_whole_by_the_node_is_caught_by_what_was_signed(
    logs: LogHouse,
) -> None:
    """A record replaced by another with the node's true signature, tiles and head made anew."""
    await rewrite(logs, 400)
    lie = await first_lie(logs)
    assert (lie.what, lie.where) == ("checkpoint", f"{COUNT} (302..{COUNT})")
    assert (await verify_ledger(verification(logs), tenants=["pensao"])).is_clean


async def rewrite(logs: LogHouse, position: int) -> None:
    house = logs.house
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT id, seq, curr_hash, public_key, signature, recorded_at"
        " FROM ledger.universal_registry WHERE tenant_id = 'casa' ORDER BY position"
    )
    rows = [list(row) for row in await cursor.fetchall()]
    draft = Draft(tenant_id="casa", id=rows[position][0], **{**NINE, "who": "outro"})
    draft = msgspec.structs.replace(draft, valid=True)
    made = seal(
        draft, key=house.keyring.key("node"), clock=house.clock, entropy=house.entropy
    ).record
    rows[position][2:5] = [made.curr_hash, made.public_key, made.signature]
    tree = TileTree()
    full = tree.extend([leaf_hash(leaf_of_row("casa", row)) for row in rows])
    await plant(
        logs,
        "UPDATE ledger.universal_registry SET who = 'outro', details = NULL, tags = NULL,"
        " curr_hash = %s, signature = %s, valid = true, metadata = NULL, type = NULL"
        " WHERE tenant_id = 'casa' AND position = %s",
        made.curr_hash, made.signature, position,
    )  # fmt: skip
    for tile in full:
        await plant(
            logs,
            "UPDATE ledger.tile SET hashes = %s, root = %s"
            " WHERE tenant_id = 'casa' AND level = %s AND index = %s",
            tile.hashes, tile.root, tile.level, tile.index,
        )  # fmt: skip
    await plant(logs, "UPDATE ledger.log_head SET root = %s WHERE tenant_id = 'casa'", tree.root())


async def test_a_key_used_after_its_revocation_is_named(logs: LogHouse) -> None:
    """The derived table is made to forget the revocation; the log's own records remember it."""
    house, key = logs.house, signing_key(b"j" * 32)
    public = key.public.hex()
    await enrol_key(house.writer, "casa", public, actor="joao", role="courier", custody="held")
    good = await signed_by(house, key, "joao")
    assert (await verify(logs)).is_clean
    await revoke_key(house.writer, "casa", public, reason="perdida")
    assert (await verify(logs)).is_clean, "what it signed before stays good"
    await plant(logs, "UPDATE ledger.actor_key SET revoked = NULL WHERE public_key = %s", public)
    house.appender._cache.forget()
    bad = await signed_by(house, key, "joao")
    lie = await first_lie(logs)
    assert (lie.what, lie.position, lie.id) == ("key", bad.position, str(bad.id))
    assert good.position is not None
    assert (await verify_record(verification(logs), "casa", id=good.id, seq=0)).records == 1


async def test_a_key_that_was_never_enrolled_in_the_log_is_named(logs: LogHouse) -> None:
    house, key = logs.house, signing_key(b"x" * 32)
    await plant(
        logs,
        "INSERT INTO ledger.actor_key VALUES ('casa', %s, 'node', 'service', 'node', 0)",
        key.public.hex(),
    )
    house.appender._cache.forget()
    bad = await signed_by(house, key, "joao")
    lie = await first_lie(logs)
    assert (lie.what, lie.position) == ("key", bad.position)


async def signed_by(house: House, key: Any, who: str) -> Record:
    draft = Draft(tenant_id="casa", **{**NINE, "who": who, "valid": True})
    sealed = seal(draft, key=key, clock=house.clock, entropy=house.entropy)
    (record,) = await house.appender.append([sealed], verified=True)
    return record


async def test_a_forged_entry_of_the_root_log_is_named(logs: LogHouse) -> None:
    await plant(logs, "UPDATE ledger.root_entry SET entry = entry || 'x'::bytea WHERE position = 1")
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what, lie.position) == ("@root", "root entry", 1)


async def test_a_deleted_checkpoint_is_missed_by_the_root_log(logs: LogHouse) -> None:
    await plant(logs, "DELETE FROM ledger.checkpoint WHERE tenant_id = 'casa' AND size = 302")
    lie = await first_lie(logs)
    assert (lie.tenant, lie.what, lie.position) == ("@root", "root entry", 0)


async def test_of_several_lies_the_first_position_is_named(logs: LogHouse) -> None:
    for position in (420, 77, 300):
        await plant(
            logs,
            "UPDATE ledger.universal_registry SET who = 'x'"
            " WHERE tenant_id = 'casa' AND position = %s",
            position,
        )
    assert (await first_lie(logs)).position == 77


async def test_one_record_is_verified_with_its_tile(logs: LogHouse) -> None:
    identity, seq = await event(logs, 310)
    ask = verification(logs)
    assert (await verify_record(ask, "casa", id=UUID(identity), seq=seq)).is_clean
    await plant(logs, "UPDATE ledger.universal_registry SET who = 'x' WHERE position = 310")
    lie = (await verify_record(ask, "casa", id=UUID(identity), seq=seq)).lie
    assert lie is not None
    assert (lie.what, lie.position) == ("record", 310)
    other, number = await event(logs, 100)
    assert (await verify_record(ask, "casa", id=UUID(other), seq=number)).is_clean
    with pytest.raises(NotFound):
        await verify_record(ask, "casa", id=UUID(other), seq=99)


async def test_an_unknown_tenant_is_no_clean_tenant(logs: LogHouse) -> None:
    with pytest.raises(UnknownTenant):
        await verify_tenant(verification(logs), "nenhuma")
    report = await verify_tenant(verification(logs), "pensao")
    assert report.is_clean
    assert [log.tenant for log in report.logs] == ["pensao"]
