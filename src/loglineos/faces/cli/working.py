"""`logline worker`: does what the queues hold, until SIGTERM or Ctrl-C."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Annotated, Final

from cyclopts import Parameter

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.session import Session
from loglineos.node import Node
from loglineos.services.queue.handlers import Handlers
from loglineos.services.queue.worker import Executor, Worker, WorkerSettings

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
    loop = asyncio.get_running_loop()
    async with session.node(announces=True) as node, node.work_pool() as pool:
        worker = Worker(
            node.writer, executor_of(node), pool=pool, clock=node.clock, entropy=node.entropy,
            name=worker_name(node), hints=node.grown, settings=settings,
            about={"host": socket.gethostname(), "pid": os.getpid()},
        )  # fmt: skip
        for number in _STOPPING:
            loop.add_signal_handler(number, worker.stop)
        try:
            _say(session, "started", worker, _STARTED)
            await worker.run()
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)
    _say(session, "stopped", worker, _STOPPED)


def executor_of(node: Node) -> Executor:
    """Return what runs the node's executions; without a runtime only its own handlers run."""
    found: Executor | None = getattr(node, "executor", None)
    return found if found is not None else Handlers()


def worker_name(node: Node) -> str:
    """Make a name that no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{node.entropy.bytes(3).hex()}"


def _say(session: Session, event: str, worker: Worker, text: Text) -> None:
    if session.as_json:
        session.emit({"event": event, "worker": worker.name, "ended": worker.ended})
    else:
        session.note(text, name=worker.name, ended=worker.ended)


_STARTED: Final = Text(
    "o trabalhador {name} começou; Ctrl-C para", "the worker {name} has begun; Ctrl-C stops it"
)
_STOPPED: Final = Text(
    "o trabalhador {name} parou; acabou {ended}", "the worker {name} has stopped; it ended {ended}"
)
_SLOTS: Final = Text(f"tem de ser de 1 a {_SLOTS_MAX}", f"must be from 1 to {_SLOTS_MAX}")
