"""What must hold in the example house, checked line by line, and its proportions in figures.

Always holds: `check` reads the drafts once, in order, and reports instead of raising; what it knows
of an entity is its latest event. The rules of a LogLine and of statuses are the ledger's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.ledger.logline import faults_of
from loglineos.ledger.record import Draft
from loglineos.ledger.status import GESTURES, following
from loglineos.services.scenario.couriers import distance_m, speed_cm_s_max
from loglineos.services.scenario.figures import Figures, Tally
from loglineos.services.scenario.house import seed_actors
from loglineos.services.scenario.labels import did_labels
from loglineos.services.scenario.rhythm import Instant, instant_of, local_date


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: each violation in one sentence, and the figures."""

    violations: tuple[str, ...]
    figures: Figures


_AFTER_PAYMENT: Final = (
    "emitir_fatura", "preparar_pedido", "levantar_ao_balcao", "registar_entrega",
)  # fmt: skip
_LINES_OF_A_MONTH: Final = 2_000
"""From this size on a run must know at least sixty codes of acts."""
_RIDES: Final = ("iniciar_entrega", "registar_cliente_ausente", "registar_entrega")


class _Entity:
    """What the check remembers of one entity."""

    __slots__ = ("at", "entity_type", "if_not", "seq", "status", "who")

    def __init__(self, draft: Draft, at: Instant) -> None:
        self.at = at
        self.seq = 0
        self.entity_type = draft.entity_type
        self.if_not = draft.if_not
        self.who = draft.owner_id or draft.who
        self.status: str | None = None


def check(drafts: Iterable[Draft]) -> Report:
    """Check a whole run, in its order, against every invariant; return all violations found.

    The sentences name the record by id and seq. Memory grows with the number of entities.
    """
    watch = _Watch()
    for draft in drafts:
        watch.see(draft)
    watch.close()
    return Report(violations=tuple(watch.violations), figures=watch.tally.figures())


