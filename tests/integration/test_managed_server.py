"""A server that is not ours: over TCP, by password, as a user who may make roles and no more."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.pq import PGconn, Ping

from loglineos.base.errors import Misconfigured
from loglineos.database import cluster, installation, roles
from loglineos.database.catalog import snapshot
from loglineos.database.migrate import migrate, read_migrations, status
from loglineos.database.pool import open_pool, reading
from loglineos.database.roles import ensure_roles, refuse_superuser
from loglineos.node import open_node
from loglineos.settings import read_settings


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The address of its superuser, its TCP port, its version."""

    admin: str
    port: int
    major: int


PASSWORD = "correct horse 'battery' \\ staple"


@pytest.fixture(scope="module", params=[18, 16])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A second server, of each version that the wheel brings, started by hand."""
    home = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    identity = installation.choose_identity(home / "pgdata")
    pgdata = installation.make_private_folder(home / "pgdata", identity)
    sockets = installation.make_private_folder(home / "sockets", identity)
    installation.open_the_way(pgdata, identity)
    run_as = {"user": identity.uid, "group": identity.gid} if identity.is_other else {}
    folder = "pginstall" if request.param == 16 else f"pginstall{request.param}"
    programs = installation.find_programs().parents[1] / folder / "bin"
    options = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth-host=scram-sha-256", "-N"]
    subprocess.run(
        [programs / "initdb", "-D", pgdata, *options],
        check=True,
        capture_output=True,
        env=cluster.ENVIRONMENT,
        cwd="/",
        **run_as,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [programs / "postgres", "-D", pgdata, "-k", sockets, "-h", "127.0.0.1"]
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "-p", str(port)], stderr=log, env=cluster.ENVIRONMENT, **run_as
        ) as process,
    ):
        admin = f"host={sockets} port={port} user=postgres dbname=postgres"
        end = time.monotonic() + 30
        while PGconn.ping(admin.encode()) != Ping.OK:
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < end, "it never answered"
        yield Server(admin=admin, port=port, major=request.param)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    shutil.rmtree(home)


@pytest.fixture
def managed(server: Server) -> Iterator[str]:
    """The DATABASE_URL of a managed service: its user owns one database and may make roles."""
    with psycopg.connect(server.admin, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE service LOGIN CREATEROLE PASSWORD {}").format(PASSWORD))
        admin.execute("CREATE DATABASE house OWNER service")
        yield f"postgresql://service:{quote(PASSWORD)}@127.0.0.1:{server.port}/house"
        admin.execute("DROP DATABASE house WITH (FORCE)")
        for name in (*roles.ROLES, "service"):
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


async def enter(dsn: str) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(dsn, autocommit=True)


async def test_roles_and_migrations_work_and_repeat_without_change(managed: str):
    async with await enter(managed) as connection:
        await ensure_roles(connection)
        assert await migrate(connection) == list(read_migrations())
        once = await snapshot(connection)
        await ensure_roles(connection)
        assert await migrate(connection) == []
        assert await snapshot(connection) == once
        now = await status(connection)
        assert (now.pending, now.fault) == ((), None)


async def test_the_schema_is_the_same_as_on_the_embedded_server(
    managed: str, server: Server, database
):
    def comparable(lines: list[str]) -> list[str]:
        if server.major >= 18:
            return lines
        # NOT NULL is a constraint of its own from 18, the right to MAINTAIN exists from 17.
        kept = [line for line in lines if ": NOT NULL " not in line]
        return sorted(line.replace("=arwdDxtm/", "=arwdDxt/") for line in kept)

    async with await enter(managed) as connection:
        await ensure_roles(connection)
        await migrate(connection)
        there = await snapshot(connection)
    async with await enter(database.dsn()) as connection:
        assert comparable(await snapshot(connection)) == comparable(there)


async def test_a_pool_takes_the_role_that_it_is_told(managed: str):
    async with await enter(managed) as connection:
        await ensure_roles(connection)
        await migrate(connection)
    for role in (roles.APP, roles.APPENDER, roles.READER):
        async with (
            await open_pool(managed, name="test", role=role, max_size=1) as pool,
            reading(pool, tenant="casa", user="ana", role="owner") as connection,
        ):
            users = await connection.execute("SELECT current_user::text, session_user::text")
            assert await users.fetchone() == (role, "service")
            found = await connection.execute("SELECT count(*) FROM ledger.visible_timeline")
            assert await found.fetchone() == (0,)


async def test_no_role_can_pass_over_the_isolation(managed: str):
    async with await enter(managed) as connection:
        await ensure_roles(connection)
        rows = await (
            await connection.execute(
                "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s) AND"
                " (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)",
                (list(roles.ROLES),),
            )
        ).fetchall()
        assert rows == []
        await refuse_superuser(connection)


async def test_a_superuser_founds_no_second_house_that_would_lock_it_out(
    server: Server, home: Path
):
    with psycopg.connect(server.admin, autocommit=True) as admin:
        admin.execute("CREATE DATABASE lone")
    address = server.admin.replace("dbname=postgres", "dbname=lone")
    settings = read_settings({"LOGLINE_HOME": str(home), "DATABASE_URL": address})
    async with open_node(settings) as node:
        with pytest.raises(Misconfigured, match="SUPERUSER"):
            await node.found("pensao")
    async with open_node(settings) as node:
        assert await node.tenants() == ["casa"]
    with psycopg.connect(server.admin, autocommit=True) as admin:
        admin.execute("DROP DATABASE lone WITH (FORCE)")
        for name in roles.ROLES:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_a_superuser_is_refused(server: Server):
    async with await enter(server.admin) as connection:
        with pytest.raises(Misconfigured, match="SUPERUSER"):
            await refuse_superuser(connection)
        await connection.execute("CREATE ROLE seer LOGIN BYPASSRLS")
        try:
            async with await enter(server.admin) as other:
                await other.execute("SET SESSION AUTHORIZATION seer")
                with pytest.raises(Misconfigured, match="BYPASSRLS"):
                    await refuse_superuser(other)
        finally:
            await connection.execute("DROP ROLE seer")


async def test_a_user_who_may_not_make_roles_is_told_what_to_ask_for(managed: str, server: Server):
    async with await enter(server.admin) as admin:
        await admin.execute("ALTER ROLE service NOCREATEROLE")
        async with await enter(managed) as connection:
            with pytest.raises(Misconfigured) as caught:
                await ensure_roles(connection)
            assert "CREATE ROLE logline_owner" in caught.value.advise("pt")
        for name in roles.ROLES:
            role = sql.Identifier(name)
            await admin.execute(sql.SQL("CREATE ROLE {}").format(role))
            await admin.execute(sql.SQL("GRANT {} TO service").format(role))
        async with await enter(managed) as connection:
            await ensure_roles(connection)
            await migrate(connection)


async def test_a_role_with_rights_that_it_must_not_have_is_refused(managed: str, server: Server):
    async with await enter(server.admin) as admin:
        await admin.execute("CREATE ROLE logline_app BYPASSRLS")
        async with await enter(managed) as connection:
            with pytest.raises(Misconfigured, match="logline_app"):
                await ensure_roles(connection)
