"""Exporting the logs as folders that any web server can serve and any tlog client can check.

    DIR/t/<tenant>/...     each tenant's log, as of its newest checkpoint
    DIR/root/...           the root log, with the witnesses' lines under its checkpoint
    DIR/vkeys              the keys to check them with, one a line

Always holds: what was exported before stays valid; a repeat writes only the tiles that are new;
an export never goes back, and never over another history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from loglineos.base.errors import NotFound
from loglineos.database.queries import Queries
from loglineos.ledger.log.guard import forked, refuse_older
from loglineos.ledger.log.log_names import log_keys, origin_of
from loglineos.ledger.log.log_tiles import ROOT_LOG, Lend, LogTiles
from loglineos.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from loglineos.ledger.tlog.note import parse_note, parse_signatures, with_signatures
from loglineos.ledger.tlog.proofs import root_at
from loglineos.ledger.tlog.static_tree import CHECKPOINT_NAME, DirectoryTiles, write_static_tree
from loglineos.ledger.tlog.tiles import TILE_WIDTH

VKEYS_NAME: Final = "vkeys"
_SQL: Final = Queries.load("loglineos.ledger.log", "export_log.sql")


class ExportedLog(msgspec.Struct, frozen=True, kw_only=True):
    """One log in the folder; `entries_written` counts those that this run wrote."""

    tenant: str
    folder: Path
    checkpoint: Checkpoint
    entries_written: int


async def export_log(
    directory: Path,
    *,
    lend_reader: Lend,
    origin: str,
    publics: Sequence[bytes],
    tenants: Sequence[str] | None = None,
) -> list[ExportedLog]:
    """Write the published logs of `tenants` (None: all) and the root log; return what is there.

    A log without a checkpoint is left out: publish first. `origin` is the node's, `publics` its
    log keys (32 bytes each). Memory is one page of entries, whatever the size.

    Raises:
        LogBehind: the folder holds a larger tree than the database.
        VerificationFailed: the folder holds another history, or the entries do not make the
            signed tree; the old checkpoint stays in place.
    """
    chosen = await _tenants(lend_reader) if tenants is None else sorted(set(tenants))
    exported = []
    for tenant in [*chosen, ROOT_LOG]:
        name = "root" if tenant == ROOT_LOG else f"t/{tenant}"
        done = await _export_one(directory / name, lend_reader, tenant)
        if done is not None:
            exported.append(done)
    await asyncio.to_thread(_write_vkeys, directory, origin, publics, exported)
    return exported


async def _export_one(folder: Path, lend: Lend, tenant: str) -> ExportedLog | None:
    note = await _newest_note(lend, tenant)
    if note is None:
        return None
    new = parse_checkpoint(parse_note(note).text)
    tiles = LogTiles(lend, tenant)
    start = await _start(folder, tiles, new)
    await write_static_tree(
        folder,
        entries=tiles.entries(start, new.size),
        checkpoint=note,
        tree=await tiles.tree(start),
    )
    return ExportedLog(
        tenant=tenant, folder=folder, checkpoint=new, entries_written=new.size - start
    )


async def _start(folder: Path, tiles: LogTiles, new: Checkpoint) -> int:
    """Return the position from which the folder must be written: that of its last full tile."""
    try:
        kept = parse_checkpoint(parse_note(await DirectoryTiles(folder).checkpoint()).text)
    except NotFound:
        return 0
    where = str(folder / CHECKPOINT_NAME)
    if kept.origin != new.origin:
        raise forked(new.origin, size=kept.size, keeper=where)
    refuse_older(new, kept, keeper=where)
    if await root_at(tiles, kept.size) != kept.root:
        raise forked(new.origin, size=kept.size, keeper=where)
    return kept.size - kept.size % TILE_WIDTH


async def _newest_note(lend: Lend, tenant: str) -> bytes | None:
    rows = await _rows(lend, "read_newest_note", tenant=tenant)
    if not rows:
        return None
    note, block = rows[0][0].encode(), rows[0][1]
    return with_signatures(note, lines=parse_signatures(block)) if block else note


async def _tenants(lend: Lend) -> list[str]:
    return [row[0] for row in await _rows(lend, "list_published_tenants")]


async def _rows(lend: Lend, name: str, **told: Any) -> list[Any]:
    async with lend() as connection:
        return await (await connection.execute(_SQL[name], told)).fetchall()


def _write_vkeys(
    directory: Path, origin: str, publics: Sequence[bytes], exported: Sequence[ExportedLog]
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    known = (directory / VKEYS_NAME).read_text().splitlines() if _has_vkeys(directory) else []
    # What stands there for our own origins is written anew: a planted key is never published.
    lines = dict.fromkeys(line for line in known if not line.startswith(f"{origin}/"))
    for log in exported:
        for key in log_keys(publics, origin_of(origin, log.tenant)):
            lines[key.encode()] = None
    aside = directory / f".{VKEYS_NAME}.new"
    aside.write_text("".join(f"{line}\n" for line in lines))
    aside.replace(directory / VKEYS_NAME)


def _has_vkeys(directory: Path) -> bool:
    return (directory / VKEYS_NAME).is_file()
