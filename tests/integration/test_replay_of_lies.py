"""Replays of runs whose records somebody changed, and of those that did not end by themselves."""

from __future__ import annotations

import pytest

from loglineos.runtime.execution.lives import retry
from loglineos.runtime.execution.replay import replay
from loglineos.runtime.execution.sources import RecordsSource
from loglineos.services.queue.lives import cancel
from tests.integration.lawful_house import tamper
from tests.integration.runtime_house import RuntimeHouse, open_runtime

UNHEEDED = (
    "import ctx\n"
    "FUNCTION = {'effects': ['ledger.read', 'emit']}\n"
    "def main(input):\n"
    "    ctx.ledger.find(who='ana', limit=1)\n"
    "    ctx.emit({'did': 'x', 'this': 'y'})\n"
    "    return 'sempre o mesmo'\n"
)
WAITS = (
    "import ctx\n"
    "FUNCTION = {'effects': ['confirm', 'emit', 'ledger.read']}\n"
    "def main(input):\n"
    "    ctx.emit({'did': 'x', 'this': 'y'})\n"
    "    if ctx.ledger.find(this='cheio'):\n"
    "        ctx.confirm('Segue?', who='ana')\n"
    "        return 'seguiu'\n"
    "    ctx.fail('vazio')\n"
)


@pytest.fixture
async def runtime(house, tmp_path):
    async with open_runtime(house, tmp_path) as opened:
        yield opened


TABLE = "UPDATE ledger.universal_registry SET"


@pytest.mark.parametrize(
    "change",
    [
        "output = jsonb_set(output, '{value}', '[]') WHERE parent_id = %s AND did = 'ctx.ledger.find'",
        "this = 'z' WHERE cause_id = %s AND did = 'x'",
        "metadata = '{}' WHERE parent_id = %s AND seq = 0 AND entity_type = 'step'",
        "output = '\"outra coisa\"' WHERE id = %s AND status = 'complete'",
        "input = '{\"a\": 1}' WHERE id = %s AND seq = 0",
        "who = 'rui' WHERE id = %s AND seq = 0",
    ],
)
async def test_what_a_superuser_changed_is_found_also_where_nobody_heeds_it(
    runtime: RuntimeHouse, change: str
):
    await runtime.push(UNHEEDED)
    end = await runtime.run("f")
    assert (await runtime.replay(end)).verdict == "equal"
    await tamper(runtime.house, f"{TABLE} {change}", end.id)
    found = await runtime.replay(end)
    assert (found.verdict, found.reason) == ("diverged", "seal")


async def test_a_changed_function_is_a_verdict(runtime: RuntimeHouse):
    function = await runtime.push(UNHEEDED)
    end = await runtime.run("f")
    await tamper(
        runtime.house, f"{TABLE} code = replace(code, 'mesmo', 'outro') WHERE id = %s", function.id
    )
    found = await runtime.replay(end)
    assert (found.verdict, found.reason) == ("diverged", "code_hash")


async def all_records(runtime: RuntimeHouse) -> RecordsSource:
    """Read everything, as from an export."""
    return RecordsSource(await runtime._records("true ORDER BY position"))


async def test_a_run_that_tries_again_is_proved_up_to_its_last_end(runtime: RuntimeHouse):
    await runtime.push(WAITS)
    async with runtime.working():
        failed = await runtime.ended(await runtime.ask("f"))
        assert failed.error["code"] == "vazio"
        assert (await runtime.replay(failed)).verdict == "equal"
        await runtime.house.add(this="cheio")
        await retry(runtime.writer, failed, tenant="casa", by="ana", from_step=2)
        under_way = await runtime.reached(failed, lambda head: head.status == "waiting")
        for source in (runtime.source, await all_records(runtime)):
            found = await replay(runtime.runners, source, under_way.id)
            assert found.verdict == "equal", found
            assert found.expected == failed.output_hash
        await runtime.answer(failed, "confirm", by="ana")
        end = await runtime.ended(failed)
    assert (end.status, end.output) == ("complete", "seguiu")
    for source in (runtime.source, await all_records(runtime)):
        found = await replay(runtime.runners, source, end.id)
        assert (found.verdict, found.expected) == ("equal", end.output_hash)


async def test_what_waits_or_was_cancelled_is_unfinished_and_never_equal(runtime: RuntimeHouse):
    await runtime.push(WAITS)
    await runtime.house.add(this="cheio")
    async with runtime.working():
        asked = await runtime.ask("f")
        head = await runtime.waiting(asked)
        assert (await runtime.replay(head)).verdict == "unfinished"
        head = await runtime.writer.latest("casa", asked.id)
        await cancel(runtime.writer, head, tenant="casa", by="ana")
    assert (await runtime.replay(head)).verdict == "unfinished"


async def test_a_retry_with_the_latest_version_takes_it_though_a_step_told_of_the_first(
    runtime: RuntimeHouse,
):
    begins = (
        "import ctx\nFUNCTION = {'effects': ['emit']}\n"
        "def main(input):\n    ctx.emit({'did': 'x', 'this': 'y'})\n"
    )
    await runtime.push(begins + "    ctx.fail('ainda_nao')\n")
    failed = await runtime.run("f")
    assert failed.error["code"] == "ainda_nao"
    await runtime.push(begins + "    return 'novo'\n")
    async with runtime.working():
        again = await retry(
            runtime.writer, failed, tenant="casa", by="ana", from_step=2, is_latest=True
        )
        end = await runtime.reached(
            again, lambda head: head.seq > again.seq and head.status in ("complete", "error")
        )
    assert (end.status, end.output) == ("complete", "novo"), end.error
    assert len(await runtime.emitted(end)) == 1, "what was answered stays"
    assert (await runtime.replay(end)).verdict == "equal"
