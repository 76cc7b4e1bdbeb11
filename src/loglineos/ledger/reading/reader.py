"""The reader: the timeline and the lives of entities, as one viewer may see them.

Every question is asked as `logline_app` under row-level security, in the name of the viewer; no
answer needs a right that the viewer has not. Trust boundary: the viewer's tenant, actor and role
are what the node says they are: the faces establish them (token, key) before a `Reader` exists,
and whoever may run SQL as `logline_app` may name any viewer.
Always holds: records come in the order of their positions; a page is one moment of the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from loglineos.base.errors import InvalidInput, NotFound, UnknownTenant, shape_of
from loglineos.base.language import Language, Text
from loglineos.database.failures import as_error
from loglineos.database.notify import Hint
from loglineos.database.pool import Connection, Isolation, Pool, reading
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.logline import explain
from loglineos.ledger.reading import overview, short_ids
from loglineos.ledger.reading.changes import Event, events_of
from loglineos.ledger.reading.filters import Filter, checked
from loglineos.ledger.reading.follower import follow, polled
from loglineos.ledger.reading.overview import Ghosts, Stats
from loglineos.ledger.reading.pages import page_of, within
from loglineos.ledger.reading.runs import span_of
from loglineos.ledger.record import Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.status import Action, allowed_actions

_SQL: Final = Queries.load("loglineos.ledger.reading", "reader.sql")
STAFF: Final = frozenset({"owner", "manager", "operator", "auditor"})
"""Roles that read what is visible to the house; `app.is_staff()` in the database is the same."""
_EVERYTHING: Final = Filter()


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who reads: an actor of a tenant, in a role of `trust.ROLES`."""

    tenant: str
    actor: str
    role: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some records in order. `next` continues it: `before` (newest first) or `after` (oldest)."""

    records: tuple[Record, ...]
    next: int | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what a person may do with it now, and why it is a ghost, in their language."""

    record: Record
    is_latest: bool
    actions: tuple[Action, ...]
    ghost_reason: str | None


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a tenant's log; `signed_*` is its last checkpoint, None before the first."""

    tenant: str
    size: int
    root: bytes
    updated_at: datetime
    signed_size: int | None
    signed_at: datetime | None


