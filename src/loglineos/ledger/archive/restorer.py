"""Import: the records of an exported log enter another node, to the same hashes and positions.

The log is replayed through the appender, record by record in the order of positions: signatures,
chains, statuses and the terms of keys are judged again as they were the first time. What differs
afterwards is `recorded_at`, which is when *this* node recorded them, and with it the leaves of the
tree: this node's log of the tenant is a log of its own, under its own origin; the old checkpoints
and receipts keep their meaning with the old log alone. This node may go on writing in the tenant
once the tenant's root or an owner has enrolled its key.

Always holds: a repeat writes nothing; a tenant that already tells another story is left as it is;
records enter at the positions that they had, as long as nobody else writes in the tenant meanwhile
(who does is found out at once: Conflict).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.errors import (
    Conflict,
    InvalidInput,
    LoglineError,
    VerificationFailed,
    shape_of,
)
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.appender import Appender
from loglineos.ledger.archive.export_files import find_export, read_block, read_blocks
from loglineos.ledger.archive.export_lines import Exported
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed
from loglineos.ledger.tlog.merkle import EMPTY_ROOT

Progress: TypeAlias = Callable[[int, int | None], None]
"""Told how many records were read, and how many there are if the manifest says so."""

_SQL: Final = Queries.load("loglineos.ledger.archive", "exporter.sql")
_APPENDER_SQL: Final = Queries.load("loglineos.ledger", "appender.sql")
_BATCH_RECORDS_MAX: Final = 1_000
_BATCH_BYTES_MAX: Final = 4 * 1024 * 1024

_Placed: TypeAlias = tuple[str, Exported]


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did: records read, written now, and found there already."""

    tenant: str | None
    read: int
    written: int
    already: int


async def import_export(
    path: Path,
    *,
    appender: Appender,
    pool: Pool,
    clock: Clock,
    tenant: str | None = None,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Replay an exported log into this node; return what was done.

    `pool` is of logline_reader. The tenant is made if it is not there. If the import stops half
    way, running it again goes on; what was written stays. `tenant` refuses any other one: a
    record's tenant is inside its hash, so an import cannot rename it.

    Raises:
        InvalidInput: a part of a log (a filtered or a viewer's export), another tenant, or a line
            that cannot be read; the field names `file:line`.
        VerificationFailed: a hash or signature does not hold; nothing of its batch was written.
        Conflict: the tenant is here with another history; told with the first place that differs.
        KeyNotTrusted, MoveNotAllowed: the file tells a history that the rules do not allow.
        Pushback, ReadOnly, DatabaseUnavailable: not now; run it again.
    """
    place = find_export(path)
    total = place.manifest.records if place.manifest else None
    if place.manifest is not None and not place.manifest.whole:
        raise InvalidInput(field=place.records.name, shape="export", reason=_ONLY_A_PART)
    replay = _Replay(appender, pool, clock, tenant)
    batches = _batches(
        placed for block in read_blocks(place) for placed in _demand_readable(read_block(block))
    )
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        await replay.take(batch)
        if on_progress is not None:
            on_progress(replay.read, total)
    return ImportReport(
        tenant=replay.tenant, read=replay.read, written=replay.written,
        already=replay.read - replay.written,
    )  # fmt: skip


class _Replay:
    """One import while it runs."""

    def __init__(self, appender: Appender, pool: Pool, clock: Clock, tenant: str | None) -> None:
        self.tenant = tenant
        self.read = 0
        self.written = 0
        self._appender = appender
        self._pool = pool
        self._clock = clock
        self._size: int | None = None

    async def take(self, batch: list[_Placed]) -> None:
        size = await self._open(batch[0][1].record) if self._size is None else self._size
        for offset, (where, one) in enumerate(batch):
            self._demand_place(where, one.record, self.read + offset)
        here = [one for _, one in batch if (one.record.position or 0) < size]
        if here:
            await self._compare(here)
        fresh = batch[len(here) :]
        if fresh:
            await self._append(fresh)
        self.read += len(batch)

    async def _open(self, first: Record) -> int:
        """Find out how far the tenant's log reaches here; make an empty one if there is none."""
        if self.tenant is None:
            self.tenant = first.tenant_id
        asked = {"tenant": self.tenant}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SQL["read_size"], asked)).fetchone()
        if row is None:
            made = {**asked, "root": EMPTY_ROOT, "now": self._clock.now()}
            async with self._appender.writing() as connection:
                await connection.execute(_APPENDER_SQL["open_log"], made)
        self._size = int(row[0]) if row else 0
        return self._size

    def _demand_place(self, where: str, record: Record, position: int) -> None:
        if record.tenant_id != self.tenant:
            raise InvalidInput(field=where, shape=shape_of(record.tenant_id), reason=_OTHER_TENANT)
        if record.position != position:
            raise InvalidInput(field=where, shape=shape_of(record.position), reason=_ONLY_A_PART)

    async def _compare(self, here: list[Exported]) -> None:
        """Hold what the file says against what stands at those positions already."""
        first = here[0].record.position or 0
        asked = {
            "tenant": self.tenant, "position_from": first, "position_before": first + len(here)
        }  # fmt: skip
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_SQL["read_hashes"], asked)).fetchall()
        for one, row in zip(here, rows, strict=True):
            if one.record.curr_hash != row[3]:
                raise _other_history(one.record, f"{row[1]}/{row[2]}")

    async def _append(self, fresh: list[_Placed]) -> None:
        sealed = [
            Sealed(msgspec.structs.replace(one.record, position=None, recorded_at=None), one.bytes)
            for _, one in fresh
        ]
        stored = await self._appender.append(sealed, verified=False)
        for (_, one), kept in zip(fresh, stored, strict=True):
            if kept.position != one.record.position:
                raise _other_history(one.record, f"position {kept.position}")
        self.written += len(fresh)


def _demand_readable(
    rows: Iterator[tuple[str, Exported | InvalidInput]],
) -> Iterator[_Placed]:
    for where, one in rows:
        if isinstance(one, LoglineError):
            raise VerificationFailed(
                what="record", where=where, reason=Text(one.describe("pt"), one.describe("en"))
            ) from one
        yield where, one


def _batches(placed: Iterator[_Placed]) -> Iterator[list[_Placed]]:
    batch: list[_Placed] = []
    weight = 0
    for one in placed:
        batch.append(one)
        weight += len(one[1].bytes)
        if len(batch) == _BATCH_RECORDS_MAX or weight > _BATCH_BYTES_MAX:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _other_history(record: Record, found: str) -> Conflict:
    return Conflict(
        id=str(record.id), seq=record.seq, head=found, position=record.position,
        remedy=Text(
            f"a casa {record.tenant_id} já tem aqui outra história: na posição {record.position} "
            f"está {found}; importe para um nó onde ela não exista, ou verifique qual é a sua",
            f"the tenant {record.tenant_id} has another history here: at position "
            f"{record.position} stands {found}; import into a node without it, or find out which "
            "of the two is yours",
        ),
    )  # fmt: skip


_ONLY_A_PART: Final = Text(
    "é só uma parte do log; exporte-o inteiro (sem filtros, como o nó)",
    "it is only a part of the log; export it whole (no filters, as the node)",
)
_OTHER_TENANT: Final = Text(
    "é de outra casa; a casa está dentro do hash e não se pode mudar",
    "it is of another tenant; the tenant is inside the hash and cannot be changed",
)
