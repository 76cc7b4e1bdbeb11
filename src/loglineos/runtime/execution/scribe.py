"""The scribe of one run: holds what is not yet appended, and appends it in the right order.

Always holds: the header of a run (which code, which engine, which input) is in the ledger before
or with its first step; what was asked purely is in it before anything that follows from it.
"""

from __future__ import annotations

import time
from typing import Any

from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.journal import Journal, execution_of, step_of
from loglineos.runtime.execution.requests import EXECUTION, follow_up


class Scribe:
    """Writes the life and the journal of one execution."""

    def __init__(
        self, writer: Writer, head: Record, journal: Journal, *, worker: str, attempt: int
    ) -> None:
        """Write after `head`, the execution's latest event."""
        self._writer = writer
        self._worker = worker
        self._attempt = attempt
        self._buffered: list[Draft] = []
        self._began = time.perf_counter()
        about = head.metadata or {}
        self._active_ms_before = int(about.get("active_ms", 0))
        self._is_begun = bool(about.get("header"))
        self.header: dict[str, Any] = about.get("header") or {}
        self.head = head
        self.journal = journal

    @property
    def active_ms(self) -> int:
        """How long workers have been at this execution, waits apart. No time passes in a simulation."""
        if self._writer.is_simulated:
            return self._active_ms_before
        return self._active_ms_before + int((time.perf_counter() - self._began) * 1000)

    def hold(self, draft: Draft) -> None:
        """Keep a step that nobody else can see for the next append."""
        self._buffered.append(draft)
        self.journal.keep(step_of(draft))

    def take_held(self) -> tuple[Draft, ...]:
        """Hand over what was held, to be appended with the end of the run."""
        held = tuple(self._buffered)
        self._buffered.clear()
        return held

    async def append(self, drafts: list[Draft], *, ends: Draft | None = None) -> None:
        """Append what was held and these drafts, whole or not at all; `ends` comes last.

        Raises:
            Conflict: another worker was here first; nothing of this was written.
        """
        whole = [*self._beginning(ends), *self._buffered, *drafts, *([ends] if ends else [])]
        if not whole:
            return
        records = await self._writer.append(whole, tenant=self.head.tenant_id, is_of_code=True)
        self._buffered.clear()
        self._is_begun = True
        for record in records:
            if execution_of(record) == self.head.id:
                self.journal.keep(step_of(record))
            elif record.entity_type == EXECUTION and record.id == self.head.id:
                self.head = record

    def next_event(self, did: str, status: str, **fields: Any) -> Draft:
        """Draft the next event of the execution, with what it has used so far."""
        told = fields.pop("metadata", None) or {}
        about = {"header": self.header, "active_ms": self.active_ms, **told}
        given = {"attempt": self._attempt, "worker": self._worker, **fields}
        return follow_up(
            self.head,
            who=f"function:{self.head.name}",
            did=did,
            status=status,
            metadata=about,
            **given,
        )

    def _beginning(self, ends: Draft | None) -> list[Draft]:
        """Say that the run has begun, unless it ends in the same breath."""
        if self._is_begun or ends is not None or not self.header:
            return []
        begin = self.next_event("run", "running")
        return [begin]
