"""Schedules as records: what runs, when, in which zone, and what of missed times is caught up.

    entity_type "schedule", name, cron, timezone, catch_up "none" | "last" | "all", input,
    metadata {function, queue, max_attempts, paused: {by, reason, at}}

Always holds: each change is a signed record of who made it; a firing has an id that follows from
the schedule and the instant, so it can never be made twice, whoever tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import Conflict, InvalidInput, NotFound, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.requests import DEFAULT_QUEUE, draft_request
from loglineos.runtime.ids import derived_id
from loglineos.services.definitions import Definitions
from loglineos.services.schedule.cron import Cron, cron_of

SCHEDULE: Final = "schedule"
CatchUp = Literal["none", "last", "all"]
CATCH_UPS: Final = ("none", "last", "all")
LATE_MAX: Final = timedelta(seconds=60)
"""How late a firing may be and still be on time: `none` catches up no more than that."""
CATCH_UP_MAX: Final = 1_000
"""How many missed firings `all` makes up for, the newest of them."""
BACKFILL_MAX: Final = 10_000
_RACES_MAX: Final = 8


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as its latest record says it."""

    record: Record
    cron: Cron
    catch_up: str
    function: str
    queue: str
    max_attempts: int
    paused: dict[str, Any] | None

    @property
    def id(self) -> UUID:
        """The id of its entity."""
        return self.record.id

    @property
    def runs(self) -> bool:
        """Whether it fires at all."""
        return self.record.status == "active" and self.paused is None

    def due(self, after: datetime, until: datetime) -> list[datetime]:
        """List the instants to fire now: those since `after`, as far as it catches up."""
        if self.catch_up == "all":
            return self.cron.newest_between(after, until, CATCH_UP_MAX)
        if self.catch_up == "none":
            after = max(after, until - LATE_MAX)
        last = self.cron.last_between(after, until)
        return [] if last is None else [last]


def schedule_of(record: Record) -> Schedule:
    """Read a schedule from its record.

    Raises:
        InvalidInput, UnknownName: it says something that cannot be read.
    """
    about = record.metadata or {}
    catch_up, paused = record.catch_up or "none", about.get("paused")
    if catch_up not in CATCH_UPS:
        raise UnknownName(field="catch_up", shape=repr(catch_up)[:60], known=", ".join(CATCH_UPS))
    function = about.get("function")
    if not isinstance(function, str) or not function:
        raise InvalidInput(field="function", shape=shape_of(function), reason=_FUNCTION)
    attempts = about.get("max_attempts")
    return Schedule(
        record=record,
        cron=cron_of(record.cron or "", record.timezone or "UTC"),
        catch_up=catch_up,
        function=function,
        queue=str(about.get("queue") or DEFAULT_QUEUE),
        max_attempts=attempts if isinstance(attempts, int) and attempts > 0 else 1,
        paused=paused if isinstance(paused, dict) else None,
    )


def firing_id(schedule: UUID, instant: datetime) -> UUID:
    """Return the id of the execution that one instant of a schedule is."""
    return derived_id("firing", str(schedule), rfc3339(instant))


def draft_firing(
    schedule: Schedule, instant: datetime, *, function: UUID, is_backfill: bool = False
) -> Draft:
    """Draft the execution that an instant of a schedule is."""
    record = schedule.record
    told = {"id": str(schedule.id), "name": record.name, "instant": rfc3339(instant)}
    return draft_request(
        id=firing_id(schedule.id, instant), function=function, name=schedule.function,
        who=f"schedule:{record.name}", input=record.input, queue=schedule.queue,
        max_attempts=schedule.max_attempts, cause=record, depth=0,
        metadata={"schedule": {**told, "backfill": True} if is_backfill else told},
    )  # fmt: skip


async def read_schedules(pool: Pool, tenant: str) -> list[Record]:
    """Return the latest record of each schedule of a tenant, by name."""
    definitions = Definitions(pool, SCHEDULE)
    await definitions.refresh([tenant])
    found = [record for record in definitions.of(tenant).values() if record.status == "active"]
    return sorted(found, key=lambda record: record.name or "")


