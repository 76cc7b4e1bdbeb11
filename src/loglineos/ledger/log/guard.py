"""The guard: the last checkpoint that was signed for each log, kept outside the database.

A database can be restored to an older day, and would then sign a second history over the first.
The guard is what remembers: one small file per log, written before the checkpoint is shown to
anyone. Always holds: what the guard keeps never shrinks and never has two roots for one size; a
file is the old one or the new one, whole and on the disk, never something between.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from loglineos.base.errors import (
    LogBehind,
    LoglineError,
    Misconfigured,
    ReadOnly,
    Unavailable,
    VerificationFailed,
)
from loglineos.base.language import Text
from loglineos.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from loglineos.ledger.tlog.note import NOTE_BYTES_MAX, parse_note

SUFFIX: Final = ".checkpoint"
_LOCK_NAME: Final = ".lock"
_RETRY_AFTER_S: Final = 5
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """The last checkpoint that was signed for a log, and the note that carries it."""

    checkpoint: Checkpoint
    note: bytes


class Guard:
    """The guard files of one folder. Safe to use from several processes on one machine."""

    def __init__(self, folder: Path) -> None:
        """Keep files in `folder`; it is made when the first one is written."""
        self.folder = folder

    @property
    def name(self) -> str:
        """Say who keeps: for messages."""
        return f"guard {self.folder}"

    def read(self, origin: str) -> Guarded | None:
        """Return what was last signed for `origin`; None when nothing ever was.

        Raises:
            Misconfigured: the file cannot be read or is no checkpoint of this origin: nobody
                knows any more what was signed, so nothing may be.
        """
        path = self._path(origin)
        try:
            note = path.read_bytes()[: NOTE_BYTES_MAX + 1]
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise _unreadable(path, cause) from cause
        try:
            checkpoint = parse_checkpoint(parse_note(note).text)
        except LoglineError as cause:
            raise _unreadable(path, cause) from cause
        if checkpoint.origin != origin:
            raise _unreadable(path, ValueError(checkpoint.origin))
        return Guarded(checkpoint=checkpoint, note=note)

    def origins(self) -> list[str]:
        """List the logs that are guarded here, in order."""
        if not self.folder.is_dir():
            return []
        names = sorted(path.name for path in self.folder.glob(f"*{SUFFIX}"))
        return [unquote(name.removesuffix(SUFFIX)) for name in names]

    def advance(self, note: bytes, *, expected: Checkpoint | None) -> bool:
        """Keep a signed checkpoint if `expected` is still what is kept; tell whether it was.

        Durable before it returns True. Keeping again what is kept changes nothing. The caller has
        proved that the new tree begins with the expected one.

        Raises:
            LogBehind: a larger tree was signed already.
            VerificationFailed: another root was signed for this size.
            ReadOnly: the disk is full. Unavailable: it cannot be written. Nothing has changed.
            Misconfigured: see `read`.
        """
        new = parse_checkpoint(parse_note(note).text)
        with self._alone():
            kept = self.read(new.origin)
            if kept is not None:
                refuse_older(new, kept.checkpoint, keeper=self.name)
            if (kept.checkpoint if kept else None) != expected:
                return False
            if kept is None or kept.checkpoint != new:
                self._write(self._path(new.origin), note)
            return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise _not_written(self.folder, cause) from cause
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, path: Path, note: bytes) -> None:
        fresh = path.with_name(f".{path.name}.new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _sync_folder(self.folder)
        except OSError as cause:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise _not_written(path, cause) from cause

    def _path(self, origin: str) -> Path:
        return self.folder / (quote(origin, safe="") + SUFFIX)


def refuse_older(new: Checkpoint, kept: Checkpoint, *, keeper: str) -> None:
    """Raise when `new` may not follow `kept`: it is smaller, or has another root for its size.

    Raises:
        LogBehind: smaller. VerificationFailed: same size, another root.
    """
    if new.size < kept.size:
        raise LogBehind(origin=new.origin, ours=new.size, theirs=kept.size, keeper=keeper)
    if new.size == kept.size and new.root != kept.root:
        raise forked(new.origin, size=kept.size, keeper=keeper)


def forked(origin: str, *, size: int, keeper: str) -> VerificationFailed:
    """Make the error for a database whose history is not the one that was signed."""
    return VerificationFailed(
        what="log",
        where=f"{origin} {size}",
        reason=Text(
            f"a história na base de dados não é a que foi assinada ({keeper})",
            f"the history in the database is not the one that was signed ({keeper})",
        ),
        remedy=LogBehind.remedy,
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(path: Path, cause: OSError) -> Unavailable:
    if cause.errno in _FULL:
        return ReadOnly(retry_after_s=_RETRY_AFTER_S)
    words = cause.strerror or type(cause).__name__
    return Unavailable(
        reason=Text(
            f"a guarda {path} não se deixa escrever: {words}",
            f"the guard {path} cannot be written: {words}",
        ),
        retry_after_s=_RETRY_AFTER_S,
    )


def _unreadable(path: Path, cause: Exception) -> Misconfigured:
    words = cause.describe("en") if isinstance(cause, LoglineError) else str(cause)
    return Misconfigured(
        setting=str(path),
        reason=Text(
            f"não é o último checkpoint assinado ({words})",
            f"it is not the last signed checkpoint ({words})",
        ),
        remedy=Text(
            "reponha o ficheiro de uma cópia, ou traga o checkpoint de uma testemunha: "
            "docs/how-to/recover.md",
            "put the file back from a copy, or bring the checkpoint from a witness: "
            "docs/how-to/recover.md",
        ),
    )
