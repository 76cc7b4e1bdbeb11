"""The author's side: drafts become sealed records with their place in the life of an entity.

Always holds: the chain is told by the database, never guessed; when the author left `seq` to the
ledger, losing a race to another author is repeated, not reported; when the author chose `seq`, a
taken place is a Conflict.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.entropy import Entropy
from loglineos.base.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    KeyNotTrusted,
    NotFound,
    TooLarge,
    shape_of,
)
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.appender import Appender
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.logline import faults_of, is_act, judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.reserved import check_not_of_code
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import SIMULATION, is_scratch
from loglineos.ledger.seal import Sealed, bytes_of, seal
from loglineos.ledger.signature import SigningKey
from loglineos.ledger.trust import speaker_of

_SQL: Final = Queries.load("loglineos.ledger", "writer.sql")
TURN_DRAFTS: Final = 10
"""Drafts that are worked on before others have their turn: well below a millisecond. While the
appender waits for its turn, the database waits for the appender."""
CHUNK_DRAFTS: Final = 125
"""Records that are handed over while the next are made."""
STREAMED_MIN: Final = 2 * CHUNK_DRAFTS
"""A call of so many records is inserted while it is made."""
_RACES_MAX: Final = 8


class Writer:
    """Seals drafts and hands them to the appender."""

    def __init__(
        self,
        appender: Appender,
        *,
        pool: Pool,
        keyring: KeyRing,
        clock: Clock,
        entropy: Entropy,
        is_simulated: bool = False,
    ) -> None:
        """Read heads through `pool` (role logline_reader); sign with the keys of `keyring`.

        `is_simulated`: whatever it writes is marked `simulated`, and goes to scratch tenants only.
        """
        self.appender = appender
        self.pool = pool
        self.keyring = keyring
        self.clock = clock
        self.entropy = entropy
        self.is_simulated = is_simulated

    async def append(
        self,
        drafts: Sequence[Draft],
        *,
        tenant: str,
        key: SigningKey | None = None,
        if_absent: bool = False,
        is_of_code: bool = False,
        known: Mapping[tuple[UUID, int], str] | None = None,
    ) -> list[Record]:
        """Judge, seal and append drafts in order, whole or not at all; return them as stored.

        Durable before return; positions are dense and in commit order. Without `key`, each draft
        is signed by the key that the node holds for its `who`, else by the node's own. The same
        id, seq and bytes again return the stored record and write nothing; `if_absent` does so
        for other bytes too. `is_of_code` says that the runtime writes, which alone may speak as a
        function and keep journals. `known` are hashes by (id, seq) of events that the caller has
        seen stored: they need not be read again. At most `limits.batch_records_max` drafts.

        Raises:
            InvalidInput, TooLarge: a draft cannot be kept; the error names the field.
            Conflict: a chosen (id, seq) is taken by other bytes; read the head and decide anew.
            MoveNotAllowed: the status does not follow from the entity's last one.
            KeyNotTrusted, Forbidden: the key may not sign this.
            UnknownTenant: no such tenant on this node.
            Pushback, ReadOnly, DatabaseUnavailable: not now; repeating is safe.

        Source: RFC 8785 (bytes), RFC 6962 section 2.1 (leaf hash).
        """
        if len(drafts) > limits.batch_records_max:
            raise _too_many(len(drafts))
        if not is_of_code:
            check_not_of_code(drafts)
        chosen_by_us = any(draft.id is not None and draft.seq is None for draft in drafts)
        is_reopened = False
        for _ in range(_RACES_MAX):
            try:
                return await self._seal_and_append(drafts, tenant, key, known, if_absent=if_absent)
            except Conflict:
                if not chosen_by_us:
                    raise
            except KeyNotTrusted:
                if key is not None or is_reopened:
                    raise
                is_reopened = True  # another process may have rotated the key that we remember
                self.keyring.reopen()
        return await self._seal_and_append(drafts, tenant, key, known, if_absent=if_absent)

    async def _seal_and_append(
        self,
        drafts: Sequence[Draft],
        tenant: str,
        key: SigningKey | None,
        known: Mapping[tuple[UUID, int], str] | None,
        *,
        if_absent: bool,
    ) -> list[Record]:
        if len(drafts) < STREAMED_MIN:
            sealed = await self.seal(drafts, tenant=tenant, key=key, on_their_way=known)
            return await self.appender.append(sealed, verified=True, if_absent=if_absent)
        return await self.appender.append_as_made(
            self._sealed_chunks(drafts, tenant=tenant, key=key, on_their_way=known),
            count=len(drafts), verified=True, if_absent=if_absent,
        )  # fmt: skip

    async def append_signed(self, records: Sequence[Record]) -> list[Record]:
        """Append records that their authors sealed; the ledger checks and cannot alter them.

        All of one tenant, whole or not at all; `position` and `recorded_at` are ignored.

        Raises:
            SignatureBroken: a hash or signature does not fit its bytes.
            InvalidInput: the record is not what the rules make of it (`valid`, `status`).
            And all that `append` raises.
        """
        if len(records) > limits.batch_records_max:
            raise _too_many(len(records))
        tenants = {record.tenant_id for record in records}
        if len(tenants) > 1:
            raise InvalidInput(field="tenant_id", shape=shape_of(tenants), reason=_TENANT)
        if len(records) < STREAMED_MIN:
            sealed = [one async for chunk in self._foreign_chunks(records) for one in chunk]
            return await self.appender.append(sealed, verified=False)
        return await self.appender.append_as_made(
            self._foreign_chunks(records), count=len(records), verified=False, if_absent=False
        )

    async def _foreign_chunks(self, records: Sequence[Record]) -> AsyncIterator[list[Sealed]]:
        """Judge records that were sealed elsewhere and yield them with their bytes."""
        now = self.clock.now()
        chunk: list[Sealed] = []
        for number, record in enumerate(records, start=1):
            check_judgement(record)
            bare = msgspec.structs.replace(record, position=None, recorded_at=None)
            chunk.append(Sealed(bare, bytes_of(bare, now=now)))
            if number % TURN_DRAFTS == 0:
                await asyncio.sleep(0)
            if len(chunk) == CHUNK_DRAFTS:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    async def latest(self, tenant: str, entity: UUID) -> Record:
        """Return the latest event of an entity, whoever asks: the node's own view.

        Raises:
            NotFound: no such entity in this tenant.
        """
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                _SQL["latest_event"], {"tenant": tenant, "id": entity}
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(what="record", which=str(entity))
        return record_of(row)

    async def present_keys(
        self, tenant: str, *, ids: Sequence[UUID], keys: Sequence[str]
    ) -> set[tuple[UUID, str]]:
        """Return which (id, idempotency_key) of these entities are in the log already."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                _SQL["present_keys"], {"tenant": tenant, "ids": list(ids), "keys": list(keys)}
            )
            return {(row[0], row[1]) for row in await cursor.fetchall()}

    async def log_size(self, tenant: str) -> int | None:
        """Return how many records a tenant's log has; None when there is no such tenant."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(_SQL["log_size"], {"tenant": tenant})
            row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def seal(
        self,
        drafts: Sequence[Draft],
        *,
        tenant: str,
        key: SigningKey | None = None,
        on_their_way: Mapping[tuple[UUID, int], str] | None = None,
    ) -> list[Sealed]:
        """Judge and seal drafts in order, each with the hash of the event that it follows.

        `on_their_way` are hashes by (id, seq) of events that were handed to the appender and that
        the database may not tell yet. Nothing is written.

        Raises:
            InvalidInput, TooLarge, Conflict: see `append`.
        """
        chunks = self._sealed_chunks(drafts, tenant=tenant, key=key, on_their_way=on_their_way)
        return [one async for chunk in chunks for one in chunk]

    async def _sealed_chunks(
        self,
        drafts: Sequence[Draft],
        *,
        tenant: str,
        key: SigningKey | None,
        on_their_way: Mapping[tuple[UUID, int], str] | None = None,
    ) -> AsyncIterator[list[Sealed]]:
        ready = []
        for number, draft in enumerate(drafts, start=1):
            if number % TURN_DRAFTS == 0:
                await asyncio.sleep(0)
            ready.append(_of_tenant(judge(draft), tenant))
        if self.is_simulated:
            ready = _simulated(ready, tenant)
        known = await self._chain(ready, tenant, on_their_way or {})
        heads: dict[UUID, int] = {}
        for entity, seq in known:
            heads[entity] = max(seq, heads.get(entity, -1))
        signers: dict[str | None, SigningKey] = {}
        sealed: list[Sealed] = []
        for number, draft in enumerate(ready, start=1):
            if number % TURN_DRAFTS == 0:
                await asyncio.sleep(0)
            identity = draft.id or uuid7(self.clock, self.entropy)
            seq = heads.get(identity, -1) + 1 if draft.seq is None else draft.seq
            prev_hash = known.get((identity, seq - 1))
            if seq > 0 and prev_hash is None:
                raise Conflict(id=str(identity), seq=seq, head=f"seq {heads.get(identity, 'none')}")
            speaker = speaker_of(draft)
            signer = key or signers.get(speaker)
            if signer is None:
                signer = self._signer(tenant, speaker) or self.keyring.key("node")
                signers[speaker] = signer
            at = draft.at or _received_at(draft)
            placed = msgspec.structs.replace(draft, id=identity, seq=seq, at=at)
            one = seal(
                placed, key=signer, clock=self.clock, entropy=self.entropy, prev_hash=prev_hash
            )
            known[(identity, seq)] = one.record.curr_hash
            heads[identity] = max(seq, heads.get(identity, -1))
            sealed.append(one)
            if len(sealed) == CHUNK_DRAFTS:
                yield sealed
                sealed = []
        if sealed:
            yield sealed

    def _signer(self, tenant: str, who: str | None) -> SigningKey | None:
        return self.keyring.held(tenant, who) if isinstance(who, str) and who else None

    async def _chain(
        self, drafts: Sequence[Draft], tenant: str, told: Mapping[tuple[UUID, int], str]
    ) -> dict[tuple[UUID, int], str]:
        """Read the hashes that these drafts follow, by (id, seq), but for those that were told."""
        open_ended = {d.id for d in drafts if d.id is not None and d.seq is None}
        before = {(d.id, d.seq - 1) for d in drafts if d.id is not None and d.seq} - told.keys()
        known = dict(told)
        if not open_ended and not before:
            return known
        async with self.pool.connection() as connection:
            if open_ended:
                cursor = await connection.execute(
                    _SQL["entity_heads"], {"tenant": tenant, "ids": list(open_ended)}
                )
                for entity, seq, _, curr_hash in await cursor.fetchall():
                    known[(entity, seq)] = curr_hash
            if before:
                asked = {"ids": [one for one, _ in before], "seqs": [seq for _, seq in before]}
                cursor = await connection.execute(_SQL["event_hashes"], {"tenant": tenant, **asked})
                for entity, seq, curr_hash in await cursor.fetchall():
                    known[(entity, seq)] = curr_hash
        known.update(told)
        return known


def check_judgement(record: Record) -> None:
    """Check that a record sealed elsewhere carries the judgement that the nine-field rule gives.

    Raises:
        InvalidInput: `valid` or `status` says something else.
    """
    if not is_act(record.entity_type):
        return
    if record.status == "ghost":
        if record.valid is not False:
            raise InvalidInput(field="valid", shape=shape_of(record.valid), reason=_NOT_VALID)
        return
    faults = faults_of(record)
    if record.valid is not True or record.status is None or faults:
        named = ", ".join(fault.field for fault in faults) or "valid, status"
        raise InvalidInput(
            field="valid",
            shape=shape_of(record.valid),
            reason=Text(
                f"não é o que a regra dos nove campos diz deste ato ({named})",
                f"it is not what the nine-field rule says of this act ({named})",
            ),
        )


def _received_at(draft: Draft) -> datetime | None:
    """Read when a line without a time of its own reached the house, if whoever brought it says."""
    told = (draft.metadata or {}).get("received_at")
    try:
        instant = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo is not None else None


def _of_tenant(draft: Draft, tenant: str) -> Draft:
    if draft.tenant_id is None:
        return msgspec.structs.replace(draft, tenant_id=tenant)
    if draft.tenant_id != tenant:
        raise InvalidInput(field="tenant_id", shape=shape_of(draft.tenant_id), reason=_TENANT)
    return draft


def _simulated(drafts: Sequence[Draft], tenant: str) -> list[Draft]:
    """Mark what a simulation writes; none of it enters a house that is none.

    Raises:
        Forbidden: `tenant` is no scratch tenant.
    """
    if not is_scratch(tenant):
        raise Forbidden(actor=SIMULATION, role="-", act=f"append to {tenant}")
    return [msgspec.structs.replace(draft, simulated=True) for draft in drafts]


def _too_many(count: int) -> TooLarge:
    return TooLarge(
        field="drafts",
        shape=f"list of {count}",
        limit=limits.batch_records_max,
        limit_name="batch_records_max",
    )


_TENANT: Final = Text("é de outra casa", "belongs to another tenant")
_NOT_VALID: Final = Text("um fantasma tem valid = false", "a ghost has valid = false")
