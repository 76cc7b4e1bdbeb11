"""Signed notes: text with signature lines under it, and the keys that make and check them.

Always holds: nothing of a note is believed before `open_note` has checked it; a line by a known
key that fails condemns the whole note; lines by unknown keys are carried and ignored. Two kinds of
key: Ed25519 over the text (0x01, what a log signs with) and the timestamped cosignature of a
witness (0x04).
Source: C2SP signed-note v1.0.0, tlog-cosignature v1.0.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from loglineos.base.errors import (
    InvalidInput,
    KeyNotTrusted,
    VerificationFailed,
    shape_of,
)
from loglineos.base.language import Text
from loglineos.ledger import signature as ed25519
from loglineos.ledger.tlog.notation import (
    SIZE_MAX,
    base64_of,
    bytes_of_base64,
    has_control,
    text_of,
)

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
KEY_ID_BYTES: Final = 4
NOTE_BYTES_MAX: Final = 256 * 1024
SIGNATURES_MAX: Final = 64
"""Signature lines of one note; the specification asks for at least 16."""

_DASH: Final = "— "
_TIMESTAMP_BYTES: Final = 8


class VerifierKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key under a name: who signs, of which kind (0x01 or 0x04), 32 bytes."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that a signature line names the key by."""
        return key_id(self.name, kind=self.kind, public=self.public)

    def encode(self) -> str:
        """Write the key as a vkey: `name+id+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{base64_of(bytes([self.kind]) + self.public)}"


class SignatureLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line under a note; `signature` is what follows the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def encode(self) -> str:
        """Write the line with its newline."""
        return f"{_DASH}{self.name} {base64_of(self.key_id + self.signature)}\n"


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note as read: nothing in it is proved yet. `text` ends with its newline."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def encode(self) -> bytes:
        """Write the note back, byte for byte."""
        return (self.text + "\n" + "".join(one.encode() for one in self.signatures)).encode()


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """One signature that holds. `timestamp` (Unix seconds) is None but for a cosignature."""

    key: VerifierKey
    line: SignatureLine
    timestamp: int | None


class OpenedNote(msgspec.Struct, frozen=True, kw_only=True):
    """A note that at least one known key signed."""

    note: Note
    verified: tuple[Verified, ...]


class NoteSigner(msgspec.Struct, frozen=True, kw_only=True):
    """A private key under a name. Its repr hides the secret."""

    name: str
    kind: int
    key: ed25519.SigningKey

    @property
    def verifier(self) -> VerifierKey:
        """Return the public half."""
        return VerifierKey(name=self.name, kind=self.kind, public=self.key.public)

    def sign(self, text: str, *, timestamp: int | None = None) -> SignatureLine:
        """Sign the text of a note; a cosignature needs the `timestamp` it speaks for (seconds)."""
        stamp = b""
        if self.kind == COSIGNATURE:
            assert timestamp is not None, "a cosignature has a time"
            assert 0 < timestamp <= SIZE_MAX, "a cosignature has a time that fits"
            stamp = timestamp.to_bytes(_TIMESTAMP_BYTES, "big")
        signed = self.key.sign(_message(text, kind=self.kind, timestamp=timestamp))
        return SignatureLine(name=self.name, key_id=self.verifier.key_id, signature=stamp + signed)


def key_id(name: str, *, kind: int, public: bytes) -> bytes:
    """Return the first four bytes of SHA-256 over name, newline, kind and public key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_ID_BYTES]


def note_signer(name: str, *, kind: int, seed: bytes) -> NoteSigner:
    """Make a signer of a 32-byte seed, of kind `ED25519` (a log) or `COSIGNATURE` (a witness).

    Raises:
        InvalidInput: the name is empty or holds a space, a plus or a control character.
    """
    if not is_key_name(name):
        raise _bad("name", name, Text("não serve de nome de chave", "it cannot name a key"))
    assert kind in (ED25519, COSIGNATURE), "a signer is of kind 0x01 or 0x04"
    return NoteSigner(name=name, kind=kind, key=ed25519.signing_key(seed))


def is_key_name(name: str) -> bool:
    """Tell whether a text may name a key: not empty, no Unicode space, no plus, no control."""
    if not name or "+" in name or has_control(name):
        return False
    return not any(letter.isspace() or "\ud800" <= letter <= "\udfff" for letter in name)


