"""Where a policy stands: how far it has looked, how often it has acted, and when it was last asked.

Told by two things: the latest event of its `policy_cursor`, appended together with what it did, and
its row in `ledger.cursor`, moved when it did nothing. The larger position counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.policy.denials import said_by
from loglineos.runtime.policy.judging import Fault, Verdict
from loglineos.runtime.policy.policies import Policy
from loglineos.runtime.publishing import amended

AGENT: Final = "policy_agent"


class Place(msgspec.Struct, kw_only=True):
    """Where one policy stands. `seq` is of its cursor's latest event, -1 before the first.

    `tick` counts minutes since 1970; `actions` what it did on `day` (UTC).
    """

    position: int
    seq: int = -1
    tick: int = -1
    day: str = ""
    actions: int = 0


def place_of(policy: Policy, cursor: Record | None, places: Mapping[str, int]) -> Place:
    """Read where a policy stands from its cursor and its row."""
    told: dict[str, Any] = (cursor.metadata or {}) if cursor is not None else {}
    known = [told.get("position"), places.get(policy.place)]
    positions = [one for one in known if isinstance(one, int)]
    is_moved = isinstance((policy.record.metadata or {}).get("begins"), int)
    if is_moved or not positions:
        positions.append(policy.begins)
    return Place(
        position=max(positions),
        seq=-1 if cursor is None else cursor.seq,
        tick=max(_whole(told.get("tick")), places.get(f"{policy.place}/tick", -1)),
        day=str(told.get("day", "")),
        actions=max(0, _whole(told.get("day_actions"))),
    )


def cursor_draft(
    policy: Policy, place: Place, verdict: Verdict, *, actions: int, day: str, day_actions: int
) -> Draft:
    """Draft the event that says how far a policy has acted; its place in the life is chosen."""
    function = policy.function
    position = place.position if verdict.tick is not None else verdict.end
    metadata = {
        "position": position, "from": verdict.start, "evaluated": verdict.evaluated,
        "actions": actions, "day": day, "day_actions": day_actions,
        "tick": place.tick if verdict.tick is None else verdict.tick,
        "policy": {**said_by(policy), "hash": function.hash},
    }  # fmt: skip
    return Draft(
        id=policy.cursor_id, seq=place.seq + 1, entity_type="policy_cursor", who=policy.who,
        did="advance", this=policy.name, status="complete", parent_id=policy.id,
        owner_id=function.owner_id, metadata=metadata,
    )  # fmt: skip


def quarantine_draft(policy: Policy, fault: Fault, *, reason: str) -> Draft:
    """Draft the event of a policy that says that it is asked no more, since it failed."""
    told = {
        "reason": reason, "error": msgspec.to_builtins(fault.error),
        "position": fault.span.position, "span": f"{fault.span.id}/{fault.span.seq}",
        "at": rfc3339(fault.span.recorded_at or fault.span.at),
    }  # fmt: skip
    return amended(policy.record, who=AGENT, did="quarantine", quarantined=told)


def by_id(records: Sequence[Record]) -> dict[UUID, Record]:
    """Return records by the ids of their entities."""
    return {record.id: record for record in records}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
