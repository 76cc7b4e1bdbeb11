"""Offers: what a worker may take next, shared out fairly between tenants.

Each tenant with something ready gets the same share of the free places, whatever the length of its
queues; what one leaves over goes to the others. Inside a tenant the lowest priority number comes
first. Always holds: a paused queue offers nothing; a queue with limits is claimed under its lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from loglineos.services.queue.leases import Claim, Group, Leases, Limit
from loglineos.services.queue.settings import WHOLE_TENANT, QueueSettings


class Offers:
    """What the tenants of a node have ready, as last looked at."""

    def __init__(self, leases: Leases, *, queues: Collection[str] | None = None) -> None:
        """Take by `leases`; from these queues only, or from all (None)."""
        self._leases = leases
        self._queues = None if queues is None else frozenset(queues)
        self._groups: dict[str, list[Group]] = {}
        self._known: dict[str, list[Group]] = {}
        self._next_due: dict[str, datetime] = {}
        self._last = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ready, as far as is known."""
        return not self._groups

    def has(self, tenant: str) -> bool:
        """Whether a tenant has something ready, as far as is known."""
        return tenant in self._groups

    @property
    def next_due(self) -> datetime | None:
        """When the next job comes due, as far as is known."""
        return min(self._next_due.values(), default=None)

    def due_tenants(self, now: datetime) -> list[str]:
        """List the tenants that have a job whose time has come since the last look."""
        return [tenant for tenant, due in self._next_due.items() if due <= now]

    async def look(
        self, tenants: Sequence[str], settings: dict[str, dict[str, QueueSettings]]
    ) -> None:
        """Look what these tenants have; `settings` are those of their queues, by name."""
        if not tenants:
            return
        for tenant, groups in (await self._leases.groups(tenants)).items():
            told = settings.get(tenant, {})
            open_groups = [group for group in groups if self._is_open(group, told)]
            ready = [group for group in open_groups if group.is_ready]
            dues = [group.next_due for group in open_groups if group.next_due is not None]
            self._groups.pop(tenant, None)
            self._next_due.pop(tenant, None)
            if groups:
                self._known[tenant] = groups
            if ready:
                self._groups[tenant] = ready
            if dues:
                self._next_due[tenant] = min(dues)

    def expect(self, tenants: Iterable[str], settings: dict[str, dict[str, QueueSettings]]) -> None:
        """Count on the queues that these tenants had before: a hint says that something came."""
        for tenant in tenants:
            if tenant not in self._groups:
                told = settings.get(tenant, {})
                known = [g for g in self._known.get(tenant, ()) if self._is_open(g, told)]
                if known:
                    self._groups[tenant] = known

    async def take(self, free: int, settings: dict[str, dict[str, QueueSettings]]) -> list[Claim]:
        """Take at most `free` jobs, a fair share from each tenant that has any ready."""
        claims: list[Claim] = []
        turn = self._turn()
        while turn and free > len(claims):
            left = free - len(claims)
            share = max(1, left // len(turn))
            asked = turn[: min(len(turn), left)]
            taken = await self._take_shares(asked, share, settings)
            claims += taken
            found = dict.fromkeys(asked, 0)
            for claim in taken:
                found[claim.tenant] += 1
            for tenant in asked:
                if found[tenant] < share:
                    self._groups.pop(
                        tenant, None
                    )  # a hint, its next time or the poll brings it back
            self._last = asked[-1]
            turn = [tenant for tenant in self._turn() if tenant in self._groups]
        return claims

    async def _take_shares(
        self, tenants: Sequence[str], share: int, settings: dict[str, dict[str, QueueSettings]]
    ) -> list[Claim]:
        plain: list[tuple[str, Sequence[Group], int]] = []
        claims: list[Claim] = []
        for tenant in tenants:
            told = settings.get(tenant, {})
            limited = [g for g in self._groups[tenant] if _limits(g.queue, told)]
            free_groups = [g for g in self._groups[tenant] if not _limits(g.queue, told)]
            taken: list[Claim] = []
            for queue in dict.fromkeys(group.queue for group in limited):
                if len(taken) < share:
                    taken += await self._leases.take_limited(
                        tenant, [group for group in limited if group.queue == queue],
                        share - len(taken), limits=_limits(queue, told),
                    )  # fmt: skip
            claims += taken
            if free_groups and len(taken) < share:
                plain.append((tenant, free_groups, share - len(taken)))
        if plain:
            claims += await self._leases.take(plain)
        return claims

    def _turn(self) -> list[str]:
        """List the tenants with something ready, beginning after the one that was served last."""
        tenants = sorted(self._groups)
        after = [tenant for tenant in tenants if tenant > self._last]
        return after + [tenant for tenant in tenants if tenant <= self._last]

    def _is_open(self, group: Group, settings: dict[str, QueueSettings]) -> bool:
        if self._queues is not None and group.queue not in self._queues:
            return False
        told = (settings.get(group.queue), settings.get(WHOLE_TENANT))
        return not any(one is not None and one.paused for one in told)


def _limits(queue: str, settings: dict[str, QueueSettings]) -> list[Limit]:
    """List the limits that a claim of this queue must count, the tenant's first."""
    told = (settings.get(WHOLE_TENANT), settings.get(queue))
    return [one.limit for one in told if one is not None and one.limit is not None]
