"""The proportions of a run in figures, and as the table of the reference page.

Always holds: shares are integers per mille, so that the same run gives the same page everywhere.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from loglineos.ledger.logline import Fault
from loglineos.ledger.record import NINE, Draft

_LATE_TAG: Final = "atraso"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one run. `ghosts_by_field` counts each fault's field; late is per courier."""

    lines: int
    acts: int
    ghosts: int
    ghosts_completed: int
    ghosts_completed_by_other: int
    ghosts_by_field: dict[str, int]
    deliveries: dict[str, int]
    deliveries_late: dict[str, int]
    statuses: dict[str, int]
    types: dict[str, int]
    entity_types: dict[str, int]
    dids: dict[str, int]
    gestures: dict[str, int]
    branches: dict[str, int]
    roles: dict[str, int]
    weekdays: dict[str, int]


class Tally:
    """Counts while a run is read."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._counts: Counter[str] = Counter()
        self.dids: Counter[str] = Counter()
        self.roles: Counter[str] = Counter()
        self._ghosts: Counter[str] = Counter()
        self._rides: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._entities: Counter[str] = Counter()
        self._gestures: Counter[str] = Counter()
        self._branches: Counter[str] = Counter()
        self._weekdays: Counter[str] = Counter()

    def count(self, draft: Draft, *, faults: tuple[Fault, ...], author: str | None) -> None:
        """Count one draft; `author` is who began its entity."""
        self._counts["lines"] += 1
        self._counts["acts"] += draft.seq == 0
        self.dids[draft.did or "?"] += 1
        self._statuses["ghost" if faults else draft.status or "valid"] += 1
        self._types[draft.type or "?"] += 1
        self._entities[draft.entity_type] += 1
        if faults:
            self._counts["ghosts"] += 1
            self._ghosts.update(_field_of(fault) for fault in faults)
        gesture = (draft.metadata or {}).get("gesture")
        if gesture:
            self._gestures[gesture] += 1
        if gesture == "complete":
            self._counts["completed"] += 1
            self._counts["by_other"] += (draft.metadata or {}).get("by") != author
        if draft.branch:
            self._branches[draft.branch] += 1
        if draft.at is not None:
            self._weekdays["1234567"[draft.at.weekday()]] += 1
        if draft.did == "registar_entrega" and draft.entity_type == "delivery":
            self._rides[draft.who or "?"] += 1
            self._late[draft.who or "?"] += _LATE_TAG in (draft.tags or ())

    @property
    def lines(self) -> int:
        """Return how many drafts were counted."""
        return self._counts["lines"]

    def figures(self) -> Figures:
        """Return what was counted, each table from most to least."""
        return Figures(
            lines=self._counts["lines"],
            acts=self._counts["acts"],
            ghosts=self._counts["ghosts"],
            ghosts_completed=self._counts["completed"],
            ghosts_completed_by_other=self._counts["by_other"],
            ghosts_by_field=_sorted(self._ghosts),
            deliveries=_sorted(self._rides),
            deliveries_late=_sorted(self._late),
            statuses=_sorted(self._statuses),
            types=_sorted(self._types),
            entity_types=_sorted(self._entities),
            dids=_sorted(self.dids),
            gestures=_sorted(self._gestures),
            branches=_sorted(self._branches),
            roles=_sorted(self.roles),
            weekdays=dict(sorted(self._weekdays.items())),
        )


def proportions_table(figures: Figures) -> str:
    """Write the figures as the Markdown of `docs/reference/scenario-casa.md`."""
    late = {
        who: f"{figures.deliveries_late.get(who, 0)} of {rides}"
        for who, rides in figures.deliveries.items()
    }
    completed = _share(figures.ghosts_completed, figures.ghosts)
    others = f"{figures.ghosts_completed_by_other} by someone else"
    rows = [
        "| what | figure |",
        "|---|---|",
        f"| lines | {figures.lines} |",
        f"| acts (events that begin an entity) | {figures.acts} |",
        f"| ghosts | {figures.ghosts} ({_share(figures.ghosts, figures.acts)} of acts) |",
        f"| ghosts completed | {figures.ghosts_completed} ({completed} of ghosts), {others} |",
        f"| codes of acts | {len([did for did in figures.dids if did != '?'])} |",
        f"| ghosts by field | {_list(figures.ghosts_by_field)} |",
        f"| late deliveries | {_list(late)} |",
    ]
    for name, table in (
        ("status", figures.statuses),
        ("type", figures.types),
        ("gesture", figures.gestures),
        ("branch", figures.branches),
        ("role of `who`", figures.roles),
        ("entity type", figures.entity_types),
    ):
        told = {key: f"{n} ({_share(n, figures.lines)})" for key, n in table.items()}
        rows.append(f"| {name} | {_list(told)} |")
    return "\n".join(rows) + "\n"


def _field_of(fault: Fault) -> str:
    return (
        fault.field
        if fault.kind == "missing" and fault.field in NINE
        else (f"{fault.kind} {fault.field}")
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _share(part: int, whole: int) -> str:
    per_mille = (part * 1000 + whole // 2) // whole if whole else 0
    return f"{per_mille // 10}.{per_mille % 10} %"


def _list(table: dict[str, int] | dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items())
