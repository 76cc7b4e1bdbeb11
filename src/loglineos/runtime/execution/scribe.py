"""The scribe of one run: holds what is not yet appended, and appends it in the right order.

Always holds: the header of a run (which code, which engine, which input) is in the ledger before
or with its first step; what was asked purely is in it before anything that follows from it.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from loglineos.base.clock import Clock
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import encode
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.journal import Journal, Step, execution_of, step_of
from loglineos.runtime.execution.observer import SILENT, Observer, StepSeen, code_of
from loglineos.runtime.execution.requests import EXECUTION, follow_up


class Scribe:
    """Writes the life and the journal of one execution."""

    def __init__(
        self, writer: Writer, head: Record, journal: Journal, *, worker: str, attempt: int,
        clock: Clock, observer: Observer = SILENT,
    ) -> None:  # fmt: skip
        """Write after `head`, the execution's latest event; tell `observer` of each answer."""
        self._writer = writer
        self._worker = worker
        self._attempt = attempt
        self._clock = clock
        self._observer = observer
        self._buffered: list[Draft] = []
        self._began = time.perf_counter()
        about = head.metadata or {}
        self._active_ms_before = int(about.get("active_ms", 0))
        self._is_begun = bool(about.get("header"))
        self.header: dict[str, Any] = journal.header_after(about)
        self.is_told = bool(self.header)
        self.head = head
        self.journal = journal

    @property
    def active_ms(self) -> int:
        """How long workers have been at this execution, waits apart; none in a simulation."""
        if self._writer.is_simulated:
            return self._active_ms_before
        return self._active_ms_before + int((time.perf_counter() - self._began) * 1000)

    def check(self, *drafts: Draft) -> None:
        """Check that the ledger could hold these, as far as they tell by themselves.

        Raises:
            InvalidInput, TooLarge: it could not.
        """
        now = self._clock.now()
        for draft in drafts:
            given = msgspec.structs.asdict(draft)
            placed = {
                **{name: value for name, value in given.items() if value is not None},
                "tenant_id": self.head.tenant_id, "id": draft.id or self.head.id,
                "seq": draft.seq or 0, "at": draft.at or now, "public_key": self.head.public_key,
            }  # fmt: skip
            encode(placed, now=now)

    def hold(self, draft: Draft) -> None:
        """Keep a step that nobody else can see for the next append.

        Raises:
            InvalidInput, TooLarge: no append could hold it.
        """
        self.check(draft)
        self._buffered.append(draft)
        self._keep(step_of(draft), since=None)

    def take_held(self) -> tuple[Draft, ...]:
        """Hand over what was held, to be appended with the end of the run."""
        held = tuple(self._buffered)
        self._buffered.clear()
        return held

    async def append(
        self, drafts: list[Draft], *, ends: Draft | None = None, begins: bool = True
    ) -> None:
        """Append what was held and these drafts, whole or not at all; `ends` comes last.

        With `begins` the execution's life says that it runs, if it did not yet; without, the first
        of the steps carries the header.

        Raises:
            Conflict: another worker was here first; nothing of this was written.
        """
        beginning = self._beginning(ends) if begins else []
        whole = [*beginning, *self._buffered, *drafts, *([ends] if ends else [])]
        if not whole:
            return
        since = None if self._observer is SILENT else self._clock.now()
        records = await self._writer.append(
            whole, tenant=self.head.tenant_id, is_of_code=True,
            known={(self.head.id, self.head.seq): self.head.curr_hash},
        )  # fmt: skip
        self._buffered.clear()
        self._is_begun = self._is_begun or bool(beginning)
        self.is_told = True
        for record in records:
            if execution_of(record) == self.head.id:
                self._keep(step_of(record), since=since)
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

    def _keep(self, step: Step, *, since: datetime | None) -> None:
        """Journal a step; tell the observer once, when it is answered."""
        known = self.journal.steps.get(step.n)
        self.journal.keep(step)
        if self._observer is SILENT or step.state != "done":
            return
        if known is not None and known.state == "done" and known.epoch == step.epoch:
            return
        now = self._clock.now()
        asked_at = known.at if known is not None and known.epoch == step.epoch else None
        seen = StepSeen(
            n=step.n, epoch=step.epoch, name=step.key.name, code=code_of(step.error),
            status="complete" if step.error is None else "error",
            began=asked_at or since or now, ended=now, cpu_us=step.cpu_us,
        )  # fmt: skip
        self._observer.step(self.head, seen)

    def _beginning(self, ends: Draft | None) -> list[Draft]:
        """Say that the run has begun, unless it ends in the same breath."""
        if self._is_begun or ends is not None or not self.header:
            return []
        begin = self.next_event("run", "running")
        return [begin]
