"""sigstore's own readers accept our checkpoints and inclusion proofs, and reject forged ones."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import cast

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its dependencies say about themselves
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
    from sigstore._internal.trust import RekorKeyring
    from sigstore.errors import VerificationError
    from sigstore.models import TransparencyLogEntry

from loglineos.ledger import signature as ed25519
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.note import COSIGNATURE, ED25519, note_signer, with_signatures
from loglineos.ledger.tlog.proofs import inclusion_proof
from loglineos.ledger.tlog.tiles import TileTree

ORIGIN = "casa.example/root"
LOG = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
ENTRIES = [b'{"seq":%d}' % number for number in range(100)]


class PartialTiles:
    """The tiles of a tree below 256 leaves."""

    def __init__(self, tree: TileTree) -> None:
        self._tiles = {(tile.level, tile.index): tile.hashes for tile in tree.partial_tiles()}

    async def tile(self, level: int, index: int, width: int) -> bytes:
        return self._tiles[level, index][: width * 32]


class OneKey:
    """A keyring of one Ed25519 key."""

    def verify(self, *, key_id: bytes, signature: bytes, data: bytes) -> None:
        assert key_id[:4] == LOG.verifier.key_id
        if not ed25519.verify(LOG.key.public, signature, data):
            raise VerificationError("not signed by the log")


async def entry_for_sigstore(index: int, body: bytes) -> TransparencyLogEntry:
    tree = TileTree()
    tree.extend([leaf_hash(entry) for entry in ENTRIES])
    checkpoint = Checkpoint(origin=ORIGIN, size=tree.size, root=tree.root())
    note = with_signatures(
        sign_checkpoint(checkpoint, signers=[LOG]),
        lines=[WITNESS.sign(checkpoint.encode(), timestamp=1_700_000_000)],
    )
    proof = SimpleNamespace(
        log_index=index,
        tree_size=tree.size,
        root_hash=tree.root(),
        hashes=await inclusion_proof(PartialTiles(tree), index, tree.size),
        checkpoint=SimpleNamespace(envelope=note.decode()),
    )
    inner = SimpleNamespace(
        inclusion_proof=proof,
        canonicalized_body=body,
        log_id=SimpleNamespace(key_id=LOG.verifier.key_id),
    )
    return cast("TransparencyLogEntry", SimpleNamespace(_inner=inner))


@pytest.mark.parametrize("index", [0, 1, 63, 64, 98, 99])
async def test_sigstore_accepts_an_inclusion_proof_and_its_checkpoint(index: int) -> None:
    entry = await entry_for_sigstore(index, ENTRIES[index])
    verify_merkle_inclusion(entry)
    verify_checkpoint(cast("RekorKeyring", OneKey()), entry)


async def test_sigstore_reads_origin_size_and_both_signatures() -> None:
    entry = await entry_for_sigstore(0, ENTRIES[0])
    envelope = entry._inner.inclusion_proof.checkpoint.envelope
    read = SignedCheckpoint.from_text(envelope)
    assert (read.checkpoint.origin, read.checkpoint.log_size) == (ORIGIN, 100)
    assert [one.name for one in read.signed_note.signatures] == [ORIGIN, "porta.example/w"]


async def test_sigstore_rejects_a_forged_entry() -> None:
    entry = await entry_for_sigstore(7, b'{"seq":"forged"}')
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry)


async def test_sigstore_rejects_a_forged_checkpoint() -> None:
    entry = await entry_for_sigstore(7, ENTRIES[7])
    proof = entry._inner.inclusion_proof
    forged = proof.checkpoint.envelope.replace("\n100\n", "\n101\n")
    proof.checkpoint = type(proof.checkpoint)(envelope=forged)
    with pytest.raises(VerificationError):
        verify_checkpoint(cast("RekorKeyring", OneKey()), entry)
