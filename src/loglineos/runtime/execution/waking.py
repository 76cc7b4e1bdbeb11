"""Waking: follows a tenant's log and makes waiting runs due when what they wait for has happened.

A run waits for an answer to its question, for a child to end, for a record that fits a pattern, or
for a time (which needs nobody: its job has the time). Always holds: waking is only a hint to look;
a run that is woken too early rests again, and one that would never be woken is looked at when it
rests, because what came before is seen then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from uuid import UUID

from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.runtime.execution.effects.waits import fits
from loglineos.runtime.execution.requests import EXECUTION, UNFINISHED
from loglineos.runtime.following import Batch, asking

NAME: Final = "waking"
"""The name of its cursor."""
_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")


class Waker:
    """Wakes the waiting runs of one tenant; `handle` is for a `Follower`."""

    def __init__(
        self, tenant: str, *, reading: Pool, wake: Callable[[str, list[UUID]], Awaitable[int]]
    ) -> None:
        """Read what waits through `reading`; `wake` makes runs due."""
        self._tenant = tenant
        self._reading = reading
        self._wake = wake
        self._patterns: dict[UUID, list[dict[str, Any]]] | None = None

    async def handle(self, batch: Batch) -> None:
        """Wake every run that waits for a record of this batch."""
        if self._patterns is None:
            self._patterns = await self._waiting_for_patterns()
        woken: set[UUID] = set()
        for record in batch.records:
            woken.update(named_by(record))
            for execution, patterns in self._patterns.items():
                if any(fits(record, pattern) for pattern in patterns):
                    woken.add(execution)
            if record.entity_type == EXECUTION:
                self._note(record)
        if woken:
            await self._wake(self._tenant, sorted(woken))

    def _note(self, execution: Record) -> None:
        """Take note of a run that begins or ceases to wait for a pattern."""
        assert self._patterns is not None
        waits = (
            (execution.metadata or {}).get("waiting_for") if execution.status == "waiting" else None
        )
        patterns = patterns_of(waits)
        if patterns:
            self._patterns[execution.id] = patterns
        else:
            self._patterns.pop(execution.id, None)

    async def _waiting_for_patterns(self) -> dict[UUID, list[dict[str, Any]]]:
        async with asking(self._reading) as connection:
            cursor = await connection.execute(_SQL["waiting_executions"], {"tenant": self._tenant})
            found = {row[0]: patterns_of(row[1]) for row in await cursor.fetchall()}
        return {execution: patterns for execution, patterns in found.items() if patterns}


def named_by(record: Record) -> Iterable[UUID]:
    """Name the runs that a record itself says it belongs to: a question's, a child's parent."""
    about = record.metadata or {}
    if record.entity_type == "question" and record.seq > 0:
        return _ids(about.get("execution"), record.parent_id)
    if record.entity_type == EXECUTION and record.status not in UNFINISHED:
        return _ids(about.get("parent_execution"), None)
    return ()


def patterns_of(waits: Any) -> list[dict[str, Any]]:
    """Read the patterns that a waiting run waits for."""
    return [
        one["pattern"]
        for one in (waits if isinstance(waits, list) else ())
        if isinstance(one, dict)
        and one.get("kind") == "pattern"
        and isinstance(one.get("pattern"), dict)
    ]


def _ids(named: Any, otherwise: UUID | None) -> Iterable[UUID]:
    try:
        return (UUID(named),) if isinstance(named, str) else (otherwise,) if otherwise else ()
    except ValueError:
        return ()
