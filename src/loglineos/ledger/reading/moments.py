"""Moments as people say them: RFC 3339, a date, a span back from now, or the name of a day.

    2026-01-31T12:00:00Z   2026-01-31T12:00   2026-01-31   2h   3d   hoje/today   ontem/yesterday

Always holds: the answer is in UTC; a day, and a time without an offset, are in the reader's zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import Text

_BACK: Final = re.compile(r"^-?(?P<count>\d{1,6})\s*(?P<unit>[a-zç]+)$")
_UNITS: Final[dict[str, timedelta]] = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "sem": timedelta(weeks=1),
}
_DAYS_AGO: Final = {
    "hoje": 0, "today": 0, "ontem": 1, "yesterday": 1, "anteontem": 2,
}  # fmt: skip
_NOW: Final = frozenset({"agora", "now"})


def instant_of(value: Any, *, now: datetime, zone: tzinfo, field: str) -> datetime:
    """Read a moment; a `datetime` with a zone is taken as it is, a named day is its first instant.

    Raises:
        InvalidInput: no form fits, or the moment lies outside the years 1 to 9999.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidInput(field=field, shape=shape_of(value), reason=_UNREAD)
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise InvalidInput(field=field, shape=shape_of(value), reason=_UNREAD)
    try:
        return _read(value.strip().lower(), now, zone).astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise InvalidInput(field=field, shape=shape_of(value), reason=_UNREAD) from cause


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        UnknownName: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as cause:
        known = "Europe/Lisbon, America/Sao_Paulo, UTC, …"
        raise UnknownName(field="timezone", shape=repr(name)[:60], known=known) from cause


def _read(text: str, now: datetime, zone: tzinfo) -> datetime:
    if text in _NOW:
        return now
    if text in _DAYS_AGO:
        day = now.astimezone(zone).date() - timedelta(days=_DAYS_AGO[text])
        return datetime.combine(day, time(), zone)
    found = _BACK.match(text)
    if found:
        if found["unit"] not in _UNITS:
            raise ValueError(f"no unit {found['unit']}")
        return now - int(found["count"]) * _UNITS[found["unit"]]
    instant = datetime.fromisoformat(text.upper())
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)


_UNREAD: Final = Text(
    "não é uma hora: use 2026-01-31T12:00:00Z, 2026-01-31, 2h, 3d, hoje ou ontem",
    "is no time: use 2026-01-31T12:00:00Z, 2026-01-31, 2h, 3d, today or yesterday",
)
