"""Durable runs that wait, ask, gather, undo and go on as new, killed at every kind of step.

Beside `test_executions_killed.py`, whose runs call a server: here a person answers, facts come,
children fail, a failed run undoes what it did, another begins itself anew, and two workers are given
the same run on purpose. Afterwards every output is the one of a run that nobody disturbed, each line
and each child is there once, and every run replays to its hash.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from loglineos.base.errors import Conflict
from loglineos.ledger.gestures import make_gesture
from loglineos.runtime.execution.replay import replay
from loglineos.runtime.execution.requests import draft_request
from loglineos.runtime.execution.sources import LedgerSource
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.header import read_source
from loglineos.runtime.laws import Laws
from loglineos.runtime.publishing import push
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from tests.conftest import Database
from tests.crash.test_executions_killed import MODULE, victims_of
from tests.crash.test_queue_killed import Process
from tests.integration.conftest import House
from tests.integration.conftest import house as house  # noqa: PLC0414 - the fixture
from tests.integration.queue_house import rows_of

CHILD = """
import ctx
FUNCTION = {'effects': ['emit']}
def main(input):
    ctx.emit({'did': 'fazer', 'this': input['what'] + ' ' + str(input['n'])})
    if input.get('fails'):
        ctx.fail('sem_stock', 'não há')
    return input['n'] * 10
"""
RICH = """
import asyncio, ctx, time
FUNCTION = {'effects': ['emit', 'run', 'enqueue', 'confirm', 'wait', 'ledger.read']}

async def nap(n, order):
    await asyncio.sleep(0.05 * n)
    order.append(n)
    return n

async def main(input):
    n = input['n']
    if input['turn'] < 2:
        ctx.emit({'did': 'virar', 'this': str(n) + '/' + str(input['turn'])})
        ctx.continue_as_new({'n': n, 'turn': input['turn'] + 1})
    order = []
    got = await asyncio.gather(nap(3, order), nap(1, order), nap(2, order))
    said = ctx.confirm('Segue o pedido ' + str(n) + '?', who='ana')
    fact = ctx.wait_for({'did': 'pagar', 'this': 'pedido ' + str(n)}, timeout_s=600)
    ctx.run('filho', {'n': n, 'what': 'reservar'})
    ctx.compensate('filho', {'n': n, 'what': 'desfazer'})
    ctx.run('filho', {'n': n, 'what': 'cobrar'})
    ctx.compensate('filho', {'n': n, 'what': 'devolver'})
    ctx.enqueue('filho', {'n': n, 'what': 'avisar'}, key='aviso ' + str(n))
    try:
        ctx.run('filho', {'n': n, 'what': 'tentar', 'fails': True})
    except RuntimeError:
        ctx.log('falhou')
    time.sleep(0.1)
    if n % 2:
        ctx.fail('a_meio', 'desiste', n=n)
    ids = [ctx.uuid(), ctx.uuid()]
    return {'got': got, 'n': len(set(ids)), 'said': said['answer'], 'who': fact['who']}
"""
DONE = ("reservar", "cobrar", "avisar", "tentar")
UNDONE = ("desfazer", "devolver")
LONG = """
import ctx, time
FUNCTION = {'effects': ['emit', 'confirm']}
def main(input):
    n = input['n']
    ids = [ctx.uuid() for one in range(220)]
    said = ctx.confirm('Segue o pedido ' + str(n) + '?', who='ana')
    for one in range(6):
        time.sleep(1.5)
        ids = ids + [ctx.uuid()]
    ctx.emit({'did': 'fazer', 'this': 'longo ' + str(n)})
    return {'first': ids[0], 'last': ids[-1], 'n': len(set(ids)), 'said': said['answer']}
