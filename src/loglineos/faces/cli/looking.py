"""The commands that look: timeline, show, history, ghosts, stats.

Always holds: they read with the rights of the owner of the house and change nothing.
"""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from rich.console import Group
from rich.text import Text as Styled

from loglineos.base.clock import rfc3339
from loglineos.base.language import Text
from loglineos.faces.cli.entities import find, reader_of
from loglineos.faces.cli.records import (
    completion_command,
    record_document,
    record_line,
    sentence_of,
)
from loglineos.faces.cli.render import local_time, one_line, plain, status_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, facts, table
from loglineos.ledger.logline import explain
from loglineos.ledger.personal import reveal
from loglineos.ledger.reading.changes import Event
from loglineos.ledger.reading.filters import Filter, filter_of
from loglineos.ledger.reading.overview import Count, Distribution
from loglineos.ledger.reading.reader import Page
from loglineos.ledger.record import RECORD_FIELDS, Record
from loglineos.ledger.status import allowed_actions
from loglineos.node import Node

Many = Annotated[tuple[str, ...] | None, Parameter(negative=())]
_BAR: Final = 24
_NOT_SHOWN: Final = frozenset({"who", "did", "this", "at", "status", "tenant_id", "id", "seq"})


async def timeline(
    session: Session,
    *,
    who: Annotated[str | None, Text("quem agiu", "who acted")] = None,
    did: Annotated[str | None, Text("o que fez", "what was done")] = None,
    this: Annotated[str | None, Text("a quê, tal e qual", "to what, exactly")] = None,
    status: Annotated[str | None, Text("o estado", "the status")] = None,
    type: Annotated[str | None, Text("o tipo de LogLine", "the type of LogLine")] = None,  # noqa: A002
    entity_type: Annotated[str | None, Text("o tipo de entidade", "the type of entity")] = None,
    tag: Annotated[Many, Text("uma etiqueta", "a tag")] = None,
    since: Annotated[str | None, Text("desde: data, hora, 2h, 3d, hoje, ontem", "since: date, time, 2h, 3d, today, yesterday")] = None,
    until: Annotated[str | None, Text("até (exclusive)", "until (exclusive)")] = None,
    text: Annotated[str | None, Text("palavras; inicio* e #etiqueta também", "words; beginning* and #tag too")] = None,
    ghosts: Annotated[bool, Text("só fantasmas por completar", "open ghosts only")] = False,
    latest: Annotated[bool, Text("só o último acontecimento de cada entidade", "the latest event of each entity only")] = False,
    limit: Annotated[int, Text("quantas linhas", "how many lines")] = 50,
    before: Annotated[int | None, Text("só antes desta posição (a página seguinte)", "only before this position (the next page)")] = None,
    oldest_first: Annotated[bool, Text("da mais antiga para a mais nova", "oldest first")] = False,
    follow: Annotated[bool, Text("fica a mostrar o que chega; Ctrl-C termina", "stay and show what arrives; Ctrl-C ends")] = False,
) -> None:  # fmt: skip
    """Show the timeline, newest first; with --follow, the last lines and then what arrives."""
    async with session.node() as node:
        wanted = filter_of(
            {
                "who": who, "did": did, "this": this, "status": status, "type": type,
                "entity_type": entity_type, "tag": tag, "since": since, "until": until,
                "text": text, "ghosts": ghosts, "latest": latest,
            },
            now=node.clock.now(), zone=session.settings.zone,
        )  # fmt: skip
        reader = reader_of(session, node)
        if follow:
            await follow_timeline(session, node, wanted, last=limit)
            return
        place = {"after": before} if oldest_first and before is not None else {"before": before}
        page = await reader.timeline(wanted, limit=limit, oldest_first=oldest_first, **place)
        shown = await revealed(session, node, page.records)
        document = {
            "records": [record_document(r, session.language) for r in shown],
            "next": page.next,
        }
        session.answer(document, lambda: _page_lines(session, shown, page))


async def follow_timeline(session: Session, node: Node, wanted: Filter, *, last: int) -> None:
    """Show the last lines, then every new one, until the reader or the node ends.

    Nothing between the two is skipped or shown twice: both go by position.
    """
    reader = reader_of(session, node)
    start = (await reader.head()).size
    page = await reader.timeline(wanted, before=start, limit=max(1, last))
    for record in reversed(await revealed(session, node, page.records)):
        _show_line(session, record)
    async for record in reader.follow(wanted, from_position=start):
        (shown,) = await revealed(session, node, [record])
        _show_line(session, shown)


