"""What people do with executions: look at one and its children, and let a failed one try again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.errors import InvalidInput, MoveNotAllowed, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.reserved import CODE
from loglineos.ledger.rows import record_of
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.journal import step_of
from loglineos.runtime.execution.requests import EXECUTION, follow_up
from loglineos.runtime.following import asking

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
CHILDREN_MAX: Final = 1_000
"""Most executions that one tree shows."""
_AGAIN: Final = frozenset({"error", "dead"})


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """An execution's latest event, and the executions that it asked for."""

    record: Record
    children: tuple[Branch, ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Record]]:
        """Yield each execution with its depth, a parent before its children."""
        yield depth, self.record
        for child in self.children:
            yield from child.walk(depth + 1)


async def read_tree(pool: Pool, tenant: str, root: Record) -> Branch:
    """Read an execution and everything that it led to, at most `CHILDREN_MAX` executions.

    Raises:
        InvalidInput: the record is no execution.
    """
    if root.entity_type != EXECUTION:
        raise InvalidInput(
            field="execution", shape=shape_of(root.entity_type), reason=_NO_EXECUTION
        )
    below: dict[UUID, list[UUID]] = {}
    level, seen = [root.id], {root.id}
    async with asking(pool) as connection:
        while level and len(seen) < CHILDREN_MAX:
            asked = {"tenant": tenant, "ids": level, "rows_max": CHILDREN_MAX - len(seen)}
            cursor = await connection.execute(_SQL["children_of"], asked)
            found = [record_of(row) for row in await cursor.fetchall()]
            level = []
            for child in found:
                if child.id not in seen and child.cause_id is not None:
                    below.setdefault(child.cause_id, []).append(child.id)
                    seen.add(child.id)
                    level.append(child.id)
        cursor = await connection.execute(_SQL["heads_of"], {"tenant": tenant, "ids": list(seen)})
        heads = {head.id: head for head in (record_of(row) for row in await cursor.fetchall())}

    def branch(execution: UUID) -> Branch:
        children = tuple(branch(child) for child in below.get(execution, ()))
        return Branch(record=heads[execution], children=children)

    return branch(root.id)


async def read_steps(pool: Pool, tenant: str, execution: Record) -> list[Record]:
    """Read the events of an execution's steps, in the order of their positions."""
    asked = {"tenant": tenant, "execution": execution.id, "who": f"{CODE}{execution.name}"}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["steps_of"], asked)
        return [record_of(row) for row in await cursor.fetchall()]


async def retry(
    writer: Writer,
    execution: Record,
    *,
    tenant: str,
    by: str,
    from_step: int | None = None,
    is_latest: bool = False,
) -> Record:
    """Let a failed execution try again: from its last failed step, or from `from_step` on.

    What was answered before that step is kept; from it on everything is asked anew, as steps of
    their own under idempotency keys of their own. With `is_latest` it goes on with the function's
    latest version, which must ask the same up to that step.

    Raises:
        MoveNotAllowed: it did not fail.
        NotFound: it has no such step.
        Conflict: it moved on meanwhile; read it again and decide anew.
    """
    if execution.entity_type != EXECUTION or execution.status not in _AGAIN:
        raise MoveNotAllowed(old=execution.status, new="queued", allowed=", ".join(sorted(_AGAIN)))
    steps = await read_steps(writer.pool, tenant, execution)
    told = [step_of(step) for step in steps]
    numbers = {step.n for step in told}
    if from_step is None:
        failed = [step.n for step in told if step.error is not None]
        from_step = max(failed, default=1)
    elif from_step not in numbers:
        known = f"1-{max(numbers)}" if numbers else "none"
        raise NotFound(what="step", which=f"{from_step} ({known})")
    cuts = [*((execution.metadata or {}).get("cuts") or ()), from_step]
    about = {"cuts": cuts, **({"header": {}} if is_latest else {})}
    again = follow_up(execution, who=by, did="retry", status="queued", attempt=1, metadata=about)
    (record,) = await writer.append([again], tenant=tenant)
    return record


_NO_EXECUTION: Final = Text("não é uma execução", "is no execution")
