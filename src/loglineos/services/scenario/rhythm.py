"""The house's time: its local days, its busy and quiet hours, its bad weather and its outage.

Always holds: instants are integers, microseconds since 1970 in UTC; the same seed gives the same
days on any machine, whatever its time zone database, because Lisbon's rule is written here.
Source: Directive 2000/84/EC (summer time from the last Sunday of March to that of October, 01:00
UTC); Lisbon is at UTC in winter and one hour ahead in summer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from loglineos.services.scenario.dice import Dice

Instant: TypeAlias = int
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DATE: Final = date(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)

BUSY: Final[tuple[int, ...]] = (86, 90, 94, 98, 128, 146, 118)
"""How full each weekday is, Monday first, against an even 100."""

HOURS: Final[dict[str, tuple[int, ...]]] = {
    #            0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
    "kitchen": (0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 5, 12, 14, 7, 3, 2, 3, 6, 13, 15, 8, 0, 0),
    "desk": (0, 0, 0, 0, 0, 0, 1, 4, 7, 9, 9, 8, 7, 6, 6, 7, 8, 8, 8, 6, 4, 2, 1, 0),
    "typing": (1, 0, 0, 0, 0, 0, 1, 4, 7, 8, 7, 7, 9, 9, 6, 5, 5, 6, 8, 9, 8, 5, 2, 1),
    "machines": (3, 4, 5, 4, 3, 3, 4, 5, 6, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 5, 4, 4, 3, 3),
}
"""How a day's stories of one rhythm spread over the hours: kitchen peaks, a quiet night."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One local day: where it lies in time, and what kind of day it is.

    `outage` is the span in which the payment provider does not answer; None on almost all days.
    """

    number: int
    date: date
    midnight: Instant
    end: Instant
    offset_h: int
    busy: int
    is_stormy: bool
    outage: tuple[Instant, Instant] | None

    def at(self, seconds: int) -> Instant:
        """Return the instant `seconds` after local midnight by the clock on the wall."""
        return max(self.midnight, _utc(self.date, seconds * SECOND, self.offset_h))

    @property
    def is_weekend(self) -> bool:
        """Tell whether it is Saturday or Sunday."""
        return self.date.weekday() >= 5


def days_of(start: datetime, *, days: int, dice: Dice) -> Iterator[Day]:
    """Yield `days` local days, the first being the local date of `start`.

    In every thirty days one or two are stormy, and one morning, of a weekend if there is one, has
    no payment provider.
    """
    first = (start.astimezone(UTC) + timedelta(hours=_summer(start.astimezone(UTC)))).date()
    storms: set[int] = set()
    outage_day = -1
    for number in range(days):
        if number % 30 == 0:
            span = min(30, days - number)
            storms = {number + dice.between(0, span - 1) for _ in range(2)}
            here = range(number, number + span)
            weekend = [n for n in here if (first + timedelta(days=n)).weekday() >= 5]
            outage_day = dice.pick(weekend or list(here))
        day = first + timedelta(days=number)
        yield _day(day, number, is_stormy=number in storms, has_outage=number == outage_day)


def instant_of(moment: datetime) -> Instant:
    """Turn a datetime with a zone into an instant."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(instant: Instant) -> datetime:
    """Turn an instant into a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def stamp(instant: Instant) -> str:
    """Write an instant as the ledger does: RFC 3339, UTC, six decimals, `Z`."""
    return moment_of(instant).isoformat(timespec="microseconds")[:26] + "Z"


def local_date(instant: Instant) -> str:
    """Return the date in Lisbon at an instant, as `2025-05-23`."""
    moment = moment_of(instant)
    return (moment + timedelta(hours=_summer(moment))).date().isoformat()


def _day(day: date, number: int, *, is_stormy: bool, has_outage: bool) -> Day:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    offset = _summer(noon)
    span = (_utc(day, 10 * HOUR, offset), _utc(day, 13 * HOUR, offset))
    return Day(
        number=number,
        date=day,
        midnight=_midnight(day),
        end=_midnight(day + timedelta(days=1)),
        offset_h=offset,
        busy=BUSY[day.weekday()] * (85 if is_stormy else 100) // 100,
        is_stormy=is_stormy,
        outage=span if has_outage else None,
    )


def _midnight(day: date) -> Instant:
    summer = _summer(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return _utc(day, 0, summer)


def _utc(day: date, since_midnight: Instant, offset_h: int) -> Instant:
    return (day - _EPOCH_DATE).days * DAY + since_midnight - offset_h * HOUR


def _summer(moment: datetime) -> int:
    """Return 1 in summer time, else 0."""
    begin = _last_sunday(moment.year, 3)
    end = _last_sunday(moment.year, 10)
    return 1 if begin <= moment < end else 0


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)
