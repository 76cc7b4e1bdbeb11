"""Asking a policy about records, and finding the one record that it fails on.

A batch that fails as a whole (a limit tripped, the source does not load) is halved until the record
is found. Always holds: what a policy said about the records before the one that it fails on counts,
what it would have said about those after it does not: they wait until it is mended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loglineos.base.errors import InvalidInput, RunnerLost
from loglineos.ledger.record import Record
from loglineos.runtime.policy.policies import Policy, Shown
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Failed, Program, ProgramError

BATCH_ACTIONS_MAX: Final = 1_000
"""Actions of one policy that are taken at once; more records wait for the next turn."""
SEARCH_S_MAX: Final = 10.0
"""How long the search for the failing record may take; then the policy is too slow."""

_TEXT_BYTES_MAX: Final = 8 * 1024 * 1024

Said = tuple[list[Any] | None, ProgramError | None]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A policy failed on a record."""

    span: Record
    error: ProgramError


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy says about the records from `start` to `end`. With a fault, `end` is there."""

    policy: Policy
    start: int
    end: int
    said: tuple[tuple[Record, list[Any]], ...] = ()
    fault: Fault | None = None
    evaluated: int = 0
    tick: int | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing follows from it."""
        return not self.said and self.fault is None


async def judge(
    runners: Runners,
    program: Program,
    policy: Policy,
    shown: Sequence[Shown],
    *,
    start: int,
    end: int,
    actions_per_span_max: int,
    loses_runners: bool = False,
    tick: int | None = None,
) -> Verdict:
    """Ask a policy about what it is shown of the records from `start` to `end`.

    `loses_runners`: it lost its runner again and again; now that counts as failing.

    Raises:
        RunnerLost: the sandbox's process is gone; repeat.
    """
    if not shown:
        return Verdict(policy=policy, start=start, end=end, tick=tick)
    search = _Search(runners, program, loses_runners=loses_runners)
    results = await search.ask([text for _, text in shown])
    said: list[tuple[Record, list[Any]]] = []
    count = 0
    for place, (record, _) in enumerate(shown):
        actions, error = results[place]
        if error is None:
            actions, error = _checked(actions, actions_per_span_max)
        if error is None and count + len(actions or ()) > BATCH_ACTIONS_MAX:
            at = start if tick is not None else _position(record)
            return Verdict(
                policy=policy, start=start, end=at, said=tuple(said), evaluated=place, tick=tick
            )
        if error is not None:
            at = start if tick is not None else _position(record)
            return Verdict(
                policy=policy, start=start, end=at, said=tuple(said), evaluated=place,
                fault=Fault(span=record, error=error), tick=tick,
            )  # fmt: skip
        if actions:
            count += len(actions)
            said.append((record, actions))
    return Verdict(
        policy=policy, start=start, end=end, said=tuple(said), evaluated=len(shown), tick=tick
    )


class _Search:
    """One evaluation of a batch, halved where it fails."""

    def __init__(self, runners: Runners, program: Program, *, loses_runners: bool) -> None:
        self._runners = runners
        self._program = program
        self._loses_runners = loses_runners
        self._until = time.monotonic() + SEARCH_S_MAX

    async def ask(self, spans: list[bytes]) -> list[Said]:
        """Return what was said of each span, up to and with the first that it fails on."""
        if len(spans) > 1 and sum(map(len, spans)) > _TEXT_BYTES_MAX:
            return await self._halves(spans)
        try:
            outcome = await self._runners.evaluate(self._program, b"[" + b",".join(spans) + b"]")
        except RunnerLost:
            if not self._loses_runners:
                raise
            outcome = Failed(error=_LOST)
        except InvalidInput as refusal:
            message = str(refusal)[:500]
            outcome = Failed(error=ProgramError(type=type(refusal).__name__, message=message))
        if not isinstance(outcome, Failed):
            return list(outcome.results)
        if len(spans) == 1:
            return [(None, outcome.error)]
        if time.monotonic() > self._until:
            return [(None, _SLOW)]
        return await self._halves(spans)

    async def _halves(self, spans: list[bytes]) -> list[Said]:
        half = len(spans) // 2
        said = await self.ask(spans[:half])
        if any(error is not None for _, error in said):
            return said
        return said + await self.ask(spans[half:])


def _checked(
    actions: list[Any] | None, actions_max: int
) -> tuple[list[Any] | None, ProgramError | None]:
    """Let the actions for one record pass, when they are few enough."""
    if not actions:
        return None, None
    if len(actions) > actions_max:
        message = f"{len(actions)} actions for one record; at most {actions_max}"
        return None, ProgramError(type="TooManyActions", message=message, limit="size")
    return actions, None


def _position(record: Record) -> int:
    assert record.position is not None, "what was read has a place"
    return record.position


_LOST: Final = ProgramError(
    type="RunnerLost", message="the sandbox's process ended again and again while it ran"
)
_SLOW: Final = ProgramError(
    type="TooSlow", message="it takes longer than a batch may take", limit="time"
)
