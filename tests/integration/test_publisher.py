"""The publisher: what it signs continues what was signed, whatever happened in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SystemEntropy
from loglineos.base.errors import LogBehind, Unavailable, VerificationFailed
from loglineos.database.pool import connect
from loglineos.ledger.appender import Appender
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_names import log_keys
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.log.publisher import PublishedCheckpoint, Publisher
from loglineos.ledger.log.witness_store import DatabaseWitnessStore
from loglineos.ledger.record import Draft
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import signing_key
from loglineos.ledger.tlog.checkpoint import open_checkpoint
from loglineos.ledger.tlog.merkle import verify_consistency
from loglineos.ledger.tlog.note import parse_signatures, verify_signatures
from loglineos.ledger.tlog.proofs import consistency_proof, root_at
from loglineos.ledger.tlog.receipt import root_entry
from loglineos.ledger.trust import KeyTerm
from tests.integration.conftest import NINE, House
from tests.integration.log_house import (
    ORIGIN,
    InProcessWitness,
    LogHouse,
    cosigners_of,
)


@pytest.fixture
async def logs(house: House, tmp_path: Path) -> LogHouse:
    return LogHouse(house, tmp_path)


@pytest.fixture
async def witness(logs: LogHouse) -> InProcessWitness:
    return await new_witness(logs, "porta.example")


async def new_witness(logs: LogHouse, name: str) -> InProcessWitness:
    async def writer() -> psycopg.AsyncConnection[Any]:
        return await logs.house.connect("logline_appender")

    store = DatabaseWitnessStore(writer, clock=logs.house.clock)
    log = log_keys([logs.key.public], f"{ORIGIN}/root")
    return InProcessWitness(name, store, log, logs.house.clock)


async def rows(house: House, statement: str) -> list[Any]:
    connection = await house.connect("logline_reader")
    return await (await connection.execute(statement)).fetchall()  # type: ignore[arg-type]


async def counts(house: House) -> tuple[int, int, int]:
    (row,) = await rows(
        house,
        "SELECT (SELECT count(*) FROM ledger.checkpoint WHERE tenant_id <> '@root'),"
        " (SELECT count(*) FROM ledger.checkpoint WHERE tenant_id = '@root'),"
        " (SELECT count(*) FROM ledger.root_entry)",
    )
    return row[0], row[1], row[2]


def by_tenant(published: list[PublishedCheckpoint]) -> dict[str, PublishedCheckpoint]:
    return {one.tenant: one for one in published}


async def test_every_log_that_grew_is_signed_and_entered_into_the_root_log(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    published = by_tenant(await publisher.publish())
    assert sorted(published) == ["@root", "casa", "pensao"]
    for tenant, one in published.items():
        origin = one.checkpoint.origin
        opened = open_checkpoint(one.note, logs=log_keys([logs.key.public], origin))
        tiles = publisher.tiles(tenant)
        assert opened.checkpoint.root == await root_at(tiles, opened.checkpoint.size)
        kept = logs.guard.read(origin)
        assert kept is not None
        assert kept.note == one.note
    entries = [one async for one in publisher.tiles(ROOT_LOG).entries(0, 2)]
    assert entries == [root_entry(published[t].note) for t in ("casa", "pensao")]
    assert await counts(logs.house) == (2, 1, 2)


async def test_publishing_again_without_growth_writes_nothing(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    await publisher.publish()
    assert await publisher.publish() == []
    assert await (await logs.publisher()).publish() == []
    assert await counts(logs.house) == (2, 1, 2)


async def test_a_node_without_any_log_publishes_nothing_and_is_not_behind(
    logs: LogHouse,
) -> None:
    publisher = await logs.publisher()
    assert await publisher.publish([]) == []
    assert await publisher.publish(["nunca-fundada"]) == []
    assert await publisher.check_behind() == []
    assert logs.guard.origins() == []
    assert await counts(logs.house) == (0, 0, 0)


async def test_only_the_asked_tenants_are_published(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    assert sorted(by_tenant(await publisher.publish(["casa"]))) == ["@root", "casa"]
    assert await counts(logs.house) == (1, 1, 1)


async def test_each_checkpoint_continues_the_one_before_across_a_full_tile(
    logs: LogHouse,
) -> None:
    publisher = await logs.publisher()
    last = by_tenant(await publisher.publish())["casa"].checkpoint
    for count in (3, 260, 1):
        await append(logs.house, count)
        new = by_tenant(await publisher.publish())["casa"].checkpoint
        proof = await consistency_proof(publisher.tiles("casa"), last.size, new.size)
        verify_consistency(last.size, new.size, last.root, new.root, proof)
        assert new.size == last.size + count
        last = new


async def test_the_root_log_grows_over_a_full_tile(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    for _ in range(130):
        await logs.house.add()
        await publisher.publish(["casa"], is_witnessed=False)
    for _ in range(130):
        await logs.house.add(tenant="pensao")
        await publisher.publish(["pensao"], is_witnessed=False)
    head = await publisher.tiles(ROOT_LOG).head()
    assert head.size == 260
    assert head.root == await root_at(publisher.tiles(ROOT_LOG), 260)
    full = await rows(logs.house, "SELECT level FROM ledger.tile WHERE tenant_id = '@root'")
    assert full == [(0,)]


async def append(house: House, count: int) -> None:
    await house.writer.append([Draft(**NINE) for _ in range(count)], tenant="casa")


@pytest.fixture
async def restored(logs: LogHouse) -> AsyncIterator[str]:
    """A copy of the database as it was before the last appends."""
    first = await logs.publisher()
    await first.publish()
    await first.close()
    name = f"{logs.house.database.name}_old"
    await clone(logs, name)
    await append(logs.house, 3)
    yield logs.house.database.postgres.dsn("logline_appender", name)
    async with await admin(logs) as connection:
        await connection.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        )


async def admin(logs: LogHouse) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        logs.house.database.postgres.dsn("postgres", "postgres"), autocommit=True
    )


async def clone(logs: LogHouse, name: str) -> None:
    old = logs.house.database.name
    async with await admin(logs) as connection:
        # A template must have no other users; those of the house reconnect by themselves.
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [old]
        )
        await connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(old)
            )
        )


async def test_a_restored_older_database_refuses_to_sign(logs: LogHouse, restored: str) -> None:
    await (await logs.publisher()).publish()
    old = await logs.publisher(dsn=restored)
    with pytest.raises(LogBehind) as raised:
        await old.check_behind()
    assert raised.value.fields["origin"] == f"{ORIGIN}/root"
    fresh = await logs.publisher(dsn=restored)
    with pytest.raises(LogBehind) as raised:
        await fresh.publish(["casa"])
    assert raised.value.fields["ours"] == 2
    assert raised.value.fields["theirs"] == 5
    assert str(logs.guard.folder) in str(raised.value.fields["keeper"])
    assert fresh.refusal is raised.value
    with pytest.raises(LogBehind):
        await fresh.publish()
    await (await logs.publisher()).check_behind()


async def test_a_database_that_went_another_way_refuses_to_sign(
    logs: LogHouse, restored: str
) -> None:
    """Both have five records, but not the same ones: the guard knows which were signed."""
    await (await logs.publisher()).publish()
    await move_head_elsewhere(restored)
    forked = await logs.publisher(dsn=restored)
    with pytest.raises(VerificationFailed):
        await forked.publish(["casa"])
    kept = logs.guard.read(f"{ORIGIN}/t/casa")
    assert kept is not None
    assert kept.checkpoint.size == 5
    with pytest.raises(VerificationFailed):
        await (await logs.publisher(dsn=restored)).publish(["casa"])


async def move_head_elsewhere(dsn: str) -> None:
    """Append three other rows to the restored database, as the node would after the restore."""
    clock, key = ManualClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)), signing_key(b"x" * 32)
    term = KeyTerm(
        public_key=key.public.hex(), actor="node", role="service", custody="node", enrolled=0
    )
    async with await connect(dsn, name="fork") as connection:
        await connection.execute(
            "INSERT INTO ledger.actor_key VALUES ('casa', %s, 'node', 'service', 'node', 0)",
            [term.public_key],
        )

    async def writer() -> psycopg.AsyncConnection[Any]:
        return await connect(dsn, name="fork")

    async with Appender(writer, clock=clock) as appender:
        drafts = [Draft(tenant_id="casa", **{**NINE, "valid": True}) for _ in range(3)]
        sealed = [seal(d, key=key, clock=clock, entropy=SystemEntropy()) for d in drafts]
        await appender.append(sealed, verified=True)


async def test_a_publisher_killed_between_guard_and_database_is_continued(
    logs: LogHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = await logs.publisher()
    advance = Guard.advance

    def die_after(self: Guard, note: bytes, **more: Any) -> bool:
        advance(self, note, **more)
        raise RuntimeError("killed")

    monkeypatch.setattr(Guard, "advance", die_after)
    with pytest.raises(RuntimeError):
        await dying.publish()
    monkeypatch.undo()
    signed = logs.guard.read(f"{ORIGIN}/t/casa")
    assert signed is not None
    assert await counts(logs.house) == (0, 0, 0)

    published = by_tenant(await (await logs.publisher()).publish())
    assert published["casa"].note == signed.note, "the same checkpoint, not a second one"
    assert await counts(logs.house) == (2, 1, 2)


async def test_a_publisher_killed_before_the_root_log_is_continued(
    logs: LogHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: Any) -> None:
        raise RuntimeError("killed")

    dying = await logs.publisher()
    monkeypatch.setattr(Publisher, "_enter_into_root", die)
    with pytest.raises(RuntimeError):
        await dying.publish()
    monkeypatch.undo()
    assert await counts(logs.house) == (2, 0, 0)
    published = by_tenant(await (await logs.publisher()).publish())
    assert sorted(published) == ["@root"]
    assert await counts(logs.house) == (2, 1, 2)


async def test_two_publishers_at_once_do_not_fork_and_enter_nothing_twice(
    logs: LogHouse, tmp_path: Path
) -> None:
    one = await logs.publisher()
    two = await logs.publisher(guard=Guard(tmp_path / "another"))
    for _ in range(6):
        await append(logs.house, 2)
        await asyncio.gather(one.publish(), two.publish())
    checkpoints = await rows(
        logs.house, "SELECT tenant_id, size, root FROM ledger.checkpoint ORDER BY 1, 2"
    )
    for tenant, size, root in checkpoints:
        assert await root_at(one.tiles(tenant), size) == bytes(root)
    entered = await rows(
        logs.house, "SELECT source_tenant, source_size FROM ledger.root_entry ORDER BY 1, 2"
    )
    assert entered == [(t, s) for t, s, _ in checkpoints if t != ROOT_LOG]
    await one.check_behind()
    await two.check_behind()


async def test_witnesses_cosign_the_root_checkpoint(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    cosigners = cosigners_of([witness], clock=logs.house.clock)
    publisher = await logs.publisher(cosigners=cosigners)
    for _ in range(2):
        await append(logs.house, 1)
        root = by_tenant(await publisher.publish())[ROOT_LOG]
        (line,) = await rows(
            logs.house,
            f"SELECT line, witness FROM ledger.cosignature WHERE size = {root.checkpoint.size}",
        )
        found = verify_signatures(
            root.checkpoint.encode(),
            lines=parse_signatures(line[0]),
            known=[witness.signer.verifier],
        )
        assert len(found) == 1
        assert line[1] == "w0"
    before = witness.requests
    assert await publisher.cosign() == {}
    assert witness.requests == before, "who has cosigned is not asked again"


async def test_a_witness_that_is_away_holds_up_nothing_and_is_asked_again_later(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    other = await new_witness(logs, "torre.example")
    other.store = WitnessStoreElsewhere()
    cosigners = cosigners_of([witness, other], clock=logs.house.clock)
    publisher = await logs.publisher(cosigners=cosigners)
    witness.is_away = True
    assert len(await publisher.publish()) == 3
    stored = await rows(logs.house, "SELECT witness FROM ledger.cosignature")
    assert stored == [("w1",)]
    await publisher.cosign()
    assert witness.requests == 1, "left alone for a while"
    witness.is_away = False
    logs.house.clock.advance(timedelta(seconds=31))
    assert await publisher.cosign() == {}
    stored = await rows(logs.house, "SELECT witness FROM ledger.cosignature ORDER BY 1")
    assert stored == [("w0",), ("w1",)]


class WitnessStoreElsewhere:
    """Remembers in this process: the second witness of a test lives elsewhere."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def seen(self, origin: str) -> Any:
        return self.kept.get(origin)

    async def replace(self, origin: str, *, expected: Any, new: Any) -> bool:
        if self.kept.get(origin) != expected:
            return False
        self.kept[origin] = new
        return True


