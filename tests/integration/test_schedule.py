"""Schedules: each instant once, whoever fires it and however the clock goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from loglineos.base.clock import ManualClock
from loglineos.base.errors import InvalidInput, NotFound, UnknownName
from loglineos.services.schedule.scheduler import Scheduler, backfill
from loglineos.services.schedule.schedules import (
    CATCH_UP_MAX,
    add_schedule,
    find_schedule,
    pause_schedule,
    read_schedules,
    resume_schedule,
)
from tests.integration.conftest import NOON
from tests.integration.queue_house import new_worker, rows_of, until, working

FIRED = """
SELECT metadata->'schedule'->>'instant' FROM ledger.universal_registry
WHERE tenant_id = %s AND entity_type = 'execution' AND seq = 0 ORDER BY position
"""


async def add(house, name="fecho", **more):
    told = {"cron": "0 * * * *", "timezone": "Europe/Lisbon", "function": "noop", **more}
    return await add_schedule(house.writer, name, tenant="casa", by="ana", **told)


async def new_scheduler(house, clock=None) -> Scheduler:
    return Scheduler(
        house.writer, pool=await house.pool("logline_appender"), clock=clock or house.clock,
        poll_s=0.02,
    )  # fmt: skip


async def fired(house, tenant="casa") -> list[datetime]:
    return [datetime.fromisoformat(row[0]) for row in await rows_of(house, FIRED, tenant)]


def hours(first: int, last: int) -> list[datetime]:
    return [NOON + timedelta(hours=n) for n in range(first, last + 1)]


async def test_a_schedule_fires_at_its_instants_and_a_worker_runs_them(house):
    record = await add(house, input={"loja": 1}, queue="noite", max_attempts=3)
    scheduler = await new_scheduler(house)
    assert await scheduler.look() == 0
    house.clock.advance(timedelta(minutes=59, seconds=59))
    assert await scheduler.look() == 0
    house.clock.advance(timedelta(seconds=1))
    assert await scheduler.look() == 1
    assert await scheduler.look() == 0
    rows = await rows_of(
        house,
        "SELECT who, did, name, queue, input, max_attempts, cause_id, status FROM "
        "ledger.universal_registry WHERE tenant_id = 'casa' AND entity_type = 'execution'",
    )
    assert rows == [
        ("schedule:fecho", "schedule", "noop", "noite", {"loja": 1}, 3, record.id, "scheduled")
    ]
    worker = await new_worker(house, {})
    async with working(worker):
        await until(lambda: worker.ended == 1)


async def test_any_number_of_schedulers_fire_each_instant_once(house):
    await add(house, cron="* * * * *", catch_up="all")
    schedulers = [await new_scheduler(house) for _ in range(4)]
    tasks = [asyncio.create_task(scheduler.run()) for scheduler in schedulers]
    for minute in range(1, 6):
        house.clock.advance(timedelta(minutes=1))

        async def is_fired(count=minute):
            return len(await fired(house)) == count

        await until(is_fired)
    for scheduler in schedulers:
        scheduler.stop()
    await asyncio.gather(*tasks)
    assert await fired(house) == [NOON + timedelta(minutes=n) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("none", []), ("last", hours(9, 9)), ("all", hours(1, 9))]
)
async def test_after_downtime_is_caught_up_what_was_asked(house, catch_up, expected):
    await add(house, catch_up=catch_up)
    house.clock.advance(timedelta(hours=9, minutes=20))
    assert await (await new_scheduler(house)).look() == len(expected)
    assert await fired(house) == expected
    assert await (await new_scheduler(house)).look() == 0, "what is made up for is made up for once"


async def test_a_little_late_is_on_time_for_a_schedule_that_catches_nothing_up(house):
    await add(house, catch_up="none")
    house.clock.advance(timedelta(hours=3, seconds=45))
    await (await new_scheduler(house)).look()
    assert await fired(house) == hours(3, 3)


async def test_what_is_caught_up_is_bounded_to_the_newest(house):
    await add(house, cron="* * * * *", catch_up="all")
    house.clock.advance(timedelta(days=30))
    await (await new_scheduler(house)).look()
    told = await fired(house)
    assert len(told) == CATCH_UP_MAX
    assert told[-1] == house.clock.now()
    assert told[0] == house.clock.now() - timedelta(minutes=CATCH_UP_MAX - 1)


async def test_a_leap_to_next_month_fires_as_it_catches_up(house):
    for name, catch_up in (("nada", "none"), ("um", "last"), ("todos", "all")):
        await add(house, name, cron="0 9 1 * *", catch_up=catch_up)
    scheduler = await new_scheduler(house)
    await scheduler.look()
    house.clock.advance(datetime(2026, 6, 15, tzinfo=UTC) - house.clock.now())
    await scheduler.look()
    firsts = [datetime(2026, month, 1, 8, tzinfo=UTC) for month in (4, 5, 6)]  # 9:00 in Lisbon
    assert sorted(await fired(house)) == sorted([*firsts, firsts[-1]])


async def test_a_clock_that_goes_back_fires_nothing_again(house):
    await add(house, catch_up="all")
    clock = ManualClock(NOON)
    scheduler = await new_scheduler(house, clock)
    for _ in range(3):
        clock.advance(timedelta(hours=1))
        await scheduler.look()
    clock.advance(timedelta(hours=-2, minutes=-30))
    for _ in range(6):
        await scheduler.look()
        clock.advance(timedelta(minutes=30))
    assert await fired(house) == hours(1, 3)
    clock.advance(timedelta(hours=1))
    await scheduler.look()
    assert await fired(house) == hours(1, 4)


async def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule(house):
    await add(house, catch_up="none")
    clock = ManualClock(NOON + timedelta(days=3650, minutes=61))
    await (await new_scheduler(house, clock)).look()
    later = await fired(house)
    house.clock.advance(timedelta(hours=1))
    await (await new_scheduler(house)).look()
    assert (await fired(house))[len(later) :] == []
    house.clock.advance(timedelta(hours=1))
    scheduler = await new_scheduler(house)
    await scheduler.look()
    house.clock.advance(timedelta(hours=1))
    await scheduler.look()
    assert (await fired(house))[len(later) :] == hours(3, 3)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Lisbon", datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("Europe/Lisbon", datetime(2026, 10, 24, 22, tzinfo=UTC),
         datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2026, 10, 18, 0, tzinfo=UTC),
         datetime(2026, 10, 18, 4, 30, tzinfo=UTC)),
    ],
)  # fmt: skip
async def test_the_days_when_clocks_change_fire_once(house, zone, day, expected):
    house.clock.advance(day - house.clock.now())
    await add(house, cron="30 1 * * *", timezone=zone)
    scheduler = await new_scheduler(house)
    for _ in range(24 * 4):
        await scheduler.look()
        house.clock.advance(timedelta(minutes=15))
    assert await fired(house) == [expected]


async def test_a_paused_schedule_misses_what_it_misses_and_a_change_starts_anew(house):
    await add(house, catch_up="all")
    scheduler = await new_scheduler(house)
    await scheduler.look()
    paused = await pause_schedule(house.writer, "fecho", tenant="casa", by="ana", reason="férias")
    assert (paused.who, paused.metadata["paused"]["reason"]) == ("ana", "férias")
    house.clock.advance(timedelta(hours=5, minutes=30))
    assert await scheduler.look() == 0
    await resume_schedule(house.writer, "fecho", tenant="casa", by="ana")
    house.clock.advance(timedelta(minutes=30))
    assert await scheduler.look() == 1
    assert await fired(house) == hours(6, 6)
    await add(house, cron="30 * * * *", catch_up="all")
    house.clock.advance(timedelta(hours=1))
    assert await scheduler.look() == 1
    assert (await fired(house))[-1] == NOON + timedelta(hours=6, minutes=30)
    (record,) = await read_schedules(house.writer.pool, "casa")
    assert record.seq == 3


async def test_a_backfill_makes_each_instant_once_and_says_so(house):
    await add(house, catch_up="all")
    house.clock.advance(timedelta(hours=3))
    await (await new_scheduler(house)).look()
    record = await find_schedule(house.writer.pool, "casa", "fecho")
    span = {"since": NOON - timedelta(hours=2), "until": NOON + timedelta(hours=3)}
    for _ in range(2):
        made = await backfill(house.writer, record, tenant="casa", **span)
        assert len(made) == 5
    told = await fired(house)
    assert sorted(told) == hours(-2, 3)
    assert made[0].metadata["schedule"]["backfill"] is True
    assert "backfill" not in made[4].metadata["schedule"]
    with pytest.raises(InvalidInput):
        await backfill(
            house.writer, record, tenant="casa", since=NOON - timedelta(days=900), until=NOON
        )


async def test_what_cannot_be_read_is_refused_and_harms_no_other_schedule(house):
    for wrong in ({"cron": "61 * * * *"}, {"timezone": "Lisboa"}):
        with pytest.raises(InvalidInput):
            await add(house, **wrong)
    with pytest.raises(UnknownName):
        await add(house, catch_up="sometimes")
    with pytest.raises(NotFound):
        await pause_schedule(house.writer, "fecho", tenant="casa", by="ana")
    await house.add(
        entity_type="schedule", name="torto", cron="x", status="active",
        metadata={"function": "noop"},
    )  # fmt: skip
    await add(house)
    house.clock.advance(timedelta(hours=1))
    assert await (await new_scheduler(house)).look() == 1
