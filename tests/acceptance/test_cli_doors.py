"""Where the command line meets what it cannot trust: folders, disks, names and foreign files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.test_cli_write import NINE, House, house
from tests.conftest import home

__all__ = ["home", "house"]
_REPEATS = """
import stamina
from loglineos.faces.cli.app import run

run(["version"])
for attempt in stamina.retry_context(on=OSError, attempts=2, wait_initial=0.001):
    with attempt:
        if attempt.num == 1:
            raise OSError
"""


@pytest.fixture
def impostor(home: Path) -> House:
    """A node of somebody else's that gives its logs the names of ours."""
    made = House(home)
    made.ok("init", "--origin", "log.example.org/casa")
    made.ok("add", "joao", "negar", "a dívida", *NINE)
    return made


def test_looking_makes_no_node_where_none_is(house: House, tmp_path: Path) -> None:
    nowhere = tmp_path / "no node"
    for words in (["timeline"], ["stats"], ["verify"], ["log", "export", str(tmp_path / "tree")]):
        done = house.run(*words, "--home", str(nowhere), "--json")
        assert (done.status, done.problem["code"]) == (3, "not_found"), words
        assert str(nowhere) in done.problem["detail"]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_home_is_refused_and_is_not_the_folder_one_stands_in(house: House) -> None:
    done = house.run("timeline", "--home", "", "--json")
    assert (done.status, done.problem["fields"]["field"]) == (2, "--home")


def test_a_tenant_that_is_not_there_is_named(house: House) -> None:
    for words in (["timeline"], ["ghosts"], ["stats"]):
        done = house.run(*words, "--tenant", "hotel-vazio", "--json")
        assert (done.status, done.problem["code"]) == (3, "unknown_tenant"), words
        assert done.problem["fields"]["which"] == "hotel-vazio"


def test_what_an_impostor_signed_in_our_name_is_held_against_our_key(
    house: House, impostor: House, tmp_path: Path
) -> None:
    tree, lines = str(tmp_path / "tree"), str(tmp_path / "casa.jsonl")
    impostor.ok("log", "export", tree)
    impostor.ok("export", lines)
    for forged in (tree, lines):
        done = house.run("verify", forged, "--json")
        assert (done.status, done.problem["code"]) == (5, "verification_failed"), forged
        assert impostor.ok("verify", forged)["is_key_given"] is True, "its own key is its own"


def test_a_key_that_came_with_the_files_is_said_to_have_come_with_them(
    house: House, tmp_path: Path
) -> None:
    tree, lines = str(tmp_path / "tree"), str(tmp_path / "casa.jsonl")
    house.ok("log", "export", tree)
    house.ok("export", lines)
    for path in (tree, lines):
        stranger = house.run("verify", path, "--home", str(tmp_path / "none"))
        assert (stranger.status, "--vkey" in stranger.out) == (0, True), stranger.err
        assert "--vkey" not in house.run("verify", path).out, "our own log needs no such warning"
    assert not (tmp_path / "none").exists()


def test_what_the_system_refuses_is_said_with_the_place(house: House, tmp_path: Path) -> None:
    house.ok("add", "joao", "entregar", "pedido 1", *NINE)
    done = house.run("proof", "1", "--out", str(tmp_path), "--json")
    assert (done.status, done.problem["fields"]["setting"]) == (2, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_called_one(house: House) -> None:
    if not Path("/dev/full").exists():
        return
    done = house.run("proof", "1", "--out", "/dev/full", "--json")
    assert (done.status, done.problem["code"]) == (6, "read_only")
    assert done.problem["retryable"] is True


def test_a_wrapped_command_keeps_its_status_when_nothing_can_be_written(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = house.run("wrap", "--home", str(tmp_path / "file"), "--", "sh", "-c", "echo ok; exit 3")
    assert (done.status, done.out) == (3, "ok\n"), done.err
    assert "Traceback" not in done.err
    assert "is lost" in done.err
    assert "waits" not in done.err, "what is nowhere does not wait"


def test_the_library_that_repeats_does_not_speak_beside_us() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _REPEATS], capture_output=True, text=True, check=True
    )
    assert (said.stdout.splitlines()[0].startswith("loglineos"), said.stderr) == (True, "")


def test_an_export_ends_like_one_of_its_formats(house: House, tmp_path: Path) -> None:
    done = house.run("export", str(tmp_path / "casa.txt"), "--json")
    assert (done.status, done.problem["code"]) == (2, "unknown_name")
    assert list(tmp_path.iterdir()) == []
    assert house.ok("export", str(tmp_path / "casa.txt"), "--format", "csv")["whole"] is True
