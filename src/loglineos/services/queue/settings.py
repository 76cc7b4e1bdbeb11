"""Settings of queues: records of type `queue`, one entity for each name, the latest in force.

A queue needs no settings to exist: whoever names it in a request has made it. Settings pause it, or
bound how many of its jobs run at once and how many begin in a second, over all workers together.
The name `*` is the tenant as a whole. Always holds: a change is a signed record of who made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import Conflict, InvalidInput, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.ids import derived_id
from loglineos.services.queue.leases import Limit

QUEUE: Final = "queue"
WHOLE_TENANT: Final = "*"
CONCURRENCY_MAX: Final = 100_000
RATE_PER_S_MAX: Final = 1_000_000.0
_RACES_MAX: Final = 8


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one queue. `paused` is {by, reason, at}; None: it runs."""

    name: str
    concurrency: int | None = None
    rate_per_s: float | None = None
    paused: dict[str, Any] | None = None

    @property
    def limit(self) -> Limit | None:
        """The limit that claims must count; None when there is none."""
        if self.concurrency is None and self.rate_per_s is None:
            return None
        queue = None if self.name == WHOLE_TENANT else self.name
        return Limit(queue, self.concurrency, self.rate_per_s)


def settings_by_name(records: Mapping[UUID, Record]) -> dict[str, QueueSettings]:
    """Read the settings of a tenant's queues from their latest records."""
    found = {}
    for record in records.values():
        if record.name and record.status == "active":
            found[record.name] = settings_of(record)
    return found


def settings_of(record: Record) -> QueueSettings:
    """Read the settings that one record says; what does not fit counts as not said."""
    about = record.metadata or {}
    concurrency, rate = about.get("concurrency"), about.get("rate_per_s")
    paused = about.get("paused")
    return QueueSettings(
        name=record.name or "",
        concurrency=concurrency if isinstance(concurrency, int) and concurrency >= 0 else None,
        rate_per_s=float(rate) if isinstance(rate, int | float) and rate > 0 else None,
        paused=paused if isinstance(paused, dict) else None,
    )


def queue_id(tenant: str, name: str) -> UUID:
    """Return the id of the entity that is a queue's settings."""
    return derived_id(QUEUE, tenant, name)


async def pause(
    writer: Writer, name: str, *, tenant: str, by: str, reason: str | None = None
) -> Record:
    """Let no more jobs of a queue begin; those that run go on. Workers heed it within a second."""
    paused = {"by": by, "reason": reason, "at": rfc3339(writer.clock.now())}
    return await _change(writer, name, tenant=tenant, by=by, did="pause", paused=paused)


async def resume(writer: Writer, name: str, *, tenant: str, by: str) -> Record:
    """Let the jobs of a paused queue begin again."""
    return await _change(writer, name, tenant=tenant, by=by, did="resume", paused=None)


async def set_limits(
    writer: Writer,
    name: str,
    *,
    tenant: str,
    by: str,
    concurrency: int | None,
    rate_per_s: float | None,
) -> Record:
    """Bound a queue over all workers; None takes a bound away.

    Raises:
        InvalidInput: a bound is out of its range.
    """
    if concurrency is not None and not 1 <= concurrency <= CONCURRENCY_MAX:
        raise InvalidInput(field="concurrency", shape=shape_of(concurrency), reason=_CONCURRENCY)
    if rate_per_s is not None and not 0 < rate_per_s <= RATE_PER_S_MAX:
        raise InvalidInput(field="rate", shape=shape_of(rate_per_s), reason=_RATE)
    return await _change(
        writer, name, tenant=tenant, by=by, did="limit",
        concurrency=concurrency, rate_per_s=rate_per_s,
    )  # fmt: skip


async def _change(
    writer: Writer, name: str, *, tenant: str, by: str, did: str, **changed: Any
) -> Record:
    if not name.strip():
        raise InvalidInput(field="queue", shape=shape_of(name), reason=_NAME)
    identity = queue_id(tenant, name)
    for attempt in range(_RACES_MAX):
        try:
            head: Record | None = await writer.latest(tenant, identity)
        except NotFound:
            head = None
        said = {**((head.metadata or {}) if head else {}), **changed}
        draft = Draft(
            id=identity, seq=head.seq + 1 if head else 0, entity_type=QUEUE, who=by, did=did,
            this=f"queue {name}", name=name, status="active",
            metadata={key: value for key, value in said.items() if value is not None} or None,
        )  # fmt: skip
        try:
            (record,) = await writer.append([draft], tenant=tenant)
        except Conflict:
            if attempt == _RACES_MAX - 1:
                raise
            continue
        return record
    raise AssertionError("the loop returns or raises")


_NAME: Final = Text("diga o nome da fila", "give the name of the queue")
_CONCURRENCY: Final = Text(
    f"tem de ser de 1 a {CONCURRENCY_MAX}", f"must be from 1 to {CONCURRENCY_MAX}"
)
_RATE: Final = Text(
    f"tem de ser mais que 0 e até {RATE_PER_S_MAX:.0f} por segundo",
    f"must be more than 0 and at most {RATE_PER_S_MAX:.0f} a second",
)
