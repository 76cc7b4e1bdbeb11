"""Snapshots of long runs: a cache that is used, passed over when it does not fit, and gone in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loglineos.runtime.execution.lives import retry
from loglineos.runtime.publishing import set_pause
from loglineos.runtime.sandbox.runner_process import lost
from loglineos.runtime.sandbox.session import Session
from loglineos.services.queue.lives import cancel
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


TWICE = (
    "import ctx\nFUNCTION = {'effects': ['run']}\n"
    "def main(input):\n"
    "    ctx.compensate('desfazer', {'n': 7})\n"
    "    first = [ctx.uuid() for n in range(220)]\n"
    "    print(input['said'] * input['times'])\n"
    "    ctx.sleep(3600)\n"
    "    second = [ctx.uuid() for n in range(10)]\n"
    "    print(input['said'] * input['times'])\n"
    "    ctx.sleep(3600)\n"
    "    if input['fails']:\n"
    "        ctx.fail('por_fim', first[215] + second[5])\n"
    "    return [first[215], second[5]]\n"
)
"""Rests at steps 222 and 233; the ids that it tells of are those of steps 217 and 228."""
UNDO = "def main(input):\n    return input['n']\n"
GATHERED = (
    "import asyncio, ctx\nFUNCTION = {'effects': []}\n"
    "async def late():\n    await asyncio.sleep(7200)\n    return ctx.uuid()\n"
    "async def long():\n"
    "    seen = [ctx.uuid() for n in range(220)]\n"
    "    ctx.sleep(3600)\n"
    "    return len(seen)\n"
    "async def main(input):\n"
    "    got = await asyncio.gather(late(), long())\n"
    "    return got[1]\n"
)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the snapshots that are loaded, as many as there are bytes in each."""
    seen: list[int] = []
    load = Session.load

    async def counted(session: Session, blob: bytes, *more):
        seen.append(len(blob))
        return await load(session, blob, *more)

    monkeypatch.setattr(Session, "load", counted)
    return seen


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


async def set_aside(runtime: RuntimeHouse) -> None:
    """Keep what is kept now, to be put back when it is no longer so."""
    connection = await runtime.house.connect("postgres")
    await connection.execute("CREATE TABLE aside AS SELECT * FROM ledger.snapshot")
    await connection.commit()


async def put_back(runtime: RuntimeHouse) -> None:
    connection = await runtime.house.connect("postgres")
    await connection.execute("DELETE FROM ledger.snapshot")
    await connection.execute("INSERT INTO ledger.snapshot SELECT * FROM aside")
    await connection.commit()


async def begun(runtime: RuntimeHouse, *, fails: bool = False, said: str = "x", times: int = 1):
    """Push a run that rests twice; ask for it."""
    await runtime.push(UNDO, name="desfazer.py")
    await runtime.push(TWICE)
    return await runtime.ask("f", {"fails": fails, "said": said, "times": times})


async def told_ids(runtime: RuntimeHouse, end) -> list[str]:
    """Read from the journal the two ids that `TWICE` tells of, as they were asked last."""
    found = {s.metadata["n"]: s.output for s in await runtime.steps(end.id) if s.did == "ctx.uuid"}
    return [found[217]["value"], found[228]["value"]]


async def test_a_snapshot_older_than_the_journal_asks_what_the_journal_answers(
    runtime: RuntimeHouse, loads: list[int]
):
    async with runtime.working():
        asked = await begun(runtime)
        first = await runtime.waiting(asked)
        await set_aside(runtime)
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=first.seq)
        assert [step for step, _ in await snapshots(runtime)] == [232]
        await put_back(runtime)  # as when it was another's, who lost the run before it could say so
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert len(loads) == 2
    assert (end.status, end.output) == ("complete", await told_ids(runtime, end)), end.error
    assert end.details["printed"] == "x\nx\n", "each print counts once"
    assert end.metadata["steps"] == 233
    assert (await runtime.replay(end)).verdict == "equal"


async def test_what_was_to_be_undone_before_the_snapshot_is_undone_once(
    runtime: RuntimeHouse, loads: list[int]
):
    async with runtime.working():
        asked = await begun(runtime, fails=True)
        first = await runtime.waiting(asked)
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=first.seq)
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert len(loads) == 2
    assert (end.status, end.error["message"]) == ("error", "".join(await told_ids(runtime, end)))
    assert end.metadata["compensated"] == [{"function": "desfazer", "error": None}]
    assert await snapshots(runtime) == []
    assert (await runtime.replay(end)).verdict == "equal"


