"""The policy agent: asks every active policy of every tenant about every new record, once.

    read a batch → ask all policies at once → append what follows and their cursors → move on

Exactly once for each policy and position: what a policy does and the next event of its cursor are
one append, and the event's place in the cursor's life can be taken only once. Who loses that race,
or crashed before moving on, reads where the policy stands now.

Always holds: a policy is shown one tenant only; one that is slow, fails or loops is overtaken by
the others and, when it fails, quarantined.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from loglineos.database.pool import Pool
from loglineos.ledger.writer import Writer
from loglineos.runtime.following import Bell, Cursors, Lag, Log, Watch
from loglineos.runtime.laws import Laws
from loglineos.runtime.policy.tenant import TenantPolicies
from loglineos.runtime.sandbox.runners import Runners


class PolicyAgent:
    """The policies of every tenant of a node. Any number of agents may run on one database."""

    def __init__(
        self,
        writer: Writer,
        *,
        pool: Pool,
        runners: Runners,
        laws: Laws,
        hints: Callable[[], AsyncIterator[str]] | None = None,
    ) -> None:
        """Append through `writer`, keep places through `pool` (role logline_appender).

        `hints` yields names of tenants whose logs have grown, as `Node.grown`.
        """
        self._writer = writer
        self._log = Log(writer.pool)
        self._cursors = Cursors(pool, clock=writer.clock)
        self._runners = runners
        self._laws = laws
        self._hints = hints
        self._tenants: dict[str, TenantPolicies] = {}

    @property
    def lags(self) -> list[Lag]:
        """How far behind each log the agent and each policy are, as far as it has looked."""
        return [lag for tenant in self._tenants.values() for lag in tenant.lags]

    async def run(self) -> None:
        """Follow every tenant for ever; ends by cancelling."""
        await Watch(self._log, self._follow, hints=self._hints).run()

    async def catch_up(self, tenant: str) -> int:
        """Ask the policies of a tenant about all that is there; return the position reached."""
        return await self.of(tenant).catch_up()

    async def tick(self, tenant: str, now: datetime | None = None) -> None:
        """Ask the policies of a tenant that need time to pass, for the minute of `now`."""
        await self.of(tenant).tick(now)

    def of(self, tenant: str) -> TenantPolicies:
        """Return the policies of one tenant, at work."""
        if tenant not in self._tenants:
            self._tenants[tenant] = TenantPolicies(
                tenant, writer=self._writer, log=self._log, cursors=self._cursors,
                runners=self._runners, laws=self._laws,
            )  # fmt: skip
        return self._tenants[tenant]

    async def _follow(self, tenant: str, bell: Bell) -> None:
        await self.of(tenant).run(bell)
