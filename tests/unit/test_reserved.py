"""Nobody but the runtime speaks as code of the house or writes into a run's journal."""

from __future__ import annotations

import pytest

from loglineos.base.errors import Forbidden
from loglineos.ledger.intake.formats import Item
from loglineos.ledger.intake.intake import draft_of
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft
from loglineos.ledger.reserved import check_not_of_code

FORGED = (
    {"who": "function:pagar"},
    {"entity_type": "step"},
    {"metadata": {"step": {"n": 1, "kind": "call", "name": "ctx.emit", "args_hash": "00"}}},
)


@pytest.mark.parametrize("columns", FORGED)
def test_a_draft_that_speaks_for_code_is_refused(columns):
    with pytest.raises(Forbidden):
        check_not_of_code([Draft(**{"who": "ana", "did": "x", "this": "y", **columns})])


def test_what_only_sounds_like_it_is_not():
    check_not_of_code([Draft(who="functionário", this="function:x", metadata={"step": 3})])


@pytest.mark.parametrize("columns", FORGED)
def test_a_foreign_line_that_does_is_kept_and_disarmed(columns):
    line = {"who": "ana", "did": "pagar", "this": "pedido 7", **columns}
    draft = judge(draft_of(Item(value=line, data=b"{}", line=1, byte_offset_end=2, size_bytes=2)))
    check_not_of_code([draft])
    assert draft.status == "ghost"
    (name,) = columns
    assert draft.details["given"][name] == columns[name]


@pytest.mark.parametrize(
    "kind", ["execution", "function", "policy", "manifest", "step", "schedule"]
)
def test_a_foreign_line_defines_nothing_and_asks_for_no_run(kind):
    line = {"who": "ana", "did": "x", "this": "y", "entity_type": kind, "queue": "default"}
    draft = draft_of(Item(value=line, data=b"{}", line=1, byte_offset_end=2, size_bytes=2))
    assert draft.entity_type == "logline"


def test_a_foreign_line_that_tells_of_a_gesture_is_no_gesture_and_no_ghost():
    line = {
        "who": "ana", "did": "confirm", "this": "pedido 7", "when": "2026-03-01T12:00:00Z",
        "confirmed_by": "ana", "if_ok": "a", "if_doubt": "b", "if_not": "c", "status": "confirmed",
        "metadata": {"gesture": "confirm", "by": "ana"},
    }  # fmt: skip
    draft = judge(draft_of(Item(value=line, data=b"{}", line=1, byte_offset_end=2, size_bytes=2)))
    assert (draft.status, draft.valid) == ("confirmed", True)
    assert draft.metadata == {"by": "ana"}
    assert draft.details["extra"]["gesture"] == "confirm"
