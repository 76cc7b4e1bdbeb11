"""Rows are judged by what they say, however it is spelt in the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
import pytest
from hypothesis import given

from loglineos.base.clock import ManualClock, rfc3339
from loglineos.base.entropy import SeededEntropy
from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import leaf_of, seal
from loglineos.ledger.signature import signing_key
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.trust import KeyTerm
from loglineos.ledger.verification.lies import Lie
from loglineos.ledger.verification.row_check import SELECTED, RowCheck
from tests.drafts import NOON, drafts

KEY = signing_key(bytes(range(32)))
JSONS = frozenset(column.name for column in COLUMNS if column.sql_type == "jsonb")
TERM = KeyTerm(
    public_key=KEY.public.hex(), actor="node", role="service", custody="node", enrolled=1
)
PLACE = 7


def sealed(draft: Draft) -> Record:
    one = seal(draft, key=KEY, clock=ManualClock(NOON), entropy=SeededEntropy(1))
    return msgspec.structs.replace(one.record, position=PLACE, recorded_at=NOON)


def row_of(record: Record) -> list[Any]:
    """The row as the database tells it, first in the life of its entity."""
    told: list[Any] = []
    for name in SELECTED:
        value = getattr(record, name)
        if value is not None and name in JSONS:
            value = orjson.dumps(value).decode()
        elif isinstance(value, UUID):
            value = str(value)
        elif isinstance(value, datetime):
            value = value.astimezone(UTC)
        told.append(list(value) if isinstance(value, tuple) else value)
    return [*told, None, None]


def check(row: list[Any]) -> Lie | bytes:
    return RowCheck("casa", [TERM]).check(row, PLACE)


@given(draft=drafts)
def test_every_sealed_record_is_found_true_and_gives_its_leaf(draft: Draft) -> None:
    record = sealed(draft)
    assert check(row_of(record)) == leaf_hash(leaf_of(record, rfc3339(NOON)))


WHOLE = Draft(
    tenant_id="casa", who="joao", did="entregar", this="pedido 7", at=NOON, confirmed_by="ana",
    if_ok="a", if_doubt="b", if_not="c", status="valid", valid=True, latitude=38.5, score=2.0,
    details={"n": 1.5, "b": 2, "": [1e16, -0.0]}, metadata={"gesture": "add", "by": "ana"},
)  # fmt: skip


@pytest.mark.parametrize("name", SELECTED)
def test_a_row_with_another_value_in_any_column_is_a_lie_or_another_leaf(name: str) -> None:
    record = sealed(WHOLE)
    row = row_of(record)
    told = row[SELECTED.index(name)]
    other: Any = {str: f"{told}0", bool: told is False, int: 8, float: 0.25}.get(type(told), "x")
    if isinstance(told, datetime):
        other = told.replace(microsecond=1)
    elif name in ("run_at", "lease_until"):
        other = NOON
    elif name in JSONS:
        other = '{"n":1.5000001}'
    row[SELECTED.index(name)] = other
    found = check(row)
    if name == "recorded_at":
        assert isinstance(found, bytes)
        assert found != leaf_hash(leaf_of(record, rfc3339(NOON)))
    else:
        assert isinstance(found, Lie)


def test_the_key_is_asked_about_each_person_who_adds() -> None:
    """An own key forbids the node that name, whoever the same key was right for just before."""
    own = KeyTerm(public_key="ab" * 32, actor="ana", role="operator", custody="own", enrolled=2)
    judge = RowCheck("casa", [TERM, own])
    for by, is_true in (("rita", True), ("ana", False), ("rita", True)):
        draft = msgspec.structs.replace(
            WHOLE, seq=1, who="joao", metadata={"gesture": "annotate", "by": by}
        )
        before = "0" * 64
        one = seal(
            draft, key=KEY, clock=ManualClock(NOON), entropy=SeededEntropy(1), prev_hash=before
        )
        record = msgspec.structs.replace(one.record, position=PLACE, recorded_at=NOON)
        found = judge.check([*row_of(record)[:-2], 0, before], PLACE)
        assert isinstance(found, bytes) is is_true
        if not is_true:
            assert isinstance(found, Lie)
            assert found.what == "key"
