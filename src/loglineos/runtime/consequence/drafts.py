"""The records that follow from a promise: a run, a question what is meant, or a word that it ends.

Always holds: every id is derived from the record and the branch, so that whoever drafts the same
again drafts the same life.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.status import Branch
from loglineos.runtime.execution.requests import depth_of, draft_request
from loglineos.runtime.functions import Function, as_said
from loglineos.runtime.ids import derived_id
from loglineos.runtime.violations import violation_draft

WHO: Final = "consequences"
NOTHING: Final = "nada"
_NAME_CHARACTERS_MAX: Final = 120
_TOLD: Final = (
    "id", "seq", "entity_type", "who", "did", "this", "confirmed_by", "status", "type", "tags",
    "details", "parent_id", "owner_id", "visibility", "shared_with", "name", "trace_id", "error",
    "cost_micros", "currency", "duration_ms", "attempt",
)  # fmt: skip
_BRANCHES: Final = ("ok", "doubt", "not")
_DETAILS_CHARACTERS_MAX: Final = 16_384


def run_id(record: UUID, branch: Branch) -> UUID:
    """Return the id of the run that a record's branch leads to."""
    return derived_id("consequence", str(record), branch)


def run_draft(record: Record, branch: Branch, text: str, function: Function) -> Draft:
    """Draft the run of what a record promised."""
    return draft_request(
        function=function.id, name=function.name, who=WHO, id=run_id(record.id, branch),
        input=input_of(record, branch, text), queue=function.queue,
        max_attempts=function.max_attempts, cause=record, branch=branch,
        metadata={"consequence": {"text": text, "record": str(record.id), "seq": record.seq}},
    )  # fmt: skip


def autocorrect_draft(record: Record, function: Function) -> Draft:
    """Draft the run that answers a failure; each failure of a record has its own."""
    return draft_request(
        function=function.id, name=function.name, who=WHO,
        id=derived_id("autocorrect", str(record.id), str(record.seq)),
        input=input_of(record, "not", function.name), queue=function.queue,
        max_attempts=function.max_attempts, cause=record, branch="not",
        metadata={
            "consequence": {"text": function.name, "record": str(record.id), "seq": record.seq}
        },
    )  # fmt: skip


def input_of(record: Record, branch: Branch, text: str) -> dict[str, Any]:
    """Return what a function of a consequence is given: which record, which branch, its columns."""
    told: dict[str, Any] = {"when": rfc3339(record.at)}
    for name in _TOLD:
        value = getattr(record, name)
        if value is not None:
            told[name] = _plain(value)
    if len(str(told.get("details", ""))) > _DETAILS_CHARACTERS_MAX:
        del told["details"]  # ctx.ledger.get(record) has them
    return {
        "record": str(record.id), "seq": record.seq, "branch": branch, "text": text, "span": told
    }  # fmt: skip


def intent_id(record: UUID, branch: Branch) -> UUID:
    """Return the id of the question what a record's promise means."""
    return derived_id("intent", str(record), branch)


def intent_draft(record: Record, branch: Branch, text: str) -> Draft:
    """Draft the question which function a promise means; a person's `confirm` names it."""
    return Draft(
        id=intent_id(record.id, branch), seq=0, entity_type="intent", who=WHO, did="ask_meaning",
        this=f"Que função é «{text[:200]}»?", name=as_said(text)[:_NAME_CHARACTERS_MAX],
        status="pending", type="intent", confirmed_by="role:manager", if_ok=text[:1000],
        if_doubt=NOTHING, if_not=NOTHING, **_beside(record, branch),
        metadata={
            "text": text[:1000], "branch": branch, "record": str(record.id), "seq": record.seq,
            "depth": depth_of(record) + 1,
        },
    )  # fmt: skip


def asked_by(intent: Record) -> dict[str, Any] | None:
    """Return what an intent asks, as its metadata says it; None: it is none of the house's own.

    What it asks about is in its id: another one that asks the same is not it.
    """
    asked = intent.metadata or {}
    record, branch = asked.get("record"), asked.get("branch")
    if branch not in _BRANCHES or not isinstance(asked.get("text"), str):
        return None
    if not isinstance(asked.get("seq"), int) or not isinstance(record, str):
        return None
    try:
        is_ours = intent.id == intent_id(UUID(record), branch) and intent.who == WHO
    except ValueError:
        return None
    return asked if is_ours else None


def intent_event(
    head: Record, asked: dict[str, Any], *, seq: int, status: str, did: str, **more: Any
) -> Draft:
    """Draft the next event of an intent's life; `asked` is what its first event said it asks."""
    carried = {
        name: getattr(head, name)
        for name in (
            "entity_type", "this", "name", "type", "if_ok", "if_doubt", "if_not", "parent_id",
            "trace_id", "owner_id", "visibility", "shared_with", "confirmed_by",
        )
    }  # fmt: skip
    error = more.pop("error", None)
    return Draft(
        id=head.id, seq=seq, **carried, who=WHO, did=did, status=status, error=error,
        at=head.recorded_at or head.at,
        cause_id=head.parent_id, branch=asked["branch"], metadata={**asked, **more},
    )  # fmt: skip


def ignored_draft(record: Record) -> Draft:
    """Draft the record that says that a denial led to nothing."""
    return Draft(
        id=derived_id("ignored", str(record.id)), seq=0, entity_type="logline", who=WHO,
        did="ignorar_consequencia", this=record.this or str(record.id), status="executed",
        type="system", confirmed_by=WHO, if_ok=NOTHING, if_doubt=NOTHING, if_not=NOTHING,
        **_beside(record, "not"),
        metadata={"record": str(record.id), "depth": depth_of(record) + 1},
    )  # fmt: skip


def loop_draft(record: Record, branch: Branch, text: str, depth_max: int) -> Draft:
    """Draft the violation that says that a chain of consequences ends here."""
    said = Text(
        f"{depth_max} passos levaram já uns aos outros; «{text[:100]}» não corre",
        f"{depth_max} steps have already led to one another; «{text[:100]}» does not run",
    )
    return _violation("loop.depth", record, branch, said, text=text[:1000], limit=depth_max)


def refusal_draft(record: Record, branch: Branch, text: str, said: Text) -> Draft:
    """Draft the violation that says why a consequence cannot run."""
    return _violation("consequence.refused", record, branch, said, text=text[:1000])


def _violation(law: str, record: Record, branch: Branch, said: Text, **details: Any) -> Draft:
    draft = violation_draft(
        law, who=WHO, said=said, which=record.id, key=branch, cause=record.id,
        trace_id=record.trace_id, depth=depth_of(record) + 1, branch=branch, **details,
    )  # fmt: skip
    replaced = {name: value for name, value in _beside(record, branch).items() if value is not None}
    return _replace(draft, **replaced)


def _beside(record: Record, branch: Branch) -> dict[str, Any]:
    """Say where a record comes from, and let those read it who may read that."""
    visibility: Literal["private", "tenant", "public"] = record.visibility
    return {
        "at": record.recorded_at or record.at, "cause_id": record.id, "branch": branch,
        "parent_id": record.id,
        "trace_id": record.trace_id, "owner_id": record.owner_id, "visibility": visibility,
        "shared_with": record.shared_with, "simulated": record.simulated,
    }  # fmt: skip


def _replace(draft: Draft, **changes: Any) -> Draft:
    return msgspec.structs.replace(draft, **changes)


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
