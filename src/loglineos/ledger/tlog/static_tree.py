"""A log as a folder of files that any web server can serve and any tlog client can check.

    checkpoint                  the signed note; written last
    tile/<level>/<index>        hashes
    tile/entries/<index>        entries

Always holds: a file appears whole or not at all (written aside, then renamed), and `checkpoint`
only after every file that it speaks of; what was written is the tree that was signed, or nothing is
signed for. Reading believes nothing: see `verify_static_tree`.
Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from loglineos.base.errors import InvalidInput, NotFound, TooLarge, VerificationFailed, shape_of
from loglineos.base.language import Text
from loglineos.ledger.limits import entry_bytes_max
from loglineos.ledger.tlog.audit import audited_tiles
from loglineos.ledger.tlog.checkpoint import (
    Checkpoint,
    OpenedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
)
from loglineos.ledger.tlog.merkle import leaf_hash, verify_consistency
from loglineos.ledger.tlog.notation import HASH_BYTES
from loglineos.ledger.tlog.note import NOTE_BYTES_MAX, VerifierKey, parse_note
from loglineos.ledger.tlog.proofs import consistency_proof
from loglineos.ledger.tlog.tiles import (
    TILE_WIDTH,
    FullTile,
    PartialTile,
    TileTree,
    bundle_path,
    decode_bundle,
    encode_bundle,
    tile_path,
)

CHECKPOINT_NAME: Final = "checkpoint"
_BUNDLE_BYTES_PER_ENTRY_MAX: Final = 2 + entry_bytes_max


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """How far a check has come: tiles and entries proved so far, of a tree that was signed."""

    checkpoint: Checkpoint
    tiles: int
    entries: int

    @property
    def is_complete(self) -> bool:
        """Tell whether every entry has been proved; true of the last one of a check only."""
        return self.entries == self.checkpoint.size


async def write_static_tree(
    directory: Path,
    *,
    entries: AsyncIterator[bytes],
    checkpoint: bytes,
    tree: TileTree | None = None,
) -> Checkpoint:
    """Write the tree of `entries` (all of them, in order) under a signed `checkpoint`.

    With `tree`, of full tiles that the folder holds already, `entries` are those that follow.
    Memory is one bundle, whatever the size. Writing again over an older tree of the same log
    leaves its files valid. Signatures are not checked here: it is the writer's own checkpoint.

    Raises:
        InvalidInput: the checkpoint is malformed.
        TooLarge: an entry has more than `entry_bytes_max` bytes.
        VerificationFailed: the entries do not make the signed tree; no checkpoint was written.
    """
    signed = parse_checkpoint(parse_note(checkpoint).text)
    tree = TileTree() if tree is None else tree
    assert tree.size % TILE_WIDTH == 0, "a folder is continued from a full tile"
    batch: list[bytes] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == TILE_WIDTH:
            await asyncio.to_thread(_write_bundle, directory, tree, batch)
            batch = []
    await asyncio.to_thread(_write_edge, directory, tree, batch)
    if (tree.size, tree.root()) != (signed.size, signed.root):
        raise VerificationFailed(
            what="tree",
            where=str(directory),
            reason=Text(
                f"{tree.size} entradas não dão a árvore assinada, de {signed.size}",
                f"{tree.size} entries do not make the signed tree of {signed.size}",
            ),
        )
    await asyncio.to_thread(_write, directory / CHECKPOINT_NAME, checkpoint, is_durable=True)
    return signed


class DirectoryTiles:
    """The tiles, bundles and checkpoint of a folder; a `TileSource`.

    A partial file that is missing is cut from the full one, as the format allows.
    """

    def __init__(self, directory: Path) -> None:
        """Read below `directory`; nothing is read yet."""
        self._directory = directory

    async def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile; see `TileSource`."""
        partial = tile_path(level, index, width)
        found = await asyncio.to_thread(self._first_of, (partial, tile_path(level, index)))
        is_cut = found.path != partial
        return found.data[: width * HASH_BYTES] if is_cut else found.data

    async def entries(self, index: int, width: int) -> list[bytes]:
        """Return the first `width` entries of a bundle.

        Raises:
            NotFound: there is no such bundle.
            VerificationFailed: it does not hold exactly the entries that its name says.
        """
        partial, full = bundle_path(index, width), bundle_path(index)
        found = await asyncio.to_thread(self._first_of, (partial, full))
        count = width if found.path == partial else TILE_WIDTH
        try:
            return decode_bundle(found.data, width=count)[:width]
        except InvalidInput as cause:
            raise VerificationFailed(
                what="bundle",
                where=found.path,
                reason=Text(cause.describe("pt"), cause.describe("en")),
            ) from cause

    async def leaves(self, index: int, width: int) -> list[bytes]:
        """Return the leaf hashes of a bundle, computed from its entries."""
        return [leaf_hash(entry) for entry in await self.entries(index, width)]

    async def checkpoint(self) -> bytes:
        """Return the signed note, unchecked."""
        return (await asyncio.to_thread(self._first_of, (CHECKPOINT_NAME,))).data

    def _first_of(self, paths: Sequence[str]) -> _File:
        for path in paths:
            bytes_max = TILE_WIDTH * _BUNDLE_BYTES_PER_ENTRY_MAX
            if path == CHECKPOINT_NAME:
                bytes_max = NOTE_BYTES_MAX
            try:
                with (self._directory / path).open("rb") as file:
                    data = file.read(bytes_max + 1)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            if len(data) > bytes_max:
                raise TooLarge(
                    field=path, shape=shape_of(data), limit=bytes_max, limit_name="file_bytes_max"
                )
            return _File(path=path, data=data)
        raise NotFound(what="file", which=str(self._directory / paths[0]))


