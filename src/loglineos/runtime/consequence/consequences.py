"""Consequences: when a record reaches ok, doubt or not, what it promised for that runs, once.

    read a batch → for each record that took a branch: resolve its promise → append all at once

What follows has an id derived from the record and the branch, and is appended only where it is not
there yet: a crash, a repeat or a second follower changes nothing. What a promise means is learned
from people: an unresolved one asks (`intent`), and a person's `confirm` with `details.function` (or
a note) says it for this time and the next.

Always holds: what the house wrote before its consequences began, or tells of times before that,
fires nothing; a chain ends at the manifest's depth with a record that says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from loglineos.base.errors import LoglineError, Refused
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.status import Branch
from loglineos.ledger.writer import Writer
from loglineos.runtime.consequence import drafts
from loglineos.runtime.consequence.branches import branch_of, promised
from loglineos.runtime.consequence.ghosts import (
    closing_draft,
    is_by_human,
    question_draft,
    question_id,
)
from loglineos.runtime.definitions import ALIAS, learn_alias
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.following import (
    Batch,
    Bell,
    Cursors,
    Follower,
    Lag,
    Log,
    Start,
    Watch,
    asking,
)
from loglineos.runtime.functions import Function, as_said
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import Manifest

_SQL: Final = Queries.load("loglineos.runtime.consequence", "consequences.sql")
NAME: Final = "consequences"
AUTOCORRECT: Final = "autocorrect"
_INTENTS_PAGE: Final = 200
_NAMING: Final = frozenset({"function", ALIAS})


class TenantConsequences:
    """The consequences of one tenant."""

    def __init__(
        self, tenant: str, *, writer: Writer, log: Log, cursors: Cursors, laws: Laws, start: Start
    ) -> None:
        self.tenant = tenant
        self._writer = writer
        self._log = log
        self._cursors = cursors
        self._laws = laws
        self._start: Start = start
        self._began: datetime | None = None
        self._functions: dict[str, Function | Refused | None] = {}
        self.follower = Follower(
            NAME, tenant=tenant, handle=self.follow_up, log=log, cursors=cursors, start=start
        )

    async def follow_up(self, batch: Batch) -> None:
        """Append what follows from a batch of records.

        Raises:
            Refused: the house has no lawful manifest.
            LoglineError: not now; a repeat appends nothing twice.
        """
        brings_names = any(one.entity_type in _NAMING for one in batch.records)
        if brings_names:
            await self._laws.refresh(self.tenant)  # what was just read may be newer than it
        manifest = await self._laws.manifest(self.tenant)
        began = await self._beginning()
        self._functions.clear()
        found = [
            await self._of(record, manifest)
            for record in batch.records
            if began is None or record.at >= began or record.entity_type == "intent"
        ]
        if brings_names:
            found += await self._sweep()
        await self._append([group for group in found if group])

    async def _of(self, record: Record, manifest: Manifest) -> list[Draft]:
        if record.entity_type == "intent":
            return await self._chosen(record)
        if record.status == "ghost":
            return [question_draft(record)] if is_by_human(record) else []
        found: list[Draft] = []
        if record.seq > 0 and (record.metadata or {}).get("gesture") == "complete":
            found += await self._closed(record)
        branch = branch_of(record)
        if branch is None:
            return found
        text = promised(record, branch)
        if text is not None:
            found.append(await self._draft(record, branch, text, manifest))
        elif record.status == "denied":
            found.append(drafts.ignored_draft(record))
        if record.status == "failed" and manifest.autocorrect:
            found += await self._autocorrection(record, manifest)
        return found

    async def _draft(self, record: Record, branch: Branch, text: str, manifest: Manifest) -> Draft:
        if depth_of(record) + 1 > manifest.limits.depth_max:
            return drafts.loop_draft(record, branch, text, manifest.limits.depth_max)
        function = await self._resolve(text)
        if isinstance(function, Refused):
            return drafts.refusal_draft(record, branch, text, _words(function))
        if function is None:
            return drafts.intent_draft(record, branch, text)
        return drafts.run_draft(record, branch, text, function)

    async def _autocorrection(self, record: Record, manifest: Manifest) -> list[Draft]:
        if depth_of(record) + 1 > manifest.limits.depth_max:
            return []  # the loop was told with its promise, or will be
        function = await self._resolve(AUTOCORRECT)
        if function is None or isinstance(function, Refused):
            return []
        return [drafts.autocorrect_draft(record, function)]

    async def _resolve(self, text: str) -> Function | Refused | None:
        """Find out, once for each batch, which function a text means."""
        name = as_said(text)
        if name not in self._functions:
            try:
                self._functions[name] = await self._laws.resolve(self.tenant, text)
            except Refused as refusal:
                self._functions[name] = refusal
        return self._functions[name]

    async def _closed(self, ghost: Record) -> list[Draft]:
        questions = await self._latest([question_id(ghost.id)])
        return [closing_draft(one, ghost) for one in questions if one.status == "waiting"]

    async def _chosen(self, record: Record) -> list[Draft]:
        """Run what a person says that an intent means, and remember it."""
        if record.status != "confirmed" or (record.metadata or {}).get("gesture") != "confirm":
            return []
        (first,) = await self._events([(record.id, 0)])
        asked = drafts.asked_by(first)
        if asked is None:
            return []  # somebody else's word for something else
        told = record.details or {}
        choice = told.get("function") or told.get("note")
        function = await self._resolve(choice) if isinstance(choice, str) else None
        if function is None or isinstance(function, Refused):
            error = {"code": "function.unknown", "message": str(choice or "")[:200]}
            failed = drafts.intent_event(
                record, asked, seq=record.seq + 1, status="failed", did="answer", error=error
            )
            again = drafts.intent_event(
                record, asked, seq=record.seq + 2, status="pending", did="ask_meaning"
            )
            return [failed, again]
        await learn_alias(
            self._writer, self.tenant, asked["text"], function=function.id, who=drafts.WHO,
            cause=record.id,
        )  # fmt: skip
        return await self._settled(record, asked, function, by=record.who)

    async def _settled(
        self, intent: Record, asked: dict[str, Any], function: Function, *, by: str | None
    ) -> list[Draft]:
        """Run what an intent stood for, and end the intent."""
        sources = await self._events([(UUID(asked["record"]), int(asked["seq"]))])
        runs = [drafts.run_draft(one, asked["branch"], asked["text"], function) for one in sources]
        done = drafts.intent_event(
            intent, asked, seq=intent.seq + 1, status="executed", did="resolve",
            function=str(function.id), chosen_by=by,
        )  # fmt: skip
        return [*runs, done]

    async def _sweep(self) -> list[list[Draft]]:
        """Look again at what nobody could tell the meaning of: there are new names."""
        found: list[list[Draft]] = []
        after = -1
        while True:
            asked = {"tenant": self.tenant, "after": after, "rows_max": _INTENTS_PAGE}
            intents = await self._rows("pending_intents", asked)
            for intent in intents:
                told = drafts.asked_by(intent)
                if told is None:
                    continue
                function = await self._resolve(str(told["text"]))
                if function is not None and not isinstance(function, Refused):
                    found.append(await self._settled(intent, told, function, by=None))
            if len(intents) < _INTENTS_PAGE:
                return found
            after = intents[-1].position or 0

    async def _append(self, groups: Sequence[Sequence[Draft]]) -> None:
        """Append all at once; where the ledger refuses something, all but that."""
        if not groups:
            return
        try:
            await self._writer.append(
                [draft for group in groups for draft in group], tenant=self.tenant, if_absent=True
            )
        except LoglineError as refusal:
            if refusal.retryable:
                raise
            if len(groups) > 1:
                half = len(groups) // 2
                await self._append(groups[:half])
                await self._append(groups[half:])
                return
            await self._tell(groups[0], refusal)

    async def _tell(self, group: Sequence[Draft], refusal: LoglineError) -> None:
        first = group[0]
        sources = await self._latest([first.cause_id]) if first.cause_id is not None else []
        for source in sources:
            branch: Branch = first.branch or "ok"
            said = drafts.refusal_draft(source, branch, first.name or "", _words(refusal))
            await self._writer.append([said], tenant=self.tenant, if_absent=True)

    async def _beginning(self) -> datetime | None:
        """Return the instant before which nothing fires: when the consequences began here."""
        if self._start == "beginning" or self._began is not None:
            return self._began
        first = await self._cursors.begin(self.tenant, f"{NAME}/start", await self.follower.begin())
        before = await self._log.read(self.tenant, max(0, first - 1), rows_max=1)
        self._began = before.records[0].recorded_at if before.records else None
        return self._began

    async def _events(self, wanted: Sequence[tuple[UUID, int]]) -> list[Record]:
        ids, seqs = [one for one, _ in wanted], [seq for _, seq in wanted]
        return await self._rows("events_named", {"tenant": self.tenant, "ids": ids, "seqs": seqs})

    async def _latest(self, ids: Iterable[UUID]) -> list[Record]:
        return await self._rows("latest_events", {"tenant": self.tenant, "ids": list(ids)})

    async def _rows(self, name: str, asked: dict[str, Any]) -> list[Record]:
        async with asking(self._writer.pool) as connection:
            cursor = await connection.execute(_SQL[name], asked)
            return [record_of(row) for row in await cursor.fetchall()]


class Consequences:
    """The consequences of every tenant of a node. Any number may run on one database."""

    def __init__(
        self,
        writer: Writer,
        *,
        pool: Pool,
        laws: Laws,
        hints: Callable[[], AsyncIterator[str]] | None = None,
        start: Start = "head",
    ) -> None:
        """Append through `writer`, keep places through `pool` (role logline_appender).

        `start` is for a tenant that has no place yet: "head" leaves alone what is there already and
        what tells of times before; "beginning" fires it all. `hints` as `Node.grown`.
        """
        self._writer = writer
        self._log = Log(writer.pool)
        self._cursors = Cursors(pool, clock=writer.clock)
        self._laws = laws
        self._hints = hints
        self._start: Start = start
        self._tenants: dict[str, TenantConsequences] = {}

    @property
    def lags(self) -> list[Lag]:
        """How far behind each log they are, as far as they have looked."""
        return [one.follower.lag for one in self._tenants.values()]

    async def run(self) -> None:
        """Follow every tenant for ever; ends by cancelling."""
        await Watch(self._log, self._follow, hints=self._hints).run()

    async def begin(self, tenant: str) -> int:
        """Take the first place in a tenant's log now, if there is none; return the place."""
        return await self.of(tenant).follower.begin()

    async def catch_up(self, tenant: str) -> int:
        """Append what follows from all that is there; return the position reached."""
        return await self.of(tenant).follower.catch_up()

    def of(self, tenant: str) -> TenantConsequences:
        """Return the consequences of one tenant."""
        if tenant not in self._tenants:
            self._tenants[tenant] = TenantConsequences(
                tenant, writer=self._writer, log=self._log, cursors=self._cursors,
                laws=self._laws, start=self._start,
            )  # fmt: skip
        return self._tenants[tenant]

    async def _follow(self, tenant: str, bell: Bell) -> None:
        await self.of(tenant).follower.run(bell)


def _words(failure: LoglineError) -> Text:
    return Text(failure.describe("pt")[:500], failure.describe("en")[:500])
