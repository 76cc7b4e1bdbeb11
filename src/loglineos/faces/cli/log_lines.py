"""Structured logs of commands that stay: JSON lines on stderr, for machines that collect them.

Always holds: only `up` and `worker` set it up, and take it down; everything else logs by the
standard library; a line names what happened, by whom, under which trace, never an input, an output
or a secret: of an error it says its type, its code and where it was raised, not its words.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import orjson
import structlog
from structlog.contextvars import bind_contextvars, merge_contextvars, unbind_contextvars
from structlog.stdlib import BoundLogger, LoggerFactory, ProcessorFormatter
from structlog.typing import Processor

from loglineos.base.errors import LoglineError
from loglineos.faces.cli.session import Session
from loglineos.ledger.intake.redact import HIDDEN, SECRET_WORDS, redacted
from loglineos.ledger.record import Record
from loglineos.runtime.execution.observer import SILENT, Observer, StepSeen, TurnSeen

_OURS: Final = "loglineos"
_BOUND: Final = ("tenant", "trace_id", "execution", "function", "worker", "attempt")
_ALARMING: Final = frozenset({"error", "dead", "denied"})
_FRAMES_MAX: Final = 8
Line = MutableMapping[str, Any]


class Told:
    """Tells each turn in the log, and binds the trace and the execution while one runs."""

    def __init__(self) -> None:
        """Log as `loglineos.executions`."""
        self._log: BoundLogger = structlog.get_logger(f"{_OURS}.executions")

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Bind what every line of this turn says."""
        bind_contextvars(
            tenant=execution.tenant_id, trace_id=execution.trace_id, execution=str(execution.id),
            function=execution.name, worker=worker, attempt=attempt,
        )  # fmt: skip

    def step(self, execution: Record, seen: StepSeen) -> None:  # noqa: ARG002 - the seam's words
        """Tell of a step that failed."""
        if seen.status == "error":
            self._log.info("step failed", step=seen.n, name=seen.name, code=seen.code)

    def end(self, execution: Record, seen: TurnSeen) -> None:  # noqa: ARG002 - the seam's words
        """Tell how the turn ended, and unbind."""
        tell = self._log.warning if seen.status in _ALARMING else self._log.info
        took_ms = round((seen.ended - seen.began).total_seconds() * 1000)
        code = {"code": seen.code} if seen.code is not None else {}
        tell("turn ended", status=seen.status, duration_ms=took_ms, **code)
        unbind_contextvars(*_BOUND)


@contextmanager
def log_lines(session: Session) -> Iterator[Observer]:
    """Write log lines for the time of the block, where they were asked for; give what watches runs.

    They are asked for by `--json`, or by LOGLINE_LOG=json where stderr is no terminal; notes for
    people are then left out of it, to the end of the command.
    """
    wanted = session.settings.log == "json" and not sys.stderr.isatty()
    if not (session.as_json or wanted):
        yield SILENT
        return
    handler = logging.StreamHandler(sys.stderr)
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_words,
        without_secrets,
    ]
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_dumped),
            ],
        )
    )
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )
    session.options = msgspec.structs.replace(session.options, quiet=True)
    root, ours = logging.getLogger(), logging.getLogger(_OURS)
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield Told()
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)
        structlog.reset_defaults()


def without_words(_: Any, __: str, line: Line) -> Line:
    """Tell of an exception by type, code and place; its words may quote anything."""
    failure = line.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()
    if isinstance(failure, tuple):
        failure = failure[1]
    if isinstance(failure, BaseException):
        line["error"] = type(failure).__name__
        if isinstance(failure, LoglineError):
            line["code"] = failure.code
        frames = traceback.extract_tb(failure.__traceback__)[-_FRAMES_MAX:]
        line["where"] = [f"{frame.name} {frame.lineno}" for frame in frames]
    line.pop("stack_info", None)
    return line


def without_secrets(_: Any, __: str, line: Line) -> Line:
    """Hide what has the name or the form of a secret."""
    for name, value in line.items():
        if any(word in name.lower() for word in SECRET_WORDS if len(word) > len("auth")):
            line[name] = HIDDEN
        elif isinstance(value, str):
            (line[name],) = redacted([value])
    return line


def _dumped(line: Any, **_: Any) -> str:
    return orjson.dumps(line, default=str).decode()
