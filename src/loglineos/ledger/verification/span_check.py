"""Checking one span of a log, on a connection of its own: rows or root entries, leaves and tiles.

A span begins at a full tile and is what one worker process takes at a time. Always holds: the
answer depends on the span alone, not on which process gave it; memory is one page of rows and 32
bytes a position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
import psycopg
from psycopg import sql

from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.database.failures import as_error
from loglineos.database.queries import Queries
from loglineos.ledger.log.log_names import log_keys, origin_of
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.tlog.checkpoint import open_checkpoint, parse_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash, root_of
from loglineos.ledger.tlog.note import parse_note
from loglineos.ledger.tlog.tiles import TILE_WIDTH, hashes_of, tile_path
from loglineos.ledger.trust import KeyTerm
from loglineos.ledger.verification import row_check
from loglineos.ledger.verification.lies import Lie, words_of
from loglineos.ledger.verification.row_check import RowCheck

Connection: TypeAlias = psycopg.Connection[Any]
SQL: Final = Queries.load("loglineos.ledger.verification", "verifier.sql")
SPAN_POSITIONS: Final = 32 * TILE_WIDTH


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Positions `start` (at a full tile) up to `before`, and what is needed to judge them.

    `sizes` are those of checkpoints whose trees end inside; `terms` the tenant's keys; `origins`
    the node's, today's first, and `publics` its log keys, for the entries of the root log.
    """

    tenant: str
    start: int
    before: int
    sizes: tuple[int, ...]
    terms: tuple[KeyTerm, ...] = ()
    origins: tuple[str, ...] = ()
    publics: tuple[bytes, ...] = ()


class SpanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a span is made of, up to its first lie.

    `roots` of its full tiles in order; `edges` the root of the last, partial tile of each size
    asked for that is not a whole number of tiles.
    """

    start: int
    before: int
    roots: tuple[bytes, ...]
    edges: dict[int, bytes]
    lie: Lie | None


def connect(dsn: str, role: str | None) -> Connection:
    """Open a connection that reads for a verification."""
    connection: Connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    if role is not None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    connection.execute("SET timezone = 'UTC'")
    connection.execute("SET application_name = 'logline verify'")
    return connection


def check_span_in_worker(dsn: str, role: str | None, span: Span) -> SpanResult:
    """Check a span on the connection of this process.

    Raises:
        LoglineError: the database does not answer.
    """
    try:
        return check_span(_own_connection(dsn, role), span)
    except psycopg.Error as cause:
        raise as_error(cause) from cause


@cache
def _own_connection(dsn: str, role: str | None) -> Connection:
    return connect(dsn, role)


def check_span(connection: Connection, span: Span) -> SpanResult:
    """Check rows (or root entries) in order, then their leaves against the stored tiles."""
    leaves: list[bytes] = []
    read = _root_leaves if span.tenant == ROOT_LOG else _leaves
    lie: Lie | None = None
    for leaf in read(connection, span):
        if isinstance(leaf, Lie):
            lie = leaf
            break
        leaves.append(leaf)
    if lie is None and len(leaves) != span.before - span.start:
        lie = row_check.missing(span.tenant, span.start + len(leaves))
    full = len(leaves) // TILE_WIDTH
    roots = [root_of(leaves[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]) for at in range(full)]
    tile_lie = _check_tiles(connection, span, leaves, roots)
    edges = {
        size: root_of(leaves[size - size % TILE_WIDTH - span.start : size - span.start])
        for size in span.sizes
        if size % TILE_WIDTH and size - span.start <= len(leaves)
    }
    return SpanResult(
        start=span.start, before=span.before, roots=tuple(roots), edges=edges, lie=tile_lie or lie
    )


def _leaves(connection: Connection, span: Span) -> Iterator[bytes | Lie]:
    check = RowCheck(span.tenant, span.terms)
    expected = span.start
    for start in range(span.start, span.before, row_check.PAGE_ROWS):
        before = min(start + row_check.PAGE_ROWS, span.before)
        for row in _page(connection, span.tenant, start, before):
            answer = row if isinstance(row, Lie) else check.check(row, expected)
            yield answer
            if isinstance(answer, Lie):
                return
            expected += 1


def _page(
    connection: Connection, tenant: str, start: int, before: int
) -> Iterator[Sequence[Any] | Lie]:
    """Read a page; a row that the driver cannot read is looked for and named."""
    told = {"tenant": tenant, "position_from": start, "position_before": before}
    try:
        rows = connection.execute(row_check.READ_PAGE, told, binary=True).fetchall()
    except (psycopg.DataError, ValueError, OverflowError) as cause:
        if before - start == 1:
            yield row_check.unreadable(tenant, start, cause)
            return
        middle = (start + before) // 2
        yield from _page(connection, tenant, start, middle)
        yield from _page(connection, tenant, middle, before)
        return
    yield from rows


def _root_leaves(connection: Connection, span: Span) -> Iterator[bytes | Lie]:
    expected = span.start
    for start in range(span.start, span.before, row_check.PAGE_ROWS):
        before = min(start + row_check.PAGE_ROWS, span.before)
        told = {"tenant": ROOT_LOG, "position_from": start, "position_before": before}
        for row in connection.execute(SQL["read_root_page"], told, binary=True).fetchall():
            if row[0] != expected:
                yield row_check.missing(ROOT_LOG, expected)
                return
            reason = _entry_fault(span, row)
            if reason is not None:
                yield Lie(
                    tenant=ROOT_LOG, what="root entry", where=f"{row[0]} ({row[1]}@{row[2]})",
                    reason=reason, position=row[0],
                )  # fmt: skip
                return
            yield leaf_hash(bytes(row[3]))
            expected += 1


def _entry_fault(span: Span, row: Sequence[Any]) -> Text | None:
    """Say why an entry of the root log is not the checkpoint that it is said to be."""
    _, tenant, size, entry, stored_root = row
    origins = [origin_of(node, tenant) for node in span.origins]
    try:
        if span.publics:
            keys = [key for one in origins for key in log_keys(span.publics, one)]
            found = open_checkpoint(bytes(entry), logs=keys).checkpoint
        else:
            found = parse_checkpoint(parse_note(bytes(entry)).text)
    except LoglineError as cause:
        return words_of(cause)
    if found.origin not in origins or found.size != size:
        return _OTHER
    return None if stored_root is not None and bytes(stored_root) == found.root else _UNKNOWN


def _check_tiles(
    connection: Connection, span: Span, leaves: Sequence[bytes], roots: Sequence[bytes]
) -> Lie | None:
    """Hold the full tiles of level 0 against the leaves that the rows make."""
    if not roots:
        return None
    first = span.start // TILE_WIDTH
    told = {
        "tenant": span.tenant, "level": 0, "index_from": first, "index_before": first + len(roots),
    }  # fmt: skip
    rows = connection.execute(SQL["read_full_tiles"], told, binary=True).fetchall()
    stored = {row[0]: (bytes(row[1]), bytes(row[2])) for row in rows}
    for at, root in enumerate(roots):
        lie = _tile_fault(span, first + at, root, leaves, stored.get(first + at))
        if lie is not None:
            return lie
    return None


def _tile_fault(
    span: Span,
    index: int,
    root: bytes,
    leaves: Sequence[bytes],
    stored: tuple[bytes, bytes] | None,
) -> Lie | None:
    if stored is None:
        return tile_lie(span.tenant, 0, index, reason=_NO_TILE)
    at = index * TILE_WIDTH - span.start
    own = leaves[at : at + TILE_WIDTH]
    for offset, (known, leaf) in enumerate(zip(hashes_of(stored[1]), own, strict=False)):
        if known != leaf:
            position = index * TILE_WIDTH + offset
            where = f"{position} ({tile_path(0, index)} #{offset})"
            return Lie(
                tenant=span.tenant, what="leaf", where=where, reason=_LEAF, position=position
            )
    return None if stored[0] == root else tile_lie(span.tenant, 0, index, reason=_TILE_ROOT)


def tile_lie(tenant: str, level: int, index: int, *, reason: Text | None = None) -> Lie:
    """Name a stored tile that is not what the tiles below it make."""
    return Lie(
        tenant=tenant, what="tile", where=tile_path(level, index), reason=reason or _TILE,
        position=index << (8 * level + 8),
    )  # fmt: skip


_LEAF: Final = Text(
    "a folha deste registo não é a que está guardada no mosaico",
    "the leaf of this record is not the one that the tile holds",
)
_NO_TILE: Final = Text("falta o mosaico", "the tile is missing")
_TILE: Final = Text("não é o que os mosaicos de baixo dão", "it is not what the tiles below make")
_TILE_ROOT: Final = Text(
    "a raiz guardada não é a dos seus hashes", "the stored root is not that of its hashes"
)
_OTHER: Final = Text("é o checkpoint de outro log ou tamanho", "it is of another log or size")
_UNKNOWN: Final = Text(
    "não é o checkpoint que a casa publicou", "it is not the checkpoint that the tenant published"
)
