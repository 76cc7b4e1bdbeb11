"""Asking the database through a pool: errors become ours, and a cancelled task stays cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loglineos.database.failures import as_error
from loglineos.database.pool import Connection, Pool


@asynccontextmanager
async def asking(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection of `pool`.

    A statement that is cancelled with its task may end with an error of the server instead of the
    cancellation; the task must then end all the same.

    Raises:
        LoglineError: what the database's failure means (`failures.as_error`).
    """
    try:
        async with pool.connection() as connection:
            yield connection
    except Exception as cause:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from cause
        raise as_error(cause) from cause