async def revealed(session: Session, node: Node, records: Iterable[Record]) -> list[Record]:
    """Return records with their personal fields opened, where the keys are still there."""
    return await reveal(node.writer, list(records), tenant=session.tenant)


async def show(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
    *,
    seq: Annotated[int | None, Text("este acontecimento, não o último", "this event, not the latest")] = None,
) -> None:  # fmt: skip
    """Show one record whole, with what may be done with it now and what would follow."""
    async with session.node() as node:
        reader = reader_of(session, node)
        record = await find(session, node, which)
        if seq is not None:
            record = await reader.get(record.id, seq=seq)
        told = await reader.with_actions(record, language=session.language)
        (shown,) = await revealed(session, node, [record])
    document = record_document(shown, session.language)
    document["is_latest"] = told.is_latest
    document["actions"] = [msgspec.structs.asdict(action) for action in told.actions]
    session.answer(document, lambda: record_page(session, shown, is_latest=told.is_latest))


async def history(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
) -> None:  # fmt: skip
    """Tell the life of an entity, event by event, each with what it changed."""
    async with session.node() as node:
        record = await find(session, node, which)
        events = await reader_of(session, node).history(record.id)
        shown = await revealed(session, node, [event.record for event in events])
    document = {
        "id": str(record.id),
        "events": [
            {
                **record_document(one, session.language),
                "changes": [msgspec.structs.asdict(change) for change in event.changes],
            }
            for one, event in zip(shown, events, strict=True)
        ],
    }
    session.answer(document, lambda: Group(*_life(session, shown, events)))


async def ghosts(
    session: Session,
    *,
    limit: Annotated[int, Text("quantos mostrar", "how many to show")] = 20,
) -> None:
    """Show what waits to be completed: what is missing, and the oldest first."""
    async with session.node() as node:
        found = await reader_of(session, node).ghosts(limit=limit)
        oldest = await revealed(session, node, found.oldest)
    document = {
        "total": found.total,
        "by_field": [msgspec.structs.asdict(count) for count in found.by_field],
        "groups": [
            {**msgspec.structs.asdict(group), "since": rfc3339(group.since)}
            for group in found.groups
        ],
        "oldest": [record_document(record, session.language) for record in oldest],
    }

    def human() -> Group:
        lines: list[Any] = [styled((session.text(_GHOSTS, total=found.total), "bold magenta"))]
        lines += [
            styled((f"{count.records:>6}  ", "magenta"), (one_line(count.value or "—"), ""))
            for count in found.by_field
        ]
        for record in oldest:
            lines.append(Styled())
            lines.append(record_line(record, session))
            command = completion_command(record, session)
            if command is not None:
                lines.append(styled((f"    {command}", "dim")))
        return Group(*lines)

    session.answer(document, human)


async def stats(
    session: Session,
    *,
    who: Annotated[str | None, Text("só de quem", "of whom only")] = None,
    did: Annotated[str | None, Text("só o que fez", "of what was done only")] = None,
    status: Annotated[str | None, Text("só deste estado", "of this status only")] = None,
    since: Annotated[str | None, Text("desde: data, hora, 2h, 3d, hoje, ontem", "since: date, time, 2h, 3d, today, yesterday")] = None,
    until: Annotated[str | None, Text("até (exclusive)", "until (exclusive)")] = None,
    top: Annotated[int, Text("quantos valores de cada", "how many values of each")] = 10,
) -> None:  # fmt: skip
    """Count the house: status, who, did, confirmed_by, per day, ghosts by what they miss."""
    async with session.node() as node:
        wanted = filter_of(
            {"who": who, "did": did, "status": status, "since": since, "until": until},
            now=node.clock.now(), zone=session.settings.zone,
        )  # fmt: skip
        found = await reader_of(session, node).stats(
            wanted, zone=session.settings.timezone, top=top
        )
    document = {
        **msgspec.to_builtins(found),
        "ghosts_completed": found.ghosts_completed,
        "ghosts_by_field": msgspec.to_builtins(found.ghosts_by_field),
    }

    def human() -> Group:
        parts: list[Any] = [
            facts([
                (session.text(_RECORDS), found.records),
                (session.text(_BORN), found.ghosts_born),
                (session.text(_COMPLETED), found.ghosts_completed),
                (session.text(_OPEN), found.ghosts_open),
            ])
        ]  # fmt: skip
        for title, distribution in (
            (_BY_STATUS, found.by_status), (_BY_WHO, found.by_who), (_BY_DID, found.by_did),
            (_BY_WITNESS, found.by_confirmed_by), (_BY_DAY, found.by_day),
        ):  # fmt: skip
            parts += _bars(session, title, distribution)
        missing = Distribution(values=found.ghosts_by_field, different=len(found.ghosts_by_field))
        parts += _bars(session, _BY_FIELD, missing)
        return Group(*parts)

    session.answer(document, human)


