"""The nine-field rule: what is missing is named, what was given is kept, nothing is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
import pytest

from loglineos.ledger.logline import NOT_ACTS, TYPES, explain, faults_of, judge
from loglineos.ledger.record import NINE, Draft
from loglineos.ledger.status import STATUSES
from tests.unit.test_seal import sealed

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "who": "joao", "did": "registrar", "this": "pedido 312", "at": NOON, "confirmed_by": "ana",
    "if_ok": "recibo", "if_doubt": "pedir", "if_not": "incidente", "status": "executed",
}  # fmt: skip


def draft(**fields: Any) -> Draft:
    return Draft(tenant_id="casa", **{**WHOLE, **fields})


def test_every_combination_of_missing_fields_is_named_exactly():
    for present in product([True, False], repeat=len(NINE)):
        missing = [name for name, is_there in zip(NINE, present, strict=True) if not is_there]
        judged = judge(draft(**{"at" if name == "when" else name: None for name in missing}))
        expected = [name for name in missing if name != "status"]
        if not expected:
            assert (judged.valid, judged.ghost_reason, judged.metadata) == (True, None, None)
            assert judged.status == ("valid" if missing else "executed")
            continue
        assert (judged.valid, judged.status) == (False, "ghost")
        assert judged.ghost_reason == f"faltam: {', '.join(expected)}"
        assert judged.metadata == {"faults": {"missing": expected}}
        claimed = None if "status" in missing else {"claimed_status": "executed"}
        assert judged.details == claimed


@pytest.mark.parametrize("name", [n for n in NINE if n not in ("when", "status")])
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_is_missing(name: str, blank: str):
    assert judge(draft(**{name: blank})).ghost_reason == f"faltam: {name}"


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_status_is_an_absent_one(blank: str):
    assert judge(draft(status=blank)).status == "valid"
    ghost = judge(draft(status=blank, did=None))
    assert (ghost.status, ghost.details) == ("ghost", None)


@pytest.mark.parametrize("status", STATUSES.keys() - {"ghost"})
def test_a_known_status_stays(status: str):
    assert (judge(draft(status=status)).status, judge(draft(status=status)).valid) == (status, True)


@pytest.mark.parametrize("type_", TYPES)
def test_a_known_type_stays(type_: str):
    assert judge(draft(type=type_)).type == type_


@pytest.mark.parametrize("name", ["status", "type"])
def test_an_unknown_name_is_kept_verbatim_and_named(name: str):
    judged = judge(draft(**{name: "banana"}))
    assert judged.ghost_reason == f"desconhecidos: {name}"
    assert (judged.details or {})["given"] == {name: "banana"}
    assert judged.type is None


@pytest.mark.parametrize("name", NINE)
def test_what_was_given_and_does_not_fit_is_malformed(name: str):
    column = "at" if name == "when" else name
    judged = judge(draft(**{column: None}, details={"given": {name: 42}}))
    assert judged.ghost_reason == f"mal formados: {name}"
    assert (judged.details or {})["given"] == {name: 42}


def test_raw_text_is_one_fault_whatever_stands_beside_it():
    given = {"raw": "olá", "raw_base64": "b2zDoQ==", "raw_hash": "ff", "raw_bytes": 4}
    judged = judge(Draft(tenant_id="casa", type="ghost", details={"given": given}))
    lacking = [name for name in NINE if name != "status"]
    assert judged.metadata == {"faults": {"unreadable": ["raw"], "missing": lacking}}
    assert judged.type == "ghost"
    assert "mal formados" not in (judged.ghost_reason or "")


def test_an_author_may_declare_an_act_incomplete():
    judged = judge(draft(status="ghost"))
    assert (judged.valid, judged.ghost_reason) == (False, "o autor declarou-o incompleto")


@pytest.mark.parametrize("entity_type", NOT_ACTS)
def test_what_claims_no_act_passes_unchanged(entity_type: str):
    one = Draft(tenant_id="casa", entity_type=entity_type, who="root", this="x")
    assert judge(one) is one


@pytest.mark.parametrize(
    "fields",
    [
        {"did": None},
        {"status": "banana"},
        {"type": "banana", "if_ok": " "},
        {"at": None, "details": {"given": {"when": "ontem", "tags": 5}}},
        {"status": None, "details": {"given": {"status": 5}}},
    ],
)
def test_judging_twice_finds_the_same_faults(fields: dict[str, Any]):
    once = judge(draft(**fields))
    claimed = (once.details or {}).get("claimed_status")
    again = msgspec.structs.replace(once, status=claimed, metadata=None)
    assert faults_of(again) == faults_of(draft(**fields))
    assert judge(again).metadata == once.metadata


def test_what_the_author_gave_is_never_thrown_away():
    details = {"nota": "x", "given": {"tags": 5}}
    judged = judge(draft(details=details, metadata={"origem": "csv"}, type="banana"))
    assert details == {"nota": "x", "given": {"tags": 5}}
    assert judged.details == {
        "nota": "x", "given": {"tags": 5, "type": "banana"}, "claimed_status": "executed"
    }  # fmt: skip
    assert (judged.metadata or {})["origem"] == "csv"


def test_the_reason_is_told_in_the_readers_language():
    judged = judge(draft(did=None, type="banana", details={"given": {"tags": 5}}))
    record = msgspec.structs.replace(
        sealed().record, status="ghost", ghost_reason=judged.ghost_reason, metadata=judged.metadata
    )
    assert explain(record, "pt") == "faltam: did; mal formados: tags; desconhecidos: type"
    assert explain(record, "en") == "missing: did; malformed: tags; unknown: type"
    assert explain(msgspec.structs.replace(record, status="valid"), "en") is None
    own = msgspec.structs.replace(record, metadata=None, ghost_reason="falta a fatura")
    assert explain(own, "en") == "falta a fatura"
