"""Gestures on a real ledger: what each leads to, ghosts completed, races, and who speaks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loglineos.base.errors import (
    Conflict,
    InvalidInput,
    KeyNotTrusted,
    MoveNotAllowed,
    NotFound,
    Refused,
    UnknownName,
)
from loglineos.base.ids import uuid7
from loglineos.ledger.founding import give_held_key
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import check_seal, seal
from loglineos.ledger.status import GESTURES, STATUSES
from tests.integration.conftest import NINE, House


async def gesture(house: House, name: str, head: Record, **more: Any) -> Record:
    more.setdefault("by", "ana")
    return await make_gesture(house.writer, name, head.id, tenant="casa", **more)


async def test_each_gesture_from_each_status_does_what_the_table_says(house: House) -> None:
    for status in STATUSES.keys() - {"ghost"}:
        for name, known in GESTURES.items():
            head = await house.add(status=status, attempt=2, latitude=38.7, idempotency_key="k")
            size = await house.writer.log_size("casa")
            if known.frm is not None and status not in known.frm:
                with pytest.raises(MoveNotAllowed):
                    await gesture(house, name, head, note="nota")
                assert await house.writer.log_size("casa") == size
                continue
            done = await gesture(house, name, head, note="nota")
            assert (done.seq, done.prev_hash, done.valid) == (1, head.curr_hash, True)
            assert done.status == (known.to or status)
            assert (done.this, done.if_not, done.attempt) == (head.this, head.if_not, 2)
            assert done.idempotency_key == "k"
            assert (done.details or {})["note"] == "nota"
            assert (done.metadata or {})["by"] == "ana"
            if name == "annotate":
                assert (done.who, done.did, done.at) == (head.who, head.did, head.at)
                assert done.latitude == head.latitude
            else:
                assert (done.who, done.did, done.branch) == ("ana", name, known.branch)
                assert done.confirmed_by == "ana"
            assert check_seal(done)


async def test_a_ghost_is_completed_field_by_field(house: House) -> None:
    lacking = {"confirmed_by": "ana", "if_ok": "recibo", "did": "entregar"}
    ghost = await house.add(status="executed", score=0.5, **dict.fromkeys(lacking))
    head = ghost
    for name, value in lacking.items():
        assert head.status == "ghost"
        assert (head.metadata or {})["faults"]["missing"] == [
            n for n in ("did", "confirmed_by", "if_ok") if getattr(head, n) is None
        ]
        head = await gesture(house, "complete", head, fields={name: value})
    assert (head.seq, head.valid, head.status, head.ghost_reason) == (3, True, "executed", None)
    assert (head.who, head.at, head.score) == (ghost.who, ghost.at, 0.5)
    assert "faults" not in (head.metadata or {})
    assert head.details is None


async def test_a_raw_ghost_is_completed_and_its_text_kept(house: House) -> None:
    given = {"raw": "entreguei o 312", "raw_base64": "ZQ=="}
    (ghost,) = await house.writer.append(
        [Draft(type="ghost", details={"given": given})], tenant="casa"
    )
    head = ghost
    for name, value in NINE.items():
        if name != "status":
            head = await gesture(
                house, "complete", head, fields={"when" if name == "at" else name: value}
            )
    assert (head.status, head.valid, head.type) == ("valid", True, None)
    assert head.details == {"replaced": given}
    assert head.at == NINE["at"]


async def test_a_value_that_did_not_fit_is_replaced_or_let_go(house: House) -> None:
    given = {"when": "ontem", "tags": 5, "score": "alto"}
    ghost = await house.add(at=None, details={"given": given})
    head = await gesture(
        house, "complete", ghost, fields={"when": "2026-03-01T10:00:00Z", "tags": ["rua"]}
    )
    assert (head.status, (head.metadata or {})["faults"]) == ("ghost", {"malformed": ["score"]})
    head = await gesture(house, "complete", head, fields={"score": None})
    assert (head.status, head.tags, head.score) == ("valid", ("rua",), None)
    assert head.details == {"replaced": given}


BAD_FIELDS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"banana": 1}, UnknownName),
    ({"tags": ["x"]}, UnknownName),
    ({"did": " "}, InvalidInput),
    ({"did": None}, InvalidInput),
    ({"did": 5}, InvalidInput),
    ({"when": "ontem"}, InvalidInput),
    ({"status": "ghost"}, UnknownName),
    ({"status": "banana"}, UnknownName),
    ({"type": "banana"}, UnknownName),
    ({"who": "outra pessoa"}, InvalidInput),
]


@pytest.mark.parametrize(("fields", "error"), BAD_FIELDS)
async def test_a_completion_that_cannot_be_is_refused(house: House, fields, error) -> None:
    ghost = await house.add(did=None)
    with pytest.raises(error):
        await gesture(house, "complete", ghost, fields=fields)
    assert (await house.writer.latest("casa", ghost.id)) == ghost


@pytest.mark.parametrize(
    "fields",
    [
        {"did": None, "status": "executed"},
        {"status": "banana"},
        {"at": None, "details": {"given": {"when": "ontem"}}},
        {"status": "ghost"},
        {"type": "banana", "is_deleted": True},
    ],
)
async def test_a_note_on_a_ghost_changes_nothing_else(house: House, fields: dict[str, Any]) -> None:
    ghost = await house.add(**fields)
    noted = await gesture(house, "annotate", ghost, note="vi isto")
    assert (noted.status, noted.valid) == ("ghost", False)
    assert noted.ghost_reason == ghost.ghost_reason
    assert (noted.metadata or {})["faults"] == (ghost.metadata or {})["faults"]
    assert noted.details == {**(ghost.details or {}), "note": "vi isto"}
    assert (noted.is_deleted, noted.type) == (ghost.is_deleted, ghost.type)


async def test_gestures_that_race_are_each_judged_by_what_came_before(house: House) -> None:
    head = await house.add()
    answers = await asyncio.gather(
        *[gesture(house, "confirm", head, by=f"p{n}") for n in range(4)], return_exceptions=True
    )
    done = [one for one in answers if isinstance(one, Record)]
    assert len(done) == 1
    assert [type(one) for one in answers if not isinstance(one, Record)] == [MoveNotAllowed] * 3
    assert (await house.writer.latest("casa", head.id)) == done[0]


async def test_notes_that_race_are_all_kept(house: House) -> None:
    head = await house.add()
    await asyncio.gather(*[gesture(house, "annotate", head, note=f"n{n}") for n in range(5)])
    assert (await house.writer.latest("casa", head.id)).seq == 5


async def test_what_moved_on_since_it_was_seen_is_a_conflict(house: House) -> None:
    head = await house.add()
    assert (await gesture(house, "question", head, expected_seq=0)).seq == 1
    with pytest.raises(Conflict):
        await gesture(house, "confirm", head, expected_seq=0)
    assert (await house.writer.latest("casa", head.id)).seq == 1


async def test_a_gesture_needs_a_person_a_note_and_an_entity(house: House) -> None:
    head = await house.add()
    with pytest.raises(InvalidInput):
        await gesture(house, "confirm", head, by=" ")
    with pytest.raises(InvalidInput):
        await gesture(house, "annotate", head)
    with pytest.raises(InvalidInput):
        await gesture(house, "confirm", head, fields={"did": "x"})
    with pytest.raises(UnknownName):
        await gesture(house, "dance", head)
    with pytest.raises(NotFound):
        await make_gesture(house.writer, "confirm", uuid7(), tenant="casa", by="ana")
    assert (await house.writer.latest("casa", head.id)) == head


async def test_an_addition_is_signed_by_who_adds_not_by_the_author(house: House) -> None:
    for actor in ("joao", "ana"):
        await give_held_key(house.writer, "casa", actor, role="operator")
    joao, ana = house.keyring.held("casa", "joao"), house.keyring.held("casa", "ana")
    assert joao is not None
    assert ana is not None
    ghost = await house.add(did=None)
    assert ghost.public_key == joao.public.hex()
    for name, more in (("annotate", {"note": "x"}), ("complete", {"fields": {"did": "entregar"}})):
        done = await gesture(house, name, ghost, **more)
        assert (done.who, done.public_key) == ("joao", ana.public.hex())


async def test_who_adds_cannot_change_who_did_what(house: House) -> None:
    await give_held_key(house.writer, "casa", "ana", role="operator")
    ana = house.keyring.held("casa", "ana")
    assert ana is not None
    head = await house.add()

    async def add(**fields: Any) -> None:
        told = {**NINE, "tenant_id": "casa", "id": head.id, "seq": 1, "valid": True, **fields}
        one = seal(
            Draft(**told), key=ana, clock=house.clock, entropy=house.entropy,
            prev_hash=head.curr_hash,
        )  # fmt: skip
        await house.writer.append_signed([one.record])

    noted = {"gesture": "annotate", "by": "ana"}
    with pytest.raises(KeyNotTrusted):
        await add()
    with pytest.raises(KeyNotTrusted):
        await add(metadata={**noted, "by": "rui"})
    for name in ("who", "did", "this"):
        with pytest.raises(Refused):
            await add(**{name: "outra coisa"}, metadata=noted)
    assert (await house.writer.latest("casa", head.id)) == head
    await add(metadata=noted)
    assert (await house.writer.latest("casa", head.id)).seq == 1
