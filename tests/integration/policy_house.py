"""What the tests of policies and consequences share: a house with its rows, a sandbox, agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.runtime.consequence.consequences import Consequences
from loglineos.runtime.functions import function_id
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.policy.agent import PolicyAgent
from loglineos.runtime.publishing import head_of, push, set_pause
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings


class PolicyHouse:
    """A house whose policies are at work when a test says so."""

    def __init__(self, house: Any, runners: Runners) -> None:
        self.house = house
        self.runners = runners
        self.writer = house.writer
        self.clock = house.clock
        self.laws: Laws
        self.agent: PolicyAgent

    async def open(self, *tenants: str) -> None:
        for tenant in tenants:
            await write_rows(self.writer, tenant)
        root = self.house.keyring.public("root")
        self.laws = Laws(self.writer, self.runners, root=root, fresh_s=3600.0)
        self.agent = await self.another_agent()

    async def another_agent(self) -> PolicyAgent:
        """Make one more agent on the same database."""
        pool = await self.house.pool("logline_appender")
        return PolicyAgent(self.writer, pool=pool, runners=self.runners, laws=self.laws)

    async def consequences(self, **more: Any) -> Consequences:
        pool = await self.house.pool("logline_appender")
        return Consequences(self.writer, pool=pool, laws=self.laws, **more)

    async def policy(self, name: str, body: str, *, tenant: str = "casa", **header: Any) -> Record:
        """Publish a Python policy: a header, and the body of `on(span)`."""
        lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
        told = {"effects": ["emit", "run", "enqueue", "confirm"], **header}
        text = f'"""{name}."""\nPOLICY = {told!r}\n\ndef on(span):\n{lines}\n'
        return await self.push(text, f"{name}.py", tenant=tenant)

    async def push(
        self, text: str, filename: str, *, tenant: str = "casa", kind: str = "policy"
    ) -> Record:
        source = read_source(text, filename=filename, kind=kind)
        return (await push(self.writer, tenant, source, who="ana")).record

    async def pause_shipped(self, *, tenant: str = "casa", but: tuple[str, ...] = ()) -> None:
        """Pause the policies that come with the product, but for some."""
        for policy in await self.laws.policies(tenant):
            if policy.name not in but:
                await set_pause(
                    self.writer, tenant, policy.id, who="ana", is_paused=True, reason="test"
                )

    async def latest(self, name: str, *, tenant: str = "casa") -> Record:
        """Return the latest event of a policy by name."""
        head = await head_of(self.writer, tenant, function_id("policy", name))
        assert head is not None
        return head

    async def records(self, *, tenant: str = "casa", **columns: Any) -> list[Record]:
        """List records with these values, in order."""
        where = " AND ".join([f"{name} = %({name})s" for name in columns] or ["true"])
        async with self.writer.pool.connection() as connection:
            cursor = await connection.execute(
                f"SELECT * FROM ledger.universal_registry WHERE tenant_id = %(tenant)s AND {where}"
                " ORDER BY position",
                {"tenant": tenant, **columns},
            )
            return [record_of(row) for row in await cursor.fetchall()]

    async def append(self, *drafts: Draft, tenant: str = "casa") -> list[Record]:
        return list(await self.writer.append(drafts, tenant=tenant))

    async def execution(
        self, *, tenant: str = "casa", status: str = "complete", **columns: Any
    ) -> Record:
        """Append an execution that has ended."""
        first = Draft(
            entity_type="execution", who="ana", did="schedule", this="soma", name="soma",
            status="scheduled", visibility="tenant",
        )  # fmt: skip
        (begun,) = await self.append(first, tenant=tenant)
        told = {"duration_ms": 12, "owner_id": "ana", **columns}
        ended = Draft(
            id=begun.id, seq=1, entity_type="execution", who="w1", did="end", this="soma", name="soma",
            status=status, **told,
        )  # fmt: skip
        (record,) = await self.append(ended, tenant=tenant)
        return record


@asynccontextmanager
async def open_policies(
    house: Any, *, tenants: tuple[str, ...] = ("casa",), processes: int = 1
) -> AsyncIterator[PolicyHouse]:
    async with Runners(RunnerSettings(processes=processes, sessions_max=8)) as runners:
        opened = PolicyHouse(house, runners)
        await opened.open(*tenants)
        yield opened
