"""Stage-0: all that stands between a row and its running. Made to be read at one sitting.

    1  the house's first record says whose root key it is; where this node knows its own root key,
       the two are the same
    2  the manifest is the latest event of its entity, whole, and signed by that root key
    3  a kernel's id is in the manifest's `allowed_boot_ids`
    4  the code is of this house; its bytes have its hash, its signature and its `code_hash`
    5  whoever signed it is in the manifest's `trusted_keys`, and signed within their key's term
    6  a kernel that boots leaves a `boot_event`

Always holds: what is refused is recorded as a `policy_violation` and does not run. What Stage-0
cannot see, a row that a superuser took away, is for `logline verify` to find: the log has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import UUID

from blake3 import blake3

from loglineos.base.errors import InvalidInput, LoglineError, Refused
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import check_seal
from loglineos.ledger.trust import key_entity_id, tenant_entity_id
from loglineos.ledger.writer import Writer
from loglineos.runtime.following import asking
from loglineos.runtime.functions import KINDS, Function, function_of
from loglineos.runtime.manifest import MANIFEST_ID, Manifest, parse_manifest
from loglineos.runtime.violations import REFUSALS, REMEDY, violation_draft

_SQL: Final = Queries.load("loglineos.runtime", "stage0.sql")
WHO: Final = "stage0"


class Stage0:
    """The loader: takes rows of the registry, and gives back only what may run."""

    def __init__(self, writer: Writer, *, root: str | None) -> None:
        """Read through the writer's pool. `root`: this node's root key (public, hex), if it knows.

        None leaves the word of the house's first record alone to say who the root is.
        """
        self._writer = writer
        self._root = root

    async def take_manifest(self, tenant: str) -> tuple[Record, Manifest]:
        """Return the manifest of a house, checked against its root key.

        Raises:
            Refused: it is missing, or anything about it does not hold.
        """
        founding = await self._row("read_founding", tenant=tenant)
        record = await self._row("read_latest", tenant=tenant, id=MANIFEST_ID)
        try:
            return _lawful(record, tenant), check_manifest(record, founding, tenant, self._root)
        except Refused as refusal:
            await self._record(refusal, tenant, record, which=MANIFEST_ID)
            raise

    async def check(self, record: Record, *, tenant: str, manifest: Manifest) -> Function:
        """Return the function that a record defines, when all that it says of itself holds.

        Raises:
            Refused: it does not.
        """
        async with asking(self._writer.pool) as connection:
            key = {"tenant": tenant, "id": key_entity_id(tenant, record.public_key)}
            cursor = await connection.execute(_SQL["read_key_lives"], key)
            lives = [record_of(row) for row in await cursor.fetchall()]
        try:
            return check_code(record, tenant=tenant, manifest=manifest, key_life=lives)
        except Refused as refusal:
            await self._record(refusal, tenant, record, which=record.id)
            raise

    async def boot(
        self, kernel: str, *, tenant: str, manifest: Manifest, known: str | None = None
    ) -> Function:
        """Return a kernel that may run, after leaving a `boot_event` for it.

        `known` is the hash of the version that this node has booted already: that one leaves none.

        Raises:
            Refused: the manifest does not name it or its id, or its code does not hold.
        """
        named = manifest.kernels.get(kernel)
        which = UUID(named) if named else MANIFEST_ID
        record = None
        try:
            _demand(named is not None, "boot.unknown")
            _demand(named in manifest.allowed_boot_ids, "boot.not_allowed")
            record = await self._row("read_latest", tenant=tenant, id=which)
            _demand(record is not None and record.entity_type == "function", "boot.missing")
        except Refused as refusal:
            await self._record(refusal, tenant, record, which=which, kernel=kernel)
            raise
        function = await self.check(_lawful(record, tenant), tenant=tenant, manifest=manifest)
        if function.hash == known:
            return function
        event = Draft(
            entity_type="boot_event", who=WHO, did="booted", this=kernel, status="complete",
            related_to=(which,), input={"boot_id": str(which), "seq": function.seq,
                                        "hash": function.hash, "code_hash": function.code_hash},
        )  # fmt: skip
        await self._writer.append([event], tenant=tenant)
        return function

    async def read(self, tenant: str, entity: UUID, seq: int | None = None) -> Record | None:
        """Return one event of an entity, its latest without `seq`; None when it is not there."""
        if seq is None:
            return await self._row("read_latest", tenant=tenant, id=entity)
        return await self._row("read_event", tenant=tenant, id=entity, seq=seq)

    async def _row(self, query: str, **named: Any) -> Record | None:
        async with asking(self._writer.pool) as connection:
            row = await (await connection.execute(_SQL[query], named)).fetchone()
        return None if row is None else record_of(row)

    async def _record(
        self, refusal: Refused, tenant: str, found: Record | None, *, which: UUID, **details: Any
    ) -> None:
        """Record a refusal, once for the same thing; whatever hinders that, it stays a refusal."""
        law, said = str(refusal.fields["law"]), refusal.fields["reason"]
        assert isinstance(said, Text)
        bytes_found = "" if found is None else f"{found.seq}/{found.curr_hash}/{found.signature}"
        if found is not None:
            details |= {"seq": found.seq, "hash": found.curr_hash, "signed_by": found.public_key}
        draft = violation_draft(law, who=WHO, said=said, which=which, key=bytes_found, **details)
        with suppress(LoglineError):
            await self._writer.append([draft], tenant=tenant, if_absent=True)


def check_manifest(
    record: Record | None, founding: Record | None, tenant: str, root: str | None
) -> Manifest:
    """Check a manifest (rules 1 and 2) and read it. Raises: Refused."""
    _demand(record is not None, "manifest.missing")
    _demand(founding is not None, "house.unfounded")
    assert record is not None
    assert founding is not None
    with _refusing("house.unfounded"):
        check_seal(founding)
    is_founding = founding.id == tenant_entity_id(tenant) and founding.entity_type == "tenant"
    _demand(is_founding and founding.tenant_id == tenant, "house.unfounded")
    _demand(root is None or root == founding.public_key, "house.foreign_root")
    _demand((record.tenant_id, record.id) == (tenant, MANIFEST_ID), "manifest.foreign")
    _demand(record.entity_type == "manifest" and record.status == "active", "manifest.foreign")
    with _refusing("manifest.tampered"):
        check_seal(record)
    _demand(record.public_key == founding.public_key, "manifest.not_by_root")
    with _refusing("manifest.unreadable"):
        return parse_manifest(record.metadata or {})


def check_code(
    record: Record, *, tenant: str, manifest: Manifest, key_life: list[Record]
) -> Function:
    """Check a row with code (rules 4 and 5) and read it. Raises: Refused."""
    _demand(record.tenant_id == tenant and record.entity_type in KINDS, "code.foreign")
    with _refusing("code.tampered"):
        check_seal(record)
    digest = blake3((record.code or "").encode()).hexdigest()
    _demand(record.code is not None and record.code_hash == digest, "code.other_bytes")
    _demand(record.public_key in manifest.trusted_keys, "code.untrusted_author")
    with _refusing("code.unknown_key"):
        for event in key_life:
            check_seal(event)
    ours = [event for event in key_life if event.this == record.public_key]
    _demand(bool(ours) and ours[0].status == "active", "code.unknown_key")
    place, enrolled = record.position or 0, ours[0].position or 0
    revoked = next((event.position for event in ours if event.status == "revoked"), None)
    _demand(enrolled < place and (revoked is None or place <= revoked), "code.revoked_key")
    _demand(record.status == "active" and not record.is_deleted, "code.withdrawn")
    with _refusing("code.unreadable"):
        return function_of(record, timeout_ms=manifest.timeout_ms)


def _lawful(record: Record | None, tenant: str) -> Record:
    _demand(record is not None and record.tenant_id == tenant, "manifest.missing")
    assert record is not None
    return record


def _demand(holds: bool, law: str) -> None:
    if not holds:
        raise Refused(reason=REFUSALS[law], law=law, remedy=REMEDY)


@contextmanager
def _refusing(law: str) -> Iterator[None]:
    try:
        yield
    except (Refused, InvalidInput) as cause:
        raise Refused(reason=REFUSALS[law], law=law, remedy=REMEDY) from cause
