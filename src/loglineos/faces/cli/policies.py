"""`logline policy`: publishing policies, seeing where they stand, trying them on the past, pausing."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.console import Group
from rich.syntax import Syntax
from rich.text import Text as Styled

from loglineos.base.errors import InvalidInput, NotFound
from loglineos.base.language import Text
from loglineos.engine import open_engine
from loglineos.faces.cli.entities import reader_of
from loglineos.faces.cli.functions import read_file
from loglineos.faces.cli.own_key import open_own_key
from loglineos.faces.cli.records import record_document
from loglineos.faces.cli.render import local_time, plain
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, facts, table
from loglineos.ledger.record import Record
from loglineos.node import Node
from loglineos.runtime.checking import checker
from loglineos.runtime.definitions import list_definitions
from loglineos.runtime.following import Lag, Log
from loglineos.runtime.functions import Function, as_said, function_of
from loglineos.runtime.header import read_source
from loglineos.runtime.policy.policies import state_of
from loglineos.runtime.publishing import amended, push, set_pause

_SHOWN_MAX: Final = 20
_EXAMPLES_MAX: Final = 100


async def push_policy(
    session: Session,
    file: Annotated[Path, Text("o ficheiro: .py ou .js", "the file: .py or .js")],
    /,
    *,
    name: Annotated[str | None, Text("o nome, em vez do que o ficheiro diz", "the name, in place of what the file says")] = None,
    check: Annotated[bool, Parameter(negative=()), Text("só confere; não publica nada", "only check; publish nothing")] = False,
    key: Annotated[Path | None, Text("assina com a chave própria deste ficheiro (com --actor)", "sign with the own key in this file (with --actor)")] = None,
) -> None:  # fmt: skip
    """Read a file, try it in its engine, and publish it as the next version of a policy."""
    source = read_source(read_file(file), filename=file.name, kind="policy", name=name)
    signer = open_own_key(session, key) if key is not None else None
    async with session.node() as node, open_engine(node) as engine:
        checking = checker(engine.laws, engine.runners, session.tenant)
        if check:
            warnings = tuple(await checking(source))
            document: dict[str, Any] = {
                "name": source.name,
                "checked": True,
                "code_hash": source.code_hash,
            }
            told, seq = _CHECKED, None
        else:
            done = await push(
                node.writer, session.tenant, source, who=session.actor, check=checking, key=signer
            )
            warnings, seq = done.warnings, done.record.seq
            document = {**_document(function_of(done.record)), "is_new": done.is_new}
            told = _PUSHED if done.is_new else _SAME
    document["warnings"] = [session.text(one) for one in warnings]
    session.answer(document, session.text(told, name=source.name, seq=seq))
    for one in warnings:
        session.note(one)


async def list_policies(session: Session) -> None:
    """List the policies of the house with their state and how far behind the log they are."""
    async with session.node() as node:
        functions = await _policies(session, node)
        lags = await _lags(session, node)
    columns = [
        Column(title=_NAME), Column(title=_VERSION, right=True), Column(title=_STATE),
        Column(title=_BEHIND, right=True), Column(title=_ABOUT, grows=True, width_min=60),
    ]  # fmt: skip
    rows = [
        (f.name, f.seq, _state(session, f), _behind(lags.get(str(f.id))), f.description)
        for f in functions
    ]
    session.answer(
        {
            "tenant": session.tenant,
            "policies": [{**_document(f), **_place(lags.get(str(f.id)))} for f in functions],
        },
        lambda: (
            table(columns, rows, language=session.language, width=session.width)
            if rows
            else session.text(_NONE)
        ),
    )


async def show_policy(
    session: Session,
    name: Annotated[str, Text("o nome da política, ou o id", "the policy's name, or its id")],
    /,
    *,
    code: Annotated[bool, Parameter(negative="--no-code"), Text("mostra o código", "show the code")] = True,
) -> None:  # fmt: skip
    """Show one policy: what it is shown, where it stands, why it rests, its code."""
    async with session.node() as node:
        function = await find_policy(session, node, name)
        lag = (await _lags(session, node)).get(str(function.id))
    document = {
        **record_document(function.record, session.language),
        "state": state_of(function),
        **_place(lag),
    }
    if not code:
        document.pop("code", None)
    session.answer(document, lambda: _page(session, function, lag, with_code=code))


async def pause_policy(
    session: Session,
    name: Annotated[str, Text("o nome da política", "the policy's name")],
    /,
    *,
    reason: Annotated[str | None, Text("porquê", "why")] = None,
) -> None:
    """Pause a policy: what comes meanwhile waits for it. A repeat changes nothing."""
    async with session.node() as node:
        function = await find_policy(session, node, name)
        record, is_new = await set_pause(
            node.writer,
            session.tenant,
            function.id,
            who=session.actor,
            is_paused=True,
            reason=reason,
        )
    _tell(session, record, _PAUSED, is_new=is_new)


async def resume_policy(
    session: Session,
    name: Annotated[str, Text("o nome da política", "the policy's name")],
    /,
    *,
    from_now: Annotated[bool, Parameter(negative=()), Text("passa por cima do que entretanto aconteceu", "pass over what happened meanwhile")] = False,
) -> None:  # fmt: skip
    """Resume a policy that is paused or quarantined: it goes on where it stood."""
    async with session.node() as node:
        function = await find_policy(session, node, name)
        if from_now:
            size = (await reader_of(session, node).head()).size
            record = await _amend(
                session, node, function, "resume", paused=None, quarantined=None, begins=size
            )
            is_new = True
        else:
            record, is_new = await set_pause(
                node.writer,
                session.tenant,
                function.id,
                who=session.actor,
                is_paused=False,
                reason=None,
            )
    _tell(session, record, _RESUMED, is_new=is_new)


async def quarantine_policy(
    session: Session,
    name: Annotated[str, Text("o nome da política", "the policy's name")],
    /,
    *,
    reason: Annotated[str, Text("porquê", "why")],
) -> None:
    """Put a policy away until a new version of it is published, or somebody resumes it."""
    async with session.node() as node:
        function = await find_policy(session, node, name)
        told = {
            "reason": reason,
            "by": session.actor,
            "at": node.clock.now().isoformat(timespec="seconds"),
        }
        record = await _amend(session, node, function, "quarantine", quarantined=told)
    _tell(session, record, _QUARANTINED, is_new=True)


async def _amend(
    session: Session, node: Node, function: Function, did: str, **changes: Any
) -> Record:
    draft = amended(function.record, who=session.actor, did=did, **changes)
    (record,) = await node.writer.append(
        [draft], tenant=session.tenant, key=node.keyring.key("node")
    )
    return record


async def _policies(session: Session, node: Node) -> list[Function]:
    records = await list_definitions(node.reader_pool, session.tenant, types=("policy",))
    found = []
    for record in records:
        try:
            found.append(function_of(record))
        except InvalidInput:
            continue
    return sorted(found, key=lambda function: function.name)


async def find_policy(session: Session, node: Node, which: str) -> Function:
    """Return the policy that a person means, by name, alias or id; NotFound: none."""
    said = as_said(which)
    for function in await _policies(session, node):
        alias = (function.record.metadata or {}).get("alias")
        if said in function.said_names or which in (str(function.id), alias):
            return function
    raise NotFound(what=_POLICY, which=which[:80])


async def _lags(session: Session, node: Node) -> dict[str, Lag]:
    lags = await Log(node.reader_pool).lags(session.tenant)
    return {lag.name.removeprefix("policy/"): lag for lag in lags}


def _tell(session: Session, record: Record, text: Text, *, is_new: bool) -> None:
    document = {**_document(function_of(record)), "is_new": is_new}
    session.answer(document, session.text(text, name=record.name))


def _document(function: Function) -> dict[str, Any]:
    record, metadata = function.record, function.record.metadata or {}
    return {
        "name": function.name, "id": str(function.id), "seq": function.seq, "hash": function.hash,
        "code_hash": function.code_hash, "language": function.language, "state": state_of(function),
        "effects": function.effects, "shows": metadata.get("shows"), "needs": metadata.get("needs"),
        "on_tick": metadata.get("on_tick", False), "paused": function.paused,
        "quarantined": function.quarantined, "status": record.status, "who": record.who,
        "description": function.description, "position": record.position,
    }  # fmt: skip


def _place(lag: Lag | None) -> dict[str, Any]:
    return {
        "at": None if lag is None else lag.position,
        "behind": None if lag is None else lag.behind,
    }


def _behind(lag: Lag | None) -> str | None:
    return None if lag is None else str(lag.behind)


def _state(session: Session, function: Function) -> Styled:
    state = state_of(function)
    style = {"active": "green", "paused": "yellow", "quarantined": "bold red"}.get(state, "dim")
    return Styled(session.text(_STATES[state]), style=style)


def _page(session: Session, function: Function, lag: Lag | None, *, with_code: bool) -> Group:
    record, metadata = function.record, function.record.metadata or {}
    rests = function.quarantined or function.paused or {}
    pairs: list[tuple[str, Any]] = [
        (session.text(_NAME), function.name), (session.text(_ABOUT), function.description),
        (session.text(_STATE), _state(session, function)), (session.text(_WHY), rests.get("reason")),
        (session.text(_VERSION), f"seq {function.seq}  {function.version or ''}"),
        (session.text(_SHOWS), metadata.get("shows")), (session.text(_NEEDS), metadata.get("needs")),
        (session.text(_EFFECTS), ", ".join(function.effects)), (session.text(_BEHIND), _behind(lag)),
        ("id", function.id), (session.text(_ALIASES), ", ".join(function.aliases)),
        ("code_hash", function.code_hash),
        (session.text(_BY), f"{record.who}, {local_time(record.at, session.settings.zone)}"),
    ]  # fmt: skip
    shown: list[Any] = [facts((n, v) for n, v in pairs if v not in (None, ""))]
    if with_code:
        source = plain(function.source) if "\x1b" in function.source else function.source
        shown += [Styled(), Syntax(source, function.language, theme="ansi_dark", word_wrap=True)]
    return Group(*shown)


_STATES: Final[dict[str, Text]] = {
    "active": Text("ativa", "active"), "paused": Text("em pausa", "paused"),
    "quarantined": Text("de quarentena", "quarantined"), "withdrawn": Text("retirada", "withdrawn"),
}  # fmt: skip
_PUSHED: Final = Text(
    "✓ a política {name} está publicada, seq {seq}", "✓ the policy {name} is published, seq {seq}"
)
_SAME: Final = Text(
    "✓ a política {name} já era assim (seq {seq})",
    "✓ the policy {name} was like this already (seq {seq})",
)
_CHECKED: Final = Text(
    "✓ a política {name} pode ser publicada", "✓ the policy {name} may be published"
)
_PAUSED: Final = Text("a política {name} está em pausa", "the policy {name} is paused")
_RESUMED: Final = Text("a política {name} está retomada", "the policy {name} is resumed")
_QUARANTINED: Final = Text(
    "a política {name} está de quarentena", "the policy {name} is quarantined"
)
_NONE: Final = Text(
    "ainda não há políticas; `logline policy push FICHEIRO.py` publica uma",
    "there is no policy yet; `logline policy push FILE.py` publishes one",
)
_POLICY: Final = Text("a política", "policy")
_NAME: Final = Text("nome", "name")
_VERSION: Final = Text("versão", "version")
_STATE: Final = Text("estado", "state")
_BEHIND: Final = Text("por ver", "behind")
_ABOUT: Final = Text("o que faz", "what it does")
_WHY: Final = Text("porquê", "why")
_SHOWS: Final = Text("mostra-se-lhe", "is shown")
_NEEDS: Final = Text("a cada minuto", "each minute")
_EFFECTS: Final = Text("efeitos", "effects")
_ALIASES: Final = Text("também", "also called")
_BY: Final = Text("publicada por", "published by")
