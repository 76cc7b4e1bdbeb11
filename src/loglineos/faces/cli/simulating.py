"""`logline simulate`: a period told again, as it is, or beside a change of the law."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter
from rich.console import Group
from rich.text import Text as Styled

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.engine import open_engine
from loglineos.faces.cli.functions import read_file
from loglineos.faces.cli.house import scenario_start
from loglineos.faces.cli.progress import counting
from loglineos.faces.cli.render import local_time, one_line, status_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, facts, table
from loglineos.ledger.intake.formats import read_items
from loglineos.ledger.intake.intake import drafts_of
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import Draft
from loglineos.node import Node
from loglineos.runtime.header import Source
from loglineos.services.scenario import generate_casa
from loglineos.services.simulation.account import Account, Comparison, Difference, Only, Side
from loglineos.services.simulation.inputs import Period, past_of, period_of
from loglineos.services.simulation.law import Law, read_change
from loglineos.services.simulation.simulation import ANSWERS, AnswerWord, SimulationSettings

SCENARIOS: Final = ("casa",)
LINES_A_DAY: Final = 100
_SINCE: Final = "30d"
_SHOWN: Final = 20
_PARTS: Final = 100
Files = Annotated[tuple[Path, ...], Parameter(name="--with", negative=())]


async def simulate(
    session: Session,
    *,
    since: Annotated[str | None, Text("desde quando: data, hora, 2h, 30d (sem mais nada: 30d)", "since when: date, time, 2h, 30d (with nothing else: 30d)")] = None,
    until: Annotated[str | None, Text("até quando (exclusive)", "until when (exclusive)")] = None,
    scenario: Annotated[str | None, Text("em vez do passado, dias inventados: casa", "in place of the past, made-up days: casa")] = None,
    days: Annotated[int, Text("quantos dias do cenário", "how many days of the scenario")] = 30,
    seed: Annotated[int, Text("fixa o acaso, do cenário e da simulação", "fixes chance, the scenario's and the simulation's")] = 7,
    from_: Annotated[Path | None, Text("em vez do passado, um ficheiro de linhas JSON", "in place of the past, a file of JSON lines")] = None,
    with_: Annotated[Files, Text("uma função ou política (.py, .js) que entra em vigor: compara", "a function or policy (.py, .js) put in force: compares")] = (),
    answer: Annotated[str, Text("o que se responde ao que ninguém respondeu: yes, no ou none", "what is answered where nobody did: yes, no or none")] = "none",
    keep: Annotated[bool, Parameter(negative=()), Text("deixa na fila o que fica à espera", "leave in the queue what still waits")] = False,
) -> int | None:  # fmt: skip
    """Tell a period again in a scratch tenant; 1 when it had to end early."""
    if answer not in ANSWERS:
        raise UnknownName(field="--answer", shape=repr(answer)[:40], known=", ".join(ANSWERS))
    if scenario is not None and scenario not in SCENARIOS:
        raise UnknownName(field="--scenario", shape=repr(scenario)[:40], known=", ".join(SCENARIOS))
    if scenario is not None and from_ is not None:
        raise InvalidInput(field="--from", shape=shape_of(str(from_)), reason=_ONE_SOURCE)
    changes = [read_change(read_file(path), filename=path.name) for path in with_]
    word: AnswerWord = "yes" if answer == "yes" else "no" if answer == "no" else "none"
    settings = SimulationSettings(seed=seed, answer=word, keeps_waiting=keep)
    async with session.node() as node, open_engine(node) as engine:
        simulation = await engine.simulation(session.tenant, settings=settings)
        asked = _Asked(session, node, simulation.law, since=since, until=until)
        if from_ is not None:
            period = asked.of_file(from_)
        elif scenario is not None:
            period = asked.of_scenario(days=days, seed=seed)
        else:
            period = await asked.of_past()
        with counting(session, _SIMULATING, total=_PARTS) as counter:

            def tell(done: float) -> None:
                counter.to(round(done * _PARTS), _PARTS)

            compared = account = None
            if changes:
                compared = await simulation.compare(period, changes, on_progress=tell)
            else:
                account = await simulation.run(period, on_progress=tell)
    for name in simulation.law.refused:
        session.warn(_REFUSED_LAW, name=one_line(name))
    if compared is not None:
        document = _compared_document(period, compared)
        session.answer(document, lambda: _comparison(session, period, compared, changes))
        is_cut = compared.as_is.cut is not None or compared.changed.cut is not None
    else:
        assert account is not None
        session.answer(_document(period, account), lambda: _account(session, period, account))
        is_cut = account.cut is not None
    return 1 if is_cut else None


class _Asked:
    """The period that is asked for."""

    def __init__(
        self, session: Session, node: Node, law: Law, *, since: str | None, until: str | None
    ) -> None:
        self._session = session
        self._node = node
        self._law = law
        self._now = node.clock.now()
        self._since = self._instant(since, "--since")
        self._until = self._instant(until, "--until")

    def _instant(self, told: str | None, field: str) -> datetime | None:
        if told is None:
            return None
        return instant_of(told, now=self._now, zone=self._session.settings.zone, field=field)

    async def of_past(self) -> Period:
        """Read the tenant's own past."""
        since = self._since or self._instant(_SINCE, "--since") or self._now
        return await past_of(
            self._node.reader_pool, self._session.tenant, since=since,
            until=self._until or self._now, named=self._law.has,
        )  # fmt: skip

    def of_scenario(self, *, days: int, seed: int) -> Period:
        """Make up days of the example house."""
        zone = self._session.settings.zone
        start = self._since or scenario_start(zone, days=max(1, days))
        drafts = generate_casa(
            days=days, seed=seed, lines=LINES_A_DAY * max(1, days), start=start,
            tenant=self._session.tenant,
        )  # fmt: skip
        return self._of(drafts, "scenario casa", since=start, until=start + timedelta(days=days))

    def of_file(self, path: Path) -> Period:
        """Read a file of JSON lines."""
        return self._of(self._lines(path), path.name)

    def _lines(self, path: Path) -> Iterator[Draft]:
        with path.open("rb") as stream:
            items = read_items(stream, format="jsonl")
            for _, draft in drafts_of(items, tenant=self._session.tenant, source=path.name):
                yield draft

    def _of(
        self, drafts: Iterable[Draft], source: str, *, since: datetime | None = None,
        until: datetime | None = None,
    ) -> Period:  # fmt: skip
        return period_of(
            drafts, tenant=self._session.tenant, source=source, named=self._law.has,
            since=self._since or since, until=self._until or until,
        )  # fmt: skip


