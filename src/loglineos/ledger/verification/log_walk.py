"""Walking one log from its first position to its head, span by span, against everything stored.

    rows → leaves → level-0 tiles (span_check.py) → tiles above → checkpoints on the way → head

Always holds: the first thing that does not hold, in this order, ends the walk and is named;
memory is a few spans, whatever the size of the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import psycopg

from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.ledger.log.guard import Guarded
from loglineos.ledger.log.log_names import log_keys, origin_of
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.tlog.checkpoint import open_checkpoint, parse_checkpoint
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, node_hash
from loglineos.ledger.tlog.note import VerifierKey, parse_note, parse_signatures, verify_signatures
from loglineos.ledger.tlog.tiles import TILE_WIDTH, FullTile, TileTree
from loglineos.ledger.trust import KeyTerm, Trust
from loglineos.ledger.verification.lies import Lie, What, words_of
from loglineos.ledger.verification.row_check import READ_KEY_ROWS, record_in
from loglineos.ledger.verification.span_check import (
    SPAN_POSITIONS,
    SQL,
    Connection,
    Span,
    SpanResult,
    check_span,
    tile_lie,
)

_KEY_PAGE: Final = 500


class Identity(NamedTuple):
    """Whose logs are verified: the node's origin, its log keys (32 bytes each), known witnesses.

    `former` are the origins that the node had before a history was lost; what was signed under
    them is still there, and still has to be true.
    """

    origin: str
    publics: tuple[bytes, ...]
    witnesses: tuple[VerifierKey, ...]
    former: tuple[str, ...] = ()


class CheckSpans(Protocol):
    """Checks spans somewhere and gives the results in the order of the spans."""

    def __call__(self, spans: Iterable[Span]) -> Iterator[SpanResult]:
        """Take spans as results are asked for, a few ahead."""
        ...


class Walked(NamedTuple):
    """How far a walk came: records (or entries) and checkpoints found good, and what ended it."""

    size: int
    checkpoints: int
    lie: Lie | None


class Signed(NamedTuple):
    """A stored checkpoint: what its columns say, its note, and its witnesses' lines."""

    size: int
    root: bytes
    note: str
    lines: str


