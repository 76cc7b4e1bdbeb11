"""Pools of connections, and transactions in the name of one tenant, user and role.

Always holds: every connection of a pool has the same role, limits of time, and UTC; a server that
falls silent (its machine or the network is gone) is given up after a bounded time; who asks is
said by `SET LOCAL` with quoted literals inside a transaction, so that it ends with it and never
reaches the next user of the connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeAlias

import msgspec
import orjson
import psycopg
from psycopg import AsyncConnection, AsyncCursor, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format, TransactionStatus
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool

from loglineos.base.errors import InvalidInput, TooLarge
from loglineos.base.language import Text
from loglineos.database.failures import as_error

Connection: TypeAlias = AsyncConnection[Any]
Pool: TypeAlias = AsyncConnectionPool[Connection]
Isolation: TypeAlias = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

IDENTITY_BYTES_MAX: Final = 256
"""The longest tenant, user or role that is written into a session."""
CONNECT_S_MAX: Final = 10.0
"""How long one attempt to connect may take, at each address of the server."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times after which the server gives up; 0 means never. After `silence_s_max` we give it up.

    Silence is of the other machine's TCP, not of Postgres: a slow statement is none. It means
    nothing on a local socket.
    """

    statement_s_max: float = 30.0
    lock_s_max: float = 10.0
    idle_in_transaction_s_max: float = 60.0
    silence_s_max: float = 12.0
    scans_tables: bool = True
    """False for a session whose every statement has its index: a plan made while a table was small
    must not read all of it once it is large."""
    is_durable: bool = True
    """False for what may be lost in a crash of the server: its commits do not wait for the disk."""


class BinaryCursor(AsyncCursor[Any]):
    """Asks for results in the binary format: faster for uuid, timestamptz and numbers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.format = Format.BINARY


async def open_pool(
    dsn: str,
    *,
    name: str,
    min_size: int = 1,
    max_size: int = 8,
    role: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    wait_s_max: float = 30.0,
    waiting_max: int = 0,
    is_checked: bool = True,
) -> Pool:
    """Open a pool and return it when `min_size` connections are ready. The caller closes it.

    Connections are in autocommit. `role` is set on servers where the session's user is only a
    member of it. `name` is shown in `pg_stat_activity`. `waiting_max` bounds the queue for a
    connection (0: unbounded), `wait_s_max` the wait for one. `is_checked` costs one round trip at
    each use and hides a restart of the server from the users.

    Raises:
        DatabaseUnavailable: not ready within `wait_s_max`.
        psycopg.ProgrammingError: `dsn` cannot be read.
    """

    async def configure(connection: Connection) -> None:
        await configure_session(connection, name=name, role=role, limits=limits)

    pool: Pool = AsyncConnectionPool(
        bounded(dsn, connect_s_max=min(CONNECT_S_MAX, wait_s_max), limits=limits),
        kwargs={"autocommit": True, "cursor_factory": BinaryCursor},
        connection_class=AsyncConnection[Any],
        configure=configure,
        check=AsyncConnectionPool.check_connection if is_checked else None,
        name=name,
        min_size=min_size,
        max_size=max_size,
        max_waiting=waiting_max,
        timeout=wait_s_max,
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=wait_s_max)
    except psycopg.Error as failure:
        await pool.close()
        raise as_error(failure) from failure
    return pool


async def connect(
    dsn: str,
    *,
    name: str,
    role: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    wait_s_max: float = CONNECT_S_MAX,
) -> Connection:
    """Open one connection, set up as those of a pool. The caller closes it; psycopg's errors."""
    connection: Connection = await AsyncConnection.connect(
        bounded(dsn, connect_s_max=wait_s_max, limits=limits),
        autocommit=True,
        cursor_factory=BinaryCursor,
    )
    try:
        await configure_session(connection, name=name, role=role, limits=limits)
    except BaseException:
        await connection.close()
        raise
    return connection


def bounded(dsn: str, *, connect_s_max: float, limits: Limits) -> str:
    """Return `dsn` with limits of time for the network; what it says itself about them holds.

    Sent bytes that are not acknowledged, and probes of an idle connection, fail after
    `limits.silence_s_max`, rounded to whole seconds of at least 3; connecting after
    `connect_s_max`, at least 2.

    Raises:
        psycopg.ProgrammingError: the string cannot be read.

    Source: libpq, "Parameter Key Words"; tcp(7), TCP_USER_TIMEOUT.
    """
    third_s = max(1, round(limits.silence_s_max / 3))
    defaults = {
        "connect_timeout": max(2, round(connect_s_max)),
        "keepalives": 1,
        "keepalives_idle": third_s,
        "keepalives_interval": third_s,
        "keepalives_count": 2,
        "tcp_user_timeout": third_s * 3000,
    }
    told = conninfo_to_dict(dsn)
    return make_conninfo(dsn, **{key: value for key, value in defaults.items() if key not in told})