"""


async def prepared(house: House, runners: Runners) -> Laws:
    await write_rows(house.writer, "casa")
    for name, text in (("filho", CHILD), ("rico", RICH)):
        await push(house.writer, "casa", read_source(text, filename=f"{name}.py"), who="ana")
    return Laws(house.writer, runners, root=house.keyring.public("root"))


async def answered(house: House) -> None:
    """Answer, as Ana, whatever is asked; pay what is waited for: it is paid once for each run."""
    asked = await rows_of(
        house,
        "SELECT id FROM ledger.entity WHERE tenant_id = 'casa' AND entity_type = 'question' "
        "AND status = 'pending'",
    )
    for (question,) in asked:
        try:
            await make_gesture(house.writer, "confirm", question, tenant="casa", by="ana")
        except Conflict:
            continue
    waiting = await rows_of(
        house,
        "SELECT r.metadata -> 'waiting_for' -> 0 -> 'pattern' ->> 'this' FROM ledger.job j "
        "JOIN ledger.universal_registry r ON r.tenant_id = j.tenant_id AND r.id = j.id "
        "AND r.seq = j.seq WHERE j.tenant_id = 'casa' AND j.status = 'waiting' "
        "AND r.metadata -> 'waiting_for' -> 0 ->> 'kind' = 'pattern'",
    )
    for (what,) in waiting:
        await house.add(did="pagar", this=what, who="rui")


async def stolen(house: House) -> None:
    """Let every lease run out at once: whoever works goes on, and another worker begins too."""
    admin = await house.connect("postgres")
    await admin.execute(
        "UPDATE ledger.job SET lease_until = now() - interval '1 minute' "
        "WHERE tenant_id = 'casa' AND lease_until IS NOT NULL"
    )
    await admin.commit()


async def while_killed(
    house: House, database: Database, keys: Path, *, chance: random.Random, kills_s: float,
    left_s: float,
) -> Counter[str]:  # fmt: skip
    """Work until nothing is left, for `kills_s` under kills and thefts; return how often.

    `kept` counts the looks at which a snapshot of a long run was there.
    """
    done = Counter[str]()
    processes = [Process(database.dsn(), keys, module=MODULE) for _ in range(2)]
    for number, process in enumerate(processes):
        await process.start(f"w{number}.0")
    left = "SELECT count(*) FROM ledger.job WHERE tenant_id = 'casa'"
    kept = "SELECT count(*) FROM ledger.snapshot WHERE tenant_id = 'casa'"
    admin = await house.connect("postgres")
    await admin.set_autocommit(True)
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(kills_s * 2 + left_s):
            while (await rows_of(house, left))[0][0]:
                found = await (await admin.execute(kept)).fetchone()
                done["kept"] += bool(found and found[0])
                await answered(house)
                await asyncio.sleep(chance.uniform(0.05, 0.5))
                if asyncio.get_running_loop().time() - began > kills_s:
                    continue
                if chance.random() < 0.3:
                    await stolen(house)
                    done["stolen"] += 1
                    continue
                victim = chance.randrange(2)
                alive = victims_of(processes[victim])
                target = chance.choice(alive) if alive else processes[victim].child.pid
                if target == processes[victim].child.pid:
                    await processes[victim].kill()
                    await processes[victim].start(f"w{victim}.{done.total() + 1}")
                    done["worker"] += 1
                else:
                    try:
                        os.kill(target, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    done["sandbox"] += 1
    finally:
        ends = [await process.end() for process in processes]
    assert ends == [0, 0]
    return done


async def disturbed(
    house: House, database: Database, keys: Path, *, runs: int, seed: int, kills_s: float
) -> Counter[str]:
    """Run `runs` rich programs while workers are killed and leases stolen; return how often."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Runners(RunnerSettings(processes=1)) as runners:
        laws = await prepared(house, runners)
        function = await laws.function("casa", "rico")
        drafts = [
            draft_request(
                function=function.id, name="rico", who="ana", input={"n": n, "turn": 0},
                max_attempts=1,
            )
            for n in range(runs)
        ]  # fmt: skip
        await house.writer.append(drafts, tenant="casa")
        done = await while_killed(
            house, database, keys, chance=chance, kills_s=kills_s, left_s=60 + runs * 6
        )
        await check(house, runners, runs=runs)
    return done


