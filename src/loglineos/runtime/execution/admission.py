"""Admission: may this execution start? The kernel `run_code` decides, for many at a time.

Always holds: a run that was not admitted leaves a record that says why; what one batch asks costs
one look at the house's usage and one run of the kernel, however many wait for it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from loglineos.ledger.record import Record
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.functions import Function
from loglineos.runtime.laws import Laws

_BATCH_MAX: Final = 500
_KERNEL: Final = "run_code"


class _Asking(NamedTuple):
    facts: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]


class Admission:
    """Asks the kernel of each house; who asks while it decides waits for the next batch."""

    def __init__(self, laws: Laws) -> None:
        """Ask by `laws`."""
        self._laws = laws
        self._waiting: dict[str, list[_Asking]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def decide(
        self, execution: Record, function: Function, *, attempt: int
    ) -> dict[str, Any]:
        """Return the kernel's decision: `do` is run, defer (`until`) or block (`reason`, `said`).

        Raises:
            Refused, ProgramFailed: the kernel is not lawful, or does not decide.
        """
        tenant = execution.tenant_id
        facts = {
            "id": str(execution.id), "tenant": tenant, "depth": depth_of(execution),
            "attempt": attempt, "max_attempts": max(execution.max_attempts or 1, attempt),
            "key": execution.public_key, "force": (execution.metadata or {}).get("force") is True,
            "function": {
                "id": str(function.id), "name": function.name, "tenant": function.tenant,
                "paused": function.paused is not None,
            },
        }  # fmt: skip
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, []).append(_Asking(facts, answer))
        if tenant not in self._tasks:
            task = asyncio.create_task(self._ask(tenant), name=f"admission to {tenant}")
            self._tasks[tenant] = task
        return await answer

    async def _ask(self, tenant: str) -> None:
        try:
            while True:
                await asyncio.sleep(0)  # whoever starts in this turn of the loop comes along
                waiting = self._waiting.pop(tenant, [])
                if not waiting:
                    return
                for start in range(0, len(waiting), _BATCH_MAX):
                    await self._ask_batch(tenant, waiting[start : start + _BATCH_MAX])
        finally:
            del self._tasks[tenant]
            for one in self._waiting.pop(tenant, []):
                one.answer.cancel()

    async def _ask_batch(self, tenant: str, batch: list[_Asking]) -> None:
        try:
            used = await self._laws.usage(tenant)
            facts = {
                "used": {"today": used.today, "minute": used.minute},
                "executions": [one.facts for one in batch],
            }
            decided = await self._laws.decide(tenant, _KERNEL, facts)
            found = {one["id"]: one for one in decided["decisions"]}
        except asyncio.CancelledError:
            for one in batch:
                one.answer.cancel()
            raise
        except Exception as failure:  # noqa: BLE001 - each who waits is told
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(failure)
            return
        for one in batch:
            if not one.answer.done():
                one.answer.set_result(found[one.facts["id"]])
