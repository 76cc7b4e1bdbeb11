"""The world that a Python program sees: its limits, its clock and chance, its capabilities."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pydantic_monty as engine

from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.turns import Program

_IMPORTS_MAX: Final = 200  # imports and unknown names suspend too, but are answered in the runner


def engine_limits(limits: RunLimits) -> engine.ResourceLimits:
    """Return a session's limits in the engine's terms; calls are counted by us, with room here."""
    return {
        "max_feed_duration_secs": limits.feed_s,
        "max_turn_duration_secs": limits.turn_s,
        "max_memory": limits.memory_bytes,
        "max_recursion_depth": limits.depth_max,
        "max_suspensions": limits.suspensions_max * 2 + _IMPORTS_MAX,
        "max_total_sleep_secs": 0.0,
    }


def os_policy(program: Program) -> engine.OSPolicy:
    """Return where the program's time, sleep and chance come from."""
    policy: engine.OSPolicy = {
        "timezone": "utc",
        "sleep": "call_host",
        "datetime": "call_host",
        "random_start": {"seed": program.seed},
    }
    if program.frozen_at is not None:
        policy["datetime"] = datetime.fromisoformat(program.frozen_at).astimezone(UTC)
    return policy


def modules(names: tuple[str, ...]) -> dict[str, engine.ExternalModule]:
    """Make the tree of modules that names like `ctx.ledger.get` describe."""
    tree: dict[str, Any] = {}
    for name in names:
        *folders, leaf = name.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = None
    return {name: _module(part) for name, part in tree.items() if part is not None}


def _module(tree: dict[str, Any]) -> engine.ExternalModule:
    return engine.ExternalModule(
        {name: _stand_in if part is None else _module(part) for name, part in tree.items()}
    )


def _stand_in(*_: object, **__: object) -> None:
    """Stand for a capability; the driver answers, so this is never called."""
    raise AssertionError
