"""The memory of a JavaScript machine at rest, from which others like it are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

_COMPARED: Final = 4096  # bytes: what differs is kept in runs of such blocks


class Image(msgspec.Struct, frozen=True):
    """The memory of a machine at rest: what differs from a fresh one."""

    parts: tuple[tuple[int, bytes], ...]
    length: int
    """Of the whole memory, in bytes."""
    stack: int
    runtime: int
    context: int
    house: tuple[int, ...]
    """Handles of the house's functions (house.js), in the order of the machine's `_HOUSE`."""

    @property
    def kept_bytes(self) -> int:
        """What it costs to keep this image."""
        return sum(len(part) for _, part in self.parts)


def differing(blank: bytes, memory: bytes) -> Sequence[tuple[int, bytes]]:
    """Return the runs of blocks in which the two differ; beyond its end, `blank` is zeros."""
    parts: list[tuple[int, bytes]] = []
    zeros = bytes(_COMPARED)
    start: int | None = None
    for at in range(0, len(memory) + _COMPARED, _COMPARED):
        block = memory[at : at + _COMPARED]
        was = blank[at : at + _COMPARED] or zeros
        if block and block != was:
            start = at if start is None else start
        elif start is not None:
            parts.append((start, memory[start:at]))
            start = None
    return parts
