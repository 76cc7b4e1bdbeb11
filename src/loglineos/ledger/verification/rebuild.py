"""Rebuild: what is derived from the registry, told again from it, compared and, if asked, repaired.

Derived are the latest event of each entity, the span of time of each block of positions, what
waits to run, the search terms of full blocks, and the terms of keys. Always holds: the registry is
only read; a repair is one transaction under the lock of the tenant's head, so nothing is appended
meanwhile; a repeat of a repair finds nothing.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import psycopg

from loglineos.base.errors import UnknownTenant
from loglineos.database.failures import as_error
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.rows import record_of
from loglineos.ledger.trust import KeyTerm, Trust
from loglineos.ledger.verification.term_check import make_again, wrong_terms

_SQL: Final = Queries.load("loglineos.ledger.verification", "rebuild.sql")
Connection = psycopg.AsyncConnection[Any]
Table = Literal["entity", "timeline_block", "job", "search_term", "actor_key"]

DIFFERENCES_MAX: Final = 100
"""Differences that a report names; the others are only counted."""

_CHUNK_ROWS: Final = 1_000


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a derived table: what the registry tells and what is kept, where they differ.

    `told` is None: the registry knows no such row; `kept` is None: the row is missing.
    """

    table: Table
    key: str
    told: dict[str, Any] | None
    kept: dict[str, Any] | None


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild found at `size` records; `differences` are the first of each table."""

    tenant: str
    size: int
    entities_wrong: int
    blocks_wrong: int
    jobs_wrong: int
    search_terms_wrong: int
    keys_wrong: int
    differences: tuple[Difference, ...]
    is_repaired: bool

    @property
    def is_equal(self) -> bool:
        """Whether everything that was kept was what the registry tells."""
        return not (
            self.entities_wrong or self.blocks_wrong or self.jobs_wrong or self.search_terms_wrong
            or self.keys_wrong
        )  # fmt: skip


async def rebuild(connection: Connection, *, tenant: str, write: bool = False) -> RebuildReport:
    """Compare the derived tables of a tenant with the registry; with `write`, repair them.

    `connection` is `logline_appender` in autocommit; for a check alone `logline_reader` will do.
    At constant memory here; some twenty seconds for a million records, most of them to make the
    search terms again. Appends to this tenant wait while `write` is at work. The last word is the
    report: with `write`, what it names was wrong and is right now.

    Raises:
        UnknownTenant: this node has no such tenant.
        DatabaseUnavailable: nothing was changed; repeat.
    """
    isolation = "READ COMMITTED" if write else "REPEATABLE READ READ ONLY"
    try:
        # A full comparison may outlast the limit that ordinary statements have.
        await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
        try:
            await connection.execute("SET LOCAL statement_timeout = 0")
            report = await _rebuild(connection, tenant, write=write)
        except BaseException:
            if not connection.closed:
                await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")
    except (psycopg.Error, OSError) as failure:
        raise as_error(failure) from failure
    return report


async def _rebuild(connection: Connection, tenant: str, *, write: bool) -> RebuildReport:
    named = {"tenant": tenant, "block_positions": limits.block_positions}
    cursor = await connection.execute(_SQL["lock_head" if write else "read_size"], named)
    row = await cursor.fetchone()
    if row is None:
        raise UnknownTenant(which=tenant)
    entities = await _differing(connection, "find_wrong_entities", named)
    blocks = await _differing(connection, "find_wrong_blocks", named)
    jobs = await _differing(connection, "find_wrong_jobs", named)
    terms = await _wrong_terms(connection, tenant, int(row[0]))
    told, kept = await _terms(connection, named)
    keys = sorted(key for key in told.keys() | kept.keys() if told.get(key) != kept.get(key))
    if write:
        await _put(connection, "entities", "ids", [row[0] for row in entities], named)
        await _put(connection, "blocks", "blocks", [row[0] for row in blocks], named)
        await _put(connection, "jobs", "ids", [row[0] for row in jobs], named)
        for block in terms.blocks:
            await make_again(connection, tenant=tenant, block=block, size=int(row[0]))
        await _put_terms(connection, [told[key] for key in keys if key in told], keys, named)
    return RebuildReport(
        tenant=tenant,
        size=int(row[0]),
        entities_wrong=len(entities),
        blocks_wrong=len(blocks),
        jobs_wrong=len(jobs),
        search_terms_wrong=terms.count,
        keys_wrong=len(keys),
        differences=(
            *(_difference("entity", *one) for one in entities[:DIFFERENCES_MAX]),
            *(_difference("timeline_block", *one) for one in blocks[:DIFFERENCES_MAX]),
            *(_difference("job", *one) for one in jobs[:DIFFERENCES_MAX]),
            *terms.first,
            *(
                _difference("actor_key", key, _fields(told.get(key)), _fields(kept.get(key)))
                for key in keys[:DIFFERENCES_MAX]
            ),
        ),
        is_repaired=write,
    )


async def _differing(connection: Connection, name: str, named: dict[str, Any]) -> list[Any]:
    """Return the key of every row that differs, with both sides of the first ones only."""
    found: list[Any] = []
    async with connection.cursor(name="differing") as cursor:
        await cursor.execute(_SQL[name], named)
        while rows := await cursor.fetchmany(_CHUNK_ROWS):
            for row in rows:
                found.append(row if len(found) < DIFFERENCES_MAX else (row[0], None, None))
    return found


class _WrongTerms(msgspec.Struct):
    count: int = 0
    blocks: list[int] = msgspec.field(default_factory=list)
    first: list[Difference] = msgspec.field(default_factory=list)


async def _wrong_terms(connection: Connection, tenant: str, size: int) -> _WrongTerms:
    found = _WrongTerms()
    async for wrong in wrong_terms(connection, tenant=tenant, size=size):
        found.count += 1
        if found.blocks[-1:] != [wrong.block]:
            found.blocks.append(wrong.block)
        if len(found.first) < DIFFERENCES_MAX:
            told = None if wrong.told is None else {"positions": wrong.told}
            kept = None if wrong.kept is None else {"positions": wrong.kept}
            key = f"{wrong.block}/{wrong.term}"
            found.first.append(_difference("search_term", key, told, kept))
    return found


async def _terms(
    connection: Connection, named: dict[str, Any]
) -> tuple[dict[str, KeyTerm], dict[str, KeyTerm]]:
    cursor = await connection.execute(_SQL["key_records"], named)
    trust = Trust()
    for row in await cursor.fetchall():
        record = record_of(row)
        assert record.position is not None, "what was read has a place"
        trust.apply(record, record.position)
    cursor = await connection.execute(_SQL["kept_terms"], named)
    kept = {
        row[0]: KeyTerm(
            public_key=row[0], actor=row[1], role=row[2], custody=row[3], enrolled=row[4],
            revoked=row[5],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip
    return trust.terms, kept


async def _put(
    connection: Connection, what: str, keys_name: str, keys: list[Any], named: dict[str, Any]
) -> None:
    for start in range(0, len(keys), _CHUNK_ROWS):
        asked = {**named, keys_name: keys[start : start + _CHUNK_ROWS]}
        await connection.execute(_SQL[f"drop_{what}"], asked)
        await connection.execute(_SQL[f"put_{what}"], asked)


async def _put_terms(
    connection: Connection, terms: list[KeyTerm], wrong: list[str], named: dict[str, Any]
) -> None:
    if not wrong:
        return
    await connection.execute(_SQL["drop_terms"], {**named, "keys": wrong})
    for term in terms:
        await connection.execute(_SQL["put_term"], {**named, **msgspec.structs.asdict(term)})
    await connection.execute(_SQL["note_keys_changed"], named)


def _fields(term: KeyTerm | None) -> dict[str, Any] | None:
    return None if term is None else msgspec.structs.asdict(term)


def _difference(
    table: Table, key: object, told: dict[str, Any] | None, kept: dict[str, Any] | None
) -> Difference:
    """Keep of both sides only what differs; a row that is missing on one side is kept whole."""
    if told is not None and kept is not None:
        names = [name for name in told if told[name] != kept.get(name)]
        told = {name: told[name] for name in names}
        kept = {name: kept.get(name) for name in names}
    return Difference(table=table, key=str(key), told=told, kept=kept)
