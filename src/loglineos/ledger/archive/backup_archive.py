"""The file of a backup: a plain tar whose last member tells the digests of all the others.

    database.dump   what `pg_dump --format=custom --data-only` wrote
    keys.box        only with `--with-keys`: see backup_keys.py
    config.json     if the data folder has one
    guard/...       the guard's files
    manifest.json   what it is, and size and BLAKE3 of each member above
    manifest.b3     BLAKE3 of the manifest

Always holds: it appears under its name complete and on the disk, or not at all; a file that was
cut off or changed is refused before anything of it is used; names are of this list only.
"""

from __future__ import annotations

import os
import re
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec
from blake3 import blake3

from loglineos.base.errors import NotFound, VerificationFailed
from loglineos.base.language import Text
from loglineos.ledger.archive.export_files import fsync_folder, open_aside

ENDING: Final = ".logline-backup"
DUMP: Final = "database.dump"
KEYS: Final = "keys.box"
CONFIG: Final = "config.json"
GUARD: Final = "guard/"
_MANIFEST: Final = "manifest.json"
_DIGEST: Final = "manifest.b3"
_NAMES: Final = re.compile(
    r"database\.dump|keys\.box|config\.json|manifest\.json|manifest\.b3|guard/[^/\x00]{1,255}"
)
_SMALL_BYTES_MAX: Final = 128 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_BLOCK: Final = tarfile.BLOCKSIZE


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member: its name, size and BLAKE3 in hex."""

    name: str
    size_bytes: int
    blake3: str


class SchemaStep(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that the database had."""

    number: int
    name: str
    checksum: str


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far one log reached, and its root in hex."""

    tenant: str
    size: int
    root: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself. `has_keys` tells whether the keys are inside, in their box."""

    format: str = "loglineos/backup/v1"
    made_at: str
    server_version: str
    has_keys: bool
    logs: tuple[LogHead, ...]
    schema: tuple[SchemaStep, ...]
    members: tuple[Member, ...] = ()


class ArchiveWriter:
    """Writes a backup from beginning to end in one pass."""

    def __init__(self, path: Path) -> None:
        """Open a file beside `path`; whatever stands at `path` stays until `finish`."""
        self.path = path
        self.members: list[Member] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._aside, handle = open_aside(path, mode=0o600)
        self._file = os.fdopen(handle, "wb")

    def add(self, name: str, chunks: Iterable[bytes]) -> Member:
        """Add a member whose size is known only when `chunks` end."""
        header_at, digest, size = self._file.tell(), blake3(), 0
        self._file.write(bytes(_BLOCK))
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            self._file.write(chunk)
        self._file.write(bytes(-size % _BLOCK))
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(time.time())
        header = entry.tobuf(tarfile.GNU_FORMAT)
        assert len(header) == _BLOCK, "a name of ours fits into one header"
        self._file.seek(header_at)
        self._file.write(header)
        self._file.seek(0, os.SEEK_END)
        member = Member(name=name, size_bytes=size, blake3=digest.hexdigest())
        self.members.append(member)
        return member

    def finish(self, manifest: BackupManifest) -> BackupManifest:
        """Add the manifest, put everything on the disk, give the file its name."""
        told = msgspec.structs.replace(manifest, members=tuple(self.members))
        text = msgspec.json.format(msgspec.json.encode(told))
        self.add(_MANIFEST, [text])
        self.add(_DIGEST, [blake3(text).hexdigest().encode()])
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self.path)
        fsync_folder(self.path.parent)
        return told

    def discard(self) -> None:
        """Remove what was written; after `finish` it does nothing."""
        self._file.close()
        self._aside.unlink(missing_ok=True)


def check_archive(path: Path) -> BackupManifest:
    """Read the whole file, compare every digest, return the manifest.

    Raises:
        NotFound: no such file. VerificationFailed: cut off, changed, or no backup of ours.
    """
    if not path.is_file():
        raise NotFound(what="backup", which=str(path))
    found: dict[str, Member] = {}
    small: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                found[entry.name], small[entry.name] = _read_member(path, tar, entry)
    except (tarfile.TarError, EOFError, OSError) as cause:
        raise _broken(path, _CUT) from cause
    manifest = _manifest_of(path, small)
    told = {one.name: one for one in manifest.members}
    for name in (*told, *(name for name in found if name not in (_MANIFEST, _DIGEST))):
        if name not in found or name not in told or found[name] != told[name]:
            raise _broken(path, Text(
                f"{name} não é o que o manifesto diz", f"{name} is not what the manifest says"
            ))  # fmt: skip
    return manifest


@contextmanager
def open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open one member of a file that `check_archive` has checked.

    Raises:
        NotFound: it is not there.
    """
    with tarfile.open(path, "r:") as tar:
        try:
            file = tar.extractfile(name)
        except KeyError as cause:
            raise NotFound(what="backup member", which=name) from cause
        assert file is not None, "members are files: check_archive has seen to it"
        with file:
            yield file


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file to its end, a mebibyte at a time."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _read_member(path: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> tuple[Member, bytes]:
    file = tar.extractfile(entry) if entry.isreg() else None
    if file is None or not _NAMES.fullmatch(entry.name) or ".." in entry.name.split("/"):
        raise _broken(path, Text(f"{entry.name!r} não é daqui", f"{entry.name!r} is not ours"))
    digest, size, kept = blake3(), 0, b""
    for chunk in chunks_of(file):
        digest.update(chunk)
        size += len(chunk)
        if entry.name in (_MANIFEST, _DIGEST) and size <= _SMALL_BYTES_MAX:
            kept += chunk
    if size != entry.size:
        raise _broken(path, _CUT)
    return Member(name=entry.name, size_bytes=size, blake3=digest.hexdigest()), kept


def _manifest_of(path: Path, small: dict[str, bytes]) -> BackupManifest:
    text, digest = small.get(_MANIFEST), small.get(_DIGEST)
    if text is None or digest is None:
        raise _broken(path, _CUT)
    if blake3(text).hexdigest().encode() != digest:
        raise _broken(path, Text("o manifesto mudou", "the manifest was changed"))
    try:
        manifest = msgspec.json.decode(text, type=BackupManifest)
    except msgspec.MsgspecError as cause:
        raise _broken(path, _NOT_OURS) from cause
    if manifest.format != BackupManifest.__struct_defaults__[0]:
        raise _broken(path, _NOT_OURS)
    return manifest


def _broken(path: Path, reason: Text) -> VerificationFailed:
    return VerificationFailed(
        what="backup",
        where=path.name,
        reason=reason,
        remedy=Text(
            "use outra cópia; nada foi restaurado", "use another backup; nothing was restored"
        ),
    )


_CUT: Final = Text(
    "o ficheiro está cortado ou não é uma cópia", "the file is cut off, or is no backup"
)
_NOT_OURS: Final = Text("não é uma cópia desta versão", "not a backup of this version")
