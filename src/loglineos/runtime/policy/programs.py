"""What a policy runs as: its source, the prelude, and `house`, the figures of the house's law.

A policy reads them by `import house`: `house.slow_ms`, `house.timeout_ms`, `house.depth_max`,
`house.four_eyes_over_cents` (None: never), `house.tenant`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.policy.policies import Policy
from loglineos.runtime.sandbox.turns import Module, Program

HOUSE: Final = "house"
_IMPORTS: Final = re.compile(r"^[ \t]*(?:import|from)[ \t]+house\b", re.MULTILINE)


async def program_of(
    laws: Laws, policy: Policy, manifest: Manifest, *, frozen_at: datetime
) -> Program:
    """Return the program of a policy with its clock standing at `frozen_at`.

    Raises:
        Refused: a module of the prelude that it uses is not lawful.
    """
    function = policy.function
    program = await laws.program(
        function.tenant, function, frozen_at=rfc3339(frozen_at), seed=f"policy/{policy.id}"
    )
    if function.language != "python" or not _IMPORTS.search(function.source):
        return program
    return msgspec.structs.replace(
        program, prelude=(*program.prelude, house_module(manifest, function.tenant))
    )


def house_module(manifest: Manifest, tenant: str) -> Module:
    """Write the figures of a house's law as a module of constants."""
    figures = {
        "tenant": tenant,
        "slow_ms": manifest.policy.slow_ms,
        "timeout_ms": manifest.timeout_ms,
        "depth_max": manifest.limits.depth_max,
        "four_eyes_over_cents": manifest.four_eyes_over_cents,
    }
    return Module(name=HOUSE, source="".join(f"{k} = {v!r}\n" for k, v in figures.items()))
