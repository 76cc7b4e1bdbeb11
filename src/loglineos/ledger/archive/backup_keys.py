"""The keys of a data folder in one box under a passphrase, for a backup that carries them.

Always holds: without the passphrase the box says nothing but its size (Argon2id, then
XChaCha20-Poly1305); a box that was changed does not open; what it asks of memory is bounded, and
no name in it leaves the folder that it is opened into.
Source: RFC 9106 (Argon2id), draft-irtf-cfrg-xchacha-03.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
import nacl.exceptions
from nacl import bindings, pwhash

from loglineos.base.entropy import Entropy
from loglineos.base.errors import Misconfigured, VerificationFailed
from loglineos.base.language import Text

_FORMAT: Final = "loglineos/backup-keys/v1"
_BYTES_MAX: Final = 64 * 1024 * 1024
_MEMORY_MAX: Final = 1024 * 1024 * 1024
_OPERATIONS_MAX: Final = 16


class KeyBox(msgspec.Struct, frozen=True, kw_only=True):
    """The box as it is written; `memory_bytes` and `operations` are those of Argon2id."""

    format: str = _FORMAT
    operations: int
    memory_bytes: int
    salt: bytes
    nonce: bytes
    box: bytes


def seal_keys(folder: Path, *, passphrase: str, entropy: Entropy) -> bytes:
    """Put every file below `folder` into a box.

    Raises:
        Misconfigured: the passphrase is empty.
    """
    if not passphrase:
        raise Misconfigured(setting="LOGLINE_BACKUP_PASSPHRASE", reason=_NEEDED)
    salt = entropy.bytes(pwhash.argon2id.SALTBYTES)
    nonce = entropy.bytes(bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
    operations, memory = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
    key = _derive(passphrase, salt, operations, memory)
    box = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        _packed(folder), _FORMAT.encode(), nonce, key
    )
    sealed = KeyBox(
        operations=operations, memory_bytes=memory, salt=salt, nonce=nonce, box=bytes(box)
    )
    return msgspec.json.encode(sealed)


def open_keys(data: bytes, *, passphrase: str | None) -> dict[str, bytes]:
    """Open a box; return the files by their name below the folder of keys.

    Raises:
        Misconfigured: no passphrase, or not this one. VerificationFailed: it is no such box.
    """
    if not passphrase:
        raise Misconfigured(setting="LOGLINE_BACKUP_PASSPHRASE", reason=_NEEDED)
    try:
        sealed = msgspec.json.decode(data, type=KeyBox)
    except msgspec.MsgspecError as cause:
        raise _no_box() from cause
    is_bounded = (
        sealed.format == _FORMAT
        and 1 <= sealed.operations <= _OPERATIONS_MAX
        and sealed.memory_bytes <= _MEMORY_MAX
        and len(sealed.salt) == pwhash.argon2id.SALTBYTES
        and len(sealed.nonce) == bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
    )
    if not is_bounded:
        raise _no_box()
    key = _derive(passphrase, sealed.salt, sealed.operations, sealed.memory_bytes)
    try:
        packed = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed.box, _FORMAT.encode(), sealed.nonce, key
        )
    except nacl.exceptions.CryptoError as cause:
        raise Misconfigured(setting="LOGLINE_BACKUP_PASSPHRASE", reason=_WRONG) from cause
    return _unpacked(bytes(packed))


def write_keys(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files below `folder`, readable by their owner alone, and put them on the disk."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _packed(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size = path.stat().st_size
                entry.mode = 0o600
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    return out.getvalue()


def _unpacked(data: bytes) -> dict[str, bytes]:
    if len(data) > _BYTES_MAX:
        raise _no_box()
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for entry in tar:
            parts = PurePosixPath(entry.name).parts
            file = tar.extractfile(entry)
            if file is None or ".." in parts or entry.name.startswith("/"):
                raise _no_box()
            files[entry.name] = file.read()
    return files


def _derive(passphrase: str, salt: bytes, operations: int, memory: int) -> bytes:
    derived: Any = pwhash.argon2id.kdf(
        bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
        passphrase.encode(),
        salt,
        opslimit=operations,
        memlimit=memory,
    )
    return bytes(derived)


def _no_box() -> VerificationFailed:
    return VerificationFailed(
        what="backup",
        where="keys.box",
        reason=Text("não é uma caixa de chaves nossa", "it is no box of keys of ours"),
    )


_NEEDED: Final = Text(
    "as chaves vão numa caixa; é precisa uma frase-passe",
    "the keys are in a box; a passphrase is needed",
)
_WRONG: Final = Text("a frase-passe não abre a caixa", "the passphrase does not open the box")
