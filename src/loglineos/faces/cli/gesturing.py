"""Gestures on a record: complete, confirm, question, deny, revert, ratify, annotate."""

from __future__ import annotations

from typing import Annotated, Any, Final

from loglineos.base.clock import SystemClock, rfc3339
from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.faces.cli.adding import tell_record
from loglineos.faces.cli.entities import find
from loglineos.faces.cli.prompts import ask_line, require_yes
from loglineos.faces.cli.records import missing_of, sentence_of
from loglineos.faces.cli.session import Session
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.intake.cells import cell_value
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.record import Record
from loglineos.ledger.status import GESTURES, allowed_actions, check_gesture
from loglineos.node import Node

_ID: Final = Text("id, começo dele (6 dígitos) ou posição (@12)",
                  "id, its beginning (6 digits) or position (@12)")  # fmt: skip
_NOTE: Final = Text("uma nota que fica com o gesto", "a note that stays with the gesture")
_YES: Final = Text("sem perguntar", "without asking")

Which = Annotated[str, _ID]
Note = Annotated[str | None, _NOTE]
Yes = Annotated[bool, _YES]


async def confirm(session: Session, which: Which, /, *, note: Note = None) -> None:
    """Be the witness that it is so."""
    await _make(session, "confirm", which, note=note)


async def question(session: Session, which: Which, /, *, note: Note = None) -> None:
    """Put in doubt."""
    await _make(session, "question", which, note=note)


async def deny(session: Session, which: Which, /, *, note: Note = None, yes: Yes = False) -> None:
    """Say that it is not so."""
    await _make(session, "deny", which, note=note, yes=yes)


async def revert(session: Session, which: Which, /, *, note: Note = None, yes: Yes = False) -> None:
    """Undo by a new line."""
    await _make(session, "revert", which, note=note, yes=yes)


async def ratify(session: Session, which: Which, /, *, note: Note = None, yes: Yes = False) -> None:
    """Confirm for good."""
    await _make(session, "ratify", which, note=note, yes=yes)


async def annotate(
    session: Session,
    which: Which,
    text: Annotated[str | None, Text("a nota", "the note")] = None,
    /,
    *,
    note: Annotated[str | None, Text("a nota, como opção", "the note, as an option")] = None,
) -> None:
    """Add a note; the status stays."""
    await _make(session, "annotate", which, note=text or note)


async def complete(
    session: Session,
    which: Which,
    /,
    *fields: Annotated[str, Text("campo=valor, p. ex. confirmed_by=Ana",
                                 "field=value, e.g. confirmed_by=Ana")],
    note: Note = None,
) -> None:  # fmt: skip
    """Say what a ghost was missing; on a terminal without fields, be asked for each."""
    given = [_pair(session, field) for field in fields]
    async with session.node() as node:
        head = await find(session, node, which)
        check_gesture("complete", head.status)
        named = dict(given) if given else _ask(session, head)
        record = await make_gesture(
            node.writer, "complete", head.id, tenant=session.tenant, by=session.actor, note=note,
            fields=named, expected_seq=head.seq,
        )  # fmt: skip
    tell_record(session, record)


async def _make(
    session: Session, gesture: str, which: str, *, note: str | None, yes: bool = False
) -> None:
    async with session.node() as node:
        head = await find(session, node, which)
        check_gesture(gesture, head.status)
        if GESTURES[gesture].heavy:
            require_yes(session, _consequence(session, head, gesture), yes=yes)
        record = await _appended(session, node, gesture, head, note)
    tell_record(session, record)


async def _appended(
    session: Session, node: Node, gesture: str, head: Record, note: str | None
) -> Record:
    return await make_gesture(
        node.writer, gesture, head.id, tenant=session.tenant, by=session.actor, note=note,
        expected_seq=head.seq,
    )  # fmt: skip


def _consequence(session: Session, head: Record, gesture: str) -> Text:
    """Say what a heavy gesture means for this record: the status, and what the record promised."""
    action = next(a for a in allowed_actions(head, session.language) if a.gesture == gesture)
    about = GESTURES[gesture].about
    follows = action.consequence or "—"
    told = sentence_of(head).plain
    return Text(
        f"{GESTURES[gesture].label.pt} «{told}»: {about.pt}. O estado passa de {head.status} a "
        f"{action.to}; o que segue: {follows}.",
        f"{GESTURES[gesture].label.en} “{told}”: {about.en}. The status goes from {head.status} to "
        f"{action.to}; what follows: {follows}.",
    )


def _ask(session: Session, head: Record) -> dict[str, Any]:
    missing = missing_of(head)
    if not session.is_interactive or not missing:
        wanted = " ".join(f"{name}=…" for name in missing)
        raise InvalidInput(
            field="fields", shape="null", reason=_NO_FIELDS,
            remedy=Text(f"diga: {wanted}", f"say: {wanted}"),
        )  # fmt: skip
    session.err.print(sentence_of(head))
    named: dict[str, Any] = {}
    for name in missing:
        text = ask_line(session, name)
        if text:
            named.update([_pair(session, f"{name}={text}")])
    if not named:
        raise InvalidInput(field="fields", shape="null", reason=_NO_FIELDS)
    return named


def _pair(session: Session, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name:
        raise InvalidInput(field="fields", shape=shape_of(text), reason=_PAIR)
    if name not in ("when", "run_at", "lease_until"):
        return name, cell_value(name, value)
    moment = instant_of(value, now=SystemClock().now(), zone=session.settings.zone, field=name)
    return name, moment if name == "when" else rfc3339(moment)


_NO_FIELDS: Final = Text("não se disse nenhum campo", "no field was said")
_PAIR: Final = Text("escreva campo=valor", "write field=value")
