"""The node's keys on disk: one small file each, readable by its owner alone.

    root      founds tenants, enrols and revokes keys        (also by LOGLINE_ROOT_KEY)
    node      signs records for the node's services and for actors without a key of their own
    log       signs checkpoints, never records
    witness   cosigns other logs' checkpoints, nothing else
    master    wraps the keys of personal fields
    held      an actor's key that the node keeps

Always holds: a secret is never part of a message, a log line or a repr; a file that others may
read is refused; with a passphrase the secret is sealed (Argon2id, XSalsa20-Poly1305) before it
reaches the disk.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec
import nacl.exceptions
from blake3 import blake3
from nacl import pwhash, secret

from loglineos.base.entropy import Entropy, SystemEntropy
from loglineos.base.errors import Misconfigured, NotFound
from loglineos.base.language import Text
from loglineos.ledger.signature import SEED_BYTES, SigningKey, signing_key

Use = Literal["root", "node", "log", "witness", "master", "held"]
USES: Final[tuple[Use, ...]] = ("root", "node", "log", "witness", "master")
ROOT_VARIABLE: Final = "LOGLINE_ROOT_KEY"
_FORMAT: Final = "loglineos/key/v1"
_PATHS_MAX: Final = 4_096
_FILE_BYTES_MAX: Final = 4096
_NAME_MAX: Final = 100


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret under a passphrase. Source: RFC 9106 (Argon2id), NaCl secretbox."""

    kdf: Literal["argon2id"] = "argon2id"
    operations: int
    memory_bytes: int
    salt: str
    box: str


class KeyFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one key file says; exactly one of `secret` and `sealed` is there."""

    format: str
    use: Use
    public: str
    secret: str | None = None
    sealed: SealedSecret | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"KeyFile(use={self.use!r}, public={self.public!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no secret here either."""
        return [("use", self.use), ("public", self.public)]


