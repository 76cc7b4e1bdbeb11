"""The policies of one tenant at work: two lanes over its log, and a turn each minute.

In front, all policies are asked about the same batch at once. One that is slow, or begins far
back, goes on behind the others at its own pace; each minute those that need time to pass are asked
about what they need.

Always holds: a policy is in one lane at a time; the front waits at most `PATIENCE_S` for anyone;
what comes after a record of the law is judged by the new law.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from loglineos.base.errors import InvalidInput, LoglineError, Pushback, Refused, RunnerLost
from loglineos.database.queries import Queries
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.following import BATCH_ROWS, Batch, Bell, Cursors, Lag, Log, asking, tend
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.policy.commits import Commits
from loglineos.runtime.policy.judging import Verdict, judge
from loglineos.runtime.policy.places import Place, by_id, place_of
from loglineos.runtime.policy.policies import Policy, policy_of, shown_to, span_of
from loglineos.runtime.policy.programs import program_of
from loglineos.runtime.sandbox.runners import Runners

_SQL: Final = Queries.load("loglineos.runtime.policy", "policies.sql")
FRONT: Final = "policies"
"""The name of the agent's own cursor: no policy but those behind has less to look at."""
PATIENCE_S: Final = 1.0
"""How long a batch waits for one policy; then it goes on behind the others."""
LOSSES_MAX: Final = 3
"""How often a policy may lose its runner; then that counts as failing."""
CONFLICTS_MAX: Final = 20
"""How often another agent may have been first, one time after the other, before a pause."""
NEEDED_MAX: Final = 500
"""Records that a policy is shown in one minute's turn for each of its needs."""
_MINUTE_S: Final = 60
_LAW: Final = frozenset({"policy", "manifest", "prelude"})


