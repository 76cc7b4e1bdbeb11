"""Blocks of search terms: what the appender writes when 1,024 positions are full.

Always holds: a block is written in the transaction that fills it, and by no other; what is
remembered of the unfinished block begins at its first position and leaves none out, or is not there
at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import orjson

from loglineos.ledger.search_terms import WIDTH, place_and_places, places_of

Values = Sequence[Any]
"""What the terms of one record are made of: `search_terms.values_of`."""

TENANTS_MAX: Final = 64
"""Unfinished blocks that are remembered; another is read again when it becomes full."""


class FullBlock(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one full block, in order, each with the columns `place` and `places`."""

    block: int
    terms: tuple[tuple[str, int | None, str | None], ...]

    def as_json(self) -> str:
        """Write the rows of the block as one parameter."""
        names = ("term", "place", "places")
        return orjson.dumps([dict(zip(names, row, strict=True)) for row in self.terms]).decode()


class OpenBlocks:
    """The records of each tenant's unfinished block: they need not be read when it is full."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._kept: OrderedDict[str, tuple[int, list[Values]]] = OrderedDict()

    def take(self, tenant: str, size: int) -> list[Values] | None:
        """Give away what a log of `size` records has in its unfinished block; None: not known."""
        before, values = self._kept.pop(tenant, (-1, []))
        if before == size:
            return values
        return None if size % WIDTH else []

    def put(self, tenant: str, size: int, values: list[Values]) -> None:
        """Remember what a log of `size` records has in its unfinished block."""
        assert len(values) == size % WIDTH, "all of the block, and of no other"
        self._kept[tenant] = (size, values)
        while len(self._kept) > TENANTS_MAX:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


def full_blocks(values: list[Values], *, first: int) -> Iterable[FullBlock]:
    """Make every full block of records from position `first` on, and take their values away."""
    while len(values) >= WIDTH:
        yield full_block(values[:WIDTH], first // WIDTH)
        del values[:WIDTH]
        first += WIDTH


def full_block(values: Sequence[Values], block: int) -> FullBlock:
    """Make the terms of a full block from the values of its records, in order."""
    places = sorted(places_of(values).items())
    return FullBlock(
        block=block, terms=tuple((term, *place_and_places(bits)) for term, bits in places)
    )
