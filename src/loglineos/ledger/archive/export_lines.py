"""The three spellings of an exported record: a line of JSON, a row of CSV, a row of Parquet.

    jsonl    the canonical bytes that were hashed, then position, recorded_at, curr_hash, signature:
             cut the line before `,"position":`, close it with `}`, and BLAKE3 of that is curr_hash
    csv      one cell for each column, in the order of the table; text in quotes, null is an empty
             cell without quotes, "" is empty text; lists and JSON as canonical JSON text
    parquet  the same columns with their own types; times in microseconds UTC, JSON as text

The columns keep their own names: the author's time is `at`, because that is what was hashed.
Always holds: reading what was written gives the same canonical bytes (a property test holds it),
and a spelling that this module would not have written itself is refused.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.canonical import canonical, from_jsonb
from loglineos.ledger.columns import COLUMN_NAMES, COLUMNS
from loglineos.ledger.record import Record
from loglineos.ledger.rows import row_json
from loglineos.ledger.seal import Sealed, bytes_of

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = ("jsonl", "csv", "parquet")

CSV_HEADER: Final = (",".join(COLUMN_NAMES) + "\n").encode()
_JSON: Final = tuple(column.name for column in COLUMNS if column.sql_type == "jsonb")
_TYPES: Final = tuple(column.sql_type for column in COLUMNS)
_CELL: Final = re.compile(r'("[^"]*(?:""[^"]*)*"|[^",\n]*),')
LISTS: Final = frozenset({"text[]", "uuid[]"})
"""The SQL types of list columns."""


class Exported(NamedTuple):
    """A record as a file tells it, with the canonical bytes that its author hashed."""

    record: Record
    bytes: bytes


def write_line(one: Exported) -> bytes:
    """Write a record as a line of JSON, with its newline."""
    position, recorded_at = _place(one.record)
    sealed = Sealed(one.record, one.bytes)
    return row_json(sealed, position=position, recorded_at=rfc3339(recorded_at)) + b"\n"


def read_line(line: bytes) -> Exported:
    """Read a line of JSON.

    Raises:
        InvalidInput: no JSON, not the shape of a record, or not spelled as `write_line` does.
        TooLarge: over a limit of the ledger.
    """
    try:
        record = msgspec.json.decode(line, type=Record)
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise _unreadable(line, str(cause)) from cause
    numbers = {
        name: from_jsonb(value) for name in _JSON if (value := getattr(record, name)) is not None
    }
    if numbers:
        record = msgspec.structs.replace(record, **numbers)
    one = _exported(record)
    if write_line(one).rstrip(b"\n") != line.rstrip(b"\n"):
        raise InvalidInput(field="line", shape=shape_of(line), reason=_SPELLING)
    return one


def write_row(one: Exported) -> bytes:
    """Write a record as a row of CSV, with its newline."""
    values = msgspec.structs.astuple(one.record)
    cells = [
        "" if value is None else _cell(value, sql_type)
        for value, sql_type in zip(values, _TYPES, strict=True)
    ]
    return (",".join(cells) + "\n").encode()


def read_row(row: bytes) -> Exported:
    """Read a row of CSV, which may span lines.

    Raises:
        InvalidInput: the wrong number of cells, or a cell that `write_row` does not write.
        TooLarge: over a limit of the ledger.
    """
    try:
        text = row.decode()
    except UnicodeDecodeError as cause:
        raise _unreadable(row, "UTF-8") from cause
    cells = _cells(text)
    if cells is None or len(cells) != len(COLUMNS):
        raise _unreadable(row, f"{len(cells or ())}/{len(COLUMNS)}")
    values: dict[str, Any] = {}
    for column, given in zip(COLUMNS, cells, strict=True):
        if not given:
            continue
        try:
            value = _value(given, column.sql_type)
            is_ours = _cell(value, column.sql_type) == given
        except ValueError as cause:
            raise bad_cell(column.name, given) from cause
        if not is_ours:
            raise bad_cell(column.name, given)
        values[column.name] = value
    return record_of_values(values)


def _exported(record: Record) -> Exported:
    if record.position is None or record.recorded_at is None or record.position < 0:
        raise InvalidInput(field="position", shape=shape_of(record.position), reason=_NO_PLACE)
    return Exported(record, bytes_of(record))


def record_of_values(values: dict[str, Any]) -> Exported:
    """Make a record of its columns; nulls are left out.

    Raises:
        InvalidInput: not the shape of a record, or without a place; TooLarge: over a limit.
    """
    try:
        record = msgspec.convert(values, type=Record)
    except msgspec.MsgspecError as cause:
        raise _unreadable(b"", str(cause)) from cause
    return _exported(record)


def _place(record: Record) -> tuple[int, datetime]:
    assert record.position is not None, "what is exported has a position"
    assert record.recorded_at is not None, "what is exported was recorded"
    return record.position, record.recorded_at


def _cell(value: Any, sql_type: str) -> str:
    if sql_type == "text":
        return '"' + str(value).replace('"', '""') + '"'
    if sql_type == "timestamptz":
        return rfc3339(value)
    if sql_type in LISTS:
        value = [str(item) for item in value]
    elif sql_type == "uuid":
        return str(value)
    text = canonical(value).decode()
    if sql_type == "jsonb" or sql_type in LISTS:
        return '"' + text.replace('"', '""') + '"'
    return text


def _cells(text: str) -> list[str] | None:
    """Cut a row into cells, with their quotes; None where the rules are broken."""
    body = text.removesuffix("\n") + ","
    cells: list[str] = _CELL.findall(body)
    is_whole = sum(map(len, cells)) + len(cells) == len(body)
    return cells if is_whole else None


def _value(given: str, sql_type: str) -> Any:
    if sql_type == "text":
        return _unquoted(given)
    if sql_type == "timestamptz":
        return datetime.fromisoformat(given)
    if sql_type == "uuid":
        return UUID(given)
    if sql_type == "jsonb":
        return from_jsonb(parsed_json(_unquoted(given)))
    if sql_type == "text[]":
        return tuple(_texts(parsed_json(_unquoted(given))))
    if sql_type == "uuid[]":
        return tuple(UUID(item) for item in _texts(parsed_json(_unquoted(given))))
    value = parsed_json(given)
    return float(value) if sql_type == "double precision" else value


def _unquoted(given: str) -> str:
    if not given.startswith('"'):
        raise ValueError("text stands in quotes")
    return given[1:-1].replace('""', '"')


def parsed_json(text: str) -> Any:
    """Read JSON text.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError as cause:
        raise ValueError(str(cause)) from cause


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of texts")
    return value


def _unreadable(line: bytes, why: str) -> InvalidInput:
    return InvalidInput(
        field="line",
        shape=shape_of(line),
        reason=Text(f"não é um registo exportado: {why}", f"not an exported record: {why}"),
    )


def bad_cell(name: str, given: str) -> InvalidInput:
    """Make the error for a cell that is not spelled as ours."""
    return InvalidInput(field=name, shape=shape_of(given), reason=_CELL_SPELLING)


_SPELLING: Final = Text(
    "não está escrita como a exportação a escreve (bytes canónicos, depois lugar e prova)",
    "it is not spelled as the export spells it (canonical bytes, then place and proof)",
)
_CELL_SPELLING: Final = Text(
    "a célula não está escrita como a exportação a escreve",
    "the cell is not spelled as the export spells it",
)
_NO_PLACE: Final = Text("falta o lugar no log", "the place in the log is missing")
