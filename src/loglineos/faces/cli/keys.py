"""`logline key`: which keys may sign, new ones, and those that sign no more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.faces.cli.entities import latest_of_type
from loglineos.faces.cli.own_key import make_own_key
from loglineos.faces.cli.people import Role
from loglineos.faces.cli.prompts import ask_secret, require_yes
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.ledger.founding import enrol_key, give_held_key, revoke_key, rotate_node_key
from loglineos.ledger.record import Record


async def new_key(
    session: Session,
    file: Annotated[Path, Text("onde fica a chave privada", "where the private key goes")],
    /,
    *,
    passphrase: Annotated[
        bool, Text("sela-a com uma frase-passe (LOGLINE_PASSPHRASE, ou pergunta)",
                   "seal it with a passphrase (LOGLINE_PASSPHRASE, or ask)")
    ] = False,
) -> None:  # fmt: skip
    """Make a person's own key; the node never sees it. Needs no node."""
    words = session.settings.passphrase if passphrase else None
    if passphrase and words is None:
        words = ask_secret(session, _CHOOSE)
        if not words or words != ask_secret(session, _AGAIN):
            raise Misconfigured(setting="LOGLINE_PASSPHRASE", reason=_DIFFERENT)
    public = make_own_key(file, passphrase=words)
    document = {"file": str(file), "public_key": public, "sealed": words is not None}
    session.answer(document, public)
    session.note(_KEEP, file=file)
    session.note(_NEXT, public=public)


async def enrol(
    session: Session,
    public_key: Annotated[str, Text("a chave pública, em hexadecimal", "the public key, in hex")],
    actor: Annotated[str, Text("de quem é", "whose it is")],
    /,
    *,
    role: Annotated[Role, Text("o papel na casa", "the role in the house")] = "operator",
) -> None:
    """Record that a person's own key may sign for them; the node then signs for them no more."""
    async with session.node() as node:
        record = await enrol_key(
            node.writer, session.tenant, public_key, actor=actor, role=role, custody="own"
        )
    _answer(session, record, _ENROLLED)


async def revoke(
    session: Session,
    public_key: Annotated[str, Text("a chave pública, em hexadecimal", "the public key, in hex")],
    /,
    *,
    reason: Annotated[str, Text("porquê", "why")] = "revoked",
    yes: Annotated[bool, Text("sem perguntar", "without asking")] = False,
) -> None:
    """Record that a key signs no more; what it signed before stays good."""
    require_yes(session, _REVOKING, yes=yes, key=public_key[:16])
    async with session.node() as node:
        record = await revoke_key(node.writer, session.tenant, public_key, reason=reason)
    _answer(session, record, _REVOKED)


async def rotate(
    session: Session,
    actor: Annotated[
        str, Text("node, ou alguém cuja chave o nó guarda", "node, or one whose key the node keeps")
    ] = "node",
    /,
    *,
    role: Annotated[Role, Text("o papel na casa", "the role in the house")] = "operator",
) -> None:
    """Give the node, or one whose key it keeps, a new key; the old one is revoked."""
    async with session.node() as node:
        if actor == "node":
            public = await rotate_node_key(node.writer, await node.tenants())
            session.answer({"actor": actor, "public_key": public}, public)
            return
        record = await give_held_key(node.writer, session.tenant, actor, role=role)
    session.answer({"actor": actor, "public_key": record.this}, str(record.this))


async def list_keys(session: Session) -> None:
    """List the keys of the tenant, with their terms."""
    async with session.node() as node:
        records = await latest_of_type(session, node, "key")
    rows = [_row(record) for record in records]
    columns = [
        Column(title=_ACTOR), Column(title=_ROLE), Column(title=_CUSTODY), Column(title=_STATUS),
        Column(title=_KEY, grows=True),
    ]  # fmt: skip
    cells = [
        (row["actor"], row["role"], row["custody"], row["status"], row["public_key"])
        for row in rows
    ]
    session.answer(
        {"tenant": session.tenant, "keys": rows},
        lambda: table(columns, cells, language=session.language, width=session.width),
    )


def _row(record: Record) -> dict[str, Any]:
    said = record.metadata or {}
    return {
        "actor": record.name, "role": said.get("role"), "custody": said.get("custody"),
        "status": record.status, "public_key": record.this, "position": record.position,
    }  # fmt: skip


def _answer(session: Session, record: Record, text: Text) -> None:
    document = record_document(record, session.language)
    session.answer(document, session.text(text, key=str(record.this)[:16], actor=record.name))


_CHOOSE: Final = Text("frase-passe nova", "new passphrase")
_AGAIN: Final = Text("outra vez", "again")
_DIFFERENT: Final = Text("vazia, ou as duas não são iguais", "empty, or the two are not the same")
_KEEP: Final = Text(
    "{file} é só de quem assina: não se envia nem se copia para o nó",
    "{file} belongs to the one who signs: do not send it, nor copy it to the node",
)
_NEXT: Final = Text(
    "A seguir, quem tem a chave raiz: logline key enrol {public} NOME",
    "Next, whoever has the root key: logline key enrol {public} NAME",
)
_REVOKING: Final = Text(
    "a chave {key}… deixa de assinar, para sempre; o que assinou continua a valer",
    "the key {key}… signs no more, for ever; what it signed stays good",
)
_ENROLLED: Final = Text("a chave {key}… assina por {actor}", "the key {key}… signs for {actor}")
_REVOKED: Final = Text("a chave {key}… já não assina", "the key {key}… signs no more")
_ACTOR: Final = Text("de quem", "whose")
_ROLE: Final = Text("papel", "role")
_CUSTODY: Final = Text("guardada por", "kept by")
_STATUS: Final = Text("estado", "status")
_KEY: Final = Text("chave pública", "public key")
