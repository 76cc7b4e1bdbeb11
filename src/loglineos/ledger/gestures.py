"""Gestures: what a person does to a record, each a new record of the same entity.

`confirm`, `question`, `deny`, `revert` and `ratify` are acts of their own: `who` is the person,
`did` the gesture, `this` and the consequences stay. `complete` and `annotate` add to the act that
is there: its nine fields stay those of its author, `metadata.by` names who added.
Always holds: a gesture is only appended when the status machine allows it from the latest event;
the record before it stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_type_hints
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import Conflict, InvalidInput, Refused, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger.logline import TYPES, is_act
from loglineos.ledger.record import DRAFT_FIELDS, NINE, Draft, Record
from loglineos.ledger.status import LAW, STATUSES, check_gesture
from loglineos.ledger.writer import Writer

_CARRIED: Final = (
    "entity_type", "this", "if_ok", "if_doubt", "if_not", "type", "tags", "subsystem",
    "parent_id", "related_to", "trace_id", "session_id", "owner_id", "visibility", "shared_with",
    "is_deleted", "name", "queue", "priority", "run_at", "attempt", "max_attempts",
    "idempotency_key",
)  # fmt: skip
"""What an act of its own takes over: to what, with which consequences, whose, and its state."""
_KEPT: Final = tuple(name for name in DRAFT_FIELDS if name not in ("id", "seq", "tenant_id"))
"""What an addition takes over: everything; it then changes what it adds."""
_TYPES: Final = get_type_hints(Draft)
_COMPLETABLE: Final = (*NINE, "type")
_ALWAYS: Final = frozenset(NINE) - {"status"}
_RACES_MAX: Final = 8


async def make_gesture(
    writer: Writer,
    gesture: str,
    entity: UUID,
    *,
    tenant: str,
    by: str,
    note: str | None = None,
    fields: Mapping[str, Any] | None = None,
    expected_seq: int | None = None,
) -> Record:
    """Append a gesture of `by` on the latest event of `entity`; return the new record.

    `fields` is for `complete`: what was missing, by the names that people use (`when` is a time
    with a zone, or its text). Besides the nine and `type`, any column whose value did not fit (it
    waits in `details.given`) may be given, or None to let it go. A ghost may be completed field by
    field: it stays a ghost, with fewer faults, until all are there; then it takes the status that
    its author claimed, or `valid`.
    `expected_seq` is the event that the person saw: another head is a Conflict, not a surprise.

    Raises:
        NotFound: no such entity.
        UnknownName: no such gesture, field or status.
        InvalidInput: a field does not fit, or its author said something else already.
        MoveNotAllowed: the status does not allow it; the error lists what is allowed.
        Refused: it is the law of the house, which gestures do not change.
        Conflict: the entity moved on since `expected_seq`.
        And all that `Writer.append` raises.
    """
    if fields and gesture != "complete":
        raise InvalidInput(field="fields", shape=shape_of(fields), reason=_ONLY_COMPLETE)
    for attempt in range(_RACES_MAX):
        head = await writer.latest(tenant, entity)
        if expected_seq is not None and head.seq != expected_seq:
            raise Conflict(id=str(entity), seq=expected_seq + 1, head=f"seq {head.seq}")
        draft = draft_gesture(gesture, head, by=by, note=note, fields=fields or {}, writer=writer)
        try:
            (record,) = await writer.append([draft], tenant=tenant)
        except Conflict:
            if attempt == _RACES_MAX - 1:
                raise
            continue
        return record
    raise AssertionError("the loop returns or raises")


def draft_gesture(
    gesture: str,
    head: Record,
    *,
    by: str,
    note: str | None,
    fields: Mapping[str, Any],
    writer: Writer,
) -> Draft:
    """Write the draft that follows `head` by this gesture, without appending it."""
    known = check_gesture(gesture, head.status)
    if head.entity_type in LAW:
        raise Refused(reason=_LAW_STAYS, remedy=_LAW_WAYS)
    if not by.strip():
        raise InvalidInput(field="who", shape=shape_of(by), reason=_WHO)
    noted = {"gesture": gesture, "by": by}
    if gesture == "complete":
        return _completion(head, fields, note, noted)
    if gesture == "annotate":
        if not note:
            raise InvalidInput(field="note", shape=shape_of(note), reason=_NOTE)
        return _annotation(head, note, {**noted, "noted_at": rfc3339(writer.clock.now())})
    carried = {name: getattr(head, name) for name in _CARRIED}
    return Draft(
        id=head.id, seq=head.seq + 1, **carried, who=by, did=gesture, confirmed_by=by,
        at=writer.clock.now(), status=known.to, details={"note": note} if note else None,
        branch=known.branch, metadata=noted,
    )  # fmt: skip


def _annotation(head: Record, note: str, noted: dict[str, Any]) -> Draft:
    kept = {name: getattr(head, name) for name in _KEPT}
    details = {**(head.details or {}), "note": note}
    if head.status == "ghost":  # the same faults are found again from the same fields
        faults = _faults(head)
        kept["status"] = _take_claimed(details)
        if kept["status"] is None and (not faults or "declared" in faults):
            kept["status"] = "ghost"
    kept.update(at=_when(head), details=details, metadata={**_without_faults(head), **noted})
    return Draft(id=head.id, seq=head.seq + 1, **kept)


def _completion(
    head: Record, fields: Mapping[str, Any], note: str | None, noted: dict[str, Any]
) -> Draft:
    kept = {name: getattr(head, name) for name in _KEPT}
    details = dict(head.details or {})
    claimed = _take_claimed(details)
    kept.update(at=_when(head), status=claimed or (None if is_act(head.entity_type) else "valid"))
    given = details.get("given")
    waiting = given if isinstance(given, dict) else {}
    for name, value in fields.items():
        column = "at" if name == "when" else name
        kept[column] = _read(name, value, waiting, None if name == "status" else kept.get(column))
    settled = {name for name in waiting if name in fields}
    if all(_is_said(kept[name]) for name in ("who", "did", "this")):
        settled |= {name for name in waiting if name.startswith("raw")}
    details = _settle(details, waiting, settled)
    if note:
        details["note"] = note
    if kept["type"] == "ghost":
        kept["type"] = None
    kept.update(details=details or None, metadata={**_without_faults(head), **noted})
    return Draft(id=head.id, seq=head.seq + 1, **kept)


def _read(name: str, value: Any, waiting: Mapping[str, Any], said: Any) -> Any:
    """Read one field of a completion; None lets go of an optional value that did not fit.

    Raises:
        UnknownName: no such field, status or type, or one that this ghost is not missing.
        InvalidInput: not a value of that field, or the author said something else there.
    """
    if name not in _COMPLETABLE and not (name in waiting and name in _KEPT):
        known = ", ".join([*_COMPLETABLE, *(one for one in waiting if one in _KEPT)])
        raise UnknownName(field="fields", shape=shape_of(name), known=known)
    if value is None and name in waiting and name not in _ALWAYS:
        return None
    column = "at" if name == "when" else name
    try:
        read = msgspec.convert(value, _TYPES[column])
    except msgspec.ValidationError as cause:
        raise InvalidInput(field=name, shape=shape_of(value), reason=_MISFIT) from cause
    if not _is_said(read):
        raise InvalidInput(field=name, shape=shape_of(value), reason=_TEXT)
    known_names = {"status": STATUSES.keys() - {"ghost"}, "type": TYPES}.get(name)
    if known_names is not None and read not in known_names:
        listed = ", ".join(one for one in known_names)
        raise UnknownName(field=name, shape=shape_of(read), known=listed)
    if name in NINE and _is_said(said) and said != read:
        raise InvalidInput(field=name, shape=shape_of(value), reason=_SAID)
    return read


def _is_said(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def _take_claimed(details: dict[str, Any]) -> str | None:
    """Take the status that the author of a ghost claimed out of its details."""
    claimed = details.pop("claimed_status", None)
    return claimed if isinstance(claimed, str) and claimed in STATUSES else None


def _settle(
    details: dict[str, Any], waiting: Mapping[str, Any], settled: set[str]
) -> dict[str, Any]:
    """Move what a completion settles from `given` to `replaced`: nothing said is thrown away."""
    if not settled:
        return details
    left = {name: value for name, value in waiting.items() if name not in settled}
    before = details.get("replaced")
    replaced = {
        **(before if isinstance(before, dict) else {}),
        **{name: waiting[name] for name in waiting if name in settled},
    }
    cleared = {name: value for name, value in details.items() if name not in ("given", "replaced")}
    if left:
        cleared["given"] = left
    return {**cleared, "replaced": replaced}


def _faults(head: Record) -> dict[str, Any]:
    faults = (head.metadata or {}).get("faults")
    return faults if isinstance(faults, dict) else {}


def _when(head: Record) -> Any:
    """Return the act's own time; None where the author never gave a usable one."""
    faults = _faults(head)
    lacking = [*faults.get("missing", []), *faults.get("malformed", [])]
    return None if "when" in lacking else head.at


def _without_faults(head: Record) -> dict[str, Any]:
    return {name: value for name, value in (head.metadata or {}).items() if name != "faults"}


_ONLY_COMPLETE: Final = Text("só `completar` traz campos", "only `complete` brings fields")
_WHO: Final = Text("diga quem faz o gesto", "say who makes the gesture")
_NOTE: Final = Text("escreva a nota", "write the note")
_TEXT: Final = Text("tem de ser texto não vazio", "must be text that is not empty")
_MISFIT: Final = Text("não cabe neste campo", "does not fit this field")
_SAID: Final = Text(
    "o autor já o disse; completar só traz o que falta",
    "its author said it already; completing only brings what is missing",
)
_LAW_STAYS: Final = Text(
    "o que diz o que corre não se muda com um gesto",
    "what says what runs is not changed by a gesture",
)
_LAW_WAYS: Final = Text(
    "use `logline fn` ou `logline manifest`", "use `logline fn` or `logline manifest`"
)
