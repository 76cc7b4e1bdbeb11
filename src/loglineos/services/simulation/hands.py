"""The hands of a simulation: what is in the queues is done, one at a time, in one order.

The same leases, limits and ends as a worker's. Always holds: two simulations of the same do the
same in the same order; nothing is begun while something else is under way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from loglineos.base.entropy import Entropy
from loglineos.base.errors import Conflict, LoglineError
from loglineos.database.pool import Pool
from loglineos.ledger.record import Draft
from loglineos.ledger.scratch import SIMULATION
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.outcome import Outcome
from loglineos.services.definitions import Definitions
from loglineos.services.queue.endings import Endings
from loglineos.services.queue.leases import Claim, Leases
from loglineos.services.queue.lives import end_of, failure_of, lost_lease
from loglineos.services.queue.offers import Offers
from loglineos.services.queue.settings import QUEUE, settings_by_name

_LEASE_S: Final = 30.0
_LIMITED: Final = timedelta(seconds=1)
"""When to look again at a queue that has jobs and lets none through now."""


class Hands:
    """Does the jobs of one scratch tenant."""

    def __init__(
        self, tenant: str, *, writer: Writer, executor: Executor, pool: Pool, entropy: Entropy
    ) -> None:
        """Take jobs through `pool`, of the role logline_appender; append through `writer`."""
        self.next_due: datetime | None = None
        self._tenant = tenant
        self._writer = writer
        self._executor = executor
        self._entropy = entropy
        leases = Leases(
            pool, writer, worker=f"{SIMULATION}/{tenant}", clock=writer.clock, lease_s=_LEASE_S
        )
        self._offers = Offers(leases)
        self._definitions = Definitions(pool, QUEUE)
        self._endings = Endings(writer)

    async def do_one(self) -> bool:
        """Do the job that is due first; tell whether there was one.

        Raises:
            LoglineError: the database refuses what the run is to leave.
        """
        await self._definitions.refresh([self._tenant])
        settings = {self._tenant: settings_by_name(self._definitions.of(self._tenant))}
        await self._offers.look([self._tenant], settings)
        is_ready, self.next_due = not self._offers.is_empty, self._offers.next_due
        claims = await self._offers.take(1, settings) if is_ready else []
        for claim in claims:
            await self._do(claim)
        if is_ready and not claims:
            later = self._writer.clock.now() + _LIMITED
            self.next_due = min(self.next_due or later, later)
        return bool(claims)

    async def _do(self, claim: Claim) -> None:
        if claim.lost_by is not None:
            drafts = [lost_lease(claim, lost_by=claim.lost_by)]
        else:
            try:
                outcome = await self._executor.run(
                    self._tenant, claim.execution, worker=SIMULATION, attempt=claim.attempt
                )
            except Exception as cause:  # noqa: BLE001 - whatever it raises is the end of this try
                outcome = failure_of(cause)
            if outcome.kind not in ("complete", "error"):
                return
            drafts = self._end(claim, outcome)
        try:
            await self._endings.append(self._tenant, drafts)
        except Conflict:
            return  # it has ended itself
        except LoglineError as refusal:
            if claim.lost_by is not None:
                raise
            refused = msgspec.structs.replace(failure_of(refusal), is_final=True)
            await self._endings.append(self._tenant, self._end(claim, refused))

    def _end(self, claim: Claim, outcome: Outcome) -> list[Draft]:
        return end_of(
            claim, outcome, worker=SIMULATION, now=self._writer.clock.now(), entropy=self._entropy
        )
