"""Trust: which key may sign for whom, at which position. Derived from key records alone.

A tenant's log begins with its `tenant` record, signed by the root key. Each `key` record enrols
(`status` active) or revokes (`status` revoked) one public key: `this` is the key in hex, `name` the
actor, `metadata.role` and `metadata.custody` say what it is for. Custody:

    root   the key that founded the tenant; signs only what defines the house
    node   the node's own key; signs for its services and for every actor without an own key
    held   an actor's key that the node keeps; signs for that actor
    own    an actor's key that the node never sees; nobody else signs in that name

Always holds: what was signed at a position inside a key's term stays good after its revocation;
nothing outside the term is ever good. Time plays no part: only positions do.
"""

from __future__ import annotations

import unicodedata
from typing import Final
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.errors import Forbidden, InvalidInput, KeyNotTrusted, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.signature import is_safe_public_key

ROLES: Final = ("owner", "manager", "operator", "courier", "client", "auditor", "agent", "service")
CUSTODIES: Final = ("root", "node", "held", "own")
ROOT_SIGNS: Final = frozenset({"tenant", "key", "actor", "manifest", "forgetting"})
RESERVED_TYPES: Final = frozenset({"tenant", "actor", "key"})
_RESERVED_BYTES: Final = b"logl"
ADDING: Final = frozenset({"complete", "annotate"})
"""Gestures that add to another's act: its fields stay those of its author, `metadata.by` speaks."""
_ENROLLERS: Final = frozenset({"owner"})
_WARDENS: Final = frozenset({"owner", "manager", "service"})
_GUARDED: Final = {
    "tenant": _ENROLLERS,
    "manifest": _ENROLLERS,
    "actor": _WARDENS,
    "forgetting": _WARDENS,
    **dict.fromkeys(("function", "policy", "prelude", "schedule", "queue", "alias"), _WARDENS),
    "execution": frozenset({"owner", "manager", "operator", "agent", "service"}),
    **dict.fromkeys(
        ("step", "boot_event", "policy_cursor", "policy_violation"), frozenset({"service"})
    ),
}


class KeyTerm(msgspec.Struct, frozen=True, kw_only=True):
    """The term of one public key: from `enrolled` (exclusive) to `revoked` (inclusive) or open."""

    public_key: str
    actor: str
    role: str
    custody: str
    enrolled: int
    revoked: int | None = None

    def covers(self, position: int) -> bool:
        """Tell whether a record at `position` may carry this key's signature."""
        return position > self.enrolled and (self.revoked is None or position <= self.revoked)


