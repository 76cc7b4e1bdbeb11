"""Ids that follow from what they name, so that the same thing cannot be appended twice.

Always holds: equal parts give equal ids, on every node and for ever; no derived id lies among those
that are reserved for keys, actors and tenants.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from blake3 import blake3

from loglineos.ledger.trust import is_reserved, stable_id

_DOMAIN: Final = "loglineos/derived/v1\n"
_BETWEEN: Final = "\x1f"


def derived_id(*parts: str) -> UUID:
    """Return the id of what `parts` name together, most general first (UUIDv8).

    The first part says what kind of thing it is, e.g. `derived_id("policy_cursor", policy_id)`.
    A part never holds U+001F, which stands between them.

    Raises:
        ValueError: a fault of ours: no part, or one that holds U+001F.

    Source: RFC 9562 section 5.8.
    """
    if not parts or any(_BETWEEN in part for part in parts):
        raise ValueError("derived_id takes parts without U+001F, at least one")
    digest = blake3((_DOMAIN + _BETWEEN.join(parts)).encode()).digest()
    made = stable_id(digest)
    return made if not is_reserved(made) else stable_id(bytes([digest[0] ^ 0x80]) + digest[1:])


def step_id(execution: UUID, number: int) -> UUID:
    """Return the id of a step of an execution; steps count from 0."""
    return derived_id("step", str(execution), str(number))
