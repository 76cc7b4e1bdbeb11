"""The short way: a small group is appended by one statement, in one round trip.

The long way (transaction.py) asks the database first: where the head is, what the entities were.
Here the statement carries what this appender remembers of its last commit, and the database does
nothing unless the head is still there. Always holds: a group enters whole, or nothing was done and
the long way decides; no refusal rests on what was only remembered; signatures are checked before
the statement is sent, and an answer is given after it returned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.numeric import Int8

from loglineos.base.clock import rfc3339
from loglineos.ledger import limits
from loglineos.ledger.additions import is_addition
from loglineos.ledger.admission import Head, TenantPlan
from loglineos.ledger.group import CachedLog, LogCache, Outcome, Submission, admit, answer
from loglineos.ledger.rows import APPEND_ROWS, rows_json
from loglineos.ledger.seal import leaf_of
from loglineos.ledger.search_terms import values_of
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.tiles import TILE_WIDTH

RECORDS_MAX: Final = 64
"""Records of a group that goes the short way."""

_LONG_TYPES: Final = frozenset({"key", "tenant", "execution"})
"""Entity types from which more is derived than one statement does."""

Connection = psycopg.AsyncConnection[Any]


async def append_shortly(
    connection: Connection,
    batch: Sequence[Submission],
    *,
    cache: LogCache,
    now: datetime,
    verifying: Awaitable[None],
    at_step: Callable[[str], Awaitable[None]],
) -> dict[str, int] | None:
    """Append a group by one statement, and answer it; None: nothing was done, go the long way.

    Raises:
        BadSignatures: nothing was sent; repeat without the submissions that it names.
        psycopg.Error: nothing was appended, or the outcome is unknown.
    """
    planned = _plan(batch, cache)
    if planned is None:
        return None
    plan, outcomes = planned
    known = cache.logs[plan.tenant]
    await at_step("locked")
    await verifying
    recorded_at = rfc3339(now)
    tree = known.tree.copy()
    tree.extend([leaf_hash(leaf_of(sealed.record, recorded_at)) for sealed in plan.rows])
    values = cache.blocks.take(plan.tenant, plan.size)
    await at_step("inserted")
    try:
        moved = await psycopg.AsyncRawCursor(connection).execute(
            APPEND_ROWS,
            (
                plan.tenant, Int8(plan.size), Int8(tree.size), known.tree.root(),
                Int8(known.keys_changed), rows_json(plan.rows, plan.size, recorded_at=recorded_at),
                Int8(limits.block_positions), tree.root(), now,
            ),
        )  # fmt: skip
    except psycopg.IntegrityError:  # a place is taken: a repeat or a race, which the long way tells
        return None
    if moved.rowcount != 1:
        return None
    await at_step("committed")
    cache.logs[plan.tenant] = CachedLog(tree, plan.trust, known.keys_changed)
    cache.note_heads(plan.rows)
    if values is not None:
        values += [values_of(sealed.record) for sealed in plan.rows]
        cache.blocks.put(plan.tenant, tree.size, values)
    answer(outcomes, {plan.tenant: plan}, now)
    await at_step("answered")
    return {plan.tenant: tree.size}


def _plan(batch: Sequence[Submission], cache: LogCache) -> tuple[TenantPlan, list[Outcome]] | None:
    """Plan a group on what is remembered; None: it is not small, or more must be known."""
    if sum(one.count for one in batch) > RECORDS_MAX or not all(one.is_whole for one in batch):
        return None
    rows = [sealed.record for submission in batch for sealed in submission.sealed]
    tenant = rows[0].tenant_id
    log = cache.logs.get(tenant)
    if log is None or cache.is_distributed:
        return None
    heads: dict[UUID, Head] = {}
    for record in rows:
        is_simple = record.entity_type not in _LONG_TYPES and not is_addition(record)
        if record.tenant_id != tenant or not is_simple:
            return None
        if record.seq:
            head = cache.head(tenant, record.id)
            if head is None:
                return None
            heads[record.id] = head
    size = log.tree.size
    if (
        len({record.id for record in rows}) < len(rows)
        or size % TILE_WIDTH + len(rows) >= TILE_WIDTH
    ):
        return None
    plan = TenantPlan(tenant, size=size, trust=log.trust, heads=heads, stored={})
    outcomes = admit(batch, {tenant: plan})
    if len(plan.rows) < len(rows):
        return None
    return plan, outcomes
