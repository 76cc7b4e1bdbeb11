"""From what policies say to the records that follow, and to those that say why something does not.

What an action means and whether it may be is for the kernel `policy_agent` to decide; here it gets
its place. Always holds: the same policy says the same about a record only once, for the id of what
follows is derived from both; nobody may read what follows who may not read what led to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import NotFound, Refused
from loglineos.ledger.logline import is_act
from loglineos.ledger.record import Draft, Record, Visibility
from loglineos.runtime.execution.requests import depth_of, draft_request
from loglineos.runtime.functions import Function
from loglineos.runtime.ids import derived_id
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.policy.denials import (
    Denial,
    forged_who,
    no_column,
    no_function,
    of_result,
    said_by,
    violations,
)
from loglineos.runtime.policy.judging import Verdict
from loglineos.runtime.policy.policies import Policy

NOTHING: Final = "nada"
"""What an act of a policy promises where the policy says nothing: nothing follows."""
KERNEL: Final = "policy_agent"
_WIDTH: Final[dict[Visibility, int]] = {"private": 0, "tenant": 1, "public": 2}


class Judges(Protocol):
    """What of the laws is asked here."""

    async def decide(self, tenant: str, kernel: str, facts: dict[str, Any]) -> Any:
        """Have a kernel decide about facts."""
        ...

    async def resolve(self, tenant: str, text: str) -> Function | None:
        """Return the function that a text means, or None."""
        ...

    async def function(
        self,
        tenant: str,
        which: str | UUID,
        seq: int | None = None,
        *,
        is_paused_fine: bool = False,
    ) -> Function:
        """Return a function by its id."""
        ...


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that follows from what a policy said about a record, as the kernel has it."""

    policy: Policy
    span: Record
    result: dict[str, Any]

    @property
    def key(self) -> str | None:
        """What its author calls it, so that it is one life or one request."""
        key = self.result.get("key")
        return key.replace("\x1f", " ") if isinstance(key, str) else None

    @property
    def is_request(self) -> bool:
        """Whether it asks for a run."""
        return bool(self.result["kind"] == "execution")

    @property
    def identity(self) -> UUID:
        """The id of what follows."""
        kind = "policy_run" if self.is_request else "policy_record"
        if self.key is not None:
            return derived_id(kind, str(self.policy.id), self.key)
        place = (str(self.span.position), str(self.result["n"]))
        return derived_id(kind, str(self.policy.id), *place)