class _Watch:
    """One pass over the drafts."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.tally = Tally()
        self._entities: dict[UUID, _Entity] = {}
        self._paid: set[str] = set()
        self._failed: dict[UUID, str] = {}
        self._denied: dict[UUID, str] = {}
        self._shifts: dict[UUID, str | None] = {}
        self._places: dict[str, tuple[Instant, tuple[float, float]]] = {}
        self._reports: Counter[str] = Counter()
        self._days: set[str] = set()
        self._latest: Instant = 0
        self._labels = did_labels()
        self._actors = {actor.name: actor for actor in seed_actors()}

    def see(self, draft: Draft) -> None:
        """Check one draft against what came before, then remember it."""
        at = self._time_of(draft)
        if draft.id is None or draft.seq is None or at is None:
            self._wrong(draft, "has no id, seq or time")
            return
        if at < self._latest:
            self._wrong(draft, "is out of order")
        self._latest = max(at, self._latest)
        faults = () if draft.seq else faults_of(draft)
        status = "ghost" if faults else draft.status
        entity = self._life(draft, draft.id, draft.seq, at, status)
        if entity is None:
            return
        self._causes(draft, at)
        self._gesture(draft, entity, status)
        self._consequences(draft, draft.id, entity, status)
        self._sales(draft, status)
        self._presence(draft, at)
        self._words(draft)
        self.tally.count(draft, faults=faults, author=entity.who)
        entity.status, entity.at = status, at

    def close(self) -> None:
        """Check what can only be known at the end."""
        for waiting, what in ((self._failed, "failed"), (self._denied, "denied")):
            for entity, did in waiting.items():
                self.violations.append(f"{entity} ({did}) was {what} and nothing followed")
        for day in sorted(self._days):
            if self._reports[day] != 1:
                self.violations.append(f"{day} has {self._reports[day]} daily reports")
        for who in self._shifts.values():
            self.violations.append(f"the shift of {who} never ended")
        if self.tally.lines >= _LINES_OF_A_MONTH and len(self.tally.dids) < 60:
            self.violations.append(f"only {len(self.tally.dids)} codes of acts")

    def _wrong(self, draft: Draft, what: str) -> None:
        self.violations.append(f"{draft.id}/{draft.seq} ({draft.did}) {what}")

    def _time_of(self, draft: Draft) -> Instant | None:
        if draft.at is not None:
            at = instant_of(draft.at)
            self._days.add(local_date(at))
            return at
        received: Any = (draft.metadata or {}).get("received_at")
        return instant_of(datetime.fromisoformat(received)) if received else None

    def _life(
        self, draft: Draft, key: UUID, seq: int, at: Instant, status: str | None
    ) -> _Entity | None:
        """Check the entity's own life: gapless seq, one type, allowed moves; id as old as it."""
        known = self._entities.get(key)
        if known is None:
            if seq != 0:
                self._wrong(draft, "begins with another seq than 0")
                return None
            if key.version != 7 or key.int >> 80 != at // 1000:
                self._wrong(draft, "has an id of another time")
            known = self._entities[key] = _Entity(draft, at)
            return known
        if seq != known.seq + 1:
            self._wrong(draft, f"does not follow seq {known.seq}")
        if draft.entity_type != known.entity_type:
            self._wrong(draft, f"was a {known.entity_type} before")
        if at <= known.at:
            self._wrong(draft, "is not later than the event before")
        if status not in following(known.status):
            self._wrong(draft, f"moves from {known.status} to {status}")
        if faults_of(draft):
            self._wrong(draft, "is incomplete, though no ghost's beginning")
        known.seq = seq
        return known

    def _causes(self, draft: Draft, at: Instant) -> None:
        if any(other not in self._entities for other in draft.related_to or ()):
            self._wrong(draft, "is related to something that is not there")
        if draft.cause_id is None:
            if draft.branch is not None:
                self._wrong(draft, "has a branch and no cause")
            return
        cause = self._entities.get(draft.cause_id)
        if cause is None or (draft.cause_id != draft.id and cause.at >= at):
            self._wrong(draft, "comes before its cause")
        if draft.seq == 0 and draft.branch is None:
            self._wrong(draft, "is a consequence of no branch")

    def _gesture(self, draft: Draft, entity: _Entity, status: str | None) -> None:
        metadata = draft.metadata or {}
        name = metadata.get("gesture")
        if name is None:
            if draft.seq and status in ("under_review", "denied", "reverted", "ratified"):
                self._wrong(draft, f"became {status} by no gesture")
            return
        gesture = GESTURES[name]
        if gesture.frm is not None and entity.status not in gesture.frm:
            self._wrong(draft, f"is {name} on {entity.status}")
        if status != (gesture.to or entity.status):
            self._wrong(draft, f"is {name} but {status}")
        if name == "complete" and metadata.get("by") == entity.who:
            self._wrong(draft, "was completed by its own author")
        if name == "question":
            cause = self._entities.get(draft.cause_id) if draft.cause_id else None
            if cause is None or cause.entity_type not in ("change", "question"):
                self._wrong(draft, "is under review without a change or a question")

    def _consequences(self, draft: Draft, key: UUID, entity: _Entity, status: str | None) -> None:
        """A denial is followed by its if_not, or that is put on record as ignored; so failures."""
        if status == "denied":
            self._denied[key] = entity.if_not or ""
        elif status == "failed":
            self._failed[key] = draft.did or ""
        if draft.cause_id and draft.branch == "not" and draft.seq == 0:
            if draft.did in (self._denied.get(draft.cause_id), "ignorar_consequencia"):
                self._denied.pop(draft.cause_id, None)
            if draft.entity_type in ("autocorrection", "rescheduling"):
                self._failed.pop(draft.cause_id, None)
        if entity.status == "failed" and status in ("queued", "running", "dead"):
            self._failed.pop(key, None)

    def _sales(self, draft: Draft, status: str | None) -> None:
        trace = draft.trace_id or ""
        if draft.entity_type == "payment" and status == "executed":
            self._paid.add(trace)
        if draft.did in _AFTER_PAYMENT and status == "executed" and trace not in self._paid:
            self._wrong(draft, "happened before its payment")
        if draft.did == "gerar_relatorio_diario" and draft.at is not None:
            self._reports[local_date(instant_of(draft.at))] += 1

    def _presence(self, draft: Draft, at: Instant) -> None:
        if draft.did == "iniciar_turno" and draft.id:
            self._shifts[draft.id] = draft.who
            self._places.pop(draft.who or "", None)
        elif draft.did == "terminar_turno" and draft.id:
            self._shifts.pop(draft.id, None)
        elif draft.entity_type == "position" or (
            draft.entity_type == "delivery" and draft.did in _RIDES
        ):
            courier = draft.owner_id if draft.entity_type == "position" else draft.who
            if courier not in self._shifts.values():
                self._wrong(draft, "is outside a shift")
            self._place(draft, courier or "", at)

    def _place(self, draft: Draft, courier: str, at: Instant) -> None:
        if draft.latitude is None or draft.longitude is None:
            return
        here = (draft.latitude, draft.longitude)
        if here != (round(here[0], 6), round(here[1], 6)):
            self._wrong(draft, "has more than six decimals of a degree")
        before = self._places.get(courier)
        if before is not None:
            seconds = (at - before[0]) / 1_000_000
            if distance_m(before[1], here) > seconds * speed_cm_s_max / 100 + 3:
                self._wrong(draft, "is further than a bicycle gets")
        self._places[courier] = (at, here)

    def _words(self, draft: Draft) -> None:
        if draft.did is not None and draft.did not in self._labels:
            self._wrong(draft, "has no label")
        for name in (draft.who, draft.confirmed_by, draft.owner_id, *(draft.shared_with or ())):
            if name and not name.startswith("role:") and name not in self._actors:
                self._wrong(draft, f"names a stranger: {name}")
        if draft.who in self._actors:
            actor = self._actors[draft.who]
            self.tally.roles[actor.role] += 1
            if actor.role == "auditor":
                self._wrong(draft, "is by an auditor, who writes nothing")
