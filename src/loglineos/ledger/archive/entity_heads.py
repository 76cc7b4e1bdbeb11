"""The last event of each entity while a log is read once, for as many entities as there are.

An open-addressing table in an unlinked temporary file that is mapped into memory: 32 bytes for an
entity, half of the slots free, so a million entities take 64 MB that the system may put away.
Always holds: what is kept of a hash is a keyed hash under a secret of this run, 96 bits long, so
nobody can prepare two events that this table takes for one another.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from types import TracebackType
from typing import Final, Self

from blake3 import blake3

_SLOT_BYTES: Final = 32
_ID_BYTES: Final = 16
_SEQ_BYTES: Final = 4
_FIRST_SLOTS: Final = 1 << 12


class EntityHeads:
    """Maps an entity's id (16 bytes) to its last seq, and recognises its last hash."""

    def __init__(self) -> None:
        """Start empty, with a secret of this run."""
        self._secret = os.urandom(32)
        self._count = 0
        self._slots = _FIRST_SLOTS
        self._table = _mapped(_FIRST_SLOTS)

    def __enter__(self) -> Self:
        """Return the table."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the temporary file back."""
        self._table.close()

    def __len__(self) -> int:
        """Count the entities."""
        return self._count

    def follows(self, entity: bytes, seq: int, prev_hash: bytes | None) -> bool:
        """Tell whether (seq, prev_hash) continues the entity; a life begins with seq 0."""
        known = self.last_seq(entity)
        if known is None or seq == 0:
            return known is None and seq == 0 and prev_hash is None
        if prev_hash is None or seq != known + 1:
            return False
        at = self._find(entity)
        kept = self._table[at + _ID_BYTES + _SEQ_BYTES : at + _SLOT_BYTES]
        return kept == self._tag(known, prev_hash)

    def last_seq(self, entity: bytes) -> int | None:
        """Return the seq of the entity's last event; None when there was none."""
        at = self._find(entity)
        seq = int.from_bytes(self._table[at + _ID_BYTES : at + _ID_BYTES + _SEQ_BYTES], "big")
        return seq - 1 if seq else None

    def keep(self, entity: bytes, seq: int, curr_hash: bytes) -> None:
        """Note the entity's last event; `seq` below 2^31."""
        if self._count * 2 >= self._slots:
            self._grow()
        at = self._find(entity)
        if not any(self._table[at + _ID_BYTES : at + _ID_BYTES + _SEQ_BYTES]):
            self._count += 1
        kept = entity + (seq + 1).to_bytes(_SEQ_BYTES, "big") + self._tag(seq, curr_hash)
        self._table[at : at + _SLOT_BYTES] = kept

    def _tag(self, seq: int, curr_hash: bytes) -> bytes:
        said = seq.to_bytes(_SEQ_BYTES, "big") + curr_hash
        length = _SLOT_BYTES - _ID_BYTES - _SEQ_BYTES
        return blake3(said, key=self._secret).digest(length)

    def _find(self, entity: bytes) -> int:
        """Return where the entity stands, or the free slot where it would."""
        table, mask = self._table, self._slots - 1
        slot = hash((self._secret, entity)) & mask
        while True:
            at = slot * _SLOT_BYTES
            found = table[at : at + _ID_BYTES + _SEQ_BYTES]
            if found[:_ID_BYTES] == entity or found[_ID_BYTES:] == b"\0\0\0\0":
                return at
            slot = (slot + 1) & mask

    def _grow(self) -> None:
        old, slots = self._table, self._slots
        self._slots = slots * 2
        self._table = _mapped(self._slots)
        for at in range(0, slots * _SLOT_BYTES, _SLOT_BYTES):
            kept = old[at : at + _SLOT_BYTES]
            if any(kept[_ID_BYTES : _ID_BYTES + _SEQ_BYTES]):
                place = self._find(kept[:_ID_BYTES])
                self._table[place : place + _SLOT_BYTES] = kept
        old.close()


def _mapped(slots: int) -> mmap.mmap:
    with tempfile.TemporaryFile(prefix="logline-heads-") as file:
        file.truncate(slots * _SLOT_BYTES)
        return mmap.mmap(file.fileno(), slots * _SLOT_BYTES)
