"""Admission against a naive model: a submission enters whole or not at all, wherever it stands."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.base.errors import Conflict, KeyNotTrusted, LoglineError, MoveNotAllowed
from loglineos.ledger.admission import Head, Placed, TenantPlan
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed
from loglineos.ledger.signature import public_of
from loglineos.ledger.status import check_move
from loglineos.ledger.trust import KeyTerm, Trust, key_entity_id, tenant_entity_id

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ROOT, NODE, ANA, RUI = (public_of(bytes([n]) * 32).hex() for n in range(1, 5))
ACTORS = {ROOT: "root", NODE: "node", ANA: "ana", RUI: "rui"}
ENTITIES = [UUID(int=n) for n in range(1, 4)]


def record(
    identity: UUID,
    seq: int,
    *,
    prev: str | None,
    key: str = NODE,
    nonce: int = 0,
    status: str = "valid",
    **more: Any,
) -> Record:
    told = repr((identity, seq, prev, key, nonce, status, sorted(more.items())))
    fields: dict[str, Any] = {"entity_type": "logline", "who": "joao", "did": "contar", "this": "x"}
    return Record(
        tenant_id="casa", id=identity, seq=seq, prev_hash=prev, status=status, at=NOON,
        visibility="tenant", is_deleted=False, curr_hash=sha256(told.encode()).hexdigest(),
        signature="0" * 128, public_key=key, **{**fields, **more},
    )  # fmt: skip


FOUNDING = record(
    tenant_entity_id("casa"), 0, prev=None, key=ROOT, status="active", entity_type="tenant",
    who="root", this="casa",
)  # fmt: skip


def key_record(public: str, seq: int, *, prev: str | None, status: str, by: str = ROOT) -> Record:
    custody = "node" if public == NODE else "own"
    return record(
        key_entity_id("casa", public), seq, prev=prev, key=by, status=status, entity_type="key",
        who="root" if by == ROOT else ACTORS[by], this=public, name=ACTORS[public],
        metadata={"role": "service" if custody == "node" else "operator", "custody": custody},
    )  # fmt: skip


class Model:
    """A log as a plain list: what is admitted is found by walking over all of it."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    def head(self, identity: UUID) -> Record | None:
        return next((r for r in reversed(self.records) if r.id == identity), None)

    def trust(self) -> tuple[Trust, list[KeyTerm]]:
        trust, terms = Trust(), []
        for position, one in enumerate(self.records):
            term = trust.apply(one, position)
            terms += [term] if term else []
        return trust, terms

    def submit(self, submission: list[Record], if_absent: bool) -> list[int] | type[LoglineError]:
        """Answer with the positions where the records stand, or the error; keep all or nothing."""
        before = list(self.records)
        try:
            return [self._place(one, if_absent) for one in submission]
        except LoglineError as refused:
            self.records = before
            return type(refused)

    def _place(self, one: Record, if_absent: bool) -> int:
        for position, kept in enumerate(self.records):
            if (kept.id, kept.seq) == (one.id, one.seq):
                if if_absent or kept.curr_hash == one.curr_hash:
                    return position
                raise Conflict(id="", seq=0, head="")
        head = self.head(one.id)
        follows = (0, None) if head is None else (head.seq + 1, head.curr_hash)
        if (one.seq, one.prev_hash) != follows:
            raise Conflict(id="", seq=0, head="")
        check_move(None if head is None else head.status, one.status)
        trust, _ = self.trust()
        trust.check(one, len(self.records))
        trust.apply(one, len(self.records))
        self.records.append(one)
        return len(self.records) - 1


def plan_of(model: Model) -> TenantPlan:
    """Start a plan where the database of the model stands."""
    heads = {
        one.id: Head(one.seq, one.status, one.curr_hash, one.entity_type) for one in model.records
    }
    stored = {(one.id, one.seq): one for one in model.records}
    trust = model.trust()[0]
    return TenantPlan("casa", size=len(model.records), trust=trust, heads=heads, stored=stored)


class Act(NamedTuple):
    """What a caller does next, told by its relation to what is there."""

    what: str
    which: int
    how: str
    status: str
    key: str


ACTS = st.builds(
    Act,
    what=st.sampled_from(["act"] * 6 + ["key"] * 2),
    which=st.integers(0, 2),
    how=st.sampled_from(["follow"] * 6 + ["repeat", "other_bytes", "gap", "break"]),
    status=st.sampled_from(["valid", "valid", "executed", "denied", "archived", "running"]),
    key=st.sampled_from([NODE] * 5 + [ANA, RUI, ROOT]),
)
SUBMISSIONS = st.tuples(st.lists(ACTS, min_size=1, max_size=5), st.booleans())
BATCHES = st.lists(st.lists(SUBMISSIONS, min_size=1, max_size=5), min_size=1, max_size=4)


