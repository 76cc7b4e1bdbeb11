"""Export: the records of a tenant as a file that anybody can check and any node can take in.

    export(...)  FILE     FILE.export.json                     one file and its manifest beside it
                 FOLDER/  records.jsonl  export.json           and, on request:
                          contracts/records.jsonl  confirmed/records.jsonl  ghosts/records.jsonl
                          index.csv                            which record went to which of them

Always holds: records come in the order of their positions; memory is one page whatever the size;
what a reader may not see is not in the file (a viewer reads under row-level security); a file
appears under its name only when it is complete and on the disk.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from loglineos.base.clock import Clock, SystemClock, rfc3339
from loglineos.base.errors import InvalidInput, UnknownName, UnknownTenant, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Connection, Pool, reading
from loglineos.database.queries import Queries
from loglineos.ledger.archive.export_files import (
    MANIFEST,
    ExportFile,
    ExportManifest,
    FileAside,
    RecordSink,
    manifest_path,
    open_sink,
)
from loglineos.ledger.archive.export_lines import FORMATS, Exported, Format
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import bytes_of

STDOUT: Final = "-"
FOLDERS: Final = ("contracts", "confirmed", "ghosts")
Progress: TypeAlias = Callable[[int, int], None]
"""Told the positions read so far, and how many there are."""

_SQL: Final = Queries.load("loglineos.ledger.archive", "exporter.sql")
_PAGE_FIRST: Final = 128
_PAGE_LONGEST: Final = 4_096
_PAGE_BYTES: Final = 4 * 1024 * 1024


class Viewer(Protocol):
    """Somebody in whose name records are read: an actor and the role that they have."""

    @property
    def user(self) -> str:
        """The actor."""
        ...

    @property
    def role(self) -> str:
        """The actor's role in the tenant."""
        ...


class ExportFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records; each condition that is given must hold. `at_before` is exclusive."""

    who: str | None = None
    did: str | None = None
    this: str | None = None
    status: str | None = None
    type: str | None = None
    entity_type: str | None = None
    tag: str | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class _Extent(NamedTuple):
    size: int
    root: bytes
    note: str | None


EVERYTHING: Final = ExportFilter()


async def export(
    pool: Pool,
    tenant: str,
    target: Path | str,
    *,
    records_format: Format = "jsonl",
    where: ExportFilter = EVERYTHING,
    viewer: Viewer | None = None,
    folders: bool = False,
    vkeys: tuple[str, ...] = (),
    clock: Clock | None = None,
    on_progress: Progress | None = None,
    stdout: BinaryIO | None = None,
) -> ExportManifest:
    """Write the records of a tenant in the order of their positions; return the manifest.

    `target` is a file (its manifest goes beside it), a folder (a name without an ending, or one
    that exists) or `-` for `stdout`, where no manifest is written. Without a `viewer`, `pool` is
    one of logline_reader and everything is read; with one, it is of logline_app. The log is read
    as far as it reached at the start. `vkeys` are the keys of this node's logs, for the manifest.
    A target that exists is replaced when, and only when, the new one is complete.

    Raises:
        UnknownTenant: no such tenant on this node. UnknownName: no such format.
        InvalidInput: folders were asked for beside a single file.
    """
    if records_format not in FORMATS:
        raise UnknownName(field="format", shape=repr(records_format), known=", ".join(FORMATS))
    source = _Source(pool, tenant, where, viewer)
    extent = await source.extent()
    path = None if str(target) == STDOUT else Path(target)
    is_folder = path is not None and (path.is_dir() or path.suffix == "")
    if folders and not is_folder:
        raise InvalidInput(field="folders", shape=shape_of(str(target)), reason=_NEEDS_FOLDER)
    writing = _Writing(path, records_format, is_folder, folders, stdout)
    try:
        async for batch, done in source.pages(extent.size):
            await asyncio.to_thread(writing.write, batch)
            if on_progress is not None:
                on_progress(done, extent.size)
        files = await asyncio.to_thread(writing.finish)
    except BaseException:
        writing.discard()
        raise
    manifest = ExportManifest(
        tenant=tenant, records_format=records_format, records=writing.records, size=extent.size,
        root=extent.root.hex(), whole=writing.records == extent.size, checkpoint=extent.note,
        vkeys=vkeys, counts=dict(sorted(writing.counts.items())),
        exported_at=rfc3339((clock or SystemClock()).now()), files=tuple(files),
    )  # fmt: skip
    if path is not None:
        told = path / MANIFEST if is_folder else manifest_path(path)
        await asyncio.to_thread(_write_manifest, told, manifest)
    return manifest


def folder_of(record: Record) -> str | None:
    """Tell the folder of a record: what waits is a ghost, what was witnessed is confirmed.

    Every other line that says what must follow is an open contract; records that claim nothing
    (the founding, keys) are in no folder.
    """
    if record.status == "ghost":
        return "ghosts"
    if record.status == "confirmed":
        return "confirmed"
    follows = (record.if_ok, record.if_doubt, record.if_not)
    return "contracts" if any(one is not None for one in follows) else None


class _Source:
    """The log of one tenant, as one reader sees it."""

    def __init__(self, pool: Pool, tenant: str, where: ExportFilter, viewer: Viewer | None) -> None:
        self._pool = pool
        self._tenant = tenant
        self._where = msgspec.structs.asdict(where)
        self._viewer = viewer

    async def extent(self) -> _Extent:
        async with self._reading() as connection:
            cursor = await connection.execute(_SQL["read_extent"], {"tenant": self._tenant})
            row = await cursor.fetchone()
        if row is None:
            raise UnknownTenant(which=self._tenant)
        return _Extent(row[0], bytes(row[1]), row[2])

    async def pages(self, size: int) -> AsyncIterator[tuple[list[Exported], int]]:
        """Yield the records of each span of positions; spans grow and shrink with their weight."""
        position, span = 0, _PAGE_FIRST
        while position < size:
            before = min(position + span, size)
            asked = {"tenant": self._tenant, "position_from": position, "position_before": before}
            async with self._reading() as connection:
                cursor = await connection.execute(_SQL["read_page"], {**asked, **self._where})
                rows = await cursor.fetchall()
            batch = await asyncio.to_thread(_exported, rows)
            weight = sum(len(one.bytes) for one in batch)
            if weight < _PAGE_BYTES // 2:
                span = min(span * 2, _PAGE_LONGEST)
            elif weight > _PAGE_BYTES:
                span = max(span // 4, 1)
            position = before
            yield batch, position

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        if self._viewer is None:
            async with self._pool.connection() as connection:
                yield connection
            return
        user, role = self._viewer.user, self._viewer.role
        async with reading(self._pool, tenant=self._tenant, user=user, role=role) as connection:
            yield connection


class _Writing:
    """The files of one export while they are written."""

    def __init__(
        self,
        path: Path | None,
        records_format: Format,
        is_folder: bool,
        folders: bool,
        stdout: BinaryIO | None,
    ) -> None:
        self.records = 0
        self.counts: Counter[str] = Counter()
        self._open: dict[str, FileAside] = {}
        self._sinks: dict[str, RecordSink] = {}
        self._index: FileAside | None = None
        if path is None:
            self._main = open_sink(stdout or sys.stdout.buffer, records_format=records_format)
            return
        name = f"records.{records_format}"
        self._main = self._sink(path / name if is_folder else path, path.name, records_format)
        if is_folder:
            self._open[name] = self._open.pop(path.name)
        if folders:
            for folder in FOLDERS:
                below = f"{folder}/{name}"
                self._sinks[folder] = self._sink(path / below, below, records_format)
            self._index = self._open["index.csv"] = FileAside(path / "index.csv")
            self._index.write(b"position,id,seq,folder\n")

    def write(self, batch: list[Exported]) -> None:
        self._main.write(batch)
        self.records += len(batch)
        self.counts.update(one.record.status or "" for one in batch)
        if self._index is None:
            return
        sorted_out: dict[str, list[Exported]] = {}
        for one in batch:
            record, folder = one.record, folder_of(one.record)
            if folder is not None:
                sorted_out.setdefault(folder, []).append(one)
            said = f"{record.position},{record.id},{record.seq},{folder or ''}\n"
            self._index.write(said.encode())
        for folder, some in sorted_out.items():
            self._sinks[folder].write(some)

    def finish(self) -> list[ExportFile]:
        for sink in (self._main, *self._sinks.values()):
            sink.close()
        return [file.finish(name=name) for name, file in self._open.items()]

    def discard(self) -> None:
        for file in self._open.values():
            file.discard()

    def _sink(self, path: Path, name: str, records_format: Format) -> RecordSink:
        self._open[name] = FileAside(path)
        return open_sink(self._open[name], records_format=records_format)


def _exported(rows: list[Any]) -> list[Exported]:
    records = [record_of(row) for row in rows]
    return [Exported(record, bytes_of(record)) for record in records]


def _write_manifest(path: Path, manifest: ExportManifest) -> None:
    file = FileAside(path)
    try:
        file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        file.finish(name=path.name)
    finally:
        file.discard()


_NEEDS_FOLDER: Final = Text(
    "as pastas contracts, confirmed e ghosts precisam de uma pasta como destino",
    "the folders contracts, confirmed and ghosts need a folder as their target",
)
