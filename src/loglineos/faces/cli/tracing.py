"""`logline trace`: what led to a record and what it led to, as a tree."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from typing import Annotated, Any, Final

from rich.text import Text as Styled

from loglineos.base.language import Text
from loglineos.faces.cli.entities import find, reader_of
from loglineos.faces.cli.records import sentence_of
from loglineos.faces.cli.render import local_time, status_text
from loglineos.faces.cli.session import Session
from loglineos.runtime.traces import Node, Trace, read_trace


async def trace(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
) -> None:  # fmt: skip
    """Show the chain of causes up to the first, and down to everything that followed."""
    async with session.node() as node:
        record = await find(session, node, which)
        viewer = reader_of(session, node).viewer
        found = await read_trace(node.app_pool, record.id, viewer=viewer)
    document = {
        "id": str(record.id),
        "causes": [_document(one) for one in found.causes],
        "tree": _tree(found.node),
        "is_cut": found.is_cut,
    }
    session.answer(document, lambda: _lines(session, found))


def _document(node: Node) -> dict[str, Any]:
    record = node.record
    return {
        "id": str(record.id), "position": record.position, "entity_type": record.entity_type,
        "who": record.who, "did": record.did, "this": record.this, "name": record.name,
        "branch": record.branch, "status": node.status,
        "cause_id": None if record.cause_id is None else str(record.cause_id),
    }  # fmt: skip


def _tree(node: Node) -> dict[str, Any]:
    return {**_document(node), "led_to": [_tree(child) for child in node.children]}


def _lines(session: Session, found: Trace) -> Styled:
    rows = [(depth, node) for depth, node in enumerate(found.causes)]
    above = len(rows)
    rows += [(above + depth, node) for depth, node in found.node.walk()]
    text = Styled()
    for number, (depth, node) in enumerate(rows):
        record = node.record
        text.append(("" if number == 0 else "\n") + "  " * depth + ("└ " if depth else ""))
        if record.branch is not None:
            text.append(f"{session.text(_BRANCHES[record.branch])} → ", style="dim")
        text.append(f"#{record.position} ", style="dim")
        text.append_text(status_text(node.status, session.language))
        text.append("  ")
        text.append_text(sentence_of(record))
        text.append(f"  {local_time(record.at, session.settings.zone)}", style="dim")
        if number == above:
            text.append("  ◂", style="bold")
    if found.is_cut:
        text.append(f"\n{session.text(_CUT)}", style="dim")
    return text


_BRANCHES: Final[dict[str, Text]] = {
    "ok": Text("ok", "ok"), "doubt": Text("dúvida", "doubt"), "not": Text("não", "not"),
}  # fmt: skip
_CUT: Final = Text("… há mais do que se mostra", "… there is more than is shown")
