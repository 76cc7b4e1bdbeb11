"""Receipts: files that prove, without any network or database, that an entry is in a log.

A receipt has one part or two. Each part is, byte for byte, a standard `.tlog-proof` file; in a
receipt of two, one empty line stands between them:

    c2sp.org/tlog-proof@v1        the tenant's log: this entry is in this tenant's tree
    extra <the entry>             (optional; proved by the part itself, since it must hash to it)
    index ...
                                  (inclusion hashes, an empty line, the tenant's checkpoint)

    c2sp.org/tlog-proof@v1        the root log: that checkpoint is in the root log's tree
    index ...
                                  (inclusion hashes, an empty line, the witnessed checkpoint)

The entry of the root log is the tenant's checkpoint as `root_entry` writes it: a signed note with
the lines of the tenant's log only, so that cosignatures added later change nothing.
Always holds: `verify_receipt` believes no part whose log it was not told to trust, and tells apart
what was proved from what was merely there.
Source: C2SP tlog-proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from loglineos.base.errors import InvalidInput, VerificationFailed, shape_of
from loglineos.base.language import Text
from loglineos.ledger.tlog.checkpoint import (
    Checkpoint,
    OpenedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
)
from loglineos.ledger.tlog.merkle import leaf_hash, verify_inclusion
from loglineos.ledger.tlog.notation import (
    base64_of,
    bytes_of_base64,
    decimal_of,
    hash_of_base64,
    text_of,
)
from loglineos.ledger.tlog.note import NOTE_BYTES_MAX, Note, Verified, VerifierKey, parse_note
from loglineos.ledger.tlog.policy import NO_QUORUM, Policy

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + 128 * 1024
PROOF_HASHES_MAX: Final = 63
TENANT_MARK: Final = "/t/"
ROOT_MARK: Final = "/root"


class TlogProof(msgspec.Struct, frozen=True, kw_only=True):
    """One part: the entry at `index` is in the tree of `checkpoint` (a signed note, verbatim)."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """Write the part as a `.tlog-proof` file."""
        lines = [PROOF_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64_of(self.extra)}")
        lines.append(f"index {self.index}")
        lines += [base64_of(one) for one in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint


class ReceiptProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt proved. The `root_` fields are None when it has one part.

    `cosignatures` are verified ones by witnesses of the policy, over the last part's checkpoint;
    `is_witnessed` says that they meet a quorum that asks for at least one.
    """

    entry: bytes
    index: int
    checkpoint: Checkpoint
    root_index: int | None
    root_checkpoint: Checkpoint | None
    cosignatures: tuple[Verified, ...]
    is_witnessed: bool


def parse_proof(data: bytes) -> TlogProof:
    """Read one `.tlog-proof` file; nothing in it is believed yet.

    Raises:
        TooLarge: more than `PROOF_BYTES_MAX` bytes.
        InvalidInput: malformed.
    """
    text = text_of(data, field="proof", bytes_max=PROOF_BYTES_MAX, limit_name="proof_bytes_max")
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != PROOF_HEADER:
        raise _malformed(data)
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = bytes_of_base64(lines.pop(0).removeprefix("extra "), field="extra")
    if not lines or not lines[0].startswith("index ") or len(lines) > 1 + PROOF_HASHES_MAX:
        raise _malformed(data)
    index = decimal_of(lines.pop(0).removeprefix("index "), field="index")
    hashes = tuple(hash_of_base64(line, field="inclusion hash") for line in lines)
    parse_checkpoint(parse_note(note.encode()).text)
    return TlogProof(index=index, hashes=hashes, checkpoint=note.encode(), extra=extra)


def verify_proof(
    proof: TlogProof,
    *,
    entry: bytes,
    logs: Iterable[VerifierKey],
    witnesses: Iterable[VerifierKey] = (),
) -> OpenedCheckpoint:
    """Check one part: a known log signed the checkpoint, and the entry is in its tree.

    Raises:
        VerificationFailed: it does not hold.
        InvalidInput: the checkpoint is malformed.
    """
    opened = open_checkpoint(proof.checkpoint, logs=logs, witnesses=witnesses)
    found = opened.checkpoint
    verify_inclusion(proof.index, found.size, leaf_hash(entry), proof.hashes, found.root)
    return opened


