"""Metrics for Prometheus: what this process did, and what the database says when somebody scrapes.

Always holds: the registry is our own; each label has at most `LABELS_MAX` values and the rest count
as `other`; the page is served on loopback only; while nobody scrapes, the database is not asked.
Source: docs/how-to/observe.md; the Prometheus text format.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Sums
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loglineos.base.errors import LoglineError, Misconfigured
from loglineos.base.language import Text
from loglineos.ledger.record import Record
from loglineos.runtime.execution.observer import StepSeen, TurnSeen
from loglineos.runtime.sandbox.tally import Tally
from loglineos.services.telemetry.looks import NodeLook

_LOG: Final = logging.getLogger(__name__)
SETTING: Final = "LOGLINE_METRICS_PORT"
LOOPBACK: Final = "127.0.0.1"
LABELS_MAX: Final = 200
"""Most values of one label; names beyond count as `other`."""
OTHER: Final = "other"
_LOOK_S_MAX: Final = 5.0
_ENDS: Final = frozenset({"complete", "error", "dead", "denied", "archived"})
_SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600,
)  # fmt: skip


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked at a scrape: the database's look, errors by place, the sandbox's tally."""

    look: Callable[[], Awaitable[NodeLook]]
    database_errors: Callable[[], Mapping[str, int]]
    tally: Callable[[], Tally | None]


class Labels:
    """Bounds one label: the first `LABELS_MAX` values stand for themselves."""

    def __init__(self, values_max: int = LABELS_MAX) -> None:
        """Know no value yet."""
        self._values_max = values_max
        self._known: set[str] = set()

    def of(self, value: str | None) -> str:
        """Return what the label says for a value."""
        told = (value or "?")[:120]
        if told in self._known:
            return told
        if len(self._known) >= self._values_max:
            return OTHER
        self._known.add(told)
        return told


