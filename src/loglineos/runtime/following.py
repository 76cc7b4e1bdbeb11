"""Following: what reads a tenant's log by position, in order, and does something about it.

A follower has a place (`ledger.cursor`), reads at most 500 records from there on, works on them,
and moves its place. The place is operational: a crash between the work and the move repeats the
work, so whoever follows makes it harmless to repeat (ids derived from what they name).

Always holds: positions are dense and in commit order, so nothing appears behind a place; hints
only ring a bell, and each second it is rung for every log that has grown without a hint; a
database that is away is waited for; a reader asks for one tenant only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, Literal

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.errors import LoglineError, UnknownTenant
from loglineos.database.failures import as_error
from loglineos.database.notify import BACKOFF_S_MAX, BACKOFF_S_MIN
from loglineos.database.pool import Connection, Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import is_scratch

_SQL: Final = Queries.load("loglineos.runtime", "following.sql")
_LOG: Final = logging.getLogger(__name__)

BATCH_ROWS: Final = 500
"""Most records that a follower takes at once."""

POLL_EVERY_S: Final = 1.0
"""How long a record may stay unnoticed when its hint was lost."""

_NOT_PLACES: Final = ("/tick", "/start")
"""How the names of cursors end that count something else than positions worked on."""

Start = Literal["head", "beginning"]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records of one tenant. `end` is the position after the last, `head` the log's."""

    tenant: str
    records: tuple[Record, ...]
    start: int
    head: int

    @property
    def end(self) -> int:
        """The position after the last record."""
        return self.start + len(self.records)


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Where a follower is: `behind` is how many records it has not worked on yet."""

    tenant: str
    name: str
    position: int
    head: int

    @property
    def behind(self) -> int:
        """How many records it has not worked on yet."""
        return max(0, self.head - self.position)


class Log:
    """The logs of a node's tenants, read as the node reads: everything, one tenant at a time."""

    def __init__(self, pool: Pool) -> None:
        """Read through `pool`, of the role logline_reader."""
        self._pool = pool

    async def read(self, tenant: str, position: int, *, rows_max: int = BATCH_ROWS) -> Batch:
        """Read what comes next from `position` on, at most `rows_max` records.

        Raises:
            DatabaseUnavailable: repeat.
        """
        asked = {"tenant": tenant, "position": position, "rows_max": rows_max}
        async with asking(self._pool) as connection:
            cursor = await connection.execute(_SQL["read_batch"], asked)
            rows = await cursor.fetchall()
        records = tuple(record_of(row[:-1]) for row in rows)
        head = int(rows[0][-1]) if rows else position
        return Batch(tenant=tenant, records=records, start=position, head=max(head, position))

    async def size(self, tenant: str) -> int:
        """Return how many records a tenant's log has.

        Raises:
            UnknownTenant: this node has no such tenant.
        """
        async with asking(self._pool) as connection:
            cursor = await connection.execute(_SQL["size_of_log"], {"tenant": tenant})
            row = await cursor.fetchone()
        if row is None:
            raise UnknownTenant(which=tenant)
        return int(row[0])

    async def sizes(self) -> dict[str, int]:
        """Return how many records the log of each tenant has."""
        async with asking(self._pool) as connection:
            cursor = await connection.execute(_SQL["list_heads"])
            return {row[0]: int(row[1]) for row in await cursor.fetchall()}

    async def places(self, tenant: str, *, prefix: str = "") -> dict[str, int]:
        """Return where the followers of a tenant's log are, by name."""
        async with asking(self._pool) as connection:
            asked = {"tenant": tenant, "prefix": prefix}
            cursor = await connection.execute(_SQL["read_cursors"], asked)
            return {row[0]: int(row[1]) for row in await cursor.fetchall()}

    async def lags(self, tenant: str) -> list[Lag]:
        """Tell for each follower of a tenant's log how far behind its head it is."""
        head = await self.size(tenant)
        places = await self.places(tenant)
        return [
            Lag(tenant=tenant, name=name, position=position, head=head)
            for name, position in places.items()
            if not name.endswith(_NOT_PLACES)
        ]


class Cursors:
    """Where followers are, kept beside the registry."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        """Write through `pool`, of the role logline_appender."""
        self._pool = pool
        self._clock = clock

    async def begin(self, tenant: str, name: str, position: int) -> int:
        """Give a follower its first place, unless it has one; return its place."""
        asked = {"tenant": tenant, "name": name, "position": position, "now": self._clock.now()}
        async with asking(self._pool) as connection:
            await connection.execute(_SQL["begin_cursor"], asked)
            cursor = await connection.execute(
                _SQL["read_cursors"], {"tenant": tenant, "prefix": name}
            )
            return next(int(row[1]) for row in await cursor.fetchall() if row[0] == name)

    async def move(self, tenant: str, places: Mapping[str, int]) -> None:
        """Move followers on, in one statement; none is ever moved back."""
        if not places:
            return
        asked: dict[str, Any] = {
            "tenant": tenant, "names": list(places), "positions": list(places.values()),
            "now": self._clock.now(),
        }  # fmt: skip
        async with asking(self._pool) as connection:
            await connection.execute(_SQL["move_cursors"], asked)


class Bell:
    """Rings when it is time to look; who waits looks at least each `POLL_EVERY_S` by a `Watch`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or let the next wait end at once."""
        self._event.set()

    def silence(self) -> None:
        """Forget that it rang: before a look, so that what comes while it lasts rings again."""
        self._event.clear()

    async def wait(self, *, s_max: float | None = None) -> None:
        """Wait until it rings, at most `s_max`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(s_max):
                await self._event.wait()


