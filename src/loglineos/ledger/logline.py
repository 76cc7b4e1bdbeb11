"""The nine-field rule: is this act complete, or a ghost, and what is it missing?

Always holds: nothing is refused here and nothing is dropped. A draft goes in, a draft comes out
with `valid`, `status` and `ghost_reason` decided; what does not fit its column is already in
`details.given`, verbatim, and is named among the faults.
Source: foundation, sections 2, 3 and 5.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from loglineos.base.language import Language, Text
from loglineos.ledger.record import NINE, Draft, Record
from loglineos.ledger.status import STATUSES

NOT_ACTS: Final[frozenset[str]] = frozenset(
    {
        "tenant",
        "actor",
        "key",
        "forgetting",
        "function",
        "manifest",
        "policy",
        "schedule",
        "prompt",
        "prelude",
        "queue",
        "alias",
        "execution",
        "step",
        "boot_event",
        "policy_violation",
        "policy_cursor",
        "status_patch",
        "metric",
        "notification",
        "packages",
    }
)
"""Entity types that define, administer, or are the runtime's own bookkeeping; every other record
claims an act and is a LogLine."""

TYPES: Final[frozenset[str]] = frozenset(
    {"system", "human", "llm", "ghost", "webhook", "intent", "contract"}
)

_WHOLE_STATUSES: Final = (STATUSES.keys() - {"ghost"}) | {None}
_WHOLE_TYPES: Final = TYPES | {None}
_PLACE: Final = ("id", "seq", "tenant_id")
"""Where a record goes is the ledger's to say; a place that did not fit is kept, and no fault."""

FaultKind = Literal["missing", "malformed", "unknown", "unreadable", "declared"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that keeps an act from being valid."""

    field: str
    kind: FaultKind


_PHRASES: Final[dict[FaultKind, Text]] = {
    "unreadable": Text("texto que não é JSON", "text that is no JSON"),
    "missing": Text("faltam: {fields}", "missing: {fields}"),
    "malformed": Text("mal formados: {fields}", "malformed: {fields}"),
    "unknown": Text("desconhecidos: {fields}", "unknown: {fields}"),
    "declared": Text("o autor declarou-o incompleto", "declared incomplete by its author"),
}


def is_act(entity_type: str) -> bool:
    """Tell whether records of this type claim an act, and so obey the nine-field rule."""
    return entity_type not in NOT_ACTS


def faults_of(draft: Draft | Record) -> tuple[Fault, ...]:
    """Name everything that keeps an act from being valid, in the order of the nine fields.

    A field with a value in `details.given` was given but does not fit; one that is null or blank
    is missing (an absent `status` is not: it becomes `valid`); `type` and `status` outside their
    lists are unknown, also when an earlier judgement moved them to `details.given`. The `raw...`
    entries of `given` are one fault together; `details.given` in it is what an item called so.
    """
    given = _given_of(draft.details)
    faults = [Fault(field="raw", kind="unreadable")] if "raw" in given else []
    for name in NINE:
        value = draft.at if name == "when" else getattr(draft, name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if name in given:
                faults.append(_misfit(name, given[name]))
            elif name != "status":
                faults.append(Fault(field=name, kind="missing"))
        elif name == "status" and value not in STATUSES:
            faults.append(Fault(field=name, kind="unknown"))
    if draft.type is not None and draft.type not in TYPES:
        faults.append(Fault(field="type", kind="unknown"))
    faults += [
        _misfit(name, given[name])
        for name in sorted(given)
        if name not in (*NINE, *_PLACE) and not name.startswith(("raw", "details."))
    ]
    if not faults and draft.status == "ghost":
        faults.append(Fault(field="status", kind="declared"))
    return tuple(faults)


def judge(draft: Draft) -> Draft:
    """Decide `valid`, `status`, `type` and `ghost_reason` of an act; other records pass unchanged.

    Valid: the given status stays, an absent one becomes `valid`. Otherwise the status becomes
    `ghost`; a status that the author claimed waits in `details.claimed_status` and comes back when
    the ghost is completed. `metadata.faults` keeps the faults by kind, so that every reader is told
    them in their own language.
    """
    if not is_act(draft.entity_type):
        return draft
    if draft.status is not None and not draft.status.strip():
        draft = msgspec.structs.replace(draft, status=None)
    faults = () if _is_surely_whole(draft) else faults_of(draft)
    if not faults:
        return msgspec.structs.replace(
            draft, valid=True, status=draft.status or "valid", ghost_reason=None
        )
    details = dict(draft.details or {})
    given = dict(_given_of(draft.details))
    by_kind: dict[str, list[str]] = {}
    for fault in faults:
        by_kind.setdefault(fault.kind, []).append(fault.field)
    unknown = by_kind.get("unknown", [])
    given.update({name: told for name in unknown if (told := getattr(draft, name)) is not None})
    if draft.status is not None and draft.status != "ghost" and "status" not in unknown:
        details["claimed_status"] = draft.status
    if given:
        details["given"] = given
    return msgspec.structs.replace(
        draft,
        valid=False,
        status="ghost",
        type=None if "type" in unknown else draft.type,
        ghost_reason=reason_of(by_kind, "pt"),
        details=details or None,
        metadata={**(draft.metadata or {}), "faults": by_kind},
    )


def _is_surely_whole(draft: Draft) -> bool:
    """Tell at once that an ordinary act has no fault; False says only that one must look closer."""
    texts = (
        draft.who, draft.did, draft.this, draft.confirmed_by, draft.if_ok, draft.if_doubt,
        draft.if_not,
    )  # fmt: skip
    return (
        None not in texts
        and "" not in texts
        and draft.at is not None
        and draft.status in _WHOLE_STATUSES
        and draft.type in _WHOLE_TYPES
        and (draft.details is None or "given" not in draft.details)
        and not any(map(str.isspace, texts))  # type: ignore[arg-type] # none of them is None
    )


def reason_of(by_kind: dict[str, list[str]], language: Language) -> str:
    """Put faults in words: `faltam: confirmed_by, if_doubt; mal formados: when`."""
    return "; ".join(
        phrase.fill(language, fields=", ".join(by_kind[kind]))
        for kind, phrase in _PHRASES.items()
        if by_kind.get(kind)
    )


def explain(record: Record, language: Language) -> str | None:
    """Say in the reader's language why a stored record is a ghost; None when it is none.

    The stored `ghost_reason` is part of the signed bytes; the faults behind it are told anew from
    `metadata.faults`. A reason in an author's own words is returned as it is.
    """
    faults = (record.metadata or {}).get("faults")
    if record.status != "ghost" or not isinstance(faults, dict):
        return record.ghost_reason if record.status == "ghost" else None
    return reason_of(faults, language)


def _misfit(name: str, value: object) -> Fault:
    """Name the fault of a value that waits in `details.given`."""
    is_name = name in ("status", "type") and isinstance(value, str) and bool(value.strip())
    return Fault(field=name, kind="unknown" if is_name else "malformed")


def _given_of(details: dict[str, object] | None) -> dict[str, object]:
    given = (details or {}).get("given")
    return given if isinstance(given, dict) else {}
