"""The scenario's chance: one seeded source from which every choice is drawn.

Always holds: only `random()` and `getrandbits()` of a text-seeded Mersenne twister and integer
arithmetic are used, which Python promises to keep; so the same seed gives the same house in every
version. Never for keys.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")


class Dice:
    """A seeded source of choices."""

    __slots__ = ("_bits", "_random")

    def __init__(self, seed: int) -> None:
        """Fix the sequence by `seed`."""
        source = random.Random(f"casa/{seed}")  # noqa: S311  a story, never a key
        self._random = source.random
        self._bits = source.getrandbits

    def chance(self, percent: int) -> bool:
        """Tell whether something happens that happens `percent` times in a hundred."""
        return self._random() * 100 < percent

    def between(self, low: int, high: int) -> int:
        """Choose an integer from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, choices: Sequence[T]) -> T:
        """Choose one of `choices`, which must not be empty."""
        return choices[int(self._random() * len(choices))]

    def weighted(self, weights: Sequence[int]) -> int:
        """Choose an index, each as often as its weight says."""
        sums = list(accumulate(weights))
        return bisect(sums, int(self._random() * sums[-1]))

    def hexadecimal(self, digits: int) -> str:
        """Return that many random hexadecimal digits."""
        return f"{self._bits(digits * 4):0{digits}x}"

    def uuid7(self, milliseconds: int) -> UUID:
        """Make a UUIDv7 of this Unix time and 74 bits of the sequence.

        Source: RFC 9562 section 5.7.
        """
        noise = self._bits(74)
        value = (milliseconds << 80) | (0x7 << 76) | ((noise >> 62) << 64)
        return UUID(int=value | (0b10 << 62) | (noise & 0x3FFF_FFFF_FFFF_FFFF))