class Metrics:
    """Counts what runs do, as their observer, and shows it with what the sources say."""

    def __init__(self, sources: Sources) -> None:
        """Count into a registry of our own."""
        self.registry = CollectorRegistry()
        self._functions, self._steps = Labels(), Labels()
        self._ended = Counter(
            "logline_executions_ended", "Executions that this process ended.",
            ["function", "outcome"], registry=self.registry,
        )  # fmt: skip
        self._turns = Counter(
            "logline_turns", "Turns of executions at this process, by the status that they left.",
            ["status"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "logline_turn_seconds", "How long turns took, their last append among it.",
            ["function"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._step_seconds = Histogram(
            "logline_step_seconds", "From a step's question to its journaled answer, with waits.",
            ["step"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._step_errors = Counter(
            "logline_step_errors", "Steps that were answered with an error.", ["step"],
            registry=self.registry,
        )  # fmt: skip
        self._shown = _Shown(sources)

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Do nothing: a turn counts when it has ended."""

    def step(self, execution: Record, seen: StepSeen) -> None:  # noqa: ARG002 - the seam's words
        """Count a step."""
        name = self._steps.of(seen.name)
        self._step_seconds.labels(name).observe(_between(seen))
        if seen.status == "error":
            self._step_errors.labels(name).inc()

    def end(self, execution: Record, seen: TurnSeen) -> None:
        """Count a turn, and the execution if it has ended."""
        name = self._functions.of(execution.name)
        self._turns.labels(seen.status).inc()
        self._seconds.labels(name).observe(_between(seen))
        if seen.status in _ENDS:
            self._ended.labels(name, seen.status).inc()

    @asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[int]:
        """Serve the page on loopback for the time of the block; give its port (0 chooses one).

        Raises:
            Misconfigured: the port is taken or not to be had.
        """
        self._shown.loop = asyncio.get_running_loop()
        self.registry.register(self._shown)
        try:
            server, thread = start_http_server(port, addr=LOOPBACK, registry=self.registry)
        except OSError as cause:
            said = cause.strerror or type(cause).__name__
            raise Misconfigured(
                setting=SETTING, reason=Text(f"{port}: {said}", f"{port}: {said}"), remedy=_ANOTHER
            ) from cause
        try:
            yield int(server.server_port)
        finally:
            self._shown.loop = None
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            await asyncio.to_thread(thread.join)


class _Shown(Collector):
    """What is asked for at each scrape, in the thread of the server."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._tenants, self._queues, self._followers = Labels(), Labels(), Labels()
        self.loop: asyncio.AbstractEventLoop | None = None

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the database's figures, if it answers, and those of this process."""
        look = self._look()
        yield GaugeMetricFamily(
            "logline_database_up", "Whether the database answered this scrape.",
            value=0 if look is None else 1,
        )  # fmt: skip
        if look is not None:
            yield from self._of_database(look)
        errors = CounterMetricFamily(
            "logline_database_errors", "Errors of this process's connections.", labels=["place"]
        )
        for place, count in self._sources.database_errors().items():
            errors.add_metric([place], count)
        yield errors
        tally = self._sources.tally()
        if tally is not None:
            yield from _of_sandbox(tally)

    def _look(self) -> NodeLook | None:
        loop = self.loop
        if loop is None:
            return None
        asked = asyncio.run_coroutine_threadsafe(self._ask(), loop)
        try:
            return asked.result(_LOOK_S_MAX)
        except TimeoutError:
            asked.cancel()
        except LoglineError as failure:
            _LOG.debug("a scrape found no database: %s", failure.code)
        return None

    async def _ask(self) -> NodeLook:
        return await self._sources.look()

    def _of_database(self, look: NodeLook) -> Iterator[Metric]:
        records = CounterMetricFamily(
            "logline_records", "Records appended to a tenant's log, by any process.",
            labels=["tenant"],
        )  # fmt: skip
        sizes: Sums[str] = Sums()
        for tenant, size in look.sizes.items():
            sizes[self._tenants.of(tenant)] += size
        for tenant, size in sizes.items():
            records.add_metric([tenant], size)
        yield records
        depth = GaugeMetricFamily(
            "logline_queue_executions",
            "Executions in a queue: ready, running, waiting (to be woken), later (not yet due).",
            labels=["tenant", "queue", "status"],
        )
        counts: Sums[tuple[str, str, str]] = Sums()
        for one in look.queues:
            place = self._tenants.of(one.tenant), self._queues.of(one.queue), one.stands
            counts[place] += one.count
        for labels, count in counts.items():
            depth.add_metric(labels, count)
        yield depth
        lag = GaugeMetricFamily(
            "logline_follower_lag_records", "Records that a follower has not worked on yet.",
            labels=["tenant", "follower"],
        )  # fmt: skip
        behind: Sums[tuple[str, str]] = Sums()
        for found in look.lags:
            follower = self._tenants.of(found.tenant), self._followers.of(found.name)
            behind[follower] += found.behind
        for names, count in behind.items():
            lag.add_metric(names, count)
        yield lag


def _of_sandbox(tally: Tally) -> Iterator[Metric]:
    runs = CounterMetricFamily(
        "logline_sandbox_runs", "What was run in the sandbox.", labels=["kind"]
    )
    for kind, count in sorted(tally.runs.items()):
        runs.add_metric([kind], count)
    yield runs
    limits = CounterMetricFamily(
        "logline_sandbox_limits", "Runs that a limit of the sandbox ended.", labels=["limit"]
    )
    for name, count in sorted(tally.limits.items()):
        limits.add_metric([name], count)
    yield limits
    yield CounterMetricFamily(
        "logline_sandbox_runners_lost", "Runner processes that died or hung.",
        value=tally.runners_lost,
    )  # fmt: skip


def _between(seen: StepSeen | TurnSeen) -> float:
    return max(0.0, (seen.ended - seen.began).total_seconds())


_ANOTHER: Final = Text(
    "escolha outra porta; cada processo precisa da sua",
    "choose another port; each process needs its own",
)
