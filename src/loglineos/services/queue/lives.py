"""The events that the queue itself appends to the life of an execution.

Always holds: each has its chosen place (`seq`) after the event that it was decided on, so that of
two who decide only one is right, and the other is told `Conflict`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from loglineos.base.clock import rfc3339
from loglineos.base.entropy import Entropy
from loglineos.base.errors import LoglineError, MoveNotAllowed
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.execution.requests import follow_up, is_unfinished
from loglineos.services.queue.leases import Claim
from loglineos.services.queue.limits import LOST_LEASES_MAX, wait_before

QUEUE: Final = "queue"
"""In whose name the queue itself speaks; also the entity type of a queue's settings."""


def end_of(
    claim: Claim, outcome: Outcome, *, worker: str, now: datetime, entropy: Entropy
) -> list[Draft]:
    """Draft what is left to append for an outcome: last steps and the end, or the next attempt."""
    head = outcome.head or claim.execution
    told: dict[str, Any] = {
        "at": now, "worker": worker, "attempt": claim.attempt,
        "duration_ms": max(0, round((now - claim.claimed_at).total_seconds() * 1000)),
        **outcome.columns,
    }  # fmt: skip
    who = f"function:{head.name}"
    about = {**(outcome.metadata or {}), "started_at": rfc3339(claim.claimed_at)}
    if outcome.kind == "complete":
        end = follow_up(
            head, who=who, did="complete", status="complete", output=outcome.output,
            output_hash=outcome.output_hash, metadata=about, **told,
        )  # fmt: skip
    elif outcome.is_final or (head.max_attempts or 1) <= 1:
        end = follow_up(
            head, who=who, did="fail", status="error", error=outcome.error, metadata=about, **told
        )
    elif claim.attempt >= (head.max_attempts or 1):
        end = follow_up(
            head, who=QUEUE, did="give_up", status="dead", error=outcome.error, metadata=about,
            **told,
        )  # fmt: skip
    else:
        told["attempt"] = claim.attempt + 1
        end = follow_up(
            head, who=QUEUE, did="retry", status="queued", error=outcome.error, metadata=about,
            run_at=now + wait_before(claim.attempt, entropy), **told,
        )  # fmt: skip
    return [*outcome.drafts, end]


def lost_lease(claim: Claim, *, lost_by: str, reason: str = "expired") -> Draft:
    """Draft that a worker lost its lease: the execution waits again, as its next attempt.

    After LOST_LEASES_MAX in a row it is dead.
    """
    head = claim.execution
    lost = int((head.metadata or {}).get("lost_leases", 0)) + 1
    error = {
        "code": "lease_lost", "type": "LeaseLost", "message": f"{lost_by}: {reason}",
        "worker": lost_by,
    }  # fmt: skip
    is_dead = lost > LOST_LEASES_MAX
    return follow_up(
        head, who=QUEUE, did="give_up" if is_dead else "retry",
        status="dead" if is_dead else "queued", worker=lost_by, error=error,
        attempt=claim.attempt if is_dead else claim.attempt + 1, metadata={"lost_leases": lost},
    )  # fmt: skip


def failure_of(cause: BaseException) -> Outcome:
    """Return the outcome of a run that raised instead of answering."""
    if isinstance(cause, LoglineError):
        told = {"code": cause.code, "type": type(cause).__name__, "message": cause.describe("en")}
        return Outcome(kind="error", error=told, is_final=not cause.retryable)
    told = {"code": "raised", "type": type(cause).__name__, "message": str(cause)[:2000]}
    return Outcome(kind="error", error=told)


async def cancel(
    writer: Writer, execution: Record, *, tenant: str, by: str, reason: str | None = None
) -> Record:
    """End an execution that has not ended; whoever works on it loses its lease.

    Raises:
        MoveNotAllowed: it has ended.
        Conflict: it moved on meanwhile; read it again and decide anew.
    """
    if not is_unfinished(execution):
        raise MoveNotAllowed(old=execution.status, new="archived", allowed="")
    end = follow_up(
        execution, who=by, did="cancel", status="archived",
        attempt=execution.attempt, details={"reason": reason} if reason else None,
    )  # fmt: skip
    (record,) = await writer.append([end], tenant=tenant)
    return record
