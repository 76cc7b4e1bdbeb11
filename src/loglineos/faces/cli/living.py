"""`logline up`: the node runs, the timeline is told live; it ends gracefully by Ctrl-C or SIGTERM."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Annotated, Any, Final

from cyclopts import Parameter

from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.engine import Engine, Role
from loglineos.faces.cli.acting import acting, roles_of, show_consequence
from loglineos.faces.cli.entities import reader_of
from loglineos.faces.cli.house import Demo, read_demo, tell_house, write_demo
from loglineos.faces.cli.observing import Observed, observed
from loglineos.faces.cli.prompts import ask_yes_meanwhile
from loglineos.faces.cli.records import record_document, record_line
from loglineos.faces.cli.render import styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Record
from loglineos.node import Node
from loglineos.runtime.genesis import WHO as GENESIS
from loglineos.runtime.genesis import write_rows

Many = Annotated[tuple[str, ...] | None, Parameter(negative=())]
_LAST: Final = 20
_LOOKED_AT: Final = 500
"""How far back the first lines are looked for."""
_BOOKKEEPING: Final = frozenset({"step", "policy_cursor", "boot_event"})
_A_LINE: Final = Filter(entity_type="logline")
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(
    session: Session,
    *,
    demo: Annotated[
        bool | None,
        Parameter(negative="--no-demo"),
        Text("com a casa de exemplo, ou sem ela, sem perguntar",
             "with the example house, or without it, without asking"),
    ] = None,
    role: Annotated[
        Many,
        Text("só este papel (pode repetir-se): worker, scheduler, policies, ledger; todos se faltar",
             "this role only (may be repeated): worker, scheduler, policies, ledger; all if left out"),
    ] = None,
    last: Annotated[
        int, Text("quantas linhas se mostram do que já aconteceu", "how many lines of the past are shown")
    ] = _LAST,
) -> None:  # fmt: skip
    """Run the node with a live timeline until it is stopped."""
    stop = asyncio.Event()
    roles = roles_of(role)
    with _stopped_by_signals(stop):
        async with session.node(announces=True) as node, observed(session, node) as seen:
            living = _live(session, node, demo=demo, last=last, roles=roles, seen=seen)
            running = asyncio.create_task(living)
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                running.cancel()
                await asyncio.gather(stopping, return_exceptions=True)
            with suppress(asyncio.CancelledError):
                await running
            session.note(_STOPPING_NOW)
    if session.as_json:
        session.emit({"event": "stopped"})


async def _live(
    session: Session, node: Node, *, demo: bool | None, last: int, roles: tuple[Role, ...],
    seen: Observed,
) -> None:  # fmt: skip
    size = await node.writer.log_size(session.tenant)
    if size is None:
        await node.found(session.tenant)
    async with _publishing(session, node):
        wants_house = await _wants_house(session, node, demo=demo)
        if wants_house:
            report = await tell_house(session, node)
            session.note(_TOLD, added=report.added, ghosts=report.ghosts)
        if roles:  # after the house, so that what its past says sets nothing off
            with suppress(LoglineError):  # told again, with what to do, by the engine
                await write_rows(node.writer, session.tenant)
        async with acting(session, node, roles, seen=seen) as opened:
            _head(session, node)
            await _tell(session, node, last=last, opened=opened if wants_house else None)


async def _tell(
    session: Session, node: Node, *, last: int, opened: asyncio.Future[Engine | None] | None
) -> None:
    """Tell the last lines and then what comes; a newcomer's house also shows a promise kept."""
    showing: asyncio.Task[None] | None = None
    if opened is not None:
        showing = asyncio.create_task(_show_consequence(session, node, opened))
    try:
        reader = reader_of(session, node)
        head = await reader.head()
        page = await reader.timeline(before=head.size, limit=_LOOKED_AT)
        past = [record for record in page.records if session.as_json or _is_told(record)]
        for record in reversed(past[: max(0, last)]):
            _show(session, record)
        following = head.size
        async with aclosing(reader.follow(from_position=following)) as records:  # type: ignore[type-var]
            async for record in records:
                if session.as_json or _is_told(record):
                    _show(session, record)
    finally:
        if showing is not None:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


