"""Proving: a receipt of a real ledger holds offline, by public keys alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from loglineos.base.errors import InvalidInput, NotFound, UnknownTenant, VerificationFailed
from loglineos.ledger.log.log_names import log_keys
from loglineos.ledger.log.proving import Prover
from loglineos.ledger.log.witness_store import DatabaseWitnessStore
from loglineos.ledger.record import Draft
from loglineos.ledger.seal import leaf_of, payload_of
from loglineos.ledger.tlog.merkle import verify_consistency
from loglineos.ledger.tlog.receipt import parse_receipt, verify_receipt
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
    async def writer() -> psycopg.AsyncConnection[Any]:
        return await logs.house.connect("logline_appender")

    store = DatabaseWitnessStore(writer, clock=logs.house.clock)
    log = log_keys([logs.key.public], f"{ORIGIN}/root")
    return InProcessWitness("porta.example", store, log, logs.house.clock)


async def prover(logs: LogHouse, *, cosigners: Any = None) -> Prover:
    pool = await logs.house.pool("logline_reader")
    policy = cosigners.policy if cosigners else None
    return Prover(pool.connection, await logs.publisher(cosigners=cosigners), policy=policy)


def vkeys(logs: LogHouse, tenant: str = "casa") -> list[Any]:
    publics = [logs.key.public]
    return log_keys(publics, f"{ORIGIN}/t/{tenant}") + log_keys(publics, f"{ORIGIN}/root")


async def test_a_receipt_holds_with_public_keys_alone(logs: LogHouse) -> None:
    record = await logs.house.add()
    receipt = await (await prover(logs)).prove("casa", id=record.id, seq=0)
    proved = verify_receipt(receipt.data, logs=vkeys(logs))
    assert proved.entry == receipt.entry == leaf_of(record, "2026-03-02T12:00:00.000000Z")
    assert proved.index == receipt.position == record.position
    assert msgspec.json.decode(proved.entry)["hash"] == record.curr_hash == receipt.record_hash
    assert (proved.checkpoint.size, receipt.tenant_size) == (3, 3)
    assert proved.root_checkpoint is not None
    assert proved.root_checkpoint.size == receipt.root_size
    assert (receipt.is_witnessed, proved.is_witnessed) == (False, False)


async def test_a_receipt_tells_nothing_of_what_the_record_says(logs: LogHouse) -> None:
    record = await logs.house.add(details={"segredo": "0312"})
    receipt = await (await prover(logs)).prove("casa", id=record.id)
    text = receipt.data + receipt.entry
    told = [str(v) for k, v in payload_of(record).items() if k in ("who", "did", "this", "if_ok")]
    assert [word for word in [*told, "segredo", "0312"] if word.encode() in text] == []


async def test_every_record_of_a_house_can_be_proved_by_position(logs: LogHouse) -> None:
    drafts = [Draft(**NINE) for _ in range(300)]
    await logs.house.writer.append(drafts, tenant="casa")
    give = await prover(logs)
    for position in (0, 1, 2, 255, 256, 257, 301):
        receipt = await give.prove("casa", position=position)
        assert verify_receipt(receipt.data, logs=vkeys(logs)).index == position
    assert (await give.prove("pensao", position=1)).tenant_size == 2


async def test_a_receipt_stays_the_same_when_the_house_grows(logs: LogHouse) -> None:
    record = await logs.house.add()
    give = await prover(logs)
    first = await give.prove("casa", id=record.id, seq=0)
    newer = await logs.house.add()
    again = await give.prove("casa", id=record.id, seq=0)
    assert again.data == first.data
    assert (await give.prove("casa", id=newer.id)).tenant_size == first.tenant_size + 1


async def test_the_latest_event_is_proved_when_no_seq_is_given(logs: LogHouse) -> None:
    record = await logs.house.add()
    draft = Draft(id=record.id, seq=1, **{**NINE, "status": "confirmed"})
    (later,) = await logs.house.writer.append([draft], tenant="casa")
    receipt = await (await prover(logs)).prove("casa", id=record.id)
    assert (receipt.seq, receipt.record_hash) == (1, later.curr_hash)


async def test_a_quorum_of_witnesses_makes_a_witnessed_receipt(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    cosigners = cosigners_of([witness], clock=logs.house.clock)
    record = await logs.house.add()
    receipt = await (await prover(logs, cosigners=cosigners)).prove("casa", id=record.id)
    proved = verify_receipt(receipt.data, logs=vkeys(logs), policy=cosigners.policy)
    assert (receipt.is_witnessed, proved.is_witnessed) == (True, True)
    assert [one.key.name for one in proved.cosignatures] == ["porta.example"]


async def test_without_the_quorum_a_receipt_is_given_and_says_so(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    absent = InProcessWitness("longe.example", witness.store, [], logs.house.clock)
    absent.is_away = True
    cosigners = cosigners_of([witness, absent], clock=logs.house.clock, quorum="all")
    record = await logs.house.add()
    receipt = await (await prover(logs, cosigners=cosigners)).prove("casa", id=record.id)
    proved = verify_receipt(receipt.data, logs=vkeys(logs), policy=cosigners.policy)
    assert (receipt.is_witnessed, proved.is_witnessed) == (False, False)
    assert len(proved.cosignatures) == 1


async def test_a_witness_that_comes_late_still_witnesses_older_records(
    logs: LogHouse, witness: InProcessWitness
) -> None:
    record = await logs.house.add()
    unwitnessed = await (await prover(logs)).prove("casa", id=record.id)
    assert not unwitnessed.is_witnessed
    cosigners = cosigners_of([witness], clock=logs.house.clock)
    publisher = await logs.publisher(cosigners=cosigners)
    await logs.house.add()
    await publisher.publish()
    receipt = await (await prover(logs, cosigners=cosigners)).prove("casa", id=record.id)
    assert receipt.is_witnessed
    assert receipt.tenant_size == unwitnessed.tenant_size
    assert receipt.root_size > unwitnessed.root_size


async def test_a_receipt_of_another_record_or_key_is_refused(logs: LogHouse) -> None:
    record, other = await logs.house.add(), await logs.house.add()
    give = await prover(logs)
    receipt = await give.prove("casa", id=record.id)
    foreign = (await give.prove("casa", id=other.id)).entry
    with pytest.raises(VerificationFailed):
        verify_receipt(receipt.data, logs=vkeys(logs), entry=foreign)
    with pytest.raises(VerificationFailed):
        verify_receipt(receipt.data, logs=vkeys(logs, "pensao"))
    assert len(parse_receipt(receipt.data)) == 2


async def test_what_is_not_there_cannot_be_proved(logs: LogHouse) -> None:
    give = await prover(logs)
    record = await logs.house.add()
    for asked in ({"id": uuid4()}, {"id": record.id, "seq": 1}, {"position": 99}):
        with pytest.raises(NotFound):
            await give.prove("casa", **asked)
    with pytest.raises(NotFound):
        await give.prove("pensao", id=record.id)
    assert logs.guard.origins() == [], "nothing was published for it"


async def test_a_log_is_proved_to_continue_itself(logs: LogHouse) -> None:
    drafts = [Draft(**NINE) for _ in range(300)]
    await logs.house.writer.append(drafts, tenant="casa")
    give = await prover(logs)
    for old in (1, 2, 255, 256, 300):
        found = await give.consistency("casa", old=old)
        assert found.new == 302
        verify_consistency(old, 302, found.old_root, found.new_root, found.hashes)
    assert (await give.consistency("casa", old=0, new=5)).hashes == ()
    with pytest.raises(NotFound):
        await give.consistency("casa", old=1, new=303)
    with pytest.raises(InvalidInput):
        await give.consistency("casa", old=9, new=3)
    with pytest.raises(UnknownTenant):
        await give.consistency("nenhuma", old=1)
