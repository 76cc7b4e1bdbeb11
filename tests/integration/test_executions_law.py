"""Executions under the law: paused, tampered, revoked and upgraded while they wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from loglineos.ledger.record import Record
from loglineos.runtime.execution.entry import HELD_S
from loglineos.runtime.governing import change_manifest
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import with_item
from loglineos.runtime.publishing import set_pause
from tests.integration.lawful_house import tamper, violations
from tests.integration.runtime_house import RuntimeHouse, open_runtime

ASKING = (
    "import ctx\n"
    "FUNCTION = {'effects': ['confirm', 'emit']}\n"
    "def main(input):\n"
    "    said = ctx.confirm('Reembolsar?', who='ana')['answer']\n"
    "    ctx.emit({'did': 'reembolsar', 'this': input['pedido']})\n"
    "    return said + ' VERSION'\n"
)


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def pause(runtime: RuntimeHouse, function: UUID, *, is_paused: bool = True) -> None:
    await set_pause(
        runtime.writer, "casa", function, who="ana", is_paused=is_paused, reason="férias"
    )


async def held(runtime: RuntimeHouse, execution: Record) -> Record:
    """Wait until an execution is held because its function is paused."""
    return await runtime.reached(
        execution, lambda head: head.status == "waiting" and head.did == "hold"
    )


def refund(record: Record) -> bool:
    return record.did == "reembolsar"


async def test_a_paused_function_does_not_begin_and_the_violation_says_so(runtime: RuntimeHouse):
    function = await runtime.push("def main(input):\n    return 1\n")
    asked = await runtime.ask("f")
    await pause(runtime, function.id)
    async with runtime.working():
        end = await runtime.ended(asked)
    assert (end.status, end.error["code"]) == ("denied", "function.paused")
    assert set(end.metadata["said"]) == {"pt", "en"}
    (violation,) = await violations(runtime.house)
    assert (violation.this, violation.related_to) == ("function.paused", (function.id,))


async def test_code_changed_behind_our_back_is_denied_and_never_begins(runtime: RuntimeHouse):
    function = await runtime.push("def main(input):\n    return 1\n")
    asked = await runtime.ask("f")
    await tamper(
        runtime.house,
        "UPDATE ledger.universal_registry SET code = %s WHERE tenant_id = 'casa' AND id = %s",
        "def main(input):\n    return 2\n", function.id,
    )  # fmt: skip
    runtime.laws = Laws(  # of a node that has not verified it yet
        runtime.writer, runtime.runners, root=runtime.house.keyring.public("root")
    )
    await runtime.open()
    async with runtime.working():
        end = await runtime.ended(asked)
    assert (end.status, end.error["code"], end.output) == ("denied", "code.tampered", None)
    (violation,) = await violations(runtime.house)
    assert (violation.this, violation.related_to) == ("code.tampered", (function.id,))


async def test_a_run_whose_function_is_paused_meanwhile_is_held_and_goes_on(runtime: RuntimeHouse):
    function = await runtime.push(ASKING)
    async with runtime.working():
        asked = await runtime.ask("f", {"pedido": "312"})
        waiting = await runtime.waiting(asked)
        await pause(runtime, function.id)
        await runtime.answer(asked, "confirm", by="ana")
        rests = await held(runtime, asked)
        assert rests.metadata["header"] == waiting.metadata["header"]
        assert (rests.run_at - runtime.clock.now()).total_seconds() == pytest.approx(HELD_S)
        assert not any(map(refund, await runtime.emitted(asked)))
        await pause(runtime, function.id, is_paused=False)
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "yes VERSION")
    assert len([one for one in await runtime.emitted(asked) if refund(one)]) == 1
    assert (await runtime.replay(end)).verdict == "equal"
    assert await violations(runtime.house) == []


async def test_what_waits_ends_by_its_version_and_what_is_new_runs_the_next(
    runtime: RuntimeHouse,
):
    await runtime.push(ASKING.replace("VERSION", "1"))
    workers = [await runtime.worker("w1"), await runtime.worker("w2")]
    async with runtime.working(*workers):
        old = [await runtime.ask("f", {"pedido": str(n)}) for n in range(12)]
        for one in old:
            await runtime.waiting(one)
        for one in old[:4]:
            await runtime.answer(one, "confirm", by="ana")
        second = await runtime.push(ASKING.replace("VERSION", "2"))
        new = [await runtime.ask("f", {"pedido": str(n)}) for n in range(100, 106)]
        for one in [*old[4:], *new]:
            await runtime.waiting(one)
            await runtime.answer(one, "confirm", by="ana")
        ends = [await runtime.ended(one) for one in [*old, *new]]
    assert [end.output for end in ends] == ["yes 1"] * 12 + ["yes 2"] * 6
    pinned = [end.metadata["header"]["function"] for end in ends]
    assert {one["seq"] for one in pinned[:12]} == {0}
    assert {(one["seq"], one["hash"]) for one in pinned[12:]} == {(1, second.code_hash)}
    for end in ends:
        assert (await runtime.replay(end)).verdict == "equal"
        assert len([one for one in await runtime.emitted(end) if refund(one)]) == 1
    assert second.seq == 1


async def test_a_function_disabled_under_load_holds_what_began_and_denies_what_did_not(
    runtime: RuntimeHouse,
):
    function = await runtime.push(ASKING)
    async with runtime.working():
        begun = [await runtime.ask("f", {"pedido": str(n)}) for n in range(6)]
        for one in begun:
            await runtime.waiting(one)
        await pause(runtime, function.id)
        late = [await runtime.ask_for(function, {"pedido": "7"}) for _ in range(3)]
        for one in begun:
            await runtime.answer(one, "confirm", by="ana")
        for one in begun:
            await held(runtime, one)
        denied = [await runtime.ended(one) for one in late]
        await pause(runtime, function.id, is_paused=False)
        ends = [await runtime.ended(one) for one in begun]
    assert {(end.status, end.error["code"]) for end in denied} == {("denied", "function.paused")}
    assert {end.status for end in ends} == {"complete"}
    assert len(await violations(runtime.house)) == 3
    for end in ends:
        assert (await runtime.replay(end)).verdict == "equal"


async def test_a_grant_that_is_revoked_bites_a_run_that_slept(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx, time\n"
        "FUNCTION = {'effects': ['emit']}\n"
        "def main(input):\n"
        "    ctx.emit({'did': 'avisar', 'this': 'antes'})\n"
        "    time.sleep(86400)\n"
        "    try:\n"
        "        ctx.emit({'did': 'avisar', 'this': 'depois'})\n"
        "    except PermissionError as refused:\n"
        "        return str(refused)\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)

        def without(manifest: Any) -> Any:
            return with_item(manifest, "effects_granted", "emit", is_in=False)

        await change_manifest(runtime.writer, "casa", without, who="root")
        await runtime.pass_time(days=1, seconds=1)
        end = await runtime.ended(asked)
    assert end.status == "complete", end.error
    assert "emit" in end.output
    emitted = [one.this for one in await runtime.emitted(end) if one.did == "avisar"]
    assert emitted == ["antes"]
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_parent_hears_that_its_child_was_denied(runtime: RuntimeHouse):
    child = await runtime.push("def main(input):\n    return 1\n", name="filha.py")
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['run']}\n"
        "def main(input):\n"
        "    try:\n"
        "        return ctx.run('filha')\n"
        "    except RuntimeError as refused:\n"
        "        return str(refused)\n"
    )
    await pause(runtime, child.id)
    end = await runtime.run("f")
    assert end.status == "complete", end.error
    assert "denied (function.paused)" in end.output
    assert (await runtime.replay(end)).verdict == "equal"
