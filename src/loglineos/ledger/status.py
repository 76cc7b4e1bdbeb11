"""The status machine: which statuses exist, which may follow which, and what people may do.

Three tables and nothing else decide: STATUSES, GESTURES (a person's act on a record) and MOVES
(what a machine may append next). `allowed_actions` joins a gesture with the consequence that the
record itself names. Always holds: a gesture that is allowed leads to a status of STATUSES.
"""

# ruff: noqa: E501 - one entry a line reads as a table
from __future__ import annotations

from typing import Final, Literal

import msgspec

from loglineos.base.errors import MoveNotAllowed, UnknownName
from loglineos.base.language import Language, Text
from loglineos.ledger.record import Record

Branch = Literal["ok", "doubt", "not"]

LAW: Final = frozenset({"manifest", "function", "policy", "prelude"})
"""Types that say what runs. A gesture on one would be its next version, signed by whoever made the
gesture, so there are none: `logline fn`, `logline policy` and `logline manifest` change them."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One status: its labels, what it means, and whether anything may still follow by itself."""

    label: Text
    about: Text
    phase: Literal["before", "under way", "decided"]


class Gesture(msgspec.Struct, frozen=True, kw_only=True):
    """One act of a person on a record. `to` is None when the status stays as it is."""

    label: Text
    about: Text
    frm: tuple[str, ...] | None
    to: str | None
    branch: Branch | None
    heavy: bool = False


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A gesture that this record allows now, with what follows from it."""

    gesture: str
    label: str
    to: str
    branch: Branch | None
    consequence: str | None
    heavy: bool


def _status(
    phase: Literal["before", "under way", "decided"], pt: str, en: str, about_pt: str, about_en: str
) -> Status:
    return Status(label=Text(pt, en), about=Text(about_pt, about_en), phase=phase)


# fmt: off
STATUSES: Final[dict[str, Status]] = {
    "draft": _status("before", "rascunho", "draft", "ainda não foi dito a ninguém", "not yet told to anyone"),
    "ghost": _status("before", "fantasma", "ghost", "falta-lhe algo; espera ser completado", "something is missing; waits to be completed"),
    "pending": _status("before", "pendente", "pending", "à espera de uma decisão", "waits for a decision"),
    "scheduled": _status("before", "agendado", "scheduled", "tem hora marcada", "has its time set"),
    "queued": _status("before", "em fila", "queued", "à espera de vez", "waits its turn"),
    "open": _status("under way", "aberto", "open", "caso aberto", "an open case"),
    "active": _status("under way", "ativo", "active", "em vigor", "in force"),
    "running": _status("under way", "em curso", "running", "está a ser feito", "being done"),
    "waiting": _status("under way", "à espera", "waiting", "espera uma pessoa, um tempo ou um facto", "waits for a person, a time or a fact"),
    "valid": _status("under way", "válido", "valid", "completo e bem formado", "complete and well-formed"),
    "under_review": _status("under way", "em verificação", "under review", "alguém duvidou; está a ser visto", "doubted; being looked at"),
    "confirmed": _status("decided", "confirmado", "confirmed", "uma testemunha confirmou", "a witness confirmed it"),
    "denied": _status("decided", "negado", "denied", "não é aceite", "not accepted"),
    "reverted": _status("decided", "revertido", "reverted", "desfeito por uma nova linha", "undone by a new line"),
    "ratified": _status("decided", "ratificado", "ratified", "confirmado de vez por quem tem autoridade", "confirmed for good by someone with authority"),
    "executed": _status("decided", "executado", "executed", "foi feito", "was done"),
    "complete": _status("decided", "concluído", "complete", "o trabalho acabou bem", "the work ended well"),
    "indexed": _status("decided", "indexado", "indexed", "está no índice", "is in the index"),
    "pass": _status("decided", "passou", "pass", "a verificação passou", "the check passed"),
    "fail": _status("decided", "reprovou", "fail", "a verificação não passou", "the check did not pass"),
    "slow": _status("decided", "lento", "slow", "acabou, mas tarde demais", "ended, but too late"),
    "failed": _status("decided", "falhou", "failed", "não resultou", "did not work"),
    "error": _status("decided", "erro", "error", "parou com um erro", "stopped with an error"),
    "dead": _status("decided", "sem saída", "dead", "esgotou as tentativas", "out of attempts"),
    "revoked": _status("decided", "revogado", "revoked", "deixou de valer", "no longer in force"),
    "archived": _status("decided", "arquivado", "archived", "guardado, fora do caminho", "kept, out of the way"),
}

GESTURES: Final[dict[str, Gesture]] = {
    "complete": Gesture(label=Text("completar", "complete"), about=Text("dizer o que faltava a um fantasma", "say what a ghost was missing"), frm=("ghost",), to="valid", branch=None),
    "confirm": Gesture(label=Text("confirmar", "confirm"), about=Text("ser testemunha de que é assim", "be the witness that it is so"), frm=("draft", "pending", "valid", "waiting", "under_review", "executed", "open"), to="confirmed", branch="ok"),
    "question": Gesture(label=Text("questionar", "question"), about=Text("pôr em dúvida", "put in doubt"), frm=("pending", "valid", "confirmed", "executed", "complete", "indexed", "ratified"), to="under_review", branch="doubt"),
    "deny": Gesture(label=Text("negar", "deny"), about=Text("dizer que não é assim", "say that it is not so"), frm=("draft", "pending", "scheduled", "queued", "waiting", "valid", "under_review", "open"), to="denied", branch="not", heavy=True),
    "revert": Gesture(label=Text("reverter", "revert"), about=Text("desfazer por uma nova linha", "undo by a new line"), frm=("confirmed", "executed", "complete", "ratified", "indexed", "active"), to="reverted", branch="not", heavy=True),
    "ratify": Gesture(label=Text("ratificar", "ratify"), about=Text("confirmar de vez, com autoridade", "confirm for good, with authority"), frm=("confirmed", "executed", "complete", "under_review", "denied", "reverted"), to="ratified", branch="ok", heavy=True),
    "annotate": Gesture(label=Text("anotar", "annotate"), about=Text("acrescentar uma nota; o estado fica", "add a note; the status stays"), frm=None, to=None, branch=None),
}
# fmt: on

_WORK: Final = ("pending", "scheduled", "queued", "running", "waiting")
_ENDS: Final = ("executed", "complete", "failed", "error", "slow", "pass", "fail", "indexed")

MOVES: Final[dict[str, frozenset[str]]] = {
    "draft": frozenset({"ghost", "valid", "open", "active", "archived", *_WORK}),
    "ghost": frozenset({"archived"}),
    "pending": frozenset({*_WORK, *_ENDS, "valid", "archived"}),
    "scheduled": frozenset({*_WORK, *_ENDS, "dead", "archived"}),
    "queued": frozenset({*_WORK, *_ENDS, "dead", "archived"}),
    "open": frozenset({"waiting", "complete", "archived"}),
    "active": frozenset({"active", "revoked", "archived"}),
    "running": frozenset({*_WORK, *_ENDS, "dead", "archived"}),
    "waiting": frozenset({*_WORK, *_ENDS, "dead", "valid", "archived"}),
    "valid": frozenset({*_WORK, *_ENDS, "archived"}),
    "under_review": frozenset({"waiting", "valid", "archived"}),
    "confirmed": frozenset({*_ENDS, "running", "archived"}),
    "denied": frozenset({"archived"}),
    "reverted": frozenset({"archived"}),
    "ratified": frozenset({"archived"}),
    "executed": frozenset({"indexed", "failed", "archived"}),
    "complete": frozenset({"indexed", "slow", "archived"}),
    "indexed": frozenset({"archived"}),
    "pass": frozenset({"archived"}),
    "fail": frozenset({"queued", "archived"}),
    "slow": frozenset({"archived"}),
    "failed": frozenset({*_WORK, "executed", "dead", "archived"}),
    "error": frozenset({*_WORK, "dead", "archived"}),
    "dead": frozenset({"queued", "archived"}),
    "revoked": frozenset(),
    "archived": frozenset(),
}


def following(status: str | None) -> frozenset[str]:
    """List every status that the next event of an entity may have: same, by machine, by gesture."""
    if status is None:
        return frozenset(STATUSES)
    by_gesture = {g.to for g in GESTURES.values() if g.to and g.frm and status in g.frm}
    return MOVES[status] | by_gesture | {status} | _after_completion(status)


def _after_completion(status: str) -> frozenset[str]:
    """A completed ghost takes the status that its author claimed, whatever that was."""
    return frozenset(STATUSES) if status == "ghost" else frozenset()


def check_move(old: str | None, new: str | None) -> None:
    """Check that `new` may follow `old` (None: a life without a status so far, or its beginning).

    A status that was told once is not dropped again.

    Raises:
        UnknownName: there is no such status.
        MoveNotAllowed: it may not; the error lists what may.
    """
    if new is not None and new not in STATUSES:
        raise UnknownName(field="status", shape=repr(new)[:60], known=", ".join(STATUSES))
    if old is None or new in following(old):
        return
    raise MoveNotAllowed(
        old=old, new=new or "null", allowed=", ".join(sorted(following(old) - {old}))
    )


def check_gesture(gesture: str, status: str | None) -> Gesture:
    """Return the gesture when `status` allows it.

    Raises:
        UnknownName: no such gesture.
        MoveNotAllowed: not from this status; the error lists the gestures that are.
    """
    known = GESTURES.get(gesture)
    if known is None:
        raise UnknownName(field="gesture", shape=repr(gesture)[:60], known=", ".join(GESTURES))
    if known.frm is not None and status not in known.frm:
        allowed = [n for n, g in GESTURES.items() if g.frm is None or status in g.frm]
        raise MoveNotAllowed(old=status, new=gesture, allowed=", ".join(allowed))
    return known


def allowed_actions(record: Record, language: Language) -> list[Action]:
    """List what a person may do with `record` now, each with the consequence that it names.

    `record` must be the latest event of its entity; of an older one nothing may be done.
    """
    if record.entity_type in LAW:
        return []
    promised = {"ok": record.if_ok, "doubt": record.if_doubt, "not": record.if_not}
    return [
        Action(
            gesture=name,
            label=gesture.label.in_(language),
            to=_claimed(record, name) or gesture.to or record.status or "valid",
            branch=gesture.branch,
            consequence=promised[gesture.branch] if gesture.branch else None,
            heavy=gesture.heavy,
        )
        for name, gesture in GESTURES.items()
        if gesture.frm is None or record.status in gesture.frm
    ]


def _claimed(record: Record, gesture: str) -> str | None:
    """Return the status that a ghost takes when it is completed, where its author claimed one."""
    claimed = (record.details or {}).get("claimed_status") if gesture == "complete" else None
    return claimed if isinstance(claimed, str) and claimed in STATUSES else None
