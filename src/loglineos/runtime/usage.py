"""Usage: how many executions a house has run today and in this minute, for the quotas.

Always holds: each look reads only what the log got since the last one. Days are those of UTC.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import Final

import msgspec

from loglineos.base.clock import Clock
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.runtime.following import asking

_SQL: Final = Queries.load("loglineos.runtime", "laws.sql")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Executions that ended; those under way are not counted yet."""

    today: int
    minute: int


class _Count:
    """What was counted of one house on one day."""

    def __init__(self, day: datetime, position: int) -> None:
        self.day = day
        self.position = position
        self.today = 0
        self.minutes: dict[datetime, int] = {}


class Meter:
    """Counts the executions of each house, from its log."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        """Read through `pool`; `clock` says which day and minute it is."""
        self._pool = pool
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def read(self, tenant: str) -> Usage:
        """Return the usage of a house up to now."""
        now = self._clock.now()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        minute = now.replace(second=0, microsecond=0)
        async with self._locks[tenant], asking(self._pool) as connection:
            count = self._counts.get(tenant)
            if count is None or count.day != day:
                asked = {"tenant": tenant, "day": day}
                row = await (await connection.execute(_SQL["read_day_start"], asked)).fetchone()
                count = _Count(day, int(row[0]) if row else 0)
            asked = {"tenant": tenant, "day": day, "position_from": count.position}
            rows = await (await connection.execute(_SQL["count_ended"], asked)).fetchall()
            count.position = max([count.position, *(last + 1 for _, _, last in rows)])
            count.today += sum(ended for _, ended, _ in rows)
            count.minutes = {m: n for m, n in count.minutes.items() if m >= minute}
            for when, ended, _ in rows:
                if when >= minute:
                    count.minutes[when] = count.minutes.get(when, 0) + ended
            self._counts[tenant] = count
        return Usage(today=count.today, minute=count.minutes.get(minute, 0))
