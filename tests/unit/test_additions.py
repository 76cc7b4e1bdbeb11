"""What somebody may change who completes or annotates another's act."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import Refused
from loglineos.base.ids import uuid7
from loglineos.ledger.additions import check_addition, is_addition
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import signing_key
from tests.integration.conftest import NINE, NOON

CLOCK = ManualClock(NOON)
ADDING = {"gesture": "annotate", "by": "ana"}


def sealed(**fields: Any) -> Record:
    draft = Draft(tenant_id="casa", **{**NINE, "owner_id": "joao", **fields})
    prev = "0" * 64 if draft.seq else None
    key = signing_key(b"k" * 32)
    return seal(judge(draft), key=key, clock=CLOCK, entropy=SeededEntropy(1), prev_hash=prev).record


def pair(gesture: str, before: dict[str, Any], after: dict[str, Any]) -> tuple[Record, Record]:
    identity = uuid7()
    metadata = {"gesture": gesture, "by": "ana"}
    return (
        sealed(id=identity, seq=0, **before),
        sealed(id=identity, seq=1, metadata=metadata, **{**before, **after}),
    )


def test_an_annotation_adds_a_note_and_leaves_the_rest() -> None:
    before, record = pair("annotate", {"details": {"a": 1}}, {"details": {"a": 1, "note": "x"}})
    assert is_addition(record)
    check_addition(before, record)


@pytest.mark.parametrize(
    "change",
    [
        {"if_ok": "pagar a outro"}, {"if_not": "nada"}, {"is_deleted": True}, {"owner_id": "ana"},
        {"visibility": "public"}, {"shared_with": ("rui",)}, {"confirmed_by": "rui"},
        {"who": "rui"}, {"did": "outra_coisa"}, {"this": "outro pedido"}, {"cost_micros": 1},
        {"status": "denied"}, {"details": {"a": 2}}, {"details": None}, {"tags": ("x",)},
    ],
)  # fmt: skip
def test_an_annotation_changes_nothing_that_its_author_said(change: dict[str, Any]) -> None:
    before, record = pair("annotate", {"details": {"a": 1}}, change)
    with pytest.raises(Refused):
        check_addition(before, record)


def test_a_completion_fills_what_was_missing() -> None:
    before, record = pair("complete", {"confirmed_by": None}, {"confirmed_by": "ana"})
    assert before.status == "ghost"
    check_addition(before, record)


@pytest.mark.parametrize(
    "change", [{"if_ok": "pagar a outro"}, {"owner_id": "ana"}, {"visibility": "private"}]
)
def test_a_completion_changes_nothing_that_was_said(change: dict[str, Any]) -> None:
    before, record = pair("complete", {"confirmed_by": None}, {"confirmed_by": "ana", **change})
    with pytest.raises(Refused):
        check_addition(before, record)


def test_who_adds_to_an_act_of_their_own_is_no_stranger() -> None:
    record = sealed(id=uuid7(), seq=1, metadata={"gesture": "annotate", "by": "joao"})
    assert not is_addition(record)
    assert not is_addition(msgspec.structs.replace(record, metadata=None))
