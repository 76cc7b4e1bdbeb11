"""The publisher: signs what the logs have become, enters it into the root log, has it witnessed.

    tenant head → continues the guard's? → guard, sign, store → entry of the root log
    root head   → continues the guard's? → guard, sign, store → witnesses cosign

Always holds: nothing is signed that does not continue everything signed before (a proof computed
from the tiles says so, not the database's word); the guard has a checkpoint on the disk before
anybody can see it; a publisher killed anywhere leaves nothing to undo, and the next one goes on;
publishers of several nodes on one database take turns. A witness that is away holds up nothing.
Source: C2SP tlog-checkpoint; docs/reference/log.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.errors import (
    LogBehind,
    LoglineError,
    Misconfigured,
    NotFound,
    Pushback,
    VerificationFailed,
)
from loglineos.database.queries import Queries
from loglineos.ledger.log.cosigning import Cosigners
from loglineos.ledger.log.guard import Guard, Guarded, forked, refuse_older
from loglineos.ledger.log.log_names import log_signers, origin_of, tenant_of
from loglineos.ledger.log.log_tiles import ROOT_LOG, Connection, Lend, LogTiles, lending
from loglineos.ledger.log.steady_connection import Connect, SteadyConnection
from loglineos.ledger.signature import SigningKey
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, leaf_hash, verify_consistency
from loglineos.ledger.tlog.proofs import consistency_proof, root_at
from loglineos.ledger.tlog.receipt import root_entry

INTERVAL_S: Final = 1.0
"""The shortest time between two rounds of the loop."""
SCAN_S: Final = 30.0
"""How often the loop looks for what nobody told it of: other nodes' appends, absent witnesses."""

_SQL: Final = Queries.load("loglineos.ledger.log", "publisher.sql")
_APPEND_SQL: Final = Queries.load("loglineos.ledger", "appender.sql")
_HEAD_SQL: Final = Queries.load("loglineos.ledger.log", "log_tiles.sql")
_GUARD_TRIES: Final = 3
_REFUSALS: Final = (LogBehind, VerificationFailed, Misconfigured)


class PublishedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that anyone may see; `tenant` is `ROOT_LOG` for the root log's."""

    tenant: str
    checkpoint: Checkpoint
    note: bytes