def _document(period: Period, account: Account) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(account)
    del told["said"]
    return {"source": period.source, "standing": len(period.standing), **told}


def _compared_document(period: Period, compared: Comparison) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(compared)
    told["as_is"] = _document(period, compared.as_is)
    told["changed"] = _document(period, compared.changed)
    return {"is_same": compared.is_same, **told}


def _account(session: Session, period: Period, account: Account) -> Group:
    told: list[Any] = [
        _heading(session, period, [account.scratch]),
        facts((session.text(name), value) for name, value in _figures(account)),
        *_ends(session, account),
        *_counts(session, account),
        *_cut(session, [account]),
    ]
    return Group(*told)


def _comparison(
    session: Session, period: Period, compared: Comparison, changes: Sequence[Source]
) -> Group:
    sides = [compared.as_is, compared.changed]
    told: list[Any] = [
        _heading(session, period, [one.scratch for one in sides]),
        styled((session.text(_CHANGES, names=", ".join(one.name for one in changes)), "dim")),
    ]
    figures = zip(_figures(compared.as_is), _figures(compared.changed), strict=True)
    rows = [(session.text(name), left, right) for (name, left), (_, right) in figures]
    columns = [
        Column(title=_NOTHING), Column(title=_SIDES["as_is"], right=True),
        Column(title=_SIDES["changed"], right=True),
    ]  # fmt: skip
    told.append(table(columns, rows, language=session.language, width=session.width))
    if compared.is_same:
        told += ["", styled((session.text(_SAME), "bold green"))]
        return Group(*told, *_cut(session, sides))
    for title, differences in ((_BY_END, compared.ends), (_BY_ACT, compared.counts)):
        told += _differences(session, title, differences)
    shown = compared.only[:_SHOWN]
    words = {"as_is": compared.only_as_is, "changed": compared.only_changed}
    told += ["", styled((session.text(_ONLY, **words), "bold"))]
    told += [_only(session, one) for one in shown]
    if len(compared.only) > len(shown):
        told.append(styled((session.text(_MORE, count=len(compared.only) - len(shown)), "dim")))
    return Group(*told, *_cut(session, sides))


def _heading(session: Session, period: Period, scratches: Sequence[str]) -> Styled:
    zone = session.settings.zone
    since, until = (local_time(one, zone)[:16] for one in (period.since, period.until))
    return styled(
        (f"{one_line(period.source)}  {since} … {until}", "bold"),
        (f"  → {', '.join(scratches)}", "dim"),
    )


def _figures(account: Account) -> list[tuple[Text, Any]]:
    simulated = ", ".join(f"{name} {count}" for name, count in account.simulated.items())
    return [
        (_TOLD, account.told), (_MADE, account.made), (_NOT_FITTING, account.refused),
        (_LEFT_OUT, account.left_out), (_ASKED, f"{account.questions} / {account.answered}"),
        (_WAITING, account.waiting), (_SIMULATED, simulated or "0"), (_DIGEST, account.digest[:16]),
    ]  # fmt: skip


