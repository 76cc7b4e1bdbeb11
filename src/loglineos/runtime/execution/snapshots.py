"""Snapshots: where a long run stood when it came to rest, so that not all of it is asked again.

A cache and nothing else: the journal is the truth, and a snapshot that is missing, of another
engine or version of the code, or whose MAC does not fit is passed over without a word.
Always holds: nothing is loaded into an engine that this house's key did not seal; none is kept for
a run that has ended, and what a run left that was ended by others goes when the next one is kept.
"""

from __future__ import annotations

import hmac
import zlib
from typing import Any, Final

import msgspec
from blake3 import blake3

from loglineos.base.clock import Clock
from loglineos.base.errors import LoglineError
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.runtime.following import asking

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
STEPS_MIN: Final = 200
"""A run with fewer steps is asked again as fast as it is loaded."""
CPU_US_MIN: Final = 100_000
BYTES_MAX: Final = 4 * 1024 * 1024
_CONTEXT: Final = "loglineos 2026 snapshots of runs v2"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stood: how much it had asked before the question that it rests on.

    `printed` is what is kept of what it printed, `printed_bytes` counts all of it.
    """

    asked: int
    compensations: list[tuple[str, Any]]
    printed: str
    printed_bytes: int
    dump: bytes


class Snapshots:
    """Keeps and finds the snapshots of runs."""

    def __init__(self, pool: Pool, *, secret: bytes, clock: Clock) -> None:
        """Keep through `pool` (role logline_appender), sealed with a key derived from `secret`."""
        self._pool = pool
        self._key = blake3(secret, derive_key_context=_CONTEXT).digest()
        self._clock = clock

    async def keep(
        self, execution: Record, standing: Standing, *, header: dict[str, Any], engine: str
    ) -> bool:
        """Keep where a run stands in `engine`, in place of an older snapshot; tell whether it was.

        A run that somebody has ended meanwhile is not kept.
        """
        body = zlib.compress(msgspec.msgpack.encode(standing), 1)
        if len(body) > BYTES_MAX:
            return False
        asked = {
            "tenant": execution.tenant_id, "id": execution.id, "step": standing.asked,
            "engine": engine, "body": body, "now": self._clock.now(),
            "mac": self._mac(execution, standing.asked, header, engine, body),
        }  # fmt: skip
        try:
            async with asking(self._pool) as connection:
                cursor = await connection.execute(_SQL["keep_snapshot"], asked)
        except LoglineError:  # a cache that cannot be written is no reason to fail
            return False
        return cursor.rowcount > 0

    async def find(
        self, execution: Record, *, header: dict[str, Any], engine: str
    ) -> Standing | None:
        """Return where a run stood, when that was kept by `engine` for this very code."""
        asked = {"tenant": execution.tenant_id, "id": execution.id}
        try:
            async with asking(self._pool) as connection:
                cursor = await connection.execute(_SQL["find_snapshot"], asked)
                row = await cursor.fetchone()
        except LoglineError:
            return None
        if row is None or row[1] != engine:
            return None
        step, _, mac, body = row
        expected = self._mac(execution, step, header, engine, bytes(body))
        if not hmac.compare_digest(bytes(mac), expected):
            return None
        return msgspec.msgpack.decode(zlib.decompress(bytes(body)), type=Standing)

    async def drop(self, execution: Record) -> None:
        """Forget where a run stood."""
        asked = {"tenant": execution.tenant_id, "id": execution.id}
        try:
            async with asking(self._pool) as connection:
                await connection.execute(_SQL["drop_snapshot"], asked)
        except LoglineError:
            return

    def _mac(
        self, execution: Record, step: int, header: dict[str, Any], engine: str, body: bytes
    ) -> bytes:
        cuts = (execution.metadata or {}).get("cuts") or []
        about = [
            execution.tenant_id, str(execution.id), step, engine,
            header["function"]["hash"], header.get("prelude"), cuts,
        ]  # fmt: skip
        told = msgspec.msgpack.encode(about)
        message = len(told).to_bytes(8, "big") + told + body
        return blake3(message, key=self._key).digest()


def is_worth_keeping(steps: int, cpu_us: int) -> bool:
    """Tell whether asking a run again from its start would take longer than loading it."""
    return steps >= STEPS_MIN or cpu_us >= CPU_US_MIN
