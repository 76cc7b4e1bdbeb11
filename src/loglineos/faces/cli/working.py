"""`logline worker`: does what the queues hold, until SIGTERM or Ctrl-C."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import asyncio
import signal
from typing import Annotated, Final

from cyclopts import Parameter

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.engine import Role, open_engine
from loglineos.faces.cli.observing import observed
from loglineos.faces.cli.session import Session
from loglineos.services.queue.worker import WorkerSettings

_ROLES: Final[tuple[Role, ...]] = ("worker",)
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLOTS_MAX: Final = 10_000
Many = Annotated[tuple[str, ...] | None, Parameter(negative=())]


async def work(
    session: Session,
    *,
    queue: Annotated[Many, Text("só desta fila (pode repetir-se); todas se faltar", "of this queue only (may be repeated); all if left out")] = None,
    slots: Annotated[int, Text("quantas correm ao mesmo tempo", "how many run at once")] = 64,
    drain: Annotated[float, Text("segundos para acabar o que começou, ao parar", "seconds to end what was begun, when stopped")] = 25.0,
) -> None:  # fmt: skip
    """Work on the jobs of every tenant of the node."""
    if not 1 <= slots <= _SLOTS_MAX:
        raise InvalidInput(field="slots", shape=shape_of(slots), reason=_SLOTS)
    settings = WorkerSettings(slots=slots, drain_s=max(0.0, drain), queues=queue or None)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop.set)
    try:
        async with (
            session.node(announces=True) as node,
            observed(session, node) as seen,
            open_engine(node, observer=seen.observer) as engine,
        ):
            seen.engine = engine
            _say(session, "started", engine.name, 0, _STARTED)
            ended = await engine.run(stop, roles=_ROLES, settings=settings)
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)
    _say(session, "stopped", engine.name, ended, _STOPPED)


def _say(session: Session, event: str, name: str, ended: int, text: Text) -> None:
    if session.as_json:
        session.emit({"event": event, "worker": name, "ended": ended})
    else:
        session.note(text, name=name, ended=ended)


_STARTED: Final = Text(
    "o trabalhador {name} começou; Ctrl-C para", "the worker {name} has begun; Ctrl-C stops it"
)
_STOPPED: Final = Text(
    "o trabalhador {name} parou; acabou {ended}", "the worker {name} has stopped; it ended {ended}"
)
_SLOTS: Final = Text(f"tem de ser de 1 a {_SLOTS_MAX}", f"must be from 1 to {_SLOTS_MAX}")
