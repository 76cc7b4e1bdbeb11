"""Every key of every table that grows begins with the tenant, so that tables distribute by it."""

from __future__ import annotations

KEYS = """
SELECT c.relname, i.relname, a.attname
FROM pg_index x
JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
WHERE c.relnamespace = 'ledger'::regnamespace AND x.indisunique
"""
TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner)
FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p')
"""


async def test_every_primary_and_unique_key_begins_with_the_tenant(house):
    connection = await house.connect("postgres")
    keys = await (await connection.execute(KEYS)).fetchall()
    tables = {row[0] for row in await (await connection.execute(TABLES)).fetchall()}
    assert {"universal_registry", "entity", "tile", "subject_key"} <= tables
    assert {table for table, _, _ in keys} == tables, "every table has a key"
    assert [key for key in keys if key[2] != "tenant_id"] == []


async def test_every_table_forces_row_level_security_on_its_owner_too(house):
    connection = await house.connect("postgres")
    rows = await (await connection.execute(TABLES)).fetchall()
    assert [row for row in rows if row[1:] != (True, True, "logline_owner")] == []


async def test_every_ordered_index_of_the_registry_begins_with_the_tenant(house):
    connection = await house.connect("postgres")
    cursor = await connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'ledger'"
    )
    faults = [
        name
        for name, definition in await cursor.fetchall()
        if "USING btree" in definition and "USING btree (tenant_id" not in definition
    ]
    assert faults == []
