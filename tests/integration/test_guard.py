"""The guard: what was last signed, on a disk of its own, never less and never something else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loglineos.base.errors import (
    LogBehind,
    Misconfigured,
    ReadOnly,
    Unavailable,
    VerificationFailed,
)
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.note import ED25519, note_signer

ORIGIN = "casa.example/t/casa"
SIGNER = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)


def checkpoint(size: int, root: bytes = b"r") -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=root * 32)


def note(size: int, root: bytes = b"r") -> bytes:
    return sign_checkpoint(checkpoint(size, root), signers=[SIGNER])


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard(tmp_path / "guard")


def files(guard: Guard) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in guard.folder.iterdir()}


def test_a_guard_that_never_kept_anything_knows_nothing_and_writes_nothing(guard: Guard) -> None:
    assert guard.read(ORIGIN) is None
    assert guard.origins() == []
    assert not guard.folder.exists()


def test_what_is_kept_is_read_back_by_another_guard_of_the_folder(guard: Guard) -> None:
    assert guard.advance(note(5), expected=None)
    assert guard.advance(note(9), expected=checkpoint(5))
    kept = Guard(guard.folder).read(ORIGIN)
    assert kept is not None
    assert (kept.checkpoint, kept.note) == (checkpoint(9), note(9))
    assert guard.origins() == [ORIGIN]
    assert len(files(guard)) == 2, "one file for the log, one lock"


def test_only_the_owner_may_read_and_write(guard: Guard) -> None:
    guard.advance(note(5), expected=None)
    modes = {path.name: path.stat().st_mode & 0o777 for path in guard.folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert guard.folder.stat().st_mode & 0o777 == 0o700


def test_a_smaller_tree_is_refused_and_named(guard: Guard) -> None:
    guard.advance(note(9), expected=None)
    before = files(guard)
    with pytest.raises(LogBehind) as raised:
        guard.advance(note(5), expected=checkpoint(9))
    assert raised.value.fields["ours"] == 5
    assert raised.value.fields["theirs"] == 9
    assert raised.value.fields["origin"] == ORIGIN
    assert files(guard) == before


def test_a_second_root_for_a_size_is_refused(guard: Guard) -> None:
    guard.advance(note(9), expected=None)
    before = files(guard)
    with pytest.raises(VerificationFailed):
        guard.advance(note(9, b"x"), expected=checkpoint(9))
    assert files(guard) == before


def test_who_expects_something_else_is_told_so_and_changes_nothing(guard: Guard) -> None:
    guard.advance(note(5), expected=None)
    before = files(guard)
    assert not guard.advance(note(9), expected=None)
    assert not guard.advance(note(9), expected=checkpoint(4))
    assert files(guard) == before


def test_keeping_again_what_is_kept_writes_nothing(guard: Guard) -> None:
    guard.advance(note(5), expected=None)
    path = next(guard.folder.glob("*.checkpoint"))
    before = path.stat()
    assert guard.advance(note(5), expected=checkpoint(5))
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("damage", [b"", b"nonsense", note(5)[:40], b"\xff\xfe\n\n"])
def test_a_damaged_file_forbids_signing(guard: Guard, damage: bytes) -> None:
    guard.advance(note(5), expected=None)
    path = next(guard.folder.glob("*.checkpoint"))
    path.write_bytes(damage)
    with pytest.raises(Misconfigured) as raised:
        guard.advance(note(9), expected=checkpoint(5))
    assert raised.value.fields["setting"] == str(path)
    assert path.read_bytes() == damage


def test_the_checkpoint_of_another_log_in_the_file_forbids_signing(guard: Guard) -> None:
    guard.advance(note(5), expected=None)
    next(guard.folder.glob("*.checkpoint")).rename(guard.folder / "outra.checkpoint")
    with pytest.raises(Misconfigured):
        guard.read("outra")


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, ReadOnly), (errno.EIO, Unavailable), (errno.EDQUOT, ReadOnly)],
)
def test_a_disk_that_fails_leaves_the_old_file_and_nothing_else(
    guard: Guard, code: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.advance(note(5), expected=None)
    before = files(guard)

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(error) as raised:
        guard.advance(note(9), expected=checkpoint(5))
    monkeypatch.undo()
    assert isinstance(raised.value.__cause__, OSError)
    assert files(guard) == before
    assert guard.advance(note(9), expected=checkpoint(5)), "and it goes on when the disk does"


RACE = """
import sys
from pathlib import Path
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.tlog.note import ED25519, note_signer
signer = note_signer("casa.example/t/casa", kind=ED25519, seed=b"l" * 32)
guard, wins = Guard(Path(sys.argv[1])), 0
for _ in range(60):
    kept = guard.read(signer.name)
    old = kept.checkpoint if kept else None
    new = Checkpoint(origin=signer.name, size=old.size + 1 if old else 1, root=b"r" * 32)
    try:
        wins += guard.advance(sign_checkpoint(new, signers=[signer]), expected=old)
    except Exception as error:
        assert type(error).__name__ == "LogBehind", error
print(wins)
"""


def test_of_processes_that_race_each_step_has_one_winner(guard: Guard) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(guard.folder)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    wins = sum(int(output) for output in outputs)
    kept = guard.read(ORIGIN)
    assert kept is not None
    # Two may keep the same step when both made it, which is one and the same checkpoint.
    assert 60 <= kept.checkpoint.size <= wins
