"""One append transaction: lock, admit, insert, derive, move the heads, commit.

Always holds: nothing is answered before COMMIT returned; a fault rolls back everything and leaves
the cached trees and keys as the database has them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from loglineos.base.clock import rfc3339
from loglineos.base.errors import VerificationFailed
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.additions import is_addition
from loglineos.ledger.admission import Head, TenantPlan
from loglineos.ledger.group import (
    BadSignatures,
    CachedLog,
    LogCache,
    Submission,
    admit,
    answer,
)
from loglineos.ledger.record import Record
from loglineos.ledger.rows import (
    INSERT_ROWS,
    record_of,
    rows_json,
    term_statements,
    values_statements,
)
from loglineos.ledger.seal import Sealed, leaf_of, leaf_of_row
from loglineos.ledger.search_blocks import Values, full_blocks
from loglineos.ledger.search_terms import WIDTH, values_of
from loglineos.ledger.short_way import append_shortly
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.tiles import TILE_WIDTH, FullTile, TileTree
from loglineos.ledger.trust import KeyTerm, Trust

__all__ = ["BadSignatures", "LogCache", "Submission", "commit_batch", "load_terms", "load_tree"]
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
    wanted = _by_tenant(batch)
    try:
        plans = await _open_plans(connection, wanted, cache)
        await at_step("locked")
        outcomes = admit(batch, plans)
        written = {tenant: plan for tenant, plan in plans.items() if plan.rows}
        opened = {t: await _open_block(connection, plan, cache) for t, plan in written.items()}
        async with connection.pipeline():
            trees = await _insert(connection, written, opened, now=now, cache=cache)
            await at_step("inserted")
            await verifying
            ended = await connection.execute("COMMIT")
        if ended.statusmessage != "COMMIT":  # to a failed transaction the server answers ROLLBACK
            raise psycopg.errors.InFailedSqlTransaction("a failed statement was passed over")  # noqa: TRY301
    except BaseException:
        await _roll_back(connection)
        raise
    await at_step("committed")
    for tenant, plan in written.items():
        changed = plan.size + len(plan.rows) if plan.terms else cache.logs[tenant].keys_changed
        cache.logs[tenant] = CachedLog(trees[tenant], plan.trust, changed)
        values = opened[tenant]
        if values is not None:
            cache.blocks.put(tenant, trees[tenant].size, values)
        cache.note_heads(plan.rows[-HEADS_NOTED:])
    answer(outcomes, plans, now)
    await at_step("answered")
    return {tenant: plan.size + len(plan.rows) for tenant, plan in written.items()}


async def _roll_back(connection: Connection) -> None:
    if connection.closed or connection.broken:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()


def _by_tenant(batch: Sequence[Submission]) -> dict[str, list[Record]]:
    wanted: dict[str, list[Record]] = {}
    for submission in batch:
        for sealed in submission.sealed:
            wanted.setdefault(sealed.record.tenant_id, []).append(sealed.record)
    return wanted


async def _open_plans(
    connection: Connection, wanted: dict[str, list[Record]], cache: LogCache
) -> dict[str, TenantPlan]:
    tenants = sorted(wanted)
    async with connection.pipeline():
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        locked = await connection.execute(_SQL["lock_heads"], {"tenants": tenants})
        found = [
            await connection.execute(
                _SQL["entity_heads"],
                {"tenant": tenant, "ids": list({record.id for record in wanted[tenant]})},
            )
            for tenant in tenants
        ]
    logs = {row[0]: row[1:] for row in await locked.fetchall()}
    plans = {}
    for tenant, cursor in zip(tenants, found, strict=True):
        heads = {row[0]: Head(*row[1:]) for row in await cursor.fetchall()}
        if tenant in logs:
            size, root, keys_changed = logs[tenant]
            known = await _current(connection, tenant, size, root, keys_changed, cache)
            plans[tenant] = TenantPlan(
                tenant,
                size=size,
                trust=known.trust,
                heads=heads,
                stored=await _stored(connection, tenant, wanted[tenant], heads),
            )
    return plans


async def _current(
    connection: Connection,
    tenant: str,
    size: int,
    root: bytes,
    keys_changed: int,
    cache: LogCache,
) -> CachedLog:
    """Return the cached tree and keys when they are the head's; otherwise read them.

    Raises:
        VerificationFailed: the rows do not make the root of the head; nothing may grow on that.
    """
    known = cache.logs.get(tenant)
    tree = known.tree if known and known.tree.size == size and known.tree.root() == root else None
    trust = known.trust if known and known.keys_changed == keys_changed else None
    current = CachedLog(
        tree or await load_tree(connection, tenant, size),
        trust or Trust(await load_terms(connection, tenant)),
        keys_changed,
    )
    if current.tree.root() != root:
        raise VerificationFailed(what="log", where=f"{tenant}/{size}", reason=_TORN)
    cache.logs[tenant] = current
    return current


async def load_terms(connection: Connection, tenant: str) -> list[KeyTerm]:
    """Read the terms of a tenant's keys from the derived table."""
    cursor = await connection.execute(_SQL["key_terms"], {"tenant": tenant})
    return [
        KeyTerm(
            public_key=row[0], actor=row[1], role=row[2], custody=row[3], enrolled=row[4],
            revoked=row[5],
        )
        for row in await cursor.fetchall()
    ]  # fmt: skip


