"""The search terms of full blocks: made again from the registry and compared with what is kept.

Always holds: one block at a time is in memory, whatever the size of the log; a block of which rows
are missing is compared as far as it is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec
import psycopg

from loglineos.database.queries import Queries
from loglineos.ledger.rows import term_statements
from loglineos.ledger.search_blocks import Values, full_block
from loglineos.ledger.search_terms import COLUMNS, WIDTH, places_of

_SQL: Final = Queries.load("loglineos.ledger.verification", "term_check.sql")
_ROWS: Final = 4_096
_NOBODY: Final = (None,) * len(COLUMNS)
Connection = psycopg.AsyncConnection[Any]


class WrongTerm(msgspec.Struct, frozen=True, kw_only=True):
    """A term of a block whose positions are not what the registry tells; None: no such row."""

    block: int
    term: str
    told: list[int] | None
    kept: list[int] | None


async def wrong_terms(
    connection: Connection, *, tenant: str, size: int
) -> AsyncIterator[WrongTerm]:
    """Yield every wrong row of a tenant's search terms, by block and term.

    Inside the caller's transaction; the log has `size` records.
    """
    async with (
        connection.cursor(name="told_values") as values,
        connection.cursor(name="kept_terms") as terms,
    ):
        full = size // WIDTH
        await values.execute(_SQL["told_values"], {"tenant": tenant, "size": full * WIDTH})
        await terms.execute(_SQL["kept_terms"], {"tenant": tenant})
        told_rows, kept_rows = _Rows(values), _Rows(terms)
        for row in await kept_rows.before(0):
            yield _of_no_block(row)
        for block in range(full):
            rows = _in_place(await told_rows.before((block + 1) * WIDTH))
            kept = {row[1]: _bits(*row[2:]) for row in await kept_rows.before(block + 1)}
            for wrong in _differing(block, places_of(rows), kept):
                yield wrong
        for row in await kept_rows.before(2**31):
            yield _of_no_block(row)


async def make_again(connection: Connection, *, tenant: str, block: int, size: int) -> None:
    """Replace what is kept of a block by what the registry tells; drop it if it is not full."""
    named = {"tenant": tenant, "block": block}
    await connection.execute(_SQL["drop_terms_of_block"], named)
    if block >= size // WIDTH:
        return
    span = {"tenant": tenant, "first": block * WIDTH, "before": (block + 1) * WIDTH}
    cursor = await connection.execute(_SQL["values_of_block"], span)
    rows = _in_place(await cursor.fetchall())
    for statement, values in term_statements(tenant, full_block(rows, block)):
        await connection.execute(statement, values)


class _Rows:
    """Rows of a server-side cursor, in the order of their first column, taken a span at a time."""

    def __init__(self, cursor: psycopg.AsyncServerCursor[Any]) -> None:
        self._cursor = cursor
        self._read: list[Any] = []
        self._at = 0

    async def before(self, end: int) -> list[Any]:
        taken: list[Any] = []
        while True:
            while self._at < len(self._read):
                if self._read[self._at][0] >= end:
                    return taken
                taken.append(self._read[self._at])
                self._at += 1
            self._read, self._at = await self._cursor.fetchmany(_ROWS), 0
            if not self._read:
                return taken


def _in_place(found: list[Any]) -> list[Values]:
    rows: list[Values] = [_NOBODY] * WIDTH
    for position, *of_one in found:
        rows[position % WIDTH] = of_one
    return rows


def _differing(block: int, told: dict[str, int], kept: dict[str, int]) -> Iterator[WrongTerm]:
    if told == kept:
        return
    for term in sorted(told.keys() | kept.keys()):
        if told.get(term) != kept.get(term):
            yield WrongTerm(
                block=block, term=term,
                told=_positions(block, told.get(term)), kept=_positions(block, kept.get(term)),
            )  # fmt: skip


def _of_no_block(row: Sequence[Any]) -> WrongTerm:
    """Tell of a row whose block is not full, or none."""
    block, term, place, places = row
    return WrongTerm(
        block=block, term=term, told=None, kept=_positions(block, _bits(place, places))
    )


def _bits(place: int | None, places: str | None) -> int:
    """Read the two columns as bits; 0, which no term has, for a place that no block has."""
    if place is not None:
        return 1 << (WIDTH - 1 - place) if 0 <= place < WIDTH else 0
    return int(places or "0", 2)


def _positions(block: int, bits: int | None) -> list[int] | None:
    if bits is None:
        return None
    return [block * WIDTH + place for place in range(WIDTH) if bits >> (WIDTH - 1 - place) & 1]
