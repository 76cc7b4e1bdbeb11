"""Proofs and roots computed from tiles alone, for any size that the tiles reach.

Always holds: each tile is asked for at most once per call, and only those that the answer needs
(a proof in a tree of a million leaves reads at most five). Nothing here authenticates a tile: a
log computes from its own; who reads another's tree checks the proof against a signed root, or
audits the tree (`audit.py`).
"""

from __future__ import annotations

from typing import Protocol

from loglineos.base.errors import InvalidInput, VerificationFailed, shape_of
from loglineos.base.language import Text
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, node_hash, root_of
from loglineos.ledger.tlog.notation import HASH_BYTES
from loglineos.ledger.tlog.tiles import TILE_WIDTH, hashes_of, tile_path, tile_width


class TileSource(Protocol):
    """Where tiles come from: a database, a folder, a web server."""

    async def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes (1 to 256, 32 bytes each) of a tile.

        Raises:
            NotFound: there is no such tile, or it is not that wide yet.
        """
        ...


async def inclusion_proof(source: TileSource, index: int, size: int) -> list[bytes]:
    """Prove that leaf `index` is in the tree of `size` leaves, from its sibling upwards.

    Raises:
        InvalidInput: not 0 <= index < size.
        NotFound: the source lacks a tile.
        VerificationFailed: a tile has the wrong length.

    Source: RFC 6962 section 2.1.1.
    """
    _demand(0 <= index < size, field="index", given=index)
    reader = _Reader(source, size)
    siblings: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            siblings.append((middle, high))
            high = middle
        else:
            siblings.append((low, middle))
            low = middle
    return [await reader.root(low, high) for low, high in reversed(siblings)]


async def consistency_proof(source: TileSource, old: int, new: int) -> list[bytes]:
    """Prove that the tree of `new` leaves begins with that of `old`; empty for `old` 0 or `new`.

    Raises:
        InvalidInput: not 0 <= old <= new.
        NotFound: the source lacks a tile.
        VerificationFailed: a tile has the wrong length.

    Source: RFC 6962 section 2.1.2; for `old` 0, C2SP tlog-witness.
    """
    _demand(0 <= old <= new, field="old", given=old)
    if old in (0, new):
        return []
    reader = _Reader(source, new)
    nodes: list[tuple[int, int]] = []
    low, high, is_whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            nodes.append((middle, high))
            high = middle
        else:
            nodes.append((low, middle))
            low, is_whole = middle, False
    if not is_whole:
        nodes.append((low, high))
    return [await reader.root(low, high) for low, high in reversed(nodes)]


async def root_at(source: TileSource, size: int) -> bytes:
    """Return the root of the first `size` leaves.

    Raises:
        InvalidInput: `size` is negative.
        NotFound: the source lacks a tile.
        VerificationFailed: a tile has the wrong length.
    """
    _demand(size >= 0, field="size", given=size)
    return await _Reader(source, size).root(0, size) if size else EMPTY_ROOT


async def tile_of(source: TileSource, level: int, index: int, width: int) -> bytes:
    """Ask for a tile and hold the source to its width.

    Raises:
        VerificationFailed: it does not hold `width` hashes.
    """
    tile = await source.tile(level, index, width)
    if len(tile) != width * HASH_BYTES:
        raise VerificationFailed(
            what="tile",
            where=tile_path(level, index, width),
            reason=Text(
                f"tem {len(tile)} bytes e devia ter {width * HASH_BYTES}",
                f"it has {len(tile)} bytes and should have {width * HASH_BYTES}",
            ),
        )
    return tile


class _Reader:
    """Roots of subtrees in a tree of one size, each tile read once."""

    def __init__(self, source: TileSource, size: int) -> None:
        self._source = source
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    async def root(self, low: int, high: int) -> bytes:
        """Return the root of the leaves from `low` up to `high`, a subtree of this tree."""
        peaks: list[bytes] = []
        while low < high:
            height = (high - low).bit_length() - 1
            peaks.append(await self._full(low, height))
            low += 1 << height
        node = peaks.pop()
        while peaks:
            node = node_hash(peaks.pop(), node)
        return node

    async def _full(self, low: int, height: int) -> bytes:
        """Return the root of the full subtree of 2^height leaves that starts at `low`."""
        level, within = divmod(height, 8)
        first = low >> (8 * level)
        hashes = await self._tile(level, first // TILE_WIDTH)
        start = first % TILE_WIDTH
        return root_of(hashes[start : start + (1 << within)])

    async def _tile(self, level: int, index: int) -> list[bytes]:
        key = (level, index)
        if key not in self._tiles:
            width = tile_width(self._size, level=level, index=index)
            self._tiles[key] = hashes_of(await tile_of(self._source, level, index, width))
        return self._tiles[key]


def _split(count: int) -> int:
    """Return the largest power of two strictly below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _demand(holds: bool, *, field: str, given: int) -> None:
    if not holds:
        raise InvalidInput(
            field=field,
            shape=shape_of(given),
            reason=Text("está fora da árvore", "it is outside the tree"),
        )