def root_entry(checkpoint: bytes) -> bytes:
    """Return what the root log keeps of a tenant's checkpoint: the note, its own log's lines only.

    Raises:
        InvalidInput: no checkpoint, or one without a line under its origin.
    """
    note = parse_note(checkpoint)
    origin = parse_checkpoint(note.text).origin
    own = tuple(line for line in note.signatures if line.name == origin)
    if not own:
        raise InvalidInput(
            field="checkpoint",
            shape=shape_of(checkpoint),
            reason=Text("o log não o assinou", "its log did not sign it"),
        )
    return Note(text=note.text, signatures=own).encode()


def encode_receipt(parts: Sequence[TlogProof]) -> bytes:
    """Write a receipt of one part or two, the tenant's first."""
    assert 1 <= len(parts) <= 2, "a receipt has one part or two"
    return b"\n".join(part.encode() for part in parts)


def split_receipt(data: bytes) -> list[bytes]:
    """Cut a receipt into its parts, each a `.tlog-proof` file for other people's tools.

    Raises:
        InvalidInput: more than two parts.
    """
    header = PROOF_HEADER.encode() + b"\n"
    first, *rest = data.split(b"\n\n" + header)
    parts = [first, *(header + one for one in rest)]
    if len(parts) > 2:
        raise _malformed(data)
    # The cut took the newline that ends the part before it.
    return [*(one + b"\n" for one in parts[:-1]), parts[-1]]


def parse_receipt(data: bytes) -> list[TlogProof]:
    """Read a receipt; nothing in it is believed yet.

    Raises:
        InvalidInput: malformed, or more than two parts.
    """
    return [parse_proof(part) for part in split_receipt(data)]


def verify_receipt(
    data: bytes,
    *,
    logs: Iterable[VerifierKey] = (),
    policy: Policy | None = None,
    entry: bytes | None = None,
) -> ReceiptProof:
    """Check a whole receipt offline; return what it proved.

    `logs`, with those of the `policy`, are the logs to trust; both parts need one. Without
    `entry`, the one that the receipt carries is proved, and the caller must look at it.

    Raises:
        InvalidInput: malformed, or no entry was given and none is carried.
        VerificationFailed: a part does not hold, the parts do not belong together, or the
            receipt carries another entry than the one given.
    """
    parts = parse_receipt(data)
    proved = _entry_of(parts[0], entry)
    trusted = [*logs, *(policy.log_keys if policy else ())]
    witnesses = policy.witness_keys if policy else ()
    opened = [verify_proof(parts[0], entry=proved, logs=trusted, witnesses=witnesses)]
    if len(parts) == 2:
        below = root_entry(parts[0].checkpoint)
        opened.append(verify_proof(parts[1], entry=below, logs=trusted, witnesses=witnesses))
        _demand_one_node(opened[0].checkpoint.origin, opened[1].checkpoint.origin)
    cosignatures = opened[-1].cosignatures
    return ReceiptProof(
        entry=proved,
        index=parts[0].index,
        checkpoint=opened[0].checkpoint,
        root_index=parts[1].index if len(parts) == 2 else None,
        root_checkpoint=opened[1].checkpoint if len(parts) == 2 else None,
        cosignatures=cosignatures,
        is_witnessed=policy is not None
        and policy.quorum != NO_QUORUM
        and policy.is_met(one.key for one in cosignatures),
    )


def _entry_of(part: TlogProof, given: bytes | None) -> bytes:
    if given is None and part.extra is None:
        raise InvalidInput(
            field="entry",
            shape="None",
            reason=Text(
                "o recibo não traz a entrada: dê também o registo",
                "the receipt does not carry the entry: give the record too",
            ),
        )
    if given is not None and part.extra is not None and given != part.extra:
        raise VerificationFailed(
            what="receipt",
            where="extra",
            reason=Text("é de outra entrada", "it is of another entry"),
        )
    return given if given is not None else part.extra or b""


def _demand_one_node(tenant_origin: str, root_origin: str) -> None:
    node, mark, _ = tenant_origin.rpartition(TENANT_MARK)
    if not mark or root_origin != node + ROOT_MARK:
        raise VerificationFailed(
            what="receipt",
            where=root_origin,
            reason=Text(
                f"não é o log raiz de {tenant_origin}", f"it is not the root log of {tenant_origin}"
            ),
        )


def _malformed(data: bytes) -> InvalidInput:
    return InvalidInput(
        field="proof",
        shape=shape_of(data),
        reason=Text("não é um ficheiro tlog-proof", "it is not a tlog-proof file"),
    )
