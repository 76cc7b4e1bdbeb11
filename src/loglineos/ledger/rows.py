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
from loglineos.ledger.search_blocks import FullBlock

_TYPED: Final = ", ".join(f'"{column.name}" {column.sql_type}' for column in COLUMNS)

INSERT_ROWS: Final = (
    f"INSERT INTO ledger.universal_registry ({column_list()})\n"
    f"SELECT {column_list()}\n"
    f"FROM json_to_recordset(%(rows)s::json) AS r({_TYPED})"
)
"""One parameter for any number of rows, so no limit of 65,535 parameters; tenant_id is a column of
each row. Not for Citus, where it becomes a COPY, which row-level security refuses."""

_ENTITY: Final = (
    'tenant_id, id, seq, position, first_position, entity_type, status, type, who, did, "this", at,'
    " confirmed_by, ghost_reason, owner_id, visibility, shared_with, is_deleted, name, queue,"
    " priority, run_at, attempt, max_attempts, idempotency_key, curr_hash"
)
_KEPT: Final = ("tenant_id", "id", "first_position")
_MOVED: Final = ", ".join(
    f"{name} = EXCLUDED.{name}" for name in _ENTITY.split(", ") if name not in _KEPT
)

APPEND_ROWS: Final = f"""
WITH head AS MATERIALIZED (
  SELECT h.tenant_id
  FROM ledger.log_head h
  WHERE h.tenant_id = $1 AND h.size = $2::bigint AND h.root = $4
    AND h.keys_changed = $5::bigint
  FOR UPDATE
), rows AS (
  INSERT INTO ledger.universal_registry ({column_list()})
  SELECT {column_list()}
  FROM json_to_recordset((SELECT $6::json FROM head)) AS r({_TYPED})
  RETURNING {_ENTITY.replace("first_position, ", "")}
), entities AS (
  INSERT INTO ledger.entity ({_ENTITY})
  SELECT {_ENTITY.replace("first_position", "position")}
  FROM rows
  ON CONFLICT (tenant_id, id) DO UPDATE SET {_MOVED}
), blocks AS (
  INSERT INTO ledger.timeline_block AS b (tenant_id, block, at_min, at_max)
  SELECT tenant_id, position / $7::bigint, min(at), max(at)
  FROM rows
  GROUP BY tenant_id, position / $7::bigint
  ON CONFLICT (tenant_id, block) DO UPDATE SET
    at_min = least(b.at_min, EXCLUDED.at_min), at_max = greatest(b.at_max, EXCLUDED.at_max)
)
UPDATE ledger.log_head h
SET size = $3::bigint, root = $8, updated_at = $9
FROM head
WHERE h.tenant_id = $1 AND h.tenant_id = head.tenant_id
"""  # noqa: S608 - the names of our own columns
"""A whole append of one log in one statement, one event an entity: it moves the head if the head
is where its caller says, and otherwise does nothing. The head is locked before anything is written.
Parameters by number: tenant, position from, position before, root before, keys_changed, the rows as
JSON, positions of a block of time, the new root, now."""

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


def rows_json(chunk: Sequence[Sealed], first: int, *, recorded_at: str) -> str:
    """Write rows as one JSON parameter, at the positions from `first` on."""
    rows = [
        row_json(sealed, position=first + index, recorded_at=recorded_at)
        for index, sealed in enumerate(chunk)
    ]
    return (b"[" + b",".join(rows) + b"]").decode()


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


def term_statements(tenant: str, full: FullBlock) -> Iterable[tuple[str, list[Any]]]:
    """Write the search terms of a full block as VALUES, for a distributed table."""
    for start in range(0, len(full.terms), _VALUES_ROWS_MAX):
        chunk = full.terms[start : start + _VALUES_ROWS_MAX]
        rows = ", ".join(["(%s, %s, %s, %s::smallint, %s::bit(1024))"] * len(chunk))
        statement = (
            f"INSERT INTO ledger.search_term (tenant_id, block, term, place, places) VALUES {rows}"  # noqa: S608 - marks only
        )
        yield statement, [one for row in chunk for one in (tenant, full.block, *row)]


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