async def verify_static_tree(
    directory: Path,
    *,
    log: VerifierKey,
    witnesses: Iterable[VerifierKey] = (),
    seen: Checkpoint | None = None,
) -> AsyncIterator[Audit]:
    """Check a whole folder: note, every tile from the root down, every entry; yield the progress.

    One `Audit` comes after the checkpoint was opened, then one for each bundle; the last one is
    complete. `seen` is a checkpoint of the same log that was believed before: without it an older,
    honest tree cannot be told from the newest.

    Raises:
        VerificationFailed: names the first lie and the file that it stands in.
        NotFound: a file is missing.
        InvalidInput: the checkpoint is malformed.
        TooLarge: a file is larger than any of its kind can be.
    """
    source = DirectoryTiles(directory)
    opened = open_checkpoint(await source.checkpoint(), logs=[log], witnesses=witnesses)
    signed = opened.checkpoint
    if seen is not None:
        await _demand_continuation(source, opened, seen)
    tiles = entries = 0
    yield Audit(checkpoint=signed, tiles=tiles, entries=entries)
    async for tile in audited_tiles(source, signed.size, signed.root, leaves=source.leaves):
        tiles += 1
        if tile.level == 0:
            entries += len(tile.hashes)
            yield Audit(checkpoint=signed, tiles=tiles, entries=entries)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    data: bytes


async def _demand_continuation(
    source: DirectoryTiles, opened: OpenedCheckpoint, seen: Checkpoint
) -> None:
    signed = opened.checkpoint
    if seen.origin != signed.origin or signed.size < seen.size:
        raise VerificationFailed(
            what="checkpoint",
            where=CHECKPOINT_NAME,
            reason=Text(
                f"é de {signed.origin} com {signed.size}; já se viu {seen.origin} com {seen.size}",
                f"it is of {signed.origin} at {signed.size}; {seen.origin} at {seen.size} was seen",
            ),
        )
    if seen.size == 0:
        return
    proof = await consistency_proof(source, seen.size, signed.size)
    verify_consistency(seen.size, signed.size, seen.root, signed.root, proof)


def _write_bundle(directory: Path, tree: TileTree, entries: list[bytes]) -> None:
    index = tree.size // TILE_WIDTH
    _write(directory / bundle_path(index, len(entries)), encode_bundle(entries))
    _write_tiles(directory, tree.extend([leaf_hash(entry) for entry in entries]))


def _write_edge(directory: Path, tree: TileTree, entries: list[bytes]) -> None:
    if entries:
        _write_bundle(directory, tree, entries)
    _write_tiles(directory, tree.partial_tiles())


def _write_tiles(directory: Path, tiles: Sequence[FullTile | PartialTile]) -> None:
    for tile in tiles:
        width = len(tile.hashes) // HASH_BYTES
        _write(directory / tile_path(tile.level, tile.index, width), tile.hashes)


def _write(path: Path, data: bytes, *, is_durable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(data)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)
