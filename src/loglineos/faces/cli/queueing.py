"""`logline queue`: what waits to run, what failed, and how much may run at once."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from rich.console import Group

from loglineos.base.clock import rfc3339
from loglineos.base.errors import InvalidInput
from loglineos.base.language import Text
from loglineos.faces.cli.entities import find
from loglineos.faces.cli.records import record_document, record_line
from loglineos.faces.cli.render import local_time, one_line, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import Record
from loglineos.runtime.execution.lives import retry
from loglineos.services.queue.overview import (
    ENDS,
    QueueState,
    WorkerState,
    count_ends,
    list_ended,
    list_workers,
    queue_states,
)
from loglineos.services.queue.settings import QueueSettings, pause, resume, set_limits, settings_of

_REQUEUED_MAX: Final = 10_000


async def list_queues(session: Session) -> None:
    """List the queues of the house with what they hold and what limits them."""
    async with session.node() as node:
        found = await queue_states(node.reader_pool, session.tenant, now=node.clock.now())
    columns = [
        Column(title=_QUEUE, grows=True), Column(title=_READY, right=True),
        Column(title=_RUNNING, right=True), Column(title=_LATER, right=True),
        Column(title=_WAITING, right=True), Column(title=_LIMITS, grows=True, width_min=60),
        Column(title=_SINCE, width_min=80),
    ]  # fmt: skip
    cells = [
        (
            one.name, one.ready, one.running, one.later, one.waiting, _limits(session, one.settings),
            _time(session, one.oldest),
        )
        for one in found
    ]  # fmt: skip
    document = {"tenant": session.tenant, "queues": [_state(one) for one in found]}
    session.answer(
        document,
        lambda: (
            table(columns, cells, language=session.language, width=session.width)
            if cells
            else styled((session.text(_NOTHING), "dim"))
        ),
    )


async def queue_stats(
    session: Session,
    *,
    since: Annotated[str, Text("desde: data, hora, 2h, 3d, hoje, ontem", "since: date, time, 2h, 3d, today, yesterday")] = "24h",
) -> None:  # fmt: skip
    """Show how executions ended since then, by queue, and which workers live."""
    async with session.node() as node:
        now = node.clock.now()
        moment = instant_of(since, now=now, zone=session.settings.zone, field="since")
        ends = await count_ends(node.reader_pool, session.tenant, since=moment)
        workers = await list_workers(node.reader_pool, session.tenant, now=now)
    document = {
        "tenant": session.tenant, "since": rfc3339(moment), "ended": ends,
        "workers": [_worker(one) for one in workers],
    }  # fmt: skip
    session.answer(document, lambda: _stats(session, ends, workers))


async def dead_letters(
    session: Session,
    *,
    queue: Annotated[str | None, Text("só desta fila", "of this queue only")] = None,
    errors: Annotated[bool, Text("também o que falhou sem mais tentativas previstas", "also what failed without further attempts foreseen")] = False,
    limit: Annotated[int, Text("quantas linhas", "how many lines")] = 50,
) -> None:  # fmt: skip
    """List executions that ran out of attempts, newest first, each with its error."""
    async with session.node() as node:
        found = await list_ended(
            node.reader_pool, session.tenant, ends=_failed(errors=errors), queue=queue,
            limit=max(1, min(limit, _REQUEUED_MAX)),
        )  # fmt: skip
    document = {"executions": [record_document(one, session.language) for one in found]}

    def human() -> Group:
        lines: list[Any] = []
        for one in found:
            lines += [record_line(one, session), styled((f"          {_error(one)}", "red"))]
        return Group(*(lines or [styled((session.text(_NOTHING), "dim"))]))

    session.answer(document, human)


async def requeue_executions(
    session: Session,
    which: Annotated[str | None, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")] = None,
    /,
    *,
    all: Annotated[bool, Text("todas as que esgotaram as tentativas", "all that ran out of attempts")] = False,  # noqa: A002
    queue: Annotated[str | None, Text("com --all: só desta fila", "with --all: of this queue only")] = None,
    errors: Annotated[bool, Text("com --all: também os erros", "with --all: errors too")] = False,
) -> None:  # fmt: skip
    """Put failed executions into their queues again; their attempts count from the beginning."""
    if (which is None) is not all:
        raise InvalidInput(field="id", shape=repr(which), reason=_WHICH)
    async with session.node() as node:
        if which is not None:
            heads = [await find(session, node, which)]
        else:
            heads = await list_ended(
                node.reader_pool, session.tenant, ends=_failed(errors=errors), queue=queue,
                limit=_REQUEUED_MAX,
            )  # fmt: skip
        made = [
            await retry(node.writer, head, tenant=session.tenant, by=session.actor)
            for head in heads
        ]
    document = {"executions": [{"id": str(one.id), "seq": one.seq} for one in made]}
    session.answer(document, session.text(_REQUEUED, count=len(made)))


async def pause_queue(
    session: Session,
    name: Annotated[str, Text("a fila; `*` é a casa inteira", "the queue; `*` is the whole tenant")],
    /,
    *,
    reason: Annotated[str | None, Text("porquê", "why")] = None,
) -> None:  # fmt: skip
    """Let nothing more begin in a queue."""
    async with session.node() as node:
        record = await pause(
            node.writer, name, tenant=session.tenant, by=session.actor, reason=reason
        )
    _answer(session, record, _PAUSED)


async def resume_queue(
    session: Session,
    name: Annotated[str, Text("a fila; `*` é a casa inteira", "the queue; `*` is the whole tenant")],
    /,
) -> None:  # fmt: skip
    """Let a paused queue go on."""
    async with session.node() as node:
        record = await resume(node.writer, name, tenant=session.tenant, by=session.actor)
    _answer(session, record, _RESUMED)


async def limit_queue(
    session: Session,
    name: Annotated[str, Text("a fila; `*` é a casa inteira", "the queue; `*` is the whole tenant")],
    /,
    *,
    concurrency: Annotated[int | None, Text("quantas ao mesmo tempo", "how many at once")] = None,
    rate: Annotated[float | None, Text("quantas começam por segundo", "how many begin a second")] = None,
) -> None:  # fmt: skip
    """Bound a queue over all workers together; an option left out takes its bound away."""
    async with session.node() as node:
        record = await set_limits(
            node.writer, name, tenant=session.tenant, by=session.actor, concurrency=concurrency,
            rate_per_s=rate,
        )  # fmt: skip
    _answer(session, record, _LIMITED)


def _answer(session: Session, record: Record, text: Text) -> None:
    told = settings_of(record)
    document = {**msgspec.to_builtins(told), "position": record.position}
    session.answer(
        document, session.text(text, queue=one_line(told.name), limits=_limits(session, told))
    )


def _failed(*, errors: bool) -> tuple[str, ...]:
    return ("dead", "error") if errors else ("dead",)


def _state(one: QueueState) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(one)
    for name in ("oldest", "next_due"):
        value = getattr(one, name)
        document[name] = rfc3339(value) if value is not None else None
    return document


def _worker(one: WorkerState) -> dict[str, Any]:
    times = {"started_at": rfc3339(one.started_at), "seen_at": rfc3339(one.seen_at)}
    return {"name": one.name, **times, "leases": one.leases, "about": one.about}


def _stats(session: Session, ends: dict[str, dict[str, int]], workers: list[WorkerState]) -> Group:
    columns = [
        Column(title=_QUEUE, grows=True),
        *(Column(title=Text(name, name), right=True) for name in ENDS),
    ]
    cells = [(queue, *(found.get(name, 0) for name in ENDS)) for queue, found in ends.items()]
    parts: list[Any] = []
    if cells:
        parts.append(table(columns, cells, language=session.language, width=session.width))
    who = [
        Column(title=_WORKER, grows=True), Column(title=_LEASES, right=True),
        Column(title=_IN_HAND, right=True), Column(title=_SEEN, width_min=60),
    ]  # fmt: skip
    rows = [
        (one.name, one.leases, one.about.get("in_hand"), _time(session, one.seen_at))
        for one in workers
    ]
    if rows:
        parts.append(table(who, rows, language=session.language, width=session.width))
    else:
        parts.append(styled((session.text(_NOBODY), "yellow")))
    return Group(*parts)


def _limits(session: Session, told: QueueSettings) -> str:
    parts = []
    if told.paused is not None:
        parts.append(session.text(_IS_PAUSED, by=one_line(told.paused.get("by") or "?")))
    if told.concurrency is not None:
        parts.append(session.text(_AT_ONCE, count=told.concurrency))
    if told.rate_per_s is not None:
        parts.append(session.text(_A_SECOND, count=f"{told.rate_per_s:g}"))
    return ", ".join(parts) or session.text(_NO_LIMITS)


def _error(record: Record) -> str:
    error = record.error if isinstance(record.error, dict) else {}
    return one_line(f"{error.get('code', '?')}: {error.get('message', '')}")[:200]


def _time(session: Session, instant: datetime | None) -> str | None:
    return None if instant is None else local_time(instant, session.settings.zone)


_QUEUE: Final = Text("fila", "queue")
_READY: Final = Text("prontas", "ready")
_RUNNING: Final = Text("em curso", "running")
_LATER: Final = Text("para depois", "later")
_WAITING: Final = Text("à espera", "waiting")
_LIMITS: Final = Text("limites", "limits")
_SINCE: Final = Text("a mais antiga", "oldest")
_WORKER: Final = Text("trabalhador", "worker")
_LEASES: Final = Text("desta casa", "of this tenant")
_IN_HAND: Final = Text("em mãos", "in hand")
_SEEN: Final = Text("visto", "seen")
_NOTHING: Final = Text("nada", "nothing")
_NOBODY: Final = Text(
    "ninguém trabalha: `logline up` ou `logline worker`",
    "nobody works: `logline up` or `logline worker`",
)
_IS_PAUSED: Final = Text("parada por {by}", "paused by {by}")
_AT_ONCE: Final = Text("{count} ao mesmo tempo", "{count} at once")
_A_SECOND: Final = Text("{count} por segundo", "{count} a second")
_NO_LIMITS: Final = Text("sem limites", "no limits")
_PAUSED: Final = Text("a fila {queue} está parada", "the queue {queue} is paused")
_RESUMED: Final = Text("a fila {queue} anda: {limits}", "the queue {queue} goes on: {limits}")
_LIMITED: Final = Text("a fila {queue}: {limits}", "the queue {queue}: {limits}")
_REQUEUED: Final = Text("{count} de volta à fila", "{count} in their queues again")
_WHICH: Final = Text("diga qual, ou --all", "say which, or --all")
