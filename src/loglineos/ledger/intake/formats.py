"""Reading foreign files as a stream of items: JSON lines, JSON arrays, CSV, text; plain or gzip.

Always holds: every line (element, row) that is not blank becomes exactly one item, in order, with
its bytes; what cannot be read is an item with a `problem`, never an error; memory does not grow
with the file. Bytes between items (line ends, a byte-order mark, brackets and commas of an array)
are no content.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec
from blake3 import blake3

from loglineos.base.errors import NotFound, UnknownName
from loglineos.base.language import Text
from loglineos.ledger.intake.array_splitter import ArraySplitter, Piece
from loglineos.ledger.intake.cells import cell_value
from loglineos.ledger.intake.delimited import (
    Line,
    column_names,
    is_header,
    read_rows,
    sniff_delimiter,
    value_of,
)
from loglineos.ledger.intake.escapes import escaped_text, read_json
from loglineos.ledger.intake.source import HEAD_BYTES, Source

Format = Literal["auto", "jsonl", "json", "csv", "text"]
FORMATS: Final[tuple[Format, ...]] = ("auto", "jsonl", "json", "csv", "text")

LINE_BYTES_MAX: Final = 512 * 1024
"""Longest line, element or row that is read whole."""

KEPT_BYTES_MAX: Final = 64 * 1024
"""What is kept, beside the hash of all of it, of a longer one."""

_RECORD_SEPARATOR: Final = b"\x1e"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line, element or row of a foreign file.

    `line` counts from 1; `byte_offset_end` is the progress in the bytes of the file (of the
    compressed file, for gzip). `value` is the JSON object, or None; a mapping replaces it, while
    `content` stays what the file said. `data` are the item's bytes; of an item longer than
    `LINE_BYTES_MAX` only the start, with `size_bytes` and `digest` (BLAKE3-256) of all of it.
    `escaped` names the paths in `value` that `escapes.py` had to escape.
    """

    line: int
    byte_offset_end: int
    data: bytes
    size_bytes: int
    value: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    problem: Text | None = None
    escaped: tuple[str, ...] = ()
    digest: bytes | None = None

    @property
    def raw(self) -> str:
        """The item's text; bytes that are no UTF-8 are shown as U+FFFD (`raw_base64` has them)."""
        return self.data.decode("utf-8", "replace")

    @property
    def raw_base64(self) -> str | None:
        """The item's bytes in base64 when they are not the UTF-8 of `raw`, else None."""
        try:
            self.data.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(self.data).decode()
        return None


def read_items(
    source: BinaryIO | Path | str,
    *,
    format: Format = "auto",  # noqa: A002 - the word people use
) -> Iterator[Item]:
    """Read a file or a binary stream (`-`-style standard input too) as items, lazily.

    `auto` decides by the first 64 KiB: gzip by its magic bytes, JSON array or pretty-printed JSON,
    JSON lines (also RFC 7464 sequences), CSV, else text. Holds one chunk and one item.

    Raises:
        NotFound: no such file; nothing was read.
        UnknownName: no such format.
        OSError is passed on when the disk or pipe fails in the middle.

    Source: RFC 8259, RFC 7464, RFC 4180.
    """
    if format not in FORMATS:
        raise UnknownName(field="format", shape=format, known=", ".join(FORMATS))
    if isinstance(source, (str, Path)):
        try:
            stream = Path(source).open("rb")  # noqa: SIM115 (closed below)
        except OSError as cause:
            raise NotFound(what="file", which=str(source)) from cause
        with stream:
            yield from _read(Source(stream), format)
    else:
        yield from _read(Source(source), format)


def _read(source: Source, asked: Format) -> Iterator[Item]:
    chosen = detect(source.head) if asked == "auto" else asked
    if chosen == "json":
        yield from _json_items(source)
    elif chosen == "csv":
        yield from _csv_items(source)
    elif chosen == "jsonl":
        yield from _jsonl_items(source)
    else:
        for line in _lines(source, b"\n"):
            yield _item(line)
    if source.problem is not None:
        yield Item(
            line=0, byte_offset_end=source.offset, data=b"", size_bytes=0, problem=source.problem
        )


