"""`logline wrap -- CMD…`: a command as an act. The command always runs; its record is never lost.

The record goes to the spool first (on disk, before the command begins); the ledger gets it from
there as soon as it can be reached, at the latest at the next start of the node.
"""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from loglineos.base.clock import SystemClock
from loglineos.base.errors import InvalidInput, LoglineError
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.faces.cli.session import Session, encode
from loglineos.ledger.intake.ingest import ingest
from loglineos.ledger.intake.spool import Spool, drain_spool
from loglineos.ledger.intake.wrap import (
    TAIL_BYTES,
    WrapResult,
    finish_draft,
    run_wrapped,
    start_draft,
)
from loglineos.ledger.record import Draft
from loglineos.node import open_node

SETTLE_S_MAX: Final = 8.0
"""How long the end of the command waits for the ledger before the spool keeps the record."""


async def wrap(
    session: Session,
    *command: Annotated[
        str, Text("o comando e os seus argumentos, depois de --", "the command and its arguments, after --"),
        Parameter(allow_leading_hyphen=True),
    ],
    did: Annotated[str, Text("o que se faz", "what is done")] = "run_command",
    this: Annotated[str | None, Text("a quê; o comando, se não se diz", "to what; the command when not said")] = None,
    confirmed_by: Annotated[str, Text("a testemunha", "the witness")] = "operating_system",
    if_ok: Annotated[str, Text("o que segue se correr bem", "what follows if it goes well")] = "go_on",
    if_doubt: Annotated[str, Text("o que segue se houver dúvida", "what follows if in doubt")] = "ask_the_operator",
    if_not: Annotated[str, Text("o que segue se falhar", "what follows if it fails")] = "alert_the_operator",
    tail: Annotated[bool, Text("guarda o fim do que o comando escreveu", "keep the end of what the command wrote")] = False,
) -> int:  # fmt: skip
    """Run a command, and record how it began and how it ended; its exit status becomes ours."""
    if not command:
        raise InvalidInput(field="wrap", shape="null", reason=_NO_COMMAND, remedy=_EXAMPLE)
    clock = SystemClock()
    started = start_draft(
        command, who=session.actor, id=uuid7(), at=clock.now(), tenant=session.tenant, did=did,
        confirmed_by=confirmed_by, if_ok=if_ok, if_doubt=if_doubt, if_not=if_not,
    )  # fmt: skip
    if this is not None:
        started = msgspec.structs.replace(started, this=this)
    spool = Spool(session.settings.spool_folder, tenant=session.tenant)
    is_kept = _spool(session, spool, started)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    recording = asyncio.create_task(_record(session, started, ended))
    result = await run_wrapped(command, capture_bytes_max=TAIL_BYTES if tail else 0)
    is_kept &= _spool(session, spool, finish_draft(started, result=result, at=clock.now()))
    with suppress(OSError):  # already told, when what is to be closed could not be written
        spool.close()
    ended.set_result(None)
    problem = await _settled(recording)
    _tell(session, started, result, problem, is_kept=is_kept)
    return result.exit_status


def _spool(session: Session, spool: Spool, draft: Draft) -> bool:
    """Keep a draft on disk; a disk that refuses must not keep the command from running."""
    try:
        spool.write([draft])
    except (OSError, LoglineError) as failure:
        session.warn(_NOT_SPOOLED, reason=type(failure).__name__)
        return False
    return True


async def _record(session: Session, started: Draft, ended: asyncio.Future[None]) -> None:
    """Append the start while the command runs, and, when it has ended, all that is in the spool."""
    async with open_node(session.settings) as node:
        await ingest(node.writer, [started], tenant=session.tenant)
        await ended
        await drain_spool(node.writer, session.settings.spool_folder)


async def _settled(recording: asyncio.Task[None]) -> str | None:
    """Wait a bounded time for the record; return why it stays in the spool, None when it does not."""
    try:
        await asyncio.wait_for(recording, SETTLE_S_MAX)
    except TimeoutError:
        return "timeout"
    except LoglineError as failure:
        return failure.code
    except Exception as failure:  # noqa: BLE001 - whatever it is, the command's own end counts
        return type(failure).__name__
    return None


def _tell(
    session: Session, started: Draft, result: WrapResult, problem: str | None, *, is_kept: bool
) -> None:
    """Tell about the record on stderr: stdout is the command's."""
    if session.as_json:
        document: dict[str, Any] = {
            "id": started.id, "exit_status": result.exit_status, "signal": result.signal,
            "duration_ms": result.duration_ms, "recorded": problem is None, "problem": problem,
        }  # fmt: skip
        with suppress(OSError):
            sys.stderr.write(encode(document) + "\n")
    elif problem is not None:
        told = _WAITS if is_kept else _LOST
        session.warn(told, folder=session.settings.spool_folder, reason=problem)
    if result.problem is not None and not session.as_json:
        session.warn(result.problem)


_NO_COMMAND: Final = Text("falta o comando", "the command is missing")
_EXAMPLE: Final = Text("p. ex. logline wrap -- make test", "e.g. logline wrap -- make test")
_NOT_SPOOLED: Final = Text(
    "o registo deste comando não coube no disco: {reason}",
    "the record of this command could not be put on disk: {reason}",
)
_LOST: Final = Text(
    "o nó não respondeu ({reason}) e o disco não aceitou o registo: falta um começo ou um fim",
    "the node did not answer ({reason}) and the disk did not take the record: a start or end is lost",
)
_WAITS: Final = Text(
    "o nó não respondeu ({reason}); o registo espera em {folder} e entra no próximo arranque",
    "the node did not answer ({reason}); the record waits in {folder} and enters at the next start",
)