async def test_a_witness_that_saw_more_than_the_database_has_stops_the_signing(
    logs: LogHouse, witness: InProcessWitness, tmp_path: Path
) -> None:
    """The data folder with its guard is lost; only the witness remembers."""
    witness.store = WitnessStoreElsewhere()
    publisher = await logs.publisher(cosigners=cosigners_of([witness], clock=logs.house.clock))
    await publisher.publish()
    await publisher.close()
    name = f"{logs.house.database.name}_old"
    await clone(logs, name)
    await append(logs.house, 1)
    await publisher.publish()
    empty = Guard(tmp_path / "new")
    dsn = logs.house.database.postgres.dsn("logline_appender", name)
    old = await logs.publisher(
        dsn=dsn, guard=empty, cosigners=cosigners_of([witness], clock=logs.house.clock)
    )
    with pytest.raises(LogBehind) as raised:
        await old.check_behind()
    assert raised.value.fields["keeper"] == "porta.example"
    assert (raised.value.fields["ours"], raised.value.fields["theirs"]) == (2, 3)
    with pytest.raises(LogBehind):
        await old.publish()
    async with await admin(logs) as connection:
        await connection.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        )


async def test_a_witness_out_of_reach_at_the_start_is_named_and_holds_up_nothing(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    witness.is_away = True
    publisher = await logs.publisher(cosigners=cosigners_of([witness], clock=logs.house.clock))
    assert await publisher.check_behind() == ["w0"]
    assert publisher.refusal is None


async def test_the_loop_publishes_what_it_is_woken_for(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    loop = asyncio.create_task(publisher.run(interval_s=0.01, scan_s=60))
    await until(lambda: size_of(logs, "pensao"), 2)
    await append(logs.house, 4)
    publisher.wake(["casa"])
    await until(lambda: size_of(logs, "casa"), 6)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
    assert publisher.refusal is None


async def size_of(logs: LogHouse, tenant: str) -> int:
    kept = logs.guard.read(f"{ORIGIN}/t/{tenant}")
    return kept.checkpoint.size if kept else 0


async def until(measure: Any, wanted: int) -> None:
    async with asyncio.timeout(10):
        while await measure() != wanted:
            await asyncio.sleep(0)


async def test_a_database_that_is_gone_is_waited_out(logs: LogHouse) -> None:
    publisher = await logs.publisher()
    await publisher.publish()
    await append(logs.house, 1)
    async with await admin(logs) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [logs.house.database.name],
        )
    with pytest.raises(Unavailable):
        await publisher.publish(["casa"])
    assert publisher.refusal is None
    assert sorted(by_tenant(await publisher.publish(["casa"]))) == ["@root", "casa"]
