"""The engine beside a command that stays: it acts while the command shows, and ends before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

from loglineos.base.errors import LoglineError, Unexpected, UnknownName
from loglineos.base.language import Text
from loglineos.engine import ROLES, Engine, Role, open_engine
from loglineos.faces.cli.observing import Observed
from loglineos.faces.cli.session import Session
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.record import Draft
from loglineos.node import Node
from loglineos.runtime.consequence.consequences import NAME as CONSEQUENCES
from loglineos.runtime.following import Cursors, Log

LEDGER: Final = "ledger"
"""The role of a node that only records, proves and tells."""


def roles_of(given: Collection[str] | None) -> tuple[Role, ...]:
    """Return the roles of an engine: all of them unless some are named; `ledger` names none.

    Raises:
        UnknownName: there is no such role.
    """
    if not given:
        return tuple(ROLES)
    known = (*ROLES, LEDGER)
    for one in given:
        if one not in known:
            raise UnknownName(field="--role", shape=repr(one)[:40], known=", ".join(known))
    return cast("tuple[Role, ...]", tuple(one for one in ROLES if one in given))


@asynccontextmanager
async def acting(
    session: Session, node: Node, roles: Collection[Role], *, seen: Observed
) -> AsyncIterator[asyncio.Future[Engine | None]]:
    """Let the node act in these roles for the time of the block; what was begun ends with it.

    Gives a future of the engine once it acts; None where this machine cannot run code of the house
    (a layer of the sandbox is missing): then the node records, proves and tells all the same.
    """
    stop = asyncio.Event()
    opened: asyncio.Future[Engine | None] = asyncio.get_running_loop().create_future()

    async def act() -> None:
        try:
            async with open_engine(node, observer=seen.observer) as engine:
                seen.engine = engine
                await engine.consequences().begin(session.tenant)
                if not opened.done():
                    opened.set_result(engine)
                await engine.run(stop, roles=roles)
        except Exception as cause:  # noqa: BLE001 - the node stays, and says that it acts no more
            failure = (
                cause if isinstance(cause, LoglineError) else Unexpected(kind=type(cause).__name__)
            )
            session.warn(Text(failure.describe("pt"), failure.describe("en")))
            session.warn(Text(failure.advise("pt"), failure.advise("en")))
        finally:
            if not opened.done():
                opened.set_result(None)

    if "policies" in roles:
        await _begin(session, node)
    task = asyncio.create_task(act(), name="engine") if roles else None
    if task is None:
        opened.set_result(None)
    try:
        yield opened
    finally:
        stop.set()
        if task is not None:
            if not opened.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _begin(session: Session, node: Node) -> None:
    """Take the place from which on promises are kept before anybody is told that the node runs.

    The engine opens for some seconds; a line that is added meanwhile is not of the past.
    """
    with suppress(LoglineError):  # told again, with what to do, by the engine
        size = await Log(node.reader_pool).size(session.tenant)
        async with node.work_pool() as work:
            await Cursors(work, clock=node.clock).begin(session.tenant, CONSEQUENCES, size)


async def show_consequence(session: Session, node: Node) -> None:
    """Let a newcomer see a promise kept: a delivery, confirmed, whose receipt the house sends."""
    draft = Draft(
        who="joao", did="registrar_entrega", this="pedido 900 no quarto 204", confirmed_by="lidia",
        if_ok="enviar recibo", if_doubt="pedir verificação", if_not="abrir incidente",
        status="valid", type="human", at=node.clock.now(),
    )  # fmt: skip
    (record,) = await node.writer.append([draft], tenant=session.tenant)
    await make_gesture(node.writer, "confirm", record.id, tenant=session.tenant, by="lidia")
