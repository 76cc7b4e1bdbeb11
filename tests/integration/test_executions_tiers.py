"""The tiers of execution: JavaScript without effects, and a whole CPython that proves less."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime_house import RuntimeHouse, open_runtime


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def test_a_javascript_run_names_its_engine_and_replays_to_the_same_hash(
    runtime: RuntimeHouse,
):
    await runtime.push(
        "export default function main(input) { return {total: input.a + input.b, at: Date.now()} }",
        name="soma.js",
    )
    end = await runtime.run("soma", {"a": 2, "b": 40})
    assert (end.status, end.output["total"], end.seq) == ("complete", 42, 1)
    engine = end.metadata["header"]["engine"]
    assert engine == runtime.runners.engine_of("javascript") != runtime.runners.engine
    verdict = await runtime.replay(end)
    assert (verdict.verdict, verdict.found) == ("equal", end.output_hash)


async def test_a_javascript_run_that_throws_ends_as_an_error_that_replays(runtime: RuntimeHouse):
    await runtime.push("function main(input) { throw new Error('sem ' + input) }", name="mal.js")
    end = await runtime.run("mal", "stock")
    assert (end.status, end.error["code"]) == ("error", "program_failed")
    assert "sem stock" in end.error["message"]
    assert (await runtime.replay(end)).verdict == "equal"
