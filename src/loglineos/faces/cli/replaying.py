"""`logline replay`: what ran is run again from its records, and compared."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import Diverged, InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.entities import find
from loglineos.faces.cli.progress import counting
from loglineos.faces.cli.render import plain, styled
from loglineos.faces.cli.session import Session
from loglineos.ledger.archive.export_files import find_export, read_block, read_blocks
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import Record
from loglineos.runtime.execution.replay import Verdict, replay, summarise
from loglineos.runtime.execution.sources import LedgerSource, RecordsSource
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings

_SHOWN: Final = 50


async def replay_executions(
    session: Session,
    which: Annotated[str | None, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")] = None,
    /,
    *,
    all: Annotated[bool, Text("tudo o que acabou", "everything that ended")] = False,  # noqa: A002
    since: Annotated[str | None, Text("o que acabou desde: data, 2h, 3d", "what ended since: date, 2h, 3d")] = None,
    from_: Annotated[Path | None, Text("de uma exportação (JSONL, CSV ou Parquet), sem base de dados", "from an export (JSONL, CSV or Parquet), without any database")] = None,
) -> int | None:  # fmt: skip
    """Replay one execution, or many; end with 5 when one diverged."""
    if (which is None) == (not all and since is None):
        raise InvalidInput(field="which", shape=shape_of(which), reason=_ONE)
    verdicts: list[Verdict] = []
    async with _source(session, from_, which) as (source, wanted, now):
        start = (
            instant_of(since, now=now, zone=session.settings.zone, field="--since")
            if since
            else None
        )
        async with Runners(RunnerSettings(processes=1)) as runners:
            with counting(session, _REPLAYING) as counter:
                async for execution in _those(source, wanted, start):
                    verdicts.append(await replay(runners, source, execution))
                    counter.to(len(verdicts))
    counted = summarise(verdicts)
    document = {"counts": counted, "verdicts": [_document(one) for one in verdicts]}
    session.answer(document, lambda: _lines(session, verdicts, counted))
    parted = next((one for one in verdicts if one.verdict == "diverged"), None)
    if parted is not None:
        raise Diverged(
            execution=str(parted.execution), step=parted.step or "output",
            expected=parted.expected, found=parted.found, what="execution", where=parted.function,
            reason=parted.reason or "",
        )  # fmt: skip
    return None


@asynccontextmanager
async def _source(
    session: Session, path: Path | None, which: str | None
) -> AsyncIterator[tuple[Any, UUID | None, datetime]]:
    """Open where the records come from; tell which one is meant, and what time it is."""
    if path is not None:
        source = RecordsSource(_records(path))
        yield source, _id(which) if which else None, datetime.now(session.settings.zone)
        return
    async with session.node() as node:
        meant = (await find(session, node, which)).id if which else None
        yield LedgerSource(node.reader_pool, session.tenant), meant, node.clock.now()


async def _those(source: Any, wanted: UUID | None, since: datetime | None) -> AsyncIterator[UUID]:
    if wanted is not None:
        yield wanted
        return
    async for execution in source.ended(since):
        yield execution


def _records(path: Path) -> Iterator[Record]:
    for block in read_blocks(find_export(path)):
        for _, one in read_block(block):
            if isinstance(one, InvalidInput):
                raise one
            yield one.record


def _id(which: str) -> UUID:
    try:
        return UUID(which)
    except ValueError as cause:
        raise InvalidInput(field="which", shape=shape_of(which), reason=_WHOLE_ID) from cause


def _document(one: Verdict) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(one)
    return {name: value for name, value in told.items() if value is not None}


def _lines(session: Session, verdicts: list[Verdict], counted: dict[str, int]) -> Any:
    shown = [one for one in verdicts if one.verdict != "equal" or len(verdicts) == 1][:_SHOWN]
    for one in shown:
        colour = {"equal": "green", "diverged": "red"}.get(one.verdict, "yellow")
        words = session.text(_WORDS[one.verdict])
        line = [(words, colour), (f"  {plain(one.function)}  {one.execution}", "")]
        if one.verdict == "diverged":
            told = {"step": one.step or "-", "expected": one.expected, "found": one.found}
            line.append(("\n  " + session.text(_PARTED, **told), "red"))
        elif one.reason:
            line.append((f"  {plain(one.reason)}", "dim"))
        session.out.print(styled(*line))
    return styled((session.text(_SUMMARY, **counted), "bold"))


_REPLAYING: Final = Text("a repetir", "replaying")
_ONE: Final = Text("diga qual, ou --all, ou --since", "say which one, or --all, or --since")
_WHOLE_ID: Final = Text("numa exportação, o id inteiro", "in an export, the whole id")
_WORDS: Final = {
    "equal": Text("igual", "equal"),
    "diverged": Text("divergiu", "diverged"),
    "unproven": Text("não se prova", "unproven"),
    "unfinished": Text("não acabou", "unfinished"),
}
_PARTED: Final = Text(
    "passo {step}: esperava {expected}, encontrou {found}",
    "step {step}: expected {expected}, found {found}",
)
_SUMMARY: Final = Text(
    "iguais {equal} · divergentes {diverged} · por provar {unproven} · por acabar {unfinished}",
    "equal {equal} · diverged {diverged} · unproven {unproven} · unfinished {unfinished}",
)
