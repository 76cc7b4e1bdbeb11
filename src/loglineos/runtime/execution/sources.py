"""Where a replay reads: a tenant's ledger, or records that somebody carried away from one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.reserved import CODE
from loglineos.ledger.rows import record_of
from loglineos.runtime.execution.journal import execution_of
from loglineos.runtime.execution.replay import ENDED
from loglineos.runtime.following import asking

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
_PAGE: Final = 500
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
WANTED: Final = frozenset({"execution", "function", "prelude"})
"""The types of records that replays need, besides steps."""


class LedgerSource:
    """Reads a tenant of this node's ledger, as the node."""

    def __init__(self, pool: Pool, tenant: str) -> None:
        """Read through `pool` (role logline_reader)."""
        self._pool = pool
        self._tenant = tenant

    async def events(self, entity: UUID) -> list[Record]:
        """Return the life of an entity, in order."""
        return await self._records("events_of", id=entity)

    async def steps(self, execution: UUID) -> list[Record]:
        """Return the events of an execution's steps, in the order of their positions."""
        events = await self.events(execution)
        who = f"{CODE}{events[0].name}" if events else ""
        return await self._records("steps_of", execution=execution, who=who)

    async def preludes(self, name: str) -> list[Record]:
        """Return every version of a module of the prelude."""
        return await self._records("preludes_named", name=name)

    async def ended(self, since: datetime | None = None) -> AsyncIterator[UUID]:
        """Yield executions that ended, in order; `since` by the time of their recording."""
        position = -1
        while True:
            asked = {
                "tenant": self._tenant, "position": position, "since": since or _EVER,
                "rows_max": _PAGE,
            }  # fmt: skip
            async with asking(self._pool) as connection:
                cursor = await connection.execute(_SQL["ended_since"], asked)
                rows = await cursor.fetchall()
            for position, identity in rows:  # noqa: B007 - the last one is where to go on
                yield identity
            if len(rows) < _PAGE:
                return

    async def _records(self, query: str, /, **asked: object) -> list[Record]:
        async with asking(self._pool) as connection:
            cursor = await connection.execute(_SQL[query], {"tenant": self._tenant, **asked})
            return [record_of(row) for row in await cursor.fetchall()]


class RecordsSource:
    """Reads records that are in memory: those of an export that replays need."""

    def __init__(self, records: Iterable[Record]) -> None:
        """Keep what replays need of `records`, which come in the order of their positions."""
        self._lives: dict[UUID, list[Record]] = {}
        self._steps: dict[UUID, list[Record]] = {}
        self._preludes: dict[str, list[Record]] = {}
        self._ended: dict[UUID, datetime | None] = {}
        for record in records:
            journal = execution_of(record)
            if journal is not None:
                self._steps.setdefault(journal, []).append(record)
            if record.entity_type not in WANTED:
                continue
            self._lives.setdefault(record.id, []).append(record)
            if record.entity_type == "prelude" and record.name is not None:
                self._preludes.setdefault(record.name, []).append(record)
            if record.entity_type == "execution" and record.status in ENDED:
                self._ended[record.id] = record.recorded_at

    async def events(self, entity: UUID) -> list[Record]:
        """Return the life of an entity, in order."""
        return self._lives.get(entity, [])

    async def steps(self, execution: UUID) -> list[Record]:
        """Return the events of an execution's steps, in the order of their positions."""
        events = self._lives.get(execution)
        who = f"{CODE}{events[0].name}" if events else ""
        return [step for step in self._steps.get(execution, ()) if step.who == who]

    async def preludes(self, name: str) -> list[Record]:
        """Return every version of a module of the prelude."""
        return self._preludes.get(name, [])

    async def ended(self, since: datetime | None = None) -> AsyncIterator[UUID]:
        """Yield executions that ended, in order."""
        for identity, at in self._ended.items():
            if since is None or (at is not None and at >= since):
                yield identity
