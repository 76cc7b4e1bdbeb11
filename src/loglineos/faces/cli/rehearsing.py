"""`logline policy test`: what a policy would have done about the past."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

from rich.console import Group

from loglineos.base.language import Text
from loglineos.engine import open_engine
from loglineos.faces.cli.entities import reader_of
from loglineos.faces.cli.functions import read_file
from loglineos.faces.cli.policies import find_policy
from loglineos.faces.cli.render import one_line, styled
from loglineos.faces.cli.session import Session
from loglineos.ledger.reading.filters import Filter, filter_of
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.functions import Function
from loglineos.runtime.header import read_source
from loglineos.runtime.policy.rehearsal import Rehearsal, Rehearsed, told_of, unpublished

_SHOWN_MAX: Final = 20
_EXAMPLES_MAX: Final = 100


async def try_policy(
    session: Session,
    which: Annotated[str, Text("o nome de uma política, ou um ficheiro .py ou .js por publicar", "the name of a policy, or a .py or .js file yet to be published")],
    /,
    *,
    since: Annotated[str, Text("desde quando: data, hora, 2h, 30d", "since when: date, time, 2h, 30d")] = "30d",
    limit: Annotated[int, Text("quantos exemplos mostrar", "how many examples to show")] = _SHOWN_MAX,
) -> int | None:  # fmt: skip
    """Ask a policy about past records, and show what it would have done; nothing is written."""
    async with session.node() as node, open_engine(node) as engine:
        if which.endswith((".py", ".js")):
            source = read_source(read_file(Path(which)), filename=Path(which).name, kind="policy")
            function = unpublished(source, tenant=session.tenant, at=node.clock.now())
        else:
            function = await find_policy(session, node, which)
        reader = reader_of(session, node)
        wanted = filter_of({"since": since}, now=node.clock.now(), zone=session.settings.zone)
        first = await reader.timeline(Filter(since=wanted.since), limit=1, oldest_first=True)
        size = (await reader.head()).size
        start = (first.records[0].position or 0) if first.records else size
        rehearsal = Rehearsal(
            session.tenant, log=engine.log, runners=engine.runners, laws=engine.laws
        )
        batches = [one async for one in rehearsal.rehearse(function, start=start, end=size)]
    drafts = [draft for batch in batches for draft in batch.drafts]
    fault = batches[-1].fault if batches else None
    document = {
        "policy": function.name, "from": start, "to": size,
        "shown": sum(batch.shown for batch in batches), "would_do": _counts(drafts),
        "examples": [told_of(draft) for draft in drafts[: max(0, min(limit, _EXAMPLES_MAX))]],
        "fault": None if fault is None else _fault(fault.span, fault.error.type, fault.error.message),
    }  # fmt: skip
    session.answer(document, lambda: _rehearsed(session, function, batches, drafts, limit=limit))
    return 1 if fault is not None else None


def _counts(drafts: list[Draft]) -> dict[str, int]:
    return dict(Counter(_kind(draft) for draft in drafts).most_common())


def _kind(draft: Draft) -> str:
    if draft.entity_type == "policy_violation":
        return f"policy_violation {draft.this}"
    return f"run {draft.name}" if draft.entity_type == "execution" else draft.entity_type


def _fault(span: Record, kind: str, message: str) -> dict[str, Any]:
    return {"position": span.position, "id": str(span.id), "type": kind, "message": message}


def _rehearsed(
    session: Session,
    function: Function,
    batches: list[Rehearsed],
    drafts: list[Draft],
    *,
    limit: int,
) -> Group:
    shown = sum(batch.shown for batch in batches)
    told: list[Any] = [
        styled((session.text(_WOULD, name=function.name, shown=shown, done=len(drafts)), "bold"))
    ]
    told += [
        styled((f"{count:>6}  ", "cyan"), (one_line(kind), ""))
        for kind, count in _counts(drafts).items()
    ]
    for draft in drafts[: max(0, limit)]:
        told.append(
            styled(
                ("  · ", "dim"), (one_line(_kind(draft)), "cyan"), ("  ", ""),
                (one_line(draft.this or ""), ""), (f"  ← {str(draft.cause_id)[:13]}", "dim"),
            )
        )  # fmt: skip
    if batches and (fault := batches[-1].fault) is not None:
        words = f"{fault.error.type}: {one_line(fault.error.message)}"
        told.append(
            styled((session.text(_FAILS, position=fault.span.position, words=words), "bold red"))
        )
    told.append(styled((session.text(_NOTHING_WRITTEN), "dim")))
    return Group(*told)


_WOULD: Final = Text(
    "{name}: viu {shown} registos, teria feito {done} coisas",
    "{name}: shown {shown} records, would have done {done} things",
)
_FAILS: Final = Text(
    "falha no registo #{position}: {words}", "fails on record #{position}: {words}"
)
_NOTHING_WRITTEN: Final = Text("nada foi escrito", "nothing was written")
