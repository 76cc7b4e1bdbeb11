"""`logline fn`: publishing functions, looking at them and their versions, pausing them."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from rich.console import Group
from rich.syntax import Syntax
from rich.text import Text as Styled

from loglineos.base.errors import InvalidInput, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.engine import open_engine
from loglineos.faces.cli.own_key import open_own_key
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.render import local_time, one_line, plain, status_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, facts, table
from loglineos.ledger.record import Record
from loglineos.node import Node
from loglineos.runtime.checking import checker
from loglineos.runtime.definitions import find_function, list_definitions
from loglineos.runtime.functions import Function, function_of
from loglineos.runtime.header import read_source
from loglineos.runtime.logs import Run, read_logs
from loglineos.runtime.publishing import compare, push, set_pause

_FILE_BYTES_MAX: Final = 2**20


async def push_function(
    session: Session,
    file: Annotated[Path, Text("o ficheiro: .py ou .js", "the file: .py or .js")],
    /,
    *,
    name: Annotated[str | None, Text("o nome, em vez do que o ficheiro diz", "the name, in place of what the file says")] = None,
    check: Annotated[bool, Parameter(negative=()), Text("só confere; não publica nada", "only check; publish nothing")] = False,
    key: Annotated[Path | None, Text("assina com a chave própria deste ficheiro (com --actor)", "sign with the own key in this file (with --actor)")] = None,
) -> None:  # fmt: skip
    """Read a file, try it in its engine, and publish it as the next version."""
    source = read_source(read_file(file), filename=file.name, name=name)
    signer = open_own_key(session, key) if key is not None else None
    async with session.node() as node, open_engine(node) as engine:
        checking = checker(engine.laws, engine.runners, session.tenant)
        if check:
            warnings = tuple(await checking(source))
            document = {"name": source.name, "checked": True, "code_hash": source.code_hash}
            told, record = _CHECKED, None
        else:
            done = await push(
                node.writer, session.tenant, source, who=session.actor, check=checking, key=signer
            )
            warnings, record = done.warnings, done.record
            document = {**_document(function_of(record)), "is_new": done.is_new}
            told = _PUSHED if done.is_new else _SAME
            manifest = await engine.laws.manifest(session.tenant)
            is_trusted = record.public_key in manifest.trusted_keys
            document["is_trusted"] = is_trusted
            if not is_trusted:
                session.warn(_NOT_TRUSTED, name=source.name, key=record.public_key)
    document["warnings"] = [session.text(one) for one in warnings]
    seq = None if record is None else record.seq
    session.answer(document, session.text(told, name=source.name, seq=seq))
    for one in warnings:
        session.note(one)
    if record is not None and "paused" in (record.metadata or {}):
        session.warn(_STILL_PAUSED, name=source.name)


async def list_functions(
    session: Session,
    *,
    kernels: Annotated[bool, Parameter(negative=()), Text("também os kernels", "the kernels too")] = False,
) -> None:  # fmt: skip
    """List the functions of the house by their latest versions."""
    async with session.node() as node:
        records = await list_definitions(node.reader_pool, session.tenant, types=("function",))
    found = [one for one in map(_readable, records) if one is not None]
    shown = sorted((f for f in found if kernels or not f.is_kernel), key=lambda f: f.name)
    columns = [
        Column(title=_NAME), Column(title=_VERSION, right=True), Column(title=_RUNTIME),
        Column(title=_STATE), Column(title=_ABOUT, grows=True, width_min=60),
    ]  # fmt: skip
    rows = [(f.name, f.seq, f.runtime, _state(session, f), f.description) for f in shown]
    session.answer(
        {"tenant": session.tenant, "functions": [_document(f) for f in shown]},
        lambda: (
            table(columns, rows, language=session.language, width=session.width)
            if rows
            else session.text(_NONE)
        ),
    )


async def show_function(
    session: Session,
    name: Annotated[str, Text("o nome, outro por que responde, ou o id", "the name, another that it answers to, or the id")],
    /,
    *,
    seq: Annotated[int | None, Text("esta versão, não a última", "this version, not the latest")] = None,
    code: Annotated[bool, Parameter(negative="--no-code"), Text("mostra o código", "show the code")] = True,
) -> None:  # fmt: skip
    """Show one version of a function."""
    async with session.node() as node:
        function = await _version(session, node, name, seq)
    document = record_document(function.record, session.language)
    if not code:
        document.pop("code", None)
    session.answer(document, lambda: _page(session, function, with_code=code))


async def diff_function(
    session: Session,
    name: Annotated[str, Text("o nome da função", "the function's name")],
    before: Annotated[int | None, Text("a versão de antes; a penúltima", "the version before; the last but one")] = None,
    after: Annotated[int | None, Text("a versão de depois; a última", "the version after; the latest")] = None,
    /,
) -> None:  # fmt: skip
    """Show what changed between two versions."""
    async with session.node() as node:
        new = await _version(session, node, name, after)
        old = await _version(session, node, name, max(0, new.seq - 1) if before is None else before)
    difference = compare(old.record, new.record)
    document = {
        "name": new.name, "before": old.seq, "after": new.seq,
        "declared": {n: {"before": a, "after": b} for n, (a, b) in difference.declared.items()},
        "lines": list(difference.lines),
    }  # fmt: skip

    def human() -> Any:
        told: list[Any] = [
            styled((f"{n}: ", "dim"), (_short(a), "red"), (" → ", "dim"), (_short(b), "green"))
            for n, (a, b) in difference.declared.items()
        ]
        told += [Styled(plain(line), style=_line_style(line)) for line in difference.lines]
        return Group(*told) if told else session.text(_NO_CHANGE)

    session.answer(document, human)


async def disable_function(
    session: Session,
    name: Annotated[str, Text("o nome da função", "the function's name")],
    /,
    *,
    reason: Annotated[str | None, Text("porquê", "why")] = None,
) -> None:
    """Pause a function; a repeat changes nothing."""
    await _pause(session, name, is_paused=True, reason=reason)


async def enable_function(
    session: Session,
    name: Annotated[str, Text("o nome da função", "the function's name")],
    /,
) -> None:
    """Resume a paused function; a repeat changes nothing."""
    await _pause(session, name, is_paused=False, reason=None)


async def show_logs(
    session: Session,
    name: Annotated[str, Text("o nome da função", "the function's name")],
    /,
    *,
    limit: Annotated[int, Text("de quantas execuções", "of how many runs")] = 20,
) -> None:
    """Show what the newest runs of a function logged, oldest run first."""
    async with session.node() as node:
        function = await find_function(node.reader_pool, session.tenant, name)
        runs = await read_logs(node.reader_pool, session.tenant, function.id, limit=max(1, limit))
    document = {
        "name": function.name,
        "runs": [
            {
                "id": str(run.head.id), "status": run.head.status, "attempt": run.head.attempt,
                "duration_ms": run.head.duration_ms, "error": run.head.error,
                "lines": [msgspec.to_builtins(line) for line in run.lines],
            }
            for run in runs
        ],
    }  # fmt: skip
    session.answer(document, lambda: _logs(session, runs) if runs else session.text(_NO_RUNS))


async def _pause(session: Session, name: str, *, is_paused: bool, reason: str | None) -> None:
    async with session.node() as node:
        await node.genesis(session.tenant)
        function = await find_function(node.reader_pool, session.tenant, name)
        record, is_new = await set_pause(
            node.writer, session.tenant, function.id, who=session.actor, is_paused=is_paused,
            reason=reason,
        )  # fmt: skip
    told = _PAUSED if is_paused else _RESUMED
    document = {**_document(function_of(record)), "is_new": is_new}
    session.answer(document, session.text(told, name=function.name))


async def _version(session: Session, node: Node, name: str, seq: int | None) -> Function:
    function = await find_function(node.reader_pool, session.tenant, name)
    if seq is None or seq == function.seq:
        return function
    if seq < 0 or seq > function.seq:
        raise NotFound(what="function", which=f"{name} seq {seq}")
    reader = node.reader(tenant=session.tenant, actor=session.actor)
    return function_of(await reader.get(function.id, seq=seq))


def read_file(file: Path) -> str:
    """Read a source file, or standard input for `-`."""
    try:
        data = sys.stdin.buffer.read(_FILE_BYTES_MAX) if str(file) == "-" else file.read_bytes()
        return data.decode()
    except FileNotFoundError as cause:
        raise NotFound(what=_FILE, which=str(file)) from cause
    except UnicodeDecodeError as cause:
        raise InvalidInput(field="file", shape=shape_of(file.name), reason=_UTF8) from cause


def _readable(record: Record) -> Function | None:
    try:
        return function_of(record)
    except InvalidInput:
        return None


def _document(function: Function) -> dict[str, Any]:
    record = function.record
    return {
        "name": function.name, "id": str(function.id), "seq": function.seq, "hash": function.hash,
        "code_hash": function.code_hash, "language": function.language,
        "runtime": function.runtime, "version": function.version, "aliases": function.aliases,
        "effects": function.effects, "queue": function.queue, "timeout_ms": function.timeout_ms,
        "max_attempts": function.max_attempts, "visibility": function.visibility,
        "kernel": function.is_kernel, "scheduled": function.is_scheduled,
        "paused": function.paused, "status": record.status, "who": record.who,
        "description": function.description, "position": record.position,
    }  # fmt: skip


def _state(session: Session, function: Function) -> Styled:
    if function.paused is not None:
        return Styled(session.text(_IS_PAUSED), style="yellow")
    return status_text(function.record.status, session.language)


def _page(session: Session, function: Function, *, with_code: bool) -> Group:
    record = function.record
    pairs: list[tuple[str, Any]] = [
        (session.text(_NAME), function.name), (session.text(_ABOUT), function.description),
        (session.text(_STATE), _state(session, function)),
        (session.text(_VERSION), f"seq {function.seq}  {function.version or ''}"),
        (session.text(_RUNTIME), f"{function.language}, {function.runtime}"),
        (session.text(_ALIASES), ", ".join(function.aliases)),
        (session.text(_EFFECTS), ", ".join(function.effects)),
        (session.text(_QUEUE), function.queue), ("timeout_ms", function.timeout_ms),
        ("max_attempts", function.max_attempts), ("id", function.id),
        ("code_hash", function.code_hash),
        (session.text(_BY), f"{record.who}, {local_time(record.at, session.settings.zone)}"),
        (session.text(_PAUSE), (function.paused or {}).get("reason")),
    ]  # fmt: skip
    shown: list[Any] = [facts((n, v) for n, v in pairs if v not in (None, ""))]
    if with_code:
        source = plain(function.source) if "\x1b" in function.source else function.source
        shown += [Styled(), Syntax(source, function.language, theme="ansi_dark", word_wrap=True)]
    return Group(*shown)


def _logs(session: Session, runs: list[Run]) -> Group:
    told: list[Any] = []
    zone = session.settings.zone
    for run in runs:
        head = styled((f"{str(run.head.id)[:13]}  ", "dim"))
        head.append_text(status_text(run.head.status, session.language))
        if run.head.error is not None:
            head.append(f"  {one_line(_short(run.head.error))}", style="red")
        told.append(head)
        for line in run.lines:
            fields = " ".join(f"{name}={_short(value)}" for name, value in line.fields.items())
            told.append(
                styled(
                    (f"  {local_time(line.at, zone)}  ", "dim"), (one_line(line.text), ""),
                    (f"  {one_line(fields)}" if fields else "", "cyan"),
                )
            )  # fmt: skip
    return Group(*told)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return one_line(text if len(text) <= 200 else text[:199] + "…")


def _line_style(line: str) -> str:
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


_PUSHED: Final = Text("✓ {name} está publicada, seq {seq}", "✓ {name} is published, seq {seq}")
_SAME: Final = Text(
    "✓ {name} já era assim (seq {seq})", "✓ {name} was like this already (seq {seq})"
)
_CHECKED: Final = Text("✓ {name} pode ser publicada", "✓ {name} may be published")
_STILL_PAUSED: Final = Text(
    "{name} continua em pausa; `logline fn enable {name}` retoma-a",
    "{name} is still paused; `logline fn enable {name}` resumes it",
)
_NOT_TRUSTED: Final = Text(
    "{name} não corre enquanto a casa não confiar na chave: `logline manifest trust {key}`",
    "{name} does not run until the house trusts the key: `logline manifest trust {key}`",
)
_PAUSED: Final = Text("{name} está em pausa", "{name} is paused")
_RESUMED: Final = Text("{name} está retomada", "{name} is resumed")
_NO_CHANGE: Final = Text("nada mudou", "nothing changed")
_NO_RUNS: Final = Text("ainda não correu", "it has not run yet")
_NONE: Final = Text(
    "ainda não há funções; `logline fn push FICHEIRO.py` publica uma",
    "there is no function yet; `logline fn push FILE.py` publishes one",
)
_FILE: Final = Text("o ficheiro", "file")
_UTF8: Final = Text("não é texto UTF-8", "is no UTF-8 text")
_NAME: Final = Text("nome", "name")
_VERSION: Final = Text("versão", "version")
_RUNTIME: Final = Text("corre", "runs")
_STATE: Final = Text("estado", "state")
_ABOUT: Final = Text("o que faz", "what it does")
_ALIASES: Final = Text("também", "also called")
_EFFECTS: Final = Text("efeitos", "effects")
_QUEUE: Final = Text("fila", "queue")
_BY: Final = Text("publicada por", "published by")
_PAUSE: Final = Text("em pausa porque", "paused because")
_IS_PAUSED: Final = Text("em pausa", "paused")