async def configure_session(
    connection: Connection, *, name: str, role: str | None, limits: Limits
) -> None:
    """Set role, limits, UTC and JSON by orjson for the life of a connection; one round trip."""
    set_json_loads(orjson.loads, connection)
    set_json_dumps(orjson.dumps, connection)
    settings: dict[str, str] = {
        "application_name": name[:63],
        "timezone": "UTC",
        "statement_timeout": str(round(limits.statement_s_max * 1000)),
        "lock_timeout": str(round(limits.lock_s_max * 1000)),
        "idle_in_transaction_session_timeout": str(round(limits.idle_in_transaction_s_max * 1000)),
        # Carries SET LOCAL to the workers of a Citus cluster; means nothing elsewhere.
        "citus.propagate_set_commands": "local",
    }
    if not limits.scans_tables:
        settings |= {"enable_seqscan": "off", "plan_cache_mode": "force_custom_plan"}
    if not limits.is_durable:
        settings |= {"synchronous_commit": "off"}
    statements = [_set(sql.SQL("SET"), key, value) for key, value in settings.items()]
    if role is not None:
        statements.insert(0, sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    await _run(connection, statements)


@asynccontextmanager
async def reading(
    pool: Pool, *, tenant: str, user: str, role: str, isolation: Isolation = "READ COMMITTED"
) -> AsyncIterator[Connection]:
    """Lend a connection inside a read-only transaction in the name of `user` of `tenant`.

    One round trip to begin. REPEATABLE READ when several statements must see the same instant.

    Raises:
        InvalidInput: a name with U+0000 or a lone surrogate; TooLarge: over IDENTITY_BYTES_MAX.
        psycopg.Error: as the driver tells it; `failures.as_error` turns it into ours.
    """
    begin = sql.SQL(f"BEGIN ISOLATION LEVEL {isolation} READ ONLY")
    async with _transaction(pool, begin, tenant=tenant, user=user, role=role) as connection:
        yield connection


@asynccontextmanager
async def tenant_transaction(
    pool: Pool, *, tenant: str, user: str, role: str, isolation: Isolation = "READ COMMITTED"
) -> AsyncIterator[Connection]:
    """Lend a connection inside a transaction in the name of `user` of `tenant`; commits at the end.

    Rolls back when the block raises or is cancelled. Errors as `reading`.
    """
    begin = sql.SQL(f"BEGIN ISOLATION LEVEL {isolation} READ WRITE")
    async with _transaction(pool, begin, tenant=tenant, user=user, role=role) as connection:
        yield connection


@asynccontextmanager
async def _transaction(
    pool: Pool, begin: sql.Composable, *, tenant: str, user: str, role: str
) -> AsyncIterator[Connection]:
    names = {"app.tenant_id": tenant, "app.user_id": user, "app.role": role}
    statements = [begin]
    for key, value in names.items():
        _check_name(key, value)
        statements.append(_set(sql.SQL("SET LOCAL"), key, value))
    async with pool.connection() as connection:
        try:
            await _run(connection, statements)
            yield connection
            _refuse_half_failed(connection)
        except BaseException:
            await _roll_back(connection)
            raise
        await connection.execute("COMMIT")


def _refuse_half_failed(connection: Connection) -> None:
    """Raise where COMMIT would quietly roll back what the caller believes to be kept."""
    if connection.pgconn.transaction_status == TransactionStatus.INERROR:
        raise psycopg.errors.InFailedSqlTransaction("a failed statement was passed over")


async def _roll_back(connection: Connection) -> None:
    if connection.closed or connection.pgconn.transaction_status == TransactionStatus.IDLE:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()  # the pool opens another; the first failure is the one to tell


def _set(command: sql.SQL, key: str, value: str) -> sql.Composable:
    return sql.SQL("{} {} = {}").format(command, sql.SQL(key), sql.Literal(value))


async def _run(connection: Connection, statements: list[sql.Composable]) -> None:
    """Run statements without parameters in one round trip (the simple protocol, text format)."""
    async with AsyncCursor(connection) as cursor:
        await cursor.execute(sql.SQL("; ").join(statements), prepare=False)


def _check_name(key: str, value: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as cause:
        raise _bad_name(key, "U+D800..U+DFFF") from cause
    if "\0" in value:
        raise _bad_name(key, "U+0000")
    if size > IDENTITY_BYTES_MAX:
        raise TooLarge(
            field=key,
            shape=f"{size} bytes",
            limit=IDENTITY_BYTES_MAX,
            limit_name="identity_bytes_max",
        )


def _bad_name(key: str, shape: str) -> InvalidInput:
    reason = Text("tem um carácter que não se pode guardar", "has a character that cannot be kept")
    return InvalidInput(field=key, shape=shape, reason=reason)
