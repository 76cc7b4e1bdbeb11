"""The scene: what a running generation remembers between stories, and nothing more.

It holds who is on duty, how far the numbering has come, which rooms are taken and a few recent
events to talk about. Always holds: its size does not grow with the number of lines, except for
rooms, of which a busier house has more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from heapq import heappop, heappush
from typing import Final
from uuid import UUID

import msgspec

from loglineos.services.scenario.dice import Dice
from loglineos.services.scenario.house import HouseData, actors_of
from loglineos.services.scenario.rhythm import DAY, HOUR, Day, Instant
from loglineos.services.scenario.story import Story

_TYPES: Final = {"person": "human", "service": "system", "clock": "system", "model": "llm"}
_FIRST_NUMBER: Final = {"pedido": 88_200, "fatura": 4_100, "tarefa": 700, "incidente": 30}
_RECENT_MAX: Final = 48
_CARRIED_MAX: Final = 4


class Shift:
    """One courier's shift: when, on which route, and where along it at which instant."""

    __slots__ = ("courier", "metres", "off", "on", "open_until", "route", "times")

    def __init__(self, courier: str, on: Instant, off: Instant, route: str) -> None:
        """Begin with no positions; `times` and `metres` grow together."""
        self.courier = courier
        self.on = on
        self.off = off
        self.route = route
        self.times: list[Instant] = []
        self.metres: list[int] = []
        self.open_until: list[Instant] = []

    def metres_at(self, at: Instant) -> int:
        """Return how far along the route the courier is, between the two positions around `at`."""
        place = bisect_right(self.times, at)
        if place == 0:
            return self.metres[0]
        if place == len(self.times):
            return self.metres[-1]
        before, after = self.times[place - 1], self.times[place]
        travelled = self.metres[place] - self.metres[place - 1]
        return self.metres[place - 1] + travelled * (at - before) // (after - before)


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lately happened, so that people can talk about it."""

    at: Instant
    this: str
    id: UUID
    trace: str


class Scene:
    """The state of one generation."""

    def __init__(self, *, house: HouseData, dice: Dice, tenant: str, rooms: int) -> None:
        """Open the house: nobody on duty, every room free."""
        self.house = house
        self.dice = dice
        self.tenant = tenant
        actors = actors_of(house)
        self._types = {a.name: _TYPES[a.kind] for a in actors}
        self._types.update({"payment.gateway": "webhook", "invoice.service": "webhook"})
        self.people = {
            role: tuple(a.name for a in actors if a.role == role)
            for role in ("operator", "courier", "client")
        }
        self.shifts: list[Shift] = []
        self.recent: deque[Recent] = deque(maxlen=_RECENT_MAX)
        self.owed: dict[str, int] = {}
        self._decks: dict[str, list[int]] = {}
        self._numbers = dict(_FIRST_NUMBER)
        self._rooms = [(0, 100 * (1 + n // 12) + 1 + n % 12) for n in range(rooms)]

    def story(self) -> Story:
        """Begin a story."""
        return Story(tenant=self.tenant, dice=self.dice, house=self.house, types=self._types)

    def number(self, series: str) -> int:
        """Return the next number of a series: orders, invoices, jobs, incidents."""
        self._numbers[series] += 1
        return self._numbers[series]

    def due(self, account: str, percent: int) -> bool:
        """Tell `percent` times in a hundred that something is due, evenly and not by chance."""
        owed = self.owed.get(account, 50) + percent
        self.owed[account] = owed - 100 if owed >= 100 else owed
        return owed >= 100

    def deal(self, deck: str, weights: list[int]) -> int:
        """Draw an index from a shuffled deck that holds each as often as its weight says."""
        cards = self._decks.setdefault(deck, [])
        if not cards:
            cards.extend(index for index, weight in enumerate(weights) for _ in range(weight))
        place = self.dice.between(0, len(cards) - 1)
        cards[place], cards[-1] = cards[-1], cards[place]
        return cards.pop()

    def client(self) -> str:
        """Choose a client."""
        return self.dice.pick(self.people["client"])

    def desk(self, day: Day, at: Instant) -> str:
        """Return who stands at the desk at `at`."""
        hour = (at + day.offset_h * HOUR) % DAY // HOUR
        desk = self.house.desk
        if 7 <= hour < 15:
            return desk["morning"]
        return desk["afternoon"] if 15 <= hour < 23 else desk["night"]

    def other_than(self, name: str | None, *, day: Day, at: Instant) -> str:
        """Return someone of the staff who is not `name`: the desk, else the manager."""
        desk = self.desk(day, at)
        if desk != name and self.dice.chance(60):
            return desk
        return "ana" if name != "ana" else self.house.desk["floors"]

    def courier_for(self, out: Instant, back: Instant) -> Shift | None:
        """Find the shift that spans a ride and carries least; None when nobody is free."""
        found: Shift | None = None
        for shift in self.shifts:
            if shift.on >= out or shift.off <= back:
                continue
            shift.open_until = [until for until in shift.open_until if until > out]
            if len(shift.open_until) < (len(found.open_until) if found else _CARRIED_MAX):
                found = shift
        return found

    def remember(self, at: Instant, *, this: str, entity: UUID, trace: str) -> None:
        """Keep something that will have happened by `at`, in place of the oldest kept."""
        self.recent.append(Recent(at=at, this=this, id=entity, trace=trace))

    def forget(self, trace: str) -> None:
        """Drop what a story left to talk about, because it is not told after all."""
        for recent in [r for r in self.recent if r.trace == trace]:
            self.recent.remove(recent)

    def recall(self, at: Instant) -> Recent | None:
        """Choose something that happened before `at`; None when nothing is kept."""
        past = [r for r in self.recent if r.at < at]
        return self.dice.pick(past) if past else None

    def take_room(self, arrival: Instant, departure: Instant) -> int | None:
        """Give the room that has been free the longest; None when the house is full."""
        free_from, room = self._rooms[0]
        if free_from > arrival:
            return None
        heappop(self._rooms)
        heappush(self._rooms, (departure, room))
        return room
