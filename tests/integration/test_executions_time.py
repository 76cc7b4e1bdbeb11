"""How long an execution may take: over one session and over many."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loglineos.runtime.governing import change_manifest
from loglineos.runtime.manifest import with_value
from tests.integration.runtime_house import RuntimeHouse, open_runtime

BURN = "def burn():\n    n = 0\n    for i in range(200_000):\n        n += i\n"


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("effects", ["[]", "['emit']"])
async def test_a_run_over_its_time_ends_as_a_timeout(runtime: RuntimeHouse, effects: str):
    await runtime.push(
        f"FUNCTION = {{'effects': {effects}, 'timeout_ms': 100}}\n"
        "def main(input):\n    while True:\n        pass\n"
    )
    end = await runtime.run("f")
    assert (end.status, end.error["code"]) == ("error", "timeout")
    assert end.duration_ms >= 100
    assert (await runtime.replay(end)).verdict == "unproven"


async def test_time_adds_up_over_the_sessions_of_a_run_but_waiting_is_free(
    runtime: RuntimeHouse,
):
    await runtime.push(
        "import time\n"
        "FUNCTION = {'effects': ['emit'], 'timeout_ms': 1500, 'max_attempts': 3}\n"
        f"{BURN}"
        "def main(input):\n"
        "    for night in range(input):\n"
        "        burn()\n"
        "        time.sleep(86400)\n"
        "    return 'rested'\n"
    )
    async with runtime.working():
        short, long = await runtime.ask("f", 2), await runtime.ask("f", 500)
        heads = {short.id: short, long.id: long}
        while left := [one for one in heads.values() if one.status not in ("complete", "error")]:
            for one in left:
                heads[one.id] = await runtime.reached(
                    one,
                    lambda head, after=one.seq: head.seq > after and head.status != "running",
                )
            await runtime.pass_time(days=1, seconds=1)
    done, stopped = heads[short.id], heads[long.id]
    assert (done.status, done.output) == ("complete", "rested")
    assert done.duration_ms < 1500
    assert (stopped.status, stopped.error["code"]) == ("error", "timeout")
    assert stopped.attempt == 1
    assert stopped.duration_ms >= 1500
    lived = [one for one in await runtime.source.events(long.id) if one.status == "waiting"]
    assert len(lived) > 1
    assert all(one.metadata["active_ms"] < 1500 for one in lived[:-1])
    assert (await runtime.replay(done)).verdict == "equal"


async def test_what_is_slow_goes_on_all_the_same(runtime: RuntimeHouse):
    await change_manifest(
        runtime.writer, "casa", lambda law: with_value(law, "policy.slow_ms", 1), who="root"
    )
    await runtime.push(f"{BURN}def main(input):\n    burn()\n    return 1\n")
    end = await runtime.run("f")
    assert (end.status, end.output) == ("complete", 1)
    assert end.duration_ms > 1


async def test_a_resumed_run_may_ask_as_much_as_a_new_one(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx, time\n"
        "def main(input):\n"
        "    for day in range(2):\n"
        "        for n in range(600):\n"
        "            ctx.uuid()\n"
        "        time.sleep(86400)\n"
        "    return 'asked'\n"
    )
    async with runtime.working():
        asked = head = await runtime.ask("f")
        for _ in range(2):
            head = await runtime.rested(asked, after=head.seq)
            await runtime.pass_time(days=1, seconds=1)
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "asked"), end.error
    assert (await runtime.replay(end)).verdict == "equal"
