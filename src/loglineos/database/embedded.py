"""The embedded Postgres of a data folder: start it, join it, leave it; the last to leave stops it.

Who uses the folder is told by locks that the kernel drops when a process ends, never by process
ids. Three files in `<home>/pg` hold them: `start` (one arrives or leaves at a time), `holders`
(shared, one hold per user of the database) and `keeper` (see keeper.py).
Always holds: a stale pid file, list, socket or lock left by a killed process does not keep
Postgres from starting; a killed process does not keep Postgres alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeAlias

import psutil
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from loglineos.base.errors import DatabaseUnavailable, LoglineError
from loglineos.base.language import Text
from loglineos.database import cluster, installation
from loglineos.database.failures import as_error, folder_error, is_gone, no_room
from loglineos.database.installation import Identity

Progress: TypeAlias = Callable[[Text], None]
ADMIN: Final = "postgres"
DATABASE: Final = "logline"
SILENCE_S_MAX: Final = 60.0
"""How long Postgres may neither listen nor end at its start. Recovery listens and may be long."""
ATTEMPTS_MAX: Final = 5
"""How often a start begins anew after a keeper or server that ended under its hands."""
ROOM_S_MAX: Final = 3.0
"""How long Postgres may be silent on a full disk."""
_ROOM_BYTES_MIN: Final = 1024 * 1024
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
_KEEPER: Final = Path(__file__).with_name("keeper.py")
_TELL_EVERY_S: Final = 1.0


class EmbeddedPostgres:
    """A hold on the Postgres of one data folder. Safe to use from any thread; one `stop` each."""

    def __init__(self, home: Path, *, on_progress: Progress | None = None) -> None:
        """Prepare; `start` is the way to get one."""
        self.home: Final = home
        self.pgdata: Final = home / "pgdata"
        self.log: Final = home / "log" / "postgres.log"
        self.is_joined = False
        """Whether another process was already running it."""
        self._tell = _Teller(on_progress)
        self._log_at = 0
        self._locks: Final = home / "pg"
        self._hold: IO[bytes] | None = None
        self._process = os.getpid()
        self._socket_folder = Path()
        self._identity: Identity | None = None

    @classmethod
    def start(cls, home: Path, *, on_progress: Progress | None = None) -> EmbeddedPostgres:
        """Start the Postgres of `home`, or join the one that runs, and return when it answers.

        Makes the folder and the database `logline` at the first start. Blocks while another
        process starts or stops it, and while Postgres recovers from a crash, however long;
        `on_progress` is told about once a second what is waited for.

        Raises:
            Misconfigured: wrong version, owner, rights or path of the folder.
            ReadOnly: no room on its disk.
            DatabaseUnavailable: Postgres ended or stayed silent; the reason quotes its log.
        """
        postgres = cls(home.expanduser().resolve(), on_progress=on_progress)
        try:
            try:
                postgres._arrive()
            except BaseException:
                postgres.stop()
                raise
        except OSError as failure:
            raise folder_error(failure, home=postgres.home) from failure
        return postgres

    def dsn(self, user: str, database: str = DATABASE) -> str:
        """Return a libpq keyword string for `user` (a Postgres role) by the local socket."""
        return make_conninfo(
            host=str(self._socket_folder),
            port="5432",
            user=user,
            dbname=database,
            client_encoding="UTF8",
        )

    @property
    def admin_dsn(self) -> str:
        """The database `logline` as its superuser: for migrations, backups and repairs."""
        return self.dsn(ADMIN)

    def stop(self) -> None:
        """Let go; the last to leave stops Postgres and returns when it has ended. Repeats are free.

        In a process forked after `start` it does nothing: the hold is the parent's.
        """
        hold, self._hold = self._hold, None
        if hold is None or self._process != os.getpid():
            return
        with hold, self._alone("start"):
            fcntl.flock(hold, fcntl.LOCK_UN)
            if _try_lock(hold, fcntl.LOCK_EX):
                self._stop_keeper()

    def __enter__(self) -> Self:
        """Return the hold."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go."""
        self.stop()

    def postmaster_pid(self) -> int | None:
        """Return the process id of the running server, for `doctor` and crash tests."""
        pid = _first_line_pid(self.pgdata / "postmaster.pid")
        return pid if pid is not None and _is_postmaster(pid, self.pgdata) else None

    def _arrive(self) -> None:
        for folder in (self.home, self._locks, self.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone("start"):
            self._hold = _open_lock(self._locks / "holders")
            fcntl.flock(self._hold, fcntl.LOCK_SH)
            self._identity = installation.choose_identity(self.pgdata)
            installation.open_the_way(self.pgdata, self._identity)
            installation.open_the_way(self._locks / "socket", self._identity)
            self._socket_folder = installation.choose_socket_folder(self.home, self._identity)
            self._reach(self._identity)

    def _reach(self, identity: Identity) -> None:
        """Join or launch until it answers; one that ends meanwhile is launched anew.

        A keeper that was about to end looks like one to join: only its lock tells, when it falls.
        """
        for _ in range(ATTEMPTS_MAX):
            self.is_joined = self._has_keeper()
            if not self.is_joined:
                self._launch(identity)
            if self._wait_until_ready() and self._ensure_database():
                return
        raise self._failure(Text("terminou ao arrancar", "it ended while starting"))

    def _launch(self, identity: Identity) -> None:
        programs = installation.find_programs()
        installation.open_the_way(programs / "x", identity)
        if not (self.pgdata / "PG_VERSION").exists():
            self._tell(Text("a criar a base de dados", "making the database"))
            cluster.make_cluster(self.pgdata, programs=programs, identity=identity)
        cluster.check_version(self.pgdata)
        running, is_stale = self._look_at_pid_file()
        self.is_joined = running is not None
        if running is None:
            cluster.write_settings(self.pgdata, identity=identity)
            self._rotate_log()
        path = self._socket_folder / installation.SOCKET_NAME
        task = {
            "keeper_lock": str(self._locks / "keeper"),
            "start_lock": str(self._locks / "start"),
            "holders_lock": str(self._locks / "holders"),
            "pid_file": str(self.pgdata / "postmaster.pid"),
            "pid_file_is_stale": is_stale,
            "socket_files": [str(path), f"{path}.lock"],
            "adopt_pid": running,
            "log": str(self.log),
            "command": [
                str(programs / "postgres"),
                "-D",
                str(self.pgdata),
                "-k",
                str(self._socket_folder),
            ],
            "environment": cluster.ENVIRONMENT,
            "run_as": [identity.uid, identity.gid] if identity.is_other else None,
        }
        _open_lock(self._locks / "keeper").close()
        with self.log.open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", str(_KEEPER), json.dumps(task)],
                check=False,  # one that ends at once leaves no lock, and its words in the log
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

    def _look_at_pid_file(self) -> tuple[int | None, bool]:
        """Return (pid of a server that runs on this folder, whether the file names a stranger)."""
        path = self.pgdata / "postmaster.pid"
        if not path.exists():
            return None, False
        pid = _first_line_pid(path)
        if pid is None:
            running = _find_postmaster(self.pgdata)
            if running is None:
                path.unlink(missing_ok=True)  # cut off half-written: Postgres would refuse it
            return running, False
        return (pid, False) if _is_postmaster(pid, self.pgdata) else (None, True)

    def _wait_until_ready(self) -> bool:
        """Wait until it lets somebody in; False when its keeper has ended instead."""
        address = self.dsn(ADMIN, "postgres").encode()
        self._log_at = self.log.stat().st_size if self.log.exists() else 0
        heard_at = time.monotonic()
        while True:
            answer = PGconn.ping(address)
            if answer == Ping.OK:
                return True
            if answer == Ping.REJECT:
                heard_at = time.monotonic()
                self._tell.slowly(
                    Text("a recuperar a base de dados", "the database is recovering from a crash")
                )
            elif not self._has_keeper():
                return False
            elif time.monotonic() - heard_at > (ROOM_S_MAX if self._is_full() else SILENCE_S_MAX):
                raise self._failure(Text("não responde", "it does not answer"))
            else:
                self._tell.slowly(Text("a arrancar a base de dados", "starting the database"))
            time.sleep(0.01)

    def _ensure_database(self) -> bool:
        """Make the database where it is missing; False when the server has gone away again."""
        try:
            psycopg.connect(self.admin_dsn, connect_timeout=10).close()
        except psycopg.OperationalError as failure:
            if is_gone(failure):
                return False
            if "does not exist" not in str(failure):
                raise DatabaseUnavailable(reason=str(failure), retry_after_s=1) from failure
        else:
            return True
        try:
            with psycopg.connect(self.dsn(ADMIN, "postgres"), autocommit=True) as connection:
                connection.execute(
                    "CREATE DATABASE logline TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
                    " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
                )
        except psycopg.Error as failure:
            if is_gone(failure):
                return False
            raise as_error(failure) from failure
        return True

    def _is_full(self) -> bool:
        return shutil.disk_usage(self.home).free < _ROOM_BYTES_MIN

    def _failure(self, what: Text) -> LoglineError:
        if self._is_full():
            return no_room(self.home)
        with self.log.open("rb") as log:
            log.seek(max(0, self._log_at - 2048))
            words = log.read(16384).decode(errors="replace").strip().splitlines()
        last = " · ".join(words[-4:])
        return DatabaseUnavailable(
            reason=Text(f"{what.pt}: {last}", f"{what.en}: {last}"), retry_after_s=5
        )

    def _has_keeper(self) -> bool:
        with _open_lock(self._locks / "keeper") as lock:
            return not _try_lock(lock, fcntl.LOCK_EX)

    def _stop_keeper(self) -> None:
        told: int | None = None
        while self._has_keeper():
            pid = _first_line_pid(self._locks / "keeper")
            if pid is not None and pid != told:
                told = pid
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            self._tell.slowly(Text("a parar a base de dados", "stopping the database"))
            time.sleep(0.01)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with _open_lock(self._locks / name) as lock:
            while not _try_lock(lock, fcntl.LOCK_EX):
                self._tell.slowly(
                    Text("outro processo arranca ou pára", "another process starts or stops it")
                )
                time.sleep(0.01)
            yield

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))


class _Teller:
    def __init__(self, on_progress: Progress | None) -> None:
        self._on_progress = on_progress
        self._told_at = time.monotonic()

    def __call__(self, text: Text) -> None:
        self._told_at = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(text)

    def slowly(self, text: Text) -> None:
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self(text)


def _open_lock(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")


def _try_lock(lock: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _first_line_pid(path: Path) -> int | None:
    try:
        line = path.read_bytes().partition(b"\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(line) if line.isdigit() and int(line) > 0 else None


def _is_postmaster(pid: int, pgdata: Path) -> bool:
    """Whether `pid` is a live Postgres server of this folder; a reused pid is not."""
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and bool(words)
            and Path(words[0]).name == "postgres"
            and str(pgdata) in words
        )
    except psutil.Error:
        return False


def _find_postmaster(pgdata: Path) -> int | None:
    return next((pid for pid in psutil.pids() if _is_postmaster(pid, pgdata)), None)
