"""Following: every record from a position on, as it comes, read by position and never from a hint.

A hint says "look again" and may be lost, doubled or late; positions are dense and in commit order,
so what lies below the size of the log is there to be read, and nothing appears below it later.
Always holds: a record is given once and in order; a database that is gone is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

from loglineos.base.errors import LoglineError
from loglineos.database.notify import BACKOFF_S_MAX, BACKOFF_S_MIN, Hint, Listener
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Record

CHANNEL: Final = "loglineos_ledger"
"""Where the appender's hints are sent: `Notifier.notify(CHANNEL, tenant)` after each commit."""

POLL_EVERY_S: Final = 1.0
"""How long a record may stay unnoticed when its hint was lost."""

ROWS_MAX: Final = 500
"""Rows of one look while catching up."""

ReadOn = Callable[[Filter, int | None, int], Awaitable[tuple[list[Record], int]]]
"""Read at most so many records from a position on; return them and where to go on."""


async def follow(
    read_on: ReadOn,
    wanted: Filter,
    *,
    hints: Callable[[], AsyncIterable[Hint]],
    from_position: int | None,
) -> AsyncIterator[Record]:
    """Yield what `read_on` finds, for ever; look again at each hint and each POLL_EVERY_S.

    `from_position` None begins where the log ends now. Waits that double up to BACKOFF_S_MAX while
    the database is away.

    Raises:
        LoglineError: `read_on` failed for a reason that waiting does not change.
    """
    bell = asyncio.Event()
    ringing = asyncio.create_task(_ring(bell, hints), name="hints of a follower")
    position, pause_s = from_position, BACKOFF_S_MIN
    try:
        while True:
            bell.clear()  # before the look: what comes while it lasts rings again
            try:
                records, reached = await read_on(wanted, position, ROWS_MAX)
            except LoglineError as failure:
                if not failure.retryable:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, BACKOFF_S_MAX)
                continue
            pause_s = BACKOFF_S_MIN
            for record in records:
                assert record.position is not None, "what was read has a place"
                yield record
            is_at_end = reached == position or len(records) < ROWS_MAX
            position = reached
            if is_at_end:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_EVERY_S):
                        await bell.wait()
    finally:
        ringing.cancel()
        with suppress(asyncio.CancelledError):
            await ringing


async def _ring(bell: asyncio.Event, hints: Callable[[], AsyncIterable[Hint]]) -> None:
    """Ring at each hint; a stream of hints that fails leaves the follower to its polling."""
    with suppress(LoglineError):
        async for _ in hints():
            bell.set()


async def polled() -> AsyncIterator[Hint]:
    """Give no hints at all: the follower looks each POLL_EVERY_S."""
    await asyncio.Event().wait()
    yield Hint()


def hints_from(dsn: str, *, tenant: str) -> Callable[[], AsyncIterator[Hint]]:
    """Return what opens a stream of hints for a tenant by a connection of its own."""

    async def stream() -> AsyncIterator[Hint]:
        async with aclosing(
            aiter(Listener(dsn, [CHANNEL], poll_every_s=POLL_EVERY_S, name="logline follow"))
        ) as hints:  # type: ignore[type-var]
            async for hint in hints:
                if hint.payload in ("", tenant):
                    yield hint

    return stream
