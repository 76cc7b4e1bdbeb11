"""Hints between processes by NOTIFY: "look again", never the data.

A hint may be lost, doubled or late; who listens reads by position and looks again every few
seconds anyway. Always holds: sending never fails a caller; listening never ends by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import psycopg
from psycopg import sql

from loglineos.base.errors import TooLarge
from loglineos.database.failures import as_error, is_gone
from loglineos.database.pool import Connection, Limits, connect

PAYLOAD_BYTES_MAX: Final = 1024
"""Far below the 7,999 bytes of Postgres: a hint names a place, it carries nothing."""
BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 5.0
_LIMITS: Final = Limits(statement_s_max=5.0, lock_s_max=5.0)


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """Something may have changed on `channel`; `channel` is None when it is only time to look."""

    channel: str | None = None
    payload: str = ""


class Notifier:
    """Sends hints by a connection of its own, outside any transaction."""

    def __init__(self, dsn: str, *, name: str = "logline notify", role: str | None = None) -> None:
        self._dsn = dsn
        self._name = name
        self._role = role
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def notify(self, channel: str, payload: str = "") -> bool:
        """Send one hint; return whether it went out. A database that is gone gives False.

        Raises:
            TooLarge: the payload is over PAYLOAD_BYTES_MAX.
            LoglineError: the database refuses for another reason.
        """
        size = len(payload.encode())
        if size > PAYLOAD_BYTES_MAX:
            raise TooLarge(
                field="payload",
                shape=f"{size} bytes",
                limit=PAYLOAD_BYTES_MAX,
                limit_name="payload_bytes_max",
            )
        async with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await connect(
                        self._dsn, name=self._name, role=self._role, limits=_LIMITS
                    )
                    # A hint need not survive a crash, so it need not wait for the disk.
                    await self._connection.execute("SET synchronous_commit = off")
                await self._connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))
            except (psycopg.Error, OSError) as failure:
                await self._drop()
                if is_gone(failure):
                    return False
                raise as_error(failure) from failure
        return True

    async def close(self) -> None:
        """Close the connection; the next hint would open another."""
        async with self._turn:
            await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def __aenter__(self) -> Self:
        """Return the notifier."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()


class Listener:
    """Hears hints for ever: `async for hint in Listener(...)`. Ends by cancelling its task."""

    def __init__(
        self,
        dsn: str,
        channels: Sequence[str],
        *,
        poll_every_s: float = 5.0,
        name: str = "logline listen",
        role: str | None = None,
    ) -> None:
        self._dsn = dsn
        self._channels = tuple(channels)
        self._poll_every_s = poll_every_s
        self._name = name
        self._role = role

    async def __aiter__(self) -> AsyncIterator[Hint]:
        """Yield hints as they come, and one without channel after each (re)connection and pause.

        Reconnects after a database that is gone, with waits that double up to BACKOFF_S_MAX.

        Raises:
            LoglineError: the database refuses for a reason that waiting does not change.
        """
        pause_s = BACKOFF_S_MIN
        while True:
            try:
                async with await self._connect() as connection:
                    pause_s = BACKOFF_S_MIN
                    yield Hint()  # what came while nobody listened is lost: look
                    while True:
                        async for hint in self._hear(connection):
                            yield hint
            except (psycopg.Error, OSError) as failure:
                if not is_gone(failure):
                    raise as_error(failure) from failure
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACKOFF_S_MAX)

    async def _connect(self) -> Connection:
        connection = await connect(self._dsn, name=self._name, role=self._role, limits=_LIMITS)
        try:
            for channel in self._channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except BaseException:  # also when cancelled: nobody else would close it
            await connection.close()
            raise
        return connection

    async def _hear(self, connection: Connection) -> AsyncIterator[Hint]:
        is_quiet = True
        async for note in connection.notifies(timeout=self._poll_every_s, stop_after=1):
            is_quiet = False
            yield Hint(channel=note.channel, payload=note.payload)
        if is_quiet:
            yield Hint()
