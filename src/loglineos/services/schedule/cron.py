"""When a schedule is due: a cron expression of five fields in a time zone, told as instants in UTC.

The rule of the two days a year when clocks change:

- An expression whose minute and hour are both fixed (neither begins with `*`) names times of day.
  A time that does not exist on that day comes at the first instant after the gap; one that exists
  twice comes once, the first time; several that fall into one gap come once together.
- Any other expression names an interval and goes by elapsed time: every minute or hour that really
  passes and whose local time fits. It neither pauses in the hour that comes twice nor makes up for
  one that does not come.

Always holds: instants grow strictly; each is a whole minute of its local time, or the end of a gap.
Source: the rule of Debian's cron(8), as the package `cronsim` has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text

_FIELDS: Final = 5
_NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_PRECISION: Final = timedelta(seconds=30)


class Cron:
    """A cron expression in a time zone."""

    def __init__(self, expression: str, timezone: str) -> None:
        """Read the five fields (or `@hourly`, `@daily`...) and the zone's IANA name.

        Raises:
            InvalidInput: the expression or the zone cannot be read, or never comes.
        """
        self.expression = _NAMES.get(expression.strip().lower(), expression.strip())
        self.zone = _zone(timezone)
        if len(self.expression.split()) != _FIELDS:
            raise InvalidInput(field="cron", shape=shape_of(expression), reason=_FIVE)
        try:
            CronSim(self.expression, datetime(2024, 1, 1, tzinfo=UTC))
        except (CronSimError, ValueError, AssertionError) as cause:
            raise InvalidInput(
                field="cron", shape=shape_of(expression), reason=_UNREADABLE
            ) from cause

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Yield every instant later than `instant`, in order; ends if none comes for 50 years."""
        for local in CronSim(self.expression, instant.astimezone(self.zone)):
            found = local.astimezone(UTC)
            if found > instant:  # the first of two equal local times may lie behind
                instant = found
                yield found

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first instant later than `instant`; None: there is none."""
        return next(self.after(instant), None)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the instants later than `after` and not later than `until`."""
        for found in self.after(after):
            if found > until:
                return
            yield found

    def last_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last instant later than `after` and not later than `until`.

        Found by halving, so a year of minutes costs no more than a day of them.
        """
        low, high = after, until
        found = self.next_after(low)
        if found is None or found > until:
            return None
        while high - low > _PRECISION:
            middle = low + (high - low) / 2
            following = self.next_after(middle)
            if following is None or following > until:
                high = middle
            else:
                low, found = middle, following
        return found

    def newest_between(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """Return the last `count` instants later than `after` and not later than `until`."""
        span = timedelta(minutes=count)
        while True:
            start = max(after, until - span)
            found = deque(islice(self.between(start, until), 4 * count), maxlen=4 * count)
            if start == after or len(found) >= count:
                break
            span *= 2
        if len(found) == 4 * count:  # many in a short time: there is no shorter way
            found = deque(self.between(start, until), maxlen=count)
        return list(found)[-count:]


@lru_cache(maxsize=1024)
def cron_of(expression: str, timezone: str) -> Cron:
    """Return a cron expression, read once."""
    return Cron(expression, timezone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as cause:  # ZoneInfoNotFoundError is a KeyError
        raise InvalidInput(field="timezone", shape=shape_of(name), reason=_ZONE) from cause
    except KeyError as cause:
        raise InvalidInput(field="timezone", shape=shape_of(name), reason=_ZONE) from cause


_FIVE: Final = Text(
    "são cinco campos: minuto hora dia mês dia-da-semana",
    "it takes five fields: minute hour day month weekday",
)
_UNREADABLE: Final = Text("um dos campos não se lê", "one of the fields cannot be read")
_ZONE: Final = Text("não é um fuso conhecido", "it is no known time zone")
