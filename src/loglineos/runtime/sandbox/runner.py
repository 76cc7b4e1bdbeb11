"""The runner: a process of its own, without secrets, that drives the engines for the host.

Started by `runners.py` with an empty environment. It loads its code, puts itself behind the layers
of the operating system, and only then reads: one socket and one thread for each session, so that a
turn costs no hand-over between threads. It ends with the host, and its workers end with it.

Always holds: nothing a program gives is run, imported, opened or told to anybody but the host.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

import msgspec
import opentelemetry.context  # noqa: F401 - the engine's client wants it at its first run, too late

from loglineos.runtime.sandbox import frames, jail_launcher
from loglineos.runtime.sandbox.frames import BatchText, Fault, Ready, Reply, Request
from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.lint import rules
from loglineos.runtime.sandbox.python_engine import (
    OutOfTurn,
    PythonEngine,
    PythonSession,
    SnapshotRefused,
    WorkerGone,
)
from loglineos.runtime.sandbox.turns import Completed, Failed, Program, ProgramError


class RunnerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner is told on its command line; no secret is in it."""

    control: int
    lanes: tuple[int, ...]
    engine_path: str
    javascript_folder: str | None = None
    """Where the host keeps the compiled JavaScript machine; it may be read from behind the jail."""
    jail: dict[str, Any] | None
    parent: int


class PureEngine(Protocol):
    """What an engine without effects offers; the JavaScript engine is one (`JavaScript`)."""

    def run_pure(self, program: Program, value: Any, limits: RunLimits) -> Completed | Failed:
        """Call the entry once on a plain value."""
        ...

    def evaluate(
        self, program: Program, spans: str, limits: RunLimits, *, explain: bool = False
    ) -> BatchText | Failed:
        """Call `on` for each span of a JSON array."""
        ...


class Lane:
    """One session at a time, on one socket, in one thread."""

    def __init__(self, file: int, python: PythonEngine, javascript: PureEngine) -> None:
        self._file = file
        self._python = python
        self._javascript = javascript
        self._session: PythonSession | None = None

    def serve(self) -> None:
        """Answer requests until the host closes the socket."""
        buffer = bytearray()
        while (message := frames.read(self._file, buffer)) is not None:
            reply = self._answer(frames.decode_request(message))
            if reply is not None:
                frames.write(self._file, frames.encode(reply))
        self._close()

    def _answer(self, request: Request) -> Reply | None:
        try:
            return self._do(request)
        except WorkerGone:
            fault = Fault(kind="lost")
        except SnapshotRefused:
            fault = Fault(kind="snapshot")
        except OutOfTurn:
            fault = Fault(kind="turn")
        except Exception:  # noqa: BLE001 - the host must hear of it, and of nothing that it says
            fault = Fault(kind="broken")
        if fault.kind != "turn":
            self._close()
        return fault

    def _do(self, request: Request) -> Reply | None:
        if isinstance(request, frames.Resume):
            return self._standing().resume(request.answer)
        if isinstance(request, frames.Settle):
            return self._standing().settle(request.call_id, request.answer)
        if isinstance(request, frames.Dump):
            return frames.Dumped(blob=self._standing().dump())
        self._close()
        if isinstance(request, frames.Start):
            self._session = self._python.session(request.program, request.limits)
            return self._session.start(request.value)
        if isinstance(request, frames.Load):
            self._session = self._python.session(request.program, request.limits)
            return self._session.load(request.blob)
        if isinstance(request, (frames.Pure, frames.Evaluate)):
            return self._without_effects(request)
        if isinstance(request, frames.Trial):
            return frames.Tried(findings=self._python.trial(request.source, request.stubs))
        return None

    def _without_effects(self, request: frames.Pure | frames.Evaluate) -> Reply:
        engine: PureEngine = self._python
        if request.program.language == "javascript":
            engine = self._javascript
        program, limits = request.program, request.limits
        try:
            if isinstance(request, frames.Pure):
                return engine.run_pure(program, request.value, limits)
            return engine.evaluate(program, request.spans, limits, explain=request.explain)
        except WorkerGone:
            # The same program would end the next worker too: for a run that costs nothing to
            # repeat, an end by the kernel counts as a limit.
            error = ProgramError(type="MemoryError", message="the worker ended", limit="memory")
            return Failed(error=error)

    def _standing(self) -> PythonSession:
        if self._session is None:
            raise OutOfTurn
        return self._session

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def main(plan: RunnerPlan) -> None:
    """Enter the jail, open the engines, serve every lane until the host is gone."""
    for file in (plan.control, *plan.lanes):
        os.set_inheritable(file, False)
    # Not for the host, which imports this file to start it.
    from loglineos.runtime.sandbox.javascript_engine import JavaScript  # noqa: PLC0415

    rules.engine()  # a file: behind the jail none is read
    ready = _enter(plan)
    if ready.refused is None:
        python = PythonEngine(plan.engine_path, workers_max=len(plan.lanes))
        kept = Path(plan.javascript_folder) if plan.javascript_folder else None
        javascript = JavaScript(cache_folder=kept)
        gc.freeze()
        for file in plan.lanes:
            lane = Lane(file, python, javascript)
            threading.Thread(target=lane.serve, daemon=True).start()
    frames.write(plan.control, frames.encode(ready))
    frames.read(plan.control, bytearray())  # the host says nothing here: this is its end
    os._exit(0)


def _enter(plan: RunnerPlan) -> Ready:
    if plan.jail is None:
        return Ready(missing=jail_launcher.LAYERS)
    try:
        missing = jail_launcher.enter(plan.jail, jail_launcher.open_grants(plan.jail))
    except jail_launcher.LayerMissing as missing_layer:
        return Ready(refused=missing_layer.layer)
    if os.getppid() != plan.parent:
        os._exit(0)
    return Ready(missing=tuple(missing))


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=RunnerPlan))
