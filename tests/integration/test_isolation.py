"""Isolation: what a role may not see it cannot read, write, count or infer, by any SQL it may run.

Trust boundary: who the viewer is (`app.tenant_id`, `app.user_id`, `app.role`) is set by the node in
each transaction; whoever may run SQL as `logline_app` may set them. These tests hold everything on
the database's side of that boundary: with the settings given, nothing else is to be had.
"""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loglineos.base.errors import NotFound
from loglineos.database.pool import reading
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.reader import STAFF, Reader, Viewer
from loglineos.ledger.trust import ROLES
from tests.integration.conftest import House

APP_ROLES = tuple(role for role in ROLES if role != "service")
TABLES = (
    "universal_registry", "entity", "timeline_block", "actor_key", "log_head", "tile",
    "checkpoint", "cosignature", "root_entry", "witnessed_log", "subject_key",
    "job", "search_term", "cursor", "worker", "snapshot",
)  # fmt: skip
APPEND_ONLY = ("universal_registry", "tile", "checkpoint", "cosignature", "root_entry")
SECRET = "segredo da pensão"
HOSTILE = st.one_of(
    st.sampled_from([
        "'", "''", "\\", "' | '", "=w", "@pensao/0", "#", "*", "%", "_", "!", "& |", ":*",
        "'); DROP TABLE ledger.entity; --", "segredo", "pensao", "hospede", "=v", "=x*", "\u0130",
    ]),
    st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30),
)  # fmt: skip


async def secrets_of(house: House) -> None:
    """Put into the other tenant what nobody of `casa` may learn of."""
    for visibility in ("private", "tenant"):
        await house.add(
            tenant="pensao", this=SECRET, who="hospede", owner_id="ana", did="dormiu",
            confirmed_by="ana", shared_with=("ana", "role:owner"), tags=("segredo",),
            visibility=visibility,
        )  # fmt: skip


async def ask(
    house: House, statement: str, *, role: str = "owner", user: str = "ana", parameters: Any = None
) -> list[Any]:
    async with reading(
        await house.pool("logline_app"), tenant="casa", user=user, role=role
    ) as connection:
        return await (await connection.execute(statement, parameters)).fetchall()


@pytest.mark.parametrize("role", APP_ROLES)
async def test_no_role_of_one_house_reads_or_counts_another(house, role):
    await secrets_of(house)
    await house.add()
    for table in (*TABLES[:8], "visible_timeline"):
        rows = await ask(
            house, f"SELECT count(*) FROM ledger.{table} WHERE tenant_id <> 'casa'", role=role
        )
        assert rows == [(0,)], table
        rows = await ask(house, f"SELECT DISTINCT tenant_id FROM ledger.{table}", role=role)
        assert rows in ([], [("casa",)]), table
    for table in TABLES[8:]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await ask(house, f"SELECT * FROM ledger.{table}", role=role)
    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant="casa", actor="ana", role=role)
    )
    for wanted in (
        Filter(words=("segredo",)),
        Filter(tags=("segredo",)),
        Filter(who="hospede"),
        Filter(this=SECRET),
        Filter(did="dormiu", who="hospede"),
    ):
        assert (await reader.timeline(wanted)).records == ()
        assert (await reader.stats(wanted)).records == 0


@pytest.mark.parametrize("role", APP_ROLES)
async def test_a_reader_that_names_another_house_in_its_query_gets_nothing(house, role):
    await secrets_of(house)
    record = await house.add(tenant="pensao", owner_id="ana")
    for statement in (
        "SELECT * FROM ledger.universal_registry WHERE tenant_id = 'pensao'",
        "SELECT * FROM ledger.entity WHERE tenant_id = 'pensao'",
        "SELECT * FROM ledger.log_head WHERE tenant_id = 'pensao'",
        f"SELECT 1 FROM ledger.universal_registry WHERE id = '{record.id}'",
        f"SELECT 1 FROM ledger.entity WHERE curr_hash = '{record.curr_hash}'",
        (
            "SELECT 1 FROM ledger.actor_key a JOIN ledger.log_head h USING (tenant_id)"
            " WHERE tenant_id = 'pensao'"
        ),
    ):
        assert await ask(house, statement, role=role) == []


CELLS = list(itertools.product(
    APP_ROLES, ("private", "tenant", "public"),
    ("nobody", "owner_id", "who", "confirmed_by", "shared_with", "shared_role"),
))  # fmt: skip


def may_see(role: str, visibility: str, named: str) -> bool:
    """The table of who sees what: public all; tenant the staff; the named whatever it is."""
    return visibility == "public" or named != "nobody" or (visibility == "tenant" and role in STAFF)


