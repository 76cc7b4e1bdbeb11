"""The functions of consequences that come with the product, run for real."""

from __future__ import annotations

import asyncio

import pytest

from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.reading.reader import Viewer
from loglineos.runtime.consequence.consequences import Consequences
from loglineos.runtime.consequence.drafts import input_of
from loglineos.runtime.rows import Rows
from loglineos.runtime.traces import read_trace
from tests.integration.runtime_house import open_runtime

ASKING = ("reembolsar", "perguntar_ao_cliente")
NAMES = sorted(
    row.source.name
    for row in Rows().all
    if row.name.startswith("functions/") and row.source.name not in ASKING
)
MONEY = {"valor": "30.00", "moeda": "EUR"}


@pytest.fixture
async def casa(house, tmp_path):
    async with open_runtime(house, tmp_path) as opened:
        yield opened


async def test_each_function_writes_a_whole_act_that_says_what_led_to_it(casa):
    record = await casa.house.add(details=MONEY, owner_id="maria", shared_with=("joao",))
    given = input_of(record, "ok", "o que for")
    async with casa.working():
        asked = {name: await casa.ask(name, given) for name in NAMES}
        ended = {name: await casa.ended(one) for name, one in asked.items()}
    assert {name: (one.status, one.error) for name, one in ended.items()} == dict.fromkeys(
        NAMES, ("complete", None)
    )
    for name in NAMES:
        (act, *_) = [
            one for one in await casa.emitted(ended[name]) if one.who == f"function:{name}"
        ]
        assert (act.valid, act.parent_id, act.branch) == (True, record.id, "ok"), name
        assert act.did
        assert act.if_ok


async def test_every_promise_of_a_shipped_function_means_a_function(casa):
    record = await casa.house.add(details=MONEY)
    given = input_of(record, "ok", "o que for")
    async with casa.working():
        ended = [await casa.ended(await casa.ask(name, given)) for name in NAMES]
    acts = [act for one in ended for act in await casa.emitted(one)]
    texts = {text for act in acts for text in (act.if_ok, act.if_doubt, act.if_not)} - {
        "nada",
        None,
    }
    assert len(texts) > 5
    assert [text for text in sorted(texts) if await casa.laws.resolve("casa", text) is None] == []


async def test_functions_can_be_run_by_hand_without_any_record(casa):
    async with casa.working():
        asked = [
            await casa.ask(name, {})
            for name in ("emitir_fatura", "avisar_gerente", "contar_fantasmas")
        ]
        assert [(await casa.ended(one)).status for one in asked] == ["complete"] * 3


@pytest.mark.parametrize(
    ("gesture", "did"), [("confirm", "reembolsar"), ("deny", "recusar_reembolso")]
)
async def test_a_refund_waits_for_the_manager(casa, gesture, did):
    record = await casa.house.add(details=MONEY, owner_id="maria")
    async with casa.working():
        asked = await casa.ask("reembolsar", input_of(record, "not", "reembolsar"))
        await casa.answer(asked, gesture, by="ana")
        ended = await casa.ended(asked)
    question, act = (await casa.emitted(ended))[:2]
    assert "30.00 EUR" in question.this
    assert act.did == did
    assert gesture == "deny" or act.details == {**MONEY, "autorizado_por": "ana"}


async def test_one_promise_leads_to_the_next_until_nothing_is_promised(casa, house):
    pool = await house.pool("logline_appender")
    effects = Consequences(casa.writer, pool=pool, laws=casa.laws)
    await effects.begin("casa")
    payment = await casa.house.add(
        entity_type="payment", status="pending", details=MONEY, if_ok="emitir_fatura",
        if_doubt="verificar_pagamento", if_not="pedir_outro_meio_de_pagamento",
    )  # fmt: skip
    await make_gesture(casa.writer, "confirm", payment.id, tenant="casa", by="ana")
    app = await house.pool("logline_app")
    viewer = Viewer(tenant="casa", actor="ana", role="owner")
    async with casa.working(), asyncio.timeout(60):
        while True:
            await effects.catch_up("casa")
            trace = await read_trace(app, payment.id, viewer=viewer)
            told = [(node.record.did, node.record.this) for _, node in trace.node.walk()]
            if told[-1][0] == "registar_nota" and trace.node.status == "confirmed":
                break
            await asyncio.sleep(0.02)
    chain = [node.record for _, node in trace.node.walk()]
    assert [one.did for one in chain if one.entity_type != "execution"] == [
        payment.did, "emitir_fatura", "enviar_recibo", "registar_nota"
    ]  # fmt: skip
    assert [one.name for one in chain if one.entity_type == "execution"] == [
        "emitir_fatura",
        "enviar_recibo",
        "registar_nota",
    ]
    assert [(one.metadata or {}).get("depth", 0) for one in chain] == list(range(7))
    assert {one.trace_id for one in chain[1:]} == {chain[1].trace_id}
    last = await read_trace(app, chain[-1].id, viewer=viewer)
    assert [node.record.id for node in last.causes] == [one.id for one in chain[:-1]]
