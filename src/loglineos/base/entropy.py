"""Randomness as an argument: the system's source, and one that a seed fixes."""

from __future__ import annotations

import random
import secrets
from typing import Protocol


class Entropy(Protocol):
    """Gives random bytes."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        ...


class SystemEntropy:
    """The operating system's source; the only one that may make keys."""

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes from the operating system."""
        return secrets.token_bytes(count)


class SeededEntropy:
    """The same bytes for the same seed: for scenarios, simulations and tests, never for keys."""

    def __init__(self, seed: int) -> None:
        """Fix the sequence by `seed`."""
        self._random = random.Random(seed)  # noqa: S311 - repeatable, and never for keys

    def bytes(self, count: int) -> bytes:
        """Return the next `count` bytes of the sequence."""
        return self._random.randbytes(count)
