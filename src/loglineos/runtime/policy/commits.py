"""Appending what policies said, with their cursors, whole or not at all.

Always holds: an action and the cursor's event that accounts for it are one append; an action that
the ledger refuses is left out and told as a violation, and costs nobody else theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.errors import Conflict, LoglineError
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.writer import Writer
from loglineos.runtime.following import asking
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.policy.denials import Denial, violation
from loglineos.runtime.policy.drafting import Drafting, Judges
from loglineos.runtime.policy.judging import Fault, Verdict
from loglineos.runtime.policy.places import Place, cursor_draft, quarantine_draft
from loglineos.runtime.sandbox.turns import ProgramError

_SQL: Final = Queries.load("loglineos.runtime.policy", "policies.sql")
ACTIONS_A_DAY_MAX: Final = 250_000
"""Actions of one policy on one day (UTC); a policy that does more is quarantined."""
_APPEND_MAX: Final = 5_000
"""Records of one append; policies that say more than that together are appended one by one."""


class Commits:
    """Commits verdicts of one tenant, one after the other."""

    def __init__(self, tenant: str, *, writer: Writer, judges: Judges) -> None:
        self._tenant = tenant
        self._writer = writer
        self._judges = judges
        self._turn = asyncio.Lock()

    async def commit(
        self,
        verdicts: Sequence[Verdict],
        places: dict[UUID, Place],
        *,
        now: datetime,
        manifest: Manifest,
    ) -> list[Verdict] | None:
        """Append what follows from verdicts and move the places; return what was committed.

        None: somebody else has moved one of the policies on (or an entity that it touches); read
        where they stand and ask again.

        Raises:
            Unavailable: not now; nothing was committed that a repeat would do twice.
        """
        async with self._turn:
            known = [verdict for verdict in verdicts if verdict.policy.id in places]
            loud = [verdict for verdict in known if not verdict.is_quiet]
            done = [verdict for verdict in known if verdict.is_quiet]
            if loud:
                told = await self._append(loud, places, now=now, manifest=manifest)
                if told is None:
                    return None
                done += told
            for verdict in done:
                place = places[verdict.policy.id]
                if verdict.tick is None:
                    place.position = max(place.position, verdict.end)
                else:
                    place.tick = max(place.tick, verdict.tick)
            return done

    async def _append(
        self,
        verdicts: Sequence[Verdict],
        places: dict[UUID, Place],
        *,
        now: datetime,
        manifest: Manifest,
    ) -> list[Verdict] | None:
        drafting = Drafting(self._tenant, judges=self._judges, manifest=manifest, now=now)
        for verdict in verdicts:
            await drafting.hear(verdict)
        drafting.know(await self.latest(drafting.touched))
        if any(verdict.tick is not None for verdict in verdicts):
            drafting.leave_out(await self._present(drafting.identities))
        drafts: list[Draft] = []
        after: list[tuple[Verdict, Place]] = []
        for verdict in verdicts:
            made = await self._new_of(await drafting.drafts(verdict.policy))
            told, place = _with_quota(verdict, made, places[verdict.policy.id], now)
            if not made and told.fault is None:
                after.append((told, places[verdict.policy.id]))
                continue
            if told.fault is not None:
                made += _quarantine(told, told.fault)
            day, total = f"{now:%Y-%m-%d}", place.actions
            drafts += made
            drafts.append(
                cursor_draft(
                    told.policy, places[told.policy.id], told,
                    actions=len(made), day=day, day_actions=total,
                )
            )  # fmt: skip
            after.append((told, place))
        if len(drafts) > _APPEND_MAX and len(verdicts) > 1:
            return await self._one_by_one(verdicts, places, now=now, manifest=manifest)
        try:
            await self._writer.append(drafts, tenant=self._tenant)
        except Conflict:
            return None
        except LoglineError as refusal:
            if refusal.retryable:
                raise
            if len(verdicts) > 1:
                return await self._one_by_one(verdicts, places, now=now, manifest=manifest)
            return await self._narrowed(verdicts[0], refusal, places, now=now, manifest=manifest)
        for told, place in after:
            places[told.policy.id] = place
        return [told for told, _ in after]

    async def _one_by_one(
        self,
        verdicts: Sequence[Verdict],
        places: dict[UUID, Place],
        *,
        now: datetime,
        manifest: Manifest,
    ) -> list[Verdict] | None:
        done: list[Verdict] = []
        for verdict in verdicts:
            told = await self._append([verdict], places, now=now, manifest=manifest)
            if told is None:
                return None
            done += told
        return done

    async def _narrowed(
        self,
        verdict: Verdict,
        refusal: LoglineError,
        places: dict[UUID, Place],
        *,
        now: datetime,
        manifest: Manifest,
    ) -> list[Verdict] | None:
        """Find the record whose actions the ledger refuses; tell it, and commit the rest."""
        if len(verdict.said) > 1:
            half = len(verdict.said) // 2
            at = verdict.said[half][0].position or verdict.end
            end = verdict.end if verdict.tick is not None else at
            first = msgspec.structs.replace(
                verdict, said=verdict.said[:half], end=end, fault=None, evaluated=0
            )
            second = msgspec.structs.replace(verdict, said=verdict.said[half:], start=end)
            parts = [first, second]
            return await self._one_by_one(parts, places, now=now, manifest=manifest)
        if not verdict.said:
            raise refusal
        ((span, _),) = verdict.said
        denial = Denial(
            law="policy.refused",
            said=Text(refusal.describe("pt")[:500], refusal.describe("en")[:500]),
        )
        policy, place = verdict.policy, places[verdict.policy.id]
        drafts = await self._new_of([violation(policy, [(span, denial)], code=refusal.code)])
        if not drafts and verdict.fault is None:
            return [verdict]
        if verdict.fault is not None:
            drafts += _quarantine(verdict, verdict.fault)
        day = f"{now:%Y-%m-%d}"
        total = place.actions if place.day == day else 0
        drafts.append(
            cursor_draft(policy, place, verdict, actions=len(drafts), day=day, day_actions=total)
        )
        try:
            await self._writer.append(drafts, tenant=self._tenant)
        except Conflict:
            return None
        places[policy.id] = _moved(place, verdict, day=day, actions=total)
        return [verdict]

    async def latest(self, ids: Sequence[UUID] | set[UUID]) -> list[Record]:
        """Return the latest event of each of these entities that is there."""
        if not ids:
            return []
        async with asking(self._writer.pool) as connection:
            asked = {"tenant": self._tenant, "ids": list(ids)}
            cursor = await connection.execute(_SQL["latest_events"], asked)
            return [record_of(row) for row in await cursor.fetchall()]

    async def _new_of(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Leave out lives that have begun already: what was said of a record is said once."""
        firsts = {draft.id for draft in drafts if draft.id is not None and draft.seq == 0}
        present = await self._present(firsts)
        return [draft for draft in drafts if draft.seq != 0 or draft.id not in present]

    async def _present(self, ids: set[UUID]) -> set[UUID]:
        if not ids:
            return set()
        async with asking(self._writer.pool) as connection:
            asked = {"tenant": self._tenant, "ids": list(ids)}
            cursor = await connection.execute(_SQL["present_entities"], asked)
            return {row[0] for row in await cursor.fetchall()}


