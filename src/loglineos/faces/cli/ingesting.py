"""Bringing data in: `logline ingest`, `logline import git`, `logline scenario casa`."""

# ruff: noqa: E501 - what an option means stands in one line
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from loglineos.base.clock import SystemClock
from loglineos.base.errors import InvalidInput, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.house import enrol_house, scenario_start
from loglineos.faces.cli.keeping_many import Portion, Reading, keep_many, tell_report
from loglineos.faces.cli.session import Session
from loglineos.ledger.intake.formats import Format, Item, read_items
from loglineos.ledger.intake.git_history import read_git_history
from loglineos.ledger.intake.intake import drafts_of
from loglineos.ledger.intake.mapping import Mapping
from loglineos.ledger.intake.mapping_file import load_mapping
from loglineos.services.scenario import generate_casa


async def ingest(
    session: Session,
    file: Annotated[str, Text("o ficheiro, ou - para stdin", "the file, or - for stdin")],
    /,
    *,
    format: Annotated[  # noqa: A002
        Format, Text("o formato; auto vê pelo começo", "the format; auto tells by its beginning")
    ] = "auto",
    mapping: Annotated[
        str | None, Text("um mapeamento: nome (git, access-log, python-logging, cloudevents) ou ficheiro YAML",
                         "a mapping: a name (git, access-log, python-logging, cloudevents) or a YAML file")
    ] = None,
    source: Annotated[
        str | None, Text("o nome da origem (source_file); o do ficheiro, se não se diz",
                         "the name of the source (source_file); the file's when not said")
    ] = None,
) -> None:  # fmt: skip
    """Read a file as LogLines; each line is kept, whatever it holds; twice adds nothing."""
    name = source or ("stdin" if file == "-" else Path(file).name)
    chosen = load_mapping(mapping) if mapping is not None else None
    total = _size_of(file)
    portions = _portions(session, file, name, chosen, format)
    async with session.node() as node:
        report = await keep_many(
            session, node, portions, tenant=session.tenant,
            reading=Reading(label=name, total=total, is_bytes=True),
        )  # fmt: skip
    tell_report(session, report, source=name)


async def import_git(
    session: Session,
    path: Annotated[Path, Text("o repositório", "the repository")],
    /,
    *,
    revision: Annotated[
        str, Text("o que ler: ramo, etiqueta, A..B", "what to read: branch, tag, A..B")
    ] = "HEAD",
    since: Annotated[str | None, Text("só desde (como no git)", "only since (as git has it)")] = None,
    count: Annotated[int | None, Text("no máximo tantos commits", "at most so many commits")] = None,
    with_emails: Annotated[
        bool, Text("guarda também os e-mails, que são dados pessoais",
                   "keep e-mail addresses too, which are personal data")
    ] = False,
) -> None:  # fmt: skip
    """Read the history of a git repository: each commit is an act of its author."""
    drafts = read_git_history(
        path, tenant=session.tenant, revision=revision, since=since, count_max=count,
        with_emails=with_emails,
    )  # fmt: skip
    portions = (Portion(draft=draft, size_bytes=4096) for draft in drafts)
    name = path.resolve().name
    async with session.node() as node:
        report = await keep_many(
            session, node, portions, tenant=session.tenant, reading=Reading(label=name)
        )
    tell_report(session, report, source=name)


async def scenario_casa(
    session: Session,
    *,
    days: Annotated[int, Text("quantos dias", "how many days")] = 30,
    seed: Annotated[int, Text("a semente: a mesma dá o mesmo", "the seed: the same gives the same")] = 7,
    lines: Annotated[int, Text("quantas linhas, mais ou menos", "how many lines, more or less")] = 3000,
    start: Annotated[
        str | None, Text("o primeiro dia, AAAA-MM-DD; se não se diz, acaba ontem",
                         "the first day, YYYY-MM-DD; when not said, it ends yesterday")
    ] = None,
) -> None:  # fmt: skip
    """Tell the example house into the ledger; the same again adds nothing."""
    first = _first_day(session, start, days)
    drafts = generate_casa(days=days, seed=seed, lines=lines, start=first, tenant=session.tenant)
    async with session.node() as node:
        await node.found(session.tenant)
        await enrol_house(session, node)
        report = await keep_many(
            session, node, (Portion(draft=draft) for draft in drafts), tenant=session.tenant,
            reading=Reading(label="casa", total=lines),
        )  # fmt: skip
    tell_report(session, report, source="casa")


def _portions(
    session: Session, file: str, name: str, mapping: Mapping | None, format: Format  # noqa: A002
) -> Iterator[Portion]:  # fmt: skip
    stream: Any = sys.stdin.buffer if file == "-" else Path(file)
    items: Iterator[Item] = read_items(stream, format=_format(mapping, format))
    if mapping is not None:
        items = map(mapping.apply, items)
    reading = mapping.reading if mapping is not None else ""
    now = SystemClock().now()
    for item, draft in drafts_of(
        items, tenant=session.tenant, source=name, reading=reading, now=now
    ):
        yield Portion(draft=draft, size_bytes=item.size_bytes * 2 + 512, done=item.byte_offset_end)


def _format(mapping: Mapping | None, chosen: Format) -> Format:
    return mapping.format if mapping is not None and chosen == "auto" else chosen


def _size_of(file: str) -> int | None:
    if file == "-":
        return None
    try:
        status = Path(file).stat()
        with Path(file).open("rb"):
            pass
    except OSError as cause:
        raise NotFound(what=_FILE, which=file) from cause
    return status.st_size if os.path.isfile(file) else None  # noqa: PTH113


def _first_day(session: Session, text: str | None, days: int) -> datetime:
    if text is None:
        return scenario_start(session.settings.zone, days=days)
    try:
        day = datetime.fromisoformat(text)
    except ValueError as cause:
        raise InvalidInput(field="--start", shape=shape_of(text), reason=_DAY) from cause
    return day if day.tzinfo else day.replace(tzinfo=session.settings.zone)


_FILE: Final = Text("o ficheiro", "file")
_DAY: Final = Text("escreva AAAA-MM-DD", "write YYYY-MM-DD")
