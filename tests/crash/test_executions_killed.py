"""Durable runs while their workers, and the sandbox under them, are killed: as if nothing had been.

Each run calls a real server twice, sleeps, emits a line and runs a child. Afterwards: every output
is the one of a run that nobody disturbed, the server saw each effect under one idempotency key,
every line is there once, and every run replays to its hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from loglineos.runtime.execution.replay import replay
from loglineos.runtime.execution.requests import draft_request
from loglineos.runtime.execution.sources import LedgerSource
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import (
    MANIFEST_ID,
    manifest_draft,
    parse_manifest,
    with_item,
    with_value,
)
from loglineos.runtime.publishing import push
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from tests.conftest import Database
from tests.crash.test_queue_killed import Process
from tests.integration.conftest import House
from tests.integration.conftest import house as house  # noqa: PLC0414 - the fixture
from tests.integration.queue_house import rows_of

MODULE = "tests.crash.runtime_process"
CHILD = "def main(input):\n    return input['n'] * 10\n"
PARENT = """
import ctx, time
FUNCTION = {'effects': ['http:127.0.0.1', 'emit', 'run']}
def main(input):
    told = []
    for part in ('a', 'b'):
        got = ctx.http('POST', input['url'], json={'n': input['n'], 'part': part})
        told.append(got['body'])
    time.sleep(0.5)
    ctx.emit({'did': 'entregar', 'this': 'pedido ' + str(input['n'])})
    ten = ctx.run('filho', {'n': input['n']})
    return {'told': told, 'ten': ten}
"""


class Server:
    """A server that answers each request from its body, and counts them by idempotency key."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: dict[str, str] = {}
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield f"http://127.0.0.1:{self.port}/"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
            key = headers["idempotency-key"]
            assert self.bodies.setdefault(key, body) == body, "one key, one request"
            self.asked[key] += 1
            told = answer_to(json.loads(body)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer_to(asked: dict) -> str:
    return hashlib.sha256(f"{asked['n']}/{asked['part']}".encode()).hexdigest()[:12]


async def prepared(house: House, runners: Runners) -> Laws:
    """Give the house its rows, the functions, and a manifest that grants them their server."""
    await write_rows(house.writer, "casa")
    head = await house.writer.latest("casa", MANIFEST_ID)
    manifest = with_item(
        parse_manifest(head.metadata), "effects_granted", "http:127.0.0.1", is_in=True
    )
    manifest = with_value(manifest, "limits.http_private_allowed", ["127.0.0.1"])
    draft = manifest_draft(manifest, who="ana", seq=head.seq + 1)
    await house.writer.append([draft], tenant="casa", key=house.keyring.key("root"))
    for name, text in (("filho", CHILD), ("pai", PARENT)):
        await push(house.writer, "casa", read_source(text, filename=f"{name}.py"), who="ana")
    return Laws(house.writer, runners, root=house.keyring.public("root"))


def victims_of(process: Process) -> list[int]:
    """The worker itself, and everything below it: runners, and the machines of the sandbox."""
    try:
        below = psutil.Process(process.child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [process.child.pid, *(one.pid for one in below)]


async def killed_again_and_again(
    house: House, database: Database, keys: Path, *, runs: int, seed: int
) -> int:
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Server()
    kills = 0
    settings = RunnerSettings(processes=1)
    async with server.listening() as url, Runners(settings) as runners:
        laws = await prepared(house, runners)
        function = await laws.function("casa", "pai")
        drafts = [
            draft_request(function=function.id, name="pai", who="ana", input={"n": n, "url": url})
            for n in range(runs)
        ]
        records = await house.writer.append(drafts, tenant="casa")
        processes = [Process(database.dsn(), keys, module=MODULE) for _ in range(2)]
        for number, process in enumerate(processes):
            await process.start(f"w{number}.0")
        left = "SELECT count(*) FROM ledger.job WHERE tenant_id = 'casa'"
        try:
            async with asyncio.timeout(60 + runs * 3):
                while (await rows_of(house, left))[0][0]:
                    await asyncio.sleep(chance.uniform(0.05, 0.6))
                    victim = chance.randrange(2)
                    alive = victims_of(processes[victim])
                    target = chance.choice(alive) if alive else processes[victim].child.pid
                    if target == processes[victim].child.pid:
                        await processes[victim].kill()
                        await processes[victim].start(f"w{victim}.{kills + 1}")
                    else:
                        os.kill(target, signal.SIGKILL)
                    kills += 1
        finally:
            ends = [await process.end() for process in processes]
        assert ends == [0, 0]
        source = LedgerSource(house.writer.pool, "casa")
        for number, record in enumerate(records):
            end = (await source.events(record.id))[-1]
            assert (end.status, end.error) == ("complete", None)
            told = [answer_to({"n": number, "part": part}) for part in ("a", "b")]
            assert end.output == {"told": told, "ten": number * 10}
            verdict = await replay(runners, source, record.id)
            assert verdict.verdict == "equal", verdict
    lines = await rows_of(
        house,
        "SELECT this, count(*) FROM ledger.universal_registry "
        "WHERE tenant_id = 'casa' AND did = 'entregar' GROUP BY this",
    )
    assert sorted(lines) == sorted((f"pedido {n}", 1) for n in range(runs))
    assert len(server.bodies) == 2 * runs, "each effect under one key"
    children = await rows_of(
        house,
        "SELECT count(*) FROM ledger.universal_registry WHERE tenant_id = 'casa' "
        "AND entity_type = 'execution' AND name = 'filho' AND status = 'complete'",
    )
    assert children == [(runs,)]
    return kills


async def test_runs_end_as_if_nobody_had_been_killed(house, database, tmp_path):
    kills = await killed_again_and_again(house, database, tmp_path / "keys", runs=40, seed=5)
    assert kills >= 3


@pytest.mark.nightly
async def test_thousands_of_steps_end_as_if_nobody_had_been_killed(house, database, tmp_path):
    seed = int(os.environ.get("LOGLINE_CRASH_SEED", "1"))
    await killed_again_and_again(house, database, tmp_path / "keys", runs=600, seed=seed)