class TenantPolicies:
    """The policies of one tenant at work."""

    def __init__(
        self,
        tenant: str,
        *,
        writer: Writer,
        log: Log,
        cursors: Cursors,
        runners: Runners,
        laws: Laws,
        patience_s: float | None = PATIENCE_S,
    ) -> None:
        """Work in `tenant`; `patience_s` None waits for every policy, however slow it is."""
        self.tenant = tenant
        self.front: int | None = None
        self.head = 0
        self.active: dict[UUID, Policy] = {}
        self.places: dict[UUID, Place] = {}
        self.fell_behind = Bell()
        self._writer = writer
        self._log = log
        self._cursors = cursors
        self._runners = runners
        self._laws = laws
        self._patience_s = patience_s
        self._manifest = Manifest()
        self._is_stale = True
        self._slow: dict[UUID, asyncio.Task[Verdict]] = {}
        self._losses: dict[UUID, int] = {}
        self._conflicts = 0
        self._ahead: tuple[int, asyncio.Task[Batch]] | None = None
        self._seen: dict[tuple[UUID, int], int] = {}
        self._commits = Commits(tenant, writer=writer, judges=laws)

    @property
    def lags(self) -> list[Lag]:
        """How far behind the head of the log the agent and each policy are."""
        front = self.front or 0
        found = [Lag(tenant=self.tenant, name=FRONT, position=front, head=max(self.head, front))]
        for policy in self.active.values():
            at = self.places[policy.id].position
            name = f"policy/{policy.name}"
            found.append(Lag(tenant=self.tenant, name=name, position=at, head=max(self.head, at)))
        return found

    async def step(self) -> bool:
        """Take the next batch with all policies that are not behind; tell whether there was one.

        Raises:
            LoglineError: not now; nothing was done that a repeat would do twice.
        """
        if self._is_stale and not await self._refresh():
            return False
        assert self.front is not None
        batch = await self._read_on(self.front)
        self.head = batch.head
        if not batch.records:
            return False
        records = self._until_law_changes(batch.records)
        end = batch.start + len(records)
        members = [
            policy
            for policy in self.active.values()
            if policy.id not in self._slow and self.places[policy.id].position >= self.front
        ]
        verdicts = await self._ask_all(members, batch, records, end)
        if not await self._commit(verdicts, now=_newest(records), places={FRONT: end}):
            self._is_stale = True
            return True
        self.front = end
        if self._behind():
            self.fell_behind.ring()
        return True

    async def _read_on(self, position: int) -> Batch:
        """Read the next batch, and begin to read the one after it while this one is judged."""
        ahead, self._ahead = self._ahead, None
        batch: Batch | None = None
        if ahead is not None and ahead[0] == position:
            with suppress(LoglineError):  # asked again below
                batch = await ahead[1]
        elif ahead is not None:
            ahead[1].cancel()
        if batch is None or not batch.records:
            batch = await self._log.read(self.tenant, position)
        if len(batch.records) == BATCH_ROWS:
            task = asyncio.create_task(self._log.read(self.tenant, batch.end), name="read ahead")
            self._ahead = (batch.end, task)
        return batch

    async def step_behind(self) -> bool:
        """Let each policy that is behind take a turn; tell whether any still is."""
        failures: list[LoglineError] = []
        for policy in self._behind():
            try:
                verdict = await self._ask_behind(policy)
                done = verdict is None or await self._commit(
                    [verdict], now=self._writer.clock.now()
                )
                self._is_stale = self._is_stale or not done
            except RunnerLost as failure:
                self._losses[policy.id] = self._losses.get(policy.id, 0) + 1
                failures.append(failure)
            except LoglineError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        return bool(self._behind())

    async def tick(self, now: datetime | None = None) -> None:
        """Ask the policies that need time to pass, once for the minute of `now`."""
        if self._is_stale and not await self._refresh():
            return
        minute = int((now or self._writer.clock.now()).timestamp()) // _MINUTE_S
        instant = datetime.fromtimestamp(minute * _MINUTE_S, UTC)
        for policy in list(self.active.values()):
            place = self.places[policy.id]
            if not policy.on_tick or place.tick >= minute:
                continue
            shown = [(record, span_of(record)) for record in await self._needed(policy)]
            program = await program_of(self._laws, policy, self._manifest, frozen_at=instant)
            verdict = await judge(
                self._runners, program, policy, shown, start=place.position, end=place.position,
                actions_per_span_max=self._manifest.limits.actions_per_span_max, tick=minute,
                loses_runners=self._losses.get(policy.id, 0) >= LOSSES_MAX,
            )  # fmt: skip
            self._is_stale = not await self._commit([verdict], now=instant) or self._is_stale

    async def catch_up(self) -> int:
        """Work until there is nothing left to look at; return the position that was reached."""
        while True:
            has_more = await self.step()
            if self._behind():
                has_more = await self.step_behind() or has_more
            if not has_more and not self._is_stale:
                return self.front or 0
            if not has_more and not await self._refresh():
                return self.front or 0

    async def run(self, bell: Bell) -> None:
        """Work for ever; ends by cancelling."""
        name = f"policies of {self.tenant}"
        behind = tend(self.step_behind, bell=self.fell_behind, name=f"{name}, behind")
        ticking = tend(self._ticked, bell=Bell(), name=f"{name}, each minute", s_max=self._rest)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(tend(self.step, bell=bell, name=name))
                group.create_task(behind)
                group.create_task(ticking)
        finally:
            begun = [*self._slow.values(), *([self._ahead[1]] if self._ahead else [])]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    async def _ticked(self) -> bool:
        await self.tick()
        return False

    def _rest(self) -> float:
        """How many seconds it is to the next minute."""
        return _MINUTE_S - self._writer.clock.now().timestamp() % _MINUTE_S

    def _behind(self) -> list[Policy]:
        front = self.front or 0
        return [
            policy
            for policy in self.active.values()
            if policy.id in self._slow or self.places[policy.id].position < front
        ]

    async def _ask_all(
        self, members: Sequence[Policy], batch: Batch, records: Sequence[Record], end: int
    ) -> list[Verdict]:
        shown = shown_to(
            members, records, depth_max=self._manifest.limits.depth_max, depth_of=depth_of
        )
        now = _newest(records)
        verdicts: list[Verdict] = []
        asked: dict[asyncio.Task[Verdict], Policy] = {}
        for policy in members:
            first = self.places[policy.id].position
            wanted = [one for one in shown[policy.id] if (one[0].position or 0) >= first]
            if not wanted:
                at = max(end, first)
                verdicts.append(Verdict(policy=policy, start=max(batch.start, first), end=at))
                continue
            asking_it = self._judged(
                policy, wanted, start=max(batch.start, first), end=end, now=now
            )
            asked[asyncio.create_task(asking_it, name=f"policy {policy.name}")] = policy
        if asked:
            done, slow = await asyncio.wait(asked, timeout=self._patience_s)
            self._slow.update({asked[task].id: task for task in slow})
            for task in (one for one in asked if one in done):
                failure = task.exception()
                if failure is None:
                    verdicts.append(task.result())
                elif not isinstance(failure, LoglineError):
                    raise failure
                elif isinstance(failure, RunnerLost):
                    which = asked[task].id
                    self._losses[which] = self._losses.get(which, 0) + 1
        return verdicts

    async def _ask_behind(self, policy: Policy) -> Verdict | None:
        """Ask one policy about what it has missed; None: its version is no longer in force."""
        task = self._slow.pop(policy.id, None)
        if task is not None:
            verdict = await task
            return verdict if verdict.policy.function.hash == policy.function.hash else None
        start = self.places[policy.id].position
        batch = await self._log.read(self.tenant, start)
        records = [one for one in batch.records if (one.position or 0) < (self.front or 0)]
        if not records:
            return None
        shown = shown_to(
            [policy], records, depth_max=self._manifest.limits.depth_max, depth_of=depth_of
        )[policy.id]
        end = start + len(records)
        return await self._judged(policy, shown, start=start, end=end, now=_newest(records))

    async def _judged(
        self,
        policy: Policy,
        shown: list[tuple[Record, bytes]],
        *,
        start: int,
        end: int,
        now: datetime,
    ) -> Verdict:
        program = await program_of(self._laws, policy, self._manifest, frozen_at=now)
        verdict = await judge(
            self._runners, program, policy, shown, start=start, end=end,
            actions_per_span_max=self._manifest.limits.actions_per_span_max,
            loses_runners=self._losses.get(policy.id, 0) >= LOSSES_MAX,
        )  # fmt: skip
        self._losses.pop(policy.id, None)
        return verdict

    async def _commit(
        self, verdicts: Sequence[Verdict], *, now: datetime, places: dict[str, int] | None = None
    ) -> bool:
        """Append what follows, move everybody on; False: somebody else has moved them already."""
        done = await self._commits.commit(verdicts, self.places, now=now, manifest=self._manifest)
        if done is None:
            self._conflicts += 1
            if self._conflicts > CONFLICTS_MAX:
                raise Pushback(retry_after_s=1)
            return False
        self._conflicts = 0
        for verdict in done:
            if verdict.fault is not None:
                self.active.pop(verdict.policy.id, None)
                self._is_stale = True
        moved = dict(places or {})
        for verdict in done:
            policy = verdict.policy
            if verdict.tick is not None:
                moved[f"{policy.place}/tick"] = verdict.tick
            else:
                moved[policy.place] = verdict.end
        await self._cursors.move(self.tenant, moved)
        return True

    async def _refresh(self) -> bool:
        """Learn which policies there are and where they stand; False: the house has no law yet."""
        try:
            await self._laws.refresh(self.tenant)  # what was just read may be newer than it
            self._manifest = await self._laws.manifest(self.tenant)
            functions = await self._laws.policies(self.tenant)
        except Refused:
            return False
        first = await self._first_positions()
        found = {}
        for function in functions:
            try:
                policy = policy_of(function, first_position=first.get(function.id, 0))
            except InvalidInput:
                continue  # it says nothing that could be followed, so it is not followed
            if policy.state == "active":
                found[policy.id] = policy
        cursors = by_id(await self.latest([policy.cursor_id for policy in found.values()]))
        rows = await self._log.places(self.tenant, prefix="polic")
        self.places = {
            policy.id: place_of(policy, cursors.get(policy.cursor_id), rows)
            for policy in found.values()
        }
        self.active = found
        if self.front is None:
            starts = [place.position for place in self.places.values()]
            size = await self._log.size(self.tenant)
            begins = rows.get(FRONT, min(starts, default=size))
            self.front = await self._cursors.begin(self.tenant, FRONT, begins)
        self._is_stale = False
        return True

    async def latest(self, ids: Sequence[UUID]) -> list[Record]:
        """Return the latest event of each of these entities that is there."""
        return await self._commits.latest(ids)

    async def _first_positions(self) -> dict[UUID, int]:
        async with asking(self._writer.pool) as connection:
            cursor = await connection.execute(_SQL["first_positions"], {"tenant": self.tenant})
            return {row[0]: int(row[1]) for row in await cursor.fetchall()}

    async def _needed(self, policy: Policy) -> list[Record]:
        """Return what a policy needs to look at; where there is much, the next part of it."""
        found: dict[UUID, Record] = {}
        for place, clause in enumerate(policy.needs):
            after = self._seen.get((policy.id, place), -1)
            asked = {
                "tenant": self.tenant, "after": after, "rows_max": NEEDED_MAX,
                "statuses": clause.of("status"), "entity_types": clause.of("entity_type"),
            }  # fmt: skip
            async with asking(self._writer.pool) as connection:
                cursor = await connection.execute(_SQL["find_needed"], asked)
                records = [record_of(row) for row in await cursor.fetchall()]
            is_all = len(records) < NEEDED_MAX
            last = -1 if is_all else (records[-1].position or 0)
            self._seen[(policy.id, place)] = last
            found.update({record.id: record for record in records if clause.fits(record)})
        return list(found.values())[:NEEDED_MAX]

    def _until_law_changes(self, records: Sequence[Record]) -> Sequence[Record]:
        """Cut a batch after a record of the law: what comes then is for the new law to judge."""
        for count, record in enumerate(records, start=1):
            if record.entity_type in _LAW:
                self._is_stale = True
                return records[:count]
        return records


def _newest(records: Sequence[Record]) -> datetime:
    return max(record.recorded_at or record.at for record in records)
