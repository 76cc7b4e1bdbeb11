"""The spool: where acts wait while the ledger cannot be reached.

One file per writer, `<tenant>.<id>.jsonl`, one draft a line, in `<home>/spool/`. Whoever writes or
drains a file holds its lock (flock, which the kernel drops when a process dies), so a file is never
drained while it is written, nor by two at once.
Always holds: what `write` returned from is on disk; every line has its id, place and time before it
is written, so that draining twice adds nothing; a torn or foreign line becomes a ghost that keeps
its text; a file is removed only after all of it is in the ledger.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from blake3 import blake3

from loglineos.base.clock import Clock, SystemClock
from loglineos.base.entropy import Entropy, SystemEntropy
from loglineos.base.errors import TooLarge, UnknownTenant
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.ledger.intake.ingest import ingest
from loglineos.ledger.intake.occurrences import content_id
from loglineos.ledger.record import Draft
from loglineos.ledger.writer import Writer

FOLDER: Final = "spool"
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""What one file may hold; a writer that reaches it goes on in another."""
SPOOL_BYTES_MAX: Final = 512 * 1024 * 1024
"""What all files of the folder may hold together."""
_RAW_CHARS_MAX: Final = 32 * 1024


class SpoolReport(msgspec.Struct, kw_only=True):
    """What one draining did; `busy` files are being written, `left` ones name an unknown tenant."""

    files: int = 0
    added: int = 0
    present: int = 0
    busy: int = 0
    left: int = 0


class Spool:
    """One writer's file, made at its first line. Safe to use from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        tenant: str,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Spool for `tenant` into `folder`, which is made when it is needed."""
        self.folder = folder
        self.tenant = tenant
        self._clock = clock or SystemClock()
        self._entropy = entropy or SystemEntropy()
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    def write(self, drafts: Iterable[Draft]) -> int:
        """Write drafts, one a line, and return how many; durable (fsync) before return.

        A draft without `id` gets one, one without `seq` the first place; `at` stays as it is, so
        that an act whose author gave no time remains a ghost.

        Raises:
            TooLarge: the folder holds `SPOOL_BYTES_MAX` already; nothing of this call was written.
            OSError: the disk refuses.
        """
        lines = [_line(self._placed(draft)) for draft in drafts]
        data = b"".join(lines)
        if not data:
            return 0
        with self._lock:
            self._make_room(len(data))
            file = self._file or self._open()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return len(lines)

    def close(self) -> None:
        """Give the file up for draining. Writing again makes another."""
        with self._lock:
            self._give_up()

    def _placed(self, draft: Draft) -> Draft:
        return msgspec.structs.replace(
            draft,
            tenant_id=self.tenant,
            id=draft.id or uuid7(self._clock, self._entropy),
            seq=draft.seq or 0,
        )

    def _make_room(self, more: int) -> None:
        if self._file is not None and self._file.tell() + more > FILE_BYTES_MAX:
            self._give_up()
        held = sum(path.stat().st_size for path in _files(self.folder))
        if held + more > SPOOL_BYTES_MAX:
            raise TooLarge(
                field="spool",
                shape=f"{held + more} bytes",
                limit=SPOOL_BYTES_MAX,
                limit_name="SPOOL_BYTES_MAX",
                remedy=_DRAIN,
            )

    def _open(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            path = self.folder / f"{self.tenant}.{uuid7(self._clock, self._entropy)}.jsonl"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            file = os.fdopen(descriptor, "ab")
            if _claim(file) and path.exists():  # else someone drained it while it was empty
                _sync_folder(self.folder)
                self._file = file
                return file
            file.close()

    def _give_up(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


async def drain_spool(writer: Writer, folder: Path) -> SpoolReport:
    """Append what waits in `folder` to the ledger, file by file, and remove what is in.

    Safe to repeat and to run in several processes. Files that are being written are passed over.

    Raises:
        Pushback, ReadOnly, DatabaseUnavailable: not now; the files stay.
    """
    report = SpoolReport()
    for path in await asyncio.to_thread(lambda: sorted(_files(folder))):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            if not _claim(file) or not path.exists():
                report.busy += 1
                continue
            await _drain(writer, path, file, report)
    return report


async def _drain(writer: Writer, path: Path, file: BinaryIO, report: SpoolReport) -> None:
    tenant = path.name.split(".", 1)[0]
    try:
        done = await ingest(writer, _drafts(file, tenant), tenant=tenant)
    except UnknownTenant:
        report.left += 1
        return
    await asyncio.to_thread(path.unlink)
    report.files += 1
    report.added += done.added
    report.present += done.present


def _drafts(file: BinaryIO, tenant: str) -> Iterator[Draft]:
    for number, line in enumerate(file):
        if not line.strip():
            continue
        try:
            draft = msgspec.json.decode(line, type=Draft)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            yield _torn(line, tenant, number)
            continue
        yield draft if draft.id is not None else _torn(line, tenant, number)


def _torn(line: bytes, tenant: str, number: int) -> Draft:
    text = line.decode("utf-8", "replace").replace("\0", "\ufffd").rstrip("\n")
    made = content_id(blake3(line).digest(), tenant=tenant, reading="spool", occurrence=number)
    given = {"raw": text[:_RAW_CHARS_MAX]}
    return Draft(tenant_id=tenant, id=made, seq=0, type="ghost", details={"given": given})


def _line(draft: Draft) -> bytes:
    try:
        return msgspec.json.encode(draft) + b"\n"
    except (TypeError, ValueError, OverflowError, RecursionError):  # a value that is no JSON
        kept = {"raw": repr(draft).encode("utf-8", "backslashreplace").decode()[:_RAW_CHARS_MAX]}
        bare = Draft(
            tenant_id=draft.tenant_id, id=draft.id, seq=draft.seq, type="ghost",
            details={"given": kept},
        )  # fmt: skip
        return msgspec.json.encode(bare) + b"\n"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*.jsonl") if path.is_file())


def _claim(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_DRAIN: Final = Text(
    "abra o nó (`logline up`): o que espera entra no registo e a pasta esvazia-se",
    "open the node (`logline up`): what waits enters the ledger and the folder empties",
)
