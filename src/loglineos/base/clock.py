"""Time as an argument: the system's clock, and one that a test or a simulation turns by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Always in UTC, never naive."""

    def now(self) -> datetime:
        """Return the present instant in UTC, with microseconds."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when it is told to."""

    def __init__(self, start: datetime) -> None:
        """Start at `start`, which must carry a time zone."""
        if start.tzinfo is None:
            raise ValueError("a clock needs an instant with a time zone")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the instant that it was last moved to."""
        return self._now

    def advance(self, step: timedelta) -> None:
        """Move forward by `step`."""
        self._now += step


def rfc3339(instant: datetime) -> str:
    """Write an instant as RFC 3339 in UTC with six decimals and `Z`, the ledger's only form."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
