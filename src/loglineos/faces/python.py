"""The Python API: a ledger that a program opens, writes to, asks and proves with.

    async with Ledger.open() as ledger:
        record = await ledger.add(did="check_in", this="reserva 12", confirmed_by="ana", ...)

Always holds: a `Ledger` belongs to the event loop that opened it; what it writes is in one tenant;
`who` and `when` are the ledger's actor and the present moment unless the caller says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from loglineos.base.clock import Clock
from loglineos.base.entropy import Entropy
from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.faces.acts import draft_from
from loglineos.faces.keeping import Keeper
from loglineos.faces.log_handler import QUEUE_LINES_MAX, LedgerHandler
from loglineos.faces.recorder import Recorded, Recorder, This
from loglineos.ledger import limits
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.intake.spool import Spool
from loglineos.ledger.log.proving import Receipt
from loglineos.ledger.personal import forget, reveal, seal_personal
from loglineos.ledger.reading.changes import Event
from loglineos.ledger.reading.filters import Filter, filter_of
from loglineos.ledger.reading.overview import Ghosts, Stats
from loglineos.ledger.reading.reader import Page
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.verification.verifier import VerifyReport, verify_tenant
from loglineos.node import Node, open_node
from loglineos.settings import read_settings

P = ParamSpec("P")
R = TypeVar("R")
_UNSAID: Final[Any] = object()


class Ledger:
    """One tenant of an open node, for a program. Made by `Ledger.open`."""

    def __init__(self, node: Node, *, tenant: str, actor: str) -> None:
        """Speak to `tenant` of `node` in the name of `actor`; on the running loop."""
        self.node: Final = node
        self.tenant: Final = tenant
        self.actor: Final = actor
        self.reader: Final = node.reader(tenant=tenant, actor=actor)
        spool = Spool(
            node.settings.spool_folder, tenant=tenant, clock=node.clock, entropy=node.entropy
        )
        self._keeper = Keeper(node.writer, spool)
        self._recorder = Recorder(self._keeper, clock=node.clock, entropy=node.entropy)
        self._handlers: list[LedgerHandler] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        home: str | Path | None = None,
        *,
        tenant: str | None = None,
        actor: str | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        **settings: Any,
    ) -> AsyncIterator[Ledger]:
        """Open the node of `home` (started, or joined when it runs) and close it afterwards.

        A folder that holds no node becomes one. `settings` are those of the settings reference, in
        lower case (`database_url`, `language`...); what is not given is read from the environment
        and from `config.json`. Whatever was handed over is kept before the ledger closes.

        Raises:
            Misconfigured: a setting, key or right does not fit; the error names it.
            DatabaseUnavailable: no database within 30 s.
        """
        chosen = read_settings(home=home, tenant=tenant, actor=actor, **settings)
        async with open_node(chosen, clock=clock, entropy=entropy) as node:
            ledger = cls(node, tenant=chosen.tenant, actor=chosen.actor)
            try:
                yield ledger
            finally:
                await ledger._settle()

    async def add(
        self,
        *,
        who: str | None = _UNSAID,
        when: datetime | str | None = _UNSAID,
        personal: Sequence[str] = (),
        subject: str | None = None,
        **fields: Any,
    ) -> Record:
        """Append one act and return it as stored: valid, or a ghost that names what is missing.

        `fields` are the nine and every other column. `who` and `when` not said are the ledger's
        actor and now; None leaves them out. A value that does not fit its column is kept in
        `details.given`. `personal` names the fields (like `details.telefone`) that are encrypted
        under the key of `subject`, and read as None once `forget(subject)` was called.

        Raises:
            UnknownName: no such field.
            InvalidInput, TooLarge: it cannot be kept; the error names the field.
            Conflict: the chosen `id` and `seq` are taken by other bytes.
            MoveNotAllowed: the status does not follow from the entity's last one.
            Pushback, ReadOnly, DatabaseUnavailable: not now; repeat with an `id` of your own.
        """
        said = {
            **fields,
            "who": self.actor if who is _UNSAID else who,
            "when": self.node.clock.now() if when is _UNSAID else when,
        }
        draft = draft_from(said)
        if personal:
            draft = await seal_personal(
                self.node.writer, draft, tenant=self.tenant, subject=subject or "", fields=personal
            )
        (record,) = await self.append([draft])
        return record

    async def append(self, drafts: Sequence[Draft], *, if_absent: bool = False) -> list[Record]:
        """Append drafts in order, whole or not at all; see `Writer.append` for all it promises."""
        return await self.node.writer.append(drafts, tenant=self.tenant, if_absent=if_absent)

    async def append_signed(self, records: Sequence[Record]) -> list[Record]:
        """Append records that their authors sealed with keys of their own."""
        return await self.node.writer.append_signed(records)

    async def confirm(self, entity: UUID | str, note: str | None = None, **more: Any) -> Record:
        """Be the witness that it is so. `more`: `by` (else the ledger's actor), `expected_seq`.

        Raises:
            NotFound: no such entity.
            MoveNotAllowed: its status does not allow it; the error lists what is allowed.
            Conflict: it moved on since `expected_seq`.
        """
        return await self._gesture("confirm", entity, note, **more)

    async def question(self, entity: UUID | str, note: str | None = None, **more: Any) -> Record:
        """Put in doubt; as `confirm`."""
        return await self._gesture("question", entity, note, **more)

    async def deny(self, entity: UUID | str, note: str | None = None, **more: Any) -> Record:
        """Say that it is not so; as `confirm`."""
        return await self._gesture("deny", entity, note, **more)

    async def revert(self, entity: UUID | str, note: str | None = None, **more: Any) -> Record:
        """Undo by a new line; as `confirm`."""
        return await self._gesture("revert", entity, note, **more)

    async def ratify(self, entity: UUID | str, note: str | None = None, **more: Any) -> Record:
        """Confirm for good, with authority; as `confirm`."""
        return await self._gesture("ratify", entity, note, **more)

    async def annotate(self, entity: UUID | str, note: str, **more: Any) -> Record:
        """Add a note; the status stays. As `confirm`."""
        return await self._gesture("annotate", entity, note, **more)

    async def complete(
        self,
        entity: UUID | str,
        *,
        note: str | None = None,
        by: str | None = None,
        expected_seq: int | None = None,
        **fields: Any,
    ) -> Record:
        """Say what a ghost was missing, one field or several; as `confirm`."""
        return await self._gesture(
            "complete", entity, note, by=by, expected_seq=expected_seq, fields=fields
        )

    async def forget(self, subject: str, *, by: str | None = None) -> Record:
        """Destroy the key of a person's personal fields; every proof still holds.

        Raises:
            NotFound: nothing personal of this subject is kept here.
        """
        return await forget(
            self.node.writer,
            tenant=self.tenant,
            subject=subject,
            by=by or self.actor,
            guard=self.node.settings.guard_folder,
        )

    async def get(self, entity: UUID | str, *, seq: int | None = None) -> Record:
        """Return an event of an entity (without `seq` the latest), with what is personal in it.

        Raises:
            NotFound: no such event.
        """
        record = await self.reader.get(_entity(entity), seq=seq)
        return (await reveal(self.node.writer, [record], tenant=self.tenant))[0]

    async def history(
        self, entity: UUID | str, *, seq_from: int = 0, limit: int = limits.page_rows_max
    ) -> tuple[Event, ...]:
        """Return the life of an entity in order, each event with what it changed.

        Raises:
            NotFound: no such entity.
        """
        return await self.reader.history(_entity(entity), seq_from=seq_from, limit=limit)

    async def timeline(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
        oldest_first: bool = False,
        **filters: Any,
    ) -> Page:
        """Return a page of the timeline, newest first; `page.next` is where the next one begins.

        `filters`: who, did, this, status, type, entity_type, tag (a text or a list), since,
        until, text (words, beginning*, #tag), ghosts, latest.

        Raises:
            UnknownName: no such filter. InvalidInput: a value makes no sense.
        """
        return await self.reader.timeline(
            self._filter(filters),
            before=before,
            after=after,
            limit=limit,
            oldest_first=oldest_first,
        )

    def follow(self, *, from_position: int | None = None, **filters: Any) -> AsyncIterator[Record]:
        """Yield records as they come, from a position on (None: from now on), for ever.

        Each once and in order, also across restarts of the database; filters as in `timeline`.
        """
        return self.reader.follow(self._filter(filters), from_position=from_position)

    async def ghosts(self, *, limit: int = 50) -> Ghosts:
        """Return the open ghosts: how many miss what, and the oldest `limit` of them in order."""
        return await self.reader.ghosts(limit=limit)

    async def stats(self, *, top: int = 20, **filters: Any) -> Stats:
        """Count records by status, who, did, confirmed_by and day; filters as in `timeline`."""
        zone = self.node.settings.timezone
        return await self.reader.stats(self._filter(filters), zone=zone, top=top)

    async def prove(self, entity: UUID | str, *, seq: int | None = None) -> Receipt:
        """Return a receipt for one event (None: the latest); `receipt.data` is what to give away.

        Anybody checks it offline, with `logline verify-receipt` or tools of their own.

        Raises:
            NotFound: no such event.
            LogBehind: this node refuses to sign, and says how to recover.
        """
        return await self.node.prover.prove(self.tenant, id=_entity(entity), seq=seq)

    async def verify(self) -> VerifyReport:
        """Verify the whole log of the tenant: hashes, signatures, chains, keys, tree, checkpoints.

        `report.is_clean`, or `report.lie` says what does not hold, and where.
        """
        return await verify_tenant(self.node.verification(), self.tenant)

    def recorded(
        self,
        *,
        did: str | None = None,
        this: This = None,
        who: str | None = None,
        confirmed_by: str | None = None,
        if_ok: str | None = None,
        if_doubt: str | None = None,
        if_not: str | None = None,
        record_args: Sequence[str] = (),
        tags: Sequence[str] | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Record every call of the decorated function, plain or async, as an act.

        `did` is the function's name unless said. `this` is a format string over the arguments, or
        a function of them. Only arguments named in `record_args` are recorded, as `input`; of the
        result only its hash. A plain function waits for its start to be durable, except on the
        ledger's own loop, where nothing may wait: there it is recorded beside it.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            recorded = Recorded(
                who=who or self.actor,
                did=did or str(getattr(function, "__name__", "call")),
                this=this,
                confirmed_by=confirmed_by,
                if_ok=if_ok,
                if_doubt=if_doubt,
                if_not=if_not,
                record_args=tuple(record_args),
                tags=tuple(tags) if tags else None,
            )
            return self._recorder.wrap(function, recorded)

        return decorate

    def log_handler(
        self, level: int = logging.INFO, *, queue_lines_max: int = QUEUE_LINES_MAX
    ) -> LedgerHandler:
        """Make a handler for `logging` that records each line; it may outlive the ledger.

        Lines that the ledger cannot take go to the spool, and enter at the next start.
        """
        handler = LedgerHandler(self._keeper, level=level, queue_lines_max=queue_lines_max)
        self._handlers.append(handler)
        return handler

    def _filter(self, named: dict[str, Any]) -> Filter:
        return filter_of(named, now=self.node.clock.now(), zone=self.node.settings.zone)

    async def _gesture(
        self,
        gesture: str,
        entity: UUID | str,
        note: str | None,
        *,
        by: str | None = None,
        expected_seq: int | None = None,
        fields: dict[str, Any] | None = None,
    ) -> Record:
        return await make_gesture(
            self.node.writer,
            gesture,
            _entity(entity),
            tenant=self.tenant,
            by=by or self.actor,
            note=note,
            fields=fields,
            expected_seq=expected_seq,
        )

    async def _settle(self) -> None:
        for handler in self._handlers:
            await handler.detach()
        await self._keeper.close()


def _entity(told: UUID | str) -> UUID:
    if isinstance(told, UUID):
        return told
    try:
        return UUID(told)
    except ValueError as cause:
        raise InvalidInput(field="id", shape=shape_of(told), reason=_ID) from cause


_ID: Final = Text("tem de ser um UUID", "must be a UUID")
