"""What a failure of the database means: full, gone, worth a retry; and how long to wait for it.

Always holds: an error of the driver becomes one of ours in `as_error` alone; waiting is bounded
and told.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import psycopg
import stamina
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

from loglineos.base.errors import (
    DatabaseUnavailable,
    LoglineError,
    Misconfigured,
    Pushback,
    ReadOnly,
    Refused,
    Unavailable,
)
from loglineos.base.language import Text

T = TypeVar("T")

# Where structlog is installed, stamina would tell of each retry on standard output, among answers.
set_on_retry_hooks([LoggingOnRetryHook])

_GONE: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleSessionTimeout,
    errors.IdleInTransactionSessionTimeout,
    errors.TooManyConnections,
    errors.DatabaseDropped,
    PoolTimeout,
    PoolClosed,
    ConnectionError,
    TimeoutError,
    DatabaseUnavailable,
)
_RETRYABLE: Final = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.StatementCompletionUnknown,
)
_WILL_NOT_PASS: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "no password supplied",
    "could not translate host name",
    "invalid connection option",
)
"""What a server says at the door that waiting does not change; it sends no SQLSTATE there."""


def is_disk_full(failure: BaseException) -> bool:
    """Whether the server had no room to write (53100, or an I/O error that says so)."""
    if isinstance(failure, errors.DiskFull):
        return True
    return isinstance(failure, errors.Error) and "No space left on device" in str(failure)


def folder_error(failure: OSError, *, home: Path) -> LoglineError:
    """Return the error of ours for a data folder that cannot be used; to raise `from` it."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_room(home)
    folder = Path(os.fsdecode(failure.filename)).parent if failure.filename else home
    if failure.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return Misconfigured(setting=str(folder), reason=str(failure))
    reason = Text("não se pode escrever nesta pasta", "this folder cannot be written")
    remedy = Text(
        f"dê a este utilizador o direito de escrever em {folder}, ou indique outra pasta em "
        "LOGLINE_HOME",
        f"let this user write in {folder}, or name another folder in LOGLINE_HOME",
    )
    if failure.errno == errno.EROFS:
        reason = Text("o disco desta pasta só deixa ler", "the disk of this folder is read-only")
        remedy = Text(
            f"monte o disco de {folder} para escrita, ou indique outra pasta em LOGLINE_HOME",
            f"mount the disk of {folder} for writing, or name another folder in LOGLINE_HOME",
        )
    return Misconfigured(setting=str(folder), reason=reason, remedy=remedy)


def no_room(home: Path) -> ReadOnly:
    """Return the error of a data folder on a full disk."""
    remedy = Text(
        f"liberte espaço no disco da pasta {home} e repita",
        f"free space on the disk of the folder {home} and try again",
    )
    return ReadOnly(folder=str(home), remedy=remedy, retry_after_s=5)


def is_gone(failure: BaseException) -> bool:
    """Whether the server or the connection is away for now; what was asked may have been done."""
    if isinstance(failure, _GONE):
        return True
    if isinstance(failure, psycopg.OperationalError) and failure.sqlstate is None:
        return not _is_refused_at_the_door(failure)
    if isinstance(failure, psycopg.InterfaceError):
        return "closed" in str(failure) or "lost" in str(failure)
    return isinstance(failure, psycopg.Error) and (failure.sqlstate or "").startswith("08")


def is_retryable(failure: BaseException) -> bool:
    """Whether the same transaction may succeed when run again: serialization, deadlock, lock."""
    return isinstance(failure, _RETRYABLE)


def as_error(failure: BaseException) -> LoglineError:
    """Return the error of ours for a driver's; to raise `from` it; ours as it is."""
    if isinstance(failure, LoglineError):
        return failure
    if is_disk_full(failure):
        return ReadOnly(retry_after_s=5)
    if isinstance(failure, TooManyRequests) or is_retryable(failure):
        return Pushback(retry_after_s=1)
    words = _first_line(failure)
    if is_gone(failure):
        return DatabaseUnavailable(reason=words, retry_after_s=1)
    if isinstance(failure, errors.QueryCanceled):
        reason = Text("demorou demais e foi interrompido", "it took too long and was stopped")
        return Unavailable(reason=reason, retry_after_s=5)
    if isinstance(failure, errors.ReadOnlySqlTransaction):
        reason = Text("o servidor só deixa ler", "the server only lets read")
        return Unavailable(reason=reason, retry_after_s=30)
    if isinstance(failure, errors.UndefinedTable | errors.InvalidSchemaName):
        return _not_migrated(words)
    if isinstance(failure, errors.InsufficientPrivilege):
        return Refused(reason=words)
    if _is_refused_at_the_door(failure):
        return Misconfigured(setting="DATABASE_URL", reason=words)
    return LoglineError(reason=words)


async def wait_for_database(
    connect: Callable[[], Awaitable[T]],
    *,
    wait_s_max: float,
    on_progress: Callable[[Text], None] | None = None,
) -> T:
    """Call `connect` until it succeeds and return its result; waits double from 50 ms to 2 s.

    Only a database that is gone is waited for, at most `wait_s_max`; `on_progress` is told before
    each wait. `connect` must be safe to repeat.

    Raises:
        DatabaseUnavailable: still gone after `wait_s_max`.
        LoglineError: any other failure, at once, as `as_error` tells it.
    """

    def is_worth_waiting(failure: Exception) -> bool:
        if not is_gone(failure):
            return False
        if on_progress is not None:
            on_progress(
                Text(
                    f"à espera da base de dados: {_first_line(failure)}",
                    f"waiting for the database: {_first_line(failure)}",
                )
            )
        return True

    attempts = stamina.retry_context(
        on=is_worth_waiting, attempts=None, timeout=wait_s_max, wait_initial=0.05, wait_max=2.0
    )
    try:
        async for attempt in attempts:
            with attempt:
                return await connect()
    except (psycopg.Error, OSError) as failure:
        raise as_error(failure) from failure
    raise AssertionError("the attempts end by a result or a failure")


def _is_refused_at_the_door(failure: BaseException) -> bool:
    return isinstance(failure, psycopg.OperationalError) and any(
        words in str(failure) for words in _WILL_NOT_PASS
    )


def _not_migrated(words: str) -> Misconfigured:
    return Misconfigured(
        setting="schema",
        reason=words,
        remedy=Text("corra `logline migrate`", "run `logline migrate`"),
    )


def _first_line(failure: BaseException) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0][:300] if lines else type(failure).__name__
