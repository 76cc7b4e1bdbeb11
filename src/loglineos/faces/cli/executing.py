"""`logline fn run` and `logline exec`: asking for runs, looking at them, stopping and retrying."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from rich.text import Text as Styled

from loglineos.base.clock import rfc3339
from loglineos.base.errors import InvalidInput, NotFound, ProgramFailed, shape_of
from loglineos.base.ids import uuid7
from loglineos.base.language import Text
from loglineos.engine import Engine, open_engine
from loglineos.faces.cli.entities import find, reader_of
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.render import local_time, one_line, plain, status_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, facts, table
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Record
from loglineos.runtime.execution.journal import step_of
from loglineos.runtime.execution.lives import read_steps, read_tree, retry
from loglineos.runtime.execution.requests import EXECUTION, draft_request, is_unfinished
from loglineos.services.queue.lives import cancel
from loglineos.services.queue.worker import WorkerSettings

_POLL_S: Final = 0.02
_WAIT_S: Final = 300.0


async def run_function(
    session: Session,
    name: Annotated[str, Text("o nome da função, ou outro por que responde", "the function's name, or another that it answers to")],
    /,
    *,
    input: Annotated[str | None, Text("o que entra, em JSON", "what goes in, as JSON")] = None,  # noqa: A002
    wait: Annotated[bool, Parameter(negative="--no-wait"), Text("espera que acabe", "wait for its end")] = True,
    key: Annotated[str | None, Text("uma chave: o mesmo pedido uma só vez", "a key: the same request only once")] = None,
) -> int | None:  # fmt: skip
    """Ask for a run; wait for it; show what came out."""
    value = _json(input)
    async with session.node() as node, open_engine(node) as engine:
        function = await engine.laws.resolve(session.tenant, name)
        if function is None:
            raise NotFound(what="function", which=name[:80])
        function.check_input(value)
        draft = draft_request(
            function=function.id, name=function.name, who=session.actor, owner_id=session.actor,
            input=value, queue=function.queue, max_attempts=function.max_attempts, key=key,
            visibility=function.visibility, trace_id=uuid7().hex,
        )  # fmt: skip
        (asked,) = await node.writer.append([draft], tenant=session.tenant)
        head = await _wait_for(engine, asked) if wait else asked
    session.answer(record_document(head, session.language), lambda: _outcome(session, head))
    if head.status in ("error", "dead", "denied"):
        error = head.error if isinstance(head.error, dict) else {}
        raise ProgramFailed(
            function=function.name, kind=str(error.get("code", head.status)),
            reason=str(error.get("message", "")), where=", ".join(error.get("where", ())) or "-",
        )  # fmt: skip
    return None


async def list_executions(
    session: Session,
    *,
    status: Annotated[str | None, Text("só as que estão assim", "only those that stand so")] = None,
    name: Annotated[str | None, Text("só desta função", "only of this function")] = None,
    limit: Annotated[int, Text("quantas", "how many")] = 50,
) -> None:  # fmt: skip
    """List executions by their latest event, newest first."""
    async with session.node() as node:
        wanted = Filter(entity_type=EXECUTION, status=status, this=name, latest=True)
        page = await reader_of(session, node).timeline(wanted, limit=limit)
    document = {
        "executions": [record_document(one, session.language) for one in page.records],
        "next": page.next,
    }
    session.answer(document, lambda: _listing(session, page.records))


async def show_execution(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
) -> None:  # fmt: skip
    """Show one execution with its steps."""
    async with session.node() as node:
        head = await _find(session, node, which)
        first = await reader_of(session, node).get(head.id, seq=0)
        steps = await read_steps(node.reader_pool, session.tenant, head)
    document = record_document(head, session.language)
    document["input"] = first.input
    document["steps"] = [_step_document(step) for step in steps]
    session.answer(document, lambda: _page(session, head, first, steps))


async def show_tree(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
) -> None:  # fmt: skip
    """Show an execution and those that it led to."""
    async with session.node() as node:
        head = await _find(session, node, which)
        tree = await read_tree(node.reader_pool, session.tenant, head)
    rows = list(tree.walk())
    document = {
        "executions": [
            {"depth": depth, **record_document(record, session.language)} for depth, record in rows
        ]
    }
    session.answer(document, lambda: _tree_lines(session, rows))


async def cancel_execution(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
    *,
    reason: Annotated[str | None, Text("porquê", "why")] = None,
) -> None:  # fmt: skip
    """End an execution that has not ended."""
    async with session.node() as node:
        head = await _find(session, node, which)
        record = await cancel(
            node.writer, head, tenant=session.tenant, by=session.actor, reason=reason
        )
    session.answer(record_document(record, session.language), lambda: _outcome(session, record))


async def retry_execution(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
    *,
    from_step: Annotated[int | None, Text("deste passo em diante tudo se pergunta de novo; sem isto, do último que falhou", "from this step on everything is asked anew; without it, from the last that failed")] = None,
    latest: Annotated[bool, Text("com a versão mais nova da função", "with the function's latest version")] = False,
) -> None:  # fmt: skip
    """Let a failed execution try again."""
    async with session.node() as node:
        head = await _find(session, node, which)
        record = await retry(
            node.writer, head, tenant=session.tenant, by=session.actor, from_step=from_step,
            is_latest=latest,
        )  # fmt: skip
    session.answer(record_document(record, session.language), lambda: _outcome(session, record))


async def resume_execution(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
) -> None:  # fmt: skip
    """Have a waiting execution look at once; run it here where no worker is on."""
    async with session.node() as node, open_engine(node) as engine:
        head = await _find(session, node, which)
        await engine.executor.wake(session.tenant, [head.id])
        seq = head.seq
        head = await _wait_for(engine, head, after=seq)
    session.answer(record_document(head, session.language), lambda: _outcome(session, head))


async def _wait_for(engine: Engine, execution: Record, *, after: int = -1) -> Record:
    """Wait until an execution rests or ends, working on it here too."""
    worker = engine.worker(WorkerSettings(slots=8, ahead_max=0))
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(engine.wake())]
    head = execution
    try:
        async with asyncio.timeout(_WAIT_S):
            while is_unfinished(head) and not (head.status == "waiting" and head.seq > after):
                await asyncio.sleep(_POLL_S)
                head = await engine.node.writer.latest(execution.tenant_id, execution.id)
    except TimeoutError:
        return head
    finally:
        worker.stop()
        await tasks[0]
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
    return head


async def _find(session: Session, node: Any, which: str) -> Record:
    head = await find(session, node, which)
    if head.entity_type != EXECUTION:
        raise InvalidInput(field="execution", shape=head.entity_type, reason=_NO_EXECUTION)
    return head


def _json(given: str | None) -> Any:
    if given is None:
        return None
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as cause:
        raise InvalidInput(field="--input", shape=shape_of(given), reason=_NO_JSON) from cause


def _outcome(session: Session, head: Record) -> Styled:
    line = Styled()
    line.append_text(status_text(head.status, session.language))
    line.append(f"  {plain(head.name)}  {str(head.id)[:13]}")
    if head.status == "waiting":
        line.append("  " + one_line(_waits(session, head)), style="dim")
    elif head.output is not None:
        line.append("\n" + plain(msgspec.json.format(msgspec.json.encode(head.output)).decode()))
    elif isinstance(head.error, dict):
        line.append(f"  {one_line(head.error.get('code'))}: {one_line(head.error.get('message'))}")
    return line


def _waits(session: Session, head: Record) -> str:
    kinds = {
        "question": _FOR_PERSON, "execution": _FOR_CHILD, "pattern": _FOR_FACT, "time": _FOR_TIME,
    }  # fmt: skip
    told = [
        session.text(kinds.get(str(one.get("kind")), _FOR_TIME)) + f" {one.get('id', '')}"
        for one in (head.metadata or {}).get("waiting_for", ())
    ]
    until = f" ({rfc3339(head.run_at)})" if head.run_at is not None else ""
    return ", ".join(told) + until


def _listing(session: Session, records: Sequence[Record]) -> Any:
    if not records:
        return styled((session.text(_NONE), "dim"))
    columns = [Column(title=title) for title in (_WHEN, _STATUS, _FUNCTION, _ID, _TOOK)]
    rows = [
        [
            local_time(one.at, session.settings.zone), status_text(one.status, session.language),
            plain(one.name), str(one.id)[:13],
            "" if one.duration_ms is None else f"{one.duration_ms} ms",
        ]
        for one in records
    ]  # fmt: skip
    return table(columns, rows, width=session.width, language=session.language)


def _tree_lines(session: Session, rows: Sequence[tuple[int, Record]]) -> Styled:
    text = Styled()
    for number, (depth, record) in enumerate(rows):
        text.append(("" if number == 0 else "\n") + "  " * depth + ("└ " if depth else ""))
        text.append_text(status_text(record.status, session.language))
        text.append(f"  {plain(record.name)}  {str(record.id)[:13]}")
    return text


def _page(session: Session, head: Record, first: Record, steps: Sequence[Record]) -> Any:
    pairs: list[tuple[str, Any]] = [
        (session.text(_FUNCTION), head.name), (session.text(_ASKED_BY), first.who),
        (session.text(_STATUS), status_text(head.status, session.language)),
    ]  # fmt: skip
    if head.status == "waiting":
        pairs.append((session.text(_WAITS), _waits(session, head)))
    for title, value in ((_INPUT, first.input), (_OUTPUT, head.output), (_ERROR, head.error)):
        if value is not None:
            pairs.append((session.text(title), one_line(msgspec.json.encode(value).decode())))
    session.out.print(facts(pairs))
    if not steps:
        return None
    columns = [Column(title=title) for title in (_STEP, _STATUS, _ASKED, _GAVE)]
    rows = [
        [
            str(step_of(step).n), status_text(step.status, session.language),
            plain(step_of(step).key.name), one_line(_gave(step))[:80],
        ]
        for step in steps
    ]  # fmt: skip
    return table(columns, rows, width=session.width, language=session.language)


def _gave(record: Record) -> str:
    step = step_of(record)
    value = step.error if step.error is not None else step.value
    return "" if value is None else msgspec.json.encode(value).decode()


def _step_document(record: Record) -> dict[str, Any]:
    step = step_of(record)
    return {
        "n": step.n, "did": step.key.name, "state": step.state, "input": record.input,
        "value": step.value, "error": step.error, "position": record.position,
        "id": str(record.id), "idempotency_key": record.idempotency_key,
    }  # fmt: skip


_NO_EXECUTION: Final = Text("não é uma execução", "is no execution")
_NO_JSON: Final = Text("não é JSON", "is no JSON")
_NONE: Final = Text("nenhuma execução", "no execution")
_WHEN: Final = Text("quando", "when")
_STATUS: Final = Text("estado", "status")
_FUNCTION: Final = Text("função", "function")
_ID: Final = Text("id", "id")
_TOOK: Final = Text("demorou", "took")
_ASKED_BY: Final = Text("pedida por", "asked by")
_WAITS: Final = Text("espera", "waits")
_INPUT: Final = Text("entrou", "input")
_OUTPUT: Final = Text("saiu", "output")
_ERROR: Final = Text("erro", "error")
_STEP: Final = Text("passo", "step")
_ASKED: Final = Text("pediu", "asked")
_GAVE: Final = Text("teve", "got")
_FOR_PERSON: Final = Text("pela resposta à pergunta", "for the answer to question")
_FOR_CHILD: Final = Text("pela execução", "for execution")
_FOR_FACT: Final = Text("por um facto", "for a fact")
_FOR_TIME: Final = Text("pela hora", "for its time")
