"""What a pool of runners counts of itself: since it was opened, never read back by it."""

from __future__ import annotations

from collections import Counter

from loglineos.runtime.sandbox.turns import Failed


class Tally:
    """Counts: `runs` by kind (durable, pure, policy), `limits` that were tripped by name."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.runs: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self.runners_lost = 0

    def note(self, reply: object) -> None:
        """Count the limit that a reply tells of, if it does."""
        if isinstance(reply, Failed) and reply.error.limit is not None:
            self.limits[reply.error.limit] += 1
