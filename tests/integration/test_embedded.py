"""The embedded Postgres starts whatever was left behind, and ends with its last user."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from loglineos.base.errors import DatabaseUnavailable, Misconfigured
from loglineos.base.language import Text
from loglineos.database import installation
from loglineos.database.embedded import EmbeddedPostgres

HOLDER = """
import sys
from pathlib import Path
from loglineos.database.embedded import EmbeddedPostgres
with EmbeddedPostgres.start(Path(sys.argv[1])) as postgres:
    print("joined" if postgres.is_joined else "started", flush=True)
    sys.stdin.readline()
"""


def wait_until(is_true: Callable[[], object], *, wait_s_max: float = 20) -> None:
    end = time.monotonic() + wait_s_max
    while not is_true():
        assert time.monotonic() < end, "the condition never came"
        time.sleep(0.005)


def ask(postgres: EmbeddedPostgres, question: str = "SELECT 1") -> object:
    with psycopg.connect(postgres.admin_dsn) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def holder(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds the Postgres of `home`, and what it said about joining."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(20) == 0


def is_running(home: Path) -> bool:
    return EmbeddedPostgres(home).postmaster_pid() is not None


@pytest.fixture
def stopped(home: Path) -> Path:
    """A data folder that was used and left in order."""
    with EmbeddedPostgres.start(home) as server, psycopg.connect(server.admin_dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'kept' AS value")
    assert not is_running(home)
    return home


@pytest.fixture
def crashed(home: Path) -> Path:
    """A data folder whose keeper, Postgres and user were all killed at once."""
    with holder(home) as (process, said):
        assert said == "started"
        postgres = EmbeddedPostgres(home)
        postmaster = postgres.postmaster_pid()
        assert postmaster is not None
        keeper = int((home / "pg" / "keeper").read_text())
        everyone = [psutil.Process(postmaster), *psutil.Process(postmaster).children()]
        os.kill(keeper, signal.SIGKILL)
        for one in everyone:
            one.kill()
        process.kill()
    wait_until(lambda: not is_running(home))
    assert (home / "pgdata" / "postmaster.pid").exists()
    return home


def test_what_was_written_is_there_at_the_second_start_which_is_fast(stopped: Path):
    begun = time.monotonic()
    with EmbeddedPostgres.start(stopped) as postgres:
        assert time.monotonic() - begun < 3, "a clean start takes about 0.1 s alone on a machine"
        assert not postgres.is_joined
        assert ask(postgres, "SELECT value FROM kept") == "kept"


def test_it_is_tuned_durable_private_and_in_utc(stopped: Path):
    with EmbeddedPostgres.start(stopped) as postgres:
        wanted = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "TimeZone": "UTC",
            "jit": "off",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "max_connections": "100",
            "server_encoding": "UTF8",
        }
        assert {name: ask(postgres, f"SHOW {name}") for name in wanted} == wanted
        locale = "SELECT datlocale FROM pg_database WHERE datname='logline' AND datlocprovider='b'"
        assert ask(postgres, locale) == "C.UTF-8"
        assert (stopped / "pg" / "socket").stat().st_mode & 0o777 == 0o700
        assert (stopped / "pgdata").stat().st_mode & 0o777 == 0o700


def test_a_crashed_server_recovers_and_says_that_it_was_not_joined(crashed: Path):
    with EmbeddedPostgres.start(crashed) as postgres:
        assert not postgres.is_joined
        assert ask(postgres) == 1


@pytest.mark.parametrize("left", [b"", b"12", b"nonsense\n", b"\x00\x00", b"-5\n/x\n"])
def test_a_pid_file_that_was_cut_off_does_not_keep_it_from_starting(stopped: Path, left: bytes):
    (stopped / "pgdata" / "postmaster.pid").write_bytes(left)
    with EmbeddedPostgres.start(stopped) as postgres:
        assert ask(postgres, "SELECT value FROM kept") == "kept"


def test_a_pid_that_another_program_has_now_does_not_keep_it_from_starting(crashed: Path):
    pid_file = crashed / "pgdata" / "postmaster.pid"
    identity = installation.choose_identity(crashed / "pgdata")
    user = identity.uid if identity.is_other else None
    with subprocess.Popen(["sleep", "100"], user=user) as stranger:
        try:
            _, _, rest = pid_file.read_bytes().partition(b"\n")
            pid_file.write_bytes(b"%d\n%b" % (stranger.pid, rest))
            with EmbeddedPostgres.start(crashed) as postgres:
                assert ask(postgres) == 1
            assert stranger.poll() is None, "the other program is left alone"
        finally:
            stranger.kill()


def test_a_stale_socket_does_not_keep_it_from_starting(stopped: Path):
    for name in (installation.SOCKET_NAME, installation.SOCKET_NAME + ".lock"):
        (stopped / "pg" / "socket" / name).write_text(f"{os.getpid()}\n")
    with socket.socket(socket.AF_UNIX) as dead:
        (stopped / "pg" / "socket" / installation.SOCKET_NAME).unlink()
        dead.bind(str(stopped / "pg" / "socket" / installation.SOCKET_NAME))
    with EmbeddedPostgres.start(stopped) as postgres:
        assert ask(postgres, "SELECT value FROM kept") == "kept"


def test_a_folder_that_was_half_made_is_made_anew(home: Path):
    (home / "pgdata.new").mkdir()
    (home / "pgdata.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres.start(home) as postgres:
        assert ask(postgres) == 1
    assert not (home / "pgdata.new").exists()


def test_the_second_process_joins_and_the_last_one_stops_it(home: Path):
    with EmbeddedPostgres.start(home) as first:
        with holder(home) as (process, said):
            assert said == "joined"
            pid = first.postmaster_pid()
            first.stop()
            assert first.postmaster_pid() == pid, "somebody is still there"
            leave(process)
        assert not is_running(home)


def test_processes_that_start_at_once_share_one_server(home: Path):
    with holder(home) as (one, _), holder(home) as (two, _), holder(home) as (three, said):
        assert said == "joined"
        for process in (one, two, three):
            assert is_running(home)
            leave(process)
    assert not is_running(home)


def test_a_killed_user_does_not_keep_it_alive(home: Path):
    with holder(home) as (process, _):
        assert is_running(home)
        process.kill()
        process.wait()
        wait_until(lambda: not is_running(home))
    assert not (home / "pgdata" / "postmaster.pid").exists(), "it was stopped in order"


def test_a_killed_user_does_not_end_it_for_the_others(home: Path):
    with EmbeddedPostgres.start(home) as postgres, holder(home) as (process, _):
        pid = postgres.postmaster_pid()
        process.kill()
        process.wait()
        wait_seen = time.monotonic() + 1.5  # more than one look of the keeper
        wait_until(lambda: time.monotonic() > wait_seen)
        assert postgres.postmaster_pid() == pid
        assert ask(postgres) == 1


@pytest.mark.parametrize("end", ["SIGKILL", "SIGQUIT", "SIGINT", "SIGTERM"])
def test_a_server_that_ends_comes_back_while_somebody_needs_it(stopped: Path, end: str):
    with EmbeddedPostgres.start(stopped) as postgres:
        pid = postgres.postmaster_pid()
        assert pid is not None
        os.kill(pid, signal.Signals[end])
        wait_until(lambda: postgres.postmaster_pid() not in (None, pid))
        with EmbeddedPostgres.start(stopped) as again:
            assert again.is_joined
            assert ask(again, "SELECT value FROM kept") == "kept"


def test_a_keeper_that_is_told_to_stop_stops_it_for_all_and_nobody_starts_it_again(stopped: Path):
    with EmbeddedPostgres.start(stopped) as postgres:
        os.kill(int((stopped / "pg" / "keeper").read_text()), signal.SIGTERM)
        wait_until(lambda: not postgres._has_keeper())
        assert not is_running(stopped)
        assert not (stopped / "pgdata" / "postmaster.pid").exists(), "it was stopped in order"
        with EmbeddedPostgres.start(stopped) as again:
            assert not again.is_joined
            assert ask(postgres, "SELECT value FROM kept") == "kept"


def test_a_server_that_cannot_start_again_yet_is_tried_until_it_can(stopped: Path):
    auto, log = stopped / "pgdata" / "postgresql.auto.conf", stopped / "log" / "postgres.log"
    with EmbeddedPostgres.start(stopped) as postgres:
        pid, before = postgres.postmaster_pid(), auto.read_text()
        assert pid is not None
        wait_until(lambda: b"ready to accept" in log.read_bytes())
        auto.write_text(before + "max_connections = 'nonsense'\n")
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: log.read_bytes().count(b"nonsense") >= 2)
        auto.write_text(before)
        with EmbeddedPostgres.start(stopped) as again:
            assert again.is_joined
            assert ask(again, "SELECT value FROM kept") == "kept"


def test_a_server_without_its_keeper_is_adopted_and_still_ends_with_its_last_user(home: Path):
    with EmbeddedPostgres.start(home) as first:
        pid = first.postmaster_pid()
        os.kill(int((home / "pg" / "keeper").read_text()), signal.SIGKILL)
        wait_until(lambda: not first._has_keeper())
        second = EmbeddedPostgres.start(home)
        assert second.is_joined
        assert second.postmaster_pid() == pid
        first.stop()
        second.stop()
        assert not is_running(home)


def test_who_meets_a_keeper_that_is_just_ending_launches_another(stopped: Path):
    told = []
    with (stopped / "pg" / "keeper").open("r+b") as keeper:
        fcntl.flock(keeper, fcntl.LOCK_EX)  # a keeper whose server is gone already

        def end(text: Text) -> None:
            told.append(text.en)
            fcntl.flock(keeper, fcntl.LOCK_UN)

        with EmbeddedPostgres.start(stopped, on_progress=end) as postgres:
            assert told[0] == "starting the database", "it took the keeper for one to join"
            assert not postgres.is_joined
            assert ask(postgres, "SELECT value FROM kept") == "kept"
    assert not is_running(stopped)


def test_starts_outlive_a_keeper_that_is_told_to_stop_while_they_arrive(stopped: Path):
    with EmbeddedPostgres.start(stopped) as first:
        for _ in range(8):
            if first._has_keeper():
                os.kill(int((stopped / "pg" / "keeper").read_text()), signal.SIGTERM)
            EmbeddedPostgres.start(stopped).stop()  # joins what is ending, or launches anew
        first_keeper_ends = time.monotonic() + 0.5
        wait_until(lambda: not first._has_keeper() or time.monotonic() > first_keeper_ends)
        with EmbeddedPostgres.start(stopped) as last:
            assert ask(last, "SELECT value FROM kept") == "kept"
    assert not is_running(stopped)


def test_a_stopped_hold_can_be_stopped_again_and_a_forked_child_lets_nothing_go(home: Path):
    with EmbeddedPostgres.start(home) as postgres:
        postgres._process = -1  # as a forked child sees it
        hold = postgres._hold
        postgres.stop()
        assert is_running(home)
        postgres._process, postgres._hold = os.getpid(), hold
        postgres.stop()
        postgres.stop()
        assert not is_running(home)


def test_a_long_path_gets_a_private_socket_folder_elsewhere(home: Path):
    deep = home / ("a" * 60) / ("b" * 60)
    with EmbeddedPostgres.start(deep) as postgres:
        assert ask(postgres) == 1
        folder = postgres._socket_folder
        assert home not in folder.parents
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()


def test_the_folder_of_another_version_is_refused_and_left_as_it_was(home: Path):
    (home / "pgdata").mkdir()
    (home / "pgdata" / "PG_VERSION").write_text("15\n")
    with pytest.raises(Misconfigured) as caught:
        EmbeddedPostgres.start(home)
    assert "15" in caught.value.describe("pt")
    assert [path.name for path in (home / "pgdata").iterdir()] == ["PG_VERSION"]


def test_settings_that_postgres_refuses_are_told_in_its_own_words(stopped: Path):
    with (stopped / "pgdata" / "postgresql.auto.conf").open("a") as settings:
        settings.write("max_connections = 'nonsense'\n")
    with pytest.raises(DatabaseUnavailable) as caught:
        EmbeddedPostgres.start(stopped)
    assert "max_connections" in caught.value.describe("en")
    assert not is_running(stopped)
