"""Secrets of a house: files that only the node reads, by name, never in a record.

Always holds: a secret leaves this module for the door of `ctx.http` and for nothing else; a name is
a plain word, so no name reaches outside of the folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from loglineos.base.errors import InvalidInput, NotFound, shape_of
from loglineos.base.language import Text

SECRET_BYTES_MAX: Final = 8 * 1024
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class FileSecrets:
    """Secrets in `FOLDER/TENANT/NAME`, mode 0600."""

    def __init__(self, folder: Path) -> None:
        """Keep secrets below `folder`."""
        self._folder = folder

    def read(self, tenant: str, name: str) -> str | None:
        """Return a secret, or None when there is none of this name."""
        path = self._path(tenant, name)
        try:
            return None if path is None else path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def names(self, tenant: str) -> list[str]:
        """List the names of a tenant's secrets."""
        folder = self._folder / tenant
        if _TENANT.fullmatch(tenant) is None or not folder.is_dir():
            return []
        return sorted(one.name for one in folder.iterdir() if _NAME.fullmatch(one.name))

    def keep(self, tenant: str, name: str, secret: str) -> None:
        """Keep a secret, in place of an older one of its name.

        Raises:
            InvalidInput: the name is no plain word, or the secret is empty or too long.
        """
        path = self._path(tenant, name)
        if path is None:
            raise InvalidInput(field="name", shape=shape_of(name), reason=_BAD_NAME)
        written = secret.encode()
        if not 0 < len(written) <= SECRET_BYTES_MAX:
            raise InvalidInput(field="secret", shape=f"{len(written)} bytes", reason=_BAD_LENGTH)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{name}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(written)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)

    def drop(self, tenant: str, name: str) -> None:
        """Destroy a secret.

        Raises:
            NotFound: there is none of this name.
        """
        path = self._path(tenant, name)
        if path is None or not path.exists():
            raise NotFound(what="secret", which=name[:64])
        path.unlink()

    def _path(self, tenant: str, name: str) -> Path | None:
        if _TENANT.fullmatch(tenant) is None or _NAME.fullmatch(name) is None:
            return None
        return self._folder / tenant / name


_BAD_NAME: Final = Text(
    "um nome tem até 64 letras minúsculas, algarismos, _ e -",
    "a name has up to 64 lower-case letters, digits, _ and -",
)
_BAD_LENGTH: Final = Text(
    f"um segredo tem de 1 a {SECRET_BYTES_MAX} bytes", f"a secret has 1 to {SECRET_BYTES_MAX} bytes"
)