async def _show_consequence(
    session: Session, node: Node, opened: asyncio.Future[Engine | None]
) -> None:
    if await opened is not None:
        await show_consequence(session, node)


async def _wants_house(session: Session, node: Node, *, demo: bool | None) -> bool:
    """Decide about the example house: as told; else asked once, of a person, on an empty node."""
    known = read_demo(session)
    if known.is_done or demo is False:
        return False
    is_cut_short = known.start is not None
    if demo or is_cut_short:
        return True
    if known.is_declined or not session.is_interactive:
        return False
    told = await reader_of(session, node).timeline(_A_LINE, limit=1)
    if told.records:
        return False
    if await ask_yes_meanwhile(session, _OFFER, default=True):
        return True
    write_demo(session, Demo(is_declined=True))
    return False


def _head(session: Session, node: Node) -> None:
    """Say where the node is and how to stop it: on stderr, or as the first event for programs."""
    settings = node.settings
    if session.as_json:
        session.emit(
            {
                "event": "started", "origin": settings.origin, "home": str(settings.home),
                "tenant": session.tenant, "embedded": node.database.is_embedded,
            }
        )  # fmt: skip
        return
    if session.options.quiet:
        return
    pairs: list[tuple[str, Any]] = [
        (session.text(_ORIGIN), settings.origin), (session.text(_HOME), settings.home),
        (session.text(_TENANT), session.tenant), (session.text(_STOP), "Ctrl-C"),
    ]  # fmt: skip
    session.err.print(styled(("● ", "green"), (session.text(_RUNNING), "bold")))
    session.err.print(facts(pairs))


def _is_told(record: Record) -> bool:
    """Tell whether a person wants to see it pass: not the bookkeeping of what runs."""
    return record.entity_type not in _BOOKKEEPING and record.who != GENESIS


def _show(session: Session, record: Record) -> None:
    if session.as_json:
        session.emit({"event": "record", "record": record_document(record, session.language)})
        return
    session.out.print(record_line(record, session), soft_wrap=True)
    session.out.file.flush()


@asynccontextmanager
async def _publishing(session: Session, node: Node) -> AsyncIterator[None]:
    """Sign checkpoints beside everything else; a refusal to sign is told, reading goes on."""
    publisher = node.publisher

    async def publish() -> None:
        await publisher.run(interval_s=node.settings.checkpoint_seconds)
        refusal = publisher.refusal
        if isinstance(refusal, LoglineError):
            told = Text(refusal.describe("pt"), refusal.describe("en"))
            session.warn(told)

    async def listen() -> None:
        async with aclosing(node.grown()) as grown:
            async for tenant in grown:
                publisher.wake([tenant])

    tasks = [asyncio.create_task(one, name="publishing") for one in (publish(), listen())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Ring `stop` when somebody asks the process to end."""
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


_OFFER: Final = Text(
    "O nó está vazio. Quer a casa de exemplo: 30 dias de hotel, loja e entregas (3000 linhas)?",
    "The node is empty. Do you want the example house: 30 days of a hotel, a shop and deliveries "
    "(3000 lines)?",
)
_TOLD: Final = Text(
    "a casa está contada: {added} linhas, {ghosts} fantasmas",
    "the house is told: {added} lines, {ghosts} ghosts",
)
_RUNNING: Final = Text("o nó está a correr", "the node is running")
_ORIGIN: Final = Text("origem", "origin")
_HOME: Final = Text("pasta de dados", "data folder")
_TENANT: Final = Text("casa", "tenant")
_STOP: Final = Text("parar", "stop")
_STOPPING_NOW: Final = Text("a parar…", "stopping…")
