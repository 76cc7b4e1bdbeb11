"""`logline secret`: what functions may use and never see."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated, Any, Final

from loglineos.base.language import Text
from loglineos.faces.cli.render import styled
from loglineos.faces.cli.session import Session
from loglineos.runtime.execution.secrets import FileSecrets

Name = Annotated[str, Text("o nome do segredo", "the secret's name")]


async def set_secret(session: Session, name: Name, /) -> None:
    """Keep a secret, typed unseen or read from stdin; it never stands in a command line."""
    if session.is_interactive:
        told = getpass.getpass(session.text(_ASK) + ": ", stream=sys.stderr)
    else:
        told = sys.stdin.read().rstrip("\r\n")
    _secrets(session).keep(session.tenant, name, told)
    session.answer({"name": name}, styled((session.text(_KEPT, name=name), "green")))


async def list_secrets(session: Session) -> None:
    """List the names of the house's secrets."""
    names = _secrets(session).names(session.tenant)
    shown: Any = "\n".join(names) if names else styled((session.text(_NONE), "dim"))
    session.answer({"names": names}, shown)


async def drop_secret(session: Session, name: Name, /) -> None:
    """Destroy a secret."""
    _secrets(session).drop(session.tenant, name)
    session.answer({"name": name}, styled((session.text(_DROPPED, name=name), "green")))


def _secrets(session: Session) -> FileSecrets:
    return FileSecrets(session.settings.home / "secrets")


_ASK: Final = Text("segredo", "secret")
_KEPT: Final = Text("guardado: {name}", "kept: {name}")
_DROPPED: Final = Text("destruído: {name}", "destroyed: {name}")
_NONE: Final = Text("nenhum segredo", "no secret")
