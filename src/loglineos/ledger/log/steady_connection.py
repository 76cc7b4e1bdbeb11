"""One connection that several callers take turns on, and that is opened anew when it was lost.

Always holds: one user at a time; what the next one gets is open and outside any transaction;
a driver's error leaves as one of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from loglineos.database.failures import as_error

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Connect: TypeAlias = Callable[[], Awaitable[Connection]]


class SteadyConnection:
    """A connection opened at its first use; `close` ends it, and the next use opens another."""

    def __init__(self, connect: Connect) -> None:
        """Open by `connect`, which gives connections in autocommit."""
        self._connect = connect
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend the connection; a failure or a transaction left open costs it.

        Raises:
            LoglineError: for what the database or the connection failed at.
        """
        async with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await self._connect()
                yield self._connection
            except psycopg.Error as cause:
                await self._drop()
                raise as_error(cause) from cause
            except OSError as cause:
                await self._drop()
                raise as_error(cause) from cause
            finally:
                if not self._is_idle():
                    await self._drop()

    async def close(self) -> None:
        """Close the connection when nobody uses it."""
        async with self._turn:
            await self._drop()

    def _is_idle(self) -> bool:
        connection = self._connection
        return connection is None or (
            not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE
        )

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
