"""Trust without a database: the first record, terms by position, and who speaks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loglineos.base.errors import Forbidden, InvalidInput, KeyNotTrusted
from loglineos.ledger.record import Record
from loglineos.ledger.signature import signing_key
from loglineos.ledger.trust import (
    KeyTerm,
    Trust,
    actor_entity_id,
    key_entity_id,
    speaker_of,
    tenant_entity_id,
    term_of,
)
from tests.unit.test_seal import sealed
from tests.unit.test_signature import UNSAFE

ROOT, ANA = (signing_key(bytes([n]) * 32).public.hex() for n in (1, 2))


def record(**fields: Any) -> Record:
    return msgspec.structs.replace(sealed().record, metadata=None, **fields)


def founding(**fields: Any) -> Record:
    told = {
        "entity_type": "tenant", "id": tenant_entity_id("casa"), "seq": 0, "this": "casa",
        "who": "root", "public_key": ROOT, "status": "active",
    }  # fmt: skip
    return record(**{**told, **fields})


def key_event(status: str = "active", **fields: Any) -> Record:
    told = {
        "entity_type": "key", "id": key_entity_id("casa", ANA), "this": ANA, "name": "ana",
        "who": "root", "public_key": ROOT, "status": status,
    }  # fmt: skip
    one = record(**{**told, **fields})
    return msgspec.structs.replace(one, metadata={"role": "operator", "custody": "own"})


def founded() -> Trust:
    trust = Trust()
    trust.check(founding(), 0)
    trust.apply(founding(), 0)
    return trust


@pytest.mark.parametrize(
    "fields",
    [
        {"entity_type": "logline"}, {"seq": 1}, {"this": "pensao"},
        {"id": tenant_entity_id("pensao")}, {"tenant_id": "pensao"},
        *({"public_key": key} for key in UNSAFE.values()),
    ],
)  # fmt: skip
def test_a_forged_founding_is_refused(fields: dict[str, Any]):
    with pytest.raises(KeyNotTrusted):
        Trust().check(founding(**fields), 0)


def test_a_founding_that_names_another_root_is_refused():
    with pytest.raises(KeyNotTrusted):
        Trust().check(msgspec.structs.replace(founding(), metadata={"root": ANA}), 0)


def test_a_key_is_good_exactly_between_its_two_positions():
    trust = founded()
    trust.apply(key_event(), 3)
    trust.apply(key_event("revoked"), 6)
    act = record(who="ana", public_key=ANA)
    good = []
    for position in range(1, 9):
        try:
            trust.check(act, position)
        except KeyNotTrusted:
            continue
        good.append(position)
    assert good == [4, 5, 6]
    assert [bool(trust.keys_of("ana", n)) for n in (3, 4, 6, 7)] == [False, True, True, False]


def test_a_copy_is_independent():
    trust = founded()
    copy = trust.copy()
    copy.apply(key_event(), 1)
    assert ANA in copy.terms
    assert ANA not in trust.terms


def test_a_key_is_enrolled_once_and_ended_once():
    trust = founded()
    with pytest.raises(KeyNotTrusted):
        trust.apply(key_event("revoked"), 1)
    trust.apply(key_event(), 1)
    with pytest.raises(KeyNotTrusted):
        trust.apply(key_event(), 2)
    trust.apply(key_event("revoked"), 3)
    for status in ("active", "revoked"):
        with pytest.raises(KeyNotTrusted):
            trust.apply(key_event(status), 4)


@pytest.mark.parametrize("status", [None, "ghost", "archived", "valid"])
def test_a_key_record_begins_or_ends_a_term_and_nothing_else(status: Any):
    with pytest.raises(InvalidInput):
        term_of(key_event(status), 1)


@pytest.mark.parametrize("key", [*UNSAFE.values(), ANA.upper(), "zz", "", f" {ANA}"])
def test_a_key_that_is_unsafe_or_spelt_otherwise_begins_no_term(key: str):
    with pytest.raises(KeyNotTrusted):
        term_of(key_event(this=key, id=key_entity_id("casa", key)), 1)


def test_the_node_speaks_for_whoever_has_no_key_of_their_own_in_force():
    node = KeyTerm(public_key=ROOT, actor="node", role="service", custody="node", enrolled=0)
    own = KeyTerm(
        public_key=ANA, actor="ana", role="operator", custody="own", enrolled=2, revoked=4
    )
    trust = Trust([node, own])
    act = record(who="ana", public_key=ROOT)
    for position, is_free in ((2, True), (3, False), (4, False), (5, True)):
        if is_free:
            trust.check(act, position)
        else:
            with pytest.raises(KeyNotTrusted):
                trust.check(act, position)
    trust.check(record(who="joao", public_key=ROOT), 3)


@pytest.mark.parametrize(
    "spelling",
    ["joão", "João", " joão", "joão\n", "joa\u0303o", "jo\u200bão", "\u202djoão", "joão\x07"],
)
def test_no_spelling_of_a_name_lets_the_node_speak_for_its_own_key(spelling: str):
    trust = founded()
    node = signing_key(b"\x03" * 32).public.hex()
    trust._keep(KeyTerm(public_key=node, actor="node", role="service", custody="node", enrolled=1))
    trust.apply(msgspec.structs.replace(key_event(), name="joão"), 2)
    with pytest.raises(KeyNotTrusted):
        trust.check(record(who=spelling, public_key=node), 5)
    for other in ("joao", "joana", "joão silva", "", None):
        trust.check(record(who=other, public_key=node), 5)


@pytest.mark.parametrize("kind", ["tenant", "manifest"])
@pytest.mark.parametrize("role", ["manager", "service", "operator", "agent"])
def test_only_owners_define_the_house(kind: str, role: str):
    trust = founded()
    trust._keep(KeyTerm(public_key=ANA, actor="ana", role=role, custody="held", enrolled=1))
    defining = record(entity_type=kind, who="ana", public_key=ANA, seq=1)
    with pytest.raises(Forbidden):
        trust.check(defining, 5)
    trust._keep(KeyTerm(public_key=ANA, actor="ana", role="owner", custody="held", enrolled=1))
    trust.check(defining, 5)


def test_an_addition_speaks_in_the_name_of_who_adds():
    told = {"gesture": "annotate", "by": "ana"}
    one = record(who="joao", seq=1)
    assert speaker_of(one) == "joao"
    assert speaker_of(msgspec.structs.replace(one, metadata=told)) == "ana"
    assert speaker_of(msgspec.structs.replace(one, metadata=told, seq=0)) == "joao"
    for metadata in ({**told, "gesture": "confirm"}, {**told, "by": 5}, {"by": "ana"}):
        assert speaker_of(msgspec.structs.replace(one, metadata=metadata)) == "joao"


def test_ids_made_of_names_are_stable_and_apart():
    ids = {tenant_entity_id("casa"), actor_entity_id("casa", "ana"), key_entity_id("casa", "ana")}
    ids |= {actor_entity_id("casa", "joao"), actor_entity_id("pensao", "ana")}
    assert len(ids) == 5
    assert {one.version for one in ids} == {8}
    assert str(tenant_entity_id("casa")) == str(tenant_entity_id("casa"))
