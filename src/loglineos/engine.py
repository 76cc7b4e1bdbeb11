"""The engine: what makes a node act. Law, sandbox, executions, and whoever runs beside them.

Made from an open node. Always holds: what the engine opens, it closes; a machine whose kernel lacks
a layer of the jail runs nothing, unless the house's manifest names that layer; a node without its
engine still records, proves and tells.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any, Final, Literal

from loglineos.base.errors import LoglineError, UnknownName
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.database.roles import APPENDER, refuse_superuser
from loglineos.ledger.reading.reader import Reader
from loglineos.ledger.scratch import is_scratch
from loglineos.node import Node
from loglineos.runtime.checking import checker
from loglineos.runtime.consequence.consequences import Consequences
from loglineos.runtime.execution.effects.door import HttpDoor
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.observer import SILENT, Observer, joined
from loglineos.runtime.execution.secrets import FileSecrets
from loglineos.runtime.execution.waking import NAME as WAKING
from loglineos.runtime.execution.waking import Waker
from loglineos.runtime.following import Bell, Cursors, Follower, Log, Watch
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import MANIFEST_ID, Manifest, parse_manifest
from loglineos.runtime.packages import FOLDER as PACKAGES
from loglineos.runtime.policy.agent import PolicyAgent
from loglineos.runtime.sandbox.full_python import FullPython
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.services.queue.worker import Worker, WorkerSettings
from loglineos.services.schedule.scheduler import Scheduler
from loglineos.services.simulation.law import read_law
from loglineos.services.simulation.simulation import Simulation, SimulationSettings
from loglineos.services.simulation.stage import Ground
from loglineos.services.telemetry.exporting import exported

Role = Literal["worker", "scheduler", "policies"]
ROLES: Final[dict[Role, Text]] = {
    "worker": Text(
        "corre o que está em fila e acorda o que espera", "runs what is queued, wakes what waits"
    ),
    "scheduler": Text("põe em fila o que tem hora marcada", "queues what has its time set"),
    "policies": Text(
        "avalia as políticas e segue as consequências", "asks the policies, follows consequences"
    ),
}
"""What an engine may do, all of it unless told otherwise; any number of them share a database."""

_FRESH_S: Final = 0.05
"""For how long a house's law is taken as it was: a revoked right bites this much later."""
_FUNCTIONS_READ_AS: Final = "operator"


class Engine:
    """An open engine. Made by `open_engine`."""

    def __init__(
        self, node: Node, *, name: str, work: Pool, runners: Runners, laws: Laws,
        secrets: FileSecrets, executor: Executor, observer: Observer = SILENT,
    ) -> None:  # fmt: skip
        self.node = node
        self.name = name
        self.work = work
        self.runners = runners
        self.laws = laws
        self.secrets = secrets
        self.executor = executor
        self.observer = observer
        self.log = Log(node.reader_pool)
        self.cursors = Cursors(work, clock=node.clock)

    def worker(self, settings: WorkerSettings | None = None) -> Worker:
        """Make a worker of this engine's name."""
        return Worker(
            self.node.writer, self.executor, pool=self.work, clock=self.node.clock,
            entropy=self.node.entropy, name=self.name, hints=self.node.grown,
            settings=settings or WorkerSettings(), observer=self.observer,
            about={"host": socket.gethostname(), "process": os.getpid()},
        )  # fmt: skip

    async def wake(self) -> None:
        """Wake what waits, in every tenant, for ever; ends by cancelling."""
        await Watch(self.log, self._wake, hints=self.node.grown).run()

    async def _wake(self, tenant: str, bell: Bell) -> None:
        waker = Waker(tenant, reading=self.node.reader_pool, wake=self.executor.wake)
        follower = Follower(
            WAKING, tenant=tenant, handle=waker.handle, log=self.log, cursors=self.cursors
        )
        await follower.run(bell)

    async def run(
        self, stop: asyncio.Event, *, roles: Collection[Role] = tuple(ROLES),
        settings: WorkerSettings | None = None,
    ) -> int:  # fmt: skip
        """Do what the roles say until `stop`, then let what was begun end; count what was ended.

        Raises:
            UnknownName: there is no such role.
            LoglineError: the database refuses for a reason that waiting does not change.
        """
        unknown = sorted(set(roles) - set(ROLES))
        if unknown:
            raise UnknownName(field="role", shape=unknown[0][:40], known=", ".join(ROLES))
        beside = [asyncio.create_task(one, name=name) for name, one in self._beside(roles).items()]
        worker = self.worker(settings) if "worker" in roles else None
        ending: asyncio.Task[Any] = asyncio.create_task(stop.wait(), name="stop")
        working: asyncio.Task[Any] = ending
        if worker is not None:
            working = asyncio.create_task(worker.run(), name="worker")
        try:
            await asyncio.wait({ending, working, *beside}, return_when=asyncio.FIRST_COMPLETED)
            if worker is not None:
                worker.stop()
                await working
            for task in beside:
                if task.done():
                    task.result()
        finally:
            for task in (ending, working, *beside):
                task.cancel()
            await asyncio.gather(ending, working, *beside, return_exceptions=True)
        return worker.ended if worker is not None else 0

    def _beside(self, roles: Collection[Role]) -> dict[str, Coroutine[Any, Any, None]]:
        """Name what runs beside the worker until it is cancelled."""
        found: dict[str, Coroutine[Any, Any, None]] = {}
        if "worker" in roles:
            found["waking"] = self.wake()
        if "scheduler" in roles:
            found["schedules"] = self.scheduler().run()
        if "policies" in roles:
            found["policies"] = self.policies().run()
            found["consequences"] = self.consequences().run()
        return found

    def scheduler(self) -> Scheduler:
        """Make what fires schedules."""
        node = self.node
        return Scheduler(node.writer, pool=self.work, clock=node.clock, hints=node.grown)

    def policies(self) -> PolicyAgent:
        """Make what asks the policies of every tenant."""
        return PolicyAgent(
            self.node.writer, pool=self.work, runners=self.runners, laws=self.laws,
            hints=self.node.grown,
        )  # fmt: skip

    async def simulation(
        self, tenant: str, *, settings: SimulationSettings | None = None
    ) -> Simulation:
        """Make what tells a tenant's past, or a scenario, again under its present law.

        Raises:
            Refused: the tenant has no lawful manifest.
            Misconfigured: this node may have no second tenant (its database user is a superuser).
        """
        node, database = self.node, self.node.database
        if not database.is_embedded and not node.settings.allow_superuser:
            async with node.reader_pool.connection() as connection:
                await refuse_superuser(connection)

        async def signed(sizes: dict[str, int]) -> None:
            node.publisher.wake(sizes)

        ground = Ground(
            writer=node.writer, work=self.work, runners=self.runners, secrets=self.secrets,
            connect=partial(database.connect_once, APPENDER, name="simulation"),
            reader=_reader_of(node), on_commit=signed, gate=node.publisher.gate,
        )  # fmt: skip
        return Simulation(
            ground, await read_law(node.writer, tenant), settings=settings or SimulationSettings(),
            check=checker(self.laws, self.runners, tenant),
        )  # fmt: skip

    def consequences(self) -> Consequences:
        """Make what follows up on records that reached ok, doubt or not."""
        return Consequences(self.node.writer, pool=self.work, laws=self.laws, hints=self.node.grown)