@pytest.mark.parametrize("role", APP_ROLES)
async def test_each_cell_of_the_table_of_visibility_holds(house, role):
    """Role by visibility by what names the viewer: by key, page, search, entity, view and count."""
    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant="casa", actor="eu", role=role)
    )
    cells = [cell for cell in CELLS if cell[0] == role]
    assert len(cells) == 18
    for _, visibility, named in cells:
        mark = f"{visibility}-{named}".replace("_", "-")
        naming: dict[str, Any] = {"owner_id": "outro"}
        if named in ("owner_id", "who", "confirmed_by"):
            naming[named] = "eu"
        elif named == "shared_with":
            naming["shared_with"] = ("x", "eu")
        elif named == "shared_role":
            naming["shared_with"] = (f"role:{role}",)
        record = await house.add(visibility=visibility, did=mark, tags=(mark,), **naming)
        expected = (record,) if may_see(role, visibility, named) else ()
        for wanted in (
            Filter(did=mark),
            Filter(tags=(mark,)),
            Filter(did=mark, latest=True),
            Filter(did=mark, status="valid"),
        ):
            assert (await reader.timeline(wanted)).records == expected, mark
        for table in ("universal_registry", "entity", "visible_timeline"):
            counted = await ask(
                house,
                f"SELECT count(*) FROM ledger.{table} WHERE did = %s",
                role=role,
                user="eu",
                parameters=[mark],
            )
            assert counted == [(len(expected),)], (table, mark)
        if expected:
            assert await reader.get(record.id) == record
        else:
            with pytest.raises(NotFound):
                await reader.get(record.id)
            with pytest.raises(NotFound):
                await reader.at(record.position)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    words=st.lists(HOSTILE, max_size=3), prefixes=st.lists(HOSTILE, max_size=2),
    tags=st.lists(HOSTILE, max_size=2), terms=st.lists(HOSTILE, max_size=3),
    openings=st.lists(HOSTILE, max_size=2), exact=st.lists(st.none() | HOSTILE, min_size=6, max_size=6),
    low=st.none() | st.integers(-(2**62), 2**62), high=st.none() | st.integers(-(2**62), 2**62),
    latest=st.booleans(), newest=st.booleans(), rows=st.integers(-5, 2**31 - 1),
    role=st.sampled_from([*APP_ROLES, "", "superuser"]),
)  # fmt: skip
async def test_no_arguments_make_the_search_tell_of_another_house(
    house, words, prefixes, tags, terms, openings, exact, low, high, latest, newest, rows, role
):
    head = (await ask(house, "SELECT size FROM ledger.log_head"))[0][0]
    if head < 3:
        await secrets_of(house)
        await house.add()
        for _ in range(20):
            await house.add(tenant="pensao", this=SECRET)
        head = (await ask(house, "SELECT size FROM ledger.log_head"))[0][0]
    found = await ask(
        house,
        "SELECT * FROM ledger.search_positions(%s::text[], %s::text[], %s::text[], %s::text,"
        " %s::text, %s::text, %s::text, %s::text, %s::text, NULL, NULL, %s::bigint, %s::bigint,"
        " %s, %s, %s::integer, %s::text[], %s::text[])",
        role=role, parameters=[
            words, prefixes, tags, *exact, low, high, latest, newest, rows, terms, openings
        ],
    )  # fmt: skip
    visible = await ask(
        house, "SELECT position FROM ledger.universal_registry WHERE tenant_id = 'casa'", role=role
    )
    assert set(found) <= set(visible)
    assert all(position < head for (position,) in found)


LEAKS = tuple(
    f"SELECT 1 FROM ledger.{table} WHERE {condition}"
    for table in ("universal_registry", "entity", "visible_timeline")
    for condition in (
        """1 / (CASE WHEN "this" = %s THEN 0 ELSE 1 END) = 1""",
        """(CASE WHEN "this" = %s THEN 'x' ELSE '1' END)::integer = 1""",
        """sqrt(CASE WHEN "this" = %s THEN -1 ELSE 1 END) = 1""",
        """1 / (CASE WHEN tenant_id <> 'casa' OR "this" = %s THEN 0 ELSE 1 END) = 1""",
    )
)


async def test_an_error_in_a_condition_never_tells_of_rows_that_are_not_seen(house):
    await secrets_of(house)
    await house.add()
    for statement in LEAKS:
        await ask(house, statement, parameters=[SECRET])
    with pytest.raises(psycopg.errors.DivisionByZero):
        await ask(house, LEAKS[0], parameters=["pedido 312 no quarto 204"])


@pytest.mark.parametrize("role", ["logline_app", "logline_reader"])
async def test_a_role_that_reads_writes_nothing(house, role):
    connection = await house.connect(role)
    await connection.execute("SET app.tenant_id = 'casa'")
    await connection.execute("SET app.user_id = 'ana'")
    await connection.execute("SET app.role = 'owner'")
    for table in TABLES:
        for statement in (
            f"INSERT INTO ledger.{table} (tenant_id) VALUES ('casa')",
            f"UPDATE ledger.{table} SET tenant_id = 'casa'",
            f"DELETE FROM ledger.{table} WHERE tenant_id = 'casa'",
            f"TRUNCATE ledger.{table}",
            f"COPY ledger.{table} FROM STDIN",
            f"COPY ledger.{table} TO PROGRAM 'cat'",
            f"DO $$ BEGIN LOCK TABLE ledger.{table} IN ACCESS EXCLUSIVE MODE; END $$",
            f"ALTER TABLE ledger.{table} DISABLE ROW LEVEL SECURITY",
            f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL",
            f"DROP POLICY ur_select_policy ON ledger.{table}",
            f"DROP TABLE ledger.{table} CASCADE",
            f"CREATE INDEX x ON ledger.{table} (tenant_id)",
            f"CREATE TRIGGER x BEFORE INSERT ON ledger.{table} EXECUTE FUNCTION now()",
        ):
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject)
            ):
                await connection.execute(statement)


