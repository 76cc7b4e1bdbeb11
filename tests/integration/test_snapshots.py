"""Snapshots of long runs: a cache that is used, passed over when it does not fit, and gone in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime_house import RuntimeHouse, open_runtime

LONG = (
    "import ctx\nFUNCTION = {'effects': []}\n"
    "def main(input):\n"
    "    seen = [ctx.uuid() for n in range(250)]\n"
    "    print('antes')\n"
    "    ctx.sleep(3600)\n"
    "    seen = seen + [ctx.uuid() for n in range(3)]\n"
    "    return {'first': seen[0], 'last': seen[-1], 'count': len(seen)}\n"
)


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def snapshots(runtime: RuntimeHouse) -> list[tuple]:
    connection = await runtime.house.connect()
    cursor = await connection.execute("SELECT step, engine FROM ledger.snapshot")
    return await cursor.fetchall()


async def resumed(runtime: RuntimeHouse, spoil: str | None = None) -> tuple:
    """Let a long run rest and go on; return its end, and how often programs were begun."""
    await runtime.push(LONG)
    begun = []
    start = runtime.runners.session

    def session(**more):
        begun.append(more["limits"])
        return start(**more)

    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        kept = await snapshots(runtime)
        if spoil is not None:
            connection = await runtime.house.connect()
            await connection.execute(spoil)
        runtime.runners.session = session
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    runtime.runners.session = start
    return end, kept, len(begun)


async def test_a_long_run_goes_on_from_where_it_stood_and_replays_to_the_same_hash(
    runtime: RuntimeHouse,
):
    end, kept, sessions = await resumed(runtime)
    assert kept == [(250, runtime.runners.engine)]
    assert (end.status, end.output["count"]) == ("complete", 253), end.error
    assert (end.output["first"], end.output["last"]) == tuple(
        step.output["value"] for step in await runtime.steps(end.id) if step.did == "ctx.uuid"
    )[::252]
    assert sessions == 1, "one session: the snapshot was loaded"
    assert await snapshots(runtime) == [], "who has ended stands nowhere"
    assert (await runtime.replay(end)).verdict == "equal"


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE ledger.snapshot SET body = set_byte(body, 40, get_byte(body, 40) # 1)",
        "UPDATE ledger.snapshot SET mac = decode(repeat('00', 32), 'hex')",
        "UPDATE ledger.snapshot SET engine = 'monty/9.9.9+000000000000'",
        "DELETE FROM ledger.snapshot",
    ],
)
async def test_a_snapshot_that_does_not_fit_is_passed_over_and_the_journal_says_it_all(
    runtime: RuntimeHouse, spoil: str
):
    end, kept, _ = await resumed(runtime, spoil)
    assert len(kept) == 1
    assert (end.status, end.output["count"]) == ("complete", 253), end.error
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_short_run_keeps_none(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx\nFUNCTION = {'effects': []}\ndef main(input):\n    ctx.sleep(60)\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        assert await snapshots(runtime) == []
        await runtime.pass_time(minutes=1, seconds=1)
        assert (await runtime.ended(asked)).status == "complete"
