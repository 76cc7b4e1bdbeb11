"""What a simulation is told: the records of a period that came from outside, in the order of time.

From outside is what people, services and webhooks said. What policies, functions, consequences and
schedules then made of it is left out, for they make it again; so is a consequence that the record
itself says to be one (`branch`) and that the house has a function for. Answers of people to what
the house's code asked are kept apart: they are given again to whoever asks the same.
Always holds: the events of one life keep their order; a record's own time decides when it is told;
nothing of the law, no key, no run and no journal is told as a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import InvalidInput, TooLarge, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger import limits
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.runs import runs_of
from loglineos.ledger.record import DRAFT_FIELDS, Draft, Record
from loglineos.ledger.reserved import CODE, JOURNAL
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import SIMULATION
from loglineos.ledger.status import STATUSES
from loglineos.ledger.trust import ADDING
from loglineos.runtime.execution.requests import EXECUTION
from loglineos.runtime.following import asking
from loglineos.runtime.manifest import LAW_TYPES

_SQL: Final = Queries.load("loglineos.services.simulation", "inputs.sql")
INPUTS_MAX: Final = 100_000
"""Records that one simulation may be told."""
STANDING_MAX: Final = 5_000
"""Open entities from before the period that a simulation begins with."""
NOT_TOLD: Final = (LAW_TYPES - {EXECUTION}) | {"policy_violation", "status_patch"}
_BEGINNINGS: Final = (CODE, "policy:", "schedule:")
_MACHINES: Final = frozenset(
    {
        "consequences", "witness", "queue", "stage0", "policy_agent", "run_code", "genesis", "node",
        "root", SIMULATION,
    }
)  # fmt: skip
_GESTURES: Final = frozenset({"confirm", "question", "deny", "revert", "ratify"})
_OPEN: Final = ("draft", "ghost", "pending", "scheduled", "queued", "open", "running", "waiting")
_NOT_KEPT: Final = frozenset({"tenant_id", "seq", "at", "status", "metadata", "simulated", "valid"})

Named = Callable[[str], bool]
"""Tells whether the house has a function of this name."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is told again at `instant`."""

    instant: datetime
    draft: Draft


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is about, by what it says: two runs give the same question other ids."""

    entity_type: str | None
    who: str | None
    did: str | None
    this: str | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A gesture of a person on what the house's own code had begun; `life` is what it was then."""

    about: Subject
    life: UUID
    instant: datetime
    gesture: str
    by: str
    note: str | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation is told, from `since` on and before `until`.

    `standing` is how things stood before; `left_out` counts what came from outside and has no place
    here.
    """

    tenant: str
    source: str
    since: datetime
    until: datetime
    told: tuple[Told, ...] = ()
    standing: tuple[Draft, ...] = ()
    answers: tuple[Answer, ...] = ()
    left_out: int = 0


def is_of_machines(who: str | None) -> bool:
    """Tell whether the runtime itself speaks: its code, policies, schedules and kernels."""
    return who is not None and (who in _MACHINES or who.startswith(_BEGINNINGS))


async def past_of(
    pool: Pool, tenant: str, *, since: datetime, until: datetime, named: Named
) -> Period:
    """Read what a house was told in a span of time. `pool` has the role logline_reader.

    Raises:
        InvalidInput: the span is empty.
        TooLarge: more than INPUTS_MAX records.
        DatabaseUnavailable: repeat.
    """
    check_span(since, until)
    sorting = _Sorting(since, until, named)
    async with asking(pool) as connection:
        runs = await runs_of(
            connection, Filter(since=since, until=until), tenant=tenant, first=0,
            end=limits.integer_max,
        )  # fmt: skip
        for first, end in _parts(runs):
            asked = {
                "tenant": tenant, "position_from": first, "position_before": end,
                "not_told": sorted(NOT_TOLD), "since": since, "until": until,
            }  # fmt: skip
            cursor = await connection.execute(_SQL["told_between"], asked)
            for entity_type, who, did, this, branch, *columns in await cursor.fetchall():
                about = Subject(entity_type=entity_type, who=who, did=did, this=this)
                sorting.take(record_of(columns), about, branch)
        asked = {
            "tenant": tenant, "ids": list(sorting.before),
            "seqs": [seq - 1 for seq in sorting.before.values()],
        }  # fmt: skip
        cursor = await connection.execute(_SQL["events_named"], asked)
        standing = {record.id: record for record in map(record_of, await cursor.fetchall())}
        asked = {
            "tenant": tenant, "statuses": list(_OPEN), "since": since, "rows_max": STANDING_MAX,
            "not_told": sorted(NOT_TOLD | {EXECUTION, "question", "intent"}),
        }  # fmt: skip
        cursor = await connection.execute(_SQL["open_before"], asked)
        for record in map(record_of, await cursor.fetchall()):
            if record.id not in sorting.lives and not is_of_machines(record.who):
                standing.setdefault(record.id, record)
    stood = sorted(standing.values(), key=lambda record: record.position or 0)
    return Period(
        tenant=tenant, source=tenant, since=since, until=until, told=sorting.in_time(),
        standing=tuple(stood_so(record) for record in stood),
        answers=tuple(sorted(sorting.answers, key=lambda one: one.instant)),
        left_out=sorting.left_out,
    )  # fmt: skip


def period_of(
    drafts: Iterable[Draft], *, tenant: str, source: str, named: Named,
    since: datetime | None = None, until: datetime | None = None,
    after: timedelta = timedelta(days=1),
) -> Period:  # fmt: skip
    """Make a period of drafts, such as a scenario's or a file's, in the order in which they come.

    Without `since` it begins with the first of them; without `until` it ends `after` the last.

    Raises:
        InvalidInput: nothing in it has a time, or the span is empty.
        TooLarge: more than INPUTS_MAX records.
    """
    found = list(_bounded(drafts))
    times = [one.at or received_at(one) for one in found]
    known = [time for time in times if time is not None]
    if not known and since is None:
        raise InvalidInput(field="when", shape=shape_of(None), reason=_NO_TIME)
    begins = since or min(known)
    ends = until or max([*known, begins]) + after
    check_span(begins, ends)
    sorting = _Sorting(begins, ends, named)
    firsts: dict[UUID, tuple[Subject, str | None]] = {}
    for number, (draft, time) in enumerate(zip(found, times, strict=True)):
        if draft.entity_type in NOT_TOLD or (time is not None and not begins <= time < ends):
            continue
        life = draft.id or UUID(int=number)
        told = (subject_of(draft), draft.branch)
        about, branch = firsts.setdefault(life, told)
        sorting.take_draft(draft, time, about, branch, life=life, number=number)
    return Period(
        tenant=tenant, source=source, since=begins, until=ends, told=sorting.in_time(),
        left_out=sorting.left_out,
    )  # fmt: skip


def subject_of(record: Record | Draft) -> Subject:
    """Say what the first event of a life is about."""
    return Subject(entity_type=record.entity_type, who=record.who, did=record.did, this=record.this)


def check_span(since: datetime, until: datetime) -> None:
    """Refuse a span without any time in it.

    Raises:
        InvalidInput: `until` is not after `since`.
    """
    if until <= since:
        raise InvalidInput(field="until", shape=shape_of(until.isoformat()), reason=_EMPTY)


def said_again(record: Record) -> Draft:
    """Return the draft of which the ledger would make the same record again, as its next event."""
    kept = {name: getattr(record, name) for name in DRAFT_FIELDS if name not in _NOT_KEPT}
    metadata = dict(record.metadata or {})
    faults = metadata.pop("faults", None)
    metadata.pop(JOURNAL, None)
    faulty = faults if isinstance(faults, dict) else {}
    status, details = record.status, dict(record.details or {})
    if record.status == "ghost":  # the same faults are found again in the same fields
        claimed = details.pop("claimed_status", None)
        status = claimed if isinstance(claimed, str) and claimed in STATUSES else None
        if status is None and (not faulty or "declared" in faulty):
            status = "ghost"
    lacking = [*faulty.get("missing", ()), *faulty.get("malformed", ())]
    kept |= {"details": details or None, "ghost_reason": None}
    return Draft(
        **kept, at=None if "when" in lacking else record.at, status=status,
        metadata=metadata or None,
    )  # fmt: skip


def stood_so(record: Record) -> Draft:
    """Return the draft that begins a life in the state in which it was."""
    return msgspec.structs.replace(said_again(record), seq=0, at=record.at, cause_id=None)


class _Sorting:
    """Sorts what a period holds into what is told, what is an answer, and what is left out."""

    def __init__(self, since: datetime, until: datetime, named: Named) -> None:
        self._since = since
        self._until = until
        self._named = named
        self._told: list[tuple[datetime, int, Draft]] = []
        self._latest: dict[UUID, datetime] = {}
        self.lives: set[UUID] = set()
        self.before: dict[UUID, int] = {}
        self.answers: list[Answer] = []
        self.left_out = 0

    def take(self, record: Record, about: Subject, branch: str | None) -> None:
        """Take a record of the ledger; `about` and `branch` are of its life's first event."""
        if is_of_machines(record.who):
            return
        gesture = (record.metadata or {}).get("gesture")
        made_at = record.at
        if gesture in ADDING and record.recorded_at is not None and self._has(record.recorded_at):
            made_at = record.recorded_at
        if record.seq and is_of_machines(about.who):
            self._answer(record, about, gesture, made_at)
            return
        if record.seq and record.entity_type == EXECUTION:
            self.left_out += 1
            return
        is_new_here = record.id not in self.lives
        position = record.position or 0
        if self.take_draft(
            said_again(record), made_at, about, branch, life=record.id, number=position
        ) and is_new_here and record.seq:  # fmt: skip
            self.before[record.id] = record.seq

    def take_draft(
        self, draft: Draft, time: datetime | None, about: Subject, branch: str | None, *,
        life: UUID, number: int,
    ) -> bool:  # fmt: skip
        """Take an event that is told as it is, unless the house makes it itself; tell which."""
        if branch is not None and about.did is not None and self._named(about.did):
            self.left_out += 1
            return False
        instant = max(time or self._since, self._latest.get(life, self._since), self._since)
        self._latest[life] = instant
        self.lives.add(life)
        self._told.append((instant, number, msgspec.structs.replace(draft, seq=None)))
        if len(self._told) > INPUTS_MAX:
            raise _too_many()
        return True

    def in_time(self) -> tuple[Told, ...]:
        """Return what is told, in order."""
        ordered = sorted(self._told, key=lambda one: one[:2])
        return tuple(Told(instant=instant, draft=_of_zone(draft)) for instant, _, draft in ordered)

    def _answer(self, record: Record, about: Subject, gesture: Any, instant: datetime) -> None:
        by = (record.metadata or {}).get("by") or record.who
        if gesture not in _GESTURES or not isinstance(by, str):
            self.left_out += 1
            return
        told = record.details or {}
        note = told.get("function") or told.get("note")
        self.answers.append(
            Answer(
                about=about, life=record.id, instant=instant, gesture=gesture, by=by,
                note=note if isinstance(note, str) else None,
            )
        )  # fmt: skip

    def _has(self, instant: datetime) -> bool:
        return self._since <= instant < self._until


