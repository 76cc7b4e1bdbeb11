"""Tiles: the tree cut into files of 256 hashes, bundles of entries, and the tree that grows.

Always holds: hash i of tile n at level l is the root of the full tile n*256+i one level below;
partial tiles are never hashed upward. A tree of any size keeps at most 255 hashes a level, so the
state of a growing tree is a few kilobytes.
Source: C2SP tlog-tiles, "Merkle Tree" and "Log entries".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from loglineos.base.errors import InvalidInput, TooLarge, shape_of
from loglineos.base.language import Text
from loglineos.ledger.limits import entry_bytes_max
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, NODE_PREFIX, node_hash
from loglineos.ledger.tlog.notation import HASH_BYTES, SIZE_MAX

TILE_WIDTH: Final = 256
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
LEVELS_MAX: Final = 8
"""Levels that a tree of at most 2^63 - 1 leaves can have."""

_LEVEL_MAX: Final = 63
_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?",
    re.ASCII,
)


class FullTile(msgspec.Struct, frozen=True, kw_only=True):
    """A tile of 256 hashes that will never change; `root` is its hash one level up."""

    level: int
    index: int
    hashes: bytes
    root: bytes


class PartialTile(msgspec.Struct, frozen=True, kw_only=True):
    """The last tile of a level, with 1 to 255 hashes."""

    level: int
    index: int
    hashes: bytes

    @property
    def width(self) -> int:
        """Count its hashes."""
        return len(self.hashes) // HASH_BYTES


class TileName(msgspec.Struct, frozen=True, kw_only=True):
    """What a path names: a tile of `level`, or a bundle of entries when `level` is None."""

    level: int | None
    index: int
    width: int = TILE_WIDTH


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Write the path of a tile, such as `tile/0/x001/234` or `tile/1/001.p/17`."""
    return f"tile/{level}/{_grouped(index)}{_width_suffix(width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Write the path of an entry bundle, such as `tile/entries/005`."""
    return f"tile/entries/{_grouped(index)}{_width_suffix(width)}"


def parse_tile_path(path: str) -> TileName:
    """Read the path of a tile or bundle, in its one spelling.

    Raises:
        InvalidInput: anything else, however near.
    """
    found = _PATH.fullmatch(path)
    if found is not None:
        kind, groups, width_text = found.groups()
        level = None if kind == "entries" else int(kind)
        index = int(groups.replace("x", "").replace("/", ""))
        width = int(width_text) if width_text else TILE_WIDTH
        is_partial = width_text is not None
        spelled = bundle_path(index, width) if level is None else tile_path(level, index, width)
        in_range = index <= SIZE_MAX and (level is None or level <= _LEVEL_MAX)
        if spelled == path and in_range and is_partial == (width < TILE_WIDTH):
            return TileName(level=level, index=index, width=width)
    raise InvalidInput(
        field="path",
        shape=shape_of(path),
        reason=Text("não é o caminho de um mosaico", "it is not the path of a tile"),
    )


def tile_width(size: int, *, level: int, index: int) -> int:
    """Count the hashes of a tile in a tree of `size` leaves: 0 (no such tile) to 256."""
    return max(0, min(TILE_WIDTH, (size >> (8 * level)) - index * TILE_WIDTH))


