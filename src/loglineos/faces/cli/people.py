"""`logline tenant`, `logline actor`: which houses there are, and who belongs to one."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

from typing import Annotated, Final, Literal

from loglineos.base.language import Text
from loglineos.faces.cli.entities import latest_of_type
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.ledger.founding import check_tenant_name, enrol_actor, give_held_key

Role = Literal[
    "owner", "manager", "operator", "courier", "client", "auditor", "agent", "service"
]  # fmt: skip
Kind = Literal["person", "service", "model", "courier", "clock"]


async def add_tenant(
    session: Session,
    name: Annotated[str, Text("o nome: minúsculas, algarismos, hífen", "the name: lower case, digits, hyphen")],
    /,
    *,
    title: Annotated[str | None, Text("o nome por extenso", "the name in full")] = None,
) -> None:  # fmt: skip
    """Found a tenant; a repeat changes nothing."""
    check_tenant_name(name)
    async with session.node() as node:
        is_new = await node.found(name, title=title)
        size = await node.writer.log_size(name)
    text = _FOUNDED if is_new else _WAS_THERE
    document = {"tenant": name, "founded": is_new, "size": size}
    session.answer(document, session.text(text, tenant=name))


async def list_tenants(session: Session) -> None:
    """List the tenants of this node."""
    async with session.node() as node:
        names = await node.tenants()
        sizes = [await node.writer.log_size(name) for name in names]
    rows = list(zip(names, sizes, strict=True))
    columns = [Column(title=_TENANT), Column(title=_RECORDS, right=True)]
    session.answer(
        {"tenants": [{"tenant": name, "size": size} for name, size in rows]},
        lambda: table(columns, rows, language=session.language, width=session.width),
    )


async def add_actor(
    session: Session,
    name: Annotated[str, Text("o nome que fica em `who`", "the name that stands in `who`")],
    /,
    *,
    role: Annotated[Role, Text("o papel na casa", "the role in the house")] = "operator",
    kind: Annotated[Kind, Text("o que é", "what it is")] = "person",
    title: Annotated[str | None, Text("o nome por extenso", "the name in full")] = None,
    with_key: Annotated[
        bool, Text("o nó faz e guarda uma chave em seu nome", "the node makes and keeps a key for them")
    ] = False,
) -> None:  # fmt: skip
    """Record that an actor belongs to the house; a repeat changes nothing."""
    async with session.node() as node:
        record = await enrol_actor(
            node.writer, session.tenant, name, role=role, kind=kind, title=title
        )
        key = None
        if with_key:
            key = await give_held_key(node.writer, session.tenant, name, role=role)
    document = record_document(record, session.language)
    document["key"] = None if key is None else key.this
    session.answer(document, session.text(_ENROLLED, name=name, role=role))


async def list_actors(session: Session) -> None:
    """List who belongs to the house."""
    async with session.node() as node:
        actors = await latest_of_type(session, node, "actor")
    rows = [
        {
            "name": one.name, "role": (one.metadata or {}).get("role"),
            "kind": (one.metadata or {}).get("kind"), "title": one.description,
            "status": one.status, "position": one.position,
        }
        for one in actors
    ]  # fmt: skip
    columns = [
        Column(title=_NAME, grows=True), Column(title=_ROLE), Column(title=_KIND),
        Column(title=_TITLE, grows=True, width_min=60),
    ]  # fmt: skip
    cells = [(row["name"], row["role"], row["kind"], row["title"]) for row in rows]
    session.answer(
        {"tenant": session.tenant, "actors": rows},
        lambda: table(columns, cells, language=session.language, width=session.width),
    )


_FOUNDED: Final = Text("a casa {tenant} está fundada", "the tenant {tenant} is founded")
_WAS_THERE: Final = Text("a casa {tenant} já existia", "the tenant {tenant} was there already")
_ENROLLED: Final = Text("{name} está na casa como {role}", "{name} is in the house as {role}")
_TENANT: Final = Text("casa", "tenant")
_RECORDS: Final = Text("registos", "records")
_NAME: Final = Text("nome", "name")
_ROLE: Final = Text("papel", "role")
_KIND: Final = Text("o que é", "kind")
_TITLE: Final = Text("por extenso", "in full")
