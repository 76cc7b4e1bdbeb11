"""Policies at work: what follows from them, exactly once, and what they cannot do."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from loglineos.base.errors import DatabaseUnavailable
from loglineos.ledger.record import Draft
from loglineos.runtime.policy import judging
from loglineos.runtime.publishing import set_pause
from tests.integration.conftest import NINE
from tests.integration.policy_house import PolicyHouse, open_policies

ECHO = 'return [{"emit_span": {"entity_type": "echo", "this": span["this"]}}]'
ONLY_NOTES = [{"entity_type": "note"}]


@pytest.fixture
async def casa(house):
    async with open_policies(house) as opened:
        await opened.pause_shipped()
        yield opened


async def note(casa: PolicyHouse, this: str = "noite tranquila", **fields):
    return await casa.house.add(entity_type="note", this=this, **fields)


async def test_a_policy_answers_each_new_record_once_with_a_record_in_its_own_name(casa):
    await note(casa, "antes")
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    span = await note(casa)
    await casa.agent.catch_up("casa")
    await casa.agent.catch_up("casa")
    (echo,) = await casa.records(entity_type="echo")
    assert (echo.who, echo.this, echo.cause_id) == ("policy:eco", "noite tranquila", span.id)
    assert (echo.metadata["depth"], echo.status, echo.valid) == (1, "valid", True)
    (cursor,) = await casa.records(entity_type="policy_cursor")
    assert cursor.metadata["position"] == span.position + 1
    assert cursor.position == echo.position + 1


async def test_a_policy_that_says_from_start_begins_at_the_first_record(casa):
    await note(casa, "antes")
    await casa.policy("eco", ECHO, shows=ONLY_NOTES, from_start=True)
    await casa.agent.catch_up("casa")
    assert [one.this for one in await casa.records(entity_type="echo")] == ["antes"]


async def test_a_crash_between_the_append_and_the_cursor_repeats_nothing(casa, monkeypatch):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await casa.agent.catch_up("casa")
    await note(casa)
    crashed = await casa.another_agent()

    async def gone(*_):
        raise DatabaseUnavailable(reason="cut", retry_after_s=1)

    monkeypatch.setattr(crashed.of("casa")._cursors, "move", gone)
    with pytest.raises(DatabaseUnavailable):
        await crashed.catch_up("casa")
    assert len(await casa.records(entity_type="echo")) == 1
    await casa.agent.catch_up("casa")
    await (await casa.another_agent()).catch_up("casa")
    assert len(await casa.records(entity_type="echo")) == 1


async def test_agents_that_work_at_once_act_once_for_each_record(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    agents = [casa.agent, await casa.another_agent(), await casa.another_agent()]

    async def write():
        for number in range(60):
            await note(casa, f"nota {number}")

    async def follow(agent):
        while len(await casa.records(entity_type="echo")) < 60:
            await agent.catch_up("casa")

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(write())
        for agent in agents:
            group.create_task(follow(agent))
    echoes = await casa.records(entity_type="echo")
    assert sorted(one.this for one in echoes) == sorted(f"nota {n}" for n in range(60))
    cursors = await casa.records(entity_type="policy_cursor")
    assert [one.seq for one in cursors] == list(range(len(cursors)))
    assert sum(one.metadata["actions"] for one in cursors) == 60


async def test_a_policy_that_raises_is_quarantined_at_its_record_and_stops_no_other(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await casa.policy(
        "frágil",
        'if span["this"] == "má":\n    raise ValueError("não sei")\n' + ECHO,
        shows=ONLY_NOTES,
    )
    for this in ("boa", "má", "outra"):
        await note(casa, this)
    bad = (await casa.records(entity_type="note", this="má"))[0]
    await casa.agent.catch_up("casa")
    assert [o.this for o in await casa.records(entity_type="echo", who="policy:eco")] == [
        "boa",
        "má",
        "outra",
    ]
    assert [o.this for o in await casa.records(entity_type="echo", who="policy:frágil")] == ["boa"]
    head = await casa.latest("frágil")
    assert (head.did, head.status) == ("quarantine", "active")
    assert head.metadata["quarantined"]["position"] == bad.position
    assert "não sei" in head.metadata["quarantined"]["reason"]
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.cause_id, violation.who) == (
        "policy.failed",
        bad.id,
        "policy:frágil",
    )
    assert "não sei" in violation.metadata["said"]["pt"]


async def test_a_mended_policy_goes_on_where_it_failed(casa):
    await casa.policy("frágil", 'raise ValueError("x")', shows=ONLY_NOTES)
    for this in ("um", "dois"):
        await note(casa, this)
    await casa.agent.catch_up("casa")
    assert await casa.records(entity_type="echo") == []
    await casa.policy("frágil", ECHO, shows=ONLY_NOTES)
    await casa.agent.catch_up("casa")
    assert [one.this for one in await casa.records(entity_type="echo")] == ["um", "dois"]


@pytest.mark.parametrize(
    ("body", "type"),
    [
        ("while True:\n    pass", None),
        ("return [{'notify': 'x'}] * 101", "TooManyActions"),
        ("return [{'notify': 'x'}] * 10**9", None),
        ("return 7", "TypeError"),
        ("return undefined_name(span)", "NameError"),
    ],
)
async def test_a_hostile_policy_is_put_away_and_the_others_go_on(casa, body, type):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await casa.policy(
        "má", f'if span["this"] == "isco":\n{indent(body)}\nreturn []', shows=ONLY_NOTES
    )
    for this in ("a", "isco", "b"):
        await note(casa, this)
    await casa.agent.catch_up("casa")
    assert [o.this for o in await casa.records(entity_type="echo")] == ["a", "isco", "b"]
    told = (await casa.latest("má")).metadata["quarantined"]
    bait = (await casa.records(entity_type="note", this="isco"))[0]
    assert told["position"] == bait.position
    assert type is None or told["error"]["type"] == type


def indent(body: str) -> str:
    return "\n".join(f"    {line}" for line in body.splitlines())


@pytest.mark.parametrize(
    ("span", "law"),
    [
        ({"who": "ana"}, "who.forged"),
        ({"tenant_id": "pensao"}, "tenant.forged"),
        ({"signature": "00" * 64}, "column.forged"),
        ({"id": "019c0000-0000-7000-8000-000000000001", "seq": 3}, "column.forged"),
        ({"entity_type": "function"}, "type.of_the_law"),
        ({"status": "confirmed"}, "status.of_people"),
        ({"at": "um dia destes"}, "column.malformed"),
        ({"tags": ["x"] * 300}, "policy.refused"),
        ({"when": "2199-01-01T00:00:00Z"}, "policy.refused"),
    ],
)
async def test_what_a_policy_may_not_say_is_a_violation_and_the_rest_counts(casa, span, law):
    forged = {"entity_type": "echo", "this": "forjado", **span}
    good = {"entity_type": "echo", "this": "bom"}
    body = f'if span["this"] == "isco":\n    return [{{"emit_span": {forged!r}}}]\nreturn [{{"emit_span": {good!r}}}]'
    await casa.policy("forja", body, shows=ONLY_NOTES)
    for this in ("a", "isco", "b"):
        await note(casa, this)
    await casa.agent.catch_up("casa")
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.who) == (law, "policy:forja")
    assert violation.metadata["said"]["en"]
    assert [one.this for one in await casa.records(entity_type="echo")] == ["bom", "bom"]
    assert await casa.records(tenant="pensao", entity_type="echo") == []
    assert (await casa.latest("forja")).did == "push"


async def test_an_effect_that_a_policy_does_not_declare_is_denied_in_a_record(casa):
    await casa.policy(
        "muda",
        'return [{"run": "registar_nota"}, {"notify": "olá"}]',
        shows=ONLY_NOTES,
        effects=["emit"],
    )
    await note(casa)
    await casa.agent.catch_up("casa")
    (violation,) = await casa.records(entity_type="policy_violation")
    assert violation.this == "effect.not_granted"
    (told,) = await casa.records(entity_type="notification")
    assert (told.this, told.who) == ("olá", "policy:muda")
    assert await casa.records(entity_type="execution") == []


async def test_policies_that_answer_each_other_are_cut_with_a_record_that_says_so(casa):
    await casa.policy(
        "ping",
        'return [{"emit_span": {"entity_type": "pong", "this": "x"}}]',
        shows=[{"entity_type": "ping"}],
    )
    await casa.policy(
        "pong",
        'return [{"emit_span": {"entity_type": "ping", "this": "x"}}]',
        shows=[{"entity_type": "pong"}],
    )
    await casa.house.add(entity_type="ping", this="x")
    await casa.agent.catch_up("casa")
    chain = await casa.records(this="x")
    assert [one.metadata["depth"] for one in chain[1:]] == list(range(1, 17))
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.cause_id) == ("loop.depth", chain[-1].id)


async def test_a_policy_runs_functions_by_name_alias_and_in_the_bluebooks_spelling(casa):
    function = await casa.push("def main(input):\n    return 1\n", "somar.py", kind="function")
    body = f'return [{{"run": "Somar", "input": 3}}, {{"run": "run_code", "span_id": "{function.id}"}}, {{"enqueue": "somar", "queue": "noite", "delay_s": 60, "priority": 2, "key": span["this"]}}, {{"run": "não há"}}]'
    await casa.policy("corre", body, shows=ONLY_NOTES)
    span = await note(casa, "a")
    await note(casa, "a")
    await casa.agent.catch_up("casa")
    first, second, third, *again = await casa.records(entity_type="execution")
    assert {one.parent_id for one in (first, second, third)} == {function.id}
    assert (first.who, first.cause_id, first.input, first.metadata["depth"]) == (
        "policy:corre",
        span.id,
        3,
        1,
    )
    assert second.input == {"span": str(span.id), "seq": 0}
    assert (third.queue, third.priority, third.idempotency_key) == ("noite", 2, "a")
    assert third.run_at - third.at == timedelta(seconds=60)
    assert len(again) == 2, "the request with a key is made once"
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.metadata["times"]) == ("function.unknown", 2)


async def test_what_follows_from_a_private_record_stays_private(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await note(casa, visibility="private", owner_id="joao")
    await casa.agent.catch_up("casa")
    (echo,) = await casa.records(entity_type="echo")
    assert (echo.visibility, echo.owner_id) == ("private", "joao")


async def test_a_policy_sees_its_own_tenant_only(house):
    async with open_policies(house, tenants=("casa", "pensao")) as opened:
        await opened.policy("eco", ECHO, shows=ONLY_NOTES)
        await note(opened, "de casa")
        await opened.house.add(tenant="pensao", entity_type="note", this="de fora")
        await opened.agent.catch_up("casa")
        await opened.agent.catch_up("pensao")
        assert [one.this for one in await opened.records(entity_type="echo")] == ["de casa"]
        assert await opened.records(tenant="pensao", entity_type="echo") == []


async def test_a_paused_policy_is_not_asked_and_catches_up_when_it_is_resumed(casa):
    record = await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await set_pause(casa.writer, "casa", record.id, who="ana", is_paused=True, reason="férias")
    await note(casa, "na pausa")
    await casa.agent.catch_up("casa")
    assert await casa.records(entity_type="echo") == []
    await set_pause(casa.writer, "casa", record.id, who="ana", is_paused=False, reason=None)
    await note(casa, "depois")
    await casa.agent.catch_up("casa")
    assert [one.this for one in await casa.records(entity_type="echo")] == ["na pausa", "depois"]


async def test_a_new_version_judges_what_comes_after_its_own_record(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await casa.agent.catch_up("casa")
    await note(casa, "um")
    await casa.policy(
        "eco", ECHO.replace('"this": span["this"]', '"this": "novo"'), shows=ONLY_NOTES
    )
    await note(casa, "dois")
    await casa.agent.catch_up("casa")
    assert [one.this for one in await casa.records(entity_type="echo")] == ["um", "novo"]


async def test_a_slow_policy_goes_on_behind_the_others(casa):
    casa.agent.of("casa")._patience_s = 0.02
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    spin = "n = 0\nfor i in range(400000):\n    n = n + i\n"
    await casa.policy("lenta", spin + ECHO, shows=ONLY_NOTES)
    for number in range(6):
        await note(casa, str(number))
    await casa.agent.catch_up("casa")
    for who in ("policy:eco", "policy:lenta"):
        assert [o.this for o in await casa.records(entity_type="echo", who=who)] == list("012345")


async def test_more_actions_than_a_batch_may_have_wait_for_the_next_turn(casa, monkeypatch):
    monkeypatch.setattr(judging, "BATCH_ACTIONS_MAX", 5)
    await casa.policy("eco", ECHO + " * 2", shows=ONLY_NOTES)
    for number in range(7):
        await note(casa, str(number))
    await casa.agent.catch_up("casa")
    assert len(await casa.records(entity_type="echo")) == 14
    assert len(await casa.records(entity_type="policy_cursor")) == 4


async def test_the_lag_of_each_policy_is_told(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    await casa.agent.catch_up("casa")
    await note(casa)
    behind = {lag.name: lag.behind for lag in await casa.agent.of("casa")._log.lags("casa")}
    assert behind["policies"] == 1
    await casa.agent.catch_up("casa")
    assert all(lag.behind == 0 for lag in casa.agent.lags)


async def test_an_agent_that_runs_is_woken_by_what_is_appended(casa):
    await casa.policy("eco", ECHO, shows=ONLY_NOTES)
    running = asyncio.create_task(casa.agent.run())
    try:
        await note(casa)
        async with asyncio.timeout(20):
            while not await casa.records(entity_type="echo"):
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    (echo,) = await casa.records(entity_type="echo")
    assert echo.this == "noite tranquila"


async def test_a_policy_that_is_refused_each_minute_says_so_once(casa):
    await casa.policy(
        "muda",
        'return [{"run": "registar_nota"}]',
        effects=[],
        shows=[{"entity_type": "x"}],
        needs=ONLY_NOTES,
        on_tick=True,
    )
    span = await note(casa)
    await casa.agent.catch_up("casa")
    for _ in range(3):
        casa.clock.advance(timedelta(minutes=1))
        await casa.agent.tick("casa")
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.cause_id) == ("effect.not_granted", span.id)


async def test_two_agents_ask_about_a_minute_once(casa):
    await casa.policy(
        "conta",
        'return [{"emit_span": {"entity_type": "echo", "this": "x"}, "key": "x"}]',
        shows=[{"entity_type": "x"}],
        needs=ONLY_NOTES,
        on_tick=True,
    )
    await note(casa)
    agents = [casa.agent, await casa.another_agent()]
    for agent in agents:
        await agent.catch_up("casa")
    await asyncio.gather(*(agent.tick("casa") for agent in agents))
    await asyncio.gather(*(agent.tick("casa") for agent in agents))
    assert len(await casa.records(entity_type="echo")) == 1


async def test_thousands_of_records_are_read_ahead_and_each_is_judged_once(casa):
    await casa.policy(
        "conta",
        'return [{"emit_span": {"entity_type": "metric", "this": "n", "metadata": {"add": {"n": 1}}}, "key": "n"}]',
        shows=ONLY_NOTES,
    )
    await casa.agent.catch_up("casa")
    drafts = [Draft(**{**NINE, "entity_type": "note", "this": str(n)}) for n in range(1600)]
    await casa.append(*drafts)
    await casa.agent.catch_up("casa")
    counts = await casa.records(entity_type="metric")
    assert counts[-1].metadata["value"] == {"n": 1600}
    assert len(counts) == 4
