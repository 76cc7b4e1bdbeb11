"""Executions: runs of real code in the real sandbox, journaled, resting, resumed and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loglineos.ledger.seal import check_seal
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
    assert [step.did for step in steps] == ["ctx.emit", "ctx.ledger.get", "ctx.log"]
    assert [step.status for step in steps] == ["complete"] * 3
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
            asked, lambda one: (one.metadata or {}).get("waiting_for", [{}])[0].get("kind") == "question"
        )
        question = (await runtime.emitted(head))[0]
        assert (question.entity_type, question.status, question.valid) == ("question", "pending", True)
        await runtime.answer(asked, "confirm", by="joao")  # it was not João who was asked
        again = await runtime.reached(asked, lambda one: one.seq > head.seq)
        assert again.status == "waiting"
        await runtime.answer(asked, "confirm", by="ana")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "yes de ana")
    assert (await runtime.replay(end)).verdict == "equal"
