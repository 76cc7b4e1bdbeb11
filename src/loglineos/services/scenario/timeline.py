"""The timeline: every story of the house, begun day by day and merged in the order of time.

Always holds: drafts come out in order of their instant; a story's lines are made when it begins
and wait in a heap, so that memory follows the stories open at once, not the number of lines; no
story is cut: one that would not end before the last midnight, or would overshoot the total on the
last day, is not begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft
from loglineos.services.scenario.chat import tell_note
from loglineos.services.scenario.couriers import shifts_of, tell_shift
from loglineos.services.scenario.cron import (
    tell_backup,
    tell_closing,
    tell_opening,
    tell_outage,
    tell_report,
)
from loglineos.services.scenario.dice import Dice
from loglineos.services.scenario.house import read_house
from loglineos.services.scenario.rhythm import MINUTE, Day, Instant, days_of
from loglineos.services.scenario.scene import Scene
from loglineos.services.scenario.story import Story
from loglineos.services.scenario.volume import Kind, Volume

lines_per_day_min = 40
"""Below this a day has no room for a house: its clock, one courier and a sale."""

_PRESENCE_PERCENT = 20
_EVENING_S = 22 * 3600 + 1800
_SPARE_PERCENT = 6
"""What the last day leaves open, and closes with single notes, to land on the target."""


def generate_casa(
    *, days: int = 30, seed: int = 7, lines: int = 3000, start: datetime, tenant: str = "casa"
) -> Iterator[Draft]:
    """Yield the acts of the example house in order of time, for any `lines` at bounded memory.

    The first day is the local date (Lisbon) of `start`, the last line comes before midnight of the
    last day. The total lands within 2 % of `lines`. The same arguments give the same drafts, bit
    for bit. Every draft has `id`, `seq` and, unless its author left `when` out, `at`.

    Raises:
        InvalidInput: `start` without a zone, no days, or fewer than `lines_per_day_min` a day.
    """
    if start.tzinfo is None:
        raise InvalidInput(field="start", shape=shape_of(start), reason=_NEEDS_ZONE)
    if days < 1:
        raise InvalidInput(field="days", shape=shape_of(days), reason=_NEEDS_DAY)
    if lines < days * lines_per_day_min:
        raise InvalidInput(field="lines", shape=shape_of(lines), reason=_NEEDS_LINES)
    return _generate(days=days, seed=seed, lines=lines, start=start, tenant=tenant)


def _generate(*, days: int, seed: int, lines: int, start: datetime, tenant: str) -> Iterator[Draft]:
    dice = Dice(seed)
    calendar = list(days_of(start, days=days, dice=dice))
    volume = Volume(lines=lines, weights=[day.busy for day in calendar])
    scene = Scene(house=read_house(), dice=dice, tenant=tenant, rooms=max(24, lines // days // 8))
    merge = _Merge()
    for day in calendar:
        yield from _day(scene, volume, merge, day, horizon=calendar[-1].end)
    yield from merge.until(calendar[-1].end)


def _day(
    scene: Scene, volume: Volume, merge: _Merge, day: Day, *, horizon: Instant
) -> Iterator[Draft]:
    allowed = volume.allow(day.busy)
    target = volume.told + allowed
    is_last = day.end == horizon
    fixed = _routine(scene, day, allowed)
    for story in fixed:
        volume.count(None, story)
        merge.add(story)
    rest = target - volume.told - (allowed * _SPARE_PERCENT // 100 if is_last else 0)
    evening = day.at(_EVENING_S) if is_last else day.end
    for start, kind in volume.plan(scene, day, rest, horizon=horizon):
        if start >= evening:
            break
        yield from merge.until(start)
        story = _tell(scene, day, start, kind, horizon=horizon)
        is_too_long = is_last and volume.told + len(story.lines) > target
        if is_too_long or max(at for at, _ in story.lines) >= horizon:
            scene.forget(story.trace)
            continue
        volume.count(kind.name, story)
        merge.add(story)
    if is_last:
        yield from _fill(scene, volume, merge, day, target - volume.told)


def _tell(scene: Scene, day: Day, start: Instant, kind: Kind, *, horizon: Instant) -> Story:
    if kind.takes_horizon:
        return kind.tell(scene, day, start, horizon=horizon)
    return kind.tell(scene, day, start)


def _routine(scene: Scene, day: Day, allowed: int) -> list[Story]:
    """Tell what every day has at its hour: backup, report, opening, shifts, closing."""
    couriers = min(4, max(1, allowed // 250))
    scene.shifts = shifts_of(scene, day, couriers=couriers)
    positions = allowed * _PRESENCE_PERCENT // 100 // len(scene.shifts) - 2
    pause = scene.dice.between
    return [
        tell_backup(scene, day, day.at(3 * 3600 + 1800) + pause(0, 9 * MINUTE)),
        tell_report(scene, day, day.at(6 * 3600) + pause(0, 3 * MINUTE)),
        tell_opening(scene, day, day.at(7 * 3600) + pause(0, 20 * MINUTE)),
        *([tell_outage(scene, *day.outage)] if day.outage else []),
        *(tell_shift(scene, day, shift, positions=max(1, positions)) for shift in scene.shifts),
        tell_closing(scene, day, day.at(23 * 3600) + pause(0, 25 * MINUTE)),
    ]


def _fill(scene: Scene, volume: Volume, merge: _Merge, day: Day, missing: int) -> Iterator[Draft]:
    """End the last evening with the notes that the total still wants."""
    first, last = day.at(_EVENING_S), day.end - 10 * MINUTE
    starts = sorted(scene.dice.between(first, last) for _ in range(max(0, missing)))
    for start in starts:
        yield from merge.until(start)
        note = tell_note(scene, day, start)
        volume.count(None, note)
        merge.add(note)


class _Merge:
    """The lines told but not yet due, in a heap by instant."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Draft]] = []
        self._count = 0

    def add(self, story: Story) -> None:
        """Take the lines of a story."""
        for at, draft in story.lines:
            self._count += 1
            heappush(self._heap, (at, self._count, draft))

    def until(self, instant: Instant) -> Iterator[Draft]:
        """Yield every line before `instant`, in order."""
        while self._heap and self._heap[0][0] < instant:
            yield heappop(self._heap)[2]


_NEEDS_ZONE = Text("precisa de fuso horário", "needs a time zone")
_NEEDS_DAY = Text("pelo menos um dia", "at least one day")
_NEEDS_LINES = Text("pelo menos 40 linhas por dia", "at least 40 lines per day")
