"""Personal fields: encrypted under a key per person, so that a person can be forgotten.

A personal field holds `pessoal:1:<key id>:<nonce and box, base64url>` in the record; the key lies
in `ledger.subject_key`, outside the log, wrapped by the node's master key. Destroying that row
forgets the person, while every hash, signature and proof still holds.
Always holds: the plain value never enters a signed record; what was forgotten reads as None, and
the record of the forgetting names the key, not the person.
Source: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), DESIGN section 4.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import nacl.exceptions
import orjson
from nacl import bindings

from loglineos.base.entropy import Entropy
from loglineos.base.errors import InvalidInput, NotFound, shape_of
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.canonical import canonical
from loglineos.ledger.forgotten import note_forgotten
from loglineos.ledger.record import Draft, Json, Record
from loglineos.ledger.writer import Writer

MARK: Final = "pessoal:1:"
TEXT_FIELDS: Final = ("this", "description")
JSON_FIELDS: Final = ("details", "input", "output", "error", "metadata")
_SQL: Final = Queries.load("loglineos.ledger", "personal.sql")
_NONCE: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_KEY_BYTES: Final = 32
_TOKEN: Final = re.compile(
    MARK + r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}:[A-Za-z0-9_-]{54,}={0,2}"
)


async def seal_personal(
    writer: Writer, draft: Draft, *, tenant: str, subject: str, fields: Sequence[str]
) -> Draft:
    """Encrypt `fields` of a draft under the key of `subject`, which is made when it is new.

    A field is `this`, `description`, or a path into a JSON column like `details.telefone`.
    `subject` is a pseudonym that the house uses for the person, e.g. `hospede.204`.

    Raises:
        InvalidInput: a field cannot be personal, or is not there.
    """
    key_id, key = await _key_of(writer, tenant, subject)
    sealed = draft
    for field in fields:
        value = _value_at(sealed, field)
        sealed = _put_at(sealed, field, encrypt(value, key_id, key, field, writer.entropy))
    return sealed


async def reveal(writer: Writer, records: Sequence[Record], *, tenant: str) -> list[Record]:
    """Decrypt the personal fields of records; what was forgotten becomes None (`this`: a dash)."""
    wanted = {key_id for record in records for key_id in _key_ids(record)}
    if not wanted:
        return list(records)
    master = writer.keyring.master()
    async with writer.appender.writing() as connection:
        cursor = await connection.execute(
            _SQL["read_keys"], {"tenant": tenant, "key_ids": list(wanted)}
        )
        rows = await cursor.fetchall()
    keys = {key_id: _unwrap(master, key_id, wrapped) for key_id, wrapped in rows}
    return [_revealed(record, keys) for record in records]


async def forget(
    writer: Writer, *, tenant: str, subject: str, by: str, guard: Path | None = None
) -> Record:
    """Destroy the key of `subject`; return the record that says so.

    The record comes first: if the node dies in between, `finish_forgetting` destroys the key at
    the next start. `guard` is the guard's folder, whose list keeps an old backup from bringing the
    key back. A repeat finds no key.

    Raises:
        NotFound: nothing personal of this subject is kept here.
    """
    async with writer.appender.writing() as connection:
        cursor = await connection.execute(_SQL["find_key"], {"tenant": tenant, "subject": subject})
        row = await cursor.fetchone()
    if row is None:
        raise NotFound(what="subject", which=subject)
    draft = Draft(
        entity_type="forgetting", who=by, did="forget", this=str(row[0]), status="executed",
        visibility="private", owner_id=by,
    )  # fmt: skip
    (record,) = await writer.append([draft], tenant=tenant)
    await finish_forgetting(writer, tenant=tenant, guard=guard)
    return record


async def finish_forgetting(writer: Writer, *, tenant: str, guard: Path | None = None) -> int:
    """Destroy every key that the log says is forgotten; return how many were still here."""
    async with writer.appender.writing() as connection:
        cursor = await connection.execute(_SQL["undone_forgettings"], {"tenant": tenant})
        undone = [row[0] for row in await cursor.fetchall()]
        for key_id in undone:
            if guard is not None:
                await asyncio.to_thread(note_forgotten, guard, tenant=tenant, key_id=key_id)
            await connection.execute(_SQL["destroy_key"], {"tenant": tenant, "key_id": key_id})
    return len(undone)


def encrypt(value: Json, key_id: UUID, key: bytes, field: str, entropy: Entropy) -> str:
    """Seal one JSON value under a key; bound to the key's id and the field's name."""
    nonce = entropy.bytes(_NONCE)
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        canonical(value, field=field), _bound(key_id, field), nonce, key
    )
    return f"{MARK}{key_id}:{base64.urlsafe_b64encode(nonce + box).decode()}"


def decrypt(token: str, key: bytes, field: str) -> Json:
    """Open one sealed value.

    Raises:
        InvalidInput: the token is not what `encrypt` made for this key and field.
    """
    try:
        key_id, body = token.removeprefix(MARK).split(":", 1)
        data = base64.urlsafe_b64decode(body)
        plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            data[_NONCE:], _bound(UUID(key_id), field), data[:_NONCE], key
        )
    except (ValueError, binascii.Error, nacl.exceptions.CryptoError) as cause:
        raise InvalidInput(field=field, shape=shape_of(token), reason=_BROKEN) from cause
    return orjson.loads(plain)


async def _key_of(writer: Writer, tenant: str, subject: str) -> tuple[UUID, bytes]:
    master = writer.keyring.master()
    key_id = uuid7(writer.clock, writer.entropy)
    made = writer.entropy.bytes(_KEY_BYTES)
    async with writer.appender.writing() as connection:
        await connection.execute(
            _SQL["keep_key"],
            {
                "tenant": tenant,
                "key_id": key_id,
                "subject": subject,
                "wrapped": _wrap(master, key_id, made, writer.entropy),
                "now": writer.clock.now(),
            },
        )
        cursor = await connection.execute(_SQL["find_key"], {"tenant": tenant, "subject": subject})
        row = await cursor.fetchone()
    if row is None:
        raise NotFound(what="subject", which=subject)
    return row[0], _unwrap(master, row[0], row[1])


def _wrap(master: bytes, key_id: UUID, key: bytes, entropy: Entropy) -> bytes:
    nonce = entropy.bytes(_NONCE)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        key, key_id.bytes, nonce, master
    )


def _unwrap(master: bytes, key_id: UUID, wrapped: bytes) -> bytes:
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            wrapped[_NONCE:], key_id.bytes, wrapped[:_NONCE], master
        )
    except nacl.exceptions.CryptoError as cause:
        raise InvalidInput(field="master.key", shape=str(key_id), reason=_BROKEN) from cause


def _bound(key_id: UUID, field: str) -> bytes:
    return key_id.bytes + field.encode()


def _value_at(draft: Draft, field: str) -> Json:
    column, *path = field.split(".")
    if (column in TEXT_FIELDS and not path) or (column in JSON_FIELDS and path):
        value = getattr(draft, column)
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value
        raise InvalidInput(field=field, shape="null", reason=_ABSENT)
    raise InvalidInput(field=field, shape=shape_of(field), reason=_NOT_PERSONAL)


def _put_at(draft: Draft, field: str, token: str) -> Draft:
    column, *path = field.split(".")
    value = token if not path else _replaced(getattr(draft, column), path, token)
    return msgspec.structs.replace(draft, **{column: value})


def _replaced(value: dict[str, Json], path: Sequence[str], token: Json) -> dict[str, Json]:
    step, *rest = path
    return {**value, step: _replaced(value[step], rest, token) if rest else token}


def _key_ids(record: Record) -> Iterable[UUID]:
    for _, token in _tokens(record):
        yield _key_id_of(token)


def _key_id_of(token: str) -> UUID:
    return UUID(token[len(MARK) : len(MARK) + 36])


def _tokens(record: Record) -> Iterable[tuple[tuple[str, ...], str]]:
    for column in (*TEXT_FIELDS, *JSON_FIELDS):
        yield from _tokens_in(getattr(record, column), (column,))


def _tokens_in(value: Json, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], str]]:
    if isinstance(value, str) and value.startswith(MARK) and _TOKEN.fullmatch(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tokens_in(item, (*path, key))


def _revealed(record: Record, keys: Mapping[UUID, bytes]) -> Record:
    changed = record
    for (column, *path), token in _tokens(record):
        try:
            key = keys.get(_key_id_of(token))
            value = None if key is None else decrypt(token, key, ".".join([column, *path]))
        except InvalidInput:
            continue  # text that only looks like a token stays what it is
        if column in TEXT_FIELDS:
            changed = msgspec.structs.replace(changed, **{column: "—" if value is None else value})
        else:
            held = _replaced(getattr(changed, column), path, value) if path else value
            changed = msgspec.structs.replace(changed, **{column: held})
    return changed


_BROKEN: Final = Text("não foi selado por esta chave", "was not sealed by this key")
_ABSENT: Final = Text("não há nada para proteger", "there is nothing to protect")
_NOT_PERSONAL: Final = Text(
    "só this, description ou um caminho como details.telefone podem ser pessoais",
    "only this, description or a path like details.phone can be personal",
)
