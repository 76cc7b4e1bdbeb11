"""Rows and records: how a record enters the table and comes back.

A record is stored from the very bytes that were hashed: the canonical JSON, with place and proof
added at its end, is what PostgreSQL parses. Always holds: reading a row back gives a record with
the same canonical bytes (a property test holds it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any, Final

from psycopg.types.json import Jsonb

from loglineos.ledger.canonical import canonical, from_jsonb
from loglineos.ledger.columns import COLUMN_NAMES, COLUMNS, column_list
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed

_TYPED: Final = ", ".join(f'"{column.name}" {column.sql_type}' for column in COLUMNS)

INSERT_ROWS: Final = (
    f"INSERT INTO ledger.universal_registry ({column_list()})\n"
    f"SELECT {column_list()}\n"
    f"FROM json_to_recordset(%(rows)s::json) AS r({_TYPED})"
)
"""One parameter for any number of rows, so no limit of 65,535 parameters; tenant_id is a column of
each row. Not for Citus, where it becomes a COPY, which row-level security refuses."""

ROW_COLUMNS: Final = column_list()
"""The select list that `record_of` expects."""

_JSON_AT: Final = tuple(i for i, c in enumerate(COLUMNS) if c.sql_type == "jsonb")
_LIST_AT: Final = tuple(i for i, c in enumerate(COLUMNS) if c.sql_type.endswith("[]"))
_TIME_AT: Final = tuple(i for i, c in enumerate(COLUMNS) if c.sql_type == "timestamptz")
_VALUES_ROWS_MAX: Final = 500


def row_json(sealed: Sealed, *, position: int, recorded_at: str) -> bytes:
    """Write one row as JSON: the hashed bytes, then place and proof."""
    record = sealed.record
    tail = (
        f',"position":{position},"recorded_at":"{recorded_at}",'
        f'"curr_hash":"{record.curr_hash}","signature":"{record.signature}"}}'
    )
    return sealed.bytes[:-1] + tail.encode()


def values_statements(records: Sequence[Record]) -> Iterable[tuple[str, list[Any]]]:
    """Write multi-row INSERT ... VALUES statements for a distributed table, which allows no other.

    Each takes at most 500 rows of the columns that any of them uses (below 65,535 parameters).
    """
    for start in range(0, len(records), _VALUES_ROWS_MAX):
        chunk = records[start : start + _VALUES_ROWS_MAX]
        used = [
            column for column in COLUMNS if any(getattr(r, column.name) is not None for r in chunk)
        ]
        names = ", ".join(f'"{column.name}"' for column in used)
        marks = "(" + ", ".join(f"%s::{column.sql_type}" for column in used) + ")"
        values = [
            _parameter(getattr(r, column.name), column.sql_type) for r in chunk for column in used
        ]
        rows = ", ".join([marks] * len(chunk))
        statement = f"INSERT INTO ledger.universal_registry ({names}) VALUES {rows}"  # noqa: S608 - names of ours
        yield statement, values


def _parameter(value: Any, sql_type: str) -> Any:
    if value is None:
        return None
    if sql_type == "jsonb":
        return Jsonb(value, dumps=canonical)  # the bytes that were hashed, as in the other way in
    if sql_type == "double precision":
        return value + 0.0  # canonical bytes know no -0
    return list(value) if sql_type.endswith("[]") else value


def record_of(row: Sequence[Any]) -> Record:
    """Make a record of a row that was selected with `ROW_COLUMNS`."""
    values = list(row)
    for at in _JSON_AT:
        if values[at] is not None:
            values[at] = from_jsonb(values[at])
    for at in _LIST_AT:
        if values[at] is not None:
            values[at] = tuple(values[at])
    for at in _TIME_AT:
        if values[at] is not None and values[at].tzinfo is not UTC:
            values[at] = values[at].astimezone(UTC)
    return Record(**{n: v for n, v in zip(COLUMN_NAMES, values, strict=True) if v is not None})
