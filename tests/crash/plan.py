"""What a worker appends: acts that a seed fixes to the last byte, so that anybody can repeat them.

Each submitter has entities of its own in two tenants and appends their events in order, by calls
of 1 to 20 records; sealing is deterministic, so the plan of a seed has the same hashes everywhere.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SeededEntropy
from loglineos.base.ids import uuid7
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import Sealed, seal
from loglineos.ledger.signature import SigningKey

TENANTS = ("casa", "pensao")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NINE = {
    "who": "joao", "did": "registrar_entrega", "this": "pedido 312 no quarto 204",
    "confirmed_by": "ana", "if_ok": "enviar recibo", "if_doubt": "pedir verificação",
    "if_not": "abrir incidente", "status": "valid",
}  # fmt: skip

Call = list[Sealed]
Submitter = list[Call]


class Ack(NamedTuple):
    """What was acknowledged for one record."""

    tenant: str
    id: str
    seq: int
    position: int
    hash: str


def ack_of(record: Record) -> Ack:
    assert record.position is not None
    return Ack(
        record.tenant_id, str(record.id), record.seq, record.position, record.curr_hash
    )  # fmt: skip


def make_plan(
    seed: int, key: SigningKey, *, submitters: int = 16, calls: int = 6
) -> list[Submitter]:
    """Seal everything that the submitters of `seed` append, in their order."""
    chance, entropy, clock = random.Random(seed), SeededEntropy(seed), ManualClock(NOON)
    return [
        _submitter(chance, entropy, clock, key=key, calls=calls) for _ in range(submitters)
    ]  # fmt: skip


def _submitter(
    chance: random.Random,
    entropy: SeededEntropy,
    clock: ManualClock,
    *,
    key: SigningKey,
    calls: int,
) -> Submitter:
    entities = {tenant: [uuid7(clock, entropy) for _ in range(4)] for tenant in TENANTS}
    heads: dict[UUID, Record] = {}
    told = []
    for _ in range(calls):
        tenant = chance.choice(TENANTS)
        call = []
        for _ in range(chance.randint(1, 20)):
            clock.advance(timedelta(milliseconds=7))
            identity = chance.choice(entities[tenant])
            head = heads.get(identity)
            draft = Draft(
                tenant_id=tenant, id=identity, seq=0 if head is None else head.seq + 1,
                at=clock.now(), details={"nota": chance.randrange(10**9)}, **NINE,
            )  # fmt: skip
            previous = None if head is None else head.curr_hash
            one = seal(judge(draft), key=key, clock=clock, entropy=entropy, prev_hash=previous)
            heads[identity] = one.record
            call.append(one)
        told.append(call)
    return told
