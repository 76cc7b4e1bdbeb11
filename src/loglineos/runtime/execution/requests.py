"""An execution's life as records: how it is asked for, goes on, rests and ends.

    scheduled → running → waiting → running → complete | error | dead | archived (cancelled)
              ↘ complete (a run without effects)      ↘ queued (again later)

Always holds: every event of an execution carries what queues, chains and readers need (name,
function, queue, priority, cause, trace, owner), so its latest event alone tells where it stands.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from blake3 import blake3

from loglineos.ledger.record import Draft, Record

EXECUTION: Final = "execution"
DEFAULT_QUEUE: Final = "default"
UNFINISHED: Final = frozenset({"scheduled", "queued", "running", "waiting"})
DEPTH_MAX: Final = 16
"""How many executions may have led to one another before the chain is cut."""

_CARRIED: Final = (
    "entity_type", "this", "parent_id", "related_to", "trace_id", "session_id", "cause_id",
    "branch", "owner_id", "visibility", "shared_with", "name", "queue", "priority",
    "max_attempts", "idempotency_key", "simulated",
)  # fmt: skip
_KEPT: Final = frozenset(
    {
        "depth", "parent_execution", "header", "schedule", "policy", "consequence", "active_ms",
        "cuts",
    }
)  # fmt: skip
"""What the metadata of every later event repeats."""


def draft_request(
    *,
    function: UUID,
    name: str,
    who: str,
    id: UUID | None = None,  # noqa: A002 - the record's own word
    input: Any = None,  # noqa: A002 - the record's own word
    queue: str = DEFAULT_QUEUE,
    run_at: datetime | None = None,
    at: datetime | None = None,
    priority: int = 0,
    max_attempts: int = 1,
    key: str | None = None,
    cause: Record | None = None,
    branch: Literal["ok", "doubt", "not"] | None = None,
    parent_execution: UUID | None = None,
    depth: int | None = None,
    trace_id: str | None = None,
    owner_id: str | None = None,
    visibility: Literal["private", "tenant", "public"] = "tenant",
    simulated: bool | None = None,
    metadata: dict[str, Any] | None = None,
) -> Draft:
    """Draft the request to run a function: the first event of an execution.

    `priority`: the lowest runs first. `key` is the caller's own, to ask once for one thing. With
    `cause`, the record that led here, trace, owner and depth come from it.
    """
    about: dict[str, Any] = {**(metadata or {})}
    if depth is None:
        depth = depth_of(cause) + 1 if cause is not None else 0
    if depth:
        about["depth"] = depth
    if parent_execution is not None:
        about["parent_execution"] = str(parent_execution)
    return Draft(
        id=id, seq=None if id is None else 0, entity_type=EXECUTION, who=who, did="schedule",
        this=name, status="scheduled", at=at, name=name, parent_id=function,
        related_to=(function,), input=input, queue=queue,
        run_at=run_at, priority=priority, max_attempts=max_attempts, idempotency_key=key,
        cause_id=cause.id if cause else None, branch=branch,
        trace_id=trace_id or (cause.trace_id if cause else None) or trace_of(id),
        owner_id=owner_id or (cause.owner_id if cause else None),
        visibility=cause.visibility if cause else visibility,
        simulated=simulated if simulated is not None else (cause.simulated if cause else None),
        metadata=about or None,
    )  # fmt: skip


def follow_up(head: Record, *, who: str, did: str, status: str, **fields: Any) -> Draft:
    """Draft the next event of an execution, after `head`; what it carries stays as it was."""
    carried = {name: getattr(head, name) for name in _CARRIED}
    kept = {name: value for name, value in (head.metadata or {}).items() if name in _KEPT}
    metadata = {**kept, **(fields.pop("metadata", None) or {})}
    return Draft(
        id=head.id, seq=head.seq + 1, **carried, who=who, did=did, status=status,
        metadata=metadata or None, **fields,
    )  # fmt: skip


def depth_of(record: Record | None) -> int:
    """Tell how many executions led to this record."""
    found = (record.metadata or {}).get("depth") if record is not None else None
    return found if isinstance(found, int) and found >= 0 else 0


def is_unfinished(record: Record) -> bool:
    """Tell whether an execution may still go on."""
    return record.status in UNFINISHED


def trace_of(id: UUID | None) -> str | None:  # noqa: A002 - the record's own word
    """Return the trace id (W3C: 32 hex digits) of a life that begins a trace; None: no id yet."""
    return None if id is None else blake3(b"trace\n" + id.bytes).hexdigest(length=16)


def span_of(id: UUID) -> str:  # noqa: A002 - the record's own word
    """Return the span id (W3C: 16 hex digits) of an execution or a step."""
    return blake3(b"span\n" + id.bytes).hexdigest(length=8)
