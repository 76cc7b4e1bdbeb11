"""A person's own key: a file that they keep; the node sees it only at the moment of signing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from loglineos.base.language import Text
from loglineos.faces.cli.prompts import ask_secret
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.signature import SigningKey

if TYPE_CHECKING:
    from loglineos.faces.cli.session import Session


def open_own_key(session: Session, path: Path) -> SigningKey:
    """Open a key file; a sealed one by LOGLINE_PASSPHRASE, or by asking.

    Raises:
        NotFound: no such file.
        Misconfigured: others may read it, or the passphrase does not open it.
    """
    return _ring(session, path).open_file(path)


def make_own_key(path: Path, *, passphrase: str | None) -> str:
    """Make a key file that only its owner may read; return the public key in hex.

    Raises:
        Misconfigured: the file is there already, or cannot be written.
    """
    return KeyRing(path.parent, passphrase=passphrase, environment={}).make_file(path)


def _ring(session: Session, path: Path) -> KeyRing:
    passphrase = session.settings.passphrase
    if passphrase is None and session.is_interactive and _is_sealed(path):
        passphrase = ask_secret(session, _PASSPHRASE)
    return KeyRing(path.parent, passphrase=passphrase, environment={})


def _is_sealed(path: Path) -> bool:
    try:
        return b'"sealed"' in path.read_bytes()
    except OSError:
        return False


_PASSPHRASE: Final = Text("frase-passe da chave", "passphrase of the key")
