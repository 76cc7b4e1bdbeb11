"""Handlers: services of the node itself, as Python callables by name, run without a sandbox.

What people publish never comes here; this is for the node's own small work, for tests and for
measuring the queue alone. Always holds: a name that is not registered is a final error.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from loglineos.ledger.record import Record
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.ids import derived_id
from loglineos.services.queue.lives import failure_of

Handler = Callable[[Any], Any | Awaitable[Any]]
"""Takes the input of an execution, returns its output: plain JSON."""

NOOP: Final = "noop"


def handler_id(name: str) -> UUID:
    """Return the id that stands for a handler where a function's would."""
    return derived_id("handler", name)


class Handlers:
    """An executor of callables."""

    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        """Register handlers by name; `noop`, which does nothing, is always there."""
        self._handlers: dict[str, Handler] = {NOOP: _do_nothing, **(handlers or {})}

    @property
    def names(self) -> frozenset[str]:
        """The names that are registered."""
        return frozenset(self._handlers)

    async def run(
        self,
        tenant: str,  # noqa: ARG002 - of the protocol
        execution: Record,
        *,
        worker: str,  # noqa: ARG002 - of the protocol
        attempt: int,  # noqa: ARG002 - of the protocol
    ) -> Outcome:
        """Call the handler of the execution's name; what it raises is an error to be retried."""
        handler = self._handlers.get(execution.name or "")
        if handler is None:
            told = {"code": "unknown_name", "type": "UnknownName", "message": str(execution.name)}
            return Outcome(kind="error", error=told, is_final=True)
        try:
            output = handler(execution.input)
            if inspect.isawaitable(output):
                output = await output
        except Exception as cause:  # noqa: BLE001 - whatever a handler raises is its failure
            return failure_of(cause)
        return Outcome(kind="complete", output=output)


def _do_nothing(_input: Any) -> None:
    return None
