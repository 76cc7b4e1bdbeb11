"""`logline cron`: what runs at set times."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

from rich.console import Group
from rich.text import Text as Styled

from loglineos.base.clock import rfc3339
from loglineos.base.errors import InvalidInput, LoglineError, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.render import local_time, one_line, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.ledger.intake.escapes import read_json
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import Record
from loglineos.services.schedule.cron import Cron
from loglineos.services.schedule.scheduler import backfill
from loglineos.services.schedule.schedules import (
    add_schedule,
    find_schedule,
    pause_schedule,
    read_schedules,
    resume_schedule,
    schedule_of,
)

CatchUp = Literal["none", "last", "all"]
_COUNT_MAX: Final = 1_000


async def add_cron(
    session: Session,
    name: Annotated[str, Text("o nome do agendamento", "the name of the schedule")],
    cron: Annotated[str, Text("minuto hora dia mês dia-da-semana", "minute hour day month weekday")],
    function: Annotated[str, Text("a função que corre", "the function that runs")],
    /,
    *,
    zone: Annotated[str | None, Text("o fuso; o da casa se faltar", "the time zone; the house's if left out")] = None,
    input: Annotated[str | None, Text("a entrada, em JSON", "the input, as JSON")] = None,  # noqa: A002
    queue: Annotated[str, Text("em que fila", "in which queue")] = "default",
    catch_up: Annotated[CatchUp, Text("das vezes perdidas: nenhuma, a última, todas (as 1000 mais novas)", "of missed times: none, the last, all (the newest 1000)")] = "none",
    max_attempts: Annotated[int, Text("quantas tentativas", "how many attempts")] = 1,
) -> None:  # fmt: skip
    """Have a function run at set times, from the next one on."""
    given = None
    if input is not None:
        reading = read_json(input.encode("utf-8", "surrogateescape"))
        if reading.problem is not None:
            raise InvalidInput(field="input", shape=shape_of(input), reason=_JSON)
        given = reading.value
    async with session.node() as node:
        record = await add_schedule(
            node.writer, name, tenant=session.tenant, by=session.actor, cron=cron,
            timezone=zone or session.settings.timezone, function=function, input=given,
            queue=queue, catch_up=catch_up, max_attempts=max_attempts,
        )  # fmt: skip
        now = node.clock.now()
    _answer(session, record, _ADDED, now)


async def list_crons(session: Session) -> None:
    """List the schedules of the house, each with its next time."""
    async with session.node() as node:
        records = await read_schedules(node.reader_pool, session.tenant)
        now = node.clock.now()
    rows = [_row(record, now) for record in records]
    columns = [
        Column(title=_NAME, grows=True), Column(title=_CRON), Column(title=_NEXT),
        Column(title=_FUNCTION, grows=True), Column(title=_ZONE, width_min=80),
        Column(title=_CATCH_UP, width_min=90),
    ]  # fmt: skip

    def cells(row: dict[str, Any]) -> tuple[Any, ...]:
        if row["error"] is not None:
            when: Any = styled((one_line(row["error"]), "red"))
        elif row["paused"] is not None:
            when = styled((session.text(_IS_PAUSED), "yellow"))
        else:
            when = _local(session, row["next"])
        return row["name"], row["cron"], when, row["function"], row["timezone"], row["catch_up"]

    session.answer(
        {"tenant": session.tenant, "schedules": rows},
        lambda: (
            table(columns, map(cells, rows), language=session.language, width=session.width)
            if rows
            else styled((session.text(_NOTHING), "dim"))
        ),
    )


async def next_times(
    session: Session,
    which: Annotated[str, Text("o nome de um agendamento, ou uma expressão", "the name of a schedule, or an expression")],
    /,
    *,
    count: Annotated[int, Text("quantas vezes", "how many times")] = 5,
    zone: Annotated[str | None, Text("o fuso, para uma expressão", "the time zone, for an expression")] = None,
) -> None:  # fmt: skip
    """Show when a schedule, or an expression, comes next."""
    if not 1 <= count <= _COUNT_MAX:
        raise InvalidInput(field="count", shape=shape_of(count), reason=_COUNT)
    async with session.node() as node:
        now = node.clock.now()
        try:
            record = await find_schedule(node.reader_pool, session.tenant, which)
        except NotFound:
            if len(which.split()) == 1 and not which.startswith("@"):
                raise
            cron = Cron(which, zone or session.settings.timezone)
        else:
            cron = schedule_of(record).cron
    times = list(islice(cron.after(now), count))
    document = {
        "cron": cron.expression, "timezone": str(cron.zone), "next": [rfc3339(t) for t in times],
    }  # fmt: skip
    lines = [Styled(f"{local_time(t, cron.zone)}  {t.astimezone(cron.zone):%Z}") for t in times]
    session.answer(document, Group(*(lines or [styled((session.text(_NEVER), "yellow"))])))


async def pause_cron(
    session: Session,
    name: Annotated[str, Text("o nome do agendamento", "the name of the schedule")],
    /,
    *,
    reason: Annotated[str | None, Text("porquê", "why")] = None,
) -> None:  # fmt: skip
    """Let a schedule fire no more until it is resumed."""
    async with session.node() as node:
        record = await pause_schedule(
            node.writer, name, tenant=session.tenant, by=session.actor, reason=reason
        )
        now = node.clock.now()
    _answer(session, record, _PAUSED, now)


async def resume_cron(
    session: Session,
    name: Annotated[str, Text("o nome do agendamento", "the name of the schedule")],
    /,
) -> None:  # fmt: skip
    """Let a paused schedule fire again."""
    async with session.node() as node:
        record = await resume_schedule(node.writer, name, tenant=session.tenant, by=session.actor)
        now = node.clock.now()
    _answer(session, record, _ADDED, now)


async def backfill_cron(
    session: Session,
    name: Annotated[str, Text("o nome do agendamento", "the name of the schedule")],
    /,
    *,
    since: Annotated[str, Text("desde: data, hora, 3d, ontem", "since: date, time, 3d, yesterday")],
    until: Annotated[str, Text("até (exclusive)", "until (exclusive)")] = "now",
) -> None:  # fmt: skip
    """Make the executions of a period; an instant that was fired before is not fired again."""
    async with session.node() as node:
        now, zone = node.clock.now(), session.settings.zone
        record = await find_schedule(node.reader_pool, session.tenant, name)
        size = await node.writer.log_size(session.tenant) or 0
        made = await backfill(
            node.writer, record, tenant=session.tenant,
            since=instant_of(since, now=now, zone=zone, field="since"),
            until=instant_of(until, now=now, zone=zone, field="until"),
        )  # fmt: skip
    fresh = [one for one in made if (one.position or 0) >= size]
    document = {
        "schedule": name, "instants": len(made), "fired": len(fresh),
        "executions": [str(one.id) for one in made],
    }  # fmt: skip
    text = session.text(_BACKFILLED, count=len(made), fresh=len(fresh))
    session.answer(document, text)


def _row(record: Record, now: datetime) -> dict[str, Any]:
    about = record.metadata or {}
    row: dict[str, Any] = {
        "name": record.name, "cron": record.cron, "timezone": record.timezone,
        "function": about.get("function"), "queue": about.get("queue"),
        "catch_up": record.catch_up, "paused": about.get("paused"), "input": record.input,
        "position": record.position, "next": None, "error": None,
    }  # fmt: skip
    try:
        schedule = schedule_of(record)
    except LoglineError as fault:
        return {**row, "error": fault.describe("en")}
    following = schedule.cron.next_after(now) if schedule.runs else None
    return {**row, "next": rfc3339(following) if following is not None else None}


def _answer(session: Session, record: Record, text: Text, now: datetime) -> None:
    row = _row(record, now)
    told = session.text(text, name=one_line(record.name), next=_local(session, row["next"]))
    session.answer(row, told)


def _local(session: Session, instant: str | None) -> str:
    if instant is None:
        return "—"
    return local_time(datetime.fromisoformat(instant), session.settings.zone)


_NAME: Final = Text("nome", "name")
_CRON: Final = Text("quando", "when")
_NEXT: Final = Text("a seguir", "next")
_FUNCTION: Final = Text("função", "function")
_ZONE: Final = Text("fuso", "zone")
_CATCH_UP: Final = Text("repõe", "catches up")
_IS_PAUSED: Final = Text("parado", "paused")
_NOTHING: Final = Text("nada", "nothing")
_NEVER: Final = Text("nunca", "never")
_ADDED: Final = Text("{name}: a próxima vez é {next}", "{name}: comes next at {next}")
_PAUSED: Final = Text("{name} está parado", "{name} is paused")
_BACKFILLED: Final = Text(
    "{count} vezes nesse período, {fresh} pedidas agora",
    "{count} times in that period, {fresh} asked for now",
)
_JSON: Final = Text("não é JSON", "it is no JSON")
_COUNT: Final = Text(f"tem de ser de 1 a {_COUNT_MAX}", f"must be from 1 to {_COUNT_MAX}")
