"""What runs work with: the law, the world, the sandbox, and where their outcome is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from loglineos.ledger.record import Record
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Program


class Runnable(Protocol):
    """What the executor must know of a function's version: `runtime.functions.Function`."""

    id: UUID
    seq: int
    name: str
    language: str
    runtime: str
    entrypoint: str
    effects: tuple[str, ...]
    code_hash: str
    timeout_ms: int
    max_attempts: int
    queue: str

    def check_input(self, value: Any) -> None:
        """Check an input against the function's schema; raise InvalidInput."""
        ...

    def check_output(self, value: Any) -> None:
        """Check an output against the function's schema; raise InvalidInput."""
        ...


class Law(Protocol):
    """What may run, and with which rights: `runtime.laws.Laws`."""

    async def function(self, tenant: str, which: str | UUID, seq: int | None = None) -> Any:
        """Return a verified function; raise a kind of Refused or NotFound."""
        ...

    async def manifest(self, tenant: str) -> Any:
        """Return the verified manifest."""
        ...

    async def program(self, tenant: str, function: Any, *, frozen_at: str | None) -> Program:
        """Return what the sandbox is given of a function: source, prelude, entry."""
        ...

    async def resolve(self, tenant: str, name: str) -> Any | None:
        """Return the function of this name or alias, or None."""
        ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run came to rest: its latest record. `lost`: it is another worker's now."""

    kind: Literal["complete", "error", "dead", "waiting", "queued", "denied", "archived", "lost"]
    record: Record


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What every run of a worker shares. `name` is the worker's, told in what it ran."""

    world: World
    law: Law
    runners: Runners
    name: str
    wake: Callable[[str, list[UUID]], Awaitable[int]]
