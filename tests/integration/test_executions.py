"""Executions: runs of real code in the real sandbox, journaled, resting, resumed and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from loglineos.ledger.seal import check_seal
from loglineos.runtime.ids import step_id
from tests.integration.runtime_house import RuntimeHouse, open_runtime


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def test_a_pure_run_costs_two_records_and_replays_to_the_same_hash(runtime: RuntimeHouse):
    await runtime.push("def main(input):\n    return {'total': input['a'] + input['b']}\n")
    end = await runtime.run("f", {"a": 2, "b": 40})
    assert (end.status, end.output, end.seq) == ("complete", {"total": 42}, 1)
    assert (end.worker, end.attempt) == ("w1", 1)
    assert check_seal(end)
    verdict = await runtime.replay(end)
    assert (verdict.verdict, verdict.found) == ("equal", end.output_hash)


async def test_each_effect_is_a_step_and_what_it_appends_comes_with_it(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['emit', 'ledger.read']}\n"
        "def main(input):\n"
        "    one = ctx.emit({'did': 'emitir_fatura', 'this': input['pedido'], 'confirmed_by': 'ana',\n"
        "                    'if_ok': 'enviar recibo', 'if_doubt': 'ver', 'if_not': 'anular'})\n"
        "    seen = ctx.ledger.get(one['id'])\n"
        "    ctx.log('faturado', pedido=input['pedido'])\n"
        "    return {'who': seen['who'], 'status': seen['status'], 'id': one['id']}\n"
    )
    end = await runtime.run("f", {"pedido": "312"})
    assert end.status == "complete", end.error
    assert (end.output["who"], end.output["status"]) == ("function:f", "valid")
    (invoice,) = await runtime.emitted(end)
    assert (str(invoice.id), invoice.owner_id, invoice.trace_id) == (
        end.output["id"], "ana", end.trace_id,
    )  # fmt: skip
    steps = await runtime.steps(end.id)
    assert steps[0].id == invoice.id, "what is emitted is its own step"
    assert [step.did for step in steps[1:]] == ["ctx.ledger.get", "ctx.log"]
    assert [step.status for step in steps[1:]] == ["complete"] * 2
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_waits_for_a_person_for_days_and_goes_on_with_the_answer(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx, time\n"
        "FUNCTION = {'effects': ['confirm', 'emit']}\n"
        "def main(input):\n"
        "    time.sleep(3 * 86400)\n"
        "    said = ctx.confirm('Reembolsar 30 EUR?', who='ana')\n"
        "    return said['answer'] + ' de ' + said['who']\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        slept = await runtime.waiting(asked)
        assert slept.run_at == runtime.clock.now().replace(day=5)
        await runtime.pass_time(days=3, seconds=1)
        head = await runtime.reached(
            asked,
            lambda one: (one.metadata or {}).get("waiting_for", [{}])[0].get("kind") == "question",
        )
        question = (await runtime.emitted(head))[0]
        assert (question.entity_type, question.status, question.valid) == (
            "question",
            "pending",
            True,
        )
        await runtime.answer(asked, "confirm", by="joao")  # it was not João who was asked
        again = await runtime.reached(asked, lambda one: one.seq > head.seq)
        assert again.status == "waiting"
        await runtime.answer(asked, "confirm", by="ana")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "yes de ana")
    assert (await runtime.replay(end)).verdict == "equal"


async def test_without_an_answer_in_time_the_run_goes_on_and_the_question_is_closed(
    runtime: RuntimeHouse,
):
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['confirm']}\n"
        "def main(input):\n"
        "    return ctx.confirm('Ainda vem?', timeout_s=3600, if_timeout='doubt')['answer']\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        await runtime.waiting(asked)
        await runtime.pass_time(hours=1, seconds=1)
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "doubt")
    (question,) = [one for one in await runtime.emitted(end) if one.seq == 1]
    assert question.status == "archived"
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_waits_for_a_record_that_fits_and_only_for_that(runtime: RuntimeHouse):
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['wait']}\n"
        "def main(input):\n"
        "    found = ctx.wait_for({'did': 'pagar', 'this': input['pedido']}, timeout_s=86400)\n"
        "    return found and found['who']\n"
    )
    await runtime.house.add(did="pagar", this="pedido 7", who="antes")
    async with runtime.working():
        asked = await runtime.ask("f", {"pedido": "pedido 7"})
        await runtime.waiting(asked)
        await runtime.house.add(did="pagar", this="pedido 8", who="outro")
        await runtime.house.add(did="pagar", this="pedido 7", who="rui")
        end = await runtime.ended(asked)
        late = await runtime.ask("f", {"pedido": "pedido 9"})
        await runtime.waiting(late)
        await runtime.pass_time(days=1, seconds=1)
        missed = await runtime.ended(late)
    assert (end.status, end.output) == ("complete", "rui")
    assert (missed.status, missed.output) == ("complete", None)
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_child_runs_and_its_outcome_is_the_parents(runtime: RuntimeHouse):
    await runtime.push("def main(input):\n    return input['n'] * 2\n", name="dobro.py")
    await runtime.push("def main(input):\n    raise ValueError('não')\n", name="falha.py")
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['run']}\n"
        "def main(input):\n"
        "    two = ctx.run('dobro', {'n': 21})\n"
        "    try:\n"
        "        ctx.run('falha')\n"
        "    except RuntimeError as e:\n"
        "        return {'two': two, 'why': str(e)}\n"
    )
    async with runtime.working():
        end = await runtime.ended(await runtime.ask("f"))
    assert end.status == "complete", end.error
    assert end.output == {"two": 42, "why": "ctx.run: the child ended as error (program_failed)"}
    children = [one for one in await runtime._records("cause_id = %s", end.id) if one.seq == 0]
    assert {one.name for one in children if one.entity_type == "execution"} == {"dobro", "falha"}
    assert (await runtime.replay(end)).verdict == "equal"


async def test_what_is_gathered_settles_in_the_order_of_the_journal(runtime: RuntimeHouse):
    await runtime.push(
        "import asyncio, ctx\n"
        "FUNCTION = {'effects': ['ledger.read', 'run']}\n"
        "async def one(n, order):\n"
        "    await asyncio.sleep(10 - n)\n"
        "    order.append(n)\n"
        "    return n\n"
        "async def main(input):\n"
        "    order = []\n"
        "    got = await asyncio.gather(one(1, order), one(2, order), one(3, order))\n"
        "    return {'got': got, 'order': order}\n"
    )
    async with runtime.working():
        asked = await runtime.ask("f")
        seq = 0
        for _ in range(3):
            head = await runtime.rested(asked, after=seq)
            await runtime.pass_time(
                seconds=(head.run_at - runtime.clock.now()).total_seconds() + 0.1
            )
            seq = head.seq
        end = await runtime.ended(asked)
    assert end.status == "complete", end.error
    assert end.output == {"got": [1, 2, 3], "order": [3, 2, 1]}
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_failed_run_undoes_what_it_did_the_last_first(runtime: RuntimeHouse):
    for name in ("reservar_sala", "cobrar_sala"):
        await runtime.push(
            "import ctx\nFUNCTION = {'effects': ['emit']}\n"
            f"def main(input):\n    ctx.emit({{'did': '{name}', 'this': input['what']}})\n",
            name=f"{name}.py",
        )
    await runtime.push(
        "import ctx\n"
        "FUNCTION = {'effects': ['run']}\n"
        "def main(input):\n"
        "    ctx.compensate('reservar_sala', {'what': 'desfazer reserva'})\n"
        "    ctx.compensate('cobrar_sala', {'what': 'devolver'})\n"
        "    ctx.fail('sem_quarto', 'não há quarto', quarto=204)\n"
    )
    async with runtime.working():
        end = await runtime.ended(await runtime.ask("f"))
    assert (end.status, end.error["code"], end.error["data"]) == (
        "error",
        "sem_quarto",
        {"quarto": 204},
    )
    assert [one["function"] for one in end.metadata["compensated"]] == [
        "cobrar_sala",
        "reservar_sala",
    ]
    done = await runtime._records("entity_type = 'logline' ORDER BY position")
    assert [one.this for one in done] == ["devolver", "desfazer reserva"]
    assert (await runtime.replay(end)).verdict == "equal"


async def test_an_effect_that_is_not_declared_or_not_granted_is_refused_when_asked(
    runtime: RuntimeHouse,
):
    for effects in ("[]", "['http:api.example.org']"):
        await runtime.push(
            f"import ctx\nFUNCTION = {{'effects': {effects}, 'runtime': 'durable'}}\n"
            "def main(input):\n"
            "    try:\n"
            "        ctx.http('GET', 'https://api.example.org/x')\n"
            "    except PermissionError as e:\n"
            "        return str(e)\n"
        )
        end = await runtime.run("f")
        assert end.status == "complete", end.error
        assert "http:api.example.org" in end.output
        (step,) = await runtime.steps(end.id)
        assert (step.status, step.error["code"]) == ("error", "not_granted")
        assert (await runtime.replay(end)).verdict == "equal"


@pytest.mark.parametrize(
    "span",
    [
        {"did": "x", "this": "y", "who": "ana"},
        {"did": "x", "this": "y", "tenant_id": "pensao"},
        {"did": "x", "this": "y", "signature": "ab" * 64},
        {"entity_type": "manifest", "this": "y"},
        {"entity_type": "execution", "this": "y"},
    ],
)
async def test_a_run_cannot_speak_for_another_or_write_the_law(runtime: RuntimeHouse, span):
    await runtime.push(
        "import ctx\nFUNCTION = {'effects': ['emit']}\n"
        "def main(input):\n"
        "    try:\n        ctx.emit(input)\n"
        "    except PermissionError as e:\n        return 'recusado: ' + str(e)\n"
    )
    end = await runtime.run("f", span)
    assert end.status == "complete", end.error
    assert end.output.startswith("recusado: ctx.emit")
    assert await runtime.emitted(end) == []


async def test_what_is_asked_under_a_key_is_asked_once_while_it_lives(runtime: RuntimeHouse):
    await runtime.push("def main(input):\n    return input\n", name="alvo.py")
    await runtime.push(
        "import ctx\nFUNCTION = {'effects': ['enqueue']}\n"
        "def main(input):\n"
        "    ids = [ctx.enqueue('alvo', {'n': n}, delay_s=3600, key='fecho')['id'] for n in (1, 2)]\n"
        "    return ids + [ctx.enqueue('alvo', delay_s=3600, key='outro')['id']]\n"
    )
    async with runtime.working():
        end = await runtime.ended(await runtime.ask("f"))
    one, again, other = end.output
    assert one == again != other
    asked = await runtime._records("entity_type = 'execution' AND name = 'alvo' ORDER BY position")
    assert [str(record.id) for record in asked] == [one, other]
    assert (await runtime.replay(end)).verdict == "equal"


async def test_a_run_begins_no_life_under_an_id_that_follows_from_another_run(
    runtime: RuntimeHouse,
):
    await runtime.push(
        "import ctx\nFUNCTION = {'effects': ['emit']}\n"
        "def main(input):\n"
        "    own = ctx.emit({'id': ctx.uuid(), 'did': 'x', 'this': 'y'})\n"
        "    try:\n"
        "        ctx.emit({'id': input['theirs'], 'did': 'x', 'this': 'y'})\n"
        "    except PermissionError as e:\n"
        "        return {'own': own['seq'], 'theirs': str(e)}\n"
    )
    other = await runtime.ask("f", run_at=runtime.clock.now() + timedelta(days=1))
    end = await runtime.run("f", {"theirs": str(step_id(other.id, 1))})
    assert end.status == "complete", end.error
    assert end.output["own"] == 0
    assert "derived" in end.output["theirs"]
    assert (await runtime.replay(end)).verdict == "equal"
