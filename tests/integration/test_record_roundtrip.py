"""Any record that is accepted reads back equal, with the same bytes and hash, by either way in."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from loglineos.base.clock import ManualClock, rfc3339
from loglineos.base.entropy import SeededEntropy
from loglineos.ledger.columns import COLUMNS, column_list
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import INSERT_ROWS, ROW_COLUMNS, record_of, row_json, values_statements
from loglineos.ledger.seal import Sealed, bytes_of, check_seal, seal
from loglineos.ledger.signature import signing_key
from tests.conftest import Database
from tests.drafts import NOON, drafts
from tests.integration.conftest import NINE, House

KEY = signing_key(b"r" * 32)
BATCHES = settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def seal_all(batch: list[Draft]) -> list[Sealed]:
    clock, entropy = ManualClock(NOON), SeededEntropy(3)
    unique = {draft.id: draft for draft in batch}.values()
    return [seal(judge(draft), key=KEY, clock=clock, entropy=entropy) for draft in unique]


def store(connection: psycopg.Connection[Any], sealed: list[Sealed]) -> list[Any]:
    rows = [
        row_json(one, position=place, recorded_at=rfc3339(NOON)) for place, one in enumerate(sealed)
    ]
    connection.execute(INSERT_ROWS, {"rows": (b"[" + b",".join(rows) + b"]").decode()})
    return read(connection)


def read(connection: psycopg.Connection[Any]) -> list[Any]:
    query = f"SELECT {ROW_COLUMNS} FROM ledger.universal_registry ORDER BY position"
    return connection.execute(query).fetchall()


def open_session(database: Database) -> psycopg.Connection[Any]:
    return psycopg.connect(database.dsn("logline_appender"), options="-c timezone=UTC")


@BATCHES
@given(batch=st.lists(drafts, min_size=1, max_size=6))
def test_whatever_is_accepted_reads_back_equal(database: Database, batch: list[Draft]) -> None:
    sealed = seal_all(batch)
    with open_session(database) as connection:
        stored = [record_of(row) for row in store(connection, sealed)]
        connection.rollback()
    expected = [
        msgspec.structs.replace(one.record, position=place, recorded_at=NOON)
        for place, one in enumerate(sealed)
    ]
    assert stored == expected
    assert [bytes_of(one) for one in stored] == [one.bytes for one in sealed]
    assert [check_seal(one) for one in stored] == [one.bytes for one in sealed]


@BATCHES
@given(batch=st.lists(drafts, min_size=1, max_size=6))
def test_a_distributed_table_is_given_exactly_the_same_rows(
    database: Database, batch: list[Draft]
) -> None:
    sealed = seal_all(batch)
    placed = [
        msgspec.structs.replace(one.record, position=place, recorded_at=NOON)
        for place, one in enumerate(sealed)
    ]
    as_text = ", ".join(f'"{column.name}"::text' for column in COLUMNS)
    query = f"SELECT {as_text} FROM ledger.universal_registry ORDER BY position"
    with open_session(database) as connection:
        store(connection, sealed)
        by_json = connection.execute(query).fetchall()
        connection.rollback()
        for statement, values in values_statements(placed):
            connection.execute(statement, values)
        by_values = connection.execute(query).fetchall()
        connection.rollback()
    assert by_values == by_json


def test_many_rows_of_values_stay_below_the_limit_of_parameters(database: Database) -> None:
    sealed = seal_all([Draft(tenant_id="casa", **NINE) for _ in range(1)])
    one = sealed[0].record
    many = [msgspec.structs.replace(one, position=n, seq=n, recorded_at=NOON) for n in range(1_201)]
    many = [r if r.seq == 0 else msgspec.structs.replace(r, prev_hash="1" * 64) for r in many]
    statements = list(values_statements(many))
    assert [len(values) < 65_535 for _, values in statements] == [True] * 3
    with open_session(database) as connection:
        for statement, values in statements:
            connection.execute(statement, values)
        (count,) = connection.execute(
            "SELECT count(*) FROM ledger.universal_registry"
        ).fetchone() or (0,)
        connection.rollback()
    assert count == 1_201


async def test_any_batch_enters_through_the_writer_and_reads_back(house: House) -> None:
    found: list[list[Draft]] = []

    @BATCHES
    @given(st.lists(drafts, min_size=1, max_size=6))
    def collect(batch: list[Draft]) -> None:
        found.append(batch)

    await asyncio.to_thread(collect)
    known: set[Any] = set()
    for batch in found:
        fresh = [d for d in {d.id: d for d in batch}.values() if d.id not in known]
        known |= {draft.id for draft in fresh}
        if not fresh:
            continue
        written = await house.writer.append(fresh, tenant="casa")
        stored = [await house.writer.latest("casa", record.id) for record in written]
        assert stored == written
        assert [bytes_of(one) for one in stored] == [check_seal(one) for one in written]
        assert await house.writer.append(fresh, tenant="casa") == written  # twice adds nothing


async def test_the_table_has_the_columns_in_their_order_and_types(house: House) -> None:
    async with (await house.pool("logline_reader")).connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(
            "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type "
            "FROM pg_attribute a WHERE a.attrelid = 'ledger.universal_registry'::regclass "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
        found = [(row["name"], row["type"]) for row in await cursor.fetchall()]
    spelled = {"timestamptz": "timestamp with time zone"}
    assert found == [(c.name, spelled.get(c.sql_type, c.sql_type)) for c in COLUMNS]
    assert tuple(name for name, _ in found) == Record.__struct_fields__
    assert column_list().count('"') == 2 * 79
