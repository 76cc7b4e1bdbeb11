"""A log as a folder: what is written, in which order, and what is refused when reading."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loglineos.base.errors import InvalidInput, LoglineError, NotFound, TooLarge, VerificationFailed
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash, root_of
from loglineos.ledger.tlog.note import ED25519, note_signer
from loglineos.ledger.tlog.static_tree import (
    Audit,
    DirectoryTiles,
    verify_static_tree,
    write_static_tree,
)

ORIGIN = "casa.example/t/casa"
LOG = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)
STRANGER = note_signer(ORIGIN, kind=ED25519, seed=b"s" * 32)


def entries_of(size: int) -> list[bytes]:
    return [b'{"seq":%d}' % number for number in range(size)]


def body_of(size: int) -> Checkpoint:
    root = root_of([leaf_hash(entry) for entry in entries_of(size)])
    return Checkpoint(origin=ORIGIN, size=size, root=root)


async def publish(folder: Path, size: int, *, signed: int | None = None) -> Checkpoint:
    async def each() -> AsyncIterator[bytes]:
        for entry in entries_of(size):
            yield entry

    note = sign_checkpoint(body_of(size if signed is None else signed), signers=[LOG])
    return await write_static_tree(folder, entries=each(), checkpoint=note)


async def audit(folder: Path, *, seen: Checkpoint | None = None) -> list[Audit]:
    return [one async for one in verify_static_tree(folder, log=LOG.verifier, seen=seen)]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


async def test_a_folder_holds_exactly_the_files_of_its_size(tmp_path: Path) -> None:
    await publish(tmp_path, 300)
    assert files_of(tmp_path) == {
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    }


async def test_progress_ends_with_every_entry_proved(tmp_path: Path) -> None:
    signed = await publish(tmp_path, 600)
    progress = await audit(tmp_path)
    assert [one.entries for one in progress] == [0, 256, 512, 600]
    assert [one.is_complete for one in progress] == [False, False, False, True]
    assert (progress[-1].checkpoint, progress[-1].tiles) == (signed, 4)


async def test_an_empty_log_is_a_checkpoint_alone(tmp_path: Path) -> None:
    await publish(tmp_path, 0)
    assert files_of(tmp_path) == {"checkpoint"}
    assert [one.is_complete for one in await audit(tmp_path)] == [True]


async def test_entries_that_do_not_make_the_signed_tree_get_no_checkpoint(tmp_path: Path) -> None:
    for signed in (9, 11):
        with pytest.raises(VerificationFailed):
            await publish(tmp_path, 10, signed=signed)
    assert "checkpoint" not in files_of(tmp_path)


async def test_a_tree_written_over_an_older_one_is_whole(tmp_path: Path) -> None:
    before = await publish(tmp_path, 300)
    await publish(tmp_path, 700)
    assert (await audit(tmp_path, seen=before))[-1].entries == 700


async def test_an_older_tree_is_told_only_by_what_was_seen(tmp_path: Path) -> None:
    await publish(tmp_path, 300)
    assert (await audit(tmp_path))[-1].is_complete
    assert (await audit(tmp_path, seen=body_of(0)))[-1].is_complete
    with pytest.raises(VerificationFailed) as raised:
        await audit(tmp_path, seen=body_of(301))
    assert raised.value.fields["where"] == "checkpoint"
    forked = Checkpoint(origin=ORIGIN, size=200, root=body_of(199).root)
    with pytest.raises(VerificationFailed):
        await audit(tmp_path, seen=forked)
    elsewhere = Checkpoint(origin="fora.example", size=200, root=body_of(200).root)
    with pytest.raises(VerificationFailed):
        await audit(tmp_path, seen=elsewhere)


async def test_a_checkpoint_by_a_stranger_is_refused(tmp_path: Path) -> None:
    await publish(tmp_path, 5)
    (tmp_path / "checkpoint").write_bytes(sign_checkpoint(body_of(5), signers=[STRANGER]))
    with pytest.raises(VerificationFailed):
        await audit(tmp_path)


@pytest.mark.parametrize(
    "name", ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/001.p/44"]
)
async def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    await publish(tmp_path, 300)
    (tmp_path / name).unlink()
    with pytest.raises(NotFound) as raised:
        await audit(tmp_path)
    assert str(raised.value.fields["which"]).endswith(name)


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/entries/000"])
async def test_an_emptied_or_noisy_file_is_refused(name: str, tmp_path: Path) -> None:
    await publish(tmp_path, 300)
    honest = (tmp_path / name).read_bytes()
    for broken in (b"", b"\0", honest[:-1], honest + b"\0"):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(LoglineError) as raised:
            await audit(tmp_path)
        assert isinstance(raised.value, (VerificationFailed, InvalidInput))


async def test_a_checkpoint_larger_than_any_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"x" * (256 * 1024 + 1))
    with pytest.raises(TooLarge):
        await audit(tmp_path)


async def test_a_partial_that_is_gone_is_cut_from_its_full_tile(tmp_path: Path) -> None:
    await publish(tmp_path, 256)
    tiles = DirectoryTiles(tmp_path)
    assert await tiles.tile(0, 0, 10) == (await tiles.tile(0, 0, 256))[:320]
    assert await tiles.entries(0, 10) == entries_of(10)
    assert await tiles.leaves(0, 3) == [leaf_hash(entry) for entry in entries_of(3)]


async def test_an_entry_too_large_for_the_format_is_refused(tmp_path: Path) -> None:
    async def one() -> AsyncIterator[bytes]:
        yield b"x" * 65_536

    with pytest.raises(TooLarge):
        await write_static_tree(
            tmp_path, entries=one(), checkpoint=sign_checkpoint(body_of(1), signers=[LOG])
        )
    assert files_of(tmp_path) == set()
