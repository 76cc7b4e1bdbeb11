"""Keeping acts from any thread: in the ledger when it can be reached, else in the spool.

Always holds: handing over never fails for what the ledger or the database does; what was handed
over before `close` is in the ledger or on disk when `close` returns; each act has its id before it
is handed over, so that a repeat adds nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Final

from loglineos.ledger.intake.spool import Spool
from loglineos.ledger.record import Draft
from loglineos.ledger.writer import Writer

KEPT_S_MAX: Final = 60.0
"""How long a thread waits for the loop to keep its act before it goes to the spool instead."""

is_keeping: Final[ContextVar[bool]] = ContextVar("is_keeping", default=False)
"""Set while this code itself runs: what is logged meanwhile must not be recorded again."""

_log: Final = logging.getLogger(__name__)


class Keeper:
    """Takes drafts of one tenant from any thread; works on the loop that made it."""

    def __init__(self, writer: Writer, spool: Spool) -> None:
        """Append through `writer` on the running loop; fall back to `spool`."""
        self._writer = writer
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_open = True
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_on_loop(self) -> bool:
        """Tell whether the caller is on the loop's own thread, which must never wait."""
        return threading.get_ident() == self._thread

    def submit(self, drafts: Sequence[Draft], *, after: Future[None] | None = None) -> Future[None]:
        """Hand drafts over, to be kept after `after`; the future is done when they are kept.

        Never raises and never waits for the database; once the keeper is closed it writes the
        spool before it returns. The future never fails: what can be kept nowhere is logged.
        """
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        with self._lock:
            if self._is_open:
                self._loop.call_soon_threadsafe(self._begin, drafts, after, done)
                return done
        self.spool(drafts)
        done.set_result(None)
        return done

    def wait(self, done: Future[None], drafts: Sequence[Draft]) -> None:
        """Wait, on a thread that is not the loop's, until `drafts` are kept."""
        try:
            done.result(KEPT_S_MAX)
        except TimeoutError:
            self.spool(drafts)

    def spool(self, drafts: Sequence[Draft]) -> None:
        """Write drafts to the spool; log what even the disk refuses."""
        token = is_keeping.set(True)
        try:
            self._spool.write(drafts)
            if not self._is_open:
                self._spool.close()  # free to be drained by whoever opens the node next
        except Exception:  # noqa: BLE001 - the caller's own work must go on
            _log.exception("%d acts could not be kept", len(drafts))
        finally:
            is_keeping.reset(token)

    async def keep(self, drafts: Sequence[Draft]) -> None:
        """Append drafts, or spool them when the ledger does not take them; never raises."""
        token = is_keeping.set(True)
        try:
            await self._writer.append(drafts, tenant=self._spool.tenant, if_absent=True)
        except Exception as cause:  # noqa: BLE001 - whatever it was, draining settles each act alone
            _log.info("%d acts go to the spool: %s", len(drafts), cause)
            await asyncio.to_thread(self.spool, drafts)
        finally:
            is_keeping.reset(token)

    async def close(self) -> None:
        """Wait until all that was handed over is kept; from now on the spool takes it."""
        with self._lock:
            self._is_open = False
        await asyncio.sleep(0)  # lets what was handed over a moment ago begin
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._spool.close()

    def _begin(
        self, drafts: Sequence[Draft], after: Future[None] | None, done: Future[None]
    ) -> None:
        async def work() -> None:
            try:
                if after is not None:
                    await asyncio.shield(asyncio.wrap_future(after))
                await self.keep(drafts)
            finally:
                done.set_result(None)

        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
