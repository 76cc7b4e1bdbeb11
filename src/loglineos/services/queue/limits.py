"""Arithmetic of the queue: how many a rate lets through, how long to wait before another try."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor
from typing import Final

from loglineos.base.entropy import Entropy

BACKOFF_S_FIRST: Final = 1.0
BACKOFF_S_MAX: Final = 3600.0
LOST_LEASES_MAX: Final = 5
"""How many leases in a row an execution may lose, without a step between, before it is dead: a job
that kills its workers must not kill them all."""

_MICROSECONDS: Final = 1_000_000


def let_through(position: int, *, rate_per_s: float, now: datetime, wanted: int) -> tuple[int, int]:
    """Return how many of `wanted` may pass now, and the position after them.

    `position` is the theoretical arrival time of the next one, in microseconds since 1970. At most
    a second's worth (at least one) passes at once, and never more than `rate_per_s` on average.

    Source: generic cell rate algorithm, ITU-T I.371.
    """
    instant = int(now.timestamp() * _MICROSECONDS)
    every = max(1, round(_MICROSECONDS / rate_per_s))
    burst = max(_MICROSECONDS, every)
    at = min(max(position, instant - burst), instant + burst)  # a clock set back must not block
    room = floor((instant - at) / every)
    passing = max(0, min(wanted, room))
    return passing, at + passing * every


def wait_before(attempt: int, entropy: Entropy) -> timedelta:
    """Return how long to wait before the attempt after `attempt`: doubling, with jitter.

    From half to all of 1 s, 2 s, 4 s... at most an hour, so that what failed together does not
    come back together.
    """
    longest = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(attempt - 1, 32))
    share = int.from_bytes(entropy.bytes(4), "big") / 0xFFFF_FFFF
    return timedelta(seconds=longest / 2 + longest / 2 * share)
