"""The example house: a generator of acts that make sense, for demonstrations, tests and judges."""

from __future__ import annotations

from loglineos.services.scenario.figures import Figures, proportions_table
from loglineos.services.scenario.house import Actor, seed_actors
from loglineos.services.scenario.invariants import Report, check
from loglineos.services.scenario.labels import did_labels
from loglineos.services.scenario.timeline import generate_casa

__all__ = [
    "Actor",
    "Figures",
    "Report",
    "check",
    "did_labels",
    "generate_casa",
    "proportions_table",
    "seed_actors",
]
