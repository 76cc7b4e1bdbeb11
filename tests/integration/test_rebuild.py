"""Rebuild: the derived tables are what the registry tells, whatever happened; lies are named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loglineos.base.errors import KeyNotTrusted, UnknownTenant
from loglineos.ledger.record import Draft
from loglineos.ledger.verification.rebuild import rebuild
from tests.integration.conftest import NINE, NOON, House

TABLES = ("entity", "timeline_block", "actor_key")


async def snapshot(house: House) -> dict[str, list[object]]:
    connection = await house.connect("logline_reader")
    return {
        table: await (
            await connection.execute(f"SELECT t::text FROM ledger.{table} t ORDER BY 1")
        ).fetchall()
        for table in TABLES
    }


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=st.lists(st.tuples(st.integers(0, 4), st.integers(-90, 4)), min_size=1, max_size=30))
async def test_whatever_was_appended_the_derived_tables_are_what_the_registry_tells(house, moves):
    lives: dict[int, list[object]] = {}
    for entity, minutes in moves:
        life = lives.setdefault(entity, [])
        fields = {"at": NOON + timedelta(minutes=minutes), "is_deleted": minutes % 5 == 0}
        if life:
            fields |= {"id": life[0].id, "seq": len(life)}
        life.append(await house.add(**fields))
    connection = await house.connect()
    for tenant in ("casa", "pensao"):
        report = await rebuild(connection, tenant=tenant)
        assert report.is_equal, report.differences
        assert not report.is_repaired


async def test_every_lie_is_named_by_table_row_and_column_and_nothing_is_touched(house):
    kept, gone = await house.add(), await house.add()
    admin = await house.connect("postgres")
    await admin.execute(
        "UPDATE ledger.entity SET status = 'denied', who = NULL WHERE id = %s", [kept.id]
    )
    await admin.execute("DELETE FROM ledger.entity WHERE id = %s", [gone.id])
    await admin.execute(
        "UPDATE ledger.timeline_block SET at_max = at_max + '1h' WHERE tenant_id = 'casa'"
    )
    await admin.execute("UPDATE ledger.actor_key SET role = 'owner' WHERE custody = 'node'")
    before = await snapshot(house)
    report = await rebuild(await house.connect("logline_reader"), tenant="casa")
    assert (report.entities_wrong, report.blocks_wrong, report.keys_wrong) == (2, 1, 1)
    found = {(d.table, d.key): (d.told, d.kept) for d in report.differences}
    assert found["entity", str(kept.id)] == (
        {"status": "valid", "who": "joao"}, {"status": "denied", "who": None},
    )  # fmt: skip
    told, missing = found["entity", str(gone.id)]
    assert missing is None
    assert told["curr_hash"] == gone.curr_hash
    (key,) = (d for d in report.differences if d.table == "actor_key")
    assert (key.told, key.kept) == ({"role": "service"}, {"role": "owner"})
    assert await snapshot(house) == before


async def test_a_repair_makes_it_right_once_and_for_this_tenant_alone(house):
    record = await house.add()
    await house.add(id=record.id, seq=1, tags=("b",))
    await house.add(tenant="pensao")
    right = await snapshot(house)
    admin = await house.connect("postgres")
    for statement in (
        "UPDATE ledger.entity SET seq = 7, first_position = 0",
        "UPDATE ledger.timeline_block SET at_min = now() - interval '9 years'",
        "UPDATE ledger.actor_key SET revoked = 1 WHERE custody = 'node'",
        (
            "INSERT INTO ledger.actor_key"
            " VALUES ('casa', repeat('ab', 32), 'x', 'owner', 'own', 0, NULL)"
        ),
    ):
        await admin.execute(statement)
    connection = await house.connect()
    report = await rebuild(connection, tenant="casa", write=True)
    assert report.is_repaired
    assert not report.is_equal
    assert (await rebuild(connection, tenant="casa", write=True)).is_equal
    assert not (await rebuild(connection, tenant="pensao")).is_equal
    await rebuild(connection, tenant="pensao", write=True)
    assert await snapshot(house) == right


async def test_after_a_repair_of_keys_an_appender_that_was_misled_believes_again(house):
    await house.add()
    admin = await house.connect("postgres")
    await admin.execute("UPDATE ledger.actor_key SET revoked = 1 WHERE custody = 'node'")
    await admin.execute("UPDATE ledger.log_head SET keys_changed = keys_changed + 1")
    with pytest.raises(KeyNotTrusted):
        await house.add()
    await rebuild(await house.connect(), tenant="casa", write=True)
    assert (await house.add()).position is not None


async def test_a_tenant_that_does_not_exist_is_said_so(house):
    with pytest.raises(UnknownTenant):
        await rebuild(await house.connect(), tenant="ninguem", write=True)
    connection = await house.connect()
    await house.writer.append([Draft(**NINE)], tenant="casa")
    assert (await rebuild(connection, tenant="casa")).is_equal


async def test_what_waits_to_run_is_derived_from_the_life_of_each_execution(house):
    scheduled = await house.add(entity_type="execution", status="scheduled", queue="default")
    sleeping = await house.add(entity_type="execution", status="scheduled", queue="cozinha")
    await house.add(
        id=sleeping.id, seq=1, entity_type="execution", status="waiting", queue="cozinha"
    )
    done = await house.add(entity_type="execution", status="scheduled", queue="default")
    await house.add(id=done.id, seq=1, entity_type="execution", status="complete", queue="default")
    await house.add(status="scheduled", queue="default")  # a line of the house is no job
    reader = await house.connect("logline_reader")
    rows = await (
        await reader.execute(
            "SELECT id, status, due_at = 'infinity' FROM ledger.job WHERE tenant_id = 'casa'"
        )
    ).fetchall()
    assert sorted(rows) == sorted(
        [(scheduled.id, "scheduled", False), (sleeping.id, "waiting", True)]
    )
    assert (await rebuild(reader, tenant="casa")).is_equal
    admin = await house.connect("postgres")
    await admin.execute("UPDATE ledger.job SET status = 'queued' WHERE id = %s", [scheduled.id])
    await admin.execute("DELETE FROM ledger.job WHERE id = %s", [sleeping.id])
    connection = await house.connect()
    report = await rebuild(connection, tenant="casa", write=True)
    assert report.jobs_wrong == 2
    assert {d.key for d in report.differences} == {str(scheduled.id), str(sleeping.id)}
    assert (await rebuild(connection, tenant="casa")).is_equal
    assert sorted(
        await (
            await reader.execute(
                "SELECT id, status, due_at = 'infinity' FROM ledger.job WHERE tenant_id = 'casa'"
            )
        ).fetchall()
    ) == sorted(rows)