class Trust:
    """The keys of one tenant, as its log has told them so far."""

    def __init__(self, terms: list[KeyTerm] | None = None) -> None:
        """Start from known terms (of the derived table), or from nothing."""
        self.terms: dict[str, KeyTerm] = {term.public_key: term for term in terms or []}
        self._own: dict[str, list[KeyTerm]] = {}
        for term in self.terms.values():
            self._note_own(term)

    def copy(self) -> Trust:
        """Return an independent copy, for a batch that may be rolled back."""
        return Trust(list(self.terms.values()))

    def check(self, record: Record, position: int) -> None:
        """Check that the key of `record` may sign it at `position`.

        Raises:
            KeyNotTrusted: the key is unknown here, revoked, or belongs to another actor.
            Forbidden: the key is known, but this record is not its to sign.
        """
        if position == 0:
            _check_founding(record)
            return
        term = self.terms.get(record.public_key)
        if term is None or position <= term.enrolled:
            raise KeyNotTrusted(key=record.public_key, reason=_UNKNOWN)
        if not term.covers(position):
            raise KeyNotTrusted(key=record.public_key, reason=_REVOKED)
        if record.entity_type == "key":
            self._check_key_record(record, term)
        elif term.role not in _GUARDED.get(record.entity_type, (term.role,)):
            raise Forbidden(actor=term.actor, role=term.role, act=record.entity_type)
        if term.custody == "root":
            if record.entity_type not in ROOT_SIGNS:
                raise Forbidden(actor=term.actor, role="root", act=record.entity_type)
        elif term.custody == "node":
            self._check_no_own_key(record, position)
        elif (speaker := speaker_of(record)) is not None and speaker != term.actor:
            raise KeyNotTrusted(key=record.public_key, reason=_FOREIGN)
        if term.role == "auditor" and not _gives_itself_up(record, term):
            raise Forbidden(actor=term.actor, role=term.role, act="append")

    def apply(self, record: Record, position: int) -> KeyTerm | None:
        """Take note of a tenant or key record; return the term that it begins or ends.

        Raises:
            InvalidInput: a key record that does not say whose key, which role or custody.
            KeyNotTrusted: the key is unsafe, or was enrolled before.
        """
        if record.entity_type == "tenant" and position == 0:
            return self._keep(_root_term(record))
        if record.entity_type != "key":
            return None
        term = term_of(record, position)
        known = self.terms.get(term.public_key)
        if record.status == "revoked":
            if known is None or known.revoked is not None:
                raise KeyNotTrusted(key=term.public_key, reason=_UNKNOWN)
            if known.custody == "root" and record.public_key != known.public_key:
                raise Forbidden(actor=record.who, role=term.role, act="revoke root")
            return self._keep(msgspec.structs.replace(known, revoked=position))
        if known is not None:
            raise KeyNotTrusted(key=term.public_key, reason=_TWICE)
        return self._keep(term)

    def keys_of(self, actor: str, position: int) -> list[KeyTerm]:
        """List the keys in force for `actor` at `position`."""
        return [t for t in self.terms.values() if t.actor == actor and t.covers(position)]

    def _check_no_own_key(self, record: Record, position: int) -> None:
        if not self._own:
            return
        for term in self._own.get(name_as_read(speaker_of(record) or ""), ()):
            if term.covers(position):
                raise KeyNotTrusted(key=record.public_key, reason=_OWN)

    def _check_key_record(self, record: Record, term: KeyTerm) -> None:
        if term.custody == "root" or term.role in _ENROLLERS:
            return
        if _gives_itself_up(record, term):
            return  # whoever holds a key may always do so
        raise Forbidden(actor=term.actor, role=term.role, act="key")

    def _keep(self, term: KeyTerm) -> KeyTerm:
        self.terms[term.public_key] = term
        self._note_own(term)
        return term

    def _note_own(self, term: KeyTerm) -> None:
        if term.custody == "own":
            name = name_as_read(term.actor)
            others = [t for t in self._own.get(name, []) if t.public_key != term.public_key]
            self._own[name] = [*others, term]


def term_of(record: Record, position: int) -> KeyTerm:
    """Read the term that a key record begins (or, revoked, names).

    Raises:
        InvalidInput: a field is missing or out of its list.
        KeyNotTrusted: the key is of low order or not canonical.
    """
    if record.status not in ("active", "revoked"):
        raise InvalidInput(field="status", shape=shape_of(record.status), reason=_TERM)
    metadata = record.metadata or {}
    role, custody = metadata.get("role"), metadata.get("custody")
    if record.name is None or record.this is None:
        raise InvalidInput(field="name", shape=shape_of(record.name), reason=_WHOSE)
    if role not in ROLES:
        raise InvalidInput(field="metadata.role", shape=shape_of(role), reason=_ROLE)
    if custody not in CUSTODIES[1:]:
        raise InvalidInput(field="metadata.custody", shape=shape_of(custody), reason=_CUSTODY)
    try:
        key = bytes.fromhex(record.this)
        safe = record.this == key.hex() and is_safe_public_key(key)
    except ValueError:
        safe = False
    if not safe:
        raise KeyNotTrusted(key=record.this[:64], reason=_UNSAFE)
    if record.id != key_entity_id(record.tenant_id, record.this):
        raise InvalidInput(field="id", shape=str(record.id), reason=_ENTITY)
    return KeyTerm(
        public_key=record.this, actor=record.name, role=role, custody=custody, enrolled=position
    )