def detect(head: bytes) -> Literal["jsonl", "json", "csv", "text"]:
    """Tell the format of a file by its first bytes (without byte-order mark)."""
    start = head.lstrip()
    if start.startswith(_RECORD_SEPARATOR):
        return "jsonl"
    lines = [line for line in head.splitlines() if line.strip()]
    whole = lines[:-1] if len(lines) > 1 and not head.endswith((b"\n", b"\r")) else lines
    if start.startswith(b"[") and _opens_objects(head):
        return "json"
    if start.startswith(b"{"):
        return "json" if _is_pretty(head, lines) else "jsonl"
    if any(isinstance(read_json(line).value, dict) for line in whole[:20]):
        return "jsonl"
    if len(whole) >= 2 and sniff_delimiter(whole) is not None:
        cells = _first_cells(whole)
        if is_header(cells):
            return "csv"
    return "text"


def _first_piece(head: bytes) -> Piece | None:
    splitter = ArraySplitter(element_bytes_max=LINE_BYTES_MAX, kept_bytes_max=KEPT_BYTES_MAX)
    return next(splitter.feed(head), None) or next(splitter.close(), None)


def _opens_objects(head: bytes) -> bool:
    piece = _first_piece(head)
    return piece is None or piece.data.startswith(b"{")


def _is_pretty(head: bytes, lines: list[bytes]) -> bool:
    """Tell one JSON object written over several lines from JSON lines, broken ones too."""
    if isinstance(read_json(lines[0]).value, dict):
        return False
    piece = _first_piece(head)
    if piece is not None and piece.ending == "whole" and read_json(piece.data).problem is None:
        return True
    opening = sum(line.lstrip().startswith(b"{") for line in lines)
    return len(head) >= HEAD_BYTES and opening * 2 < len(lines)


def _first_cells(lines: list[bytes]) -> list[str]:
    delimiter = sniff_delimiter(lines) or ","
    rows = read_rows((Line(line, 1, 0, len(line)) for line in lines[:1]), delimiter=delimiter)
    return next(rows).cells or []


def _jsonl_items(source: Source) -> Iterator[Item]:
    separator = _RECORD_SEPARATOR if source.head.lstrip().startswith(b"\x1e") else b"\n"
    for line in _lines(source, separator):
        if line.digest is None:
            yield _json_item(line.data, line.line, line.offset_end)
        else:
            yield _item(line)


def _json_item(data: bytes, line: int, offset_end: int, problem: Text | None = None) -> Item:
    reading = read_json(data)
    value = reading.value if type(reading.value) is dict else None
    if value is None:
        problem = reading.problem or NO_OBJECT
    return Item(
        line=line,
        byte_offset_end=offset_end,
        data=data,
        size_bytes=len(data),
        value=value,
        content=value,
        problem=problem,
        escaped=reading.escaped if value is not None else (),
    )


def _json_items(source: Source) -> Iterator[Item]:
    splitter = ArraySplitter(element_bytes_max=LINE_BYTES_MAX, kept_bytes_max=KEPT_BYTES_MAX)
    for chunk in source.chunks():
        for piece in splitter.feed(chunk):
            yield _piece_item(piece, source)
    for piece in splitter.close():
        yield _piece_item(piece, source)


def _piece_item(piece: Piece, source: Source) -> Item:
    offset = source.offset_of(piece.offset_end)
    if piece.digest is None:
        problem = NOT_CLOSED if piece.ending == "cut" else None
        return _json_item(piece.data, piece.line, offset, problem)
    return _item(Line(piece.data, piece.line, offset, piece.size_bytes, piece.digest))


