"""A data folder that is closed, read-only, full or left by another boot: opened, or told clearly."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from loglineos.base.errors import LoglineError, Misconfigured, ReadOnly
from loglineos.database import installation
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.failures import folder_error
from loglineos.ledger.keyring import KeyRing
from tests.crash.site import wait_until


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _mount(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _when_idle(*command: str) -> None:
    """Run what the system refuses while an ending process still has a file open."""
    wait_until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)


@contextmanager
def _disk(size: str) -> Iterator[Path | None]:
    """A file system of its own, or None where this user may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    is_mounted = _mount(folder, size)
    try:
        yield folder if is_mounted else None
    finally:
        if is_mounted:
            _when_idle("umount", str(folder))
        folder.rmdir()


def use(home: Path) -> None:
    with EmbeddedPostgres.start(home) as postgres, psycopg.connect(postgres.admin_dsn) as one:
        assert one.execute("SELECT 1").fetchone() == (1,)


def told(error: LoglineError, folder: Path) -> None:
    """Check that an error names the folder and a remedy, in both languages."""
    said = [error.describe(way) + " " + error.advise(way) for way in ("pt", "en")]
    assert all(str(folder) in one for one in said)
    assert said[0] != said[1]
    assert "Traceback" not in "".join(said)


def test_only_closed_folders_above_the_data_are_opened_and_only_for_postgres(home: Path):
    closed, shared, passable = home / "closed", home / "closed/shared", home / "closed/shared/open"
    data = passable / "house"
    for folder, mode in ((closed, 0o700), (shared, 0o750), (passable, 0o751)):
        folder.mkdir(mode=0o700)
        folder.chmod(mode)
    beside = closed / "beside"
    beside.mkdir(mode=0o700)
    KeyRing(data / "keys", environment={}).create()
    data.chmod(0o700)
    group = home.stat().st_gid
    use(data)
    identity = installation.choose_identity(data / "pgdata")
    seen = {folder.name: mode_of(folder) for folder in (closed, shared, passable, data)}
    if identity.is_other:
        assert seen == {"closed": 0o710, "shared": 0o751, "open": 0o751, "house": 0o710}
        assert closed.stat().st_gid == data.stat().st_gid == identity.gid
    else:
        assert seen == {"closed": 0o700, "shared": 0o750, "open": 0o751, "house": 0o700}
    assert {shared.stat().st_gid, passable.stat().st_gid, beside.stat().st_gid} == {group}
    assert mode_of(beside) == mode_of(data / "keys") == mode_of(data / "pg" / "socket") == 0o700
    keys = list((data / "keys").iterdir())
    assert keys
    assert {mode_of(key) for key in keys if "pub" not in key.name} == {0o600}
    assert {key.stat().st_uid for key in keys} == {os.geteuid()}


def test_nobody_but_us_reads_the_keys_even_where_postgres_runs_as_another(home: Path):
    KeyRing(home / "keys", environment={}).create()
    use(home)
    identity = installation.choose_identity(home / "pgdata")
    if identity.is_other:
        for path in (home / "keys", home / "keys" / "node.key"):
            done = subprocess.run(
                ["cat" if path.is_file() else "ls", str(path)], capture_output=True, check=False,
                user=identity.uid, group=identity.gid, extra_groups=[],
            )  # fmt: skip
            assert done.returncode != 0
            assert b"Permission denied" in done.stderr
    assert mode_of(home) & 0o067 == 0, "the home is not listed, and closed to others"


def test_a_pid_that_belongs_to_another_users_program_after_a_boot_is_no_obstacle(home: Path):
    use(home)
    first = psutil.Process(1)  # there after every boot, and hardly ever Postgres's user
    pid_file = home / "pgdata" / "postmaster.pid"
    pid_file.write_text(
        f"1\n{home}/pgdata\n1700000000\n5432\n{home}/pg/socket\n\n  123  4\nready\n"
    )
    identity = installation.choose_identity(home / "pgdata")
    os.chown(pid_file, identity.uid, identity.gid)
    pid_file.chmod(0o600)
    use(home)
    assert first.is_running()
    assert not pid_file.exists()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, ReadOnly),
        (errno.EDQUOT, ReadOnly),
        (errno.EROFS, Misconfigured),
        (errno.EACCES, Misconfigured),
        (errno.EISDIR, Misconfigured),
    ],
)
def test_each_failure_of_the_folder_has_its_error(number: int, kind: type[LoglineError]):
    home = Path("/casa")
    failure = OSError(number, os.strerror(number), str(home / "pgdata"))
    error = folder_error(failure, home=home)
    assert type(error) is kind
    said = [error.describe(way) + " " + error.advise(way) for way in ("pt", "en")]
    assert all(str(home) in one for one in said)
    assert said[0] != said[1]


def test_a_folder_that_cannot_be_used_is_told_and_left_as_it_was(home: Path):
    use(home)
    obstacle = home / "pgdata" / "logline.conf.new"
    obstacle.mkdir()
    with pytest.raises(Misconfigured) as caught:
        EmbeddedPostgres.start(home)
    told(caught.value, home / "pgdata")
    assert EmbeddedPostgres(home).postmaster_pid() is None
    obstacle.rmdir()
    use(home)


def test_a_folder_that_only_lets_read_is_told_with_its_name_and_a_remedy(home: Path):
    with _disk("200m") as disk:
        house = disk or home
        use(house)
        if disk is None:
            (house / "pgdata").chmod(0o500)
        else:
            _when_idle("mount", "-o", "remount,ro", str(disk))
        try:
            with pytest.raises(Misconfigured) as caught:
                EmbeddedPostgres.start(house)
        finally:
            if disk is None:
                (house / "pgdata").chmod(0o700)
            else:
                subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        told(caught.value, house)
        use(house)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_is_told_in_seconds_and_the_next_start_with_room_succeeds(is_new: bool):
    with _disk("200m") as disk:
        if disk is None:
            return  # the errors themselves are proven above, without a disk
        if not is_new:
            use(disk)
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(65536)):
                pass
        if is_new:
            os.truncate(ballast, ballast.stat().st_size - 8 * 1024 * 1024)
        begun = time.monotonic()
        with pytest.raises(ReadOnly) as caught:
            EmbeddedPostgres.start(disk)
        assert time.monotonic() - begun < 10
        told(caught.value, disk)
        ballast.unlink()
        use(disk)
        assert not (disk / "pgdata.new").exists()
