"""The queue: taken by lease, ended once, tried again, given up, paused, limited, and fair."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from loglineos.base.errors import MoveNotAllowed
from loglineos.ledger.verification.rebuild import rebuild
from loglineos.runtime.execution.lives import retry
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.execution.requests import draft_request
from loglineos.services.queue.enqueue import enqueue
from loglineos.services.queue.handlers import handler_id
from loglineos.services.queue.lives import cancel
from loglineos.services.queue.settings import pause, resume, set_limits
from tests.integration.queue_house import ask, life, new_worker, rows_of, statuses, until, working

JOBS = "SELECT count(*) FROM ledger.job WHERE tenant_id = %s"


async def size_of(house, tenant: str = "casa") -> int:
    size = await house.writer.log_size(tenant)
    assert size is not None
    return size


async def test_a_job_costs_two_records_and_its_end_says_worker_attempt_and_time(house):
    before = await size_of(house)
    records = await ask(house, "dobrar", 20)
    worker = await new_worker(house, {"dobrar": lambda given: {"twice": given["n"] * 2}})
    async with working(worker):
        await until(lambda: worker.ended == 20)
    assert await size_of(house) == before + 40
    for number, record in enumerate(records):
        first, end = await life(house, record.id)
        assert (first.status, first.input) == ("scheduled", {"n": number})
        assert (end.status, end.output, end.worker, end.attempt) == (
            "complete", {"twice": number * 2}, "w1", 1,
        )  # fmt: skip
        assert end.duration_ms is not None
        assert (end.parent_id, end.trace_id, end.name) == (
            first.parent_id,
            first.trace_id,
            "dobrar",
        )
    assert await rows_of(house, JOBS, "casa") == [(0,)]
    assert (await rebuild(await house.connect("logline_reader"), tenant="casa")).is_equal


async def test_what_raises_is_tried_again_later_each_time_and_then_dead(house):
    (record,) = await ask(house, "falhar", max_attempts=3)
    tried = []

    def fail(given):
        tried.append(given["n"])
        raise RuntimeError("o correio não responde")

    worker = await new_worker(house, {"falhar": fail})
    async with working(worker):
        for attempt in (1, 2):
            await until(lambda wanted=attempt: len(tried) == wanted)
            await until(lambda: worker.in_hand == 0)
            waiting = await house.writer.latest("casa", record.id)
            assert (waiting.status, waiting.attempt) == ("queued", attempt + 1)
            wait = waiting.run_at - house.clock.now()
            longest = timedelta(seconds=2 ** (attempt - 1))
            assert longest / 2 <= wait <= longest
            house.clock.advance(wait)
        await until(lambda: len(tried) == 3)
        await until(lambda: worker.in_hand == 0)
    events = await life(house, record.id)
    assert [event.status for event in events] == ["scheduled", "queued", "queued", "dead"]
    assert events[-1].error == {
        "code": "raised", "type": "RuntimeError", "message": "o correio não responde",
    }  # fmt: skip
    assert tried == [0, 0, 0], "each attempt gets the input of the request"
    assert await rows_of(house, JOBS, "casa") == [(0,)]


async def test_a_failure_without_further_attempts_is_an_error_and_can_be_asked_for_again(house):
    (record,) = await ask(house, "falhar")
    worker = await new_worker(house, {"falhar": lambda _: 1 / 0})
    async with working(worker):
        await until(lambda: worker.ended == 1)
        failed = await house.writer.latest("casa", record.id)
        assert failed.status == "error"
        again = await retry(house.writer, failed, tenant="casa", by="ana")
        assert (again.status, again.who, again.attempt) == ("queued", "ana", 1)
        await until(lambda: worker.ended == 2)
    assert await statuses(house, [record]) == ["error"]
    with pytest.raises(MoveNotAllowed):
        await retry(house.writer, again, tenant="casa", by="ana")


async def test_an_output_that_no_record_may_hold_is_an_error_and_harms_no_neighbour(house):
    big = await ask(house, "grande")
    small = await ask(house, "noop", 30)
    worker = await new_worker(house, {"grande": lambda _: "x" * (2 * 1024 * 1024)})
    async with working(worker):
        await until(lambda: worker.ended == 31)
    assert await statuses(house, small) == ["complete"] * 30
    end = await house.writer.latest("casa", big[0].id)
    assert (end.status, end.error["code"]) == ("error", "too_large")


async def test_the_lowest_priority_number_goes_first_and_nothing_before_its_time(house):
    order = []
    later = await ask(house, "x", run_at=house.clock.now() + timedelta(minutes=5), priority=-9)
    for name, priority in (("baixa", 5), ("normal", 0), ("alta", -5)):
        await ask(house, name, 2, priority=priority)
    names = ("x", "baixa", "normal", "alta")
    worker = await new_worker(
        house, {n: (lambda given, n=n: order.append(n)) for n in names}, slots=1
    )
    async with working(worker):
        await until(lambda: worker.ended == 6)
        assert order == ["alta", "alta", "normal", "normal", "baixa", "baixa"]
        assert await statuses(house, later) == ["scheduled"]
        house.clock.advance(timedelta(minutes=5))
        await until(lambda: worker.ended == 7)
    assert order[-1] == "x"


async def test_a_request_with_a_living_key_is_answered_with_the_first(house):
    before = await size_of(house)
    (first,) = await ask(house, "noop", key="pedido 312")
    (second,) = await ask(house, "noop", key="pedido 312", priority=9)
    (other,) = await ask(house, "outro", key="pedido 312")
    assert second == first
    assert other.id != first.id, "the key is of one function"
    assert await size_of(house) == before + 2
    worker = await new_worker(house, {"outro": lambda _: None})
    async with working(worker):
        await until(lambda: worker.ended == 2)
    seen = {first.id}
    for _ in range(5):  # each later life of the key is a new execution
        (again,) = await ask(house, "noop", key="pedido 312")
        assert again.id not in seen
        seen.add(again.id)
        await cancel(house.writer, again, tenant="casa", by="ana")


async def test_of_many_who_ask_at_once_with_one_key_one_makes_the_execution(house):
    for _ in range(3):
        made = await asyncio.gather(*(ask(house, "noop", key="fecho do dia") for _ in range(12)))
        ids = {records[0].id for records in made}
        assert len(ids) == 1
        (record,) = made[0]
        await cancel(house.writer, record, tenant="casa", by="ana")
    twice = [
        draft_request(function=handler_id("noop"), name="noop", who="ana", key="dois", input=n)
        for n in range(2)
    ]
    one, two = await enqueue(house.writer, twice, tenant="casa")
    assert one == two


def hang(worker) -> None:
    """Let a worker neither prolong its leases nor notice that they are over."""
    worker._renew = lambda: asyncio.sleep(0)
    worker._drop_overdue = lambda: None


async def test_a_lost_lease_is_recorded_before_the_job_runs_again(house):
    begun, may_end = [], asyncio.Event()

    class Slow:
        async def run(self, tenant, execution, *, worker, attempt):
            begun.append((worker, attempt, execution.seq, execution.input))
            if worker == "w1":
                await may_end.wait()
            return Outcome(kind="complete", output={"by": worker})

    (record,) = await ask(house, "entregar")
    first = await new_worker(house, Slow(), "w1", lease_s=30, slots=1)
    second = await new_worker(house, Slow(), "w2", lease_s=30)
    hang(first)
    async with working(first):
        await until(lambda: len(begun) == 1)
        house.clock.advance(timedelta(seconds=31))
        async with working(second):
            await until(lambda: len(begun) == 2)
            await until(lambda: second.in_hand == 0)
            may_end.set()
            await until(lambda: first.in_hand == 0)
    events = await life(house, record.id)
    assert [event.status for event in events] == ["scheduled", "queued", "complete"]
    lost = events[1]
    assert (lost.attempt, lost.worker, lost.error["code"]) == (2, "w1", "lease_lost")
    assert begun == [("w1", 1, 0, {"n": 0}), ("w2", 2, 1, {"n": 0})]
    assert events[2].output == {"by": "w2"}, "who came too late wrote nothing"


async def test_a_job_that_kills_every_worker_is_dead_in_the_end(house):
    class Never:
        async def run(self, tenant, execution, *, worker, attempt):
            await asyncio.Event().wait()

    (record,) = await ask(house, "veneno", max_attempts=99)
    worker = await new_worker(house, Never(), "w1", lease_s=30, drain_s=0.0)
    hang(worker)

    async def is_dead():
        house.clock.advance(timedelta(seconds=31))
        return (await house.writer.latest("casa", record.id)).status == "dead"

    async with working(worker):
        await until(is_dead)
    events = await life(house, record.id)
    assert [e.status for e in events] == ["scheduled", *["queued"] * 5, "dead"]


async def test_a_lease_is_prolonged_while_the_job_runs(house):
    may_end = asyncio.Event()

    async def wait(_):
        await may_end.wait()

    (record,) = await ask(house, "longo")
    first = await new_worker(house, {"longo": wait}, "w1", lease_s=0.6)
    second = await new_worker(house, {"longo": wait}, "w2", lease_s=0.6)
    async with working(first):
        await until(lambda: first.in_hand == 1)
        async with working(second):
            for _ in range(20):
                held = await rows_of(
                    house, "SELECT worker, lease_until FROM ledger.job WHERE id = %s", record.id
                )
                assert held[0][0] == "w1"
                house.clock.advance(timedelta(seconds=0.2))

                async def is_renewed(was=held[0][1]):
                    rows = await rows_of(
                        house, "SELECT lease_until FROM ledger.job WHERE id = %s", record.id
                    )
                    return rows[0][0] > was

                await until(is_renewed)
            may_end.set()
            await until(lambda: first.in_hand == 0)
    assert [e.status for e in await life(house, record.id)] == ["scheduled", "complete"]


async def test_a_cancelled_job_runs_no_more_and_its_end_is_not_written(house):
    may_end, cancelled = asyncio.Event(), []

    async def wait(_):
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    (waiting,) = await ask(house, "noop", run_at=house.clock.now() + timedelta(days=1))
    end = await cancel(house.writer, waiting, tenant="casa", by="ana", reason="já não é preciso")
    assert (end.status, end.who, end.details) == ("archived", "ana", {"reason": "já não é preciso"})
    (running,) = await ask(house, "longo")
    worker = await new_worker(house, {"longo": wait}, lease_s=0.6)
    async with working(worker):
        await until(lambda: worker.in_hand == 1)
        await cancel(house.writer, running, tenant="casa", by="ana")
        house.clock.advance(timedelta(seconds=0.3))
        await until(lambda: cancelled == [1])
    assert await statuses(house, [waiting, running]) == ["archived", "archived"]
    with pytest.raises(MoveNotAllowed):
        await cancel(house.writer, end, tenant="casa", by="ana")


async def test_a_paused_queue_begins_nothing_until_it_is_resumed(house):
    await pause(house.writer, "lenta", tenant="casa", by="ana", reason="obras")
    held = await ask(house, "noop", 3, queue="lenta")
    free = await ask(house, "noop", 3)
    elsewhere = await ask(house, "noop", 3, queue="lenta", tenant="pensao")
    worker = await new_worker(house, {})
    async with working(worker):
        await until(lambda: worker.ended == 6)
        assert await statuses(house, free) == ["complete"] * 3
        assert await statuses(house, elsewhere, tenant="pensao") == ["complete"] * 3
        assert await statuses(house, held) == ["scheduled"] * 3
        await resume(house.writer, "lenta", tenant="casa", by="ana")
        await until(lambda: worker.ended == 9)
    await pause(house.writer, "*", tenant="casa", by="ana")
    await ask(house, "noop", 1)
    await ask(house, "noop", 1, tenant="pensao")
    other = await new_worker(house, {}, "w2")
    async with working(other):
        await until(lambda: other.ended == 1)
    assert await rows_of(house, JOBS, "casa") == [(1,)]


async def test_a_pause_counts_for_what_comes_after_it_into_a_queue_that_was_empty(house):
    worker = await new_worker(house, {}, poll_s=0.05)
    async with working(worker):
        await ask(house, "noop", 1, queue="lenta")
        await until(lambda: worker.ended == 1)
        await pause(house.writer, "lenta", tenant="casa", by="ana", reason="obras")
        await until(lambda: worker._queues["casa"].get("lenta") is not None)
        held = await ask(house, "noop", 3, queue="lenta")
        free = await ask(house, "noop", 3)
        await until(lambda: worker.ended == 4)
        assert await statuses(house, free) == ["complete"] * 3
        assert await statuses(house, held) == ["scheduled"] * 3


async def test_a_limit_of_concurrency_holds_over_all_workers(house):
    await set_limits(house.writer, "forno", tenant="casa", by="ana", concurrency=3, rate_per_s=None)
    running = most = 0

    async def bake(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    await ask(house, "assar", 30, queue="forno")
    workers = [await new_worker(house, {"assar": bake}, name) for name in ("w1", "w2")]
    async with working(*workers):
        await until(lambda: sum(worker.ended for worker in workers) == 30)
    assert most <= 3
    assert await rows_of(house, JOBS, "casa") == [(0,)]


async def test_a_limit_of_the_whole_tenant_counts_all_its_queues(house):
    await set_limits(house.writer, "*", tenant="casa", by="ana", concurrency=2, rate_per_s=None)
    running = most = 0

    async def work(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    for queue in ("a", "b", "c"):
        await ask(house, "x", 5, queue=queue)
    worker = await new_worker(house, {"x": work})
    async with working(worker):
        await until(lambda: worker.ended == 15)
    assert most <= 2


async def test_a_rate_holds_over_all_workers_and_time(house):
    await set_limits(house.writer, "sms", tenant="casa", by="ana", concurrency=None, rate_per_s=5)
    await ask(house, "enviar", 40, queue="sms")
    workers = [await new_worker(house, {"enviar": lambda _: None}, n) for n in ("w1", "w2")]

    def ended():
        return sum(worker.ended for worker in workers)

    async with working(*workers):
        await until(lambda: ended() == 5)  # one second's worth at once
        for second in range(1, 4):
            await asyncio.sleep(0.1)  # several polls: nothing more begins while time stands still
            assert ended() == 5 * second
            house.clock.advance(timedelta(seconds=1))
            await until(lambda wanted=5 * (second + 1): ended() == wanted)


async def test_a_tenant_with_much_to_do_does_not_keep_another_waiting(house):
    order = []
    await ask(house, "x", 200)
    await ask(house, "x", 10, tenant="pensao")

    class Noting:
        async def run(self, tenant, execution, *, worker, attempt):
            order.append(tenant)
            return Outcome(kind="complete")

    worker = await new_worker(house, Noting(), slots=4, ahead_max=0)
    async with working(worker):
        await until(lambda: worker.ended == 210)
    assert order.index("pensao") < 8
    last = max(index for index, tenant in enumerate(order) if tenant == "pensao")
    assert last < 40, "ten jobs of the small house, between at most as many of the large one"


async def test_who_is_stopped_ends_what_was_begun_and_gives_the_rest_back(house):
    may_end, begun = asyncio.Event(), []

    async def wait(given):
        begun.append(given["n"])
        await may_end.wait()

    records = await ask(house, "x", 12)
    worker = await new_worker(house, {"x": wait}, slots=3)
    worker._pace = 1_000.0  # as after a fast minute: it takes more in hand than it has slots
    task = asyncio.create_task(worker.run())
    await until(lambda: len(begun) == 3 and worker.in_hand == 12)
    worker.stop()
    await until(lambda: worker.in_hand == 3)
    free = "SELECT count(*) FROM ledger.job WHERE tenant_id = 'casa' AND worker IS NULL"

    async def are_given_back():
        return await rows_of(house, free) == [(9,)]

    await until(are_given_back)
    may_end.set()
    await task
    told = await statuses(house, records)
    assert (told.count("complete"), told.count("scheduled")) == (3, 9)
    assert await rows_of(house, "SELECT id FROM ledger.worker WHERE tenant_id = '@node'") == []


async def test_what_outlasts_the_drain_is_recorded_as_left(house):
    async def wait(_):
        await asyncio.Event().wait()

    (record,) = await ask(house, "x")
    worker = await new_worker(house, {"x": wait}, drain_s=0.05)
    async with working(worker):
        await until(lambda: worker.in_hand == 1 and not worker._slots.locked())
        await until(lambda: all(job.is_begun for job in worker._jobs.values()))
    events = await life(house, record.id)
    assert [e.status for e in events] == ["scheduled", "queued"]
    assert (events[1].attempt, events[1].error["code"]) == (2, "lease_lost")


async def test_a_worker_is_visible_with_what_it_holds(house):
    async def wait(_):
        await asyncio.Event().wait()

    await ask(house, "x", 2)
    worker = await new_worker(house, {"x": wait}, lease_s=0.3, drain_s=0.0)
    told = "SELECT about->>'in_hand' FROM ledger.worker WHERE tenant_id = '@node' AND id = 'w1'"

    async def is_told():
        return await rows_of(house, told) == [("2",)]

    async with working(worker):
        await until(is_told)