class Follower:
    """Follows one tenant's log under one name."""

    def __init__(
        self,
        name: str,
        *,
        tenant: str,
        handle: Callable[[Batch], Awaitable[int | None]],
        log: Log,
        cursors: Cursors,
        start: Start = "head",
    ) -> None:
        """Follow; `handle` works on a batch and may return the position that it came to.

        A name without a place starts at the head of the log, or at its beginning.
        """
        self.name = name
        self.tenant = tenant
        self.position: int | None = None
        self.head = 0
        self._handle = handle
        self._log = log
        self._cursors = cursors
        self._start = start

    @property
    def lag(self) -> Lag:
        """Where it is."""
        at = self.position or 0
        return Lag(tenant=self.tenant, name=self.name, position=at, head=max(self.head, at))

    async def begin(self) -> int:
        """Find its place, or take its first one; return it."""
        if self.position is None:
            first = await self._log.size(self.tenant) if self._start == "head" else 0
            self.position = await self._cursors.begin(self.tenant, self.name, first)
        return self.position

    async def step(self) -> bool:
        """Work on the next batch; tell whether there was one.

        Raises:
            LoglineError: what the work raised; its place has not moved.
        """
        position = await self.begin()
        batch = await self._log.read(self.tenant, position)
        self.head = batch.head
        if not batch.records:
            return False
        reached = await self._handle(batch)
        self.position = batch.end if reached is None else reached
        await self._cursors.move(self.tenant, {self.name: self.position})
        return True

    async def catch_up(self) -> int:
        """Work on everything that is there now; return the place that it came to."""
        while await self.step():
            pass
        return self.position or 0

    async def run(self, bell: Bell) -> None:
        """Follow for ever; ends by cancelling."""
        await tend(self.step, bell=bell, name=f"{self.name} of {self.tenant}")


async def tend(
    step: Callable[[], Awaitable[bool]],
    *,
    bell: Bell,
    name: str,
    s_max: Callable[[], float | None] = lambda: None,
) -> None:
    """Call `step` for ever: at once while it says that there is more, else when the bell rings.

    Whatever `step` raises is waited out, from 0.1 s doubling to 5 s, and tried again: one log that
    cannot be followed must not end those that can. `s_max` bounds each wait for the bell.
    """
    pause_s = BACKOFF_S_MIN
    while True:
        bell.silence()
        try:
            has_more = await step()
        except Exception as failure:  # noqa: BLE001 - told, and tried again
            level = logging.DEBUG if _will_pass(failure) else logging.WARNING
            _LOG.log(level, "%s: %s", name, type(failure).__name__, exc_info=failure)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACKOFF_S_MAX)
            continue
        pause_s = BACKOFF_S_MIN
        if not has_more:
            await bell.wait(s_max=s_max())


class Watch:
    """One look for all tenants: a task for each, whose bell rings when its log has grown.

    Scratch tenants are left out: nobody who acts for real follows a simulation.
    """

    def __init__(
        self,
        log: Log,
        run: Callable[[str, Bell], Awaitable[None]],
        *,
        hints: Callable[[], AsyncIterator[str]] | None = None,
    ) -> None:
        """`run` follows one tenant for ever; `hints` yields names of tenants, as `Node.grown`."""
        self._log = log
        self._run = run
        self._hints = hints
        self._bells: dict[str, Bell] = {}
        self._sizes: dict[str, int] = {}

    async def run(self) -> None:
        """Watch for ever; ends by cancelling, and with it every task that it started."""
        async with asyncio.TaskGroup() as group:
            if self._hints is not None:
                group.create_task(self._listen(self._hints), name="hints of followers")
            while True:
                with suppress(LoglineError):
                    await self._look(group)
                await asyncio.sleep(POLL_EVERY_S)

    async def _look(self, group: asyncio.TaskGroup) -> None:
        for tenant, size in (await self._log.sizes()).items():
            if is_scratch(tenant):
                continue  # a simulation follows its own log, in its own time
            if tenant not in self._bells:
                bell = self._bells[tenant] = Bell()
                group.create_task(self._follow(tenant, bell), name=f"follower of {tenant}")
            if self._sizes.get(tenant) != size:
                self._sizes[tenant] = size
                self._bells[tenant].ring()

    async def _follow(self, tenant: str, bell: Bell) -> None:
        await self._run(tenant, bell)

    async def _listen(self, hints: Callable[[], AsyncIterator[str]]) -> None:
        """Ring at each hint; hints that fail leave the followers to the look of each second."""
        with suppress(LoglineError):
            async with aclosing(hints()) as heard:  # type: ignore[type-var]
                async for tenant in heard:
                    bell = self._bells.get(tenant)
                    if bell is not None:
                        bell.ring()


@asynccontextmanager
async def asking(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection; what goes wrong with it is told as an error of ours.

    Raises:
        DatabaseUnavailable, Unavailable: not now; repeat.
    """
    try:
        async with pool.connection() as connection:
            yield connection
    except LoglineError:
        raise
    except Exception as failure:
        raise as_error(failure) from failure


def _will_pass(failure: Exception) -> bool:
    return isinstance(failure, LoglineError) and failure.retryable
