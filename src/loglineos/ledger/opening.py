"""The opening of a transaction: what must be known of the logs before anything is admitted.

Always holds: what is read here is read under the lock of the heads; what is remembered counts only
where the head says that nothing has changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from loglineos.base.errors import VerificationFailed
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.additions import is_addition
from loglineos.ledger.admission import Head, TenantPlan
from loglineos.ledger.group import CachedLog, LogCache, Submission
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import leaf_of_row
from loglineos.ledger.search_blocks import Values
from loglineos.ledger.search_terms import WIDTH
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.tiles import TILE_WIDTH, TileTree
from loglineos.ledger.trust import KeyTerm, Trust

_SQL: Final = Queries.load("loglineos.ledger", "appender.sql")
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
Connection = psycopg.AsyncConnection[Any]


async def open_plans(
    connection: Connection, batch: Sequence[Submission], cache: LogCache
) -> dict[str, TenantPlan]:
    """Begin the transaction, lock the heads of the group's tenants in order, and begin their plans.

    Raises:
        VerificationFailed: a log's rows do not make the root of its head.
    """
    wanted = _by_tenant(batch)
    tenants = sorted(wanted)
    async with connection.pipeline():
        await connection.execute(BEGIN)
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


async def open_block(
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


def _by_tenant(batch: Sequence[Submission]) -> dict[str, list[Record]]:
    wanted: dict[str, list[Record]] = {}
    for submission in batch:
        for sealed in submission.sealed:
            wanted.setdefault(sealed.record.tenant_id, []).append(sealed.record)
    return wanted


_TORN: Final = Text(
    "as linhas não dão a raiz que a cabeça do registo diz",
    "the rows do not make the root that the head of the log says",
)
