"""One append transaction: lock, admit, insert, derive, move the heads, commit.

Always holds: nothing is answered before COMMIT returned; a fault rolls back everything and leaves
the cached trees and keys as the database has them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg

from loglineos.base.clock import rfc3339
from loglineos.database.queries import Queries
from loglineos.ledger import limits, streamed
from loglineos.ledger.admission import Placed, TenantPlan
from loglineos.ledger.group import CachedLog, LogCache, Submission, admit, answer
from loglineos.ledger.opening import BEGIN, open_block, open_plans
from loglineos.ledger.record import Record
from loglineos.ledger.rows import (
    INSERT_ROWS,
    rows_json,
    term_statements,
    values_statements,
)
from loglineos.ledger.seal import Sealed, leaf_of
from loglineos.ledger.search_blocks import Values, full_blocks
from loglineos.ledger.search_terms import WIDTH, values_of
from loglineos.ledger.short_way import append_shortly
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.tiles import FullTile, TileTree

_SQL: Final = Queries.load("loglineos.ledger", "appender.sql")
_CHUNK_ROWS: Final = 250
EXECUTION: Final = "execution"
"""The entity type whose unfinished lives are kept in `ledger.job`."""
HEADS_NOTED: Final = 64
"""Events of one group that are remembered: who goes on with them does so at once."""
Connection = psycopg.AsyncConnection[Any]
Statement = tuple[Any, Any]


async def commit_batch(
    connection: Connection,
    batch: Sequence[Submission],
    *,
    cache: LogCache,
    now: datetime,
    verifying: Awaitable[None],
    at_step: Callable[[str], Awaitable[None]],
) -> dict[str, int]:
    """Append a group in one transaction and answer each submission; return the new sizes.

    A submission that may not enter is answered with its error and leaves no trace. A refusal, too,
    waits for the commit: it may rest on a neighbour that is rolled back after all.

    Raises:
        BadSignatures: rolled back; repeat without the submissions that it names.
        VerificationFailed: a log's rows and its head do not agree; rolled back.
        psycopg.Error: rolled back, or its outcome is unknown.
    """
    if cache.is_distributed is None:
        await connection.execute(_SQL["be_durable"])
        await connection.execute(_SQL["prefer_indexes"])
        row = await (await connection.execute(_SQL["is_distributed"])).fetchone()
        cache.is_distributed = bool(row and row[0])
    if cache.positions >= cache.planned_at * 2:
        await connection.execute(_SQL["plan_anew"])
        cache.planned_at = max(cache.positions, 1)
    sizes = await append_shortly(
        connection, batch, cache=cache, now=now, verifying=verifying, at_step=at_step
    )
    if sizes is not None:
        return sizes
    sizes = await _append_streamed(
        connection, batch, cache=cache, now=now, verifying=verifying, at_step=at_step
    )
    if sizes is not None:
        return sizes
    for submission in batch:
        await submission.grown_to(submission.count)
    batch = [one for one in batch if len(one.sealed) == one.count]
    try:
        plans = await open_plans(connection, batch, cache)
        await at_step("locked")
        outcomes = admit(batch, plans)
        written = {tenant: plan for tenant, plan in plans.items() if plan.rows}
        opened = {t: await open_block(connection, plan, cache) for t, plan in written.items()}
        async with connection.pipeline():
            trees = await _insert(connection, written, opened, now=now, cache=cache)
            await at_step("inserted")
            await verifying
            ended = await connection.execute("COMMIT")
        _check_committed(ended)
    except BaseException:
        await _roll_back(connection)
        raise
    await at_step("committed")
    for tenant, plan in written.items():
        _remember(plan, trees[tenant], opened[tenant], cache)
    answer(outcomes, plans, now)
    await at_step("answered")
    return {tenant: plan.size + len(plan.rows) for tenant, plan in written.items()}


async def _append_streamed(
    connection: Connection,
    batch: Sequence[Submission],
    *,
    cache: LogCache,
    now: datetime,
    verifying: Awaitable[None],
    at_step: Callable[[str], Awaitable[None]],
) -> dict[str, int] | None:
    """Append one large call while its last records are made; None: nothing was done.

    Raises as `commit_batch`.
    """
    plan = streamed.plan_of(batch[0], cache) if len(batch) == 1 else None
    if plan is None:
        return None
    known = cache.logs[plan.tenant]
    values = cache.blocks.take(plan.tenant, plan.size)
    if values is None and plan.size % WIDTH + batch[0].count >= WIDTH:
        return None
    tree, full = known.tree.copy(), list[FullTile]()
    told: list[Record | Placed] = []
    try:
        async with connection.pipeline():
            await connection.execute(BEGIN)
            locked = await connection.execute(_SQL["lock_heads"], {"tenants": [plan.tenant]})
            head = await locked.fetchone()
            if head is None or tuple(head[1:]) != (plan.size, tree.root(), known.keys_changed):
                raise streamed.NotKnown  # noqa: TRY301 - another appender was here
            await at_step("locked")
            async for chunk in streamed.chunks_of(batch[0], plan, cache, told):
                full += await _insert_chunk(connection, chunk, tree, now, is_distributed=False)
            await _derive(connection, plan, known, tree, full, values, now, is_distributed=False)
            await at_step("inserted")
            await verifying
            ended = await connection.execute("COMMIT")
        _check_committed(ended)
    except (streamed.NotKnown, psycopg.IntegrityError, psycopg.errors.PipelineAborted):
        await _roll_back(connection)
        return None
    except BaseException:
        await _roll_back(connection)
        raise
    await at_step("committed")
    _remember(plan, tree, values, cache)
    outcome = [(plan.tenant, one) if isinstance(one, Placed) else one for one in told]
    answer([(batch[0], outcome)], {plan.tenant: plan}, now)
    await at_step("answered")
    return {plan.tenant: tree.size}


def _check_committed(ended: psycopg.AsyncCursor[Any]) -> None:
    if ended.statusmessage != "COMMIT":  # to a failed transaction the server answers ROLLBACK
        raise psycopg.errors.InFailedSqlTransaction("a failed statement was passed over")


def _remember(
    plan: TenantPlan, tree: TileTree, values: list[Values] | None, cache: LogCache
) -> None:
    """Keep what a committed plan has left."""
    changed = tree.size if plan.terms else cache.logs[plan.tenant].keys_changed
    cache.logs[plan.tenant] = CachedLog(tree, plan.trust, changed)
    if values is not None:
        cache.blocks.put(plan.tenant, tree.size, values)
    cache.note_heads(plan.rows[-HEADS_NOTED:])


async def _roll_back(connection: Connection) -> None:
    if connection.closed or connection.broken:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()


async def _insert(
    connection: Connection,
    plans: dict[str, TenantPlan],
    opened: dict[str, list[Values] | None],
    *,
    now: datetime,
    cache: LogCache,
) -> dict[str, TileTree]:
    """Send every statement of the batch; the database works on one while the next is written.

    Inside the caller's pipeline: the first that fails keeps the rest, COMMIT too, from being done.
    """
    trees: dict[str, TileTree] = {}
    is_distributed = bool(cache.is_distributed)
    for tenant in sorted(plans):
        plan, known = plans[tenant], cache.logs[tenant]
        tree, full = known.tree.copy(), list[FullTile]()
        for start in range(0, len(plan.rows), _CHUNK_ROWS):
            chunk = plan.rows[start : start + _CHUNK_ROWS]
            full += await _insert_chunk(connection, chunk, tree, now, is_distributed=is_distributed)
        await _derive(
            connection, plan, known, tree, full, opened[tenant], now, is_distributed=is_distributed
        )
        trees[tenant] = tree
    return trees


async def _insert_chunk(
    connection: Connection,
    chunk: Sequence[Sealed],
    tree: TileTree,
    now: datetime,
    *,
    is_distributed: bool,
) -> Sequence[FullTile]:
    """Insert rows after the last leaf of `tree`, which grows; return the tiles that are full."""
    for insert in _row_statements(chunk, tree.size, now=now, is_distributed=is_distributed):
        await connection.execute(*insert)
    recorded_at = rfc3339(now)
    return tree.extend([leaf_hash(leaf_of(sealed.record, recorded_at)) for sealed in chunk])


async def _derive(
    connection: Connection,
    plan: TenantPlan,
    known: CachedLog,
    tree: TileTree,
    full: Sequence[FullTile],
    values: list[Values] | None,
    now: datetime,
    *,
    is_distributed: bool,
) -> None:
    """Send what follows from the rows of a plan, and move the head."""
    moved = {
        "tenant": plan.tenant, "position_from": plan.size, "position_before": tree.size,
        "superseded": plan.superseded, "width": limits.block_positions, "root": tree.root(),
        "root_before": known.tree.root(), "keys_before": known.keys_changed,
        "keys_changed": tree.size if plan.terms else known.keys_changed, "now": now,
    }  # fmt: skip
    for derived in _derived_statements(plan, full, moved):
        await connection.execute(*derived)
    for found in _term_statements(plan, values, is_distributed):
        await connection.execute(*found)


def _row_statements(
    chunk: Sequence[Sealed], first: int, *, now: datetime, is_distributed: bool
) -> list[Statement]:
    if is_distributed:
        placed = [
            msgspec.structs.replace(sealed.record, position=first + index, recorded_at=now)
            for index, sealed in enumerate(chunk)
        ]
        return list(values_statements(placed))
    return [(INSERT_ROWS, {"rows": rows_json(chunk, first, recorded_at=rfc3339(now))})]


def _derived_statements(
    plan: TenantPlan, full: Sequence[FullTile], moved: dict[str, Any]
) -> list[Statement]:
    statements: list[Statement] = [(_SQL["derive_and_move"], moved)]
    if any(sealed.record.entity_type == EXECUTION for sealed in plan.rows):
        statements += [(_SQL["lock_jobs"], moved), (_SQL["derive_jobs"], moved)]
    if plan.superseded:
        superseded = {"tenant": plan.tenant, "superseded": plan.superseded}
        statements.append((_SQL["first_positions"], superseded))
    tenant = {"tenant": plan.tenant}
    kept = [("insert_tile", tile) for tile in full] + [("keep_key_term", t) for t in plan.terms]
    return statements + [
        (_SQL[name], {**tenant, **msgspec.structs.asdict(one)}) for name, one in kept
    ]


def _term_statements(
    plan: TenantPlan, values: list[Values] | None, is_distributed: bool
) -> Iterator[Statement]:
    """Add the rows of a plan to the unfinished block; write the terms of what is full by that."""
    if values is None:
        return
    first = plan.size - len(values)
    values += [values_of(sealed.record) for sealed in plan.rows]
    for full in full_blocks(values, first=first):
        if is_distributed:
            yield from term_statements(plan.tenant, full)
        else:
            yield _SQL["insert_terms"], {
                "tenant": plan.tenant, "block": full.block, "rows": full.as_json()
            }  # fmt: skip
