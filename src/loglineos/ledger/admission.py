"""Admission: which records of a batch may enter the log of one tenant, and where.

Pure of the database: it is given what the database holds and decides. Always holds: positions are
given in order, without gaps; a submission enters whole or not at all; a repeat of stored bytes is
answered with what is stored; the heads seen by a record are those left by the record before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from loglineos.base.errors import Conflict, Refused
from loglineos.base.language import Text
from loglineos.ledger.additions import check_addition, is_addition
from loglineos.ledger.record import Record
from loglineos.ledger.seal import Sealed
from loglineos.ledger.status import check_move
from loglineos.ledger.trust import RESERVED_TYPES, KeyTerm, Trust, is_reserved


class Head(NamedTuple):
    """The latest event of an entity."""

    seq: int
    status: str | None
    hash: str
    entity_type: str


class Placed(NamedTuple):
    """A new record: its place among the rows of the plan."""

    row: int


class Mark(NamedTuple):
    """A point that a plan can go back to."""

    rows: int
    undo: int
    trust: Trust | None
    terms: int


class TenantPlan:
    """What one batch appends to one tenant's log."""

    def __init__(
        self,
        tenant: str,
        *,
        size: int,
        trust: Trust,
        heads: Mapping[UUID, Head],
        stored: Mapping[tuple[UUID, int], Record],
    ) -> None:
        """Start at the log's head: `size` records, the entities' `heads`, repeats in `stored`."""
        self.tenant = tenant
        self.size = size
        self.trust = trust
        self.rows: list[Sealed] = []
        self.superseded: list[int] = []
        self.terms: list[KeyTerm] = []
        self._heads = dict(heads)
        self._stored = stored
        self._placed: dict[tuple[UUID, int], int] = {}
        self._positions: dict[UUID, int] = {}
        self._undo: list[tuple[UUID, Head | None, int | None, int]] = []

    def knows(self, entity: UUID) -> bool:
        """Tell whether the latest event of an entity is known here."""
        return entity in self._heads

    def note_head(self, entity: UUID, head: Head) -> None:
        """Learn the latest event of an entity before any of its records is admitted."""
        self._heads[entity] = head

    def admit_all(self, submission: Sequence[Sealed], *, if_absent: bool) -> list[Record | Placed]:
        """Admit a submission whole; on the first fault leave the plan as it was, and raise.

        Raises:
            Conflict: (id, seq) is taken by other bytes, leaves a gap or breaks the chain.
            MoveNotAllowed: the status does not follow from the one before.
            Refused: an addition changes who did what.
            KeyNotTrusted, Forbidden: the key may not sign this record here.
        """
        mark = self._mark(submission)
        try:
            return [self._admit(sealed, if_absent) for sealed in submission]
        except BaseException:
            self._go_back(mark)
            raise

    def _admit(self, sealed: Sealed, if_absent: bool) -> Record | Placed:
        record = sealed.record
        head = self._heads.get(record.id)
        if head is not None and record.seq <= head.seq:
            return self._repeat(record, head, if_absent)
        if record.seq != (0 if head is None else head.seq + 1):
            raise _conflict(record, head)
        if record.prev_hash != (None if head is None else head.hash):
            raise _conflict(record, head)
        check_move(None if head is None else head.status, record.status)
        self._check_place(head, record)
        position = self.size + len(self.rows)
        self.trust.check(record, position)
        term = self.trust.apply(record, position)
        if term is not None:
            self.terms.append(term)
        return self._place(sealed, head, position)

    def _place(self, sealed: Sealed, head: Head | None, position: int) -> Placed:
        record = sealed.record
        earlier = self._positions.get(record.id)
        self._undo.append((record.id, head, earlier, record.seq))
        if earlier is not None:
            self.superseded.append(earlier)
        self._positions[record.id] = position
        self._heads[record.id] = Head(
            record.seq, record.status, record.curr_hash, record.entity_type
        )
        self._placed[(record.id, record.seq)] = len(self.rows)
        self.rows.append(sealed)
        return Placed(len(self.rows) - 1)

    def _check_place(self, head: Head | None, record: Record) -> None:
        """Check that the life of this entity is one where this record may stand."""
        if is_reserved(record.id) and record.entity_type not in RESERVED_TYPES:
            raise Refused(reason=_RESERVED)
        if head is not None and head.entity_type != record.entity_type:
            raise Refused(reason=_OTHER_TYPE)
        if is_addition(record):
            before = (record.id, record.seq - 1)
            index = self._placed.get(before)
            known = self._stored.get(before) if index is None else self.rows[index].record
            if known is None:
                raise _conflict(record, head)
            check_addition(known, record)

    def _repeat(self, record: Record, head: Head, if_absent: bool) -> Record | Placed:
        place = (record.id, record.seq)
        index = self._placed.get(place)
        known = self._stored.get(place) if index is None else self.rows[index].record
        if known is None or not (if_absent or known.curr_hash == record.curr_hash):
            raise _conflict(record, head)
        return known if index is None else Placed(index)

    def _mark(self, submission: Sequence[Sealed]) -> Mark:
        touches_keys = any(s.record.entity_type in ("key", "tenant") for s in submission)
        before = self.trust if touches_keys else None
        if touches_keys:
            self.trust = self.trust.copy()
        return Mark(len(self.rows), len(self._undo), before, len(self.terms))

    def _go_back(self, mark: Mark) -> None:
        while len(self._undo) > mark.undo:
            entity, head, earlier, seq = self._undo.pop()
            del self._placed[(entity, seq)]
            if head is None:
                del self._heads[entity]
            else:
                self._heads[entity] = head
            if earlier is None:
                del self._positions[entity]
            else:
                self._positions[entity] = earlier
                self.superseded.remove(earlier)
        del self.rows[mark.rows :]
        del self.terms[mark.terms :]
        if mark.trust is not None:
            self.trust = mark.trust


def _conflict(record: Record, head: Head | None) -> Conflict:
    told = "none" if head is None else f"seq {head.seq}, {head.hash[:16]}"
    return Conflict(id=str(record.id), seq=record.seq, head=told)


_RESERVED: Final = Text(
    "este id está reservado às chaves, aos atores e à casa",
    "this id is reserved for keys, actors and the tenant",
)
_OTHER_TYPE: Final = Text(
    "uma entidade não muda de tipo durante a vida",
    "an entity does not change its type during its life",
)