@pytest.mark.parametrize("role", ["logline_app", "logline_reader", "logline_appender"])
async def test_no_role_becomes_another(house, role):
    connection = await house.connect(role)
    others = {"postgres", "logline_owner", "logline_app", "logline_appender", "logline_reader"} - {
        role
    }
    for other in sorted(others):
        for statement in (f"SET ROLE {other}", f"SET SESSION AUTHORIZATION {other}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    for statement in (
        "SET row_security = off",
        "CREATE FUNCTION ledger.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE ledger.x (a int)",
        "SET session_replication_role = replica",
        "CREATE ROLE x",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "SELECT pg_read_file('/etc/hostname')",
    ):
        if statement == "SET row_security = off":
            await connection.execute(statement)
            continue
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement)
    await connection.execute("RESET ROLE")
    await connection.execute("RESET SESSION AUTHORIZATION")
    row = await (await connection.execute("SELECT current_user, session_user")).fetchone()
    assert row == (role, role)


async def test_turning_row_security_off_turns_reading_off(house):
    """The setting does not bypass policies: a query that they would filter is refused instead."""
    await secrets_of(house)
    connection = await house.connect("logline_app")
    await connection.execute("SET row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await connection.execute("SELECT * FROM ledger.universal_registry")


async def test_without_a_viewer_only_what_is_public_is_seen(house):
    await secrets_of(house)
    await house.add(visibility="private")
    public = await house.add(visibility="public")
    connection = await house.connect("logline_app")
    rows = await (await connection.execute("SELECT id FROM ledger.universal_registry")).fetchall()
    assert public.id in {row[0] for row in rows}
    cursor = await connection.execute("SELECT visibility FROM ledger.universal_registry")
    assert {row[0] for row in await cursor.fetchall()} == {"public"}
    for table in ("timeline_block", "actor_key", "log_head", "tile"):
        assert await (await connection.execute(f"SELECT * FROM ledger.{table}")).fetchall() == []
    found = await connection.execute(
        "SELECT * FROM ledger.search_positions('{}', '{}', '{}', NULL, NULL, NULL, NULL, NULL,"
        " NULL, NULL, NULL, NULL, NULL, false, true, 10, '{}', '{}')"
    )
    assert await found.fetchall() == []


@pytest.mark.parametrize("user", ["postgres", "logline_owner"])
async def test_what_was_written_is_changed_by_nobody_not_even_the_owner(house, user):
    await house.add()
    for table in APPEND_ONLY:
        await check_append_only(house, table, user)


async def check_append_only(house: House, table: str, user: str) -> None:
    admin = await house.connect("postgres")
    if user == "logline_owner":
        await admin.execute("SET ROLE logline_owner")
    with pytest.raises(psycopg.errors.RestrictViolation):
        await admin.execute(f"TRUNCATE ledger.{table}")
    if table == "universal_registry" and user == "postgres":
        for statement in (
            "UPDATE ledger.universal_registry SET who = 'x'",
            "DELETE FROM ledger.universal_registry",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation):
                await admin.execute(statement)
    await admin.execute("RESET ROLE")
    rows = await admin.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal"
        " AND tgenabled = 'O'",
        [f"ledger.{table}"],
    )
    assert len(await rows.fetchall()) == 2


async def test_the_appender_itself_changes_nothing_that_was_written(house):
    record = await house.add()
    connection = await house.connect("logline_appender")
    for table in APPEND_ONLY:
        for statement in (
            f"UPDATE ledger.{table} SET tenant_id = 'x'",
            f"DELETE FROM ledger.{table}",
            f"TRUNCATE ledger.{table}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    columns = (
        "tenant_id, id, seq, entity_type, position, recorded_at, at, visibility, is_deleted,"
        " curr_hash, signature, public_key, status"
    )
    values = (
        "'casa', gen_random_uuid(), 0, 'logline', {}, now(), now(), 'tenant', false,"
        " repeat('a', 64), repeat('b', 128), repeat('c', 64), 'ghost'"
    )
    for place, fault in (
        ("NULL", psycopg.errors.NotNullViolation),
        ("-1", psycopg.errors.CheckViolation),
        (record.position, psycopg.errors.UniqueViolation),
    ):
        with pytest.raises(fault):
            await connection.execute(
                f"INSERT INTO ledger.universal_registry ({columns}) VALUES ({values.format(place)})"
            )
    reader = await house.connect("logline_reader")
    row = await (
        await reader.execute(
            "SELECT count(*) FROM ledger.universal_registry WHERE tenant_id = 'casa'"
        )
    ).fetchone()
    assert row == (record.position + 1,)
