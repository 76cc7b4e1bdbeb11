"""Asking every witness of a policy at once, and leaving alone for a while those that fail.

Always holds: a witness that is away costs one wait of `timeout_s`, then nothing until its time to
be asked again; only one that has seen a larger tree than ours stops us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.errors import LogBehind, LoglineError
from loglineos.ledger.tlog.note import Verified
from loglineos.ledger.tlog.policy import Policy, PolicyWitness
from loglineos.ledger.tlog.proofs import TileSource, consistency_proof
from loglineos.ledger.tlog.witness_client import RETRY_AFTER_S, WitnessTransport, ask_witness

TIMEOUT_S: Final = 5.0


class Cosigned(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of asking brought: lines by the witness's name in the policy; who failed."""

    cosignatures: dict[str, tuple[Verified, ...]]
    failures: dict[str, LoglineError]


class Cosigners:
    """The witnesses of a policy that have an address."""

    def __init__(
        self,
        policy: Policy,
        *,
        transport: WitnessTransport,
        clock: Clock,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Ask through `transport`, each request waiting at most `timeout_s`."""
        self.policy = policy
        self._transport = transport
        self._clock = clock
        self._timeout_s = timeout_s
        self._sizes: dict[str, int] = {}
        self._not_before: dict[str, datetime] = {}

    @property
    def names(self) -> list[str]:
        """List the witnesses that can be asked."""
        return [one.name for one in self.policy.witnesses if one.url is not None]

    async def ask(
        self, note: bytes, *, tiles: TileSource, without: Collection[str] = ()
    ) -> Cosigned:
        """Ask every witness, but those in `without` and those to be left alone for now.

        Raises:
            LogBehind: a witness has cosigned a larger tree of this log.
        """
        now = self._clock.now()
        asked = [
            one
            for one in self.policy.witnesses
            if one.url is not None
            and one.name not in without
            and self._not_before.get(one.name, now) <= now
        ]
        answers = await asyncio.gather(
            *(self._ask_one(one, note, tiles) for one in asked), return_exceptions=True
        )
        brought: dict[str, tuple[Verified, ...]] = {}
        failures: dict[str, LoglineError] = {}
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, tuple):
                brought[one.name] = answer
            elif isinstance(answer, LoglineError) and not isinstance(answer, LogBehind):
                failures[one.name] = answer
                self._leave_alone(one, answer)
            else:
                raise answer
        return Cosigned(cosignatures=brought, failures=failures)

    async def _ask_one(
        self, witness: PolicyWitness, note: bytes, tiles: TileSource
    ) -> tuple[Verified, ...]:
        async def prove(old: int, new: int) -> list[bytes]:
            self._sizes[witness.name] = old
            return await consistency_proof(tiles, old, new)

        assert witness.url is not None, "only witnesses with an address are asked"
        reply = await ask_witness(
            self._transport,
            url=witness.url,
            checkpoint=note,
            old_size=self._sizes.get(witness.name, 0),
            proof_builder=prove,
            witness=witness.key,
            timeout_s=self._timeout_s,
        )
        return reply.cosignatures

    def _leave_alone(self, witness: PolicyWitness, failure: LoglineError) -> None:
        told = failure.fields.get("retry_after_s")
        wait_s = float(told) if isinstance(told, (int, float)) else float(RETRY_AFTER_S)
        self._not_before[witness.name] = self._clock.now() + timedelta(seconds=wait_s)
