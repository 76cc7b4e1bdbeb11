"""`logline db`: the schema of the database, its state, and its distribution on Citus."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

from typing import Annotated, Final

from rich.syntax import Syntax

from loglineos.base.language import Text
from loglineos.database.distribute import distribute as run_distribution
from loglineos.database.distribute import distribution_script
from loglineos.database.migrate import Status
from loglineos.database.migrate import status as read_status
from loglineos.faces.cli.prompts import require_yes
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table


async def migrate(session: Session) -> None:
    """Apply what waits, in order; opening a node does the same."""
    async with session.node(announces=True) as node:
        connection = await node.database.connect(None, name="admin")
        try:
            found = await read_status(connection)
        finally:
            await connection.close()
    _answer(session, found)


async def status(session: Session) -> None:
    """Show the migrations that are applied, and those that wait."""
    async with session.node() as node:
        connection = await node.database.connect(None, name="admin")
        try:
            found = await read_status(connection)
        finally:
            await connection.close()
    _answer(session, found)


async def distribute(
    session: Session,
    *,
    run: Annotated[bool, Text("executa; sem isto só mostra", "run it; without this only show it")] = False,
    yes: Annotated[bool, Text("sem perguntar", "without asking")] = False,
) -> None:  # fmt: skip
    """Show, or run, the reviewed SQL that distributes every growing table by tenant."""
    script = distribution_script()
    if not run:
        human = script if not session.out.is_terminal else Syntax(script, "sql", word_wrap=True)
        session.answer({"sql": script, "ran": False}, human)
        return
    require_yes(session, _HEAVY, yes=yes)
    async with session.node() as node:
        connection = await node.database.connect(None, name="admin")
        try:
            tables = await run_distribution(connection)
        finally:
            await connection.close()
    session.answer(
        {"sql": script, "ran": True, "tables": tables}, session.text(_DONE, n=len(tables))
    )


def _answer(session: Session, found: Status) -> None:
    rows = [(one.number, one.name, session.text(_APPLIED)) for one in found.applied]
    rows += [(one.number, one.name, session.text(_PENDING)) for one in found.pending]
    columns = [
        Column(title=_NUMBER, right=True), Column(title=_NAME, grows=True), Column(title=_STATE),
    ]  # fmt: skip
    document = {
        "applied": [{"number": one.number, "name": one.name} for one in found.applied],
        "pending": [{"number": one.number, "name": one.name} for one in found.pending],
        "fault": None if found.fault is None else found.fault.as_problem(session.language),
    }
    session.answer(
        document, lambda: table(columns, rows, language=session.language, width=session.width)
    )


_HEAVY: Final = Text(
    "as tabelas passam a estar repartidas pelos trabalhadores do Citus; faça antes uma cópia",
    "the tables will be spread over the workers of Citus; make a backup first",
)
_DONE: Final = Text("{n} tabelas distribuídas por casa", "{n} tables distributed by tenant")
_APPLIED: Final = Text("aplicada", "applied")
_PENDING: Final = Text("por aplicar", "pending")
_NUMBER: Final = Text("n.º", "no.")
_NAME: Final = Text("migração", "migration")
_STATE: Final = Text("estado", "state")