class KeyRing:
    """The keys of one data folder."""

    def __init__(
        self,
        folder: Path,
        *,
        passphrase: str | None = None,
        entropy: Entropy | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Use the keys in `folder`; `passphrase` opens and seals them where it is given."""
        self.folder = folder
        self._passphrase = passphrase
        self._entropy = entropy or SystemEntropy()
        self._environment = dict(os.environ) if environment is None else environment
        self._open: dict[Path, bytes] = {}
        self._signing: dict[Path, SigningKey] = {}
        self._held_paths: dict[tuple[str, str], Path] = {}

    def create(self) -> list[Use]:
        """Make every key that is not there yet; return which were made. A repeat makes none."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        return [use for use in USES if not self.has(use) and self._make(self._path(use), use)]

    def has(self, use: Use) -> bool:
        """Tell whether the key is there."""
        return self._path(use).exists() or (use == "root" and ROOT_VARIABLE in self._environment)

    def key(self, use: Use) -> SigningKey:
        """Open a signing key.

        Raises:
            NotFound: no such key in this folder.
            Misconfigured: the passphrase is missing or wrong, or others may read the file.
        """
        if use == "root" and ROOT_VARIABLE in self._environment:
            return signing_key(_from_hex(self._environment[ROOT_VARIABLE], ROOT_VARIABLE))
        return self._signing_key(self._path(use))

    def public(self, use: Use) -> str:
        """Return the public key in hex, without opening the secret."""
        if use == "root" and ROOT_VARIABLE in self._environment:
            return self.key("root").public.hex()
        return self._read(self._path(use)).public

    def master(self) -> bytes:
        """Open the 32 bytes that wrap the keys of personal fields."""
        return self._secret(self._path("master"))

    def held(self, tenant: str, actor: str) -> SigningKey | None:
        """Open the key that the node keeps for an actor; None when it keeps none."""
        path = self._held_path(tenant, actor)
        return self._signing_key(path) if path.exists() else None

    def make_held(self, tenant: str, actor: str) -> SigningKey:
        """Make a key for an actor and keep it, in place of the one before."""
        path = self._held_path(tenant, actor)
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget(path)
        self._make(path, "held")
        return self._signing_key(path)

    def drop_held(self, tenant: str, actor: str) -> None:
        """Destroy the key that the node keeps for an actor, if any."""
        path = self._held_path(tenant, actor)
        path.unlink(missing_ok=True)
        self._forget(path)

    def replace(self, use: Use) -> SigningKey:
        """Make a new key in place of the one before, which is kept beside it as `.old-…`."""
        path = self._path(use)
        if path.exists():
            path.rename(path.with_suffix(f".old-{self._read(path).public[:16]}"))
        self._forget(path)
        self._make(path, use)
        return self.key(use)

    def former(self, use: Use) -> list[str]:
        """List the public keys, in hex, that `replace` put aside."""
        aside = sorted(self.folder.glob(f"{use}.old-*"))
        return [self._read(path).public for path in aside]

    def open_file(self, path: Path) -> SigningKey:
        """Open a key file that lies anywhere: a person's own.

        Raises:
            NotFound, Misconfigured: as `key`.
        """
        return self._signing_key(path)

    def make_file(self, path: Path) -> str:
        """Make a key file for a person to keep; return the public key in hex.

        Raises:
            Misconfigured: something is there already.
        """
        if path.exists():
            raise Misconfigured(setting=str(path), reason=_THERE)
        self._make(path, "held")
        return self._read(path).public

    def reopen(self) -> None:
        """Read every key anew when it is next needed: another process may have replaced it."""
        self._open.clear()
        self._signing.clear()

    def _path(self, use: Use) -> Path:
        return self.folder / f"{use}.key"

    def _held_path(self, tenant: str, actor: str) -> Path:
        path = self._held_paths.get((tenant, actor))
        if path is None:
            if len(self._held_paths) >= _PATHS_MAX:
                self._held_paths.clear()
            path = self.folder / "held" / _file_name(tenant) / f"{_file_name(actor)}.key"
            self._held_paths[(tenant, actor)] = path
        return path

    def _make(self, path: Path, use: Use) -> bool:
        seed = self._entropy.bytes(SEED_BYTES)
        file = KeyFile(format=_FORMAT, use=use, public=signing_key(seed).public.hex())
        if self._passphrase is None:
            file = msgspec.structs.replace(file, secret=seed.hex())
        else:
            file = msgspec.structs.replace(file, sealed=self._seal(seed, self._passphrase))
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)  # whole or not at all, in place of the one before
        return True

    def _seal(self, seed: bytes, passphrase: str) -> SealedSecret:
        operations, memory = pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE
        salt = self._entropy.bytes(pwhash.argon2id.SALTBYTES)
        derived = _derive(passphrase, salt, operations, memory)
        nonce = self._entropy.bytes(secret.SecretBox.NONCE_SIZE)
        box = secret.SecretBox(derived).encrypt(seed, nonce)
        return SealedSecret(
            operations=operations, memory_bytes=memory, salt=salt.hex(), box=bytes(box).hex()
        )

    def _signing_key(self, path: Path) -> SigningKey:
        if path not in self._signing:
            self._signing[path] = signing_key(self._secret(path))
        return self._signing[path]

    def _forget(self, path: Path) -> None:
        self._open.pop(path, None)
        self._signing.pop(path, None)

    def _secret(self, path: Path) -> bytes:
        if path not in self._open:
            self._open[path] = self._unseal(path, self._read(path))
        return self._open[path]

    def _unseal(self, path: Path, file: KeyFile) -> bytes:
        if file.secret is not None:
            return _from_hex(file.secret, path.name)
        if file.sealed is None:
            raise Misconfigured(setting=path.name, reason=_NO_SECRET)
        if self._passphrase is None:
            raise Misconfigured(setting=path.name, reason=_LOCKED)
        sealed = file.sealed
        try:
            salt, box = bytes.fromhex(sealed.salt), bytes.fromhex(sealed.box)
            derived = _derive(self._passphrase, salt, sealed.operations, sealed.memory_bytes)
        except (ValueError, nacl.exceptions.CryptoError) as cause:
            raise Misconfigured(setting=path.name, reason=_BROKEN) from cause
        try:
            return bytes(secret.SecretBox(derived).decrypt(box))
        except (ValueError, nacl.exceptions.CryptoError) as cause:
            raise Misconfigured(setting=path.name, reason=_WRONG) from cause

    def _read(self, path: Path) -> KeyFile:
        try:
            if path.stat().st_mode & 0o077:
                raise Misconfigured(setting=path.name, reason=_EXPOSED)
            data = path.read_bytes()[:_FILE_BYTES_MAX]
        except FileNotFoundError as cause:
            raise NotFound(what="key", which=path.name) from cause
        try:
            file = msgspec.json.decode(data, type=KeyFile)
        except msgspec.MsgspecError as cause:
            raise Misconfigured(setting=path.name, reason=_BROKEN) from cause
        if file.format != _FORMAT:
            raise Misconfigured(setting=path.name, reason=_BROKEN)
        return file


def _derive(passphrase: str, salt: bytes, operations: int, memory: int) -> bytes:
    derived: Any = pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=operations, memlimit=memory
    )
    return bytes(derived)


def _file_name(name: str) -> str:
    """Write a name as one that any file system keeps apart: capitals, dots and length count."""
    quoted = quote(name, safe="", errors="surrogatepass")
    if name == quoted.lower() and len(quoted) <= _NAME_MAX and not quoted.startswith("."):
        return quoted
    digest = blake3(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{quoted[:_NAME_MAX].replace('.', '%2E')}~{digest}"


def _from_hex(text: str, name: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as cause:
        raise Misconfigured(setting=name, reason=_BROKEN) from cause
    if len(value) != SEED_BYTES:
        raise Misconfigured(setting=name, reason=_BROKEN)
    return value


_THERE: Final = Text(
    "já existe; uma chave nunca se escreve por cima de outra",
    "is there already; a key is never written over another",
)
_NO_SECRET: Final = Text("não traz nenhum segredo", "holds no secret")
_LOCKED: Final = Text(
    "está selada; dê a frase-passe em LOGLINE_PASSPHRASE",
    "is sealed; give the passphrase in LOGLINE_PASSPHRASE",
)
_WRONG: Final = Text("a frase-passe não a abre", "the passphrase does not open it")
_EXPOSED: Final = Text(
    "outros podem lê-la; ponha o modo 0600", "others may read it; set its mode to 0600"
)
_BROKEN: Final = Text("não é uma chave que este nó entenda", "is no key that this node understands")