async def load_tree(connection: Connection, tenant: str, size: int) -> TileTree:
    """Rebuild the growing edge of a tenant's tree: at most 255 hashes a level."""
    tail = {"tenant": tenant, "position_from": size - size % TILE_WIDTH, "position_before": size}
    cursor = await connection.execute(_SQL["tail_of_log"], tail)
    partials = [[leaf_hash(leaf_of_row(tenant, row)) for row in await cursor.fetchall()]]
    level, tiles = 0, size // TILE_WIDTH
    while tiles:
        edge = {
            "tenant": tenant, "level": level, "index_from": tiles - tiles % TILE_WIDTH,
            "index_before": tiles,
        }  # fmt: skip
        cursor = await connection.execute(_SQL["tile_roots"], edge)
        partials.append([row[0] for row in await cursor.fetchall()])
        level, tiles = level + 1, tiles // TILE_WIDTH
    return TileTree.load(size, partials)


async def _stored(
    connection: Connection, tenant: str, records: Sequence[Record], heads: dict[UUID, Head]
) -> dict[tuple[UUID, int], Record]:
    repeats = {
        (record.id, record.seq)
        for record in records
        if record.id in heads and record.seq <= heads[record.id].seq
    } | {(record.id, record.seq - 1) for record in records if is_addition(record)}
    if not repeats:
        return {}
    asked = {
        "tenant": tenant,
        "ids": [identity for identity, _ in repeats],
        "seqs": [seq for _, seq in repeats],
    }
    cursor = await connection.execute(_SQL["stored_events"], asked)
    found = [record_of(row) for row in await cursor.fetchall()]
    return {(record.id, record.seq): record for record in found}


async def _open_block(
    connection: Connection, plan: TenantPlan, cache: LogCache
) -> list[Values] | None:
    """Return what the unfinished block of a log holds; None: not known, and not needed yet."""
    values = cache.blocks.take(plan.tenant, plan.size)
    begun = plan.size % WIDTH
    if values is None and begun + len(plan.rows) >= WIDTH:
        begins = {"tenant": plan.tenant, "position_from": plan.size - begun}
        cursor = await connection.execute(_SQL["searched_values"], begins)
        values = list(await cursor.fetchall())
    return values


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
    recorded_at = rfc3339(now)
    trees: dict[str, TileTree] = {}
    for tenant in sorted(plans):
        plan, known = plans[tenant], cache.logs[tenant]
        tree = known.tree.copy()
        full = []
        for start in range(0, len(plan.rows), _CHUNK_ROWS):
            chunk = plan.rows[start : start + _CHUNK_ROWS]
            for insert in _row_statements(
                chunk, plan.size + start, now=now, is_distributed=bool(cache.is_distributed)
            ):
                await connection.execute(*insert)
            full += tree.extend(
                [leaf_hash(leaf_of(sealed.record, recorded_at)) for sealed in chunk]
            )
        moved = {
            "tenant": tenant, "position_from": plan.size, "position_before": tree.size,
            "superseded": plan.superseded, "width": limits.block_positions, "root": tree.root(),
            "keys_changed": tree.size if plan.terms else known.keys_changed, "now": now,
        }  # fmt: skip
        for derived in _derived_statements(plan, full, moved):
            await connection.execute(*derived)
        for found in _term_statements(plan, opened[tenant], bool(cache.is_distributed)):
            await connection.execute(*found)
        trees[tenant] = tree
    return trees


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
        statements.append((_SQL["derive_jobs"], moved))
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


_TORN: Final = Text(
    "as linhas não dão a raiz que a cabeça do registo diz",
    "the rows do not make the root that the head of the log says",
)
