"""Lies: what a verification names when something in the ledger does not hold, and where.

Always holds: a lie is data, picklable and comparable; the same ledger gives the same first lie.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from loglineos.base.errors import LoglineError, VerificationFailed
from loglineos.base.language import Text

What = Literal[
    "record", "signature", "chain", "key", "position", "leaf", "tile", "head", "checkpoint",
    "cosignature", "root entry", "log",
]  # fmt: skip
"""What lies: a record's bytes against its hash; its signature; its place in its entity's chain;
the right of its key; its place in the log; its leaf against the stored tile; a tile; the head;
a signed checkpoint; a witness's line; an entry of the root log; rows without a log."""


class Lie(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not hold. `position`, `id` and `seq` are None where they mean nothing."""

    tenant: str
    what: What
    where: str
    reason: Text
    position: int | None = None
    id: str | None = None
    seq: int | None = None

    def as_error(self) -> VerificationFailed:
        """Return the lie as an error, for who wants to raise it."""
        return VerificationFailed(
            what=self.what,
            where=f"{self.tenant} {self.where}",
            reason=self.reason,
            tenant=self.tenant,
            position=self.position,
            id=self.id,
            seq=self.seq,
        )


def words_of(cause: Exception) -> Text:
    """Return what an exception says, in both languages where it is one of ours."""
    if isinstance(cause, LoglineError):
        return Text(cause.describe("pt"), cause.describe("en"))
    words = str(cause).strip().split("\n")[0] or type(cause).__name__
    return Text(words, words)
