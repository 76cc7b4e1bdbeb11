"""Which status takes which branch, and which words promise nothing.

Always holds: a record takes a branch at most once; what defines the house or keeps its books
promises nothing.
"""

from __future__ import annotations

from typing import Final

from loglineos.ledger.logline import is_act
from loglineos.ledger.record import Record
from loglineos.ledger.status import Branch
from loglineos.runtime.functions import as_said

BRANCH_OF: Final[dict[str, Branch]] = {
    "valid": "ok", "confirmed": "ok", "ratified": "ok", "executed": "ok", "complete": "ok",
    "pass": "ok",
    "under_review": "doubt",
    "denied": "not", "reverted": "not", "failed": "not", "error": "not", "dead": "not",
    "fail": "not",
}  # fmt: skip
"""The branch that a record takes when it reaches a status; the others wait or go on."""

_NOTHING: Final = frozenset(
    {
        "", "nada", "nada a fazer", "nenhum", "nenhuma", "nao se aplica", "n/a", "na", "nothing",
        "none", "not applicable", "go on", "sim", "nao", "em duvida", "yes", "no", "in doubt",
    }
)  # fmt: skip


def branch_of(record: Record) -> Branch | None:
    """Return the branch that a record has taken; None: it takes none, now or ever."""
    if record.is_deleted or not is_act(record.entity_type) or record.entity_type == "intent":
        return None
    if record.entity_type == "question" and "execution" in (record.metadata or {}):
        return None  # a run asks this and goes on by itself
    return BRANCH_OF.get(record.status or "")


def promised(record: Record, branch: Branch) -> str | None:
    """Return what a record promised for a branch; None: nothing."""
    text = {"ok": record.if_ok, "doubt": record.if_doubt, "not": record.if_not}[branch]
    return None if text is None or is_nothing(text) else text.strip()


def is_nothing(text: str) -> bool:
    """Tell whether a text promises nothing: `nada`, `-`, `none`..."""
    return as_said(text) in _NOTHING
