"""A simulation tells a period again: the same code, no world, no trace in the house itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from loglineos.base.errors import Forbidden, InvalidInput
from loglineos.database.pool import connect
from loglineos.ledger.founding import found_tenant, list_tenants
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.personal import reveal, seal_personal
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import is_scratch, scratch_name
from loglineos.runtime.checking import checker
from loglineos.runtime.consequence.consequences import Consequences
from loglineos.runtime.execution.secrets import FileSecrets
from loglineos.runtime.following import Bell, Log, Watch
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.governing import change_manifest
from loglineos.runtime.header import Source
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import Manifest
from loglineos.runtime.publishing import push
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.services.queue.worker import Worker
from loglineos.services.scenario import generate_casa
from loglineos.services.schedule.scheduler import Scheduler
from loglineos.services.schedule.schedules import add_schedule
from loglineos.services.simulation import stage
from loglineos.services.simulation.account import Account
from loglineos.services.simulation.inputs import Period, past_of, period_of
from loglineos.services.simulation.law import kind_of, read_change, read_law
from loglineos.services.simulation.simulation import Simulation, SimulationSettings
from loglineos.services.simulation.stage import Ground
from tests.integration.conftest import NINE, NOON, House
from tests.integration.runtime_house import open_runtime

TWO_RUNNERS = RunnerSettings(processes=1, sessions_max=8)
ALARM = '''"""Warns of dear orders."""

POLICY = {"effects": ["emit"], "shows": [{"entity_type": "order"}]}


def on(span):
    if span["seq"] or (span.get("details") or {}).get("valor", 0) <= LIMIT:
        return []
    return [{"notify": {"text": "Caro: " + span["this"], "who": "role:manager"}}]
'''
REFUND = '''"""Gives money back, when somebody agrees."""

import ctx

FUNCTION = {"effects": ["confirm", "emit"]}


def main(input):
    said = ctx.confirm("Reembolsar " + input["span"]["this"] + "?", timeout_s=86400, if_timeout="doubt")
    ctx.emit({"entity_type": "refund", "did": "decidir", "this": said["answer"], "status": "executed",
              "confirmed_by": "ana", "if_ok": "nada", "if_doubt": "nada", "if_not": "nada"})
    return said["answer"]
'''


def alarm(limit: int) -> Source:
    return read_change(ALARM.replace("LIMIT", str(limit)), filename="alarme.py")


class Simulated:
    """A lawful house, and what simulates it."""

    def __init__(self, house: House, runners: Runners, folder: Path) -> None:
        self.house = house
        self.runners = runners
        self.secrets = FileSecrets(folder / "secrets")
        self.laws = Laws(house.writer, runners, root=house.keyring.public("root"))

    async def simulation(self, **settings: Any) -> Simulation:
        house = self.house
        app = await house.pool("logline_app")

        def reader(tenant: str, function: str) -> Reader:
            viewer = Viewer(tenant=tenant, actor=f"function:{function}", role="operator")
            return Reader(app, viewer=viewer)

        async def open_connection() -> psycopg.AsyncConnection[Any]:
            return await connect(house.database.dsn("logline_appender"), name="simulation")

        ground = Ground(
            writer=house.writer, connect=open_connection, runners=self.runners, reader=reader,
            work=await house.pool("logline_appender"), secrets=self.secrets,
        )  # fmt: skip
        return Simulation(
            ground, await read_law(house.writer, "casa"), settings=SimulationSettings(**settings),
            check=checker(self.laws, self.runners, "casa"),
        )  # fmt: skip

    async def publish(self, text: str, name: str) -> None:
        await push(self.house.writer, "casa", read_change(text, filename=name), who="ana")

    async def records(self, tenant: str, **columns: Any) -> list[Record]:
        where = " AND ".join([f"{name} = %({name})s" for name in columns] or ["true"])
        async with self.house.writer.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT * FROM ledger.universal_registry WHERE tenant_id = %(tenant)s"
                f" AND {where} ORDER BY position",
                {"tenant": tenant, **columns},
            )
            return [record_of(row) for row in await cursor.fetchall()]

    async def past(self, **span: datetime) -> Period:
        law = await read_law(self.house.writer, "casa")
        told = {"since": NOON - timedelta(hours=1), "until": NOON + timedelta(days=3), **span}
        return await past_of(self.house.writer.pool, "casa", named=law.has, **told)


@asynccontextmanager
async def simulated(house: House, folder: Path) -> AsyncIterator[Simulated]:
    await write_rows(house.writer, "casa")
    async with Runners(TWO_RUNNERS) as runners:
        yield Simulated(house, runners, folder)


def order(number: int, value: int, *, minutes: int | None = None, **more: Any) -> Draft:
    at = NOON + timedelta(minutes=number if minutes is None else minutes)
    told = {
        **NINE, "entity_type": "order", "did": "pedir", "this": f"pedido {number}", "at": at,
        "if_ok": "nada", "if_doubt": "nada", "if_not": "nada", "details": {"valor": value}, **more,
    }  # fmt: skip
    return Draft(**told)


def orders(*values: int, **more: Any) -> Period:
    drafts = [order(number, value, **more) for number, value in enumerate(values)]
    return told(drafts)


def told(drafts: Sequence[Draft], **more: Any) -> Period:
    return period_of(drafts, tenant="casa", source="test", named=lambda _: False, **more)


def made(account: Account, entity_type: str) -> list[str | None]:
    return [one.this for one in account.said if one.entity_type == entity_type]


async def test_a_change_of_a_policy_shows_exactly_what_it_changes(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        simulation = await sim.simulation()
        changed = await simulation.compare(orders(10, 60, 110, 70, 200), [alarm(100)])
        assert changed.only_as_is == 0
        assert [(o.record.entity_type, o.record.this) for o in changed.only] == [
            ("notification", "Caro: pedido 2"),
            ("notification", "Caro: pedido 4"),
        ]
        assert changed.first is not None
        assert changed.first.first_at == "2026-03-02T12:02:00.000000Z"
        assert [(d.as_is, d.changed) for d in changed.counts] == [(0, 2)]
        assert changed.ends == ()

        await sim.publish(ALARM.replace("LIMIT", "100"), "alarme.py")
        simulation = await sim.simulation()
        changed = await simulation.compare(orders(10, 60, 110, 70, 200), [alarm(150)])
        assert [(o.side, o.record.this) for o in changed.only] == [("as_is", "Caro: pedido 2")]
        same = await simulation.compare(orders(10, 60, 110), [alarm(100)])
        assert same.is_same
        assert same.as_is.digest == same.changed.digest


CALL = '''"""Tells a server."""

import ctx

FUNCTION = {"effects": ["http:127.0.0.1", "secret:banco"], "aliases": ["avisar o servidor"]}


def main(input):
    ctx.secret.use("banco")
    return ctx.http("POST", "http://127.0.0.1:PORT/aviso", json={"de": input["span"]["this"]})
'''


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[int, list[str]]]:
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode())
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def grant_loopback(house: House) -> None:
    def change(manifest: Manifest) -> Manifest:
        limits = msgspec.structs.replace(manifest.limits, http_private_allowed=("127.0.0.1",))
        granted = (*manifest.effects_granted, "http:127.0.0.1", "secret:banco")
        return msgspec.structs.replace(manifest, limits=limits, effects_granted=granted)

    await change_manifest(house.writer, "casa", change, who="ana")


async def test_a_granted_call_touches_nothing_in_a_simulation_and_the_server_for_real(
    house, tmp_path
):
    async with a_server() as (port, heard), open_runtime(house, tmp_path) as runtime:
        await grant_loopback(house)
        runtime.secrets.keep("casa", "banco", "chave-do-banco")
        function = await runtime.push(CALL.replace("PORT", str(port)), name="avisar.py")
        sim = Simulated(house, runtime.runners, tmp_path)
        simulation = await sim.simulation()
        period = told([order(0, 5, status="executed", if_ok="avisar o servidor")])
        account = await simulation.run(period)
        assert account.ends == {"avisar": {"complete": 1}}
        assert account.simulated == {"ctx.http": 1}
        (ended,) = await sim.records(account.scratch, entity_type="execution", status="complete")
        assert ended.output == {"status": 200, "headers": {}, "body": "", "simulated": True}
        (step,) = await sim.records(account.scratch, did="ctx.http", status="complete")
        assert step.simulated is True
        assert heard == []
        secrets = await sim.records(account.scratch, did="ctx.secret.use")
        assert "chave-do-banco" not in str([msgspec.to_builtins(one) for one in secrets])

        done = await runtime.run(function.name, {"span": {"this": "pedido 0"}})
        assert done.output["status"] == 200
        assert heard == ["POST /aviso HTTP/1.1\r\n"]


async def test_nothing_crosses_into_the_house_and_all_that_is_made_says_that_it_is_simulated(
    house, tmp_path
):
    async with simulated(house, tmp_path) as sim:
        simulation = await sim.simulation(answer="yes")
        before = await Log(house.writer.pool).sizes()
        account = await simulation.run(orders(10, 300, status="executed", if_ok="emitir_fatura"))
        after = await Log(house.writer.pool).sizes()
        assert account.ends["emitir_fatura"] == {"complete": 2}
        assert {name: size for name, size in after.items() if name in before} == before
        assert set(after) - set(before) == {account.scratch}
        assert account.scratch == "sim-casa-20260302-1"
        records = await sim.records(account.scratch)
        assert len(records) == after[account.scratch]
        assert {one.simulated for one in records} == {True}
        assert await read_jobs(house, account.scratch) == []


async def read_jobs(house: House, tenant: str) -> list[tuple[Any, ...]]:
    async with house.writer.pool.connection() as connection:
        asked = "SELECT name, status, worker, claims FROM ledger.job WHERE tenant_id = %s"
        return await (await connection.execute(asked, (tenant,))).fetchall()


async def test_a_simulation_cannot_write_into_a_house_nor_a_house_take_its_name(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        writer = (await sim.simulation())._ground.writer
        with pytest.raises(InvalidInput):
            await found_tenant(writer, "sim-casa-20260302-1")
        own = type(writer)(
            writer.appender, pool=writer.pool, keyring=writer.keyring, clock=writer.clock,
            entropy=writer.entropy, is_simulated=True,
        )  # fmt: skip
        with pytest.raises(Forbidden):
            await own.append([order(0, 1)], tenant="casa")
        assert await house.writer.log_size("sim-casa-20260302-1") is None
        assert is_scratch(scratch_name("casa" * 15, on=NOON.date(), number=12))
        assert len(scratch_name("casa" * 15, on=NOON.date(), number=12)) <= 63


async def test_a_wait_of_a_day_is_over_at_once_and_the_clock_says_a_day(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        await sim.publish(REFUND, "devolver.py")
        simulation = await sim.simulation()
        period = told(
            [order(0, 5, status="executed", if_ok="devolver")], until=NOON + timedelta(days=2)
        )
        account = await simulation.run(period)
        assert made(account, "refund") == ["doubt"]
        (decided,) = await sim.records(account.scratch, entity_type="refund")
        assert decided.at == NOON + timedelta(days=1)
        assert decided.recorded_at == NOON + timedelta(days=1)
        assert (account.questions, account.answered, account.waiting) == (1, 0, 0)

        short = told(
            [order(0, 5, status="executed", if_ok="devolver")], until=NOON + timedelta(hours=5)
        )
        account = await simulation.run(short)
        assert made(account, "refund") == []
        assert account.ends["devolver"] == {"waiting": 1}
        assert await read_jobs(house, account.scratch) == []


@pytest.mark.parametrize(("answer", "said"), [("yes", "yes"), ("no", "no")])
async def test_questions_that_nobody_answered_are_answered_as_asked(house, tmp_path, answer, said):
    async with simulated(house, tmp_path) as sim:
        await sim.publish(REFUND, "devolver.py")
        simulation = await sim.simulation(answer=answer)
        account = await simulation.run(told([order(0, 5, status="executed", if_ok="devolver")]))
        assert made(account, "refund") == [said]
        assert (account.questions, account.answered) == (1, 1)


async def test_the_same_period_law_and_seed_give_the_same_account(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        await sim.publish(REFUND, "devolver.py")
        await sim.publish(ALARM.replace("LIMIT", "50"), "alarme.py")
        drafts = [
            order(0, 60, status="executed", if_ok="devolver"),
            order(1, 20, status="failed", if_not="avisar_gerente"),
            order(2, 80, status="executed", if_ok="não sei o que isto é"),
            order(3, 1, confirmed_by=None, type="human"),
        ]
        accounts = [
            await (await sim.simulation(seed=seed, answer="yes")).run(told(drafts))
            for seed in (7, 7)
        ]
        assert accounts[0].digest == accounts[1].digest
        assert accounts[0].said == accounts[1].said
        assert accounts[0].scratch != accounts[1].scratch
        assert len(accounts[0].said) > 10
        other = await (await sim.simulation(seed=7, answer="no")).run(told(drafts))
        assert other.digest != accounts[0].digest


async def test_a_day_of_the_example_house_gives_the_same_account_each_time(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        accounts = []
        for _ in range(2):
            simulation = await sim.simulation(seed=3, answer="yes")
            drafts = generate_casa(days=1, seed=3, lines=60, start=NOON, tenant="casa")
            period = period_of(drafts, tenant="casa", source="casa", named=simulation.law.has)
            accounts.append(await simulation.run(period))
        first, again = accounts
        assert first.digest == again.digest
        assert msgspec.structs.replace(again, scratch=first.scratch) == first
        assert first.told + first.left_out >= 50
        assert first.made > first.told


async def test_a_real_worker_scheduler_and_followers_leave_a_scratch_tenant_alone(house, tmp_path):
    async with open_runtime(house, tmp_path) as runtime:
        await runtime.push('"""Adds."""\ndef main(input):\n    return input + 1\n', name="soma.py")
        sim = Simulated(house, runtime.runners, tmp_path)
        await sim.publish(REFUND, "devolver.py")
        simulation = await sim.simulation(keeps_waiting=True)
        short = told(
            [order(0, 5, status="executed", if_ok="devolver")], until=NOON + timedelta(hours=5)
        )
        account = await simulation.run(short)
        (job,) = await read_jobs(house, account.scratch)
        assert job[:2] == ("devolver", "waiting")
        size = await house.writer.log_size(account.scratch)
        await runtime.pass_time(days=3)  # what waits there is due by the real clock, long since

        worker: Worker = await runtime.worker("real")
        async with runtime.working(worker):
            worker.wake([account.scratch, "casa"])
            done = await runtime.ended(await runtime.ask("soma", 1))
            worker.wake([account.scratch])
            again = await runtime.ended(await runtime.ask("soma", 2))
        assert (done.output, again.output) == (2, 3)
        assert await read_jobs(house, account.scratch) == [job]
        assert await house.writer.log_size(account.scratch) == size

        followed: list[str] = []

        async def follow(tenant: str, bell: Bell) -> None:
            followed.append(tenant)

        watch = asyncio.create_task(Watch(Log(house.writer.pool), follow).run())
        async with asyncio.timeout(10):
            while len(followed) < 2:
                await asyncio.sleep(0.01)
        watch.cancel()
        assert sorted(followed) == ["casa", "pensao"]
        scheduler = Scheduler(
            house.writer, pool=await house.pool("logline_appender"), clock=house.clock
        )
        await scheduler.look()
        assert account.scratch in await list_tenants(house.writer)
        assert account.scratch not in scheduler._plans


async def test_people_of_the_past_answer_the_same_question_again(house, tmp_path):
    async with open_runtime(house, tmp_path) as runtime:
        sim = Simulated(house, runtime.runners, tmp_path)
        await sim.publish(REFUND, "devolver.py")
        pool = await house.pool("logline_appender")
        consequences = Consequences(house.writer, pool=pool, laws=runtime.laws)
        await consequences.begin("casa")
        await house.writer.append([order(0, 5, status="executed", if_ok="devolver")], tenant="casa")
        await consequences.catch_up("casa")
        (asked,) = await sim.records("casa", entity_type="execution", seq=0)
        async with runtime.working():
            await runtime.waiting(asked)
            await runtime.pass_time(hours=3)
            await runtime.answer(asked, "deny", by="ana")
            await runtime.ended(asked)
        (real,) = await sim.records("casa", entity_type="refund")
        assert real.this == "no"

        size = await house.writer.log_size("casa")
        period = await sim.past()
        assert [one.draft.this for one in period.told] == ["pedido 0"]
        assert [(one.gesture, one.by) for one in period.answers] == [("deny", "ana")]
        account = await (await sim.simulation()).run(period)
        (decided,) = await sim.records(account.scratch, entity_type="refund")
        assert (decided.this, decided.at) == ("no", NOON + timedelta(hours=3))
        assert (account.told, account.answered, account.left_out) == (1, 1, 0)
        assert await house.writer.log_size("casa") == size

        never = read_change(REFUND.replace("Reembolsar", "Devolver"), filename="devolver.py")
        compared = await (await sim.simulation(answer="yes")).compare(period, [never])
        assert made(compared.as_is, "refund") == ["no"]
        assert made(compared.changed, "refund") == ["yes"]
        assert compared.changed.left_out == 1


async def test_what_stood_before_is_there_and_fires_nothing_but_goes_on(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        early = NOON - timedelta(days=2)
        (open_one, ghost) = await house.writer.append(
            [
                order(0, 5, at=early, status="pending", if_ok="emitir_fatura"),
                order(1, 5, at=early, confirmed_by=None, if_ok="emitir_fatura"),
            ],
            tenant="casa",
        )
        await make_gesture(house.writer, "confirm", open_one.id, tenant="casa", by="ana")
        await house.writer.append([Draft(id=ghost.id, seq=1, **annotated(ghost))], tenant="casa")
        period = await sim.past()
        assert {one.this for one in period.standing} == {"pedido 0", "pedido 1"}
        assert [one.draft.status for one in period.told if one.draft.this == "pedido 0"] == [
            "confirmed"
        ]
        account = await (await sim.simulation()).run(period)
        lives = await sim.records(account.scratch, id=open_one.id)
        assert [(one.seq, one.status) for one in lives] == [(0, "pending"), (1, "confirmed")]
        assert lives[0].recorded_at == early
        runs = await sim.records(account.scratch, entity_type="execution", seq=0)
        led = {one.cause_id for one in runs if one.name == "emitir_fatura"}
        assert led == {open_one.id, ghost.id}
        (fantasma,) = await sim.records(account.scratch, id=ghost.id, seq=0)
        assert (fantasma.status, fantasma.ghost_reason) == ("ghost", ghost.ghost_reason)


def annotated(ghost: Record) -> dict[str, Any]:
    kept = {name: getattr(ghost, name) for name in ("entity_type", "who", "did", "this", "if_ok")}
    more = {name: getattr(ghost, name) for name in ("if_doubt", "if_not", "details", "at")}
    return {
        **kept, **more, "confirmed_by": "ana", "status": "valid",
        "metadata": {"gesture": "complete", "by": "ana"},
    }  # fmt: skip


async def test_a_consequence_that_the_house_has_a_function_for_is_made_again_not_told(
    house, tmp_path
):
    async with simulated(house, tmp_path) as sim:
        simulation = await sim.simulation()
        first = order(0, 5, status="executed", if_ok="emitir_fatura")
        first = msgspec.structs.replace(first, id=some_id(1))
        follows = order(
            1, 5, did="emitir_fatura", status="executed", branch="ok", cause_id=first.id
        )
        by_hand = order(2, 5, did="telefonar", status="executed", branch="ok", cause_id=first.id)
        period = period_of(
            [first, follows, by_hand], tenant="casa", source="test", named=simulation.law.has
        )
        assert [one.draft.did for one in period.told] == ["pedir", "telefonar"]
        account = await simulation.run(period)
        assert account.left_out == 1
        assert account.ends["emitir_fatura"] == {"complete": 1}


async def test_personal_fields_stay_encrypted_under_the_key_that_forgetting_destroys(
    house, tmp_path
):
    async with simulated(house, tmp_path) as sim:
        plain = order(0, 5, details={"telefone": "+351 912 345 678 901"})
        sealed = await seal_personal(
            house.writer, plain, tenant="casa", subject="hospede.204", fields=["details.telefone"]
        )
        (kept,) = await house.writer.append([sealed], tenant="casa")
        account = await (await sim.simulation()).run(await sim.past())
        (again,) = await sim.records(account.scratch, entity_type="order")
        assert again.details == kept.details
        assert again.details["telefone"].startswith("pessoal:1:")
        (read,) = await reveal(house.writer, [again], tenant=account.scratch)
        assert read.details == {"telefone": None}


def some_id(number: int) -> UUID:
    return UUID(int=2**120 + number)


async def test_a_loop_that_takes_no_time_ends_the_simulation_with_a_record(
    house, tmp_path, monkeypatch
):
    monkeypatch.setattr(stage, "RUNS_MAX", 20)
    loop = '"""Goes on."""\nimport ctx\nFUNCTION = {"effects": ["run"]}\n\n\ndef main(input):\n    ctx.continue_as_new(input)\n'
    async with simulated(house, tmp_path) as sim:
        await sim.publish(loop, "continuar.py")
        simulation = await sim.simulation()
        drafts = [order(0, 5, status="executed", if_ok="continuar"), order(9, 5)]
        account = await simulation.run(told(drafts))
        assert account.cut == "2026-03-02T12:00:00.000000Z"
        assert account.told == 1
        (violation,) = await sim.records(account.scratch, entity_type="policy_violation")
        assert (violation.this, violation.who) == ("simulation.loop", "simulation")
        assert await read_jobs(house, account.scratch) == []


async def test_code_that_the_house_would_refuse_is_not_taken_along_and_nothing_is_told(
    house, tmp_path
):
    async with simulated(house, tmp_path) as sim:
        await sim.publish(ALARM.replace("LIMIT", "50"), "alarme.py")
        (row,) = await sim.records("casa", entity_type="policy", name="alarme")
        forged = Draft(
            id=row.id, seq=1, entity_type="policy", who="ana", did="push", this="alarme",
            name="alarme", status="active", code=row.code, code_hash="0" * 64,
            language="python", runtime="pure", entrypoint="on", effects=("emit",),
        )  # fmt: skip
        await house.writer.append([forged], tenant="casa")
        size = await house.writer.log_size("casa")
        law = await read_law(house.writer, "casa")
        assert law.refused == ("alarme",)
        assert await house.writer.log_size("casa") == size
        account = await (await sim.simulation()).run(orders(60))
        assert made(account, "notification") == []


async def test_schedules_fire_at_their_times_in_the_simulated_days(house, tmp_path):
    async with simulated(house, tmp_path) as sim:
        await sim.publish('"""Closes."""\ndef main(input):\n    return "fim"\n', "fecho.py")
        await add_schedule(
            house.writer, "fecho", tenant="casa", by="ana", cron="0 23 * * *",
            timezone="Europe/Lisbon", function="fecho",
        )  # fmt: skip
        simulation = await sim.simulation()
        account = await simulation.run(told([order(0, 5)], until=NOON + timedelta(days=3)))
        assert account.ends == {"fecho": {"complete": 3}}
        times = await sim.records(account.scratch, entity_type="execution", seq=0)
        assert [one.recorded_at for one in times] == [
            NOON.replace(hour=23) + timedelta(days=day) for day in range(3)
        ]
        assert await sim.records("casa", entity_type="execution") == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ALARM, "policy"),
        (REFUND, "function"),
        ("export default function on(span) { return [] }", "policy"),
        ("globalThis.default = (span) => []", "policy"),
        ("function main(input) { return 1 }", "function"),
    ],
)
def test_a_file_says_whether_it_is_a_policy_or_a_function(text: str, kind: str):
    assert kind_of(text) == kind
