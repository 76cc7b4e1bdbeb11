"""Entity ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

from uuid import UUID

from loglineos.base.clock import Clock, SystemClock
from loglineos.base.entropy import Entropy, SystemEntropy


def uuid7(clock: Clock | None = None, entropy: Entropy | None = None) -> UUID:
    """Make a UUIDv7: 48 bits of Unix milliseconds, then 74 random bits.

    Source: RFC 9562 section 5.7.
    """
    instant = (clock or SystemClock()).now()
    milliseconds = int(instant.timestamp() * 1000)
    noise = int.from_bytes((entropy or SystemEntropy()).bytes(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= ((noise >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= noise & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=value)
