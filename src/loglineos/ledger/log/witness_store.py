"""What this node remembers as a witness: the largest tree of each foreign log that it cosigned.

Always holds: the memory of a log moves by compare-and-swap in the database, durable before the
cosignature leaves, so that of two requests at once, on however many nodes, only one can win.
"""

from __future__ import annotations

from typing import Final

from loglineos.base.clock import Clock
from loglineos.database.queries import Queries
from loglineos.ledger.log.steady_connection import Connect, SteadyConnection
from loglineos.ledger.tlog.checkpoint import Checkpoint
from loglineos.ledger.tlog.witness import SeenTree

WITNESS: Final = "@witness"
"""The name under which foreign logs stand where a tenant's name stands."""

_SQL: Final = Queries.load("loglineos.ledger.log", "witness_store.sql")


class DatabaseWitnessStore:
    """A `WitnessStore` on the table `ledger.witnessed_log`."""

    def __init__(self, connect: Connect, *, clock: Clock) -> None:
        """Write through connections that `connect` opens as the appender's role."""
        self._connection = SteadyConnection(connect)
        self._clock = clock

    async def seen(self, origin: str) -> SeenTree | None:
        """Return the largest tree cosigned for `origin`, None when none was.

        Raises:
            DatabaseUnavailable: ask again later.
        """
        async with self._connection.lend() as connection:
            key = {"tenant": WITNESS, "origin": origin}
            row = await (await connection.execute(_SQL["read_seen"], key)).fetchone()
        return None if row is None else SeenTree(size=row[0], root=bytes(row[1]))

    async def replace(self, origin: str, *, expected: SeenTree | None, new: SeenTree) -> bool:
        """Keep `new` if `expected` is still what is kept; tell whether it was.

        Durable before it returns True. After an error it is unknown which one is kept; the next
        request is judged by what is.

        Raises:
            DatabaseUnavailable, ReadOnly: ask again later.
        """
        told = {
            "tenant": WITNESS,
            "origin": origin,
            "size": new.size,
            "root": new.root,
            "note": Checkpoint(origin=origin, size=new.size, root=new.root).encode(),
            "now": self._clock.now(),
        }
        async with self._connection.lend() as connection:
            if expected is None:
                cursor = await connection.execute(_SQL["insert_seen"], told)
            else:
                told |= {"old_size": expected.size, "old_root": expected.root}
                cursor = await connection.execute(_SQL["replace_seen"], told)
            return cursor.rowcount == 1

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()