def _csv_items(source: Source) -> Iterator[Item]:
    head = [line for line in source.head.splitlines() if line.strip()]
    delimiter = sniff_delimiter(head) or ","
    names: list[str] | None = None
    for row in read_rows(_lines(source, b"\n", verbatim=True), delimiter=delimiter):
        last = row.lines[-1]
        if row.cells is None:
            yield _item(row.lines[0], row.problem)
            continue
        if names is None:
            names = column_names(row.cells)
            if is_header(row.cells):
                continue
        held, escaped = _held(value_of(names, row.cells))
        data = row.data
        yield Item(
            line=row.lines[0].line,
            byte_offset_end=last.offset_end,
            data=data,
            size_bytes=len(data),
            value=held,
            content=held,
            escaped=escaped,
        )


def _held(value: dict[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    held: dict[str, Any] = {}
    escaped: list[str] = []
    for title, cell in value.items():
        kept = escaped_text(cell)
        readable = title.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        name = readable.replace("\0", "\ufffd")
        if kept is not cell:
            held[name] = kept
            escaped.append(name)
        else:
            held[name] = cell_value(name, cell)
    return held, tuple(escaped)


def _item(line: Line, problem: Text | None = None) -> Item:
    """Make an item of a line that is not understood here; a mapping may understand it later."""
    if line.digest is not None:
        problem = TOO_LONG
    return Item(
        line=line.line,
        byte_offset_end=line.offset_end,
        data=line.data,
        size_bytes=line.size_bytes,
        problem=problem or NOT_JSON,
        digest=line.digest,
    )


def _lines(source: Source, separator: bytes, *, verbatim: bool = False) -> Iterator[Line]:
    """Cut the stream at a separator; take line ends off and skip blanks unless `verbatim`."""
    number, offset, tail = 1, 0, b""
    ends = b"\r" if separator == b"\n" else b"\r\n"
    for chunk in source.chunks():
        fresh = chunk
        if len(tail) > LINE_BYTES_MAX and separator not in chunk:
            long, tail = _long_line(source, separator, tail + chunk)
            offset += long.size_bytes + 1
            yield msgspec.structs.replace(long, line=number, offset_end=source.offset_of(offset))
            number, fresh = number + 1, b""
        pieces = (tail + fresh).split(separator)
        tail = pieces.pop()
        for piece in pieces:
            offset += len(piece) + 1
            data = piece if verbatim or len(piece) > LINE_BYTES_MAX else piece.rstrip(ends)
            if verbatim or data.strip():
                yield _line(data, number, source.offset_of(offset))
            number += 1 if separator == b"\n" else piece.count(b"\n")
    data = tail if verbatim or len(tail) > LINE_BYTES_MAX else tail.rstrip(ends)
    if data.strip():
        yield _line(data, number, source.offset)


def _line(data: bytes, number: int, offset_end: int) -> Line:
    if len(data) <= LINE_BYTES_MAX:
        return Line(data, number, offset_end, len(data))
    return Line(data[:KEPT_BYTES_MAX], number, offset_end, len(data), blake3(data).digest())


def _long_line(source: Source, separator: bytes, start: bytes) -> tuple[Line, bytes]:
    """Hash a line that is over the limit to its end; return it, without its place, and the rest."""
    hashed, size, rest = blake3(start), len(start), b""
    for chunk in source.chunks():
        end = chunk.find(separator)
        ours = chunk if end < 0 else chunk[:end]
        hashed.update(ours)
        size += len(ours)
        if end >= 0:
            rest = chunk[end + 1 :]
            break
    return Line(start[:KEPT_BYTES_MAX], 0, 0, size, hashed.digest()), rest


NOT_JSON: Final = Text("texto que não é JSON", "text that is no JSON")
NO_OBJECT: Final = Text("JSON que não é um objeto", "JSON that is no object")
NOT_CLOSED: Final = Text(
    "o ficheiro acaba antes de a lista fechar", "the file ends before its array"
)
TOO_LONG: Final = Text(
    f"linha de mais de {LINE_BYTES_MAX} bytes; guardados o início e o hash",
    f"line of more than {LINE_BYTES_MAX} bytes; its start and its hash are kept",
)
