"""A large call whose records are inserted while the last of them are still being made.

Like the short way it rests on what this appender remembers of its last commit, if the head that it
locks is still there. Always holds: the call enters whole, or everything is rolled back and the long
way decides; signatures are checked before the commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from loglineos.base.errors import LoglineError
from loglineos.ledger.additions import is_addition
from loglineos.ledger.admission import Placed, TenantPlan
from loglineos.ledger.group import LogCache, Submission
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed

CHUNK_ROWS: Final = 250
_LONG_TYPES: Final = frozenset({"key", "tenant"})


class NotKnown(Exception):
    """What is remembered does not suffice for this call: the long way must ask the database."""


def plan_of(submission: Submission, cache: LogCache) -> TenantPlan | None:
    """Begin a plan on what is remembered; None: the call is whole already, or nothing is known."""
    if submission.is_whole or submission.if_absent or cache.is_distributed:
        return None
    tenant = submission.sealed[0].record.tenant_id
    log = cache.logs.get(tenant)
    if log is None:
        return None
    return TenantPlan(tenant, size=log.tree.size, trust=log.trust, heads={}, stored={})


async def chunks_of(
    submission: Submission, plan: TenantPlan, cache: LogCache, told: list[Record | Placed]
) -> AsyncIterator[Sequence[Sealed]]:
    """Admit the records as they come and yield the new rows of the plan, a chunk at a time.

    Raises:
        NotKnown: a record cannot be judged by what is remembered, or may not enter, or the rest
            will not come.
    """
    while len(told) < submission.count:
        done = len(told)
        await submission.grown_to(min(done + CHUNK_ROWS, submission.count))
        chunk = submission.sealed[done : done + CHUNK_ROWS]
        if submission.answer.done() or not chunk:
            raise NotKnown
        begun = {record.id for record, _ in chunk if not record.seq}
        for record, _ in chunk:
            if record.entity_type in _LONG_TYPES or is_addition(record):
                raise NotKnown
            if record.seq and record.id not in begun and not plan.knows(record.id):
                head = cache.head(plan.tenant, record.id)
                if head is None:
                    raise NotKnown
                plan.note_head(record.id, head)
        first = len(plan.rows)
        try:
            told += plan.admit_all(chunk, if_absent=False)
        except LoglineError as refused:
            raise NotKnown from refused
        if len(plan.rows) - first < len(chunk):
            raise NotKnown  # a repeat inside the call
        yield plan.rows[first:]