def name_as_read(name: str) -> str:
    """Return a name without what a reader does not see of it: case, spaces around, hidden marks.

    Two spellings of one name must not let the node speak for who has a key of their own. Letters
    of other alphabets that look alike stay different. Source: Unicode UAX 15 (NFKC).
    """
    if name.isascii() and name.isalnum():
        return name.lower()
    whole = unicodedata.normalize("NFKC", name)
    seen = (c for c in whole if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    return unicodedata.normalize("NFKC", " ".join("".join(seen).split()).casefold())


def speaker_of(record: Record | Draft) -> str | None:
    """Return in whose name a record is: `who`, or for an addition to another's act who adds."""
    told = record.metadata or {}
    by = told.get("by")
    if record.seq and told.get("gesture") in ADDING and isinstance(by, str):
        return by
    return record.who


def is_reserved(entity: UUID) -> bool:
    """Tell whether an id is of those that only keys, actors and tenants may have.

    They begin with the bytes of `logl`, so that nobody can take the place of a key beforehand.
    """
    return entity.bytes[:4] == _RESERVED_BYTES and entity.version == 8


def _reserved_id(digest: bytes) -> UUID:
    return stable_id(_RESERVED_BYTES + digest[4:])


def key_entity_id(tenant: str, public_key: str) -> UUID:
    """Return the id of the entity that tells the life of one key in one tenant (UUIDv8)."""
    digest = blake3(f"loglineos/key/v1\n{tenant}\n{public_key}".encode()).digest()
    return _reserved_id(digest)


def tenant_entity_id(tenant: str) -> UUID:
    """Return the id of the entity that is the tenant itself (UUIDv8)."""
    return _reserved_id(blake3(f"loglineos/tenant/v1\n{tenant}".encode()).digest())


def actor_entity_id(tenant: str, actor: str) -> UUID:
    """Return the id of the entity that is an actor of a tenant (UUIDv8)."""
    return _reserved_id(blake3(f"loglineos/actor/v1\n{tenant}\n{actor}".encode()).digest())


def stable_id(digest: bytes) -> UUID:
    """Make a UUIDv8 of a hash. Source: RFC 9562 section 5.8."""
    value = int.from_bytes(digest[:16], "big")
    value = (value & ~(0xF << 76)) | (0x8 << 76)
    value = (value & ~(0b11 << 62)) | (0b10 << 62)
    return UUID(int=value)


def _check_founding(record: Record) -> None:
    if record.entity_type != "tenant" or record.seq != 0:
        raise KeyNotTrusted(key=record.public_key, reason=_FOUNDING)
    if record.id != tenant_entity_id(record.tenant_id) or record.this != record.tenant_id:
        raise KeyNotTrusted(key=record.public_key, reason=_FOUNDING)
    if (record.metadata or {}).get("root", record.public_key) != record.public_key:
        raise KeyNotTrusted(key=record.public_key, reason=_FOUNDING)
    if not is_safe_public_key(bytes.fromhex(record.public_key)):
        raise KeyNotTrusted(key=record.public_key, reason=_UNSAFE)


def _gives_itself_up(record: Record, term: KeyTerm) -> bool:
    is_revoking = record.entity_type == "key" and record.status == "revoked"
    return is_revoking and record.this == term.public_key


def _root_term(record: Record) -> KeyTerm:
    return KeyTerm(
        public_key=record.public_key, actor="root", role="owner", custody="root", enrolled=0
    )


_UNKNOWN: Final = Text("não está inscrita nesta casa", "it is not enrolled in this tenant")
_REVOKED: Final = Text("foi revogada", "it was revoked")
_FOREIGN: Final = Text("é de outra pessoa", "it belongs to someone else")
_OWN: Final = Text(
    "esta pessoa assina com chave própria; o nó não fala em seu nome",
    "this person signs with a key of their own; the node does not speak in their name",
)
_TWICE: Final = Text("já foi inscrita; faça outra", "it was enrolled before; make another")
_UNSAFE: Final = Text(
    "não é uma chave Ed25519 segura, em hexadecimal minúsculo",
    "it is no safe Ed25519 key in lower-case hexadecimal",
)
_FOUNDING: Final = Text(
    "o primeiro registo de uma casa é a sua fundação, assinada pela raiz",
    "the first record of a tenant is its founding, signed by the root",
)
_WHOSE: Final = Text("diga de quem é a chave", "say whose key it is")
_ROLE: Final = Text(f"use um de {', '.join(ROLES)}", f"use one of {', '.join(ROLES)}")
_TERM: Final = Text("uma chave está active ou revoked", "a key is active or revoked")
_ENTITY: Final = Text(
    "o id de uma chave faz-se da casa e da chave", "the id of a key is made of tenant and key"
)
_CUSTODY: Final = Text("use node, held ou own", "use node, held or own")
