r"""Sealing: a draft becomes a record with its hash and signature, or a foreign seal is checked.

    canonical bytes = RFC 8785 of the record without nulls and without position, recorded_at,
                      curr_hash and signature
    curr_hash       = BLAKE3-256 of those bytes, hex
    signature       = Ed25519("loglineos/record/v1\n" + the 32 bytes of curr_hash), hex
    leaf            = RFC 8785 of {v, tenant, id, seq, hash, key, sig, at}

Always holds: what `seal` returns passes `check_seal`; the bytes kept beside the record are the
bytes that were hashed, and the same bytes are what the database is given to store.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.clock import Clock, rfc3339
from loglineos.base.entropy import Entropy
from loglineos.base.errors import InvalidInput, LoglineError, SignatureBroken, TooLarge, shape_of
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.canonical import is_plain, write_strict
from loglineos.ledger.fitting import check_fit, check_texts, shown
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.signature import Claim, SigningKey, verify

DOMAIN: Final = b"loglineos/record/v1\n"
_JSON_FIELDS: Final = ("details", "input", "output", "error", "metadata")
_TIME_FIELDS: Final = ("at", "run_at", "lease_until")
_FLOAT_FIELDS: Final = ("score", "latitude", "longitude")
_INDEXED_FIELDS: Final = (
    "tenant_id", "entity_type", "who", "did", "status", "type", "trace_id", "span_id",
    "session_id", "owner_id", "name", "queue", "worker", "idempotency_key", "content_hash",
)  # fmt: skip
_LIST_FIELDS: Final = ("tags", "related_to", "shared_with", "effects")
_SEQ_MAX: Final = 2**31 - 1


class Sealed(NamedTuple):
    """A record with its proof but without its place, and the canonical bytes that were hashed."""

    record: Record
    bytes: bytes


def seal(
    draft: Draft,
    *,
    key: SigningKey,
    clock: Clock,
    entropy: Entropy,
    prev_hash: str | None = None,
) -> Sealed:
    """Turn a judged draft into a sealed record signed by `key`.

    `id` absent: a new UUIDv7; `seq` absent: 0; `at` absent: the clock's now. `tenant_id` must be
    set. `prev_hash` is the `curr_hash` of the event before; None exactly for `seq` 0.

    Raises:
        InvalidInput: a value has no canonical form, a time has no zone or lies too far ahead.
        TooLarge: a column or the whole record is over its limit.

    Source: RFC 8785 (bytes), RFC 8032 (signature).
    """
    now = clock.now()
    fields: dict[str, Any] = msgspec.structs.asdict(draft)
    fields["id"] = draft.id or uuid7(clock, entropy)
    fields["seq"] = draft.seq or 0
    fields["at"] = draft.at or now
    fields["prev_hash"] = prev_hash
    fields["public_key"] = key.public.hex()
    payload = {name: value for name, value in fields.items() if value is not None}
    encoded = encode(payload, now=now)
    digest = blake3(encoded).digest()
    payload["curr_hash"] = digest.hex()
    payload["signature"] = key.sign(DOMAIN + digest).hex()
    for name in _TIME_FIELDS:
        if name in payload:
            payload[name] = fields[name].astimezone(UTC)
    for name in _LIST_FIELDS:
        if name in payload:
            payload[name] = tuple(fields[name])
    return Sealed(Record(**payload), encoded)


def encode(payload: dict[str, Any], *, now: datetime | None) -> bytes:
    """Check the columns of a record and write its canonical bytes; `payload` is left as it was.

    `now` bounds `at` (None: not checked, for what was admitted before).

    Raises:
        InvalidInput, TooLarge: see `seal`.
    """
    check_fit(payload)
    plain = True
    for name in _JSON_FIELDS:
        if name in payload:
            plain = is_plain(payload[name], field=name) and plain
    value = dict(payload)
    for name in _TIME_FIELDS:
        if name in value:
            value[name] = _time(value[name], name)
    for name in _FLOAT_FIELDS:
        if name in value:
            plain = is_plain(value[name], field=name) and plain
    if now is not None and payload["at"] - now > limits.when_ahead_max:
        raise InvalidInput(field="when", shape=value["at"], reason=_AHEAD, remedy=_AHEAD_REMEDY)
    if not 0 <= value["seq"] <= _SEQ_MAX:
        raise InvalidInput(field="seq", shape=shape_of(value["seq"]), reason=_SEQ)
    encoded = _written(value, plain)
    _check_sizes(value, encoded)
    return encoded


def _written(value: dict[str, Any], plain: bool) -> bytes:
    """Write checked columns; the JSON columns were checked, and are plain as `plain` says."""
    if plain:
        try:
            encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
        except TypeError:
            encoded = b""
        if encoded and b"\\u0000" not in encoded:
            return encoded
    check_texts(value)
    return write_strict(_texts(value))


def _texts(value: dict[str, Any]) -> dict[str, Any]:
    """Write ids as text, so that the strict serialiser, which knows JSON only, can take them."""
    told: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, UUID):
            told[name] = str(item)
        elif name in _LIST_FIELDS:
            told[name] = [str(part) if isinstance(part, UUID) else part for part in item]
        else:
            told[name] = item
    return told


def _time(value: datetime, field: str) -> str:
    if value.tzinfo is None:
        raise InvalidInput(field=shown(field), shape=shape_of(value), reason=_ZONE)
    try:
        return rfc3339(value)
    except OverflowError as cause:  # the first or last day of the calendar, in another zone
        raise InvalidInput(field=shown(field), shape=shape_of(value), reason=_CALENDAR) from cause


def _check_sizes(value: dict[str, Any], encoded: bytes) -> None:
    if len(encoded) > limits.record_bytes_max:
        raise _too_large("record", f"{len(encoded)} bytes", "record_bytes_max")
    for name in _INDEXED_FIELDS:
        text = value.get(name)
        if text is not None and len(text) * 4 > limits.name_bytes_max:
            size = len(text.encode())
            if size > limits.name_bytes_max:
                raise _too_large(name, f"{size} bytes", "name_bytes_max")
    for name in _LIST_FIELDS:
        items = value.get(name)
        if items is not None and len(items) > limits.list_items_max:
            raise _too_large(name, f"list of {len(items)}", "list_items_max")
    if len(encoded) > limits.text_bytes_max:
        for name, text in value.items():
            if name != "code" and isinstance(text, str):
                size = len(text.encode())
                if size > limits.text_bytes_max:
                    raise _too_large(name, f"{size} bytes", "text_bytes_max")


def _too_large(field: str, shape: str, limit_name: str) -> TooLarge:
    return TooLarge(
        field=field, shape=shape, limit=getattr(limits, limit_name), limit_name=limit_name
    )


def payload_of(record: Record) -> dict[str, Any]:
    """Return the columns of a record that are hashed, without nulls."""
    fields = msgspec.structs.asdict(record)
    for name in ("position", "recorded_at", "curr_hash", "signature"):
        del fields[name]
    return {name: value for name, value in fields.items() if value is not None}


def bytes_of(record: Record, *, now: datetime | None = None) -> bytes:
    """Write the canonical bytes of a record, sealed or stored.

    Raises:
        InvalidInput, TooLarge: the record could never have been admitted.
    """
    return encode(payload_of(record), now=now)


def claim_of(record: Record, encoded: bytes) -> Claim:
    """Check the hash of a record against its bytes and return what its signature must be for.

    Raises:
        SignatureBroken: `curr_hash` is not the hash of the bytes, or a proof column is no hex.
    """
    digest = blake3(encoded).digest()
    if digest.hex() != record.curr_hash:
        raise SignatureBroken(id=str(record.id), seq=record.seq, reason=_HASH)
    try:
        public, signature = bytes.fromhex(record.public_key), bytes.fromhex(record.signature)
    except ValueError as cause:
        raise SignatureBroken(id=str(record.id), seq=record.seq, reason=_HEX) from cause
    if (public.hex(), signature.hex()) != (record.public_key, record.signature):
        raise SignatureBroken(id=str(record.id), seq=record.seq, reason=_HEX)
    return Claim(public, signature, DOMAIN + digest)


def check_seal(record: Record) -> bytes:
    """Check hash and signature of a record; return its canonical bytes.

    Raises:
        SignatureBroken: either does not hold.
        InvalidInput, TooLarge: the record has no canonical form.
    """
    encoded = bytes_of(record)
    claim = claim_of(record, encoded)
    if not verify(claim.public, claim.signature, claim.message):
        raise signature_broken(record)
    return encoded


def signature_broken(record: Record) -> LoglineError:
    """Make the error for a signature that does not fit."""
    return SignatureBroken(id=str(record.id), seq=record.seq, reason=_SIGNATURE)


def leaf_of(record: Record, recorded_at: str) -> bytes:
    """Write the log entry of a record; `recorded_at` as RFC 3339 with six decimals.

    Every value is ASCII without a need for escapes, so the bytes are RFC 8785 as they stand.
    """
    return (
        f'{{"at":"{recorded_at}","hash":"{record.curr_hash}","id":"{record.id}",'
        f'"key":"{record.public_key}","seq":{record.seq},"sig":"{record.signature}",'
        f'"tenant":"{record.tenant_id}","v":1}}'
    ).encode()


def leaf_of_row(tenant: str, row: Sequence[Any]) -> bytes:
    """Write the log entry of a row: id, seq, curr_hash, public_key, signature, recorded_at."""
    identity, seq, curr_hash, public_key, signature, recorded_at = row
    return (
        f'{{"at":"{rfc3339(recorded_at)}","hash":"{curr_hash}","id":"{identity}",'
        f'"key":"{public_key}","seq":{seq},"sig":"{signature}","tenant":"{tenant}","v":1}}'
    ).encode()


_AHEAD: Final = Text("está mais de cinco minutos no futuro", "more than five minutes in the future")
_AHEAD_REMEDY: Final = Text(
    "acerte o relógio de quem envia, ou use run_at para o que está marcado",
    "set the sender's clock right, or use run_at for what is planned",
)
_SEQ: Final = Text("tem de ser um inteiro de 0 a 2^31-1", "must be an integer from 0 to 2^31-1")
_ZONE: Final = Text("a hora precisa de fuso (p. ex. Z)", "the time needs a zone (e.g. Z)")
_CALENDAR: Final = Text("fica fora dos anos 1 a 9999", "lies outside the years 1 to 9999")
_HASH: Final = Text("curr_hash não é o hash dos bytes", "curr_hash is not the hash of the bytes")
_HEX: Final = Text(
    "assinatura ou chave não é hexadecimal em minúsculas",
    "signature or key is not lower-case hexadecimal",
)
_SIGNATURE: Final = Text("a assinatura não é desta chave", "the signature is not by this key")
