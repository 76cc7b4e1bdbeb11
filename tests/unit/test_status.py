"""The status machine: closed, reachable, and honest about what follows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import MoveNotAllowed, UnknownName
from loglineos.ledger.record import Record
from loglineos.ledger.status import (
    GESTURES,
    MOVES,
    STATUSES,
    allowed_actions,
    check_gesture,
    check_move,
    following,
)
from tests.unit.test_seal import sealed


def record(status: str | None, **more: Any) -> Record:
    return msgspec.structs.replace(sealed().record, status=status, details=None, **more)


def test_the_tables_speak_of_the_same_statuses():
    assert MOVES.keys() == STATUSES.keys()
    assert set().union(*MOVES.values()) <= STATUSES.keys()
    for gesture in GESTURES.values():
        assert gesture.frm is None or set(gesture.frm) <= STATUSES.keys()
        assert gesture.to is None or gesture.to in STATUSES
        assert (gesture.frm is None) == (gesture.to is None)
        assert gesture.label.pt
        assert gesture.about.en
    for status in STATUSES.values():
        assert all((status.label.pt, status.label.en, status.about.pt, status.about.en))


def test_every_status_is_reached_from_a_draft():
    reached, edge = {"draft"}, ["draft"]
    while edge:
        new = following(edge.pop()) - reached
        reached |= new
        edge += new
    assert reached == STATUSES.keys()


@given(st.lists(st.integers(0, 10**6), max_size=60), st.sampled_from(sorted(STATUSES)))
def test_any_sequence_of_moves_and_gestures_ends_in_a_known_status(choices, status):
    for choice in choices:
        ways = sorted(following(status))
        assert status in ways
        new = ways[choice % len(ways)]
        check_move(status, new)
        status = new
        assert status in STATUSES


@pytest.mark.parametrize("old", STATUSES)
def test_what_does_not_follow_is_refused_with_what_does(old: str):
    for new in STATUSES.keys() - following(old):
        with pytest.raises(MoveNotAllowed) as refusal:
            check_move(old, new)
        for allowed in following(old) - {old}:
            assert allowed in refusal.value.advise("pt")


def test_a_status_that_does_not_exist_never_follows():
    for old in (None, *STATUSES):
        with pytest.raises(UnknownName):
            check_move(old, "banana")


@pytest.mark.parametrize("old", STATUSES)
def test_a_status_is_never_dropped(old: str):
    with pytest.raises(MoveNotAllowed):
        check_move(old, None)


def test_a_life_may_begin_anywhere_or_without_a_status():
    for new in (None, *STATUSES):
        check_move(None, new)


@pytest.mark.parametrize("status", [*STATUSES, None])
@pytest.mark.parametrize("language", ["pt", "en"])
def test_the_actions_are_exactly_the_gestures_that_are_let_through(status, language):
    one = record(status)
    actions = {action.gesture: action for action in allowed_actions(one, language)}
    for name, gesture in GESTURES.items():
        if name not in actions:
            with pytest.raises(MoveNotAllowed):
                check_gesture(name, status)
            continue
        assert check_gesture(name, status) is gesture
        action = actions[name]
        promised = {"ok": one.if_ok, "doubt": one.if_doubt, "not": one.if_not, None: None}
        assert action.consequence == promised[gesture.branch]
        assert action.label == gesture.label.in_(language)
        assert action.to == (gesture.to or status or "valid")
        assert status is None or action.to in following(status)


def test_completing_leads_to_the_status_that_the_author_claimed():
    ghost = msgspec.structs.replace(record("ghost"), details={"claimed_status": "executed"})
    assert {a.gesture: a.to for a in allowed_actions(ghost, "pt")}["complete"] == "executed"
    odd = msgspec.structs.replace(ghost, details={"claimed_status": ["x"]})
    assert {a.gesture: a.to for a in allowed_actions(odd, "pt")}["complete"] == "valid"


def test_an_unknown_gesture_is_refused_with_the_known():
    with pytest.raises(UnknownName) as refusal:
        check_gesture("dance", "valid")
    assert "confirm" in refusal.value.advise("en")