@asynccontextmanager
async def open_engine(
    node: Node, *, name: str | None = None, runner_processes: int = 1,
    observer: Observer = SILENT,
) -> AsyncIterator[Engine]:  # fmt: skip
    """Open the engine of a node: its rows in every tenant, its law, its sandbox.

    Raises:
        Misconfigured: this machine lacks a layer of the jail that no manifest lets it do without.
        Refused, Unavailable: a house's rows could not be written.

    Traces of what runs go where LOGLINE_OTLP_ENDPOINT says; `observer` is told too.
    """
    for tenant in (one for one in await node.tenants() if not is_scratch(one)):
        await write_rows(node.writer, tenant)
    missing = await _layers_missing_allowed(node)
    settings = RunnerSettings(
        processes=runner_processes, sessions_max=64, layers_missing_allowed=missing,
        javascript_folder=str(node.settings.home / "javascript"),
    )  # fmt: skip
    async with (
        exported(node.settings.otlp_endpoint) as spans,
        node.work_pool() as work,
        Runners(settings) as runners,
        HttpDoor() as door,
    ):
        watching = joined([spans, observer])
        laws = Laws(node.writer, runners, root=node.keyring.public("root"), fresh_s=_FRESH_S)
        secrets = FileSecrets(node.settings.home / "secrets")
        world = World(
            writer=node.writer, reader=_reader_of(node), clock=node.clock, entropy=node.entropy,
            directory=laws, door=door, secrets=secrets,
        )  # fmt: skip
        executor = Executor(
            world=world, laws=laws, runners=runners, reading=node.reader_pool, work=work,
            observer=watching, full_python=_full_python_of(node, missing),
            secret=node.keyring.key("node").secret,
        )  # fmt: skip
        yield Engine(
            node, name=name or _new_name(node), work=work, runners=runners, laws=laws,
            secrets=secrets, executor=executor, observer=watching,
        )  # fmt: skip


def _full_python_of(node: Node, missing: frozenset[str]) -> Callable[[], FullPython]:
    """Give what opens full CPython, once, when the first run needs it."""
    root = node.settings.home / PACKAGES
    return cache(lambda: FullPython(packages_root=root, layers_missing_allowed=missing))


def _reader_of(node: Node) -> Callable[[str, str], Reader]:
    """Give what functions read with: their house, as an operator."""

    def reader(tenant: str, function: str) -> Reader:
        return node.reader(tenant=tenant, actor=f"function:{function}", role=_FUNCTIONS_READ_AS)

    return reader


def _new_name(node: Node) -> str:
    """Name a worker so that no other has its name: host, process, and a little chance."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{node.entropy.bytes(2).hex()}"


async def _layers_missing_allowed(node: Node) -> frozenset[str]:
    """Read from the default tenant's manifest which layers the machine may lack."""
    try:
        record = await node.writer.latest(node.settings.tenant, MANIFEST_ID)
        manifest = parse_manifest(record.metadata or {})
    except LoglineError:
        manifest = Manifest()
    return frozenset(manifest.sandbox.layers_missing_allowed)
