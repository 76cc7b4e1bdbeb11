"""Founding: tenants, actors and keys come to be, and keys go, as records signed by the root.

Always holds: the first record of a tenant is its founding; the second enrols the node's key; a
repeat of any of these acts changes nothing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from loglineos.base.errors import (
    InvalidInput,
    KeyNotTrusted,
    NotFound,
    TooLarge,
    UnknownName,
    shape_of,
)
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.scratch import PREFIX, is_scratch
from loglineos.ledger.signature import SigningKey, is_safe_public_key
from loglineos.ledger.tlog.merkle import EMPTY_ROOT
from loglineos.ledger.trust import (
    CUSTODIES,
    ROLES,
    actor_entity_id,
    key_entity_id,
    tenant_entity_id,
)  # fmt: skip
from loglineos.ledger.writer import Writer

_SQL: Final = Queries.load("loglineos.ledger", "appender.sql")
_TENANT_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
KINDS: Final = ("person", "service", "model", "courier", "clock")


def check_tenant_name(tenant: str) -> None:
    """Refuse a name that cannot be a tenant's.

    Raises:
        InvalidInput: not 1 to 63 of a-z, 0-9 and hyphen, beginning with a letter.
    """
    if not _TENANT_NAME.fullmatch(tenant):
        raise InvalidInput(field="tenant", shape=shape_of(tenant), reason=_NAME)


async def found_tenant(writer: Writer, tenant: str, *, title: str | None = None) -> list[Record]:
    """Give a tenant its log, its founding record and the node's key; a repeat returns [].

    Raises:
        InvalidInput: the name cannot be a tenant's, or is kept for simulations.
        Misconfigured: the root key is sealed or missing.
    """
    check_tenant_name(tenant)
    if is_scratch(tenant) and not writer.is_simulated:
        raise InvalidInput(field="tenant", shape=shape_of(tenant), reason=_SCRATCH)
    root, node = writer.keyring.key("root"), writer.keyring.key("node")
    if await writer.log_size(tenant):
        return []
    if len(await list_tenants(writer)) >= limits.tenants_max:
        raise TooLarge(
            field="tenant",
            shape=tenant,
            limit=limits.tenants_max,
            limit_name="tenants_max",
            remedy=_ANOTHER_NODE,
        )
    async with writer.appender.writing() as connection:
        await connection.execute(
            _SQL["open_log"], {"tenant": tenant, "root": EMPTY_ROOT, "now": writer.clock.now()}
        )
    founding = Draft(
        id=tenant_entity_id(tenant), seq=0, entity_type="tenant", who="root", did="found",
        this=tenant, name=title or tenant, status="active",
        metadata={"root": root.public.hex()},
    )  # fmt: skip
    enrolment = _key_draft(
        tenant, node.public.hex(), actor="node", role="service", custody="node", who="root"
    )
    return await writer.append([founding, enrolment], tenant=tenant, key=root, if_absent=True)


async def enrol_actor(
    writer: Writer,
    tenant: str,
    name: str,
    *,
    role: str,
    kind: str = "person",
    title: str | None = None,
    key: SigningKey | None = None,
    by: str = "root",
) -> Record:
    """Record that an actor belongs to the house, and in which role.

    Signed by the root; or by `key`, which must be `by`'s, an owner's or manager's.

    An actor that is there already in the same role and kind is returned; another role or kind is
    a new event of the same actor.

    Raises:
        UnknownName: no such role or kind.
    """
    if role not in ROLES:
        raise UnknownName(field="role", shape=repr(role)[:60], known=", ".join(ROLES))
    if kind not in KINDS:
        raise UnknownName(field="kind", shape=repr(kind)[:60], known=", ".join(KINDS))
    if not name.strip():
        raise InvalidInput(field="name", shape=shape_of(name), reason=_WHO)
    metadata = {"role": role, "kind": kind}
    entity = actor_entity_id(tenant, name)
    try:
        known = await writer.latest(tenant, entity)
        if known.metadata == metadata and known.description == title and known.status == "active":
            return known
    except NotFound:
        pass
    draft = Draft(
        id=entity, entity_type="actor", who=by, did="enrol", this=name, name=name,
        description=title, status="active", metadata=metadata,
    )  # fmt: skip
    (record,) = await writer.append([draft], tenant=tenant, key=key or writer.keyring.key("root"))
    return record


async def enrol_key(
    writer: Writer,
    tenant: str,
    public_key: str,
    *,
    actor: str,
    role: str,
    custody: str,
    key: SigningKey | None = None,
    by: str = "root",
) -> Record:
    """Record that a public key (hex) may sign for an actor from here on.

    Signed by the root; or by `key`, which must be `by`'s, an owner's.

    Raises:
        KeyNotTrusted: the key is unsafe or was enrolled before.
        UnknownName: no such role or custody.
    """
    if role not in ROLES:
        raise UnknownName(field="role", shape=repr(role)[:60], known=", ".join(ROLES))
    if custody not in CUSTODIES[1:]:
        raise UnknownName(field="custody", shape=repr(custody)[:60], known=", ".join(CUSTODIES[1:]))
    if not _is_safe(public_key):
        raise KeyNotTrusted(key=public_key[:64], reason=_UNSAFE)
    draft = _key_draft(tenant, public_key, actor=actor, role=role, custody=custody, who=by)
    (record,) = await writer.append([draft], tenant=tenant, key=key or writer.keyring.key("root"))
    return record


async def give_held_key(writer: Writer, tenant: str, actor: str, *, role: str) -> Record:
    """Make a key that the node keeps for an actor, and enrol it; the one before is revoked."""
    before = writer.keyring.held(tenant, actor)
    if before is not None:
        with suppress(NotFound):  # made, but never enrolled: a crash came between
            await revoke_key(writer, tenant, before.public.hex(), reason="rotation")
    made = writer.keyring.make_held(tenant, actor)
    return await enrol_key(
        writer, tenant, made.public.hex(), actor=actor, role=role, custody="held"
    )


async def ensure_node_key(writer: Writer, tenant: str) -> bool:
    """Enrol this node's key where it is not yet: a second node, or a rotation that was cut short.

    Raises:
        Misconfigured: the root key, which must sign the enrolment, is sealed or missing.
        KeyNotTrusted: the key was revoked here; give the node another.
    """
    public = writer.keyring.public("node")
    try:
        await writer.latest(tenant, key_entity_id(tenant, public))
    except NotFound:
        await enrol_key(writer, tenant, public, actor="node", role="service", custody="node")
        return True
    return False


async def list_tenants(writer: Writer) -> list[str]:
    """List every founded tenant of this database, by name."""
    async with writer.pool.connection() as connection:
        cursor = await connection.execute(_SQL["list_logs"])
        return [row[0] for row in await cursor.fetchall()]


async def rotate_node_key(writer: Writer, tenants: list[str]) -> str:
    """Give the node a new key in every tenant, then revoke the old one; return the new public key.

    What the old key signed stays good. If it stops half way, run it again: another key is made and
    every key that this node had before is revoked wherever it is still in force.
    """
    new = writer.keyring.replace("node")
    old_keys = writer.keyring.former("node")
    for tenant in tenants:
        await enrol_key(
            writer, tenant, new.public.hex(), actor="node", role="service", custody="node"
        )
        for old in old_keys:
            with suppress(NotFound):  # it was never enrolled in this tenant
                await revoke_key(writer, tenant, old, reason="rotation")
    return new.public.hex()


async def revoke_key(
    writer: Writer,
    tenant: str,
    public_key: str,
    *,
    reason: str,
    key: SigningKey | None = None,
    by: str = "root",
) -> Record:
    """Record that a key signs no more; what it signed before stays good. A repeat changes nothing.

    Signed by the root; or by `key`, which must be `by`'s: an owner's, or the key that is given up.

    Raises:
        NotFound: the key was never enrolled here.
    """
    entity = key_entity_id(tenant, public_key)
    known = await writer.latest(tenant, entity)
    if known.status == "revoked":
        return known
    draft = Draft(
        id=entity, entity_type="key", who=by, did="revoke", this=public_key, name=known.name,
        status="revoked", metadata=known.metadata, details={"reason": reason},
    )  # fmt: skip
    (record,) = await writer.append([draft], tenant=tenant, key=key or writer.keyring.key("root"))
    return record


def _key_draft(
    tenant: str, public_key: str, *, actor: str, role: str, custody: str, who: str
) -> Draft:
    return Draft(
        id=key_entity_id(tenant, public_key), seq=0, entity_type="key", who=who, did="enrol",
        this=public_key, name=actor, status="active",
        metadata={"role": role, "custody": custody},
    )  # fmt: skip


def _is_safe(public_key: str) -> bool:
    try:
        key = bytes.fromhex(public_key)
        return public_key == key.hex() and is_safe_public_key(key)
    except ValueError:
        return False


_NAME: Final = Text(
    "use 1 a 63 letras minúsculas, algarismos ou hífen, começando por letra",
    "use 1 to 63 lower-case letters, digits or hyphens, beginning with a letter",
)
_SCRATCH: Final = Text(
    f"nomes que começam por «{PREFIX}» são de simulações",
    f"names that begin with {PREFIX} are for simulations",
)
_ANOTHER_NODE: Final = Text("funde a casa noutro nó", "found the tenant on another node")
_WHO: Final = Text("diga o nome", "give a name")
_UNSAFE: Final = Text(
    "não é uma chave Ed25519 segura, em hexadecimal minúsculo",
    "it is no safe Ed25519 key in lower-case hexadecimal",
)
