"""The appender: the only writer. Many callers, one transaction at a time, one fsync for many.

    submit → group → lock heads → admit → insert, derive, move heads → commit → answer

Always holds: an answer is given only after the commit that made it durable; signatures are checked
before that commit; positions are dense and in commit order; a lost reply to a commit is retried
and answered with what was stored. Two appenders on one database take turns by the head's row lock.
Source: docs/decisions/0005-appender-as-only-writer.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final, Self

import psycopg
from psycopg import errors

from loglineos.base.clock import Clock
from loglineos.base.errors import (
    DatabaseUnavailable,
    InvalidInput,
    LoglineError,
    Pushback,
    ReadOnly,
    TooLarge,
    Unavailable,
)
from loglineos.base.language import Text
from loglineos.database import failures
from loglineos.ledger import limits
from loglineos.ledger.checking import check_signatures
from loglineos.ledger.group import BadSignatures, LogCache, Submission
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed, claim_of
from loglineos.ledger.signature import verify_many
from loglineos.ledger.transaction import commit_batch

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]
Step = Callable[[str], Awaitable[None]]

_RETRY_AFTER_S: Final = 0.05
_HINTS_APART_S: Final = 0.02
"""The shortest time between two hints: who writes alone must not pay for a hint at each record."""
_DISK_PROBE_EVERY: Final = timedelta(seconds=2)
_RECONNECT_FIRST_S: Final = 0.05
_RECONNECT_LONGEST_S: Final = 2.0
_CONTENTION_RETRIES: Final = 5


class Appender:
    """Takes sealed records from many callers and appends them in groups.

    Use it as an async context manager; leaving waits for what is in flight, and however the
    appender ends, every caller is answered.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        clock: Clock,
        on_commit: Callable[[dict[str, int]], Awaitable[None]] | None = None,
        gate: Callable[[], None] | None = None,
        at_step: Step | None = None,
        wait_s_max: float = limits.database_wait_s_max,
        in_flight_max: int = limits.in_flight_records_max,
    ) -> None:
        """Prepare to write through connections that `connect` opens as the appender's role.

        `on_commit` is told the new size of each tenant after each commit (for hints); `gate` is
        asked before each group and raises when the node must not write; `at_step` is awaited at
        each named step of a transaction (fault injection). An append waits `wait_s_max` for a
        database that is gone; more than `in_flight_max` records that wait are pushed back.
        """
        self._connect = connect
        self._clock = clock
        self._on_commit = on_commit
        self._gate = gate or _open_gate
        self._at_step = at_step or _pass_on
        self._wait_s_max = wait_s_max
        self._in_flight_max = in_flight_max
        self._queue: asyncio.Queue[Submission | None] = asyncio.Queue()
        self._in_flight = 0
        self._is_open = False
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._cache = LogCache()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="verify")
        self._loop_task: asyncio.Task[None] | None = None
        self._hint_task: asyncio.Task[None] | None = None
        self._hints: dict[str, int] = {}
        self._full_since: datetime | None = None
        self._lost: BaseException | None = None
        self.database_errors = 0

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._loop_task = asyncio.create_task(self._run(), name="appender")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        self._queue.put_nowait(None)
        try:
            if self._loop_task is not None:
                await self._loop_task
            if self._hint_task is not None:
                await self._hint_task
        finally:
            await self._disconnect()
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def is_read_only(self) -> bool:
        """Tell whether the disk was full at the last attempt to write."""
        return self._full_since is not None

    async def append(
        self, sealed: Sequence[Sealed], *, verified: bool, if_absent: bool = False
    ) -> list[Record]:
        """Append sealed records of one tenant whole or not at all; return them as stored, in order.

        Durable before return. `verified` says that this process made the signatures itself;
        otherwise each one is checked. `if_absent` answers a taken (id, seq) with what is stored
        there, whatever its bytes. At most `limits.batch_records_max` records.

        Raises:
            Conflict, MoveNotAllowed, KeyNotTrusted, Forbidden, SignatureBroken, UnknownTenant,
            InvalidInput: nothing of this call was written.
            Pushback, ReadOnly, DatabaseUnavailable, Unavailable: not now; the same call may be
                repeated and writes nothing twice.
        """
        if not sealed:
            return []
        claims = [] if verified else [claim_of(one.record, one.bytes) for one in sealed]
        _check_tenant(sealed)
        submission = self._expect(len(sealed), if_absent=if_absent)
        submission.add(sealed, claims)
        self._enqueue(submission)
        return await submission.answer

    async def append_as_made(
        self, chunks: AsyncIterator[list[Sealed]], *, count: int, verified: bool, if_absent: bool
    ) -> list[Record]:
        """Append `count` records while they are made: the first are inserted beside the making.

        As `append` in all else, and whole or not at all too: what `chunks` raises is raised, and
        nothing was written. The transaction stays open meanwhile: `chunks` must not wait for
        anything but its turn.
        """
        submission = self._expect(count, if_absent=if_absent)
        is_queued = False
        try:
            async for chunk in chunks:
                if submission.answer.done():
                    break
                assert len(submission.sealed) + len(chunk) <= count, "no more than announced"
                claims = [] if verified else [claim_of(one.record, one.bytes) for one in chunk]
                _check_tenant([*submission.sealed[:1], *chunk])
                if not is_queued:
                    self._enqueue(submission)
                    is_queued = True
                submission.add(chunk, claims)
                if claims:
                    submission.checks.append(self._threads.submit(verify_many, claims))
            assert submission.is_whole, "no fewer than announced"
            return await submission.answer
        except BaseException:
            submission.break_off()
            raise
        finally:
            if not is_queued:
                self._in_flight -= count

    def _expect(self, count: int, *, if_absent: bool) -> Submission:
        """Make room for a call: from now on it is in flight, until its group was written."""
        if count > limits.batch_records_max:
            raise TooLarge(
                field="records", shape=f"list of {count}", limit=limits.batch_records_max,
                limit_name="batch_records_max",
            )  # fmt: skip
        if not self._is_open:
            raise _closed()
        if self._in_flight + count > self._in_flight_max:
            raise Pushback(retry_after_s=_RETRY_AFTER_S)
        self._in_flight += count
        loop = asyncio.get_running_loop()
        return Submission(
            count=count,
            if_absent=if_absent,
            answer=loop.create_future(),
            patient_until=loop.time() + self._wait_s_max,
        )

    def _enqueue(self, submission: Submission) -> None:
        if not self._is_open:
            raise _closed()
        self._queue.put_nowait(submission)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """Lend a connection of the appender's role, for what is kept beside the registry."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def _run(self) -> None:
        batch: list[Submission] = []
        is_ending = False
        try:
            while not is_ending:
                batch, is_ending = await self._group()
                await self._write(batch)
                self._in_flight -= sum(one.count for one in batch)
                batch = []
        finally:  # also when this task is cancelled: nobody is left waiting
            self._is_open = False
            while not self._queue.empty():
                batch += filter(None, [self._queue.get_nowait()])
            _refuse(batch, _closed())

    async def _group(self) -> tuple[list[Submission], bool]:
        """Wait for the next submission and take what has come with it; tell whether it is the last.

        A caller who gave up counts as in flight until here: the queue stays bounded.
        """
        batch: list[Submission] = []
        count = 0
        await asyncio.sleep(0)  # whoever was just answered may ask again: one commit for all
        following = await self._queue.get()
        while following is not None:
            batch.append(following)
            count += following.count
            if count >= limits.group_records_max or self._queue.empty():
                return batch, False
            following = self._queue.get_nowait()
        return batch, True

    async def _write(self, batch: Sequence[Submission]) -> None:
        """Write a group and answer all of it, whatever happens."""
        try:
            self._gate()
            self._check_disk()
            await self._persist(batch)
        except Exception as cause:  # noqa: BLE001 - a fault of ours must not leave callers waiting
            await self._start_anew()
            if failures.is_disk_full(cause):
                self._full_since = self._clock.now()
                _refuse(batch, ReadOnly(retry_after_s=_DISK_PROBE_EVERY.total_seconds()), cause)
            elif len(batch) > 1 and _may_be_one_record(cause):
                middle = len(batch) // 2
                await self._write(batch[:middle])
                await self._write(batch[middle:])
            else:
                _refuse(batch, failures.as_error(cause), cause)

    def _check_disk(self) -> None:
        if self._full_since is None:
            return
        if self._clock.now() - self._full_since < _DISK_PROBE_EVERY:
            raise ReadOnly(retry_after_s=_DISK_PROBE_EVERY.total_seconds())

    async def _persist(self, batch: Sequence[Submission]) -> None:
        """Write a group, again after contention and lost connections while anyone waits."""
        loop = asyncio.get_running_loop()
        pause_s, contentions = _RECONNECT_FIRST_S, 0
        while waiting := self._still_waiting(batch, loop.time()):
            try:
                await self._transact(waiting)
            except (psycopg.Error, OSError, DatabaseUnavailable) as cause:
                self.database_errors += 1
                await self._start_anew()
                if failures.is_retryable(cause) and contentions < _CONTENTION_RETRIES:
                    contentions += 1
                    continue
                if not failures.is_gone(cause):
                    raise
                self._lost = cause
            else:
                return
            first_s = min(one.patient_until for one in waiting) - loop.time()
            await asyncio.sleep(max(0.0, min(pause_s, first_s)))
            pause_s = min(pause_s * 2, _RECONNECT_LONGEST_S)

    def _still_waiting(self, batch: Sequence[Submission], now_s: float) -> list[Submission]:
        """List who waits for an answer; while the database is gone, the overdue are refused."""
        if self._lost is not None:
            error = DatabaseUnavailable(reason=_GONE, retry_after_s=_RECONNECT_LONGEST_S)
            _refuse([one for one in batch if one.patient_until <= now_s], error, self._lost)
        return [one for one in batch if not one.answer.done()]

    async def _transact(self, batch: Sequence[Submission]) -> None:
        if self._connection is None or self._connection.closed:
            await self._start_anew()
            self._connection = await self._connect()
        while waiting := [one for one in batch if not one.answer.done()]:
            verifying = asyncio.ensure_future(check_signatures(waiting, self._threads))
            try:
                sizes = await commit_batch(
                    self._connection,
                    waiting,
                    cache=self._cache,
                    now=self._clock.now(),
                    verifying=verifying,
                    at_step=self._at_step,
                )
            except BadSignatures as bad:
                for submission in bad.submissions:
                    _refuse([submission], bad.errors[id(submission)])
                continue
            finally:
                with suppress(Exception):
                    await verifying
            self._lost = None
            if sizes:
                self._full_since = None
            self._hint(sizes)
            return

    async def _start_anew(self) -> None:
        """Trust neither the connection nor what is remembered of the last transaction."""
        self._cache.forget()
        await self._disconnect()

    def _hint(self, sizes: dict[str, int]) -> None:
        """Tell followers, beside the next group: a hint must never slow an append down."""
        if self._on_commit is None or not sizes:
            return
        self._hints.update(sizes)
        if self._hint_task is None or self._hint_task.done():
            self._hint_task = asyncio.create_task(self._send_hints(), name="hints")

    async def _send_hints(self) -> None:
        while self._hints and self._on_commit is not None:
            sizes, self._hints = self._hints, {}
            with suppress(Exception):  # followers also poll; a lost hint costs them a second
                await self._on_commit(sizes)
            await asyncio.sleep(_HINTS_APART_S)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close()


def _refuse(
    batch: Sequence[Submission], error: LoglineError, cause: BaseException | None = None
) -> None:
    """Answer each of a group that still waits with an error of its own: callers change them."""
    for submission in batch:
        if not submission.answer.done():
            told = type(error)(**error.fields)
            told.__cause__ = error.__cause__ if cause is error else cause or error.__cause__
            submission.answer.set_exception(told)


def _closed() -> Unavailable:
    return Unavailable(reason=_CLOSED, retry_after_s=_RETRY_AFTER_S)


def _check_tenant(sealed: Sequence[Sealed]) -> None:
    tenants = {one.record.tenant_id for one in sealed}
    if len(tenants) > 1:
        raise InvalidInput(field="tenant_id", shape=f"{len(tenants)} tenants", reason=_ONE_TENANT)


def _may_be_one_record(failure: Exception) -> bool:
    """Tell whether a failure may lie in one record of a group and not in the server."""
    if isinstance(failure, errors.ProgramLimitExceeded):
        return True
    is_the_servers = isinstance(failure, psycopg.OperationalError | psycopg.ProgrammingError)
    return not is_the_servers and not isinstance(failure, Unavailable)


def _open_gate() -> None:
    return None


async def _pass_on(_step: str) -> None:
    return None


_GONE: Final = Text("a ligação perdeu-se", "the connection is lost")
_CLOSED: Final = Text("o nó está a parar", "the node is stopping")
_ONE_TENANT: Final = Text("uma chamada é de uma só casa", "one call belongs to one tenant")
