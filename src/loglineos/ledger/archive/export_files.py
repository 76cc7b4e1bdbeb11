"""Files of an export: written aside and renamed, with a digest; read in blocks, with places.

Always holds: a file of an export is complete under its name or not there at all; what was written
is on the disk before the name appears; memory is one block, whatever the size of the file.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, Protocol

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, NotFound, TooLarge, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.archive.export_lines import (
    CSV_HEADER,
    FORMATS,
    Exported,
    Format,
    read_line,
    read_row,
    write_line,
    write_row,
)

BLOCK_RECORDS_MAX: Final = 2_000
BLOCK_BYTES_MAX: Final = 8 * 1024 * 1024
_ROW_BYTES_MAX: Final = 8 * limits.record_bytes_max
"""A record of 1 MiB may grow in CSV, where quotes are doubled twice."""
MANIFEST: Final = "export.json"


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an export: its name below the manifest's folder, size and BLAKE3 in hex."""

    name: str
    size_bytes: int
    blake3: str


class ExportManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an export says of itself. Nothing in it is believed but what `verify_export` checked.

    `size` and `root` (hex) are the log's when the export began; `whole` says that every position
    below `size` is in the file. `checkpoint` is the last signed note so far, of `size` or less;
    `vkeys` are the keys that the exporting node says its logs sign with.
    """

    format: str = "loglineos/export/v1"
    tenant: str
    records_format: Format
    records: int
    size: int
    root: str
    whole: bool
    checkpoint: str | None = None
    vkeys: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    exported_at: str
    files: tuple[ExportFile, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an export is: the file of records, its format, and the manifest if there is one."""

    records: Path
    records_format: Format
    manifest: ExportManifest | None


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Some records of a file, not yet parsed: lines or rows, or one group of a Parquet file."""

    file: str
    records_format: Format
    places: tuple[int, ...]
    rows: list[Any]


class RecordSink(Protocol):
    """Takes records in order."""

    def write(self, batch: list[Exported]) -> None:
        """Write some records."""
        ...

    def close(self) -> None:
        """Write what is still held back."""
        ...


def open_aside(path: Path, *, mode: int) -> tuple[Path, int]:
    """Make a new file beside `path`, under a name that nobody could have taken before."""
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    return aside, os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


class FileAside:
    """A file that appears under its name when it is finished, with its digest."""

    def __init__(self, path: Path) -> None:
        """Open a file beside `path`; whatever stands at `path` stays until `finish`."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._aside, handle = open_aside(path, mode=0o666)
        self._file = os.fdopen(handle, "wb")
        self._digest = blake3()
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append; return the number of bytes, as a binary file does."""
        view = bytes(data)
        self._digest.update(view)
        self._file.write(view)
        self.size_bytes += len(view)
        return len(view)

    def finish(self, *, name: str) -> ExportFile:
        """Put it on the disk, then under its name; a file that stood there is replaced."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self.path)
        fsync_folder(self.path.parent)
        return ExportFile(name=name, size_bytes=self.size_bytes, blake3=self._digest.hexdigest())

    def discard(self) -> None:
        """Remove what was written; a repeat, or one after `finish`, is free."""
        self._file.close()
        self._aside.unlink(missing_ok=True)


class LineSink:
    """Writes JSON lines or CSV rows into anything that takes bytes."""

    def __init__(self, out: FileAside | BinaryIO, *, records_format: Format) -> None:
        """Write the header of a CSV at once."""
        self._out = out
        self._write_one = write_row if records_format == "csv" else write_line
        if records_format == "csv":
            out.write(CSV_HEADER)

    def write(self, batch: list[Exported]) -> None:
        """Write some records."""
        self._out.write(b"".join([self._write_one(one) for one in batch]))

    def close(self) -> None:
        """Nothing is held back."""


def open_sink(out: FileAside | BinaryIO, *, records_format: Format) -> RecordSink:
    """Open a sink of one format."""
    if records_format == "parquet":
        sink: RecordSink = _parquet().ParquetSink(out)
        return sink
    return LineSink(out, records_format=records_format)


def format_of(path: Path) -> Format:
    """Tell the format by the end of a file's name.

    Raises:
        UnknownName: it ends otherwise.
    """
    ending = path.suffix.lower().removeprefix(".").replace("ndjson", "jsonl")
    for one in FORMATS:
        if ending == one:
            return one
    raise UnknownName(field="format", shape=shape_of(path.name), known=", ".join(FORMATS))


def manifest_path(records: Path) -> Path:
    """Return where the manifest of a single file stands: beside it, with `.export.json` added."""
    return records.with_name(f"{records.name}.{MANIFEST}")


