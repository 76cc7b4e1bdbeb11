"""Ghosts: the witness asks whoever left something out what it is, and closes the question after.

Always holds: one question for each ghost, however often it is completed in part.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.ids import derived_id

WITNESS: Final = "witness"
_NOTHING: Final = "nada"
_CARRIED: Final = (
    "entity_type", "this", "confirmed_by", "if_ok", "if_doubt", "if_not", "type", "parent_id",
    "cause_id", "branch", "trace_id", "owner_id", "visibility", "shared_with", "details",
    "metadata", "simulated",
)  # fmt: skip


def is_by_human(record: Record) -> bool:
    """Tell whether a ghost was left by a person, who can be asked."""
    if record.source_file is not None:
        return False  # read from a file: nobody waits at the other end
    if record.type == "human":
        return True
    is_open = record.type in (None, "ghost")
    return is_open and not any(mark in (record.who or "") for mark in ".:")


def missing_of(record: Record) -> list[str]:
    """List the fields that keep a ghost from being valid."""
    faults = (record.metadata or {}).get("faults")
    named = [n for kind in faults.values() for n in kind] if isinstance(faults, dict) else []
    raw = ["who", "did", "this"] if "raw" in named else []
    return list(dict.fromkeys([*raw, *(name for name in named if name != "raw")]))


def question_id(ghost: UUID) -> UUID:
    """Return the id of the question what a ghost is missing."""
    return derived_id("complement", str(ghost))


def question_draft(ghost: Record) -> Draft:
    """Draft the question what a ghost is missing, to whoever wrote it."""
    missing = missing_of(ghost)
    fields = ", ".join(missing) or "status"
    what = (ghost.this or ghost.did or "este registo")[:200]
    whom = ghost.who or "role:operator"
    return Draft(
        id=question_id(ghost.id), seq=0, entity_type="question", who=WITNESS,
        did="pedir_complemento", this=f"O que falta em «{what}»? {fields}", status="waiting",
        type="system", confirmed_by=whom, if_ok=_NOTHING, if_doubt=_NOTHING, if_not=_NOTHING,
        parent_id=ghost.id, cause_id=ghost.id, branch="doubt", trace_id=ghost.trace_id,
        owner_id=ghost.owner_id, visibility=ghost.visibility, simulated=ghost.simulated,
        shared_with=(whom,), at=ghost.recorded_at or ghost.at,
        details={"en": f"What is missing in «{what}»? {fields}", "missing": missing},
        metadata={"ghost": str(ghost.id), "missing": missing, "depth": depth_of(ghost) + 1},
    )  # fmt: skip


def closing_draft(question: Record, ghost: Record) -> Draft:
    """Draft the end of a question: the ghost was completed."""
    carried: dict[str, Any] = {name: getattr(question, name) for name in _CARRIED}
    carried["metadata"] = {**(question.metadata or {}), "completed_by": ghost.seq}
    return Draft(
        id=question.id, seq=question.seq + 1, **carried, who=WITNESS, did="fechar_pergunta",
        status="complete", at=ghost.recorded_at or ghost.at,
    )  # fmt: skip
