"""Scratch tenants: where simulations happen. A tenant like any other, under a reserved name.

Always holds: only a simulation founds one; nobody who acts for real (workers, schedulers, policies,
consequences, wakers) follows its log or takes its jobs; nothing is ever deleted from it.
"""

from __future__ import annotations

from datetime import date
from typing import Final

PREFIX: Final = "sim-"
"""How the names of scratch tenants begin, and those of no others."""

SIMULATION: Final = "simulation"
"""In whose name a simulation itself speaks, in its scratch tenant."""

_OF_CHARACTERS_MAX: Final = 40


def is_scratch(tenant: str) -> bool:
    """Tell whether a tenant is a simulation's."""
    return tenant.startswith(PREFIX)


def scratch_name(tenant: str, *, on: date, number: int) -> str:
    """Name a scratch tenant by what it re-enacts, the day on which it does, and a number from 1."""
    return f"{PREFIX}{tenant[:_OF_CHARACTERS_MAX]}-{on:%Y%m%d}-{number}"
