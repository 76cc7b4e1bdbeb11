"""Traces: what led to a record, and all that it led to, as far as the reader may see.

Always holds: each life is told once; a chain that would close on itself ends there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import LoglineError, NotFound
from loglineos.database.failures import as_error
from loglineos.database.pool import Pool, reading
from loglineos.database.queries import Queries
from loglineos.ledger.reading.reader import Viewer
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of

_SQL: Final = Queries.load("loglineos.runtime", "traces.sql")
CAUSES_MAX: Final = 100
"""How far up a chain of causes is followed."""
LIVES_MAX: Final = 500
"""Most lives that one tree shows."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A life by its first event, how it stands now, and what it led to in order of positions."""

    record: Record
    status: str | None
    children: tuple[Node, ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """Yield each life with its depth, a cause before what it led to."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The causes of a life, the first of them first, and the life with what it led to.

    `is_cut`: there is more than is shown.
    """

    causes: tuple[Node, ...]
    node: Node
    is_cut: bool


async def read_trace(pool: Pool, entity: UUID, *, viewer: Viewer) -> Trace:
    """Read what led to an entity and what it led to, by the rights of `viewer`.

    `pool` is of the role logline_app.

    Raises:
        NotFound: no such entity for these eyes.
    """
    try:
        async with reading(
            pool, tenant=viewer.tenant, user=viewer.actor, role=viewer.role,
            isolation="REPEATABLE READ",
        ) as connection:  # fmt: skip

            async def ask(name: str, ids: Iterable[UUID]) -> list[Any]:
                asked = {"tenant": viewer.tenant, "ids": list(ids)}
                return await (await connection.execute(_SQL[name], asked)).fetchall()

            async def events(name: str, ids: Iterable[UUID]) -> list[Record]:
                found = [record_of(row) for row in await ask(name, ids)]
                return sorted(found, key=lambda record: record.position or 0)

            began = _one_of(await events("first_events", [entity]), entity)
            causes = await _causes(began, events)
            below, lives, is_cut = await _consequences(began, events)
            ids = [*lives, *(cause.id for cause in causes)]
            standing = {row[0]: row[1] for row in await ask("latest_statuses", ids)}
    except LoglineError:
        raise
    except Exception as failure:
        raise as_error(failure) from failure

    def node(record: Record, *, is_alone: bool = False) -> Node:
        children = () if is_alone else tuple(node(child) for child in below.get(record.id, ()))
        return Node(record=record, status=standing.get(record.id, record.status), children=children)

    return Trace(
        causes=tuple(node(cause, is_alone=True) for cause in causes), node=node(began),
        is_cut=is_cut or len(causes) >= CAUSES_MAX,
    )  # fmt: skip


def _one_of(found: list[Record], entity: UUID) -> Record:
    if not found:
        raise NotFound(what="record", which=str(entity))
    return found[0]


async def _causes(record: Record, events: Any) -> list[Record]:
    found: list[Record] = []
    seen = {record.id}
    above = record
    while above.cause_id is not None and above.cause_id not in seen and len(found) < CAUSES_MAX:
        begun = await events("first_events", [above.cause_id])
        if not begun:
            break  # not for these eyes, or of another house
        above = begun[0]
        seen.add(above.id)
        found.insert(0, above)
    return found


async def _consequences(
    record: Record, events: Any
) -> tuple[dict[UUID, list[Record]], set[UUID], bool]:
    below: dict[UUID, list[Record]] = {}
    seen, level = {record.id}, [record.id]
    while level:
        found = [one for one in await events("caused_events", level) if one.id not in seen]
        level = []
        for one in found:
            if len(seen) >= LIVES_MAX:
                return below, seen, True
            assert one.cause_id is not None
            below.setdefault(one.cause_id, []).append(one)
            seen.add(one.id)
            level.append(one.id)
    return below, seen, False
