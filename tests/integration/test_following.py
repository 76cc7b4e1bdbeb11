"""Following: batches in order, places that are kept, bells, and databases that go away."""

from __future__ import annotations

import asyncio

import pytest

from loglineos.base.errors import DatabaseUnavailable, UnknownTenant
from loglineos.runtime import following
from loglineos.runtime.following import Bell, Cursors, Follower, Log, Watch, tend


class Reader:
    """Collects what a follower is given."""

    def __init__(self) -> None:
        self.batches = []

    async def __call__(self, batch):
        self.batches.append(batch)

    @property
    def positions(self):
        return [one.position for batch in self.batches for one in batch.records]


async def follower(house, seen, *, name="teste", tenant="casa", start="head"):
    log = Log(await house.pool("logline_reader"))
    cursors = Cursors(await house.pool("logline_appender"), clock=house.clock)
    return Follower(name, tenant=tenant, handle=seen, log=log, cursors=cursors, start=start)


async def test_each_record_is_given_once_in_order_in_batches_of_at_most_500(house, monkeypatch):
    monkeypatch.setattr(following, "BATCH_ROWS", 500)
    seen = Reader()
    one = await follower(house, seen)
    first = await one.begin()
    for number in range(7):
        await house.add(this=str(number))
    assert (await one._log.read("casa", first, rows_max=3)).end == first + 3
    assert await one.catch_up() == first + 7
    assert seen.positions == list(range(first, first + 7))
    assert await one.step() is False


async def test_a_place_is_kept_for_who_comes_after(house):
    one = await follower(house, Reader())
    await one.begin()
    await house.add()
    await one.catch_up()
    await house.add(this="depois")
    seen = Reader()
    await (await follower(house, seen)).catch_up()
    assert [r.this for batch in seen.batches for r in batch.records] == ["depois"]


async def test_a_new_name_starts_at_the_head_unless_asked(house):
    await house.add()
    head, beginning = Reader(), Reader()
    await (await follower(house, head, name="a")).catch_up()
    end = await (await follower(house, beginning, name="b", start="beginning")).catch_up()
    assert head.positions == []
    assert beginning.positions == list(range(end))


async def test_work_that_fails_leaves_the_place_where_it_was(house):
    async def fail(_):
        raise ValueError("x")

    one = await follower(house, fail)
    place = await one.begin()
    await house.add()
    with pytest.raises(ValueError, match="x"):
        await one.step()
    assert (await one._log.places("casa"))["teste"] == place


async def test_a_place_is_never_moved_back_and_belongs_to_its_tenant(house):
    one = await follower(house, Reader())
    cursors = one._cursors
    await cursors.move("casa", {"x": 9, "y": 1})
    await cursors.move("casa", {"x": 4, "y": 2})
    assert await one._log.places("casa", prefix="x") == {"x": 9}
    assert await one._log.places("casa", prefix="y") == {"y": 2}
    assert await one._log.places("pensao") == {}
    assert await cursors.begin("casa", "x", 1) == 9


async def test_a_follower_sees_its_own_tenant_only(house):
    seen = Reader()
    one = await follower(house, seen, tenant="pensao")
    await one.begin()
    await house.add(this="de casa")
    await house.add(tenant="pensao", this="da pensão")
    await one.catch_up()
    assert [r.tenant_id for batch in seen.batches for r in batch.records] == ["pensao"]


async def test_the_lag_is_the_head_minus_the_place(house):
    one = await follower(house, Reader())
    await one.begin()
    for _ in range(3):
        await house.add()
    (lag,) = await one._log.lags("casa")
    assert (lag.name, lag.behind) == ("teste", 3)
    await one.catch_up()
    assert [lag.behind for lag in await one._log.lags("casa")] == [0]
    assert one.lag.behind == 0
    with pytest.raises(UnknownTenant):
        await one._log.lags("ninguem")


async def test_what_fails_is_tried_again_and_a_bell_ends_the_wait():
    calls, bell = [], Bell()

    async def step():
        calls.append(len(calls))
        if len(calls) == 1:
            raise DatabaseUnavailable(reason="away", retry_after_s=1)
        return len(calls) == 2

    tending = asyncio.create_task(tend(step, bell=bell, name="test"))
    async with asyncio.timeout(10):
        while len(calls) < 3:
            await asyncio.sleep(0.01)
        bell.ring()
        while len(calls) < 4:
            await asyncio.sleep(0.01)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert len(calls) == 4, "nobody rang: nobody looked"


async def test_a_watch_rings_for_each_log_that_grew_without_any_hint(house, monkeypatch):
    monkeypatch.setattr(following, "POLL_EVERY_S", 0.02)
    rung: dict[str, int] = {}

    async def run(tenant, bell):
        while True:
            bell.silence()
            rung[tenant] = rung.get(tenant, 0) + 1  # a look
            await bell.wait()

    watch = Watch(Log(await house.pool("logline_reader")), run)
    watching = asyncio.create_task(watch.run())
    async with asyncio.timeout(10):
        while set(rung) != {"casa", "pensao"}:
            await asyncio.sleep(0.01)
        before = dict(rung)
        await house.add(tenant="pensao")
        while rung["pensao"] == before["pensao"]:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert rung["casa"] == before["casa"]


async def test_hints_ring_before_the_next_look(house, monkeypatch):
    monkeypatch.setattr(following, "POLL_EVERY_S", 60.0)
    rung, hints = asyncio.Event(), asyncio.Queue()

    async def run(tenant, bell):
        bell.silence()
        await bell.wait()
        rung.set()

    async def heard():
        while True:
            yield await hints.get()

    watch = Watch(Log(await house.pool("logline_reader")), run, hints=heard)
    watching = asyncio.create_task(watch.run())
    async with asyncio.timeout(10):
        while "casa" not in watch._bells:
            await asyncio.sleep(0.01)
        while not rung.is_set():
            hints.put_nowait("casa")
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
