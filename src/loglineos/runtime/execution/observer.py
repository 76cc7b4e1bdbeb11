"""What may watch runs: an observer is told names, codes and times, as they happen.

Always holds: it is never told what a run was given, what it asked with or what it gave back; it is
told of a step only after the journal has it; one that raises harms nothing but itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from loglineos.ledger.record import Draft, Record

_LOG: Final = logging.getLogger(__name__)


class StepSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is answered. `began` is when it was first asked; `code` names its error."""

    n: int
    epoch: int
    name: str
    status: Literal["complete", "error"]
    code: str | None
    began: datetime
    ended: datetime
    cpu_us: int


class TurnSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A turn at a worker that has ended.

    `status` is that of the execution now, or `lost`: somebody else has it. `began` is when this
    turn began, `started` when the execution did: the two differ once it has rested.
    """

    status: str
    code: str | None
    worker: str
    attempt: int
    began: datetime
    started: datetime
    ended: datetime


class Observer(Protocol):
    """Watches the runs of one process. Its calls return at once and never wait."""

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Hear that a worker begins a turn; called in the task that runs it."""
        ...

    def step(self, execution: Record, seen: StepSeen) -> None:
        """Hear of a step that is answered and journaled."""
        ...

    def end(self, execution: Record, seen: TurnSeen) -> None:
        """Hear how the turn ended, once what it left is durable; in the task that ran it."""
        ...


class Silent:
    """Watches nothing: the default."""

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Do nothing."""

    def step(self, execution: Record, seen: StepSeen) -> None:
        """Do nothing."""

    def end(self, execution: Record, seen: TurnSeen) -> None:
        """Do nothing."""


SILENT: Final[Observer] = Silent()


class Several:
    """Tells several observers; a fault of one is logged, and harms nobody else."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        """Tell these, in this order."""
        self._observers = tuple(observers)

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Tell each that a turn begins."""
        for one in self._observers:
            try:
                one.begin(execution, worker=worker, attempt=attempt)
            except Exception as fault:  # noqa: BLE001 - watching must not stop what is watched
                _tell(one, fault)

    def step(self, execution: Record, seen: StepSeen) -> None:
        """Tell each of a step."""
        for one in self._observers:
            try:
                one.step(execution, seen)
            except Exception as fault:  # noqa: BLE001 - watching must not stop what is watched
                _tell(one, fault)

    def end(self, execution: Record, seen: TurnSeen) -> None:
        """Tell each how a turn ended."""
        for one in self._observers:
            try:
                one.end(execution, seen)
            except Exception as fault:  # noqa: BLE001 - watching must not stop what is watched
                _tell(one, fault)


def joined(observers: Sequence[Observer]) -> Observer:
    """Make one observer of many; of none, the silent one."""
    told = [one for one in observers if one is not SILENT]
    return Several(told) if told else SILENT


def turn_seen(
    execution: Record, event: Draft | Record | None, *, worker: str, attempt: int,
    began: datetime, ended: datetime,
) -> TurnSeen:  # fmt: skip
    """Tell of a turn by the event that it left; None: it left none, somebody else has the run."""
    about = (event if event is not None else execution).metadata or {}
    header = about.get("header")
    told = header.get("started_at") if isinstance(header, dict) else None
    return TurnSeen(
        status=str(event.status) if event is not None else "lost",
        code=code_of(event.error) if event is not None else None,
        worker=worker,
        attempt=attempt,
        began=began,
        started=datetime.fromisoformat(told) if isinstance(told, str) else began,
        ended=ended,
    )


def code_of(error: object) -> str | None:
    """Return the code of an error as records keep it."""
    code = error.get("code") if isinstance(error, dict) else None
    return str(code)[:100] if code is not None else None


def _tell(observer: Observer, fault: Exception) -> None:
    _LOG.warning("%s: %s", type(observer).__name__, type(fault).__name__, exc_info=fault)