def received_at(draft: Draft) -> datetime | None:
    """Read when a line without a time of its own reached the house, if whoever brought it says."""
    told = (draft.metadata or {}).get("received_at")
    try:
        instant = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo is not None else None


def _of_zone(draft: Draft) -> Draft:
    return msgspec.structs.replace(
        draft, tenant_id=None, at=None if draft.at is None else draft.at.astimezone(UTC)
    )


def _parts(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Cut runs of positions into pages."""
    for first, end in runs:
        for start in range(first, end, limits.page_rows_max):
            yield start, min(end, start + limits.page_rows_max)


def _bounded(drafts: Iterable[Draft]) -> Iterator[Draft]:
    for number, draft in enumerate(drafts, start=1):
        if number > INPUTS_MAX:
            raise _too_many()
        yield draft


def _too_many() -> TooLarge:
    return TooLarge(
        field="records", shape=f"more than {INPUTS_MAX}", limit=INPUTS_MAX,
        limit_name="INPUTS_MAX", remedy=_SHORTER,
    )  # fmt: skip


_EMPTY: Final = Text(
    "tem de ser depois do princípio do período", "must be after the beginning of the period"
)
_NO_TIME: Final = Text(
    "nenhum registo diz quando foi; dê --since", "no record says when it was; give --since"
)
_SHORTER: Final = Text("escolha um período mais curto", "choose a shorter period")
