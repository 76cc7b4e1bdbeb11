"""Consequences: what a record promised happens, once, and people teach what they meant."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from loglineos.base.errors import DatabaseUnavailable
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.record import Draft
from loglineos.ledger.status import STATUSES
from loglineos.runtime.consequence.branches import BRANCH_OF
from loglineos.runtime.rows import Rows
from loglineos.services.scenario.house import read_house
from tests.integration.conftest import NOON
from tests.integration.policy_house import PolicyHouse, open_policies

NOTHING = {"if_ok": "nada", "if_doubt": "nada", "if_not": "nada"}


@pytest.fixture
async def casa(house):
    async with open_policies(house) as opened:
        opened.effects = await opened.consequences()
        await opened.effects.begin("casa")
        yield opened


async def gesture(casa: PolicyHouse, name: str, record, **more):
    return await make_gesture(casa.writer, name, record.id, tenant="casa", by="ana", **more)


async def runs(casa: PolicyHouse) -> list:
    await casa.effects.catch_up("casa")
    return await casa.records(entity_type="execution")


def test_the_branch_of_each_decided_status_is_told():
    decided = {name for name, status in STATUSES.items() if status.phase == "decided"}
    assert decided - BRANCH_OF.keys() == {"indexed", "slow", "revoked", "archived"}
    assert BRANCH_OF.keys() - decided == {"valid", "under_review"}


async def test_each_branch_runs_its_promise_once(casa):
    record = await casa.house.add(
        if_ok="enviar recibo",
        if_doubt="ligar ao cliente",
        if_not="abrir incidente",
        status="pending",
    )
    assert await runs(casa) == []
    await gesture(casa, "confirm", record)
    await gesture(casa, "question", record)
    await gesture(casa, "confirm", record)
    await gesture(casa, "question", record)
    await gesture(casa, "deny", record)
    found = await runs(casa)
    assert [(one.name, one.branch) for one in found] == [
        ("enviar_recibo", "ok"), ("contactar_cliente", "doubt"), ("abrir_incidente", "not")
    ]  # fmt: skip
    assert {one.cause_id for one in found} == {record.id}
    assert (found[0].input["record"], found[0].input["span"]["this"]) == (
        str(record.id),
        record.this,
    )
    assert (found[0].status, found[0].queue, found[0].metadata["depth"]) == (
        "scheduled",
        "default",
        1,
    )
    again = await casa.consequences()
    await again.catch_up("casa")
    assert len(await runs(casa)) == 3


async def test_a_valid_act_runs_its_if_ok(casa):
    await casa.house.add()
    assert [one.name for one in await runs(casa)] == ["enviar_recibo"]


@pytest.mark.parametrize(
    "text", ["Enviar Recibo", "enviar_recibo", "SEND THE RECEIPT", "enviar  o  recibo"]
)
async def test_case_accents_and_language_do_not_matter(casa, text):
    await casa.house.add(if_ok=text)
    assert [one.name for one in await runs(casa)] == ["enviar_recibo"]


async def test_nothing_promised_is_nothing_done_but_an_ignored_denial_is_told(casa):
    record = await casa.house.add(**NOTHING)
    await gesture(casa, "deny", record)
    assert await runs(casa) == []
    (ignored,) = await casa.records(did="ignorar_consequencia")
    assert (ignored.cause_id, ignored.branch, ignored.valid) == (record.id, "not", True)


async def test_a_failure_runs_its_if_not_and_autocorrect(casa):
    await casa.house.add(status="failed")
    assert [(one.name, one.branch) for one in await runs(casa)] == [
        ("abrir_incidente", "not"),
        ("autocorrect", "not"),
    ]


async def test_unresolved_words_ask_a_person_and_the_answer_is_remembered(casa):
    first = await casa.house.add(if_ok="mandar flores")
    second = await casa.house.add(if_ok="Mandar  flores")
    assert await runs(casa) == []
    intent, other = await casa.records(entity_type="intent")
    assert (intent.status, intent.metadata["text"], intent.metadata["branch"]) == (
        "pending",
        "mandar flores",
        "ok",
    )
    assert (intent.cause_id, intent.valid) == (first.id, True)
    await gesture(casa, "confirm", intent, note="enviar_mensagem")
    found = await runs(casa)
    assert [(one.name, one.cause_id) for one in found] == [
        ("enviar_mensagem", first.id),
        ("enviar_mensagem", second.id),
    ]
    for one in (intent, other):
        head = await casa.writer.latest("casa", one.id)
        assert (head.status, head.did) == ("executed", "resolve")
    (learned,) = await casa.records(entity_type="alias")
    assert learned.name == "mandar flores"
    third = await casa.house.add(if_ok="MANDAR FLORES")
    assert [one.cause_id for one in await runs(casa)][-1] == third.id
    assert len({one.id for one in await casa.records(entity_type="intent")}) == 2


async def test_a_choice_may_be_told_in_details_and_a_wrong_one_asks_again(casa):
    await casa.house.add(if_ok="mandar flores")
    await casa.effects.catch_up("casa")
    (intent,) = await casa.records(entity_type="intent")
    await gesture(casa, "confirm", intent, note="coisa nenhuma")
    assert await runs(casa) == []
    head = await casa.writer.latest("casa", intent.id)
    assert (head.seq, head.status, head.metadata["text"]) == (3, "pending", "mandar flores")
    chosen = Draft(
        id=intent.id, seq=4, entity_type="intent", who="ana", did="confirm", this=head.this,
        name=head.name, type="intent", status="confirmed", confirmed_by="ana", if_ok=head.if_ok,
        if_doubt="nada", if_not="nada", details={"function": "avisar gerente"}, parent_id=head.parent_id,
        at=casa.clock.now(), metadata={"gesture": "confirm", "by": "ana"},
    )  # fmt: skip
    await casa.append(chosen)
    assert [one.name for one in await runs(casa)] == ["avisar_gerente"]


async def test_a_function_published_later_answers_what_was_asked(casa):
    record = await casa.house.add(if_ok="mandar flores")
    assert await runs(casa) == []
    await casa.push(
        'FUNCTION = {"aliases": ["mandar flores"]}\ndef main(input):\n    return 1\n',
        "flores.py",
        kind="function",
    )
    (run,) = await runs(casa)
    assert (run.name, run.cause_id) == ("flores", record.id)


async def test_a_persons_ghost_is_asked_about_once_and_the_question_closes(casa):
    ghost = await casa.house.add(confirmed_by=None, if_not=None, type="human")
    await casa.house.add(confirmed_by=None, type="system")
    await casa.house.add(confirmed_by=None, type="human", source_file="velho.csv")
    await gesture(casa, "complete", ghost, fields={"if_not": "abrir incidente"})
    assert await runs(casa) == []
    (question,) = await casa.records(who="witness")
    assert (question.did, question.cause_id, question.shared_with) == (
        "pedir_complemento",
        ghost.id,
        ("joao",),
    )
    assert question.metadata["missing"] == ["confirmed_by", "if_not"]
    await gesture(casa, "complete", ghost, fields={"confirmed_by": "rui"})
    assert [one.name for one in await runs(casa)] == ["enviar_recibo"]
    closed = await casa.writer.latest("casa", question.id)
    assert (closed.status, closed.did) == ("complete", "fechar_pergunta")


async def test_what_was_there_before_and_what_tells_of_before_fires_nothing(house):
    async with open_policies(house) as opened:
        await house.add(this="antes")
        house.clock.advance(timedelta(minutes=5))
        effects = await opened.consequences()
        await effects.begin("casa")
        await house.add(this="importado", at=NOON - timedelta(days=20))
        await house.add(this="agora", at=house.clock.now())
        await effects.catch_up("casa")
        found = await opened.records(entity_type="execution")
        assert [one.input["span"]["this"] for one in found] == ["agora"]
        everything = await (await opened.consequences(start="beginning")).catch_up("casa")
        assert everything == (await opened.records())[-1].position + 1


async def test_from_the_beginning_all_fires_when_asked(house):
    async with open_policies(house) as opened:
        await house.add(this="antes")
        await (await opened.consequences(start="beginning")).catch_up("casa")
        assert [one.name for one in await opened.records(entity_type="execution")] == [
            "enviar_recibo"
        ]


async def test_a_simulated_record_fires_only_simulated_runs(casa):
    await casa.house.add(simulated=True)
    (run,) = await runs(casa)
    assert run.simulated is True


async def test_a_loop_of_consequences_ends_with_a_record_that_says_so(casa):
    record = await casa.house.add(metadata={"depth": 16})
    assert await runs(casa) == []
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.cause_id, violation.metadata["limit"]) == (
        "loop.depth",
        record.id,
        16,
    )


async def test_a_crash_between_append_and_cursor_repeats_nothing(casa, monkeypatch):
    await casa.house.add()

    async def gone(*_):
        raise DatabaseUnavailable(reason="cut", retry_after_s=1)

    crashed = await casa.consequences()
    monkeypatch.setattr(crashed.of("casa").follower._cursors, "move", gone)
    with pytest.raises(DatabaseUnavailable):
        await crashed.catch_up("casa")
    assert len(await runs(casa)) == 1


async def test_followers_that_work_at_once_fire_each_promise_once(casa):
    several = [casa.effects, await casa.consequences(), await casa.consequences()]

    async def write():
        for number in range(40):
            await casa.house.add(this=f"pedido {number}")

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        writing = group.create_task(write())

        async def follow(one):
            while not writing.done():
                await one.catch_up("casa")

        for one in several:
            group.create_task(follow(one))
    found = await runs(casa)
    assert sorted(one.input["span"]["this"] for one in found) == sorted(
        f"pedido {n}" for n in range(40)
    )


async def test_a_function_that_is_no_longer_lawful_is_told_and_does_not_run(casa, monkeypatch):
    from loglineos.base.errors import Refused  # noqa: PLC0415

    async def refuse(*_):
        raise Refused(reason="a chave foi revogada")

    monkeypatch.setattr(casa.laws, "resolve", refuse)
    record = await casa.house.add()
    assert await runs(casa) == []
    (violation,) = await casa.records(entity_type="policy_violation")
    assert (violation.this, violation.cause_id) == ("consequence.refused", record.id)


async def test_every_promise_of_the_example_house_and_of_the_origin_resolves(casa):
    house = read_house()
    texts = {t for act in house.acts.values() for t in (act.ok, act.doubt, act.not_)}
    unknown = [text for text in sorted(texts) if await casa.laws.resolve("casa", text) is None]
    assert unknown == []
    origin = (Rows().folder / "examples" / "origin_loglines.json").read_bytes()
    lines = msgspec.json.decode(origin)
    told = {
        line[name]
        for line in walk(lines)
        for name in ("if_ok", "if_doubt", "if_not")
        if line.get(name)
    }
    assert told
    assert [text for text in sorted(told) if await casa.laws.resolve("casa", text) is None] == []


def walk(value):
    if isinstance(value, list):
        for one in value:
            yield from walk(one)
    elif isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
