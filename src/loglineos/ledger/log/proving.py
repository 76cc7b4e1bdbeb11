"""Proving: a receipt for any record, which holds offline and without this node.

A receipt carries the record's log entry, its place in the tenant's tree, that tree's checkpoint,
the checkpoint's place in the root log, and the root log's checkpoint with the witnesses' lines.
Always holds: nothing private is in it (the entry names the record by id and hash only); a receipt
once given stays good; asking again gives the same tenant checkpoint.
Source: C2SP tlog-proof; receipt.py for the form.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from loglineos.base.errors import NotFound, Unavailable, UnknownTenant
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.log.log_tiles import ROOT_LOG, Lend
from loglineos.ledger.log.publisher import Publisher
from loglineos.ledger.tlog.merkle import EMPTY_ROOT
from loglineos.ledger.tlog.note import parse_signatures, verify_signatures, with_signatures
from loglineos.ledger.tlog.policy import NO_QUORUM, Policy
from loglineos.ledger.tlog.proofs import consistency_proof, inclusion_proof, root_at
from loglineos.ledger.tlog.receipt import TlogProof, encode_receipt

_SQL: Final = Queries.load("loglineos.ledger.log", "proving.sql")
_CANDIDATES_MAX: Final = 16
_RETRY_AFTER_S: Final = 1


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt and what it is about; `data` is the file, the rest is for showing.

    `entry` is the leaf (canonical JSON), `tenant_size` and `root_size` the sizes of the two trees,
    `is_witnessed` whether the node's policy is met by the cosignatures in it.
    """

    tenant: str
    id: UUID
    seq: int
    position: int
    record_hash: str
    entry: bytes
    tenant_size: int
    root_size: int
    is_witnessed: bool
    data: bytes


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of `new` entries of a log begins with that of `old`: both roots, and the proof."""

    tenant: str
    old: int
    new: int
    old_root: bytes
    new_root: bytes
    hashes: tuple[bytes, ...]


class Prover:
    """Gives receipts and proofs of the logs of one node."""

    def __init__(
        self, lend_reader: Lend, publisher: Publisher, *, policy: Policy | None = None
    ) -> None:
        """Read by `lend_reader`; publish by `publisher` what no checkpoint covers yet."""
        self._lend = lend_reader
        self._publisher = publisher
        self._policy = policy

    async def prove(
        self,
        tenant: str,
        *,
        id: UUID | None = None,  # noqa: A002 - the name of the column
        seq: int | None = None,
        position: int | None = None,
    ) -> Receipt:
        """Return a receipt for one record: `id` and `seq` (None: the latest), or `position`.

        Publishes when no checkpoint covers it yet. Reads every tenant: the caller has made sure
        that whoever asks may know of the record.

        Raises:
            NotFound: no such record.
            LogBehind, VerificationFailed, Misconfigured, Unavailable: see `Publisher.publish`.
        """
        place, identity, number, curr_hash = await self._find(tenant, id, seq, position)
        by = await self._covering(tenant, place)
        tiles, root_tiles = self._publisher.tiles(tenant), self._publisher.tiles(ROOT_LOG)
        entry = await tiles.entry(place)
        parts = [
            TlogProof(
                index=place,
                hashes=tuple(await inclusion_proof(tiles, place, by.tenant_size)),
                checkpoint=by.tenant_note,
                extra=entry,
            ),
            TlogProof(
                index=by.root_position,
                hashes=tuple(await inclusion_proof(root_tiles, by.root_position, by.root.size)),
                checkpoint=by.root.note,
            ),
        ]
        return Receipt(
            tenant=tenant, id=identity, seq=number, position=place, record_hash=curr_hash,
            entry=entry, tenant_size=by.tenant_size, root_size=by.root.size,
            is_witnessed=by.root.is_witnessed,
            data=encode_receipt(parts),
        )  # fmt: skip

    async def consistency(self, tenant: str, *, old: int, new: int | None = None) -> Consistency:
        """Prove that a log's tree of `new` entries (None: its head) begins with that of `old`.

        Raises:
            UnknownTenant: there is no such log. InvalidInput: not 0 <= old <= new.
            NotFound: the log is not that large.
        """
        tiles = self._publisher.tiles(tenant)
        try:
            size = (await tiles.head()).size
        except NotFound as cause:
            raise UnknownTenant(which=tenant) from cause
        new = size if new is None else new
        if new > size:
            raise NotFound(what="tree", which=f"{tenant} {new}")
        hashes = await consistency_proof(tiles, old, new)
        old_root = await root_at(tiles, old) if old else EMPTY_ROOT
        return Consistency(
            tenant=tenant, old=old, new=new, old_root=old_root, new_root=await root_at(tiles, new),
            hashes=tuple(hashes),
        )  # fmt: skip

    async def _find(
        self, tenant: str, identity: UUID | None, seq: int | None, position: int | None
    ) -> tuple[int, UUID, int, str]:
        if position is not None:
            row = await self._row("read_event_at", tenant=tenant, position=position)
        elif seq is not None:
            row = await self._row("read_event", tenant=tenant, id=identity, seq=seq)
        else:
            row = await self._row("read_latest_event", tenant=tenant, id=identity)
        if row is None:
            which = f"{identity or position}" + ("" if seq is None else f"/{seq}")
            raise NotFound(what="record", which=which)
        return row[0], row[1], row[2], row[3]

    async def _covering(self, tenant: str, position: int) -> _Covering:
        """Find the checkpoints that cover a position, publishing once when there are none yet."""
        for is_retry in (False, True):
            if is_retry:
                await self._publisher.publish([tenant])
            row = await self._row("read_covering", tenant=tenant, root=ROOT_LOG, position=position)
            root = None if row is None else await self._root_checkpoint(row[2])
            if row is not None and root is not None:
                return _Covering(row[0], row[1].encode(), row[2], root)
        raise Unavailable(reason=_NOT_COVERED, retry_after_s=_RETRY_AFTER_S)

    async def _root_checkpoint(self, position: int) -> _RootCheckpoint | None:
        """Choose the first root checkpoint that is witnessed, else the most cosigned one."""
        told = {"root": ROOT_LOG, "position": position, "rows_max": _CANDIDATES_MAX}
        async with self._lend() as connection:
            cursor = await connection.execute(_SQL["read_root_checkpoints"], told)
            rows = await cursor.fetchall()
        best: _RootCheckpoint | None = None
        best_lines = -1
        for size, text, block in rows:
            lines = parse_signatures(block) if block else ()
            note = with_signatures(text.encode(), lines=lines) if lines else text.encode()
            if self._is_met(text, block):
                return _RootCheckpoint(size, note, True)
            if len(lines) > best_lines:
                best, best_lines = _RootCheckpoint(size, note, False), len(lines)
        return best

    def _is_met(self, note: str, block: str) -> bool:
        policy = self._policy
        if policy is None or policy.quorum == NO_QUORUM or not block:
            return False
        text = note[: note.rfind("\n\n") + 1]
        lines = parse_signatures(block)
        found = verify_signatures(text, lines=lines, known=policy.witness_keys)
        return policy.is_met(one.key for one in found)

    async def _row(self, name: str, **told: Any) -> Any:
        async with self._lend() as connection:
            return await (await connection.execute(_SQL[name], told)).fetchone()


class _RootCheckpoint(NamedTuple):
    size: int
    note: bytes
    is_witnessed: bool


class _Covering(NamedTuple):
    tenant_size: int
    tenant_note: bytes
    root_position: int
    root: _RootCheckpoint


_NOT_COVERED: Final = Text(
    "ainda nenhum checkpoint cobre este registo", "no checkpoint covers this record yet"
)
