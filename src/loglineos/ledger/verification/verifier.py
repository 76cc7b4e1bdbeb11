"""Verifying the whole ledger from its rows up, believing nothing that is derived.

For each tenant, in the order of names, then for the root log: every record's canonical bytes,
hash, signature, chain, key and position; every leaf, tile, checkpoint, cosignature and the head.
Always holds: the same ledger gives the same first lie; nothing is written; appends may go on
meanwhile (each log is judged as of the instant its turn comes); memory does not grow with the log.
Large ledgers are checked by worker processes, each with a connection of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Final
from uuid import UUID

import msgspec
import psycopg

from loglineos.base.errors import NotFound, Unavailable, UnknownTenant
from loglineos.base.language import Text
from loglineos.database.failures import as_error
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_names import nodes_of, origin_of
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.tlog.note import VerifierKey
from loglineos.ledger.verification.lies import Lie
from loglineos.ledger.verification.log_walk import Identity, check_tile_of, walk_log
from loglineos.ledger.verification.span_check import (
    SQL,
    Connection,
    Span,
    SpanResult,
    check_span,
    check_span_in_worker,
    connect,
)

PARALLEL_FROM: Final = 5_000
"""Records from which worker processes are worth their start."""
WORKERS: Final = 2
_AHEAD_PER_WORKER: Final = 2


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a verification has come: positions of `tenant` found good so far."""

    tenant: str
    records: int


class VerifiedLog(msgspec.Struct, frozen=True, kw_only=True):
    """One log that was verified: `records` (entries, for `@root`) and checkpoints found good."""

    tenant: str
    records: int
    checkpoints: int


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification found. `lie` is the first thing that does not hold, None when all does.

    `has_keys` says that signatures of checkpoints were checked too, not their roots only.
    """

    logs: tuple[VerifiedLog, ...]
    lie: Lie | None
    records: int
    duration_s: float
    has_keys: bool

    @property
    def is_clean(self) -> bool:
        """Tell whether everything holds."""
        return self.lie is None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What to verify with. `dsn` is of a role that reads every tenant; `role` is set if given.

    `origin` is the node's; `publics` its log keys (32 bytes each; none: checkpoints are held
    against the rows, their signatures are not checked); `witnesses` the keys of known witnesses;
    `guard` keeps what was signed, and the ledger must continue it; it also names the origins that
    the node had before.
    """

    dsn: str
    origin: str
    role: str | None = None
    publics: tuple[bytes, ...] = ()
    witnesses: tuple[VerifierKey, ...] = ()
    guard: Guard | None = None
    workers: int = WORKERS


