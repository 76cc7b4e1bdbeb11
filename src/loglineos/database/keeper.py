"""The keeper: the one process that launches the embedded Postgres and stops it when unused.

Run as a script by `embedded.py` with nothing but the standard library; it detaches and lives as
long as its Postgres. Every process that uses the data folder holds a shared lock on `holders`; the
kernel lets go of it however that process ends. Once a second the keeper asks for that lock alone:
when it gets it, nobody is left, and Postgres is stopped.
Always holds: only the owner of the `keeper` lock launches Postgres; nobody asks for `holders`
alone without owning `start`; a Postgres that has served and ends, however it ends, is launched
again while somebody holds on: to stop it for all of them, the keeper is told (SIGTERM).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import IO, Any, Final

LOOK_EVERY_S: Final = 1.0
RELAUNCH_AFTER_S: Final = 0.2
RELAUNCH_AFTER_S_MAX: Final = 5.0
LIVED_LONG_S: Final = 10.0
STOP_FAST_S_MAX: Final = 120.0
PASSES_BY_ITSELF: Final = (b"pre-existing shared memory block", b"No space left on device")


def main(arguments: list[str]) -> int:
    """Detach, launch (or adopt) Postgres as the JSON task says, keep it. Source: embedded.py."""
    task = json.loads(arguments[1])
    lock = open(task["keeper_lock"], "r+b")  # noqa: SIM115 - held until this process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 1
    lock.truncate(0)  # nobody may take the pid of a former keeper for ours
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    lock.write(str(os.getpid()).encode())
    lock.flush()
    _Keeper(task).run()
    return 0


class _Keeper:
    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._child: subprocess.Popen[bytes] | None = None
        self._adopted: int | None = task["adopt_pid"]
        self._pid_file_is_stale: bool = task["pid_file_is_stale"]
        self._is_told_to_stop = False
        self._has_served = self._adopted is not None
        self._launched_at = 0.0
        self._log_at = 0
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def run(self) -> None:
        if self._adopted is None:
            self._launch()
        pause_s = RELAUNCH_AFTER_S
        while True:
            self._sleep(LOOK_EVERY_S)
            if self._is_over():
                return
            if self._is_running():
                continue
            if not self._is_worth_another_try():
                return
            if time.monotonic() - self._launched_at > LIVED_LONG_S:
                pause_s = RELAUNCH_AFTER_S
            self._sleep(pause_s)
            pause_s = min(pause_s * 2, RELAUNCH_AFTER_S_MAX)
            if self._is_over():
                return
            self._launch()

    def _is_over(self) -> bool:
        if self._is_told_to_stop:
            self._stop()
            return True
        return self._nobody_is_left()

    def _on_stop(self, *_: object) -> None:
        self._is_told_to_stop = True

    def _sleep(self, seconds: float) -> None:
        select.select([self._wake], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 512)

    def _launch(self) -> None:
        task = self._task
        for path in task["socket_files"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - of a server that is gone; the folder is ours
        if self._pid_file_is_stale:
            _disown(task["pid_file"])
        self._pid_file_is_stale = True  # from now on it names a child of ours that is gone
        self._adopted = None
        with open(task["log"], "ab") as log:
            self._log_at = log.tell()
            self._child = subprocess.Popen(
                task["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=task["environment"],
                umask=0o077,
                **_identity(task),
            )
        self._launched_at = time.monotonic()

    def _is_running(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._adopted is not None and _exists(self._adopted)

    def _is_worth_another_try(self) -> bool:
        """Tell whether it ended by a hand or a crash, and not for what it will refuse again.

        It exits with 0 when anybody signals it, be it SIGQUIT; what has served once is wanted
        back for as long as somebody holds on, even if it refuses to start for a while.
        """
        if self._has_served or self._child is None:
            return True
        with open(self._task["log"], "rb") as log:
            log.seek(self._log_at)
            said = log.read()[-65536:]
        self._has_served = b"ready to accept connections" in said
        is_signalled = self._child.returncode <= 0
        is_passing = any(reason in said for reason in PASSES_BY_ITSELF)
        return self._has_served or is_signalled or is_passing

    def _nobody_is_left(self) -> bool:
        with open(self._task["start_lock"], "rb") as start:
            if not _take_alone(start):
                return False  # somebody is arriving or leaving
            with open(self._task["holders_lock"], "rb") as holders:
                if not _take_alone(holders):
                    return False
                self._stop()
                return True

    def _stop(self) -> None:
        """Stop fast (SIGINT), and after a long wait at once (SIGQUIT: recovery at next start)."""
        pid = self._child.pid if self._child is not None else self._adopted
        if pid is None or not self._is_running():
            return
        for number, wait_s in ((signal.SIGINT, STOP_FAST_S_MAX), (signal.SIGQUIT, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            end = time.monotonic() + wait_s
            while time.monotonic() < end:
                if not self._is_running():
                    return
                time.sleep(0.005)


def _take_alone(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _disown(pid_file: str) -> None:
    """Name ourselves as the owner of a stale pid file: Postgres takes its parent's pid for stale.

    Deleting the file would also delete the shared memory key in it, by which Postgres notices
    that processes of the former server still run. Source: CreateLockFile in miscinit.c.
    """
    with contextlib.suppress(FileNotFoundError), open(pid_file, "r+b") as file:
        lines = file.read().splitlines(keepends=True)
        if lines:
            lines[0] = b"%d\n" % os.getpid()
            file.seek(0)
            file.write(b"".join(lines))
            file.truncate()


def _identity(task: dict[str, Any]) -> dict[str, Any]:
    if task["run_as"] is None:
        return {}
    uid, gid = task["run_as"]
    return {"user": uid, "group": gid, "extra_groups": []}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv))
