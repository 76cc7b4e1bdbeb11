"""The tiles and entries of a log in the database: a tenant's, or the root log `@root`.

Full tiles are stored; a partial one is made of the rows (level 0) or of the roots of the tiles
below. Always holds: the same tile of the same tree size has the same bytes, whoever asks and when;
reading needs a connection for one statement at a time and memory for one page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import psycopg

from loglineos.base.errors import NotFound
from loglineos.database.queries import Queries
from loglineos.ledger.seal import leaf_of_row
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.notation import HASH_BYTES
from loglineos.ledger.tlog.tiles import TILE_WIDTH, TileTree, hashes_of, tile_path, tile_width

ROOT_LOG: Final = "@root"
"""The name under which the root log stands where a tenant's name stands."""

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Lend: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection that may read the whole log, such as `pool.connection`."""

_SQL: Final = Queries.load("loglineos.ledger.log", "log_tiles.sql")
_PAGE_ENTRIES: Final = 4_096


class LogHead(NamedTuple):
    """How large a log is, and its root."""

    size: int
    root: bytes


class LogTiles:
    """One log as a `TileSource`, and its entries."""

    def __init__(self, lend: Lend, tenant: str) -> None:
        """Read the log of `tenant`, or `ROOT_LOG`; nothing is read yet."""
        self._lend = lend
        self._tenant = tenant

    async def head(self) -> LogHead:
        """Return the committed head of the log.

        Raises:
            NotFound: there is no such log.
        """
        rows = await self._rows("read_head")
        if not rows:
            raise NotFound(what="log", which=self._tenant)
        return LogHead(rows[0][0], bytes(rows[0][1]))

    async def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile; see `TileSource`.

        Raises:
            NotFound: there is no such tile, or it is not that wide yet.
        """
        if rows := await self._rows("read_tile", level=level, index=index):
            return bytes(rows[0][0])[: width * HASH_BYTES]
        first = index * TILE_WIDTH
        if level == 0:
            hashes = [leaf_hash(entry) for entry in await self._page(first, first + width)]
        else:
            span = {"level": level - 1, "index_from": first, "index_before": first + width}
            hashes = [bytes(row[0]) for row in await self._rows("read_roots", **span)]
        if len(hashes) != width:
            raise NotFound(what="tile", which=f"{self._tenant} {tile_path(level, index, width)}")
        return b"".join(hashes)

    async def entry(self, position: int) -> bytes:
        """Return one entry.

        Raises:
            NotFound: there is none at this position.
        """
        return (await self._page(position, position + 1))[0]

    async def entries(self, start: int, before: int) -> AsyncIterator[bytes]:
        """Yield the entries from position `start` up to `before`, in order; one page in memory.

        Raises:
            NotFound: an entry of the span is missing.
        """
        while start < before:
            page = await self._page(start, min(start + _PAGE_ENTRIES, before))
            for entry in page:
                yield entry
            start += len(page)

    async def tree(self, size: int) -> TileTree:
        """Take up the growing edge of the tree of `size` entries: at most 255 hashes a level.

        Raises:
            NotFound: a tile or entry of that size is missing.
        """
        partials, level = [], 0
        while size >> (8 * level):
            index = size >> (8 * level + 8)
            width = tile_width(size, level=level, index=index)
            partials.append(hashes_of(await self.tile(level, index, width)) if width else [])
            level += 1
        return TileTree.load(size, partials)

    async def _page(self, start: int, before: int) -> list[bytes]:
        span = {"position_from": start, "position_before": before}
        if self._tenant == ROOT_LOG:
            rows = await self._rows("read_root_entries", **span)
            found = [(row[0], bytes(row[1])) for row in rows]
        else:
            rows = await self._rows("read_leaves", **span)
            found = [(row[0], leaf_of_row(self._tenant, row[1:])) for row in rows]
        for expected, (position, _) in enumerate(found, start=start):
            if position != expected:
                raise NotFound(what="entry", which=f"{self._tenant} {expected}")
        if len(found) != before - start:
            raise NotFound(what="entry", which=f"{self._tenant} {start + len(found)}")
        return [entry for _, entry in found]

    async def _rows(self, name: str, **more: Any) -> list[Any]:
        async with self._lend() as connection:
            cursor = await connection.execute(_SQL[name], {"tenant": self._tenant, **more})
            return await cursor.fetchall()


def lending(connection: Connection) -> Lend:
    """Lend one connection over and over, such as that of a transaction in hand."""

    @asynccontextmanager
    async def lend() -> AsyncIterator[Connection]:
        yield connection

    return lend
