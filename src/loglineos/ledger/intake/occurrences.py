"""Ids made of content: the same line of the same file is the same entity, however often it is read.

id = UUIDv8 of BLAKE3("loglineos/intake/v1" ‖ tenant ‖ reading ‖ content digest ‖ occurrence), where
the occurrence counts equal contents before this one in the same file. Identical lines so stay
distinct, a file that grew keeps the ids of its old lines, and so does one into which other lines
were inserted (ids made of byte offsets would all shift there).

The count needs memory only for 64 bits and a counter per distinct content: an open-addressing
table of 12 bytes a slot, at most two thirds full (24 MiB at a million lines; beyond 48 MiB it lies
in a temporary file that the kernel may page out). Two contents that share 64 bits (expected 3e-8
times in a million lines) share a counter, which changes an occurrence, never makes two ids equal:
the whole content digest is in the id too.
Always holds: the same bytes in the same order give the same ids; different contents
never share one.
"""

from __future__ import annotations

import mmap
import tempfile
from typing import Final
from uuid import UUID

from blake3 import blake3

ID_DOMAIN: Final = b"loglineos/intake/v1\n"
_SLOT_BYTES: Final = 12
_SLOTS_FIRST: Final = 1 << 12
_MEMORY_BYTES_MAX: Final = 48 * 1024 * 1024


class Occurrences:
    """Counts how often each content was seen. One per file; bounded memory."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._used = 0
        self._allocate(_SLOTS_FIRST)

    def next(self, digest: bytes) -> int:
        """Return how often this content was seen before, and count it once more.

        `digest` is at least 8 uniformly distributed bytes of the content's hash.
        """
        key = int.from_bytes(digest[:8], "little") or 1
        slot = self._find(key)
        if self._keys[slot] == key:
            self._counts[slot] += 1
            return self._counts[slot]
        self._keys[slot] = key
        self._used += 1
        if self._used * 3 > self._slots * 2:
            self._grow()
        return 0

    @property
    def bytes_held(self) -> int:
        """Bytes of the table."""
        return self._slots * _SLOT_BYTES

    def _find(self, key: int) -> int:
        keys, mask = self._keys, self._slots - 1
        slot = key & mask
        while (there := keys[slot]) and there != key:
            slot = (slot + 1) & mask
        return slot

    def _allocate(self, slots: int) -> None:
        size = slots * _SLOT_BYTES
        if size <= _MEMORY_BYTES_MAX:
            memory = memoryview(bytearray(size))
        else:
            with tempfile.TemporaryFile() as file:
                file.truncate(size)
                memory = memoryview(mmap.mmap(file.fileno(), size))
        self._slots = slots
        self._keys = memory[: slots * 8].cast("Q")
        self._counts = memory[slots * 8 :].cast("I")

    def _grow(self) -> None:
        keys, counts = self._keys, self._counts
        self._allocate(self._slots * 2)
        for index, key in enumerate(keys):
            if key:
                slot = self._find(key)
                self._keys[slot] = key
                self._counts[slot] = counts[index]


def content_id(digest: bytes, *, tenant: str, reading: str = "", occurrence: int = 0) -> UUID:
    """Make the id of a content: a UUIDv8 that anyone can compute again.

    `digest` is the BLAKE3-256 of the content. `reading` names how the content was understood
    (a mapping's `name/version`), so that another reading of the same file makes other entities.

    Source: RFC 9562 section 5.8.
    """
    place = f"{tenant}\n{reading}\n{occurrence}\n".encode("utf-8", "surrogatepass")
    value = int.from_bytes(blake3(ID_DOMAIN + place + digest).digest(16), "big")
    value &= ~((0xF << 76) | (0b11 << 62))
    return UUID(int=value | (0x8 << 76) | (0b10 << 62))