def hashes_of(tile: bytes) -> list[bytes]:
    """Cut a tile into its hashes."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Write an entry bundle: each entry after its length in two bytes, big-endian.

    Raises:
        TooLarge: an entry has more than 65,535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > entry_bytes_max:
            raise TooLarge(
                field="entry",
                shape=shape_of(entry),
                limit=entry_bytes_max,
                limit_name="entry_bytes_max",
            )
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(bundle: bytes, *, width: int) -> list[bytes]:
    """Read an entry bundle of exactly `width` entries.

    Raises:
        InvalidInput: it ends early, or goes on after the last entry.
    """
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle):
            raise _broken_bundle(bundle, entries)
        entries.append(bundle[start:at])
    if at != len(bundle):
        raise _broken_bundle(bundle, entries)
    return entries


class TileTree:
    """A tree that grows, and keeps only what growing needs.

    Not safe for two writers; `copy` is cheap, so that a batch can be tried and thrown away.
    """

    __slots__ = ("_levels", "_size")

    def __init__(self) -> None:
        """Start empty."""
        self._size = 0
        self._levels: list[_Level] = []

    @classmethod
    def load(cls, size: int, partials: Sequence[Sequence[bytes]]) -> TileTree:
        """Take up a tree of `size` leaves from the hashes of its last partial tiles, level 0 first.

        `partials` is what `TileTree.partials` gave; empty levels at the end may be left out.

        Raises:
            InvalidInput: the hashes are not as many as `size` demands, or not 32 bytes long.
        """
        tree = cls()
        tree._size = size
        levels = max(LEVELS_MAX, len(partials))
        for level in range(levels):
            given = partials[level] if level < len(partials) else ()
            width = (size >> (8 * level)) % TILE_WIDTH if size >= 0 else -1
            if len(given) != width or any(len(one) != HASH_BYTES for one in given):
                raise InvalidInput(
                    field=f"partials[{level}]",
                    shape=shape_of(given),
                    reason=Text(
                        f"uma árvore de {size} folhas tem aqui {width} hashes de 32 bytes",
                        f"a tree of {size} leaves has {width} hashes of 32 bytes here",
                    ),
                )
            if size >> (8 * level):
                tree._levels.append(_Level())
                tree._levels[level].add(given)
        return tree

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._size

    @property
    def partials(self) -> list[list[bytes]]:
        """List the hashes of each level's last partial tile, level 0 first: the whole state."""
        return [list(level.hashes) for level in self._levels]

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[FullTile]:
        """Append leaves; return the tiles that became full, level 0 first, then by index."""
        if any(len(leaf) != HASH_BYTES for leaf in leaf_hashes):
            raise ValueError("a leaf hash has 32 bytes")
        full: list[FullTile] = []
        level, added, before = 0, leaf_hashes, self._size
        self._size += len(leaf_hashes)
        while added:
            if level == len(self._levels):
                self._levels.append(_Level())
            done = self._levels[level].grow(added, level=level, first=before >> 8)
            full += done
            level, added, before = level + 1, [tile.root for tile in done], before >> 8
        return full

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        node: bytes | None = None
        for level in self._levels:
            for peak in reversed(level.peaks):
                node = peak if node is None else node_hash(peak, node)
        return EMPTY_ROOT if node is None else node

    def partial_tiles(self) -> list[PartialTile]:
        """List the partial tiles of the present size, level 0 first.

        A log must serve them, beside the full tiles, for every size that it published.
        """
        return [
            PartialTile(
                level=level,
                index=self._size >> (8 * level + 8),
                hashes=b"".join(kept.hashes),
            )
            for level, kept in enumerate(self._levels)
            if kept.hashes
        ]

    def copy(self) -> TileTree:
        """Return a tree that grows on its own from here."""
        tree = TileTree()
        tree._size = self._size
        tree._levels = [_Level(level.hashes, level.peaks) for level in self._levels]
        return tree


class _Level:
    """The last partial tile of one level: its hashes, and the roots of its full subtrees."""

    __slots__ = ("hashes", "peaks")

    def __init__(self, hashes: Sequence[bytes] = (), peaks: Sequence[bytes] = ()) -> None:
        self.hashes = list(hashes)
        self.peaks = list(peaks)

    def grow(self, added: Sequence[bytes], *, level: int, first: int) -> list[FullTile]:
        """Append hashes; return the tiles that became full, of which `first` is the first index."""
        full: list[FullTile] = []
        at = 0
        while at < len(added):
            room = TILE_WIDTH - len(self.hashes)
            self.add(added[at : at + room])
            at += room
            if len(self.hashes) == TILE_WIDTH:
                full.append(
                    FullTile(
                        level=level,
                        index=first + len(full),
                        hashes=b"".join(self.hashes),
                        root=self.peaks[0],
                    )
                )
                self.hashes.clear()
                self.peaks.clear()
        return full

    def add(self, added: Sequence[bytes]) -> None:
        """Append hashes that fit into the tile."""
        count, peaks = len(self.hashes), self.peaks
        self.hashes.extend(added)
        for hashed in added:
            node, merged = hashed, count
            while merged & 1:
                node = sha256(NODE_PREFIX + peaks.pop() + node).digest()
                merged >>= 1
            peaks.append(node)
            count += 1


def _grouped(index: int) -> str:
    text = f"{index % 1000:03d}"
    while index := index // 1000:
        text = f"x{index % 1000:03d}/{text}"
    return text


def _width_suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def _broken_bundle(bundle: bytes, entries: list[bytes]) -> InvalidInput:
    return InvalidInput(
        field="bundle",
        shape=shape_of(bundle),
        reason=Text(
            f"o pacote parte-se depois de {len(entries)} entradas",
            f"the bundle breaks after {len(entries)} entries",
        ),
    )
