"""Rehearsing a policy: what it would have done about records of the past. Nothing is written.

Always holds: the same engine, kernel and law judge as when the policy is at work; only the appends
are left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import NotFound, ProgramFailed
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.following import Log
from loglineos.runtime.functions import Function, function_of
from loglineos.runtime.header import Source
from loglineos.runtime.laws import DECIDING, Laws
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.policy.drafting import Drafting
from loglineos.runtime.policy.judging import Fault, Verdict, judge
from loglineos.runtime.policy.policies import Policy, policy_of, shown_to
from loglineos.runtime.policy.programs import program_of
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Completed

_UNSIGNED: Final = "0" * 64


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would have done about one batch: `drafts` are what would have followed."""

    verdict: Verdict
    shown: int
    drafts: tuple[Draft, ...]

    @property
    def fault(self) -> Fault | None:
        """The record that it would have failed on."""
        return self.verdict.fault


class Rehearsal:
    """Rehearses one policy over a tenant's log."""

    def __init__(self, tenant: str, *, log: Log, runners: Runners, laws: Laws) -> None:
        self._tenant = tenant
        self._log = log
        self._runners = runners
        self._laws = laws

    async def rehearse(
        self, function: Function, *, start: int, end: int
    ) -> AsyncIterator[Rehearsed]:
        """Ask the policy about the records from `start` to `end`, batch by batch, and tell.

        It stops at the record that the policy fails on.

        Raises:
            Refused: the house has no lawful manifest.
            InvalidInput: `shows` of the policy is no list of clauses.
        """
        manifest = await self._laws.manifest(self._tenant)
        policy = policy_of(function, first_position=start)
        while start < end:
            batch = await self._log.read(self._tenant, start)
            records = [one for one in batch.records if (one.position or 0) < end]
            if not records:
                return
            found = await self._batch(policy, records, start, manifest)
            yield found
            if found.fault is not None:
                return
            start = found.verdict.end

    async def _batch(
        self, policy: Policy, records: list[Record], start: int, manifest: Manifest
    ) -> Rehearsed:
        now = max(one.recorded_at or one.at for one in records)
        depth_max = manifest.limits.depth_max
        shown = shown_to([policy], records, depth_max=depth_max, depth_of=depth_of)[policy.id]
        program = await program_of(self._laws, policy, manifest, frozen_at=now)
        verdict = await judge(
            self._runners, program, policy, shown, start=start, end=start + len(records),
            actions_per_span_max=manifest.limits.actions_per_span_max,
        )  # fmt: skip
        drafting = Drafting(self._tenant, judges=self, manifest=manifest, now=now)
        await drafting.hear(verdict)
        drafts = await drafting.drafts(policy)
        return Rehearsed(verdict=verdict, shown=len(shown), drafts=tuple(drafts))

    async def decide(self, tenant: str, kernel: str, facts: dict[str, Any]) -> Any:
        """Have a kernel decide, without the `boot_event` that its real work leaves."""
        manifest = await self._laws.manifest(tenant)
        if kernel not in manifest.kernels:
            raise NotFound(what="function", which=kernel)
        function = await self._laws.function(tenant, UUID(manifest.kernels[kernel]))
        program = await self._laws.program(tenant, function, frozen_at=str(facts["now"]))
        given = {**facts, "tenant": tenant, "law": msgspec.to_builtins(manifest)}
        turn = await self._runners.run_pure(program, given, limits=DECIDING)
        if not isinstance(turn, Completed):
            raise ProgramFailed(function=kernel, kind="-", reason="-", where="-")
        return turn.output

    async def resolve(self, tenant: str, text: str) -> Function | None:
        """Return the function that a text means, or None."""
        return await self._laws.resolve(tenant, text)

    async def function(
        self,
        tenant: str,
        which: str | UUID,
        seq: int | None = None,
        *,
        is_paused_fine: bool = False,
    ) -> Function:
        """Return a function by its id."""
        return await self._laws.function(tenant, which, seq, is_paused_fine=is_paused_fine)


def unpublished(source: Source, *, tenant: str, at: datetime) -> Function:
    """Return the function that a source would be, were it published."""
    draft = source.draft(who="-", did="test")
    told = {
        name: value
        for name in Draft.__struct_fields__
        if (value := getattr(draft, name)) is not None
    }
    told.update(
        tenant_id=tenant, seq=0, at=at, curr_hash=_UNSIGNED, signature=_UNSIGNED * 2,
        public_key=_UNSIGNED,
    )  # fmt: skip
    return function_of(Record(**told))


def told_of(draft: Draft) -> dict[str, Any]:
    """Return a draft as a document: what it has, times as text."""
    found: dict[str, Any] = {}
    for name in Draft.__struct_fields__:
        value = getattr(draft, name)
        if value is not None and name not in ("tenant_id", "is_deleted"):
            found[name] = rfc3339(value) if isinstance(value, datetime) else value
    return found