async def verify_ledger(
    verification: Verification,
    *,
    tenants: Iterable[str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> VerifyReport:
    """Verify the logs of `tenants` and nothing else; without them all logs, then the root log.

    Stops at the first lie. `on_progress` is called from this task's loop.

    Raises:
        UnknownTenant: a tenant that was named does not exist.
        Unavailable: the database or a worker is gone; nothing was found out.
        Misconfigured: a guard file cannot be read.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def tell(progress: Progress) -> None:
        if stop.is_set():
            raise _Stopped
        if on_progress is not None:
            loop.call_soon_threadsafe(on_progress, progress)

    chosen = None if tenants is None else sorted(set(tenants))
    try:
        return await asyncio.to_thread(_verify, verification, chosen, tell)
    except psycopg.Error as cause:
        raise as_error(cause) from cause
    except BrokenProcessPool as cause:
        raise Unavailable(reason=_WORKER_GONE, retry_after_s=1) from cause
    finally:
        stop.set()


async def verify_tenant(
    verification: Verification,
    tenant: str,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> VerifyReport:
    """Verify the log of one tenant; see `verify_ledger`."""
    return await verify_ledger(verification, tenants=[tenant], on_progress=on_progress)


async def verify_record(
    verification: Verification,
    tenant: str,
    *,
    id: UUID,  # noqa: A002 - the name of the column
    seq: int,
) -> VerifyReport:
    """Verify one record: bytes, hash, signature, chain, key, and its whole tile of the tree.

    That the tree is the one that was signed, `verify_tenant` and receipts tell.

    Raises:
        NotFound: no such record. Unavailable: the database is gone.
    """
    started = time.monotonic()
    try:
        lie = await asyncio.to_thread(_verify_record, verification, tenant, id, seq)
    except psycopg.Error as cause:
        raise as_error(cause) from cause
    return VerifyReport(
        logs=(), lie=lie, records=1, duration_s=time.monotonic() - started, has_keys=False
    )


def _verify(
    verification: Verification, chosen: Sequence[str] | None, tell: Callable[[Progress], None]
) -> VerifyReport:
    started = time.monotonic()
    guarded = verification.guard.origins() if verification.guard is not None else []
    former = tuple(one for one in nodes_of(guarded) if one != verification.origin)
    identity = Identity(verification.origin, verification.publics, verification.witnesses, former)
    logs: list[VerifiedLog] = []
    lie: Lie | None = None
    with ExitStack() as stack, connect(verification.dsn, verification.role) as connection:
        spans = _Spans(verification, connection, stack)
        for tenant in _names(connection, chosen):

            def told(records: int, tenant: str = tenant) -> None:
                tell(Progress(tenant=tenant, records=records))

            kept = None
            if verification.guard is not None:
                kept = verification.guard.read(origin_of(verification.origin, tenant))
            walked = walk_log(
                connection, tenant, identity=identity, check_spans=spans, kept=kept,
                on_progress=told,
            )  # fmt: skip
            logs.append(
                VerifiedLog(tenant=tenant, records=walked.size, checkpoints=walked.checkpoints)
            )
            lie = walked.lie
            if lie is not None:
                break
    return VerifyReport(
        logs=tuple(logs),
        lie=lie,
        records=sum(log.records for log in logs if log.tenant != ROOT_LOG),
        duration_s=time.monotonic() - started,
        has_keys=bool(verification.publics),
    )


def _names(connection: Connection, chosen: Sequence[str] | None) -> list[str]:
    known = [row[0] for row in connection.execute(SQL["list_logs"]).fetchall()]
    if chosen is None:
        return [*known, ROOT_LOG]
    for tenant in chosen:
        if tenant not in known and tenant != ROOT_LOG:
            raise UnknownTenant(which=tenant)
    return list(chosen)


class _Spans:
    """Checks spans in this process, or from the second span on in worker processes."""

    def __init__(
        self, verification: Verification, connection: Connection, stack: ExitStack
    ) -> None:
        self._verification = verification
        self._connection = connection
        self._stack = stack
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, spans: Iterable[Span]) -> Iterator[SpanResult]:
        waiting: deque[Future[SpanResult]] = deque()
        ahead = self._verification.workers * _AHEAD_PER_WORKER
        for span in spans:
            if self._verification.workers < 2 or span.before < PARALLEL_FROM:
                yield check_span(self._connection, span)
                continue
            waiting.append(
                self._workers().submit(
                    check_span_in_worker, self._verification.dsn, self._verification.role, span
                )
            )
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._verification.workers, mp_context=multiprocessing.get_context("spawn")
            )
            self._stack.callback(self._pool.shutdown, wait=True, cancel_futures=True)
        return self._pool


def _verify_record(verification: Verification, tenant: str, identity: UUID, seq: int) -> Lie | None:
    with connect(verification.dsn, verification.role) as connection:
        place = {"tenant": tenant, "id": identity, "seq": seq}
        row = connection.execute(SQL["find_place"], place).fetchone()
        if row is None:
            raise NotFound(what="record", which=f"{identity}/{seq}")
        return check_tile_of(connection, tenant, row[0])


class _Stopped(Exception):
    """The caller has gone; the thread ends at its next report."""


_WORKER_GONE: Final = Text("um processo de verificação morreu", "a verifying process died")
