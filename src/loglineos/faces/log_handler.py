"""A handler for Python's logging: each line that is logged becomes a LogLine of type `system`.

Always holds: the caller never waits, for a database or for a disk; what the ledger cannot take now
(queue full, closed, database gone) goes to the spool; what ledger and driver log themselves is not
recorded, so that recording a line cannot make another; what could be kept nowhere is counted.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import traceback
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from loglineos.base.ids import uuid7
from loglineos.faces.acts import readable
from loglineos.faces.keeping import Keeper, is_keeping
from loglineos.ledger.record import Draft

QUEUE_LINES_MAX: Final = 10_000
"""Lines that may wait for the ledger; what comes on top goes to the spool."""
SPILL_LINES_MAX: Final = 100_000
"""Lines that may wait for the spool; what comes on top is counted in `lost`."""
_BATCH: Final = 500
_FLUSH_S_MAX: Final = 5.0
_OURS: Final = ("loglineos", "psycopg")
_NAME_CHARS_MAX: Final = 120
_TEXT_CHARS_MAX: Final = 8_000


class LedgerHandler(logging.Handler):
    """Sends what is logged to a ledger. Made by `Ledger.log_handler`."""

    def __init__(
        self, keeper: Keeper, *, level: int = logging.INFO, queue_lines_max: int = QUEUE_LINES_MAX
    ) -> None:
        """Record lines from `level` on; must be made on the ledger's loop."""
        super().__init__(level)
        self.lost = 0
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._queue_lines_max = queue_lines_max
        self._guard = threading.Lock()
        self._waiting: deque[Draft] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._is_attached = True
        self._is_pumping = False
        self._spill: queue.Queue[Draft] = queue.Queue(SPILL_LINES_MAX)
        self._spiller: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line; returns at once."""
        if is_keeping.get() or _is_ours(record):
            return
        try:
            draft = draft_of_line(record)
        except Exception:  # noqa: BLE001 - the contract of logging: an emit reports, and never raises
            self.handleError(record)
            return
        with self._guard:
            if self._is_attached and len(self._waiting) < self._queue_lines_max:
                self._waiting.append(draft)
                if not self._is_pumping:
                    self._is_pumping = True
                    self._loop.call_soon_threadsafe(self._start)
                return
            self._spill_one(draft)

    def flush(self) -> None:
        """Wait, a bounded time, until what spilled is on disk. What the ledger takes is not."""
        with self._spill.all_tasks_done:
            self._spill.all_tasks_done.wait_for(
                lambda: not self._spill.unfinished_tasks, timeout=_FLUSH_S_MAX
            )

    async def detach(self) -> None:
        """Wait until every line taken so far is kept; later ones go to the spool."""
        with self._guard:
            self._is_attached = False
        await asyncio.sleep(0)
        if self._pump is not None:
            await self._pump
        await asyncio.to_thread(self.flush)

    def _start(self) -> None:
        self._pump = self._loop.create_task(self._send())

    async def _send(self) -> None:
        while True:
            with self._guard:
                count = min(len(self._waiting), _BATCH)
                batch = [self._waiting.popleft() for _ in range(count)]
                if not batch:
                    self._is_pumping = False
                    return
            await self._keeper.keep(batch)

    def _spill_one(self, draft: Draft) -> None:
        try:
            self._spill.put_nowait(draft)
        except queue.Full:
            self.lost += 1
            return
        if self._spiller is None:
            self._spiller = threading.Thread(target=self._write, name="log spool", daemon=True)
            self._spiller.start()

    def _write(self) -> None:
        while True:
            batch = [self._spill.get()]
            while len(batch) < _BATCH and not self._spill.empty():
                batch.append(self._spill.get())
            self._keeper.spool(batch)
            for _ in batch:
                self._spill.task_done()


def draft_of_line(record: logging.LogRecord) -> Draft:
    """Tell a line of the log as an act of its logger.

    ERROR and above are `failed`, WARNING is `under_review`, the rest `executed`, as in the mapping
    `python-logging`. An exception goes to `error` with its traceback.
    """
    if record.levelno >= logging.ERROR:
        status = "failed"
    else:
        status = "under_review" if record.levelno >= logging.WARNING else "executed"
    alarming = record.levelno >= logging.CRITICAL
    details: dict[str, Any] = {"line": record.lineno, "process": record.process}
    details.update(
        function=readable(record.funcName or ""), thread=readable(record.threadName or "")
    )
    return Draft(
        id=uuid7(), seq=0, who=readable(record.name, _NAME_CHARS_MAX) or "root",
        did=f"log_{readable(record.levelname, _NAME_CHARS_MAX).lower()}",
        this=readable(_message(record), _TEXT_CHARS_MAX) or "(nothing)",
        at=datetime.fromtimestamp(record.created, UTC), confirmed_by="python_logging",
        if_ok="nothing_more", if_doubt="ask_the_operator",
        if_not="alert_the_operator" if alarming else "look_at_the_traceback",
        status=status, type="system", source_file=readable(record.pathname),
        tags=("python",), details=details, error=_error(record),
    )  # fmt: skip


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit the message; what there is, is kept
        return f"{record.msg!r} {record.args!r}"


def _error(record: logging.LogRecord) -> dict[str, str] | None:
    if not record.exc_info or record.exc_info[0] is None:
        return None
    kind, error, trace = record.exc_info
    lines = "".join(traceback.format_exception(kind, error, trace))
    return {
        "type": kind.__qualname__,
        "message": readable(str(error)),
        "traceback": readable(lines[-_TEXT_CHARS_MAX:], _TEXT_CHARS_MAX),
    }


def _is_ours(record: logging.LogRecord) -> bool:
    root = record.name.split(".", 1)[0]
    slow_step = record.name == "asyncio" and record.levelno < logging.ERROR
    return root in _OURS or slow_step