def draw_up(model: Model, acts: list[Act], nonce: int) -> list[Record]:
    """Make the records of a submission by an author who knows the log and follows on themselves."""
    known, made = Model(list(model.records)), []
    for act in acts:
        made.append(_draw_up_one(known, act, nonce))
        known.records.append(made[-1])
    return made


def _draw_up_one(known: Model, act: Act, nonce: int) -> Record:
    public = (ANA, RUI, NODE)[act.which]
    identity = ENTITIES[act.which] if act.what == "act" else key_entity_id("casa", public)
    head = known.head(identity)
    if act.how == "repeat" and head is not None:
        return head
    seq, prev = (0, None) if head is None else (head.seq + 1, head.curr_hash)
    if act.how == "gap":
        seq, prev = seq + 1, prev or "0" * 64
    if act.how == "break":
        prev = "f" * 64 if seq else prev
    if act.how == "other_bytes" and head is not None:
        seq, prev = head.seq, head.prev_hash
    if act.what == "act":
        who = {} if act.key in (NODE, ROOT) else {"who": ACTORS[act.key]}
        return record(
            identity, seq, prev=prev, key=act.key, nonce=nonce, status=act.status, **who
        )  # fmt: skip
    status = "revoked" if seq and act.status != "valid" else "active"
    return key_record(public, seq, prev=prev, status=status, by=act.key)


@settings(max_examples=300, deadline=None)
@given(BATCHES)
def test_any_batches_are_admitted_as_a_plain_list_would(batches: Any):
    model = Model([FOUNDING, key_record(NODE, 0, prev=None, status="active")])
    nonce = 0
    for batch in batches:
        size, terms_before = len(model.records), len(model.trust()[1])
        plan = plan_of(model)
        shared = plan.trust
        trusted_before = dict(shared.terms)
        for acts, if_absent in batch:
            nonce += 1
            submission = draw_up(model, acts, nonce)
            expected = model.submit(submission, if_absent)
            assert _answer(plan, submission, if_absent, model) == expected
            assert [one.record for one in plan.rows] == model.records[size:]
        trust, terms = model.trust()
        assert plan.terms == terms[terms_before:]
        assert plan.trust.terms == trust.terms
        assert shared.terms == trusted_before, "what other batches rely on was changed"
        last = {one.id: position for position, one in enumerate(model.records)}
        assert sorted(plan.superseded) == [
            position
            for position, one in enumerate(model.records)
            if position >= size and last[one.id] != position
        ]


def _answer(
    plan: TenantPlan, submission: list[Record], if_absent: bool, model: Model
) -> list[int] | type[LoglineError]:
    try:
        told = plan.admit_all([Sealed(one, b"") for one in submission], if_absent=if_absent)
    except LoglineError as refused:
        return type(refused)
    return [
        plan.size + one.row if isinstance(one, Placed) else model.records.index(one)
        for one in told
    ]  # fmt: skip


@pytest.fixture
def plan() -> TenantPlan:
    return plan_of(Model([FOUNDING, key_record(NODE, 0, prev=None, status="active")]))


def admit(plan: TenantPlan, *records: Record) -> list[Record | Placed]:
    return plan.admit_all([Sealed(one, b"") for one in records], if_absent=False)


def test_a_submission_that_fails_at_its_end_leaves_no_trace_in_the_plan(plan: TenantPlan):
    first = record(ENTITIES[0], 0, prev=None)
    admit(plan, first)
    second = record(ENTITIES[0], 1, prev=first.curr_hash, status="executed")
    stranger = record(ENTITIES[1], 0, prev=None, key=RUI)
    with pytest.raises(KeyNotTrusted):
        admit(plan, second, record(ENTITIES[2], 0, prev=None), stranger)
    assert [one.record for one in plan.rows] == [first]
    assert plan.superseded == []
    assert admit(plan, second) == [Placed(1)]
    assert plan.superseded == [2]


def test_a_key_that_was_enrolled_by_a_submission_that_fails_is_not_trusted(plan: TenantPlan):
    enrolment = key_record(ANA, 0, prev=None, status="active")
    by_ana = record(ENTITIES[0], 0, prev=None, key=ANA, who="ana")
    with pytest.raises(MoveNotAllowed):
        admit(
            plan,
            enrolment,
            denied := record(ENTITIES[1], 0, prev=None, status="denied"),
            record(ENTITIES[1], 1, prev=denied.curr_hash, status="running"),
        )
    with pytest.raises(KeyNotTrusted):
        admit(plan, by_ana)
    assert plan.terms == []
    assert admit(plan, enrolment, by_ana) == [Placed(0), Placed(1)]
    assert [term.public_key for term in plan.terms] == [ANA]


def test_the_bytes_of_a_record_that_was_refused_may_come_again(plan: TenantPlan):
    first = record(ENTITIES[0], 0, prev=None)
    with pytest.raises(Conflict):
        admit(plan, first, record(ENTITIES[1], 5, prev="0" * 64))
    assert admit(plan, first) == [Placed(0)]
    assert admit(plan, first) == [Placed(0)]
    assert len(plan.rows) == 1
