"""`logline init`: make the data folder, its keys and its first tenant."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import msgspec
from rich.console import Group

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.faces.cli.prompts import ask_secret
from loglineos.faces.cli.render import styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.node import initialise, is_initialised
from loglineos.settings import Settings, read_settings


async def init(
    session: Session,
    *,
    origin: Annotated[
        str | None, Text("a origem dos logs, p. ex. log.example.org/casa; não muda mais",
                         "the origin of the logs, e.g. log.example.org/casa; never changes")
    ] = None,
    passphrase: Annotated[
        bool, Text("sela as chaves com uma frase-passe (LOGLINE_PASSPHRASE, ou pergunta)",
                   "seal the keys with a passphrase (LOGLINE_PASSPHRASE, or ask)")
    ] = False,
    title: Annotated[
        str | None, Text("o nome da casa por extenso", "the tenant's name in full")
    ] = None,
) -> None:  # fmt: skip
    """Make the folder, keys, origin and tenant; a repeat changes nothing."""
    settings = _chosen(session, origin)
    was_there = is_initialised(settings)
    if passphrase and not was_there and settings.passphrase is None:
        settings = msgspec.structs.replace(settings, passphrase=_new_passphrase(session))
    settings = initialise(settings)
    session.settings = settings
    async with session.node(announces=True) as node:
        is_founded = await node.found(session.tenant, title=title)
        root, public = node.keyring.public("root"), node.keyring.public("log")
    document = {
        "home": str(settings.home), "origin": settings.origin, "tenant": session.tenant,
        "was_there": was_there, "tenant_founded": is_founded or not was_there,
        "root_key": root, "log_key": public, "keys_folder": str(settings.keys_folder),
        "keys_sealed": settings.passphrase is not None,
    }  # fmt: skip
    session.answer(document, lambda: _told(session, settings, root, was_there=was_there))
    if not session.as_json:
        session.note(_KEEP_SAFE, keys=settings.keys_folder)
        session.note(_SEALED if settings.passphrase is not None else _BARE)
        session.note(_NEXT)


def _chosen(session: Session, origin: str | None) -> Settings:
    options = session.options
    settings = read_settings(
        home=options.home, tenant=options.tenant, actor=options.actor, language=options.lang
    )
    if origin is None:
        return settings
    if is_initialised(settings) and settings.origin != origin:
        raise Misconfigured(setting="--origin", reason=_ORIGIN_STAYS)
    return read_settings(
        home=options.home, tenant=options.tenant, actor=options.actor, language=options.lang,
        origin=origin,
    )  # fmt: skip


def _new_passphrase(session: Session) -> str:
    if not sys.stdin.isatty():
        raise Misconfigured(setting="LOGLINE_PASSPHRASE", reason=_NOBODY)
    first = ask_secret(session, _CHOOSE)
    if not first or first != ask_secret(session, _AGAIN):
        raise Misconfigured(setting="LOGLINE_PASSPHRASE", reason=_DIFFERENT)
    return first


def _told(session: Session, settings: Settings, root: str, *, was_there: bool) -> Group:
    head = session.text(_WAS_THERE if was_there else _MADE)
    rows = [
        (session.text(_HOME), settings.home), (session.text(_ORIGIN), settings.origin),
        (session.text(_TENANT), session.tenant), (session.text(_ROOT), root),
    ]  # fmt: skip
    return Group(styled(("✓ ", "green"), (head, "")), facts(rows))


_ORIGIN_STAYS: Final = Text("a origem de um nó não muda", "the origin of a node never changes")
_NOBODY: Final = Text(
    "não há ninguém a quem perguntar; dê-a no ambiente",
    "there is nobody to ask; give it in the environment",
)
_DIFFERENT: Final = Text("vazia, ou as duas não são iguais", "empty, or the two are not the same")
_CHOOSE: Final = Text("frase-passe nova", "new passphrase")
_AGAIN: Final = Text("outra vez", "again")
_MADE: Final = Text("o nó está feito", "the node is made")
_WAS_THERE: Final = Text("o nó já existia; nada mudou", "the node was there; nothing changed")
_HOME: Final = Text("pasta de dados", "data folder")
_ORIGIN: Final = Text("origem", "origin")
_TENANT: Final = Text("casa", "tenant")
_ROOT: Final = Text("chave raiz (pública)", "root key (public)")
_KEEP_SAFE: Final = Text(
    "Guarde uma cópia de {keys} longe daqui: quem tem a chave raiz decide quem assina; "
    "sem ela ninguém mais se inscreve.",
    "Keep a copy of {keys} away from here: who has the root key decides who signs; "
    "without it nobody else can be enrolled.",
)
_SEALED: Final = Text(
    "As chaves estão seladas: sem a frase-passe não abrem.",
    "The keys are sealed: without the passphrase they do not open.",
)
_BARE: Final = Text(
    "As chaves são ficheiros 0600 sem frase-passe.", "The keys are files of mode 0600, unsealed."
)
_NEXT: Final = Text("A seguir: logline up", "Next: logline up")
