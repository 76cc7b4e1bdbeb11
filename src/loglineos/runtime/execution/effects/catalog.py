"""Every name of `ctx`, and what the operating system's words become inside a durable run."""

from __future__ import annotations

from typing import Final

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.runtime.execution.effects.acts import ACTS
from loglineos.runtime.execution.effects.effect import Call, Done, Effect, Performed, World, effect
from loglineos.runtime.execution.effects.http import ask_server
from loglineos.runtime.execution.effects.reads import READS
from loglineos.runtime.execution.effects.small import SMALL
from loglineos.runtime.execution.effects.waits import WAITS, sleep_for


@effect("datetime.now", "pure", like="(*args, **kwargs)")
async def read_clock(world: World, call: Call) -> Performed:
    """Read the clock: ordinary Python asks this way."""
    return Done(value={"$time": rfc3339(call.now)})


EFFECTS: Final[dict[str, Effect]] = {
    one.name: one for one in (*SMALL, *READS, *ACTS, *WAITS, ask_server)
}
"""What a program may call, by its whole name."""

OF_THE_SYSTEM: Final[dict[str, Effect]] = {
    **{
        name: msgspec.structs.replace(read_clock, name=name)
        for name in ("datetime.now", "date.today", "time.time")
    },
    **{
        name: msgspec.structs.replace(sleep_for, name=name)
        for name in ("time.sleep", "asyncio.sleep")
    },
}
"""What suspends a durable run without being called by name."""

NAMES: Final = tuple(sorted(EFFECTS))
