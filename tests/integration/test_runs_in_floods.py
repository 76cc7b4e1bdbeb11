"""Loops and floods: what has no end is cut, told, and harms nobody else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from loglineos.runtime.execution import conversation
from tests.integration.runtime_house import RuntimeHouse, open_runtime

ALL = "FUNCTION = {'effects': ['emit', 'enqueue', 'run', 'confirm', 'wait', 'ledger.read']}\n"


@pytest.fixture
async def runtime(house, tmp_path):
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def test_a_function_that_enqueues_itself_is_cut_at_a_depth(runtime: RuntimeHouse):
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n    ctx.enqueue('f')\n    return input\n"
    )
    async with runtime.working():
        await runtime.ask("f")
        async with asyncio.timeout(30):
            while not (
                cut := await runtime._records("entity_type = 'execution' AND status = 'error'")
            ):
                await asyncio.sleep(0.05)
    runs = await runtime._records("entity_type = 'execution' AND seq = 0")
    assert len(runs) == 17
    assert "the chain ends here" in str(cut[0].error)


async def test_a_thousand_sleeps_at_once_end(runtime: RuntimeHouse):
    await runtime.push(
        "import asyncio, ctx\n"
        "FUNCTION = {'effects': []}\n"
        "async def one(n):\n"
        "    await asyncio.sleep(n % 7)\n"
        "    return n\n"
        "async def main(input):\n"
        "    return sum(await asyncio.gather(*[one(n) for n in range(300)]))\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        for _ in range(40):
            head = await runtime.reached(
                asked, lambda head: head.status not in ("scheduled", "running")
            )
            if head.status != "waiting":
                break
            await runtime.pass_time(seconds=8)
            await runtime.reached(asked, lambda one, seq=head.seq: one.seq > seq)
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", sum(range(300))), end.error
    assert (await runtime.replay(end)).verdict == "equal"


async def test_what_was_done_is_undone_also_when_there_were_too_many_steps(
    runtime: RuntimeHouse, monkeypatch: pytest.MonkeyPatch
):
    few = msgspec.structs.replace(conversation.BUDGET, calls_max=5)
    monkeypatch.setattr(conversation, "BUDGET", few)
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n    ctx.emit({{'did': 'desfazer', 'this': 'x'}})\n",
        name="desfaz.py",
    )
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n"
        "    ctx.compensate('desfaz')\n"
        "    while True:\n"
        "        ctx.log('mais um')\n"
    )
    end = await runtime.run("f")
    assert (end.status, end.error["code"]) == ("error", "limit_calls")
    assert end.metadata["compensated"] == [{"function": "desfaz", "error": None}]
    assert len(await runtime._records("did = 'desfazer'")) == 1
    assert (await runtime.replay(end)).verdict == "unproven"


async def test_an_undoing_that_fails_or_waits_is_told_and_the_others_run(runtime: RuntimeHouse):
    for name, body in (
        ("falha", "ctx.fail('nao_da')"), ("dorme", "ctx.sleep(60)"), ("bem", "return 1"),
        ("desiste", "ctx.compensate('bem')\n    ctx.fail('tambem')"),
    ):  # fmt: skip
        await runtime.push(f"import ctx\n{ALL}def main(input):\n    {body}\n", name=f"{name}.py")
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n"
        "    for name in ('bem', 'falha', 'dorme', 'desiste'):\n"
        "        ctx.compensate(name)\n"
        "    try:\n"
        "        ctx.fail('acabou', 'de vez')\n"
        "    finally:\n"
        "        ctx.emit({'did': 'nunca', 'this': 'x'})\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        async with asyncio.timeout(30):
            while (head := await runtime.writer.latest("casa", asked.id)).status != "error":
                runtime.clock.advance(timedelta(seconds=30))
                await asyncio.sleep(0.2)
    undone = [
        (one["function"], (one["error"] or {}).get("code")) for one in head.metadata["compensated"]
    ]
    assert undone == [("desiste", "tambem"), ("dorme", None), ("falha", "nao_da"), ("bem", None)]
    assert await runtime._records("did = 'nunca'") == []
    assert (await runtime.replay(head)).verdict == "equal"


async def test_a_refusal_among_what_is_gathered_settles_as_it_did(runtime: RuntimeHouse):
    await runtime.push(
        "import asyncio, ctx\n"
        "FUNCTION = {'effects': ['emit']}\n"
        "async def one(n, order):\n"
        "    try:\n"
        "        await asyncio.sleep(n)\n"
        "    except Exception:\n"
        "        pass\n"
        "    order.append(n)\n"
        "    ctx.emit({'did': 'ordem', 'this': str(n)})\n"
        "async def main(input):\n"
        "    order = []\n"
        "    await asyncio.gather(one(0, order), one(2, order), one(-1, order), one(10**9, order),"
        " one(1, order))\n"
        "    return order\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        async with asyncio.timeout(30):
            while (head := await runtime.writer.latest("casa", asked.id)).status not in (
                "complete",
                "error",
            ):
                runtime.clock.advance(timedelta(seconds=0.6))
                await asyncio.sleep(0.2)
    assert head.status == "complete", head.error
    assert sorted(head.output) == [-1, 0, 1, 2, 10**9]
    assert (await runtime.replay(head)).verdict == "equal"


async def test_a_clock_that_goes_back_neither_wakes_nor_loses_a_run(runtime: RuntimeHouse):
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n"
        "    ctx.sleep(3600)\n"
        "    return ctx.confirm('E agora?', timeout_s=3600, if_timeout='doubt')['answer']\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        slept = await runtime.waiting(asked)
        runtime.clock.advance(timedelta(hours=-5))
        await runtime.executor.wake("casa", [asked.id])
        await runtime.pass_time(hours=6, seconds=1)
        asking = await runtime.rested(asked, after=slept.seq)
        runtime.clock.advance(timedelta(days=-1))
        await runtime.executor.wake("casa", [asked.id])
        await runtime.pass_time(days=1, hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert (end.status, end.output, asking.status) == ("complete", "doubt", "waiting")
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_pattern_that_fits_everything_waits_for_one_fact_and_no_bookkeeping(
    runtime: RuntimeHouse,
):
    await runtime.push(
        f"import ctx\n{ALL}def main(input):\n    return ctx.wait_for({{'tags': []}})['this']\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        await runtime.house.add(this="um facto")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "um facto"), end.error