class Publisher:
    """Publishes the checkpoints of one node's logs. One at a time signs, whoever asks."""

    def __init__(
        self,
        lend_reader: Lend,
        connect: Connect,
        *,
        guard: Guard,
        keys: Sequence[SigningKey],
        origin: str,
        clock: Clock,
        cosigners: Cosigners | None = None,
    ) -> None:
        """Read by `lend_reader` (such as `reader_pool.connection`), write as the appender's role.

        `keys` are the node's log keys; every one of them signs. `origin` is the node's. Without
        `cosigners` nobody is asked to witness.
        """
        self.origin = origin
        self.cosigners = cosigners
        self.refusal: LoglineError | None = None
        """Why nothing is signed any more; None while all is well."""
        self._lend = lend_reader
        self._writer = SteadyConnection(connect)
        self._guard = guard
        self._keys = tuple(keys)
        self._clock = clock
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._moved: set[str] = set()
        self._is_fresh = True

    def tiles(self, tenant: str) -> LogTiles:
        """Return the log of a tenant, or the root log, for reading."""
        return LogTiles(self._lend, tenant)

    def gate(self) -> None:
        """Raise the refusal when there is one: for whoever must not go on beside it.

        Raises:
            LogBehind, VerificationFailed, Misconfigured: see `publish`.
        """
        if self.refusal is not None:
            raise self.refusal

    async def publish(
        self, tenants: Iterable[str] | None = None, *, is_witnessed: bool = True
    ) -> list[PublishedCheckpoint]:
        """Publish the logs of `tenants` (None: all) that have grown, then the root log.

        Durable before return. Logs that have not grown since their last checkpoint, and empty
        ones, are passed over. `is_witnessed` also asks the witnesses, for at most their timeout.

        Raises:
            LogBehind: the database is behind the guard or a witness.
            VerificationFailed: its history is not the one that was signed.
            Misconfigured: a guard file cannot be read. After these three nothing is signed again
                by this publisher.
            Unavailable: try again later; nothing is lost.
        """
        async with self._turn:
            self.gate()
            try:
                published = await self._publish(tenants)
            except LoglineError as cause:
                if isinstance(cause, _REFUSALS):
                    self.refusal = cause
                raise
        if is_witnessed and published:
            await self.cosign()
        return published

    async def cosign(self) -> dict[str, LoglineError]:
        """Ask the witnesses that have not cosigned the newest root checkpoint; store their lines.

        Return who failed and why; they are asked again later.

        Raises:
            LogBehind: a witness has seen a larger root log; nothing is signed any more.
            Unavailable: the database does not answer.
        """
        if self.cosigners is None:
            return {}
        newest = await self.newest(ROOT_LOG)
        if newest is None:
            return {}
        key = {"tenant": ROOT_LOG, "size": newest.checkpoint.size}
        async with self._lend() as connection:
            rows = await (await connection.execute(_SQL["list_cosigners"], key)).fetchall()
        have = {row[0] for row in rows}
        try:
            answer = await self.cosigners.ask(newest.note, tiles=self.tiles(ROOT_LOG), without=have)
        except LogBehind as cause:
            self.refusal = cause
            raise
        async with self._writer.lend() as connection:
            for witness, found in answer.cosignatures.items():
                line = "".join(one.line.encode() for one in found)
                told = {**key, "witness": witness, "line": line, "now": self._clock.now()}
                await connection.execute(_SQL["keep_cosignature"], told)
        return answer.failures

    async def check_behind(self, *, asks_witnesses: bool = True) -> list[str]:
        """Hold the database against every guard file and every witness; for the node's start.

        `asks_witnesses` false leaves the network alone, for a command that runs and is gone.
        Return the names of witnesses that did not answer.

        Raises:
            LogBehind: the database is behind; the error names the log, both sizes and who knows.
            VerificationFailed, Misconfigured: see `publish`.
        """
        try:
            for origin in self._guard.origins():
                tenant = tenant_of(self.origin, origin)
                if tenant is not None:
                    await self._check_guarded(tenant, origin)
            return await self._check_witnesses() if asks_witnesses else []
        except _REFUSALS as cause:
            self.refusal = cause
            raise

    def wake(self, tenants: Iterable[str]) -> None:
        """Tell the loop that the logs of `tenants` have grown. Cheap; from the loop's thread."""
        self._moved.update(tenants)
        self._woken.set()

    async def run(self, *, interval_s: float = INTERVAL_S, scan_s: float = SCAN_S) -> None:
        """Publish whenever woken, at most once per `interval_s`, until cancelled or refused.

        Every `scan_s` all logs are looked at and absent witnesses asked again. What is not
        available now is tried again in the next round; a refusal ends the loop and stands in
        `refusal`.
        """
        is_scan = True
        while self.refusal is None:
            moved, self._moved = self._moved, set()
            self._woken.clear()
            try:
                published = await self.publish(None if is_scan else moved)
                if is_scan and not published:
                    await self.cosign()
            except LoglineError:
                self._moved |= moved
                await asyncio.sleep(interval_s)
                continue
            await asyncio.sleep(interval_s)
            is_scan = False
            if not self._moved:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), scan_s)
                is_scan = not self._woken.is_set()

    async def close(self) -> None:
        """Let go of the connection that writes."""
        await self._writer.close()

    async def _publish(self, tenants: Iterable[str] | None) -> list[PublishedCheckpoint]:
        chosen = await self._names("list_moved") if tenants is None else sorted(set(tenants))
        published = [await self._publish_log(tenant) for tenant in chosen if tenant != ROOT_LOG]
        unrooted = {one.tenant for one in published if one is not None}
        if self._is_fresh or tenants is None:
            unrooted |= set(await self._names("list_published"))
        if unrooted:
            await self._enter_into_root(sorted(unrooted))
        if unrooted or self._is_fresh:
            published.append(await self._publish_log(ROOT_LOG))
        self._is_fresh = False
        return [one for one in published if one is not None]

    async def _publish_log(self, tenant: str) -> PublishedCheckpoint | None:
        """Sign the head of one log and store it; None when it is stored already, or empty."""
        origin = origin_of(self.origin, tenant)
        async with self._writer.lend() as connection, connection.transaction():
            await connection.execute(_SQL["lock_publishing"], {"tenant": tenant})
            kept = self._guard.read(origin)
            new = await self._read_head(connection, tenant) or _empty(origin)
            last = await self._newest(connection, tenant)
            if last is not None:
                refuse_older(new, last.checkpoint, keeper="ledger.checkpoint")
            await self._demand_continuation(connection, tenant, new, kept=kept)
            if new.size in (0, last.checkpoint.size if last else 0):
                return None
            note = sign_checkpoint(new, signers=log_signers(self._keys, origin))
            await self._keep_in_guard(connection, tenant, new, note=note, kept=kept)
            told = {
                "tenant": tenant, "size": new.size, "root": new.root, "note": note.decode(),
                "now": self._clock.now(),
            }  # fmt: skip
            await connection.execute(_SQL["keep_checkpoint"], told)
        return PublishedCheckpoint(tenant=tenant, checkpoint=new, note=note)

    async def _keep_in_guard(
        self,
        connection: Connection,
        tenant: str,
        new: Checkpoint,
        *,
        note: bytes,
        kept: Guarded | None,
    ) -> None:
        for _ in range(_GUARD_TRIES):
            expected = kept.checkpoint if kept else None
            if await asyncio.to_thread(self._guard.advance, note, expected=expected):
                return
            kept = self._guard.read(new.origin)
            await self._demand_continuation(connection, tenant, new, kept=kept)
        raise Pushback(retry_after_s=INTERVAL_S)

    async def _demand_continuation(
        self, connection: Connection, tenant: str, new: Checkpoint, *, kept: Guarded | None
    ) -> None:
        """Raise unless the tiles prove that `new` continues what the guard kept before it."""
        tiles = LogTiles(lending(connection), tenant)
        old = kept.checkpoint if kept else _empty(new.origin)
        refuse_older(new, old, keeper=self._guard.name)
        try:
            if old.size == 0:
                is_continued = await root_at(tiles, new.size) == new.root
            else:
                proof = await consistency_proof(tiles, old.size, new.size)
                verify_consistency(old.size, new.size, old.root, new.root, proof)
                is_continued = True
        except (NotFound, VerificationFailed) as cause:
            raise forked(new.origin, size=old.size, keeper=self._guard.name) from cause
        if not is_continued:
            raise forked(new.origin, size=new.size, keeper="ledger.tile")

    async def _enter_into_root(self, tenants: list[str]) -> None:
        """Append to the root log the checkpoints of `tenants` that it lacks, in one transaction."""
        async with self._writer.lend() as connection, connection.transaction():
            opened = {"tenant": ROOT_LOG, "root": EMPTY_ROOT, "now": self._clock.now()}
            await connection.execute(_APPEND_SQL["open_log"], opened)
            cursor = await connection.execute(_SQL["lock_root_head"], {"tenant": ROOT_LOG})
            size, root = await cursor.fetchone() or (0, EMPTY_ROOT)
            cursor = await connection.execute(
                _SQL["list_unrooted"], {"root": ROOT_LOG, "tenants": tenants}
            )
            rows = await cursor.fetchall()
            if rows:
                await self._append_entries(connection, size, bytes(root), rows)

    async def _append_entries(
        self, connection: Connection, size: int, root: bytes, rows: Sequence[Sequence[Any]]
    ) -> None:
        origin = origin_of(self.origin, ROOT_LOG)
        try:
            tree = await LogTiles(lending(connection), ROOT_LOG).tree(size)
        except NotFound as cause:
            raise forked(origin, size=size, keeper="ledger.tile") from cause
        if tree.root() != root:
            raise forked(origin, size=size, keeper="ledger.log_head")
        entries = [root_entry(row[2].encode()) for row in rows]
        async with connection.pipeline():
            for position, (row, entry) in enumerate(zip(rows, entries, strict=True), start=size):
                told = {
                    "tenant": ROOT_LOG, "position": position, "source_tenant": row[0],
                    "source_size": row[1], "entry": entry,
                }  # fmt: skip
                await connection.execute(_SQL["insert_root_entry"], told)
            for tile in tree.extend([leaf_hash(entry) for entry in entries]):
                told = {"tenant": ROOT_LOG, **msgspec.structs.asdict(tile)}
                await connection.execute(_APPEND_SQL["insert_tile"], told)
            moved = {
                "tenant": ROOT_LOG, "size": tree.size, "old_size": size, "root": tree.root(),
                "now": self._clock.now(),
            }  # fmt: skip
            await connection.execute(_SQL["move_root_head"], moved)

    async def _check_guarded(self, tenant: str, origin: str) -> None:
        kept = self._guard.read(origin)
        async with self._lend() as connection:
            new = await self._read_head(connection, tenant) or _empty(origin)
            await self._demand_continuation(connection, tenant, new, kept=kept)

    async def _check_witnesses(self) -> list[str]:
        """Show every witness the newest root checkpoint; an empty one asks for what they have."""
        if self.cosigners is None:
            return []
        newest = await self.newest(ROOT_LOG)
        origin = origin_of(self.origin, ROOT_LOG)
        note = (
            newest.note
            if newest is not None
            else sign_checkpoint(_empty(origin), signers=log_signers(self._keys, origin))
        )
        answer = await self.cosigners.ask(note, tiles=self.tiles(ROOT_LOG))
        return sorted(answer.failures)

    async def _read_head(self, connection: Connection, tenant: str) -> Checkpoint | None:
        cursor = await connection.execute(_HEAD_SQL["read_head"], {"tenant": tenant})
        row = await cursor.fetchone()
        if row is None:
            return None
        origin = origin_of(self.origin, tenant)
        return Checkpoint(origin=origin, size=row[0], root=bytes(row[1]))

    async def newest(self, tenant: str) -> PublishedCheckpoint | None:
        """Return the last checkpoint of a log, or of `ROOT_LOG`; None before the first."""
        async with self._lend() as connection:
            return await self._newest(connection, tenant)

    async def _newest(self, connection: Connection, tenant: str) -> PublishedCheckpoint | None:
        cursor = await connection.execute(_SQL["read_checkpoint"], {"tenant": tenant})
        row = await cursor.fetchone()
        if row is None:
            return None
        origin = origin_of(self.origin, tenant)
        checkpoint = Checkpoint(origin=origin, size=row[0], root=bytes(row[1]))
        return PublishedCheckpoint(tenant=tenant, checkpoint=checkpoint, note=row[2].encode())

    async def _names(self, query: str) -> list[str]:
        async with self._lend() as connection:
            return [row[0] for row in await (await connection.execute(_SQL[query])).fetchall()]


def _empty(origin: str) -> Checkpoint:
    return Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)
