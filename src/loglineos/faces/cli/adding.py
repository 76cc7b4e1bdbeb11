"""`logline add`: one act. Never answers "no" to a person: what does not fit becomes a ghost."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import Parameter

from loglineos.base.clock import SystemClock, rfc3339
from loglineos.base.errors import InvalidInput, TooLarge, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.own_key import open_own_key
from loglineos.faces.cli.records import completion_command, missing_of, receipt_of, record_document
from loglineos.faces.cli.session import Session
from loglineos.ledger.intake.cells import ALIASES, READERS, cell_value
from loglineos.ledger.intake.escapes import read_json
from loglineos.ledger.intake.formats import Item
from loglineos.ledger.intake.intake import draft_of
from loglineos.ledger.intake.salvage import ghost_of
from loglineos.ledger.personal import seal_personal
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import DRAFT_FIELDS, Draft, Record
from loglineos.ledger.signature import SigningKey
from loglineos.node import Node

Many = Annotated[tuple[str, ...] | None, Parameter(negative=())]


async def add(
    session: Session,
    who: Annotated[
        str | None, Text("quem; ou uma LogLine em JSON; ou - para a ler de stdin",
                         "who; or a LogLine as JSON; or - to read one from stdin")
    ] = None,
    did: Annotated[str | None, Text("o que fez", "what was done")] = None,
    this: Annotated[str | None, Text("a quê", "to what")] = None,
    /,
    *,
    when: Annotated[
        str | None, Text("quando: 2026-05-20T12:34, ontem, 2h (há 2 horas); agora, se não se diz",
                         "when: 2026-05-20T12:34, yesterday, 2h (2 hours ago); now when not said")
    ] = None,
    confirmed_by: Annotated[str | None, Text("a testemunha", "the witness")] = None,
    if_ok: Annotated[str | None, Text("o que segue se estiver bem", "what follows if it is ok")] = None,
    if_doubt: Annotated[
        str | None, Text("o que segue se houver dúvida", "what follows if in doubt")
    ] = None,
    if_not: Annotated[str | None, Text("o que segue se não for aceite", "what follows if not")] = None,
    status: Annotated[str | None, Text("o estado", "the status")] = None,
    type: Annotated[  # noqa: A002
        str | None, Text("system, human, llm, webhook, intent ou contract",
                         "system, human, llm, webhook, intent or contract")
    ] = None,
    tag: Annotated[Many, Text("uma etiqueta", "a tag")] = None,
    details: Annotated[str | None, Text("pormenores, um objeto JSON", "details, a JSON object")] = None,
    set: Annotated[  # noqa: A002
        Many, Text("qualquer outra coluna: coluna=valor", "any other column: column=value")
    ] = None,
    id: Annotated[  # noqa: A002
        str | None, Text("o UUID da entidade; novo, se não se diz", "the entity's UUID; a new one when not said")
    ] = None,
    seq: Annotated[int | None, Text("o lugar na vida da entidade", "the place in the entity's life")] = None,
    visibility: Annotated[
        Literal["private", "tenant", "public"] | None, Text("quem pode ver", "who may see it")
    ] = None,
    owner: Annotated[str | None, Text("de quem é", "whose it is")] = None,
    share: Annotated[
        Many, Text("com quem se partilha: nome ou role:courier", "with whom: a name or role:courier")
    ] = None,
    personal: Annotated[
        Many, Text("pessoa:campo, cifrado até se esquecer a pessoa, p. ex. hospede.204:details.telefone",
                   "person:field, encrypted until the person is forgotten, e.g. guest.204:details.phone")
    ] = None,
    key: Annotated[
        Path | None, Text("assina com esta chave própria (ficheiro de `logline key new`)",
                          "sign with this own key (a file of `logline key new`)")
    ] = None,
) -> None:  # fmt: skip
    """Append one act; an incomplete one enters as a ghost, and the answer says how to complete it."""
    value = _value(
        session, who, did, this, when=when, details=details, settings=set,
        plain={
            "confirmed_by": confirmed_by, "if_ok": if_ok, "if_doubt": if_doubt, "if_not": if_not,
            "status": status, "type": type, "id": id, "seq": seq, "visibility": visibility,
            "owner_id": owner, "tags": tag, "shared_with": share,
        },
    )  # fmt: skip
    if not value:
        raise InvalidInput(field="who", shape="null", reason=_NOTHING, remedy=_EXAMPLE)
    item = Item(
        line=1, byte_offset_end=0, data=b"", size_bytes=0,
        value=value if isinstance(value, dict) else None, content=None,
    )  # fmt: skip
    if isinstance(value, bytes):
        item = msgspec.structs.replace(item, data=value, size_bytes=len(value))
    signer = open_own_key(session, key) if key is not None else None
    async with session.node() as node:
        draft = draft_of(item, tenant=session.tenant, now=node.clock.now())
        for subject, fields in _personal(personal).items():
            draft = await seal_personal(
                node.writer, draft, tenant=session.tenant, subject=subject, fields=fields
            )
        record = await keep(node, draft, tenant=session.tenant, key=signer)
    tell_record(session, record)


async def keep(node: Node, draft: Draft, *, tenant: str, key: SigningKey | None) -> Record:
    """Append a draft; what the ledger cannot keep as it is becomes a ghost that says so."""
    current = draft
    for _ in range(len(DRAFT_FIELDS)):
        try:
            (record,) = await node.writer.append([current], tenant=tenant, key=key)
        except (InvalidInput, TooLarge) as error:
            current = ghost_of(current, error)
            continue
        return record
    raise AssertionError("each round settles one field")


def tell_record(session: Session, record: Record) -> None:
    """Answer with the record that was written, and what it is still missing."""
    document = {
        **record_document(record, session.language),
        "missing": missing_of(record),
        "complete_with": completion_command(record, session),
    }
    session.answer(document, lambda: session.out.print(receipt_of(record, session), soft_wrap=True))


def _value(
    session: Session,
    who: str | None,
    did: str | None,
    this: str | None,
    *,
    when: str | None,
    details: str | None,
    settings: Sequence[str] | None,
    plain: dict[str, Any],
) -> dict[str, Any] | bytes:
    """Join everything that was said; the bytes themselves when they are no JSON object."""
    value: dict[str, Any] = {}
    raw = _raw(who) if did is None and this is None else None
    if raw is not None:
        read = _object(raw)
        if read is None:
            return raw
        value = read
    else:
        value = {"who": who, "did": did, "this": this}
    value.update({name: given for name, given in plain.items() if given is not None})
    if details is not None:
        value["details"] = _json(details)
    for pair in settings or ():
        name, column = _column(pair)
        value[name] = column
    value = {name: given for name, given in value.items() if given is not None}
    if when is not None:
        value["when"] = _moment(session, when)
    elif raw is None and value:
        value.setdefault("when", rfc3339(_now()))
    return value


def _raw(who: str | None) -> bytes | None:
    if who == "-":
        return sys.stdin.buffer.read()
    if who is not None and who.lstrip().startswith("{"):
        return who.encode("utf-8", "surrogateescape")
    return None


def _object(raw: bytes) -> dict[str, Any] | None:
    reading = read_json(raw)
    value = reading.value if reading.problem is None else None
    return value if isinstance(value, dict) else None


def _json(text: str) -> Any:
    read = _object(text.encode("utf-8", "surrogateescape"))
    return text if read is None else read


def _column(pair: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise InvalidInput(field="--set", shape=shape_of(pair), reason=_PAIR)
    if ALIASES.get(name, name) not in READERS:
        raise UnknownName(field="--set", shape=repr(name)[:60], known=", ".join(READERS))
    return name, cell_value(name, text)


def _moment(session: Session, text: str) -> str:
    """Read a time as people say it; what cannot be read stays as it was said, and is a fault."""
    try:
        return rfc3339(instant_of(text, now=_now(), zone=session.settings.zone, field="when"))
    except InvalidInput:
        return text


def _now() -> datetime:
    return SystemClock().now()


def _personal(pairs: Sequence[str] | None) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for pair in pairs or ():
        subject, colon, field = pair.rpartition(":")
        if not colon or not subject or not field:
            raise InvalidInput(field="--personal", shape=shape_of(pair), reason=_SUBJECT)
        fields.setdefault(subject, []).append(field)
    return fields


_NOTHING: Final = Text("diga quem fez o quê", "say who did what")
_EXAMPLE: Final = Text(
    "p. ex. logline add João entregou 'pedido 312' --confirmed-by Ana",
    "e.g. logline add João delivered 'order 312' --confirmed-by Ana",
)
_PAIR: Final = Text("escreva coluna=valor", "write column=value")
_SUBJECT: Final = Text("escreva pessoa:campo", "write person:field")
