"""Receipts: standard parts, two levels, and nothing proved that was not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, LoglineError, TooLarge, VerificationFailed
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    ED25519,
    NoteSigner,
    note_signer,
    parse_note,
    with_signatures,
)
from loglineos.ledger.tlog.policy import Policy, parse_policy
from loglineos.ledger.tlog.proofs import inclusion_proof
from loglineos.ledger.tlog.receipt import (
    PROOF_BYTES_MAX,
    TlogProof,
    encode_receipt,
    parse_proof,
    parse_receipt,
    root_entry,
    split_receipt,
    verify_receipt,
)
from loglineos.ledger.tlog.tiles import TileTree

TENANT = note_signer("casa.example/t/casa", kind=ED25519, seed=b"t" * 32)
ROOT = note_signer("casa.example/root", kind=ED25519, seed=b"r" * 32)
FOREIGN_ROOT = note_signer("fora.example/root", kind=ED25519, seed=b"f" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
ENTRIES = [b'{"seq":%d}' % number for number in range(20)]
LOGS = [TENANT.verifier, ROOT.verifier]


class PartialTiles:
    """The tiles of a tree below 256 leaves."""

    def __init__(self, tree: TileTree) -> None:
        self._tiles = {(tile.level, tile.index): tile.hashes for tile in tree.partial_tiles()}

    async def tile(self, level: int, index: int, width: int) -> bytes:
        return self._tiles[level, index][: width * 32]


def policy(quorum: str = "w") -> Policy:
    lines = [f"log {one.encode()}" for one in LOGS]
    lines += [f"witness w {WITNESS.verifier.encode()}", f"quorum {quorum}"]
    return parse_policy("\n".join(lines).encode())


async def part(
    entries: list[bytes],
    index: int,
    signer: NoteSigner,
    *,
    extra: bytes | None = None,
    witness: NoteSigner | None = None,
) -> TlogProof:
    tree = TileTree()
    tree.extend([leaf_hash(entry) for entry in entries])
    checkpoint = Checkpoint(origin=signer.name, size=tree.size, root=tree.root())
    note = sign_checkpoint(checkpoint, signers=[signer])
    if witness is not None:
        note = with_signatures(note, lines=[witness.sign(checkpoint.encode(), timestamp=7)])
    hashes = await inclusion_proof(PartialTiles(tree), index, tree.size)
    return TlogProof(index=index, hashes=tuple(hashes), checkpoint=note, extra=extra)


async def two_levels(
    *, root: NoteSigner = ROOT, extra: bytes | None = ENTRIES[7], witness: NoteSigner = WITNESS
) -> bytes:
    tenant = await part(ENTRIES, 7, TENANT, extra=extra)
    others = [b"another tenant's checkpoint"] * 4
    above = await part([*others, root_entry(tenant.checkpoint)], 4, root, witness=witness)
    return encode_receipt([tenant, above])


async def test_a_receipt_of_two_levels_proves_its_entry_and_its_witness() -> None:
    proved = verify_receipt(await two_levels(), policy=policy())
    assert (proved.entry, proved.index, proved.root_index) == (ENTRIES[7], 7, 4)
    assert proved.checkpoint.origin == "casa.example/t/casa"
    assert proved.checkpoint.size == 20
    assert proved.root_checkpoint is not None
    assert (proved.root_checkpoint.origin, proved.root_checkpoint.size) == ("casa.example/root", 5)
    assert [(one.key, one.timestamp) for one in proved.cosignatures] == [(WITNESS.verifier, 7)]
    assert proved.is_witnessed


async def test_a_receipt_of_one_level_is_a_plain_tlog_proof() -> None:
    proof = await part(ENTRIES, 19, TENANT)
    data = encode_receipt([proof])
    assert data == proof.encode()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 19\n")
    proved = verify_receipt(data, logs=LOGS, entry=ENTRIES[19])
    assert (proved.root_index, proved.root_checkpoint, proved.is_witnessed) == (None, None, False)


async def test_each_part_of_a_receipt_is_a_standard_file_by_itself() -> None:
    receipt = await two_levels()
    parts = split_receipt(receipt)
    assert b"\n".join(parts) == receipt
    assert [parse_proof(one).encode() for one in parts] == parts
    assert parse_receipt(receipt) == [parse_proof(one) for one in parts]


async def test_witnesses_added_later_to_the_tenants_checkpoint_change_nothing() -> None:
    first, second = parse_receipt(await two_levels())
    line = WITNESS.sign(parse_note(first.checkpoint).text, timestamp=9)
    cosigned = with_signatures(first.checkpoint, lines=[line])
    again = TlogProof(index=7, hashes=first.hashes, checkpoint=cosigned, extra=first.extra)
    assert verify_receipt(encode_receipt([again, second]), policy=policy()).is_witnessed


async def test_without_its_quorum_a_receipt_holds_but_is_not_witnessed() -> None:
    stranger = note_signer("outra.example/w", kind=COSIGNATURE, seed=b"x" * 32)
    proved = verify_receipt(await two_levels(witness=stranger), policy=policy())
    assert proved.cosignatures == ()
    assert not proved.is_witnessed
    assert not verify_receipt(await two_levels(), policy=policy("none")).is_witnessed
    assert not verify_receipt(await two_levels(), logs=LOGS).is_witnessed


async def test_a_carried_entry_must_be_the_one_that_was_given() -> None:
    with pytest.raises(VerificationFailed):
        verify_receipt(await two_levels(), policy=policy(), entry=ENTRIES[8])
    with pytest.raises(VerificationFailed):
        verify_receipt(await two_levels(extra=ENTRIES[8]), policy=policy())
    with pytest.raises(VerificationFailed):
        verify_receipt(await two_levels(extra=None), policy=policy(), entry=ENTRIES[8])
    with pytest.raises(InvalidInput):
        verify_receipt(await two_levels(extra=None), policy=policy())


async def test_both_logs_must_be_known() -> None:
    receipt = await two_levels()
    for logs in ([TENANT.verifier], [ROOT.verifier], []):
        with pytest.raises(VerificationFailed):
            verify_receipt(receipt, logs=logs)


async def test_the_parts_must_belong_to_one_node() -> None:
    receipt = await two_levels(root=FOREIGN_ROOT)
    with pytest.raises(VerificationFailed) as raised:
        verify_receipt(receipt, logs=[*LOGS, FOREIGN_ROOT.verifier])
    assert raised.value.fields["where"] == "fora.example/root"


async def test_the_root_log_must_hold_this_very_checkpoint() -> None:
    _, above = parse_receipt(await two_levels())
    other = await part(ENTRIES[:10], 7, TENANT, extra=ENTRIES[7])
    with pytest.raises(VerificationFailed):
        verify_receipt(encode_receipt([other, above]), policy=policy())


async def test_a_flipped_byte_breaks_the_receipt_or_loses_its_witness() -> None:
    receipt = await two_levels()
    honest = verify_receipt(receipt, policy=policy())
    for at in range(len(receipt)):
        changed = receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]
        try:
            proved = verify_receipt(changed, policy=policy())
        except LoglineError:
            continue
        # Only the witness's name and key id are under no signature: another name, a stranger.
        assert not proved.is_witnessed
        assert proved == msgspec.structs.replace(honest, cosignatures=(), is_witnessed=False)


async def test_more_than_two_parts_are_refused() -> None:
    proof = await part(ENTRIES, 7, TENANT, extra=ENTRIES[7])
    with pytest.raises(InvalidInput):
        verify_receipt(b"\n".join([proof.encode()] * 3), logs=LOGS)


async def test_a_checkpoint_its_own_log_did_not_sign_is_no_root_entry() -> None:
    body = Checkpoint(origin="casa.example/t/outra", size=0, root=b"\0" * 32)
    with pytest.raises(InvalidInput):
        root_entry(sign_checkpoint(body, signers=[TENANT]))


HEAD = b"c2sp.org/tlog-proof@v1\n"
HASH = b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


@pytest.mark.parametrize(
    "head",
    [
        b"", b"c2sp.org/tlog-proof@v2\nindex 0\n", HEAD, HEAD + b"extra \n",
        HEAD + b"index 00\n", HEAD + b"index -1\n", HEAD + b"index 0\nindex 0\n",
        HEAD + b"index 0\nextra AAAA\n", HEAD + b"extra AAA\nindex 0\n",
        HEAD + b"index 0\nAAAA\n", HEAD + b"index 0\n" + HASH * 64, HEAD + b"index 0\r\n",
    ],
)  # fmt: skip
async def test_a_malformed_proof_is_refused(head: bytes) -> None:
    checkpoint = (await part(ENTRIES, 7, TENANT)).checkpoint
    with pytest.raises(InvalidInput):
        parse_proof(head + b"\n" + checkpoint)


def test_a_proof_over_its_bytes_is_refused() -> None:
    with pytest.raises(TooLarge):
        parse_proof(b"x" * (PROOF_BYTES_MAX + 1))


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes, has_head: bool) -> None:
    data = HEAD + b"index 0\n" + data if has_head else data
    try:
        parts = parse_receipt(data)
    except LoglineError:
        return
    assert encode_receipt(parts) == data


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**63 - 1), st.binary())
def test_a_proof_reads_back_as_written(root: bytes, index: int, extra: bytes) -> None:
    note = sign_checkpoint(Checkpoint(origin=TENANT.name, size=5, root=root), signers=[TENANT])
    proof = TlogProof(index=index, hashes=(root, root), checkpoint=note, extra=extra)
    assert parse_proof(proof.encode()) == proof
