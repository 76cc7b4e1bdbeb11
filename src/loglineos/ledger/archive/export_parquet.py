"""Parquet: the registry's columns with their own types, written and read in groups of rows.

Always holds: a row that was written gives the same canonical bytes when it is read; memory is one
group of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from loglineos.base.errors import InvalidInput
from loglineos.base.language import Text
from loglineos.ledger.archive.export_lines import (
    LISTS,
    Exported,
    bad_cell,
    parsed_json,
    record_of_values,
)
from loglineos.ledger.canonical import canonical, from_jsonb
from loglineos.ledger.columns import COLUMNS


class BytesSink(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> int:
        """Append; return the number of bytes."""
        ...


class ParquetSink:
    """Writes groups of rows; pyarrow compresses them with zstd."""

    def __init__(self, out: BytesSink) -> None:
        """Open the writer; the file ends with an index, written by `close`."""
        self._sink = pa.PythonFile(_Sequential(out), mode="w")
        self._writer = pq.ParquetWriter(self._sink, _SCHEMA, compression="zstd")

    def write(self, batch: list[Exported]) -> None:
        """Write one group of rows."""
        if batch:
            self._writer.write_batch(arrow_columns(batch), row_group_size=len(batch))

    def close(self) -> None:
        """Write the index."""
        self._writer.close()


class _Sequential:
    """Shows Arrow a file that only grows, and lives on when Arrow closes it."""

    closed = False

    def __init__(self, out: BytesSink) -> None:
        self._out = out
        self._at = 0

    def write(self, data: Any) -> int:
        view = bytes(data)
        self._out.write(view)
        self._at += len(view)
        return len(view)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None


def parquet_schema() -> Any:
    """Return the Arrow schema of the registry; list and JSON columns say so in their metadata."""
    types: dict[str, Any] = {
        "text": pa.string(), "uuid": pa.string(), "jsonb": pa.string(), "integer": pa.int32(),
        "bigint": pa.int64(), "boolean": pa.bool_(), "double precision": pa.float64(),
        "timestamptz": pa.timestamp("us", tz="UTC"), "text[]": pa.list_(pa.string()),
        "uuid[]": pa.list_(pa.string()),
    }  # fmt: skip
    return pa.schema(
        [pa.field(c.name, types[c.sql_type], metadata={"sql_type": c.sql_type}) for c in COLUMNS]
    )


def arrow_columns(batch: list[Exported]) -> Any:
    """Make an Arrow batch of records."""
    rows = [msgspec.structs.astuple(one.record) for one in batch]
    columns = {
        column.name: [None if value is None else _arrow(value, column.sql_type) for value in values]
        for column, values in zip(COLUMNS, zip(*rows, strict=True), strict=True)
    }
    return pa.RecordBatch.from_pydict(columns, schema=_SCHEMA)


def read_arrow(row: dict[str, Any]) -> Exported:
    """Read a row of Parquet, as pyarrow gives it.

    Raises:
        InvalidInput: a value that does not fit its column; TooLarge: over a limit of the ledger.
    """
    values: dict[str, Any] = {}
    for column in COLUMNS:
        given = row.get(column.name)
        if given is None:
            continue
        try:
            values[column.name] = _from_arrow(given, column.sql_type)
        except (ValueError, AttributeError, TypeError) as cause:
            raise bad_cell(column.name, str(given)) from cause
    return record_of_values(values)


def read_groups(path: Path, *, records_max: int) -> Iterator[list[dict[str, Any]]]:
    """Read the rows of a file in order, at most `records_max` at a time.

    Raises:
        InvalidInput: not a Parquet file, or its columns are not the registry's.
    """
    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names != _SCHEMA.names:
                raise _not_ours(path, "columns")
            for batch in file.iter_batches(batch_size=records_max):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as cause:
        if isinstance(cause, OSError) and cause.errno is not None:
            raise  # the disk failed, not the file; Arrow's own OSError has no number
        raise _not_ours(path, str(cause)) from cause


def _arrow(value: Any, sql_type: str) -> Any:
    if sql_type == "jsonb":
        return canonical(value).decode()
    if sql_type == "uuid":
        return str(value)
    return [str(item) for item in value] if sql_type in LISTS else value


def _from_arrow(given: Any, sql_type: str) -> Any:
    if sql_type == "jsonb":
        value = from_jsonb(parsed_json(given))
        if canonical(value) != given.encode():
            raise ValueError("not canonical")
        return value
    if sql_type == "uuid":
        return UUID(given)
    if sql_type == "uuid[]":
        return tuple(UUID(item) for item in given)
    if sql_type == "text[]":
        return tuple(given)
    if sql_type == "timestamptz":
        return given.astimezone(UTC)
    return given


def _not_ours(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        field=path.name,
        shape="parquet",
        reason=Text(f"não é uma exportação nossa: {why}", f"not an export of ours: {why}"),
    )


_SCHEMA: Final = parquet_schema()
