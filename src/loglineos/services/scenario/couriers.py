"""Couriers: shifts, and positions along a route by bicycle.

Always holds: positions lie between the start and the end of their shift; two in a row are never
further apart than `speed_cm_s_max` allows; coordinates have six decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final, TypeAlias

from loglineos.services.scenario.rhythm import MINUTE, SECOND, Day
from loglineos.services.scenario.scene import Scene, Shift
from loglineos.services.scenario.story import Story

Route: TypeAlias = Sequence[tuple[float, float]]

speed_cm_s_max: Final = 550
"""Bicycle speed in a town, centimetres per second (about 20 km/h)."""

_METRES_PER_DEGREE: Final = 111_320
_METRES_PER_DEGREE_EAST: Final = 86_060
_SPANS: Final = ((9 * 60, 14 * 60 + 30), (14 * 60, 19 * 60), (18 * 60 + 30, 23 * 60 + 40))
"""The day's three shifts in minutes after midnight; they overlap by half an hour."""

_CORE: Final = 5
_POSITIONS_MAX: Final = 700


def shifts_of(scene: Scene, day: Day, *, couriers: int) -> list[Shift]:
    """Roster the day: `couriers` per shift (one more on weekend evenings), no one twice a day."""
    names = scene.people["courier"]
    pool = names if couriers > 1 else names[:_CORE]
    turn = day.number * 3
    shifts = []
    routes = tuple(scene.house.routes)
    for part, (begin, end) in enumerate(_SPANS):
        count = couriers + (1 if part == 2 and day.is_weekend and couriers < 4 else 0)
        for _ in range(count):
            on = day.at(begin * 60) - scene.dice.between(1, 240) * SECOND
            off = day.at(end * 60) + scene.dice.between(1, 600) * SECOND
            route = routes[(turn + day.number) % len(routes)]
            shifts.append(Shift(pool[turn % len(pool)], on, off, route))
            turn += 1
    return shifts


def tell_shift(scene: Scene, day: Day, shift: Shift, *, positions: int) -> Story:
    """Tell one shift: its start, its positions, its end; fills the shift's track."""
    story = scene.story()
    who, route = shift.courier, scene.house.routes[shift.route]
    _track(scene, day, shift, positions=min(positions, _POSITIONS_MAX))
    turn = story.act(
        "iniciar_turno", shift.on, who=who, by="delivery.presence", this=f"turno na {shift.route}",
        status="running", owner=who, tags=("turno",),
    )  # fmt: skip
    for at, metres in zip(shift.times[1:-1], shift.metres[1:-1], strict=True):
        latitude, longitude = place_on(route, metres)
        story.act(
            "atualizar_posicao", at, who="delivery.presence", by="realtime.gps", status="executed",
            this=f"posição de {who} na {shift.route}", cause=turn, branch="ok", owner=who,
            parent_id=turn.id, latitude=latitude, longitude=longitude,
        )  # fmt: skip
    story.move(
        turn, shift.off, "terminar_turno", who=who, status="complete",
        duration_ms=(shift.off - shift.on) // 1000,
    )  # fmt: skip
    return story


def place_on(route: Route, metres: int) -> tuple[float, float]:
    """Return the point that lies `metres` along a closed route, in degrees of six decimals."""
    legs = [distance_m(a, b) for a, b in zip(route, (*route[1:], route[0]), strict=True)]
    left = metres % int(sum(legs))
    place: float = left
    for index, leg in enumerate(legs):
        if place <= leg:
            here, there = route[index], route[(index + 1) % len(route)]
            part = place / leg
            latitude = here[0] + (there[0] - here[0]) * part
            longitude = here[1] + (there[1] - here[1]) * part
            return round(latitude, 6), round(longitude, 6)
        place -= leg
    return route[0]


def distance_m(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return metres between two near points; plane geometry, exact to a metre in a small town."""
    north = (there[0] - here[0]) * _METRES_PER_DEGREE
    east = (there[1] - here[1]) * _METRES_PER_DEGREE_EAST
    return sqrt(north * north + east * east)


def _track(scene: Scene, day: Day, shift: Shift, *, positions: int) -> None:
    """Fill the shift's times and metres: one at each end and `positions` between."""
    step = (shift.off - shift.on) // (positions + 1)
    jitter = min(step // 4, 3 * MINUTE)
    top = speed_cm_s_max * (7 if day.is_stormy else 10) // 10
    at, metres = shift.on, 0
    shift.times.append(at)
    shift.metres.append(metres)
    for number in range(1, positions + 2):
        is_last = number == positions + 1
        wobble = scene.dice.between(-jitter, jitter)
        then = shift.off if is_last else shift.on + step * number + wobble
        speed = 0 if scene.dice.chance(15) else scene.dice.between(60, top)
        metres += speed * ((then - at) // SECOND) // 100
        at = then
        shift.times.append(at)
        shift.metres.append(metres)
