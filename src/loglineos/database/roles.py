"""The roles of a node in Postgres, and the refusal to run as one that row-level security skips.

    logline_owner     owns the schema; nobody logs in as it
    logline_app       reads under row-level security; inserts nothing
    logline_appender  the only writer
    logline_reader    reads all tenants: verify, export, tiles; writes nothing

Always holds: none of them is a superuser, bypasses row-level security, or makes databases or roles.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.database.queries import Queries

OWNER: Final = "logline_owner"
APP: Final = "logline_app"
APPENDER: Final = "logline_appender"
READER: Final = "logline_reader"
ROLES: Final = (OWNER, APP, APPENDER, READER)

_QUERIES: Final = Queries.load("loglineos.database", "queries.sql")
_UNSAFE_REMEDY: Final = Text(
    "retire-lhe esses direitos com ALTER ROLE, como administrador do servidor",
    "take these rights away with ALTER ROLE, as the server's administrator",
)


async def ensure_roles(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make the roles that are missing; a repeat changes nothing. Commits by itself in autocommit.

    A superuser (the embedded server) makes them with LOGIN, except the owner. Anybody else needs
    CREATEROLE: roles are made without LOGIN and granted to the session's user, who then uses
    `SET ROLE`; on a server where they were made beforehand, membership is all that is needed.

    Raises:
        Misconfigured: no right to make or use them, or one of them has a right it must not have.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(8099550734218392)")
        is_superuser, may_create = await _rights(connection)
        existing = await _existing(connection)
        for name in ROLES:
            if name not in existing:
                if not (is_superuser or may_create):
                    raise _may_not_create(name)
                await _create(connection, name, can_log_in=is_superuser and name != OWNER)
        if not is_superuser:
            await _join(connection)


async def refuse_superuser(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a session whose user row-level security does not bind; for multi-tenant nodes.

    Looks at the user who logged in (`session_user`): `SET ROLE` can be undone by `RESET ROLE`.

    Raises:
        Misconfigured: the user is a superuser or has BYPASSRLS.
    """
    row = await (await connection.execute(_QUERIES["read_role"])).fetchone()
    assert row is not None, "a session has a user"
    name, is_superuser, bypasses, _ = row
    if is_superuser or bypasses:
        raise Misconfigured(
            setting="DATABASE_URL",
            reason=Text(
                f"o utilizador {name} passa por cima do isolamento entre casas "
                f"({'SUPERUSER' if is_superuser else 'BYPASSRLS'})",
                f"the user {name} passes over the isolation of tenants "
                f"({'SUPERUSER' if is_superuser else 'BYPASSRLS'})",
            ),
            remedy=Text(
                "entre com um utilizador comum que seja membro de logline_app",
                "log in as an ordinary user who is a member of logline_app",
            ),
        )


async def _rights(connection: psycopg.AsyncConnection[Any]) -> tuple[bool, bool]:
    row = await (await connection.execute(_QUERIES["read_role"])).fetchone()
    assert row is not None, "a session has a user"
    return bool(row[1]), bool(row[3])


async def _existing(connection: psycopg.AsyncConnection[Any]) -> set[str]:
    rows = await (
        await connection.execute(_QUERIES["list_roles"], {"names": list(ROLES)})
    ).fetchall()
    for name, can_log_in, *rights in rows:
        if any(rights) or (name == OWNER and can_log_in):
            raise Misconfigured(
                setting=name,
                reason=Text(
                    "este papel tem direitos que não pode ter",
                    "this role has rights that it must not have",
                ),
                remedy=_UNSAFE_REMEDY,
            )
    return {row[0] for row in rows}


async def _create(connection: psycopg.AsyncConnection[Any], name: str, *, can_log_in: bool) -> None:
    # Only what the creator may say: a managed service refuses NOSUPERUSER from a non-superuser.
    rights = sql.SQL("LOGIN" if can_log_in else "NOLOGIN")
    await connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), rights))


async def _join(connection: psycopg.AsyncConnection[Any]) -> None:
    names = {"names": list(ROLES)}
    rows = await (await connection.execute(_QUERIES["list_memberships"], names)).fetchall()
    member_of = {row[0] for row in rows}
    for name in ROLES:
        if name in member_of and not await _needs_set(connection, name):
            continue
        try:
            async with connection.transaction():
                await connection.execute(
                    sql.SQL("GRANT {} TO SESSION_USER").format(sql.Identifier(name))
                )
        except psycopg.errors.InsufficientPrivilege as cause:
            raise _may_not_create(name) from cause


async def _needs_set(connection: psycopg.AsyncConnection[Any], name: str) -> bool:
    # From PostgreSQL 16 the maker of a role administers it without being able to become it.
    try:
        async with connection.transaction(force_rollback=True):
            await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def _may_not_create(name: str) -> Misconfigured:
    return Misconfigured(
        setting="DATABASE_URL",
        reason=Text(
            f"o utilizador não pode criar nem usar o papel {name}",
            f"the user may neither make nor use the role {name}",
        ),
        remedy=Text(
            f"como administrador: CREATE ROLE {name} NOLOGIN; GRANT {name} TO o utilizador do nó",
            f"as the administrator: CREATE ROLE {name} NOLOGIN; GRANT {name} TO the node's user",
        ),
    )