async def find_schedule(pool: Pool, tenant: str, name: str) -> Record:
    """Return the latest record of the schedule of this name.

    Raises:
        NotFound: the tenant has none.
    """
    for record in await read_schedules(pool, tenant):
        if record.name == name or str(record.id) == name:
            return record
    raise NotFound(what=_SCHEDULE, which=name, remedy=_LIST)


async def add_schedule(
    writer: Writer,
    name: str,
    *,
    tenant: str,
    by: str,
    cron: str,
    timezone: str,
    function: str,
    input: Any = None,  # noqa: A002 - the record's own word
    queue: str = DEFAULT_QUEUE,
    catch_up: str = "none",
    max_attempts: int = 1,
) -> Record:
    """Define a schedule, or change the one of this name. It fires from the next instant on.

    Raises:
        InvalidInput, UnknownName: something cannot be read; nothing was written.
    """
    if not name.strip():
        raise InvalidInput(field="name", shape=shape_of(name), reason=_NAME)
    Cron(cron, timezone)
    if catch_up not in CATCH_UPS:
        raise UnknownName(field="catch_up", shape=repr(catch_up)[:60], known=", ".join(CATCH_UPS))
    for attempt in range(_RACES_MAX):
        try:
            head: Record | None = await find_schedule(writer.pool, tenant, name)
        except NotFound:
            head = None
        draft = Draft(
            id=head.id if head else derived_id(SCHEDULE, tenant, name),
            seq=head.seq + 1 if head else 0, entity_type=SCHEDULE, who=by, did="schedule",
            this=f"schedule {name}", name=name, status="active", cron=cron, timezone=timezone,
            catch_up=catch_up, input=input,
            metadata={"function": function, "queue": queue, "max_attempts": max_attempts},
        )  # fmt: skip
        try:
            (record,) = await writer.append([draft], tenant=tenant)
        except Conflict:
            if attempt == _RACES_MAX - 1:
                raise
            continue
        return record
    raise AssertionError("the loop returns or raises")


async def pause_schedule(
    writer: Writer, name: str, *, tenant: str, by: str, reason: str | None = None
) -> Record:
    """Let a schedule fire no more until it is resumed; what it misses is not caught up."""
    paused = {"by": by, "reason": reason, "at": rfc3339(writer.clock.now())}
    return await _change(writer, name, tenant=tenant, by=by, did="pause", paused=paused)


async def resume_schedule(writer: Writer, name: str, *, tenant: str, by: str) -> Record:
    """Let a paused schedule fire again, from its next instant on."""
    return await _change(writer, name, tenant=tenant, by=by, did="resume", paused=None)


async def _change(
    writer: Writer, name: str, *, tenant: str, by: str, did: str, **changed: Any
) -> Record:
    head = await find_schedule(writer.pool, tenant, name)
    said = {**(head.metadata or {}), **changed}
    draft = Draft(
        id=head.id, seq=head.seq + 1, entity_type=SCHEDULE, who=by, did=did, this=head.this,
        name=head.name, description=head.description, status="active", cron=head.cron,
        timezone=head.timezone, catch_up=head.catch_up, input=head.input, owner_id=head.owner_id,
        visibility=head.visibility, shared_with=head.shared_with,
        metadata={key: value for key, value in said.items() if value is not None},
    )  # fmt: skip
    (record,) = await writer.append([draft], tenant=tenant)
    return record


def backfilled(schedule: Schedule, since: datetime, until: datetime) -> Sequence[datetime]:
    """List the instants from `since` on and before `until`, for a backfill.

    Raises:
        InvalidInput: there are more than BACKFILL_MAX.
    """
    found = []
    for instant in schedule.cron.after(since - timedelta(microseconds=1)):
        if instant >= until:
            break
        found.append(instant)
        if len(found) > BACKFILL_MAX:
            raise InvalidInput(field="until", shape=rfc3339(until), reason=_TOO_MANY)
    return found


_SCHEDULE: Final = Text("agendamento", "schedule")
_LIST: Final = Text(
    "`logline cron list` mostra os que há", "`logline cron list` shows those there are"
)
_NAME: Final = Text("diga o nome do agendamento", "give the name of the schedule")
_FUNCTION: Final = Text("diga que função corre", "say which function runs")
_TOO_MANY: Final = Text(
    f"são mais de {BACKFILL_MAX} vezes; faça-o por partes",
    f"it would fire more than {BACKFILL_MAX} times; do it in parts",
)