def _ends(session: Session, account: Account) -> Iterator[Any]:
    if not account.ends:
        return
    columns = [
        Column(title=_FUNCTION, grows=True), Column(title=_END), Column(title=_HOW_MANY, right=True)
    ]  # fmt: skip
    rows = [
        (name, status_text(status, session.language), count)
        for name, statuses in account.ends.items()
        for status, count in statuses.items()
    ]
    yield ""
    yield table(columns, rows, language=session.language, width=session.width)


def _counts(session: Session, account: Account) -> Iterator[Any]:
    columns = [
        Column(title=_WHO, grows=True), Column(title=_DID, grows=True), Column(title=_END),
        Column(title=_HOW_MANY, right=True),
    ]  # fmt: skip
    rows = [
        (one.who, one.did, status_text(one.status, session.language), one.count)
        for one in account.counts[:_SHOWN]
    ]
    yield ""
    yield table(columns, rows, language=session.language, width=session.width)
    if len(account.counts) > _SHOWN:
        yield styled((session.text(_MORE, count=len(account.counts) - _SHOWN), "dim"))


def _differences(session: Session, title: Text, differences: Sequence[Difference]) -> Iterator[Any]:
    if not differences:
        return
    columns = [
        Column(title=title, grows=True), Column(title=_SIDES["as_is"], right=True),
        Column(title=_SIDES["changed"], right=True),
    ]  # fmt: skip
    rows = [(one.what, one.as_is, one.changed) for one in differences[:_SHOWN]]
    yield ""
    yield table(columns, rows, language=session.language, width=session.width)


def _only(session: Session, one: Only) -> Styled:
    sign, colour = ("-", "red") if one.side == "as_is" else ("+", "green")
    at = local_time(datetime.fromisoformat(one.first_at), session.settings.zone)[:16]
    said = one.record
    words = f"{said.who or '—'} · {said.did or '—'} · {said.this or '—'}"
    many = f"  x{one.count}" if one.count > 1 else ""
    return styled(
        (f"{sign} {at}  ", colour), (one_line(words), ""),
        (f"  {one_line(said.status or '')}{many}", "dim"),
    )  # fmt: skip


def _cut(session: Session, accounts: Sequence[Account]) -> Iterator[Styled]:
    for one in accounts:
        if one.cut is not None:
            at = local_time(datetime.fromisoformat(one.cut), session.settings.zone)
            yield styled((session.text(_WAS_CUT, scratch=one.scratch, at=at), "bold red"))


_SIDES: Final[dict[Side, Text]] = {
    "as_is": Text("como está", "as it is"), "changed": Text("com a mudança", "with the change"),
}  # fmt: skip
_ONE_SOURCE: Final = Text(
    "dê --scenario ou --from, não os dois", "give --scenario or --from, not both"
)
_SIMULATING: Final = Text("a simular", "simulating")
_NOTHING: Final = Text("", "")
_CHANGES: Final = Text("em vigor com a mudança: {names}", "in force with the change: {names}")
_TOLD: Final = Text("contados, de fora", "told, from outside")
_MADE: Final = Text("feitos pela casa", "made by the house")
_NOT_FITTING: Final = Text("já não cabiam", "did not fit any more")
_LEFT_OUT: Final = Text("deixados de fora", "left out")
_ASKED: Final = Text("perguntas / respostas", "questions / answers")
_WAITING: Final = Text("à espera no fim", "waiting at the end")
_SIMULATED: Final = Text("efeitos simulados", "simulated effects")
_DIGEST: Final = Text("resumo", "digest")
_FUNCTION: Final = Text("função", "function")
_END: Final = Text("estado", "status")
_HOW_MANY: Final = Text("quantos", "count")
_WHO: Final = Text("quem", "who")
_DID: Final = Text("o que fez", "did")
_BY_END: Final = Text("execuções que diferem", "executions that differ")
_BY_ACT: Final = Text("registos que diferem", "records that differ")
_SAME: Final = Text("a mudança não muda nada", "the change changes nothing")
_ONLY: Final = Text(
    "só como está: {as_is} · só com a mudança: {changed}",
    "only as it is: {as_is} · only with the change: {changed}",
)
_MORE: Final = Text("… e mais {count}; --json tem-nos", "… and {count} more; --json has them")
_WAS_CUT: Final = Text(
    "{scratch} acabou antes do fim, em {at}: um instante levou a mais do que pode",
    "{scratch} ended early, at {at}: one instant led to more than it may",
)
_REFUSED_LAW: Final = Text(
    "{name} não foi levada: a lei da casa não a passa",
    "{name} was not taken along: the law of the house does not pass it",
)