def _with_quota(
    verdict: Verdict, made: Sequence[Draft], place: Place, now: datetime
) -> tuple[Verdict, Place]:
    """Count a policy's actions of the day; too many of them are a fault."""
    day = f"{now:%Y-%m-%d}"
    total = len(made) + (place.actions if place.day == day else 0)
    if total > ACTIONS_A_DAY_MAX and verdict.fault is None and verdict.said:
        message = f"{total} actions on {day}; at most {ACTIONS_A_DAY_MAX}"
        error = ProgramError(type="TooManyActions", message=message, limit="size")
        fault = Fault(span=verdict.said[-1][0], error=error)
        verdict = msgspec.structs.replace(verdict, fault=fault)
    return verdict, _moved(place, verdict, day=day, actions=total)


def _moved(place: Place, verdict: Verdict, *, day: str, actions: int) -> Place:
    is_tick = verdict.tick is not None
    return Place(
        position=place.position if is_tick else max(place.position, verdict.end),
        seq=place.seq + 1,
        tick=place.tick if verdict.tick is None else verdict.tick,
        day=day,
        actions=actions,
    )


def _quarantine(verdict: Verdict, fault: Fault) -> list[Draft]:
    """Say that a policy failed, in a violation and in its own life."""
    policy, error = verdict.policy, fault.error
    what = f"{error.type}: {error.message}"[:300]
    where = f" ({', '.join(error.where[-3:])})" if error.where else ""
    denial = Denial(
        law="policy.failed",
        said=Text(
            f"a política {policy.name} falhou e fica de quarentena: {what}{where}",
            f"the policy {policy.name} failed and is quarantined: {what}{where}",
        ),
    )
    details = {"error": msgspec.to_builtins(error), "position": fault.span.position}
    return [
        violation(policy, [(fault.span, denial)], **details),
        quarantine_draft(policy, fault, reason=what),
    ]
