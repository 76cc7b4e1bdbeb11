"""What a worker appends: acts that a seed fixes to the last byte, so that anybody can repeat them.

Each submitter has entities of its own in two tenants and appends their events in order, by calls
of 1 to 20 records; sealing is deterministic, so the plan of a seed has the same hashes everywhere.
A lone submitter goes alone and by turns: few records, which may go the short way, then many, which
may be inserted while they come.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
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

LARGE = 250
"""Records from which on a call is handed over in chunks."""

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
    seed: int, key: SigningKey, *, submitters: int = 16, calls: int = 6, is_lone: bool = False
) -> list[Submitter]:
    """Seal everything that the submitters of `seed` append, in their order."""
    chance, entropy, clock = random.Random(seed), SeededEntropy(seed), ManualClock(NOON)
    if is_lone:
        return [_lone_submitter(chance, entropy, clock, key=key)]
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


def _lone_submitter(
    chance: random.Random, entropy: SeededEntropy, clock: ManualClock, *, key: SigningKey
) -> Submitter:
    """Seal few and many by turns: acts, the next events of some, and executions that wait or end."""
    heads: dict[UUID, Record] = {}
    told: Submitter = []
    for number in range(14):
        is_large = bool(number % 2)
        free = [one.record.id for before in told[-2:] for one in before[-9:]]  # remembered
        chance.shuffle(free)
        call: Call = []
        for _ in range(chance.randint(LARGE, LARGE + 60) if is_large else chance.randint(1, 8)):
            clock.advance(timedelta(milliseconds=7))
            head = heads.get(free.pop()) if free and chance.random() < 0.2 else None
            if head is not None and not is_large and _is_job(head):
                head = None
            fields = {**NINE, **_of_a_job(chance, head, is_large=is_large)}
            draft = Draft(
                tenant_id=TENANTS[0], id=head.id if head else uuid7(clock, entropy),
                seq=0 if head is None else head.seq + 1, at=clock.now(),
                details={"nota": chance.randrange(10**9)}, **fields,
            )  # fmt: skip
            previous = None if head is None else head.curr_hash
            one = seal(judge(draft), key=key, clock=clock, entropy=entropy, prev_hash=previous)
            heads[one.record.id] = one.record
            if one.record.status == "executed":
                del heads[one.record.id]
            if is_large and chance.random() < 0.3:
                free.append(one.record.id)  # its life goes on in the same call
            call.append(one)
        told.append(call)
    return told


def _of_a_job(chance: random.Random, head: Record | None, *, is_large: bool) -> dict[str, Any]:
    """What an execution has: it begins in large calls, goes on there, and ends."""
    if not _is_job(head) if head is not None else not is_large or chance.random() < 0.7:
        return {}
    statuses = {None: ("queued", "running"), "queued": ("running",), "running": ("executed",)}
    status = chance.choice(statuses[None if head is None else head.status])
    return {"entity_type": "execution", "queue": "default", "status": status}


def _is_job(record: Record) -> bool:
    return record.entity_type == "execution"
