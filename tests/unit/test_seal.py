"""Sealing: bytes that never drift, a change in any column found, and every bound by its name."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given

from loglineos.base.clock import ManualClock, rfc3339
from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import (
    InvalidInput,
    LoglineError,
    SignatureBroken,
    TooLarge,
    UnknownName,
)
from loglineos.ledger import limits
from loglineos.ledger.canonical import canonical
from loglineos.ledger.columns import COLUMN_NAMES, COLUMNS
from loglineos.ledger.record import DRAFT_FIELDS, NOT_HASHED, RECORD_FIELDS, Draft, Record
from loglineos.ledger.seal import (
    DOMAIN,
    bytes_of,
    check_seal,
    claim_of,
    leaf_of,
    leaf_of_row,
    seal,
)
from loglineos.ledger.signature import signing_key, verify
from tests.drafts import NOON, drafts

KEY = signing_key(bytes(range(32)))
TEXTS = tuple(c.name for c in COLUMNS if c.sql_type == "text" and c.name in DRAFT_FIELDS)
NUMBERS = tuple(c.name for c in COLUMNS if c.sql_type == "bigint" and c.name in DRAFT_FIELDS)
FLOATS = tuple(c.name for c in COLUMNS if c.sql_type == "double precision")
LISTS = tuple(c.name for c in COLUMNS if c.sql_type == "text[]")
JSONS = tuple(c.name for c in COLUMNS if c.sql_type == "jsonb")
TIMES = ("at", "run_at", "lease_until")

FULL = Draft(
    tenant_id="casa", id=UUID("0195567c-0000-7000-8000-000000000001"), seq=1,
    entity_type="entrega", who="joao", did="registrar_entrega", this="pedido 312 — quarto 204",
    at=datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1))),
    confirmed_by="ana", if_ok="enviar recibo", if_doubt="pedir verificação",
    if_not="abrir incidente", status="valid", type="human", tags=("entrega", "ç"),
    subsystem="logística", source_file="entregas.csv", details={"b": [1, 2.5, None], "a": "\n€😀"},
    valid=True, ghost_reason="nenhuma", parent_id=UUID("0195567c-0000-7000-8000-000000000002"),
    related_to=(UUID("0195567c-0000-7000-8000-000000000003"),), trace_id="t1", span_id="s1",
    session_id="x1", cause_id=UUID("0195567c-0000-7000-8000-000000000004"), branch="ok",
    owner_id="joao", visibility="tenant", shared_with=("role:courier",), is_deleted=False,
    name="entrega", description="uma entrega", code="return 1", code_hash="ff", language="pt",
    runtime="py", version="1", entrypoint="main", effects=("net",), input={"n": 1}, output=[True],
    error="nada", output_hash="00", attempt=1, max_attempts=3, priority=-5, queue="rua",
    run_at=NOON, lease_until=NOON, worker="w1", idempotency_key="k1", simulated=False,
    cron="0 9 * * *", timezone="Europe/Lisbon", catch_up="skip", duration_ms=12, cost_micros=0,
    currency="EUR", model="m", provider="p", tokens_in=1, tokens_out=2, latency_ms=3, score=0.1,
    latitude=38.7169, longitude=-9.1399, content_hash="aa", content_type="text/plain",
    size_bytes=2**53 - 1, bucket="b", object_key="o", metadata={"\U00010000": 1e21, "\uffff": -0.0},
)  # fmt: skip
PREV = "1" * 64
GOLDEN_BYTES = (
    '{"at":"2026-03-02T11:00:00.123456Z","attempt":1,"branch":"ok","bucket":"b","catch_up":'
    '"skip","cause_id":"0195567c-0000-7000-8000-000000000004","code":"return 1","code_hash"'
    ':"ff","confirmed_by":"ana","content_hash":"aa","content_type":"text/plain","cost_micro'
    's":0,"cron":"0 9 * * *","currency":"EUR","description":"uma entrega","details":{"a":"'
    '\\n€😀","b":[1,2.5,null]},"did":"registrar_entrega","duration_ms":12,"effects":["net"],'
    '"entity_type":"entrega","entrypoint":"main","error":"nada","ghost_reason":"nenhuma","i'
    'd":"0195567c-0000-7000-8000-000000000001","idempotency_key":"k1","if_doubt":"pedir ver'
    'ificação","if_not":"abrir incidente","if_ok":"enviar recibo","input":{"n":1},"is_delet'
    'ed":false,"language":"pt","latency_ms":3,"latitude":38.7169,"lease_until":"2026-03-02T'
    '12:00:00.000000Z","longitude":-9.1399,"max_attempts":3,"metadata":{"𐀀":1e+21,"￿":0},"m'
    'odel":"m","name":"entrega","object_key":"o","output":[true],"output_hash":"00","owner_'
    'id":"joao","parent_id":"0195567c-0000-7000-8000-000000000002","prev_hash":"11111111111'
    '11111111111111111111111111111111111111111111111111111","priority":-5,"provider":"p","p'
    'ublic_key":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","queue":'
    '"rua","related_to":["0195567c-0000-7000-8000-000000000003"],"run_at":"2026-03-02T12:00'
    ':00.000000Z","runtime":"py","score":0.1,"seq":1,"session_id":"x1","shared_with":["role'
    ':courier"],"simulated":false,"size_bytes":9007199254740991,"source_file":"entregas.csv'
    '","span_id":"s1","status":"valid","subsystem":"logística","tags":["entrega","ç"],"tena'
    'nt_id":"casa","this":"pedido 312 — quarto 204","timezone":"Europe/Lisbon","tokens_in":'
    '1,"tokens_out":2,"trace_id":"t1","type":"human","valid":true,"version":"1","visibility'
    '":"tenant","who":"joao","worker":"w1"}'
)  # fmt: skip
GOLDEN_HASH = "fd945909d09daf2e91af8b5d89ed371ab06d60219101d1c8137598e297e2e7ac"
GOLDEN_SIGNATURE = (
    "f38048c77915cdcf9dbc346524424576852114ca3e1a7d0b3a0e53ba8e215395"
    "282053d6c6c1c324969ec21fab046a07ca01c5d21292f0f2855642178b581f0a"
)  # fmt: skip
GOLDEN_LEAF = (
    '{"at":"2026-03-02T12:00:00.000000Z","hash":"fd945909d09daf2e91af8b5d89ed371ab06d602191'
    '01d1c8137598e297e2e7ac","id":"0195567c-0000-7000-8000-000000000001","key":"03a107bff3c'
    'e10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","seq":1,"sig":"f38048c77915cdcf'
    '9dbc346524424576852114ca3e1a7d0b3a0e53ba8e215395282053d6c6c1c324969ec21fab046a07ca01c5'
    'd21292f0f2855642178b581f0a","tenant":"casa","v":1}'
)  # fmt: skip


def sealed(draft: Draft = FULL, *, now: datetime = NOON, prev_hash: str | None = PREV):
    return seal(
        draft, key=KEY, clock=ManualClock(now), entropy=SeededEntropy(1), prev_hash=prev_hash
    )


def with_(**fields: Any) -> Draft:
    return msgspec.structs.replace(FULL, **fields)


def refusal_of(draft: Draft) -> LoglineError:
    with pytest.raises(LoglineError) as refusal:
        sealed(draft)
    error = refusal.value
    for language in ("pt", "en"):
        assert "{" not in error.describe(language).replace("{'", "").replace("{}", "")
        assert error.advise(language)
    assert len(str(error)) < 400
    return error


# -- the format ---------------------------------------------------------------------------------


def test_draft_record_and_columns_name_the_same_things_in_the_same_order():
    assert RECORD_FIELDS == COLUMN_NAMES
    assert len(COLUMN_NAMES) == 79
    given_by_node = {"position", "recorded_at", "prev_hash", "curr_hash", "signature", "public_key"}
    assert tuple(name for name in COLUMN_NAMES if name not in given_by_node) == DRAFT_FIELDS


def test_the_bytes_of_a_full_record_never_drift():
    one = sealed()
    assert [name for name in DRAFT_FIELDS if getattr(FULL, name) is None] == []
    assert one.bytes.decode() == GOLDEN_BYTES
    assert one.record.curr_hash == GOLDEN_HASH
    assert one.record.signature == GOLDEN_SIGNATURE


def test_the_leaf_of_a_record_never_drifts_and_is_canonical_json():
    record = sealed().record
    at = rfc3339(NOON)
    entry = leaf_of(record, at)
    assert entry.decode() == GOLDEN_LEAF
    assert entry == canonical(
        {
            "v": 1, "tenant": record.tenant_id, "id": str(record.id), "seq": record.seq,
            "hash": record.curr_hash, "key": record.public_key, "sig": record.signature, "at": at,
        }
    )  # fmt: skip
    row = (record.id, 1, record.curr_hash, record.public_key, record.signature, NOON)
    assert leaf_of_row("casa", row) == entry
    assert len(entry) < limits.entry_bytes_max


def test_the_hash_covers_every_column_but_place_and_proof():
    covered = set(json.loads(sealed().bytes))
    assert covered == set(COLUMN_NAMES) - NOT_HASHED
    assert {"position", "recorded_at", "curr_hash", "signature"} == NOT_HASHED


@given(drafts)
def test_the_bytes_are_the_reference_serialisers_and_the_seal_holds(draft: Draft):
    one = sealed(draft, prev_hash=None)
    assert one.bytes == canonical(json.loads(one.bytes, parse_int=_exact))
    assert one.bytes == bytes_of(one.record) == check_seal(one.record)
    assert blake3(one.bytes).hexdigest() == one.record.curr_hash
    signature = bytes.fromhex(one.record.signature)
    assert verify(KEY.public, signature, DOMAIN + blake3(one.bytes).digest())


def _exact(digits: str) -> int | float:
    number = int(digits)
    return number if abs(number) <= limits.integer_max else float(number)


# -- a change anywhere is found -----------------------------------------------------------------


def changed(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, UUID):
        return UUID(int=value.int ^ 1)
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, tuple):
        return (*value, *value)
    if isinstance(value, dict):
        return {**value, "x": None}
    if isinstance(value, list):
        return [*value, None]
    if isinstance(value, int | float):
        return value - 1
    if name in ("curr_hash", "signature", "public_key", "prev_hash"):
        return ("0" if value[0] != "0" else "1") + value[1:]
    return {"visibility": "public", "branch": "not"}.get(name, f"{value}x")


@pytest.mark.parametrize("name", COLUMN_NAMES)
def test_a_change_in_any_column_breaks_the_seal(name: str):
    record = msgspec.structs.replace(sealed().record, position=7, recorded_at=NOON)
    assert check_seal(record)
    other = msgspec.structs.replace(record, **{name: changed(name, getattr(record, name))})
    if name in ("position", "recorded_at"):  # the log's own to say: the leaf and the tree bind them
        assert check_seal(other)
        assert name == "position" or leaf_of(other, rfc3339(other.recorded_at)) != leaf_of(
            record, rfc3339(NOON)
        )
        return
    with pytest.raises(SignatureBroken):
        check_seal(other)


@pytest.mark.parametrize("name", [n for n in COLUMN_NAMES if n not in NOT_HASHED])
def test_a_column_that_vanishes_breaks_the_seal(name: str):
    gone = msgspec.structs.replace(sealed().record, **{name: None})
    with pytest.raises((SignatureBroken, InvalidInput)):
        check_seal(gone)


@pytest.mark.parametrize("name", ["signature", "public_key"])
@pytest.mark.parametrize(
    "other", [str.upper, lambda t: f" {t}", lambda t: t[:-1], lambda t: "zz" + t[2:]]
)
def test_a_proof_has_one_spelling_only(name: str, other: Any):
    record = sealed().record
    value = other(getattr(record, name))
    with pytest.raises(SignatureBroken):
        one = msgspec.structs.replace(record, **{name: value})
        if (
            name == "public_key"
        ):  # it is hashed: seal it anew, so that only the spelling is at fault
            digest = blake3(bytes_of(one)).hexdigest()
            one = msgspec.structs.replace(one, curr_hash=digest)
        claim_of(one, bytes_of(one))


def test_another_keys_signature_does_not_hold():
    record = sealed().record
    stranger = signing_key(b"s" * 32)
    forged = stranger.sign(DOMAIN + bytes.fromhex(record.curr_hash)).hex()
    with pytest.raises(SignatureBroken):
        check_seal(msgspec.structs.replace(record, signature=forged))


def test_a_signature_over_the_hash_without_its_domain_does_not_hold():
    record = sealed().record
    bare = KEY.sign(bytes.fromhex(record.curr_hash)).hex()
    with pytest.raises(SignatureBroken):
        check_seal(msgspec.structs.replace(record, signature=bare))


# -- what seal fills in, and makes one of many ----------------------------------------------------


def test_what_the_author_leaves_out_is_filled_in():
    one = sealed(with_(id=None, seq=None, at=None), prev_hash=None).record
    assert (one.id.version, one.seq, one.at) == (7, 0, NOON)
    assert one.public_key == KEY.public.hex()
    assert (one.position, one.recorded_at) == (None, None)


@pytest.mark.parametrize("name", TIMES)
def test_the_same_instant_in_any_zone_has_the_same_bytes(name: str):
    zones = [UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=5, minutes=45))]
    told = [sealed(with_(**{name: NOON.astimezone(zone)})) for zone in zones]
    assert len({one.bytes for one in told}) == 1
    assert {getattr(one.record, name).tzinfo for one in told} == {UTC}


def test_a_list_or_a_tuple_is_the_same_record():
    assert sealed(with_(tags=["a", "b"])) == sealed(with_(tags=("a", "b")))


def test_sealing_changes_nothing_of_the_draft():
    before = msgspec.structs.asdict(FULL)
    sealed()
    assert msgspec.structs.asdict(FULL) == before


# -- bad input, each with field and remedy --------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x\udfff"], ids=["nul", "high", "low"])
def test_text_that_cannot_be_stored_is_named(name: str, bad: str):
    error = refusal_of(with_(**{name: bad}))
    assert error.fields["field"] == name
    assert isinstance(error, InvalidInput)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("bad", ["a\0", "\udc00"], ids=["nul", "surrogate"])
def test_text_in_a_list_is_named_with_its_place(name: str, bad: str):
    assert refusal_of(with_(**{name: ("ok", bad)})).fields["field"] == f"{name}[1]"


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("bad", ["\0", "\ud800", math.nan, math.inf, 2**53, {1: 2}, b"x", NOON])
def test_what_is_no_json_is_named_with_its_path(name: str, bad: Any):
    field = refusal_of(with_(**{name: {"a": [0, bad]}})).fields["field"]
    assert field == f"{name}.a[1]"


@pytest.mark.parametrize("name", JSONS)
@pytest.mark.parametrize("leaf", [1, 1.5])
def test_every_json_column_may_be_as_deep_as_the_limit_says(name: str, leaf: Any):
    for _ in range(limits.json_depth_max):
        leaf = {"a": leaf}
    assert sealed(with_(**{name: leaf}))
    error = refusal_of(with_(**{name: {"a": leaf}}))
    assert isinstance(error, TooLarge)
    assert error.fields["limit_name"] == "json_depth_max"
    assert str(error.fields["field"]).startswith(f"{name}.a.a")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("bad", [2**53, -(2**53), 2**63, 10**5000], ids=["+", "-", "64", "long"])
def test_an_integer_beyond_2_to_53_is_named(name: str, bad: int):
    assert sealed(with_(**{name: 2**53 - 1}))
    assert refusal_of(with_(**{name: bad})).fields["field"] == name


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2**60])
def test_a_number_without_canonical_form_is_named(name: str, bad: float):
    assert refusal_of(with_(**{name: bad})).fields["field"] == name


@pytest.mark.parametrize("seq", [-1, 2**31, 2**70])
def test_seq_stays_in_its_range(seq: int):
    assert refusal_of(with_(seq=seq)).fields["field"] == "seq"


@pytest.mark.parametrize("name", TIMES)
def test_a_time_without_zone_is_named_as_people_call_it(name: str):
    error = refusal_of(with_(**{name: NOON.replace(tzinfo=None)}))
    assert error.fields["field"] == ("when" if name == "at" else name)
    assert "zone" in str(error)


def test_a_time_outside_the_calendar_is_named():
    east = timezone(timedelta(hours=2))
    assert refusal_of(with_(at=datetime(1, 1, 1, tzinfo=east))).fields["field"] == "when"


def test_when_may_lie_five_minutes_ahead_and_no_more():
    ahead = limits.when_ahead_max
    assert sealed(with_(at=NOON + ahead))
    error = refusal_of(with_(at=NOON + ahead + timedelta(microseconds=1)))
    assert error.fields["field"] == "when"
    assert "run_at" in error.advise("pt")
    assert "run_at" in error.advise("en")
    assert sealed(with_(run_at=NOON + timedelta(days=400)))


WRONG = {
    "who": 5, "this": b"x", "status": ["valid"], "id": "0195567c-0000-7000-8000-000000000001",
    "at": "2026-03-02T12:00:00Z", "valid": 1, "is_deleted": "no", "seq": True, "attempt": 1.5,
    "duration_ms": "12", "score": "0.5", "latitude": True, "details": [1], "metadata": "x",
    "tags": "abc", "related_to": {1}, "run_at": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_the_wrong_type_is_named(name: str):
    field = refusal_of(with_(**{name: WRONG[name]})).fields["field"]
    assert field == ("when" if name == "at" else name)


def test_an_item_of_the_wrong_type_is_named_with_its_place():
    assert refusal_of(with_(tags=("a", 5))).fields["field"] == "tags[1]"
    assert refusal_of(with_(tags=(None,))).fields["field"] == "tags[0]"
    assert refusal_of(with_(related_to=("x",))).fields["field"] == "related_to[0]"


@pytest.mark.parametrize("name", ["tenant_id", "entity_type", "visibility", "is_deleted"])
def test_what_every_record_has_may_not_be_left_out(name: str):
    assert refusal_of(with_(**{name: None})).fields["field"] == name


@pytest.mark.parametrize("name", ["visibility", "branch"])
def test_a_name_out_of_its_list_is_refused_with_the_list(name: str):
    error = refusal_of(with_(**{name: "secret"}))
    assert isinstance(error, UnknownName)
    assert error.fields["field"] == name
    assert "ok" in error.advise("en") or "tenant" in error.advise("en")


@pytest.mark.parametrize("name", ["who", "this"])
def test_only_a_ghost_may_lack_who_or_this(name: str):
    assert sealed(with_(**{name: None}, status="ghost"))
    assert refusal_of(with_(**{name: None})).fields["field"] == name


SIZES = [
    ("who", "name_bytes_max", "é" * 256),
    ("did", "name_bytes_max", "x" * 512),
    ("queue", "name_bytes_max", "😀" * 128),
    ("this", "text_bytes_max", "x" * 65_536),
    ("if_not", "text_bytes_max", "é" * 32_768),
]


@pytest.mark.parametrize(("name", "limit", "longest"), SIZES)
def test_a_text_may_be_as_long_as_its_limit_and_no_longer(name: str, limit: str, longest: str):
    assert sealed(with_(**{name: longest}))
    error = refusal_of(with_(**{name: longest + "x"}))
    assert isinstance(error, TooLarge)
    assert error.fields == {
        "field": name,
        "shape": f"{len(longest.encode()) + 1} bytes",
        "limit": getattr(limits, limit),
        "limit_name": limit,
    }
    assert "content_hash" in error.advise("pt")


@pytest.mark.parametrize("name", [*LISTS, "related_to"])
def test_a_list_has_a_bound(name: str):
    item: Any = UUID(int=1) if name == "related_to" else "x"
    assert sealed(with_(**{name: (item,) * limits.list_items_max}))
    error = refusal_of(with_(**{name: (item,) * (limits.list_items_max + 1)}))
    assert (error.fields["field"], error.fields["limit_name"]) == (name, "list_items_max")


def test_a_record_may_be_as_large_as_its_limit_and_no_larger():
    empty = len(sealed(with_(code="")).bytes)
    fitting = "x" * (limits.record_bytes_max - empty)
    assert len(sealed(with_(code=fitting)).bytes) == limits.record_bytes_max
    error = refusal_of(with_(code=fitting + "x"))
    assert (error.fields["field"], error.fields["limit_name"]) == ("record", "record_bytes_max")


def test_a_text_that_only_spells_an_escape_is_no_control_character():
    one = sealed(with_(this="\\u0000 é o nome do caráter"))
    assert check_seal(one.record) == one.bytes


def test_a_record_that_was_admitted_is_not_asked_again_how_far_ahead_it_was():
    one = sealed().record
    assert bytes_of(one, now=None) == bytes_of(one, now=NOON)
    with pytest.raises(InvalidInput, match="when"):
        bytes_of(one, now=NOON - timedelta(days=1))


def test_a_record_is_not_its_own_place():
    one = sealed().record
    placed = msgspec.structs.replace(one, position=1, recorded_at=NOON)
    assert isinstance(placed, Record)
    assert bytes_of(placed) == bytes_of(one)
