"""Ingest: a stream of drafts enters the ledger in batches, at constant memory, whatever it holds.

Always holds: each item ends as a record or as the ghost of one, never dropped; running the same
input twice adds nothing; at most a fixed number of batches is in flight; an item that the ledger
cannot keep as it is (too large, too far in the future) becomes a ghost that says so.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    KeyNotTrusted,
    Pushback,
    Refused,
    Unavailable,
    shape_of,
)
from loglineos.ledger.intake.salvage import ghost_of, orphan_of
from loglineos.ledger.record import DRAFT_FIELDS, Draft, Record
from loglineos.ledger.writer import TURN_DRAFTS, Writer

_BATCH: Final = 1_000
_IN_FLIGHT: Final = 3
_RETRIES_MAX: Final = 60
_COLLECT_EVERY: Final = 50_000


class IngestReport(msgspec.Struct, kw_only=True):
    """What one ingest did, so far."""

    lines: int = 0
    added: int = 0
    present: int = 0
    ghosts: int = 0
    first_position: int | None = None
    last_position: int | None = None


async def ingest(
    writer: Writer,
    drafts: Iterable[Draft],
    *,
    tenant: str,
    on_progress: Callable[[IngestReport], None] | None = None,
    batch_records: int = _BATCH,
) -> IngestReport:
    """Append every draft; return how many were added and how many were there already.

    Drafts must carry ids of their content, so that a second run finds them. A draft whose `seq` is
    above 0 follows the one before it in the same stream. Reading the next batch goes on while the
    database writes the last.

    Raises:
        UnknownTenant, ReadOnly, DatabaseUnavailable: what was added stays; run it again later.
    """

    async def whole() -> AsyncIterator[Iterable[Draft]]:
        yield drafts

    return await ingest_chunks(
        writer, whole(), tenant=tenant, on_progress=on_progress, batch_records=batch_records
    )


async def ingest_chunks(
    writer: Writer,
    chunks: AsyncIterable[Iterable[Draft]],
    *,
    tenant: str,
    on_progress: Callable[[IngestReport], None] | None = None,
    batch_records: int = _BATCH,
) -> IngestReport:
    """Do as `ingest`, for drafts that come in chunks and may be waited for, as from a pipe.

    What has come is written while the next chunk is waited for.
    """
    lane = _Lane(writer, tenant, await writer.log_size(tenant) or 0, on_progress)
    waiting: set[asyncio.Task[None]] = set()
    last: asyncio.Task[None] | None = None
    with _rarer_collections():
        try:
            async for chunk in chunks:
                async for batch in _batches(chunk, batch_records):
                    if len(waiting) >= _IN_FLIGHT:
                        waiting = await _settled(waiting, asyncio.FIRST_COMPLETED)
                    last = asyncio.create_task(lane.take(batch, last))
                    waiting.add(last)
                    await asyncio.sleep(0)
            await _settled(waiting)
            waiting = set()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    return lane.report


@contextmanager
def _rarer_collections() -> Iterator[None]:
    """Look for reference cycles less often: batches on their way are many objects and no cycles.

    What has no cycle is freed at once all the same. Of several at a time the first one decides.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < _COLLECT_EVERY:  # switched off, or rare enough
        yield
        return
    gc.set_threshold(_COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def _settled(
    waiting: set[asyncio.Task[None]], return_when: str = asyncio.ALL_COMPLETED
) -> set[asyncio.Task[None]]:
    """Wait for batches on their way; return those that still are, raise what one of them raised."""
    if not waiting:
        return waiting
    done, left = await asyncio.wait(waiting, return_when=return_when)
    for task in done:
        task.result()
    return left


async def _batches(drafts: Iterable[Draft], size: int) -> AsyncIterator[list[Draft]]:
    """Cut the stream; two events of one entity that repeat a seq never share a batch.

    Making a thousand drafts takes a while, in which the database must be fed: every so often the
    others have their turn.
    """
    batch: list[Draft] = []
    seen: set[tuple[int, int]] = set()
    for draft in drafts:
        if len(batch) % TURN_DRAFTS == TURN_DRAFTS - 1:
            await asyncio.sleep(0)
        place = (draft.id.int, draft.seq or 0) if draft.id is not None else None
        if len(batch) >= size or place in seen:
            yield batch
            batch, seen = [], set()
        batch.append(draft)
        if place is not None:
            seen.add(place)
    if batch:
        yield batch


class _Lane:
    """One ingest while it runs: batches are sealed in order, and a few are on their way at once.

    An event may follow one that is still on its way: `_sent` remembers the hashes of the last
    batches, which the database cannot tell yet.
    """

    def __init__(
        self,
        writer: Writer,
        tenant: str,
        size_before: int,
        on_progress: Callable[[IngestReport], None] | None,
    ) -> None:
        self.report = IngestReport()
        self._writer = writer
        self._tenant = tenant
        self._size_before = size_before
        self._on_progress = on_progress
        self._turn = asyncio.Lock()
        self._sent: deque[dict[int, dict[int, str]]] = deque(maxlen=_IN_FLIGHT + 1)

    async def take(self, batch: list[Draft], before: asyncio.Task[None] | None) -> None:
        """Append one batch; `before` is the one ahead of it, None for the first."""
        async with self._turn:
            fresh = await _without_present(self._writer, batch, self._tenant)
            sending = await self._send(fresh)
        try:
            records = await sending if sending is not None else None
        except (Conflict, Refused):
            records = None
        if records is None:
            if before is not None:
                await asyncio.wait([before])
            records = []
            for draft in fresh:
                records += await _append_one(self._writer, draft, self._tenant)
        self._count(records)
        self.report.present += len(batch) - len(fresh)
        self.report.lines += len(batch)
        if self._on_progress is not None:
            self._on_progress(self.report)

    async def _send(self, drafts: list[Draft]) -> asyncio.Task[list[Record]] | None:
        """Seal a batch and put it on its way; None when one of its drafts cannot be sealed."""
        try:
            sealed = await self._writer.seal(
                drafts, tenant=self._tenant, on_their_way=self._on_their_way(drafts)
            )
        except (InvalidInput, Conflict):
            return None
        sent: dict[int, dict[int, str]] = {}
        for record, _ in sealed:
            sent.setdefault(record.id.int, {})[record.seq] = record.curr_hash
        self._sent.append(sent)
        append = partial(self._writer.appender.append, sealed, verified=True, if_absent=True)
        sending = asyncio.create_task(_insist(append))
        await asyncio.sleep(0)  # it enters the appender's queue now, before the next batch
        return sending

    def _on_their_way(self, drafts: list[Draft]) -> dict[tuple[UUID, int], str]:
        """Return the hashes of events just sent that one of these drafts may follow."""
        following = {draft.id for draft in drafts if draft.id is not None and draft.seq != 0}
        return {
            (entity, seq): told
            for sent in self._sent
            for entity in following
            for seq, told in sent.get(entity.int, {}).items()
        }

    def _count(self, records: list[Record]) -> None:
        report = self.report
        for record in records:
            position = -1 if record.position is None else record.position
            if position < self._size_before:
                report.present += 1
                continue
            report.added += 1
            report.ghosts += record.status == "ghost"
            if report.first_position is None or position < report.first_position:
                report.first_position = position
            report.last_position = max(position, report.last_position or 0)


def _is_next(draft: Draft) -> bool:
    """Tell whether a draft is whatever comes next in the life of its entity."""
    return draft.id is not None and draft.seq is None


async def _without_present(writer: Writer, batch: list[Draft], tenant: str) -> list[Draft]:
    """Leave out the open-ended events that an earlier run appended: their key says so."""
    keys = [draft.idempotency_key for draft in batch if _is_next(draft) and draft.idempotency_key]
    if not keys:
        return batch
    present = await writer.present_keys(
        tenant, ids=[draft.id for draft in batch if _is_next(draft) and draft.id], keys=keys
    )
    return [
        draft
        for draft in batch
        if not (_is_next(draft) and (draft.id, draft.idempotency_key) in present)
    ]


async def _append_one(writer: Writer, draft: Draft, tenant: str) -> list[Record]:
    current = draft
    for _ in range(len(DRAFT_FIELDS)):
        try:
            return await _insist(partial(writer.append, [current], tenant=tenant, if_absent=True))
        except InvalidInput as error:
            current = ghost_of(current, error)
        except (KeyNotTrusted, Forbidden) as error:
            if current.who is None:
                raise
            # Somebody with a key of their own is said to have acted: without it, that is a claim.
            unsigned = InvalidInput(field="who", shape=shape_of(current.who), reason=str(error))
            current = ghost_of(current, unsigned)
        except (Conflict, Refused) as error:
            current = orphan_of(draft, error)
    raise AssertionError("each round settles one field")


async def _insist(append: Callable[[], Awaitable[list[Record]]]) -> list[Record]:
    """Repeat while the appender pushes back; other faults are the caller's."""
    for _ in range(_RETRIES_MAX):
        try:
            return await append()
        except Pushback as busy:
            await asyncio.sleep(float(str(busy.fields.get("retry_after_s", 0.05))))
    raise Unavailable(reason="pushback", retry_after_s=1)