@pytest.mark.parametrize("is_latest", [False, True])
async def test_a_retry_does_not_go_on_from_what_it_cut_off(
    runtime: RuntimeHouse, loads: list[int], is_latest: bool
):
    async with runtime.working():
        asked = await begun(runtime, fails=True)
        first = await runtime.waiting(asked)
        await set_aside(runtime)
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=first.seq)
        await runtime.pass_time(hours=1, seconds=1)
        failed = await runtime.ended(asked)
        before = await told_ids(runtime, failed)
        loads.clear()
        await put_back(runtime)
        if is_latest:
            await runtime.push(TWICE.replace("if input['fails']", "if not input['fails']"))
        again = await retry(
            runtime.writer, failed, tenant="casa", by="ana", from_step=205, is_latest=is_latest
        )
        third = await runtime.rested(asked, after=again.seq)
        assert loads == [], "what was kept is of the time before the retry"
        assert [step for step, _ in await snapshots(runtime)] == [221]
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=third.seq)
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(third)
        assert end.seq > third.seq
    ids = await told_ids(runtime, end)
    assert set(ids).isdisjoint(before), "asked anew"
    assert len(loads) == 2, "kept within the retry, and used"
    if is_latest:
        assert (end.status, end.output) == ("complete", ids), end.error
    else:
        assert (end.status, end.error["message"]) == ("error", "".join(ids))
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_that_awaits_something_else_is_not_kept(
    runtime: RuntimeHouse, loads: list[int]
):
    await runtime.push(GATHERED)
    async with runtime.working():
        asked = await runtime.ask("f")
        first = await runtime.waiting(asked)
        assert await snapshots(runtime) == []
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=first.seq)
        await runtime.pass_time(hours=2, seconds=1)
        end = await runtime.ended(asked)
    assert loads == []
    assert (end.status, end.output) == ("complete", 220), end.error
    assert (await runtime.replay(end)).verdict == "equal"


async def test_an_engine_that_came_since_loads_nothing_of_the_one_before(
    runtime: RuntimeHouse, loads: list[int], monkeypatch: pytest.MonkeyPatch
):
    await runtime.push(LONG)
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        monkeypatch.setattr(runtime.runners, "engine_of", lambda _: "monty/9.9.9+000000000000")
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert loads == []
    assert (end.status, end.output["count"]) == ("complete", 253), end.error


async def test_what_a_run_may_print_is_counted_over_its_rests(
    runtime: RuntimeHouse, loads: list[int]
):
    async with runtime.working():
        asked = await begun(runtime, said="\u00e1", times=20_000)
        await runtime.waiting(asked)
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert len(loads) == 1
    assert (end.status, end.error["code"]) == ("error", "limit_size")


async def test_what_a_cancelled_run_left_goes_when_the_next_is_kept(runtime: RuntimeHouse):
    await runtime.push(LONG)
    async with runtime.working():
        head = await runtime.waiting(await runtime.ask("f"))
        await cancel(runtime.writer, head, tenant="casa", by="ana")
        await runtime.waiting(await runtime.ask("f"))
        assert len(await snapshots(runtime)) == 1


async def test_a_sandbox_that_dies_of_a_snapshot_is_given_it_once(
    runtime: RuntimeHouse, monkeypatch: pytest.MonkeyPatch
):
    dying: list[int] = []

    async def dies(session: Session, blob: bytes, *_):
        dying.append(len(blob))
        raise lost()

    await runtime.push(LONG)
    monkeypatch.setattr(Session, "load", dies)
    async with runtime.working():
        asked = await runtime.ask("f")
        first = await runtime.waiting(asked)
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.reached(asked, lambda head: head.status == "queued" and head.seq > first.seq)
        assert await snapshots(runtime) == []
        await runtime.pass_time(seconds=10)
        end = await runtime.ended(asked)
    assert len(dying) == 1
    assert (end.status, end.output["count"]) == ("complete", 253), end.error
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_whose_function_was_paused_goes_on_from_where_it_stood(
    runtime: RuntimeHouse, loads: list[int]
):
    await runtime.push(LONG)
    function = await runtime.laws.function("casa", "f")

    async def pause(is_paused: bool) -> None:
        await set_pause(
            runtime.writer, "casa", function.id, who="ana", is_paused=is_paused, reason="férias"
        )
        await runtime.laws.refresh("casa")

    async with runtime.working():
        asked = await runtime.ask("f")
        first = await runtime.waiting(asked)
        await pause(True)
        await runtime.pass_time(hours=1, seconds=1)
        await runtime.rested(asked, after=first.seq)
        assert loads == []
        await pause(False)
        end = await runtime.ended(asked)
    assert len(loads) == 1
    assert (end.status, end.output["count"]) == ("complete", 253), end.error
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_whose_values_were_refused_is_not_kept_for_no_dump_counts_them(
    runtime: RuntimeHouse, loads: list[int]
):
    refused = (
        "    for n in range(6):\n"
        "        try:\n            ctx.log(2 ** 60)\n"
        "        except ValueError:\n            pass\n"
    )
    await runtime.push(
        "import ctx\nFUNCTION = {'effects': []}\n"
        "def main(input):\n"
        "    seen = [ctx.uuid() for n in range(220)]\n"
        f"{refused}    ctx.sleep(3600)\n{refused}    return 1\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        assert await snapshots(runtime) == []
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert loads == []
    assert (end.status, end.error["code"]) == ("error", "limit_size")