class Drafting:
    """The drafts of one append."""

    def __init__(self, tenant: str, *, judges: Judges, manifest: Manifest, now: datetime) -> None:
        self._tenant = tenant
        self._judges = judges
        self._manifest = manifest
        self._now = now
        self._proposals: dict[UUID, list[Proposal]] = {}
        self._denied: dict[UUID, list[tuple[Record, Denial]]] = {}
        self._heads: dict[UUID, Record | Draft] = {}

    async def hear(self, verdict: Verdict) -> None:
        """Have the kernel decide what follows from a verdict.

        Raises:
            Refused, ProgramFailed: there is no lawful kernel, or it failed; nothing was decided.
        """
        policy = verdict.policy
        proposals = self._proposals.setdefault(policy.id, [])
        denied = self._denied.setdefault(policy.id, [])
        if not verdict.said:
            return
        spans = {record.position: record for record, _ in verdict.said}
        answer = await self._judges.decide(self._tenant, KERNEL, self._facts(verdict))
        for result in answer["results"]:
            span = spans[result["position"]]
            if result["kind"] == "refused":
                denied.append((span, of_result(result)))
                continue
            proposal = Proposal(policy=policy, span=span, result=result)
            claimed = _claimed_name(result)
            if claimed is not None:
                denied.append((span, forged_who(claimed)))
            else:
                proposals.append(proposal)

    def _facts(self, verdict: Verdict) -> dict[str, Any]:
        policy, function = verdict.policy, verdict.policy.function
        return {
            "now": rfc3339(self._now),
            "policy": {
                "id": str(policy.id), "name": policy.name, "owner_id": function.owner_id,
                "visibility": function.visibility,
                "effects": list(self._manifest.granted(function.effects)),
            },
            "batch": [
                {
                    "span": {
                        "id": str(span.id), "seq": span.seq, "position": span.position,
                        "trace_id": span.trace_id, "depth": depth_of(span),
                    },
                    "actions": actions,
                }
                for span, actions in verdict.said
            ],
        }  # fmt: skip

    @property
    def touched(self) -> set[UUID]:
        """Lives that may have begun before, and go on or are left alone."""
        return {one.identity for one in self._every() if one.key is not None}

    @property
    def identities(self) -> set[UUID]:
        """Ids of all that would follow."""
        return {one.identity for one in self._every()}

    def know(self, heads: Iterable[Record]) -> None:
        """Take note of latest events."""
        self._heads.update({record.id: record for record in heads})

    def leave_out(self, present: set[UUID]) -> None:
        """Leave out what was done before."""
        for policy, proposals in self._proposals.items():
            kept = [one for one in proposals if one.identity not in present]
            self._proposals[policy] = kept

    async def drafts(self, policy: Policy) -> list[Draft]:
        """Draft what follows from what a policy said, and a violation for what does not."""
        drafts: dict[tuple[UUID, int], Draft] = {}
        denied = self._denied.get(policy.id, [])
        for one in self._proposals.get(policy.id, ()):
            if one.is_request:
                if one.identity in self._heads:
                    continue  # it was asked for before
                made = await self._request(one)
            else:
                made = self._record(one)
            if isinstance(made, Denial):
                denied.append((one.span, made))
                continue
            self._heads[one.identity] = made
            drafts[(one.identity, made.seq or 0)] = made
        return list(drafts.values()) + violations(policy, denied)

    async def _request(self, one: Proposal) -> Draft | Denial:
        result = one.result
        found = await self._find(result["function"])
        if found is None:
            return no_function(result["function"])
        delay_s = min(float(result.get("delay_s") or 0), _DELAY_S_MAX)
        told = result.get("input")
        if told is None:
            told = {"span": str(one.span.id), "seq": one.span.seq}
        queue = result.get("queue")
        request = draft_request(
            function=found.id, name=found.name, who=one.policy.who, id=one.identity, input=told,
            queue=queue if queue and queue != "default" else found.queue, at=self._now,
            run_at=self._now + timedelta(seconds=delay_s) if delay_s else None,
            priority=result.get("priority") or 0, max_attempts=found.max_attempts, key=one.key,
            cause=one.span, depth=result["depth"], metadata={"policy": said_by(one.policy)},
        )  # fmt: skip
        return msgspec.structs.replace(request, **_reach(one, request))

    async def _find(self, which: str) -> Function | None:
        try:
            try:
                return await self._judges.function(self._tenant, UUID(which), is_paused_fine=True)
            except ValueError:
                return await self._judges.resolve(self._tenant, which)
        except (NotFound, Refused):
            return None

    def _record(self, one: Proposal) -> Draft | Denial:
        told: dict[str, Any] = {"at": self._now, **one.result["draft"]}
        try:
            draft = msgspec.convert(told, Draft)
        except msgspec.ValidationError as cause:
            return no_column(str(cause)[:120])
        if is_act(draft.entity_type):
            draft = _whole(draft, one)
        head = self._heads.get(one.identity) if one.key is not None else None
        metadata = {
            **(draft.metadata or {}), "policy": said_by(one.policy), "depth": depth_of(one.span) + 1
        }  # fmt: skip
        seq = 0 if head is None else (head.seq or 0) + 1
        if "add" in metadata and draft.entity_type == "metric" and one.key is not None:
            value = _added(head, metadata.pop("add"))
            if value is None:
                return no_column("metadata.add")
            metadata["value"] = value
            if isinstance(head, Draft):  # of this very append: one event for all that is added
                seq = head.seq or 0
        placed = msgspec.structs.replace(
            draft, id=one.identity, seq=seq, tenant_id=self._tenant, who=one.policy.who,
            cause_id=one.span.id, simulated=one.span.simulated, metadata=metadata,
        )  # fmt: skip
        return msgspec.structs.replace(placed, **_reach(one, placed))

    def _every(self) -> Iterable[Proposal]:
        return (one for proposals in self._proposals.values() for one in proposals)


def _claimed_name(result: dict[str, Any]) -> str | None:
    """Return in whose name an action wanted to speak, if that is nobody's name for a policy."""
    claimed = ((result.get("draft") or {}).get("metadata") or {}).get("said_who")
    return claimed if isinstance(claimed, str) and not claimed.startswith("policy:") else None


def _added(head: Record | Draft | None, add: Any) -> dict[str, Any] | None:
    """Add figures to those that the life of a metric has told so far."""
    before = (head.metadata or {}).get("value") if head is not None else None
    value: dict[str, Any] = dict(before) if isinstance(before, dict) else {}
    if not isinstance(add, dict):
        return None
    for name, number in add.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            return None
        value[name] = value.get(name, 0) + number
    return value


def _reach(one: Proposal, draft: Draft) -> dict[str, Any]:
    """Whose it is and who may read it: never more people than may read what led to it."""
    span, function = one.span, one.policy.function
    owner = function.owner_id or one.policy.who
    if span.visibility == "private":
        return {"visibility": "private", "owner_id": span.owner_id or span.who}
    widest = min(_WIDTH[span.visibility], _WIDTH[function.visibility], _WIDTH[draft.visibility])
    names = {width: name for name, width in _WIDTH.items()}
    return {"visibility": names[widest], "owner_id": owner}


def _whole(draft: Draft, one: Proposal) -> Draft:
    """Say what the policy left unsaid of an act, so that it is no ghost."""
    return msgspec.structs.replace(
        draft, did=draft.did or "emit", this=draft.this or one.span.this or one.policy.name,
        confirmed_by=draft.confirmed_by or one.policy.who, if_ok=draft.if_ok or NOTHING,
        if_doubt=draft.if_doubt or NOTHING, if_not=draft.if_not or NOTHING,
        type=draft.type or "system",
    )  # fmt: skip


_DELAY_S_MAX: Final = 366 * 86_400.0
