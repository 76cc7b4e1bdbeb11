"""Volume: how many stories of each kind a day holds, so that the total lands on its target.

Always holds: by the end of each day the lines told so far follow the days' weights; what one day
told too much the next tells less; sizes of stories are learnt from those already told. Remainders
are carried, so that proportions do not drift.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from loglineos.services.scenario.chat import tell_note, tell_talk
from loglineos.services.scenario.cron import tell_health
from loglineos.services.scenario.doubts import tell_change, tell_expense, tell_failure
from loglineos.services.scenario.ghosts import tell_ghost
from loglineos.services.scenario.hotel import tell_stay
from loglineos.services.scenario.queues import tell_job
from loglineos.services.scenario.rhythm import HOURS, Day, Instant
from loglineos.services.scenario.sales import tell_sale
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Story
from loglineos.services.scenario.uploads import tell_upload

Teller = Callable[..., Story]

GHOSTS_PER_MILLE: Final = 75
"""Ghosts among a thousand acts (events that begin an entity's life)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of story: its teller, its share of the free lines, its hours, its usual size.

    `tail_h` is how long it usually lasts: nearer to the end of all days it is not begun.
    """

    name: str
    tell: Teller
    share: int
    hours: str
    size: int
    tail_h: int
    takes_horizon: bool = False


KINDS: Final[tuple[Kind, ...]] = (
    Kind(name="sale", tell=tell_sale, share=470, hours="kitchen", size=14, tail_h=2),
    Kind(
        name="stay", tell=tell_stay, share=150, hours="desk", size=20, tail_h=2, takes_horizon=True
    ),
    Kind(name="upload", tell=tell_upload, share=80, hours="desk", size=6, tail_h=1),
    Kind(name="job", tell=tell_job, share=90, hours="machines", size=4, tail_h=2),
    Kind(name="talk", tell=tell_talk, share=75, hours="desk", size=2, tail_h=1),
    Kind(name="change", tell=tell_change, share=40, hours="desk", size=7, tail_h=3),
    Kind(name="expense", tell=tell_expense, share=30, hours="desk", size=2, tail_h=3),
    Kind(name="failure", tell=tell_failure, share=30, hours="machines", size=5, tail_h=4),
    Kind(name="health", tell=tell_health, share=15, hours="machines", size=1, tail_h=1),
    Kind(name="note", tell=tell_note, share=20, hours="typing", size=1, tail_h=1),
)
GHOST: Final = Kind(
    name="ghost", tell=tell_ghost, share=0, hours="typing", size=2, tail_h=1, takes_horizon=True
)

_SHORT: Final = ("talk", "expense", "job", "upload")
_SCALE: Final = 1_000_000


class Volume:
    """Counts what is told and owed."""

    def __init__(self, *, lines: int, weights: list[int]) -> None:
        """Aim at `lines` in all, spread over the days by `weights`."""
        self._lines = lines
        self._sum = sum(weights)
        self._until = 0
        self._owed = dict.fromkeys((kind.name for kind in KINDS), 0)
        self._sizes = {kind.name: (kind.size * 4, 4) for kind in (*KINDS, GHOST)}
        self.told = 0
        self.acts = 0
        self.ghosts = 0

    def allow(self, weight: int) -> int:
        """Open the next day; return how many lines it should add."""
        self._until += weight
        return max(0, self._lines * self._until // self._sum - self.told)

    def count(self, name: str | None, story: Story) -> None:
        """Note a story as told; one of a kind also teaches that kind's size."""
        size = len(story.lines)
        self.told += size
        self.acts += sum(1 for _, draft in story.lines if draft.seq == 0)
        if name == "ghost":
            self.ghosts += 1
        if name is not None:
            lines, stories = self._sizes[name]
            self._sizes[name] = (lines + size, stories + 1)

    def plan(
        self, scene: Scene, day: Day, lines: int, *, horizon: Instant
    ) -> list[tuple[Instant, Kind]]:
        """Choose the day's stories, about `lines` lines of them, in order of their start.

        On the last day no stay begins, and short stories take its place.
        """
        ghosts = self._ghosts_due(lines)
        free = max(0, lines - ghosts * self._size("ghost") // _SCALE)
        chosen: list[tuple[Instant, Kind]] = []
        counts = [(GHOST, ghosts), *((kind, self._due(kind, free)) for kind in KINDS)]
        if day.end == horizon:
            counts = self._short_of(counts, lines)
        for kind, count in counts:
            for _ in range(count):
                start = _start(scene, day, kind)
                if start + kind.tail_h * 3_600_000_000 < horizon:
                    chosen.append((start, kind))
        return sorted(chosen, key=lambda planned: planned[0])

    def _ghosts_due(self, lines: int) -> int:
        acts = self.acts + lines * self.acts // self.told if self.told else lines * 6 // 10
        return max(0, acts * GHOSTS_PER_MILLE // 1000 - self.ghosts)

    def _short_of(self, counts: list[tuple[Kind, int]], lines: int) -> list[tuple[Kind, int]]:
        """Make up with short stories what the last day's stays and remainders leave open."""
        stayless = [(kind, count) for kind, count in counts if kind.name != "stay"]
        missing = lines * _SCALE - sum(self._size(kind.name) * n for kind, n in stayless)
        short = [kind for kind in KINDS if kind.name in _SHORT]
        each = missing // sum(self._size(kind.name) for kind in short)
        return [*stayless, *((kind, max(0, each)) for kind in short)]

    def _due(self, kind: Kind, free: int) -> int:
        total = sum(k.share for k in KINDS)
        self._owed[kind.name] += free * _SCALE * kind.share // total
        count = self._owed[kind.name] // self._size(kind.name)
        self._owed[kind.name] -= count * self._size(kind.name)
        return count

    def _size(self, name: str) -> int:
        lines, stories = self._sizes[name]
        return lines * _SCALE // stories


def _start(scene: Scene, day: Day, kind: Kind) -> Instant:
    if day.outage is not None and kind.name == "sale" and scene.dice.chance(50):
        return scene.dice.between(*day.outage)
    hours = HOURS[kind.hours]
    second = scene.dice.weighted(hours) * 3600 + scene.dice.between(0, 3599)
    return day.at(second) + scene.dice.between(0, 999_999)