def walk_log(
    connection: Connection,
    tenant: str,
    *,
    identity: Identity,
    check_spans: CheckSpans,
    kept: Guarded | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Walked:
    """Verify the log of a tenant, or the root log, as of now.

    `kept` is what the guard keeps outside the database; it must be on the way.
    `on_progress` is told how many positions were found good.
    """
    row = connection.execute(SQL["read_extent"], {"tenant": tenant}, binary=True).fetchone()
    assert row is not None, "a SELECT of scalars gives one row"
    size, root, last, signed_size, surplus = row
    if size is None:
        exists = last is not None or tenant != ROOT_LOG
        return Walked(0, 0, _lie(tenant, "log", "log_head", _NO_HEAD) if exists else None)
    keys, key_lie = _trust(connection, tenant, size)
    walk = _Walk(connection, tenant, identity, kept=kept)
    spans = walk.spans(size, tuple(keys.terms.values()))
    for result in check_spans(spans):
        lie = _earlier(result, key_lie)
        lie = walk.take(result) if lie is None else lie
        if lie is not None:
            return Walked(result.start, walk.checkpoints, lie)
        if on_progress is not None:
            on_progress(result.before)
    return Walked(size, walk.checkpoints, walk.close(size, bytes(root), last, signed_size, surplus))


def check_tile_of(connection: Connection, tenant: str, position: int) -> Lie | None:
    """Verify the full or last tile around one record: its rows, leaves and stored tile."""
    row = connection.execute(SQL["read_extent"], {"tenant": tenant}, binary=True).fetchone()
    size = row[0] if row is not None and row[0] is not None else 0
    if position >= size:
        return _lie(tenant, "position", str(position), _BEYOND, position=position)
    start = position - position % TILE_WIDTH
    before = min(start + TILE_WIDTH, size)
    keys, key_lie = _trust(connection, tenant, before)
    span = Span(
        tenant=tenant,
        start=start,
        before=before,
        sizes=(),
        terms=tuple(keys.terms.values()),
    )
    return _earlier(check_span(connection, span), key_lie)


class _Walk:
    """The tree that the rows make, as far as they were read."""

    def __init__(
        self, connection: Connection, tenant: str, identity: Identity, *, kept: Guarded | None
    ) -> None:
        self.checkpoints = 0
        self._connection = connection
        self._tenant = tenant
        self._identity = identity
        self._kept = kept
        self._upper = TileTree()
        self._peaks: list[bytes] = []
        self._tiles = 0
        self._signed: deque[list[Signed]] = deque()
        self._last_good = 0
        self._edge: bytes | None = None

    def spans(self, size: int, terms: tuple[KeyTerm, ...]) -> Iterator[Span]:
        for start in range(0, size, SPAN_POSITIONS):
            before = min(start + SPAN_POSITIONS, size)
            signed = self._read_signed(start, before)
            self._signed.append(signed)
            sizes = {one.size for one in signed} | {before}
            yield Span(
                tenant=self._tenant,
                start=start,
                before=before,
                sizes=tuple(sorted(sizes)),
                terms=terms,
                origins=(self._identity.origin, *self._identity.former),
                publics=self._identity.publics,
            )

    def take(self, result: SpanResult) -> Lie | None:
        """Add a span that holds in itself; check what was signed along it."""
        roots = deque(result.roots)
        for signed in self._signed.popleft():
            lie = self._grow(roots, signed.size // TILE_WIDTH) or self._check_signed(
                signed, self._root(result.edges.get(signed.size))
            )
            if lie is not None:
                return lie
            self._last_good = signed.size
            self.checkpoints += 1
        self._edge = result.edges.get(result.before)
        return self._grow(roots, self._tiles + len(roots))

    def close(
        self, size: int, root: bytes, last: int | None, signed_size: int | None, surplus: str | None
    ) -> Lie | None:
        """Check the head, and that nothing stands beyond it."""
        if self._root(self._edge) != root:
            where = f"{self._last_good}..{size}"
            return _lie(self._tenant, "head", where, _HEAD, position=self._last_good)
        if last is not None and last >= size:
            return _lie(self._tenant, "position", str(last), _BEYOND, position=last)
        if surplus is not None:
            return _lie(self._tenant, "tile", f"tile/{surplus}", _SURPLUS)
        ahead = max(signed_size or 0, self._kept.checkpoint.size if self._kept else 0)
        if ahead > size:
            return _lie(self._tenant, "checkpoint", str(ahead), _AHEAD, position=size)
        return None

    def _grow(self, roots: deque[bytes], tiles: int) -> Lie | None:
        """Add level-0 tiles until there are `tiles`; check the tiles that become full above."""
        added = [roots.popleft() for _ in range(tiles - self._tiles)]
        for root in added:
            node, merged = root, self._tiles
            while merged & 1:
                node, merged = node_hash(self._peaks.pop(), node), merged >> 1
            self._peaks.append(node)
            self._tiles += 1
        for tile in self._upper.extend(added):
            lie = self._check_tile(tile)
            if lie is not None:
                return lie
        return None

    def _check_tile(self, tile: FullTile) -> Lie | None:
        level = tile.level + 1
        told = {
            "tenant": self._tenant, "level": level, "index_from": tile.index,
            "index_before": tile.index + 1,
        }  # fmt: skip
        row = self._connection.execute(SQL["read_full_tiles"], told, binary=True).fetchone()
        if row is not None and (bytes(row[1]), bytes(row[2])) == (tile.root, tile.hashes):
            return None
        return tile_lie(self._tenant, level, tile.index)

    def _root(self, edge: bytes | None) -> bytes:
        node = edge
        for peak in reversed(self._peaks):
            node = peak if node is None else node_hash(peak, node)
        return EMPTY_ROOT if node is None else node

    def _read_signed(self, start: int, before: int) -> list[Signed]:
        told = {"tenant": self._tenant, "position_from": start, "position_before": before}
        rows = self._connection.execute(SQL["read_checkpoints"], told, binary=True).fetchall()
        signed = [Signed(row[0], bytes(row[1]), row[2], row[3]) for row in rows]
        kept = self._kept
        if kept is not None and start < kept.checkpoint.size <= before:
            mark = Signed(kept.checkpoint.size, kept.checkpoint.root, kept.note.decode(), "")
            signed = sorted([*signed, mark], key=lambda one: one.size)
        return signed

    def _check_signed(self, signed: Signed, root: bytes) -> Lie | None:
        nodes = (self._identity.origin, *self._identity.former)
        origins = [origin_of(node, self._tenant) for node in nodes]
        try:
            if self._identity.publics:
                keys = [key for one in origins for key in log_keys(self._identity.publics, one)]
                found = open_checkpoint(signed.note.encode(), logs=keys).checkpoint
            else:
                found = parse_checkpoint(parse_note(signed.note.encode()).text)
        except LoglineError as cause:
            return self._signed_lie(signed, words_of(cause))
        if (found.size, found.root) != (signed.size, signed.root) or found.origin not in origins:
            return self._signed_lie(signed, _COLUMNS)
        if found.root != root:
            return self._signed_lie(signed, _ROOT)
        try:
            if signed.lines and self._identity.witnesses:
                lines = parse_signatures(signed.lines)
                verify_signatures(found.encode(), lines=lines, known=self._identity.witnesses)
        except LoglineError as cause:
            return self._signed_lie(signed, words_of(cause), what="cosignature")
        return None

    def _signed_lie(self, signed: Signed, reason: Text, *, what: What = "checkpoint") -> Lie:
        where = f"{signed.size} ({self._last_good}..{signed.size})"
        return _lie(self._tenant, what, where, reason, position=self._last_good)


def _trust(connection: Connection, tenant: str, size: int) -> tuple[Trust, Lie | None]:
    """Rebuild who may sign from the log's own key records, up to the first that lies."""
    trust = Trust()
    if tenant == ROOT_LOG:
        return trust, None
    for row in read_key_rows(connection, tenant, size):
        record = record_in(row)
        position = record.position or 0
        try:
            trust.check(record, position)
            trust.apply(record, position)
        except (LoglineError, ValueError) as cause:
            return trust, Lie(
                tenant=tenant, what="key", where=f"{position} ({record.id}/{record.seq})",
                reason=words_of(cause), position=position, id=str(record.id), seq=record.seq,
            )  # fmt: skip
    return trust, None


def read_key_rows(connection: Connection, tenant: str, size: int) -> Iterator[Sequence[Any]]:
    """Yield the rows of a tenant's founding and key records below `size`, in order."""
    position, rows_max = -1, _KEY_PAGE
    while True:
        told = {"tenant": tenant, "after": position, "size": size, "rows_max": rows_max}
        try:
            rows = connection.execute(READ_KEY_ROWS, told, binary=True).fetchall()
        except (psycopg.DataError, ValueError, OverflowError):
            if rows_max == 1:
                return  # the walk will come to this row, and name it
            rows_max = 1
            continue
        yield from rows
        if len(rows) < rows_max:
            return
        position = record_in(rows[-1]).position or 0


def _earlier(result: SpanResult, key_lie: Lie | None) -> Lie | None:
    """Return what comes first: the span's own lie, or that of a key record inside it."""
    lie = result.lie
    if key_lie is None or key_lie.position is None or key_lie.position >= result.before:
        return lie
    if lie is None or lie.position is None or key_lie.position < lie.position:
        return key_lie
    return lie


def _lie(tenant: str, what: What, where: str, reason: Text, *, position: int | None = None) -> Lie:
    return Lie(tenant=tenant, what=what, where=where, reason=reason, position=position)


_NO_HEAD: Final = Text("não há cabeça para este log", "there is no head for this log")
_HEAD: Final = Text(
    "a raiz da cabeça não é a que os registos dão", "the head's root is not what the records make"
)
_BEYOND: Final = Text("está além da cabeça do log", "it stands beyond the head of the log")
_SURPLUS: Final = Text("a árvore não chega a enchê-lo", "the tree does not reach to fill it")
_AHEAD: Final = Text("foi assinado mais do que existe", "more was signed than is there")
_ROOT: Final = Text(
    "a raiz assinada não é a que os registos dão", "the signed root is not what the records make"
)
_COLUMNS: Final = Text(
    "a nota não diz o que as colunas dizem", "the note does not say what the columns say"
)