def record_page(session: Session, record: Record, *, is_latest: bool) -> Group:
    """Return a record as one page: the sentence, every column that is set, what may follow."""
    language, zone = session.language, session.settings.zone
    head = status_text(record.status, language)
    head.append("  ")
    head.append_text(sentence_of(record))
    pairs: list[tuple[str, Any]] = [
        ("id", str(record.id)), ("seq", record.seq), ("when", local_time(record.at, zone)),
    ]  # fmt: skip
    reason = explain(record, language)
    for name in RECORD_FIELDS:
        value = getattr(record, name)
        if value is None or name in _NOT_SHOWN:
            continue
        if name == "ghost_reason" and reason is not None:
            value = reason
        pairs.append((name, _value(value, session)))
    parts: list[Any] = [head, facts(pairs)]
    if is_latest:
        parts.append(styled((session.text(_MAY), "dim")))
        for action in allowed_actions(record, language):
            line = styled((f"  {action.gesture}", "bold"), (f"  {action.label} → {action.to}", ""))
            if action.consequence:
                line.append(f"  ⇒ {one_line(action.consequence)}", style="yellow")
            parts.append(line)
        command = completion_command(record, session)
        if command is not None:
            parts.append(styled((f"  {command}", "bold")))
    return Group(*parts)


def _value(value: Any, session: Session) -> str:
    if hasattr(value, "astimezone"):
        return local_time(value, session.settings.zone)
    if isinstance(value, (dict, list, tuple)):
        return plain(msgspec.json.encode(value).decode())
    return plain(value)


def _page_lines(session: Session, records: list[Record], page: Page) -> Group:
    lines: list[Any] = [_fitting(record_line(record, session)) for record in records]
    if not records:
        lines = [styled((session.text(_NOTHING), "dim"))]
    if page.next is not None:
        lines.append(styled((session.text(_MORE, next=page.next), "dim")))
    return Group(*lines)


def _show_line(session: Session, record: Record) -> None:
    if session.as_json:
        session.emit(record_document(record, session.language))
    else:
        session.out.print(_fitting(record_line(record, session)))


def _fitting(line: Styled) -> Styled:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _life(session: Session, shown: list[Record], events: tuple[Event, ...]) -> list[Any]:
    lines: list[Any] = []
    for record, event in zip(shown, events, strict=True):
        lines.append(_fitting(record_line(record, session)))
        for change in event.changes:
            old, new = (
                one_line(_value(v, session)) if v is not None else "—"
                for v in (change.old, change.new)
            )
            lines.append(
                _fitting(
                    styled(
                        (f"          {change.field}: ", "dim"),
                        (old, "dim"),
                        (" → ", "dim"),
                        (new, ""),
                    )
                )
            )
    return lines


def _bars(session: Session, title: Text, distribution: Distribution) -> list[Any]:
    values: tuple[Count, ...] = distribution.values
    if not values:
        return []
    most = max(count.records for count in values)
    rest = distribution.different - len(values)
    heading = session.text(title) + (f"  (+{rest})" if rest > 0 else "")
    rows = [
        (
            one_line(count.value) if count.value is not None else None,
            count.records,
            Styled("▇" * max(1, round(_BAR * count.records / most)), style="cyan"),
        )
        for count in values
    ]
    columns = [
        Column(title=Text(heading, heading), grows=True),
        Column(title=Text("", ""), right=True),
        Column(title=Text("", ""), width_min=60),
    ]
    return [Styled(), table(columns, rows, language=session.language, width=session.width)]


_NOTHING: Final = Text("nada", "nothing")
_MORE: Final = Text("há mais: --before {next}", "there is more: --before {next}")
_MAY: Final = Text("agora pode:", "now you may:")
_GHOSTS: Final = Text(
    "fantasmas à espera: {total}; falta-lhes:", "ghosts waiting: {total}; they miss:"
)
_RECORDS: Final = Text("registos", "records")
_BORN: Final = Text("já foram fantasmas", "once ghosts")
_COMPLETED: Final = Text("completados", "completed")
_OPEN: Final = Text("por completar", "still open")
_BY_STATUS: Final = Text("estado", "status")
_BY_WHO: Final = Text("quem", "who")
_BY_DID: Final = Text("o que fez", "did")
_BY_WITNESS: Final = Text("confirmado por", "confirmed by")
_BY_DAY: Final = Text("dia", "day")
_BY_FIELD: Final = Text("falta aos fantasmas", "ghosts miss")
