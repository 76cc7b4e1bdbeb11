"""The tiers of execution: JavaScript without effects, and a whole CPython that proves less."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loglineos.base.errors import InvalidInput
from loglineos.runtime.execution.entry import FULL_PYTHON
from loglineos.runtime.governing import change_manifest
from loglineos.runtime.manifest import with_value
from loglineos.runtime.packages import lay_out
from loglineos.runtime.sandbox.full_python import engine_name, packages_name
from tests.integration.lawful_house import violations
from tests.integration.runtime_house import RuntimeHouse, open_runtime
from tests.wheels import PIN, write_wheel


async def allow_full_python(runtime: RuntimeHouse) -> None:
    await change_manifest(
        runtime.writer, "casa", lambda law: with_value(law, "sandbox.full_python_allowed", True),
        who="root",
    )  # fmt: skip


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


async def test_full_cpython_runs_only_by_leave_of_the_house(runtime: RuntimeHouse):
    function = await runtime.push(
        "FUNCTION = {'runtime': 'full'}\ndef main(input):\n    return input\n"
    )
    denied = await runtime.run("f", 1)
    assert (denied.status, denied.error["code"]) == ("denied", FULL_PYTHON)
    (violation,) = await violations(runtime.house)
    assert (violation.this, violation.related_to) == (FULL_PYTHON, (function.id,))
    await allow_full_python(runtime)
    assert (await runtime.run("f", 2)).output == 2
    assert len(await violations(runtime.house)) == 1


async def test_a_run_in_full_cpython_is_journaled_rests_and_goes_on_but_proves_nothing(
    runtime: RuntimeHouse,
):
    await allow_full_python(runtime)
    await runtime.push(
        "import ctx, heapq, time\n"
        "FUNCTION = {'runtime': 'full', 'effects': ['confirm', 'emit']}\n"
        "def main(input):\n"
        "    ctx.emit({'did': 'avisar', 'this': 'pedido'})\n"
        "    time.sleep(86400)\n"
        "    said = ctx.confirm('Os mais baratos?', who='ana')['answer']\n"
        "    try:\n"
        "        ctx.http('GET', 'https://api.example.org/')\n"
        "    except PermissionError:\n"
        "        return [said, heapq.nsmallest(2, input)]\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f", [3, 1, 2])
        slept = await runtime.waiting(asked)
        await runtime.pass_time(days=1, seconds=1)
        await runtime.rested(asked, after=slept.seq)
        await runtime.answer(asked, "confirm", by="ana")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", ["yes", [1, 2]])
    assert end.metadata["header"]["engine"] == engine_name()
    assert end.metadata["proof"] == "unproven"
    assert [one.did for one in await runtime.emitted(end)].count("avisar") == 1
    verdict = await runtime.replay(end)
    assert (verdict.verdict, verdict.found) == ("unproven", None)


async def test_a_run_has_the_packages_that_were_laid_out_for_it_and_no_others(
    runtime: RuntimeHouse, tmp_path: Path
):
    await allow_full_python(runtime)
    await runtime.push(
        "import quartos\n"
        f"FUNCTION = {{'runtime': 'full', 'packages': ['{PIN}']}}\n"
        "def main(input):\n    return quartos.LIVRES\n"
    )
    missing = await runtime.run("f")
    assert (missing.status, missing.error["code"]) == ("error", "misconfigured")
    wheels = write_wheel(tmp_path / "wheels")
    made = await lay_out([PIN], root=runtime.packages, wheels=wheels)
    assert (made.name, made.is_new) == (packages_name([PIN]), True)
    again = await lay_out([PIN], root=runtime.packages, wheels=wheels)
    assert (again.digest, again.is_new) == (made.digest, False)
    end = await runtime.run("f")
    assert (end.status, end.output) == ("complete", [101, 102]), end.error
    await runtime.push(
        "import quartos\nFUNCTION = {'runtime': 'full'}\ndef main(input):\n    return 1\n",
        name="g.py",
    )
    without = await runtime.run("g")
    assert (without.status, without.error["type"]) == ("error", "ModuleNotFoundError")


@pytest.mark.parametrize("pin", ["quartos", "quartos>=1", "quartos==1.*", "-r x==1", "a==1 b==2"])
async def test_what_is_no_exact_pin_is_not_laid_out(tmp_path: Path, pin: str):
    with pytest.raises(InvalidInput):
        await lay_out([pin], root=tmp_path / "packages")
    assert not (tmp_path / "packages").exists()


async def test_what_cannot_be_laid_out_whole_is_not_there(tmp_path: Path):
    wheels = write_wheel(tmp_path / "wheels")
    with pytest.raises(InvalidInput) as caught:
        await lay_out([PIN, "contas==2.0"], root=tmp_path / "packages", wheels=wheels)
    assert "contas" in caught.value.describe("en")
    assert list((tmp_path / "packages").iterdir()) == []
