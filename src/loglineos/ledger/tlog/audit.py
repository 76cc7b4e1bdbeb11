"""The full audit of a tree that someone else serves: every tile, from the signed root down.

Always holds: no tile is believed before a hash above it vouches for it; each tile is read once
and judged as read; memory is one tile a level, whatever the size. The first lie is named with the
file it stands in. (A verifier that trusts the tiles at the right edge too early accepts forged
leaves: CVE-2026-56865.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import msgspec

from loglineos.base.errors import NotFound, VerificationFailed
from loglineos.base.language import Text
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, node_hash, root_of
from loglineos.ledger.tlog.notation import HASH_BYTES
from loglineos.ledger.tlog.proofs import TileSource, tile_of
from loglineos.ledger.tlog.tiles import LEVELS_MAX, TILE_WIDTH, hashes_of, tile_path

LeafSource: TypeAlias = Callable[[int, int], Awaitable[list[bytes]]]
"""Gives the leaf hashes of bundle `index` with `width` entries, computed from the entries."""


class AuditedTile(msgspec.Struct, frozen=True, kw_only=True):
    """A tile that the root vouches for."""

    level: int
    index: int
    hashes: tuple[bytes, ...]

    @property
    def path(self) -> str:
        """Name the file that it stands in."""
        return tile_path(self.level, self.index, len(self.hashes))


async def verify_tree(
    source: TileSource, size: int, root: bytes, *, leaves: LeafSource | None = None
) -> int:
    """Check every tile of a tree of `size` leaves against its `root`; return how many there are.

    With `leaves`, each entry is held against its leaf hash too.

    Raises:
        VerificationFailed: names the first tile or entry that lies, and where.
        NotFound: a tile or bundle is missing.
    """
    count = 0
    async for _ in audited_tiles(source, size, root, leaves=leaves):
        count += 1
    return count


async def audited_tiles(
    source: TileSource, size: int, root: bytes, *, leaves: LeafSource | None = None
) -> AsyncIterator[AuditedTile]:
    """Yield every tile of the tree, parents first and leaves in order, each once it is proved.

    Raises:
        VerificationFailed: names the first tile or entry that lies, and where.
        NotFound: a tile or bundle is missing.
    """
    edge = await _right_edge(source, size)
    if _root_of_edge(edge) != root:
        raise await _accuse(source, edge, leaves)
    for tile in reversed(edge):
        async for proved in _descend(source, tile):
            if proved.level == 0 and leaves is not None:
                await _hold_entries(proved, leaves)
            yield proved


async def _right_edge(source: TileSource, size: int) -> list[AuditedTile]:
    """Read the partial tiles of this size, level 0 first: together they make the root."""
    edge: list[AuditedTile] = []
    for level in range(LEVELS_MAX):
        index, width = divmod(size >> (8 * level), TILE_WIDTH)
        if width:
            hashes = hashes_of(await tile_of(source, level, index, width))
            edge.append(AuditedTile(level=level, index=index, hashes=tuple(hashes)))
    return edge


def _root_of_edge(edge: list[AuditedTile]) -> bytes:
    node: bytes | None = None
    for tile in edge:
        rest = list(tile.hashes)
        while rest:
            # The last full subtree of what is left: as many hashes as its lowest set bit.
            peak = root_of(rest[-(len(rest) & -len(rest)) :])
            del rest[-(len(rest) & -len(rest)) :]
            node = peak if node is None else node_hash(peak, node)
    return EMPTY_ROOT if node is None else node


async def _descend(source: TileSource, top: AuditedTile) -> AsyncIterator[AuditedTile]:
    """Yield a proved tile and all below it, each checked against the hash above."""
    yield top
    path: list[tuple[AuditedTile, int]] = [(top, 0)] if top.level else []
    while path:
        parent, child = path.pop()
        if child + 1 < len(parent.hashes):
            path.append((parent, child + 1))
        index = parent.index * TILE_WIDTH + child
        hashes = hashes_of(await tile_of(source, parent.level - 1, index, TILE_WIDTH))
        proved = AuditedTile(level=parent.level - 1, index=index, hashes=tuple(hashes))
        if root_of(hashes) != parent.hashes[child]:
            raise _lie(
                proved.path,
                Text(
                    f"não dá o hash {child} de {parent.path}, que a raiz garante",
                    f"it does not make hash {child} of {parent.path}, which the root vouches for",
                ),
            )
        yield proved
        if proved.level:
            path.append((proved, 0))


async def _hold_entries(tile: AuditedTile, leaves: LeafSource) -> None:
    given = await leaves(tile.index, len(tile.hashes))
    at = _first_difference(tile, given)
    if at is not None:
        raise VerificationFailed(
            what="entry",
            where=f"{tile.path.replace('tile/0/', 'tile/entries/')} #{at}",
            position=tile.index * TILE_WIDTH + at,
            reason=Text(
                f"não dá o hash {at} de {tile.path}, que a raiz garante",
                f"it does not make hash {at} of {tile.path}, which the root vouches for",
            ),
        )


async def _accuse(
    source: TileSource, edge: list[AuditedTile], leaves: LeafSource | None
) -> VerificationFailed:
    """Find which tile of the right edge is contradicted from below: the root is not met."""
    for tile in edge:
        try:
            at = await _contradicted(source, tile, leaves)
        except (VerificationFailed, NotFound):
            continue
        if at is not None:
            below = "entries" if tile.level == 0 else f"level {tile.level - 1}"
            em_baixo = "as entradas" if tile.level == 0 else f"o nível {tile.level - 1}"
            return _lie(
                f"{tile.path} #{at}",
                Text(
                    f"a raiz assinada não se forma, e o hash {at} não é o que {em_baixo} dá",
                    f"the signed root is not met, and hash {at} is not what the {below} make",
                ),
            )
    return _lie(
        ", ".join(tile.path for tile in edge) or "(0)",
        Text("não formam a raiz assinada", "they do not make the signed root"),
    )


async def _contradicted(
    source: TileSource, tile: AuditedTile, leaves: LeafSource | None
) -> int | None:
    if tile.level == 0:
        if leaves is None:
            return None
        return _first_difference(tile, await leaves(tile.index, len(tile.hashes)))
    for at, known in enumerate(tile.hashes):
        below = await tile_of(source, tile.level - 1, tile.index * TILE_WIDTH + at, TILE_WIDTH)
        if root_of(hashes_of(below)) != known:
            return at
    return None


def _first_difference(tile: AuditedTile, given: list[bytes]) -> int | None:
    if len(given) != len(tile.hashes) or any(len(one) != HASH_BYTES for one in given):
        return min(len(given), len(tile.hashes) - 1)
    pairs = zip(tile.hashes, given, strict=True)
    return next((at for at, (known, one) in enumerate(pairs) if known != one), None)


def _lie(where: str, reason: Text) -> VerificationFailed:
    return VerificationFailed(what="tile", where=where, reason=reason)