class Reader:
    """Reads one tenant in the name of one viewer; cheap to make, holds no connection."""

    def __init__(
        self,
        pool: Pool,
        *,
        viewer: Viewer,
        hints: Callable[[], AsyncIterable[Hint]] | None = None,
    ) -> None:
        """Read through `pool`, whose connections are `logline_app`.

        `hints` opens a stream that wakes `follow` (see `follower`); without it, it looks each
        second.
        """
        self._pool = pool
        self.viewer: Final = viewer
        self._hints = hints or polled

    async def get(self, entity: UUID, *, seq: int | None = None) -> Record:
        """Return one event of an entity; without `seq` the latest that the viewer may see.

        Raises:
            NotFound: no such event, or not for these eyes.
        """
        asked = {**self._tenant, "id": entity, "seq": seq}
        row = await self._row("event_of", asked)
        if row is None:
            which = str(entity) if seq is None else f"{entity}/{seq}"
            raise NotFound(what=_RECORD, which=which)
        return record_of(row)

    async def at(self, position: int) -> Record:
        """Return the record at a position of the log.

        Raises:
            NotFound: the log is shorter, or the record is not for these eyes.
        """
        asked = {**self._tenant, "position": within(position, "position")}
        row = await self._row("event_at", asked)
        if row is None:
            raise NotFound(what=_POSITION, which=str(position))
        return record_of(row)

    async def history(
        self, entity: UUID, *, seq_from: int = 0, limit: int = limits.page_rows_max
    ) -> tuple[Event, ...]:
        """Return the life of an entity in order, each event with what it changed.

        At most `limit` events from `seq_from` on; the first of them is compared with the one
        before it. Events that the viewer may not see are left out, and not compared with.

        Raises:
            NotFound: no event that the viewer may see.
        """
        asked = {
            **self._tenant, "id": entity, "seq_from": max(0, seq_from - 1),
            "rows_max": _row_count(limit) + (seq_from > 0),
        }  # fmt: skip
        rows = await self._rows("events_of", asked)
        events = events_of([record_of(row) for row in rows])
        told = tuple(event for event in events if event.record.seq >= seq_from)
        if not told:
            raise NotFound(what=_ENTITY, which=str(entity))
        return told

    async def timeline(
        self,
        wanted: Filter = _EVERYTHING,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
        oldest_first: bool = False,
    ) -> Page:
        """Return a page of the visible timeline, newest first by position.

        `before` and `after` are positions, exclusive; `limit` 1 to `limits.page_rows_max`.
        Tombstones are hidden. A repeat of a page with the same `before` gives the same records, but
        for `latest` and `ghosts`, which say what is so now.

        Raises:
            InvalidInput, UnknownName: the filter or a bound makes no sense.
        """
        async with self._asking() as connection:
            records = await self._page_of(
                connection, checked(wanted), before=before, after=after,
                rows=_row_count(limit) + 1, oldest_first=oldest_first,
            )  # fmt: skip
        kept = tuple(records[:limit])
        return Page(records=kept, next=kept[-1].position if len(records) > limit else None)

    async def find(self, text: str) -> Record:
        """Return the record that a person means: an id, the beginning of one, or a position.

        `@12`, and digits without a leading zero, are position 12 if there is one; otherwise at
        least 6 hexadecimal digits (hyphens do not count) must begin exactly one entity's id. The
        latest event is returned; `…/3` names one event.

        Raises:
            InvalidInput: neither form, or several entities begin like this.
            NotFound: nothing there for these eyes.
        """
        meant = short_ids.parse(text)
        if meant.position is not None:
            try:
                return await self.at(meant.position)
            except NotFound:
                if meant.first is None:
                    raise
        assert meant.first is not None, "an id or a position"
        assert meant.last is not None
        if meant.first == meant.last:
            return await self.get(meant.first, seq=meant.seq)
        asked = {**self._tenant, "first": meant.first, "last": meant.last}
        found = [row[0] for row in await self._rows("entities_between", asked)]
        if not found:
            raise NotFound(what=_RECORD, which=text)
        if len(found) > 1:
            raise short_ids.ambiguous(text, found)
        return await self.get(found[0], seq=meant.seq)

    async def with_actions(self, record: Record, *, language: Language) -> Told:
        """Return a record with the actions that it allows; none unless it is the latest event."""
        (told,) = await self.all_with_actions([record], language=language)
        return told

    async def all_with_actions(
        self, records: Sequence[Record], *, language: Language
    ) -> tuple[Told, ...]:
        """Return records with their actions, by one question for all of them.

        An auditor reads and verifies; nobody offers them an action.
        """
        ids = list({record.id for record in records})
        rows = await self._rows("latest_seqs", {**self._tenant, "ids": ids})
        latest = {row[0]: row[1] for row in rows}
        return tuple(self._told(record, latest.get(record.id), language) for record in records)

    async def ghosts(self, *, limit: int = 50) -> Ghosts:
        """Return the open ghosts: how many miss what, and the oldest `limit` of them in order."""
        rows_max = _row_count(limit)
        async with self._asking(isolation="REPEATABLE READ") as connection:
            groups = await overview.ghost_groups(connection, tenant=self.viewer.tenant)
            oldest = await self._page_of(
                connection, Filter(ghosts=True), before=None, after=None, rows=rows_max,
                oldest_first=True,
            )  # fmt: skip
        return Ghosts(groups=groups, oldest=tuple(oldest))

    async def stats(
        self, wanted: Filter = _EVERYTHING, *, zone: str = "UTC", top: int = 20
    ) -> Stats:
        """Count what a filter lets through, by status, who, did, confirmed_by and day in `zone`.

        Each distribution holds its `top` most frequent values. Reads every record that the filter
        lets through: about a second for a million.

        Raises:
            UnknownName: no such time zone; InvalidInput: the filter makes no sense.
        """
        async with self._asking(isolation="REPEATABLE READ") as connection:
            tenant = self.viewer.tenant
            return await overview.stats(
                connection, checked(wanted), tenant=tenant, zone=zone, top=_row_count(top),
                span=await span_of(connection, wanted, tenant=tenant),
            )  # fmt: skip

    async def head(self) -> LogHead:
        """Return the head of the tenant's log.

        Raises:
            UnknownTenant: this node has no such tenant.
        """
        row = await self._row("head_of_log", self._tenant)
        if row is None:
            raise UnknownTenant(which=self.viewer.tenant)
        return LogHead(
            tenant=self.viewer.tenant, size=row[0], root=bytes(row[1]), updated_at=row[2],
            signed_size=row[3], signed_at=row[4],
        )  # fmt: skip

    def follow(
        self, wanted: Filter = _EVERYTHING, *, from_position: int | None = None
    ) -> AsyncIterator[Record]:
        """Yield every record of a filter from a position on, for ever; None: from now on.

        Each record once and in order, also across restarts of the database; ends by closing the
        iterator or cancelling its task. `latest` and `ghosts` judge a record when it passes by.

        Raises:
            InvalidInput, UnknownName: the filter makes no sense.
            LoglineError: the database refuses for a reason that waiting does not change.
        """
        return follow(
            self._read_on, checked(wanted), hints=self._hints, from_position=from_position
        )

    async def _read_on(
        self, wanted: Filter, position: int | None, rows: int
    ) -> tuple[list[Record], int]:
        """Read what is there from `position` on; return it and the position to go on from."""
        async with self._asking(isolation="REPEATABLE READ") as connection:
            cursor = await connection.execute(_SQL["size_of_log"], self._tenant)
            row = await cursor.fetchone()
            size = 0 if row is None else int(row[0])
            if position is None or position >= size:
                return [], size if position is None else position
            records = await self._page_of(
                connection, wanted, before=size, after=position - 1, rows=rows, oldest_first=True
            )
        last = records[-1].position if len(records) == rows else None
        return records, size if last is None else last + 1

    async def _page_of(
        self, connection: Connection, wanted: Filter, *, before: int | None, after: int | None,
        rows: int, oldest_first: bool,
    ) -> list[Record]:  # fmt: skip
        return await page_of(
            connection, wanted, tenant=self.viewer.tenant, is_staff=self.viewer.role in STAFF,
            before=before, after=after, rows=rows, oldest_first=oldest_first,
        )  # fmt: skip

    def _told(self, record: Record, latest: int | None, language: Language) -> Told:
        is_latest = record.seq == latest
        may_act = is_latest and not record.is_deleted and self.viewer.role != "auditor"
        return Told(
            record=record,
            is_latest=is_latest,
            actions=tuple(allowed_actions(record, language)) if may_act else (),
            ghost_reason=explain(record, language),
        )

    @property
    def _tenant(self) -> dict[str, Any]:
        return {"tenant": self.viewer.tenant}

    async def _row(self, name: str, asked: dict[str, Any]) -> Sequence[Any] | None:
        rows = await self._rows(name, asked)
        return rows[0] if rows else None

    async def _rows(self, name: str, asked: dict[str, Any]) -> list[Sequence[Any]]:
        async with self._asking() as connection:
            return await (await connection.execute(_SQL[name], asked)).fetchall()

    @asynccontextmanager
    async def _asking(self, isolation: Isolation = "READ COMMITTED") -> AsyncIterator[Connection]:
        viewer = self.viewer
        try:
            async with reading(
                self._pool, tenant=viewer.tenant, user=viewer.actor, role=viewer.role,
                isolation=isolation,
            ) as connection:  # fmt: skip
                yield connection
        except (psycopg.Error, PoolTimeout, OSError) as failure:
            raise as_error(failure) from failure


def _row_count(limit: int) -> int:
    if not 1 <= limit <= limits.page_rows_max:
        raise InvalidInput(field="limit", shape=shape_of(limit), reason=_LIMIT)
    return limit


_RECORD: Final = Text("registo", "record")
_ENTITY: Final = Text("entidade", "entity")
_POSITION: Final = Text("registo na posição", "record at position")
_LIMIT: Final = Text(
    f"tem de ser de 1 a {limits.page_rows_max}", f"must be from 1 to {limits.page_rows_max}"
)
