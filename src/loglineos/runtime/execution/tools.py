"""What every run of a process works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from loglineos.base.clock import Clock, SystemClock
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.observer import SILENT, Observer
from loglineos.runtime.execution.snapshots import Snapshots
from loglineos.runtime.laws import Laws
from loglineos.runtime.sandbox.full_python import FullPython
from loglineos.runtime.sandbox.runners import Runners


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """The law, the world and the sandbox; `wake` makes waiting executions of a tenant due.

    `observer` is told of steps, with times by `clock`. `full_python` opens full CPython when a run
    needs it; None: there is none here. `snapshots` None: every run is resumed from its journal.
    """

    world: World
    laws: Laws
    runners: Runners
    wake: Callable[[str, list[UUID]], Awaitable[int]]
    observer: Observer = SILENT
    clock: Clock = SystemClock()
    full_python: Callable[[], FullPython] | None = None
    snapshots: Snapshots | None = None
