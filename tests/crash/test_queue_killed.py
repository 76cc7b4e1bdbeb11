"""Two workers on one database, one of them killed again and again: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.integration.conftest import House
from tests.integration.conftest import house as house  # noqa: PLC0414 - the fixture
from tests.integration.queue_house import ask, rows_of

LEASE_S = 1.0
ROOT = Path(__file__).parents[2]


class Process:
    """One worker process."""

    def __init__(self, dsn: str, keys: Path, *, module: str = "tests.crash.queue_process") -> None:
        self.arguments = [sys.executable, "-m", module, dsn, str(keys)]

    async def start(self, name: str) -> None:
        self.child = await asyncio.create_subprocess_exec(
            *self.arguments, name, str(LEASE_S), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert self.child.stdout is not None
        async with asyncio.timeout(60):
            assert await self.child.stdout.readline() == b"ready\n"

    async def kill(self) -> None:
        self.child.kill()
        await self.child.wait()

    async def end(self) -> int:
        self.child.terminate()
        async with asyncio.timeout(60):
            return await self.child.wait()


async def killed_again_and_again(
    house: House,
    database: Database,
    keys: Path,
    *,
    jobs: int,
    seed: int,
) -> int:
    """Let two processes do `jobs` while one is killed; return how often it was."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    admin = await house.connect("postgres")
    await admin.execute("CREATE TABLE effect (id uuid, attempt int, worker text, key text)")
    records = await ask(house, "entregar", jobs, max_attempts=3)
    processes = [Process(database.dsn(), keys) for _ in range(2)]
    kills = 0
    for number, process in enumerate(processes):
        await process.start(f"w{number}.0")
    left = "SELECT count(*) FROM ledger.job WHERE tenant_id = 'casa'"
    try:
        async with asyncio.timeout(90 + jobs):
            while (await rows_of(house, left))[0][0]:
                await asyncio.sleep(chance.uniform(0.02, 0.4))
                victim = chance.randrange(2)
                await processes[victim].kill()
                kills += 1
                await processes[victim].start(f"w{victim}.{kills}")
    finally:
        ends = [await process.end() for process in processes]
    assert ends == [0, 0], "asked to stop, a worker ends well"

    events = defaultdict(list)
    for identity, seq, status, attempt, code, output in await rows_of(
        house,
        "SELECT id, seq, status, attempt, error->>'code', output->>'key' "
        "FROM ledger.universal_registry WHERE tenant_id = 'casa' AND entity_type = 'execution' "
        "ORDER BY id, seq",
    ):
        events[identity].append((seq, status, attempt, code, output))
    effects = defaultdict(list)
    cursor = await admin.execute("SELECT id, attempt, key FROM effect")
    for identity, attempt, key in await cursor.fetchall():
        effects[identity].append((attempt, key))
    assert set(events) == {record.id for record in records}
    for record in records:
        first, *lost, end = events[record.id]
        assert first[1] == "scheduled"
        assert [one[1:4] for one in lost] == [
            ("queued", number + 2, "lease_lost") for number in range(len(lost))
        ], "a further attempt only after a lost lease that is recorded"
        assert (end[1], end[2]) == ("complete", len(lost) + 1)
        attempts = [attempt for attempt, _ in effects[record.id]]
        assert len(attempts) == len(set(attempts)), "no attempt was made twice"
        assert set(attempts) <= set(range(1, len(lost) + 2))
        assert {key for _, key in effects[record.id]} == {f"{record.id}:0"} == {end[4]}
    return kills


async def test_nothing_is_lost_or_done_twice_while_workers_are_killed(house, database, tmp_path):
    kills = await killed_again_and_again(house, database, tmp_path / "keys", jobs=400, seed=11)
    assert kills >= 3


@pytest.mark.nightly
async def test_nothing_is_lost_or_done_twice_while_workers_are_killed_for_minutes(
    house,
    database,
    tmp_path,
):
    kills = await killed_again_and_again(house, database, tmp_path / "keys", jobs=20_000, seed=12)
    assert kills >= 50