def parse_vkey(text: str) -> VerifierKey:
    """Read a vkey of kind 0x01 or 0x04.

    Raises:
        InvalidInput: malformed, of another kind, or its id does not fit its key.
        KeyNotTrusted: the point is of low order or not canonical.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not is_key_name(parts[0]):
        raise _bad("vkey", text, Text("é preciso nome+id+chave", "name+id+key is needed"))
    name, id_hex, encoded = parts
    material = bytes_of_base64(encoded, field="vkey")
    if len(material) != 1 + ed25519.PUBLIC_BYTES or material[0] not in (
        ED25519,
        COSIGNATURE,
    ):
        raise _bad(
            "vkey",
            text,
            Text(
                "só conheço chaves Ed25519 (0x01) e cosignature/v1 (0x04)",
                "only Ed25519 (0x01) and cosignature/v1 (0x04) keys are known",
            ),
        )
    key = VerifierKey(name=name, kind=material[0], public=material[1:])
    if key.key_id.hex() != id_hex:
        raise _bad("vkey", text, Text("o id não é desta chave", "the id is not of this key"))
    if not ed25519.is_safe_public_key(key.public):
        raise KeyNotTrusted(key=key.public.hex(), reason=Text("ponto inseguro", "an unsafe point"))
    return key


def parse_note(data: bytes) -> Note:
    """Read a note without believing it.

    Raises:
        TooLarge: more than `NOTE_BYTES_MAX` bytes.
        InvalidInput: malformed, or more than `SIGNATURES_MAX` signature lines.
    """
    text = text_of(data, field="note", bytes_max=NOTE_BYTES_MAX, limit_name="note_bytes_max")
    split = text.rfind("\n\n")
    if split < 0:
        raise _bad("note", data, Text("falta a linha vazia", "the empty line is missing"))
    return Note(text=text[: split + 1], signatures=parse_signatures(text[split + 2 :]))


def parse_signatures(block: str) -> tuple[SignatureLine, ...]:
    """Read one or more signature lines, each ending in a newline.

    Raises:
        InvalidInput: malformed, none, or more than `SIGNATURES_MAX`.
    """
    if not block.endswith("\n"):
        raise _bad("signatures", block, Text("falta o fim de linha", "the newline is missing"))
    lines = block[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise _bad(
            "signatures",
            lines,
            Text(f"há mais de {SIGNATURES_MAX}", f"there are more than {SIGNATURES_MAX}"),
        )
    return tuple(_signature_line(line) for line in lines)


def sign_note(text: str, *, signers: Sequence[NoteSigner], timestamp: int | None = None) -> bytes:
    """Make a signed note of `text`.

    Raises:
        InvalidInput: the text does not end in a newline, or holds control characters.
    """
    if not text.endswith("\n") or has_control(text):
        raise _bad(
            "text",
            text,
            Text(
                "acaba em fim de linha, sem controlo",
                "it ends in a newline, no control",
            ),
        )
    lines = tuple(signer.sign(text, timestamp=timestamp) for signer in signers)
    return Note(text=text, signatures=lines).encode()


def with_signatures(note: bytes, *, lines: Iterable[SignatureLine]) -> bytes:
    """Add signature lines to a note; a line by a key that is there already replaces it."""
    parsed = parse_note(note)
    merged = {(one.name, one.key_id): one for one in (*parsed.signatures, *lines)}
    return Note(text=parsed.text, signatures=tuple(merged.values())).encode()


def open_note(data: bytes, *, known: Iterable[VerifierKey]) -> OpenedNote:
    """Read a note and check every line that a `known` key is named in.

    Raises:
        InvalidInput: malformed.
        VerificationFailed: a known key's line fails, or no known key signed.
    """
    note = parse_note(data)
    verified = verify_signatures(note.text, lines=note.signatures, known=known)
    if not verified:
        raise _unproved(
            ", ".join(sorted({one.name for one in note.signatures})),
            Text("nenhuma chave conhecida assinou", "no known key signed"),
        )
    return OpenedNote(note=note, verified=verified)


def verify_signatures(
    text: str, *, lines: Iterable[SignatureLine], known: Iterable[VerifierKey]
) -> tuple[Verified, ...]:
    """Check the lines that `known` keys are named in, pass over the others.

    Raises:
        VerificationFailed: a known key's line fails.
    """
    keys: dict[tuple[str, bytes], VerifierKey] = {}
    for key in known:
        if keys.setdefault((key.name, key.key_id), key) != key:
            raise _bad("known", key.name, Text("duas chaves, um id", "two keys with one id"))
    return tuple(
        _verified(text, line, keys[line.name, line.key_id])
        for line in lines
        if (line.name, line.key_id) in keys
    )


def _verified(text: str, line: SignatureLine, key: VerifierKey) -> Verified:
    timestamp: int | None = None
    signature = line.signature
    if key.kind == COSIGNATURE:
        timestamp = int.from_bytes(signature[:_TIMESTAMP_BYTES], "big")
        signature = signature[_TIMESTAMP_BYTES:]
    message = _message(text, kind=key.kind, timestamp=timestamp)
    in_range = timestamp is None or timestamp <= SIZE_MAX
    if not in_range or not ed25519.verify(key.public, signature, message):
        raise _unproved(key.name, Text("a assinatura não é desta nota", "not signed by its key"))
    return Verified(key=key, line=line, timestamp=timestamp)


def _message(text: str, *, kind: int, timestamp: int | None) -> bytes:
    if kind == COSIGNATURE:
        return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
    return text.encode()


def _signature_line(line: str) -> SignatureLine:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not is_key_name(name):
        raise _bad("signature line", line, Text("está malformada", "it is malformed"))
    material = bytes_of_base64(encoded, field="signature line")
    if len(material) <= KEY_ID_BYTES:
        raise _bad("signature line", line, Text("é curta demais", "it is too short"))
    return SignatureLine(
        name=name, key_id=material[:KEY_ID_BYTES], signature=material[KEY_ID_BYTES:]
    )


def _bad(field: str, value: object, reason: Text) -> InvalidInput:
    return InvalidInput(field=field, shape=shape_of(value), reason=reason)


def _unproved(where: str, reason: Text) -> VerificationFailed:
    return VerificationFailed(what="signed note", where=where, reason=reason)
