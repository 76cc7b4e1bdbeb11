"""Definitions: the latest version of each record of one type, tenant by tenant, by position.

Queues, schedules and their like are records whose latest event is in force. Reading on from where
one was costs one probe of an index, so it can be done often. Always holds: what is told is what the
log said at the last `refresh`; nothing is ever read twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.services.asking import asking

_SQL: Final = Queries.load("loglineos.services", "definitions.sql")
_PAGE_ROWS: Final = 1_000
_TENANTS_AT_ONCE: Final = 200


class Definitions:
    """The latest events of one entity type."""

    def __init__(self, pool: Pool, entity_type: str) -> None:
        """Read through `pool` (role logline_reader, or any that reads the registry)."""
        self._pool = pool
        self._entity_type = entity_type
        self._latest: dict[str, dict[UUID, Record]] = {}
        self._next: dict[str, int] = {}

    def of(self, tenant: str) -> dict[UUID, Record]:
        """Return the latest event of each entity, by id, as of the last `refresh`."""
        return self._latest.get(tenant, {})

    async def refresh(self, tenants: Sequence[str]) -> list[str]:
        """Read what these tenants' logs say since the last time; list those where anything is new.

        Raises:
            DatabaseUnavailable: some may have been read; repeat.
        """
        changed: dict[str, None] = {}
        unread = list(tenants)
        while unread:
            asked, unread = unread[:_TENANTS_AT_ONCE], unread[_TENANTS_AT_ONCE:]
            for tenant, rows in (await self._read(asked)).items():
                known = self._latest.setdefault(tenant, {})
                for record in map(record_of, rows):
                    known[record.id] = record
                    self._next[tenant] = (record.position or 0) + 1
                if rows:
                    changed[tenant] = None
                if len(rows) == _PAGE_ROWS:
                    unread.append(tenant)
        return list(changed)

    async def _read(self, tenants: Sequence[str]) -> dict[str, list[Any]]:
        async with asking(self._pool) as connection, connection.pipeline():
            cursors = [
                await connection.execute(
                    _SQL["read_on"],
                    {
                        "tenant": tenant, "entity_type": self._entity_type,
                        "position_from": self._next.get(tenant, 0), "rows_max": _PAGE_ROWS,
                    },
                )
                for tenant in tenants
            ]  # fmt: skip
            return {
                tenant: await cursor.fetchall()
                for tenant, cursor in zip(tenants, cursors, strict=True)
            }