def find_export(path: Path) -> Place:
    """Find records and manifest of a file or folder; without a manifest, a file still serves.

    Raises:
        NotFound: nothing is there. InvalidInput: the manifest cannot be read.
    """
    if path.is_dir():
        manifest = read_manifest(path / MANIFEST)
        name = next((f.name for f in manifest.files if f.name.startswith("records.")), None)
        if name is None or "/" in name:
            raise _bad_manifest(path / MANIFEST, "records")
        found = path / name
    elif path.exists():
        found, beside = path, manifest_path(path)
        if not beside.exists():
            return Place(records=path, records_format=format_of(path), manifest=None)
        manifest = read_manifest(beside)
    else:
        raise NotFound(what="file", which=str(path))
    if not found.exists():
        raise NotFound(what="file", which=str(found))
    return Place(records=found, records_format=manifest.records_format, manifest=manifest)


def read_manifest(path: Path) -> ExportManifest:
    """Read a manifest.

    Raises:
        NotFound: it is not there. InvalidInput: it is none, or of another version.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=ExportManifest)
    except FileNotFoundError as cause:
        raise NotFound(what="file", which=str(path)) from cause
    except msgspec.MsgspecError as cause:
        raise _bad_manifest(path, str(cause)) from cause
    if manifest.format != ExportManifest.__struct_defaults__[0]:
        raise _bad_manifest(path, manifest.format)
    return manifest


def read_blocks(place: Place) -> Iterator[Block]:
    """Read a file in blocks of at most 2,000 records or about 8 MiB, in order.

    Raises:
        TooLarge: a line that no record can have. InvalidInput: not a file of this format.
    """
    if place.records_format == "parquet":
        return _groups(place)
    return _line_blocks(place)


def read_block(block: Block) -> Iterator[tuple[str, Exported | InvalidInput]]:
    """Read each record of a block with its place (`file:line`); what cannot be read is an error."""
    read: Callable[[Any], Exported]
    if block.records_format == "parquet":
        read = _parquet().read_arrow
    else:
        read = read_row if block.records_format == "csv" else read_line
    for number, row in zip(block.places, block.rows, strict=True):
        where = f"{block.file}:{number}"
        try:
            yield where, read(row)
        except InvalidInput as fault:
            yield where, fault


def digest_of(path: Path) -> str:
    """Return the BLAKE3 of a file in hex."""
    digest = blake3()
    with path.open("rb") as file:
        while data := file.read(1024 * 1024):
            digest.update(data)
    return digest.hexdigest()


def fsync_folder(folder: Path) -> None:
    """Put the names of a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line_blocks(place: Place) -> Iterator[Block]:
    rows: list[bytes] = []
    places: list[int] = []
    weight = 0
    for number, row in _rows(place):
        rows.append(row)
        places.append(number)
        weight += len(row)
        if len(rows) == BLOCK_RECORDS_MAX or weight > BLOCK_BYTES_MAX:
            yield _block(place, places, rows)
            rows, places, weight = [], [], 0
    if rows:
        yield _block(place, places, rows)


def _rows(place: Place) -> Iterator[tuple[int, bytes]]:
    """Read lines, or rows of CSV that may span lines, with the number of their first line."""
    with place.records.open("rb") as file:
        number = 0
        if place.records_format == "csv":
            number = 1
            if file.readline(_ROW_BYTES_MAX) != CSV_HEADER:
                raise InvalidInput(field=f"{place.records.name}:1", shape="header", reason=_HEADER)
        while line := file.readline(_ROW_BYTES_MAX + 1):
            number += 1
            first = number
            if place.records_format == "csv":
                while line.count(b'"') % 2 and (more := file.readline(_ROW_BYTES_MAX)):
                    line += more
                    number += 1
                    if len(line) > _ROW_BYTES_MAX:
                        break
            if len(line) > _ROW_BYTES_MAX:
                raise TooLarge(
                    field=f"{place.records.name}:{first}", shape=shape_of(line),
                    limit=_ROW_BYTES_MAX, limit_name="row_bytes_max",
                )  # fmt: skip
            yield first, line


def _groups(place: Place) -> Iterator[Block]:
    number = 0
    for rows in _parquet().read_groups(place.records, records_max=BLOCK_RECORDS_MAX):
        yield _block(place, list(range(number + 1, number + len(rows) + 1)), rows)
        number += len(rows)


def _parquet() -> ModuleType:
    # Loaded when it is needed: Arrow takes longer to load than most commands take to run.
    return importlib.import_module("loglineos.ledger.archive.export_parquet")


def _block(place: Place, places: list[int], rows: list[Any]) -> Block:
    return Block(
        file=place.records.name, records_format=place.records_format, places=tuple(places),
        rows=rows,
    )  # fmt: skip


def _bad_manifest(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        field=path.name,
        shape="manifest",
        reason=Text(f"não o sei ler: {why}", f"it cannot be read: {why}"),
    )


_HEADER: Final = Text(
    "o cabeçalho não é o das colunas do registo", "the header is not that of the registry's columns"
)