async def check(house: House, runners: Runners, *, runs: int) -> None:
    source = LedgerSource(house.writer.pool, "casa")
    found = await rows_of(
        house,
        "SELECT r.id, r.status, r.output, r.error, first.input FROM ledger.entity e "
        "JOIN ledger.universal_registry r ON r.tenant_id = e.tenant_id AND r.id = e.id "
        "AND r.seq = e.seq JOIN ledger.universal_registry first ON first.tenant_id = e.tenant_id "
        "AND first.id = e.id AND first.seq = 0 "
        "WHERE e.tenant_id = 'casa' AND e.entity_type = 'execution' AND e.name = 'rico'",
    )
    turns = Counter((one[4]["n"], one[4]["turn"]) for one in found)
    assert turns == {(n, turn): 1 for n in range(runs) for turn in range(3)}
    for execution, status, output, error, told in found:
        if told["turn"] < 2:
            assert status == "complete", error
        elif told["n"] % 2:
            assert (status, error["code"]) == ("error", "a_meio")
        else:
            assert status == "complete", error
            assert output == {"got": [3, 1, 2], "n": 2, "said": "yes", "who": "rui"}
        verdict = await replay(runners, source, UUID(str(execution)))
        assert verdict.verdict == "equal", (told, verdict)
    lines = await rows_of(
        house,
        "SELECT this, count(*) FROM ledger.universal_registry WHERE tenant_id = 'casa' "
        "AND did IN ('fazer', 'virar') GROUP BY this",
    )
    expected = {f"{n}/{turn}" for n in range(runs) for turn in range(2)}
    expected |= {f"{what} {n}" for n in range(runs) for what in DONE}
    expected |= {f"{what} {n}" for n in range(1, runs, 2) for what in UNDONE}
    assert dict(lines) == dict.fromkeys(expected, 1), "each line once"
    questions = await rows_of(
        house,
        "SELECT count(*) FROM ledger.universal_registry WHERE tenant_id = 'casa' "
        "AND entity_type = 'question' AND seq = 0",
    )
    assert questions == [(runs,)]


async def test_runs_that_wait_end_as_if_nobody_had_been_killed(house, database, tmp_path):
    done = await disturbed(house, database, tmp_path / "keys", runs=6, seed=11, kills_s=12)
    assert done["worker"] + done["sandbox"] >= 3
    assert done["stolen"] >= 1


async def test_long_runs_go_on_from_their_snapshots_as_if_nobody_had_been_killed(
    house, database, tmp_path
):
    chance, runs = random.Random(17), 6
    async with Runners(RunnerSettings(processes=1)) as runners:
        await write_rows(house.writer, "casa")
        await push(house.writer, "casa", read_source(LONG, filename="longo.py"), who="ana")
        laws = Laws(house.writer, runners, root=house.keyring.public("root"))
        function = await laws.function("casa", "longo")
        drafts = [
            draft_request(
                function=function.id, name="longo", who="ana", input={"n": n}, max_attempts=1
            )
            for n in range(runs)
        ]
        records = await house.writer.append(drafts, tenant="casa")
        done = await while_killed(
            house, database, tmp_path / "keys", chance=chance, kills_s=12, left_s=60 + runs * 6
        )
        source = LedgerSource(house.writer.pool, "casa")
        for record in records:
            end = (await source.events(record.id))[-1]
            ids = [s.output["value"] for s in await source.steps(record.id) if s.did == "ctx.uuid"]
            assert (end.status, end.error) == ("complete", None)
            assert end.output == {"first": ids[0], "last": ids[-1], "n": 226, "said": "yes"}
            assert len(ids) == 226, "each step is there once"
            assert (await replay(runners, source, record.id)).verdict == "equal"
    lines = await rows_of(
        house,
        "SELECT this, count(*) FROM ledger.universal_registry "
        "WHERE tenant_id = 'casa' AND did = 'fazer' GROUP BY this",
    )
    assert dict(lines) == {f"longo {n}": 1 for n in range(runs)}, "each line once"
    assert done["worker"] + done["sandbox"] >= 3
    assert done["kept"] >= 1


@pytest.mark.nightly
async def test_many_runs_that_wait_end_as_if_nobody_had_been_killed(house, database, tmp_path):
    seed = int(os.environ.get("LOGLINE_CRASH_SEED", "1"))
    await disturbed(house, database, tmp_path / "keys", runs=60, seed=seed, kills_s=120)
