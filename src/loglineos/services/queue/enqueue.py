"""Enqueuing: requests become executions, and one key asks for one thing at a time.

Always holds: of any number of requests with the same function and key, made anywhere at once, one
execution comes while it lives; the others are answered with it. That rests on ids: the n-th
execution of a key has an id that follows from the key and n, so two can never both be the n-th.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.ids import uuid7
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.requests import UNFINISHED, trace_of
from loglineos.runtime.ids import derived_id
from loglineos.services.asking import asking

_SQL: Final = Queries.load("loglineos.services.queue", "enqueue.sql")
_TURNS_MAX: Final = 2**31
_PROBES: Final = 32

_Key = tuple[str, str]


async def enqueue(
    writer: Writer, drafts: Sequence[Draft], *, tenant: str, pool: Pool | None = None
) -> list[Record]:
    """Append requests (see `draft_request`) and return their first events, in order.

    A request with an `idempotency_key` whose function has an unfinished execution under the same
    key is answered with that execution's first event, and nothing is appended for it. The same
    request with the same `id` again changes nothing either. `pool` reads what lives (the writer's
    by default).

    Raises:
        What `Writer.append` raises.
    """
    keyed = {(draft.name or "", draft.idempotency_key) for draft in drafts if _is_keyed(draft)}
    ids = (
        await _ids_of(pool or writer.pool, tenant, [(n, k) for n, k in keyed if k]) if keyed else {}
    )
    placed = []
    for draft in drafts:
        if _is_keyed(draft):
            identity = ids[(draft.name or "", draft.idempotency_key or "")]
        else:
            identity = draft.id or uuid7(writer.clock, writer.entropy)
        placed.append(
            msgspec.structs.replace(
                draft, id=identity, seq=0, trace_id=draft.trace_id or trace_of(identity)
            )
        )
    return await writer.append(placed, tenant=tenant, if_absent=True)


def _is_keyed(draft: Draft) -> bool:
    return draft.id is None and bool(draft.idempotency_key)


async def _ids_of(pool: Pool, tenant: str, keys: Sequence[_Key]) -> dict[_Key, UUID]:
    """Return the id of the execution that each key asks for now: one that lives, or the next.

    Turns are used one after the other, so only the last that was used can be alive. Whether it is
    comes from the same look as that it is the last.
    """
    firsts = {key: _id_of(tenant, key, 0) for key in keys}
    known = await _existing(pool, tenant, list(firsts.values()))
    ids = {}
    for key, first in firsts.items():
        if known.get(first) is False:
            ids[key] = _id_of(tenant, key, await _turn_of(pool, tenant, key))
        else:
            ids[key] = first
    return ids


async def _turn_of(pool: Pool, tenant: str, key: _Key) -> int:
    """Find the turn of a key whose first execution has ended: the last if it lives, or the next."""
    used, free = 0, _TURNS_MAX
    turns = [1 << power for power in range(_TURNS_MAX.bit_length() - 1)]
    while free - used > 1:
        tried = {_id_of(tenant, key, turn): turn for turn in turns if used < turn < free}
        found = await _existing(pool, tenant, list(tried))
        for identity, turn in tried.items():
            if found.get(identity) is True:
                return turn
            if identity in found:
                used = max(used, turn)
            else:
                free = min(free, turn)
        turns = list(range(used + 1, free, max(1, (free - used) // _PROBES)))
    return free


def _id_of(tenant: str, key: _Key, turn: int) -> UUID:
    return derived_id("request", tenant, key[0], key[1].replace("\x1f", " "), str(turn))


async def _existing(pool: Pool, tenant: str, ids: Sequence[UUID]) -> dict[UUID, bool]:
    """Tell which of these executions were ever asked for, and whether they live."""
    asked = {"tenant": tenant, "ids": list(ids), "unfinished": sorted(UNFINISHED)}
    async with asking(pool) as connection:
        cursor = await connection.execute(_SQL["existing_ids"], asked)
        return {row[0]: row[1] for row in await cursor.fetchall()}
