"""Checkpoints: a log's signed word on how large its tree is and what its root is.

Always holds: a checkpoint that `open_checkpoint` returns was signed by the log that its origin
names. Whether it is the newest, or fits the one before, only memory can tell: the guard, a witness,
or a checkpoint that was seen before.
Source: C2SP tlog-checkpoint v1.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from loglineos.base.errors import InvalidInput, VerificationFailed, shape_of
from loglineos.base.language import Text
from loglineos.ledger.tlog.notation import (
    HASH_BYTES,
    SIZE_MAX,
    base64_of,
    decimal_of,
    has_control,
    hash_of_base64,
)
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    Note,
    NoteSigner,
    Verified,
    VerifierKey,
    is_key_name,
    open_note,
    sign_note,
)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Origin, size and root of a tree. We write no extensions; others' are kept."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def encode(self) -> str:
        """Write the body of the note: three lines or more."""
        lines = (self.origin, str(self.size), base64_of(self.root), *self.extensions)
        return "".join(line + "\n" for line in lines)


class OpenedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that its log signed; `cosignatures` are those of the witnesses asked about."""

    checkpoint: Checkpoint
    note: Note
    signatures: tuple[Verified, ...]
    cosignatures: tuple[Verified, ...]


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the body of a checkpoint.

    Raises:
        InvalidInput: malformed in any way; there is one spelling only.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines) or has_control(text):
        raise InvalidInput(
            field="checkpoint",
            shape=shape_of(text),
            reason=Text(
                "são precisas origem, tamanho e raiz, uma linha cada",
                "origin, size and root are needed, one line each",
            ),
        )
    return Checkpoint(
        origin=lines[0],
        size=decimal_of(lines[1], field="checkpoint size"),
        root=hash_of_base64(lines[2], field="checkpoint root"),
        extensions=tuple(lines[3:]),
    )


def sign_checkpoint(checkpoint: Checkpoint, *, signers: Sequence[NoteSigner]) -> bytes:
    """Sign a checkpoint of ours as a note.

    The caller has made sure that it continues every checkpoint signed before, and keeps it before
    showing it to anyone.

    Raises:
        InvalidInput: the origin cannot name a key, the root or size is impossible, or there are
            extensions.
    """
    is_sound = (
        is_key_name(checkpoint.origin)
        and 0 <= checkpoint.size <= SIZE_MAX
        and len(checkpoint.root) == HASH_BYTES
        and not checkpoint.extensions
    )
    if not is_sound:
        raise InvalidInput(
            field="checkpoint",
            shape=shape_of((checkpoint.origin, checkpoint.size)),
            reason=Text("não se pode assinar assim", "it cannot be signed like this"),
        )
    return sign_note(checkpoint.encode(), signers=signers)


def open_checkpoint(
    data: bytes, *, logs: Iterable[VerifierKey], witnesses: Iterable[VerifierKey] = ()
) -> OpenedCheckpoint:
    """Read a checkpoint that one of `logs`, named like its origin, signed.

    Raises:
        InvalidInput: malformed.
        VerificationFailed: no such log signed it, or the line of a known log or witness fails.
    """
    log_keys, witness_keys = list(logs), list(witnesses)
    opened = open_note(data, known={*log_keys, *witness_keys})
    checkpoint = parse_checkpoint(opened.note.text)
    signatures = tuple(
        one for one in opened.verified if one.key in log_keys and one.key.name == checkpoint.origin
    )
    if not signatures:
        raise VerificationFailed(
            what="checkpoint",
            where=checkpoint.origin,
            reason=Text(
                "nenhum log conhecido com este nome o assinou",
                "no known log of this name signed it",
            ),
        )
    cosignatures = tuple(
        one for one in opened.verified if one.key in witness_keys and one.key.kind == COSIGNATURE
    )
    return OpenedCheckpoint(
        checkpoint=checkpoint,
        note=opened.note,
        signatures=signatures,
        cosignatures=cosignatures,
    )
