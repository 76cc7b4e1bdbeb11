"""What `logline up` and `logline worker` let others see: log lines, and metrics for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from loglineos.engine import Engine
from loglineos.faces.cli.log_lines import log_lines
from loglineos.faces.cli.session import Session
from loglineos.node import Node
from loglineos.runtime.execution.observer import Observer, joined
from loglineos.runtime.sandbox.tally import Tally
from loglineos.services.telemetry.looks import NodeLook, look_at_node


class Observed:
    """What watches one command; `engine` is set once there is one."""

    def __init__(self, node: Node) -> None:
        """Watch nothing yet."""
        self.engine: Engine | None = None
        self.observer: Observer
        self._node = node

    async def look(self) -> NodeLook:
        """Ask the database."""
        return await look_at_node(self._node.reader_pool, now=self._node.clock.now())

    def database_errors(self) -> Mapping[str, int]:
        """Count what went wrong with connections, by who holds them."""
        pools = {"app": self._node.app_pool, "reader": self._node.reader_pool}
        if self.engine is not None:
            pools["work"] = self.engine.work
        names = ("connections_errors", "connections_lost", "requests_errors")
        stats = {place: pool.get_stats() for place, pool in pools.items()}
        found = {place: sum(told.get(name, 0) for name in names) for place, told in stats.items()}
        return {**found, "appender": self._node.appender.database_errors}

    def tally(self) -> Tally | None:
        """Return what the sandbox counted, once there is one."""
        return None if self.engine is None else self.engine.runners.tally


@asynccontextmanager
async def observed(session: Session, node: Node) -> AsyncIterator[Observed]:
    """Let others see what the command does, as the settings say, for the time of the block.

    Raises:
        Misconfigured: the port of the metrics is taken.
    """
    seen = Observed(node)
    async with AsyncExitStack() as stack:
        watching = [stack.enter_context(log_lines(session))]
        port = node.settings.metrics_port
        if port is not None:
            from loglineos.services.telemetry.metrics import Metrics, Sources  # noqa: PLC0415

            metrics = Metrics(
                Sources(look=seen.look, database_errors=seen.database_errors, tally=seen.tally)
            )
            await stack.enter_async_context(metrics.served(port))
            watching.append(metrics)
        seen.observer = joined(watching)
        yield seen
