"""A group: the calls that one transaction appends, and what is remembered between transactions.

Always holds: a submission is admitted whole or answered with its error; nothing is answered here
before the caller says so; what is remembered is what the database had at the last commit.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from loglineos.base.errors import LoglineError, UnknownTenant
from loglineos.ledger.admission import Head, Placed, TenantPlan
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed
from loglineos.ledger.search_blocks import OpenBlocks
from loglineos.ledger.signature import Claim
from loglineos.ledger.tlog.tiles import TileTree
from loglineos.ledger.trust import Trust

HEADS_MAX: Final = 4_096
"""Entities whose latest event is remembered."""


class Submission:
    """One call to append: its records, what must still be verified, who waits and how long.

    Its records may still be made while the first of them are inserted: `sealed` grows until
    `is_whole`. `patient_until` is an instant of the event loop's clock.
    """

    def __init__(
        self,
        *,
        count: int,
        if_absent: bool,
        answer: asyncio.Future[list[Record]],
        patient_until: float,
    ) -> None:
        """Expect `count` records."""
        self.count = count
        self.if_absent = if_absent
        self.answer = answer
        self.patient_until = patient_until
        self.sealed: list[Sealed] = []
        self.claims: list[Claim] = []
        self.checks: list[Future[list[bool]]] = []
        """Answers about the first claims, chunk by chunk: their verification has begun."""
        self._grown = asyncio.Event()

    @property
    def is_whole(self) -> bool:
        """Whether every record has come, or no more will."""
        return len(self.sealed) >= self.count or self.answer.done()

    def add(self, sealed: Sequence[Sealed], claims: Sequence[Claim] = ()) -> None:
        """Add the next records and, unless this process signed them, their claims."""
        self.sealed += sealed
        self.claims += claims
        self._grown.set()

    def break_off(self) -> None:
        """Say that no more will come: nothing of this call is to be written."""
        if not self.answer.cancel() and not self.answer.cancelled():
            self.answer.exception()  # an answer that came meanwhile has nobody to go to
        self._grown.set()

    async def grown_to(self, count: int) -> None:
        """Wait until so many records have come, or no more will."""
        while len(self.sealed) < count and not self.is_whole:
            self._grown.clear()
            await self._grown.wait()


Outcome = tuple[Submission, list[Record | tuple[str, Placed]] | LoglineError]


class BadSignatures(Exception):
    """Some submissions of a group carry signatures that do not hold."""

    def __init__(self) -> None:
        super().__init__("bad signatures")
        self.submissions: list[Submission] = []
        self.errors: dict[int, LoglineError] = {}

    def add(self, submission: Submission, error: LoglineError) -> None:
        """Note a submission, once."""
        if id(submission) not in self.errors:
            self.submissions.append(submission)
            self.errors[id(submission)] = error


class CachedLog(NamedTuple):
    """The tree and the keys of one log, as they were when it had `tree.size` records."""

    tree: TileTree
    trust: Trust
    keys_changed: int


class LogCache:
    """What the last transaction left, so that the next need not read it again."""

    def __init__(self) -> None:
        """Start empty; everything is read when it is first needed."""
        self.logs: dict[str, CachedLog] = {}
        self.blocks = OpenBlocks()
        self._heads: OrderedDict[tuple[str, UUID], Head] = OrderedDict()
        self.is_distributed: bool | None = None
        self.planned_at = 1

    @property
    def positions(self) -> int:
        """How many records the logs that are remembered hold."""
        return sum(log.tree.size for log in self.logs.values())

    def head(self, tenant: str, entity: UUID) -> Head | None:
        """Return the latest event of an entity that this appender knows of."""
        return self._heads.get((tenant, entity))

    def note_heads(self, rows: Iterable[Sealed]) -> None:
        """Remember the events of a committed group.

        Another appender may know of later ones; what is told here was true, and it cannot mislead:
        the place after an event is taken once.
        """
        for record, _ in rows:
            place = (record.tenant_id, record.id)
            self._heads[place] = Head(
                record.seq, record.status, record.curr_hash, record.entity_type
            )
            self._heads.move_to_end(place)
        while len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)

    def forget(self) -> None:
        """Read everything anew next time: the last transaction's outcome is unknown."""
        self.logs.clear()
        self._heads.clear()
        self.blocks.clear()
        self.is_distributed = None
        self.planned_at = 1


def admit(batch: Sequence[Submission], plans: Mapping[str, TenantPlan]) -> list[Outcome]:
    """Admit each submission to the plan of its tenant, or note why not."""
    outcomes: list[Outcome] = []
    for submission in batch:
        tenants = {sealed.record.tenant_id for sealed in submission.sealed}
        missing = next((tenant for tenant in sorted(tenants) if tenant not in plans), None)
        try:
            if missing is not None:
                raise UnknownTenant(which=missing)
            (tenant,) = tenants
            admitted = plans[tenant].admit_all(submission.sealed, if_absent=submission.if_absent)
        except LoglineError as error:
            outcomes.append((submission, error))
            continue
        told: list[Record | tuple[str, Placed]] = [
            (tenant, one) if isinstance(one, Placed) else one for one in admitted
        ]
        outcomes.append((submission, told))
    return outcomes


def answer(outcomes: Iterable[Outcome], plans: Mapping[str, TenantPlan], now: datetime) -> None:
    """Answer each submission, once what its plan says is committed."""
    for submission, told in outcomes:
        if submission.answer.done():
            continue
        if isinstance(told, LoglineError):
            submission.answer.set_exception(told)
            continue
        records = []
        for one in told:
            if isinstance(one, Record):
                records.append(one)
            else:
                plan, index = plans[one[0]], one[1].row
                records.append(
                    msgspec.structs.replace(
                        plan.rows[index].record, position=plan.size + index, recorded_at=now
                    )
                )
        submission.answer.set_result(records)
