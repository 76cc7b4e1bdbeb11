"""Who says what is not theirs to say: lines from outside, functions, policies; and what comes of it."""

from __future__ import annotations

import io
import json
from uuid import UUID

import pytest

from loglineos.base.errors import Forbidden
from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.intake.formats import read_items
from loglineos.ledger.intake.intake import drafts_of
from loglineos.ledger.record import Draft
from loglineos.runtime.consequence.drafts import intent_id
from loglineos.runtime.ids import step_id
from tests.integration.policy_house import open_policies
from tests.integration.runtime_house import RuntimeHouse, open_runtime

EFFECTS = "FUNCTION = {'effects': ['emit', 'ledger.read', 'enqueue', 'run', 'confirm', 'wait']}\n"


@pytest.fixture
async def runtime(house, tmp_path):
    async with open_runtime(house, tmp_path) as opened:
        yield opened


@pytest.fixture
async def casa(house):
    async with open_policies(house) as opened:
        opened.effects = await opened.consequences()
        await opened.effects.begin("casa")
        yield opened


def line(**columns) -> dict:
    """Write a whole act, as a program outside might."""
    told = {
        "who": "ana", "did": "confirm", "this": "x", "when": "2026-03-02T12:00:00Z",
        "confirmed_by": "ana", "if_ok": "nada", "if_doubt": "nada", "if_not": "nada",
    }  # fmt: skip
    return {**told, **columns}


async def ingest(writer, *lines: dict) -> None:
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    drafts = [
        draft
        for _, draft in drafts_of(read_items(io.BytesIO(content), format="jsonl"), tenant="casa")
    ]
    await writer.append(drafts, tenant="casa")


FORGED_INTENTS = (
    {}, {"text": "abrir incidente"}, {"text": 5, "record": "x", "seq": 0, "branch": "ok"},
    {"text": "abrir incidente", "record": "x", "seq": 0, "branch": "ok"},
    {"text": "a", "record": str(UUID(int=1, version=4)), "seq": 0, "branch": "ok"},
    {"text": "a", "record": str(UUID(int=1, version=4)), "seq": 0, "branch": []},
)  # fmt: skip


async def test_a_forged_intent_runs_nothing_and_stops_nobody(casa):
    for told in FORGED_INTENTS:
        for status in ("confirmed", "pending"):
            metadata = {**told, "gesture": "confirm", "by": "ana"}
            await casa.house.add(
                entity_type="intent", status=status, metadata=metadata, who="consequences",
                details={"function": "abrir_incidente"},
            )  # fmt: skip
    await casa.push("def main(input):\n    return 1\n", "nova.py", kind="function")
    promised = await casa.house.add(status="confirmed", if_ok="enviar recibo")
    await casa.effects.catch_up("casa")
    runs = await casa.records(entity_type="execution")
    assert [run.cause_id for run in runs] == [promised.id]


async def test_a_line_from_outside_neither_answers_nor_chooses(casa):
    asked = await casa.house.add(status="confirmed", if_ok="coisa que ninguém conhece")
    await casa.effects.catch_up("casa")
    intent = intent_id(asked.id, "ok")
    forged = line(
        id=str(intent), seq=1, entity_type="intent", status="confirmed",
        metadata={"gesture": "confirm", "by": "ana"}, details={"function": "abrir_incidente"},
    )  # fmt: skip
    await ingest(casa.writer, forged)  # it is kept, as what it is: told, and no person's gesture
    await casa.effects.catch_up("casa")
    assert await casa.records(entity_type="execution") == []
    assert await casa.records(entity_type="alias", who="consequences") == []


async def asking(runtime: RuntimeHouse, *, who: str | None = "ana"):
    await runtime.push(
        f"import ctx\n{EFFECTS}def main(input):\n"
        f"    return ctx.confirm('Pagar 30 EUR?', who={who!r})['answer']\n"
    )
    asked = await runtime.ask("f")
    head = await runtime.waiting(asked)
    return asked, head.metadata["waiting_for"][0]["id"]


@pytest.mark.parametrize("who", ["ana", None, "role:manager"])
async def test_nobody_but_a_person_answers_a_question(runtime: RuntimeHouse, who: str | None):
    async with runtime.working():
        asked, question = await asking(runtime, who=who)
        head = await runtime.writer.latest("casa", UUID(question))
        await runtime.push(
            f"import ctx\n{EFFECTS}def main(input):\n"
            "    said = []\n"
            "    for status in ('confirmed', 'ratified', 'denied', 'valid', 'archived', None):\n"
            "        try:\n"
            "            ctx.emit({'id': input, 'entity_type': 'question', 'did': 'x', 'this': 'y',\n"
            "                      'status': status})\n"
            "            said.append(status)\n"
            "        except Exception:\n"
            "            pass\n"
            "    return said\n",
            name="g.py",
        )
        forger = await runtime.ended(await runtime.ask("g", question))
        assert (forger.status, forger.output) == ("complete", [])
        forged = Draft(
            id=head.id, seq=1, entity_type="question", who=who or "ana", did="confirm", this="x",
            at=runtime.clock.now(), status="confirmed", confirmed_by=who or "ana", if_ok="a", if_doubt="b", if_not="c",
            parent_id=asked.id, cause_id=asked.id, metadata={"execution": str(asked.id)},
        )  # fmt: skip
        await runtime.writer.append([forged], tenant="casa")  # as a line added by hand would
        again = await runtime.reached(
            asked,
            lambda one: (one.metadata or {}).get("waiting_for", [{}])[0].get("again") == 1,
        )
        assert again.status == "waiting", "asked again: that was no gesture"
        await runtime.answer(asked, "deny", by="ana")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "no")
    assert (await runtime.replay(end)).verdict == "equal"


async def test_no_function_decides_what_people_decide(runtime: RuntimeHouse):
    invoice = await runtime.house.add(did="emitir_fatura", this="fatura 7", status="pending")
    decided = await runtime.house.add(did="emitir_fatura", this="fatura 8", status="pending")
    await make_gesture(runtime.writer, "confirm", decided.id, tenant="casa", by="ana")
    await runtime.push(
        f"import ctx\n{EFFECTS}def main(input):\n"
        "    said = []\n"
        "    for one in input:\n"
        "        for status in ('confirmed', 'ratified', 'denied', 'reverted', 'under_review'):\n"
        "            try:\n"
        "                ctx.emit({'id': one, 'did': 'x', 'this': 'y', 'status': status,\n"
        "                          'metadata': {'gesture': 'confirm', 'by': 'ana'}})\n"
        "                said.append(status)\n"
        "            except PermissionError:\n"
        "                pass\n"
        "    return said\n"
    )
    end = await runtime.run("f", [str(invoice.id), str(decided.id)])
    assert (end.status, end.output) == ("complete", [])
    assert (await runtime.writer.latest("casa", invoice.id)).seq == 0
    assert (await runtime.writer.latest("casa", decided.id)).who == "ana"


async def test_nobody_writes_into_the_journal_of_a_run(runtime: RuntimeHouse):
    async with runtime.working():
        asked, _ = await asking(runtime)
        told = {"n": 2, "kind": "call", "name": "ctx.emit", "args_hash": "0" * 64}
        for who, kind, metadata in (
            ("function:f", "logline", {}), ("ana", "step", {"n": 2}),
            ("ana", "logline", {"step": told}), ("function:f", "step", told),
        ):  # fmt: skip
            forged = Draft(
                id=step_id(asked.id, 2), entity_type=kind, who=who, did="ctx.emit", this="x",
                parent_id=asked.id, cause_id=asked.id, status="complete", metadata=metadata,
            )  # fmt: skip
            with pytest.raises(Forbidden):
                await runtime.writer.append([forged], tenant="casa")
        await runtime.push(
            f"import ctx\n{EFFECTS}def main(input):\n"
            "    said = []\n"
            "    for kind in ('step', 'execution', 'Step', 'step ', 'queue', 'alias', 'policy'):\n"
            "        try:\n"
            "            ctx.emit({'entity_type': kind, 'parent_id': input, 'cause_id': input,\n"
            "                      'did': 'ctx.confirm', 'this': 'x', 'status': 'complete',\n"
            "                      'metadata': {'n': 1, 'step': {'n': 1}, 'execution': input}})\n"
            "            said.append(kind)\n"
            "        except Exception:\n"
            "            pass\n"
            "    one = ctx.emit({'did': 'x', 'this': 'y', 'parent_id': input, 'cause_id': input,\n"
            "                    'metadata': {'n': 1, 'step': {'n': 1}, 'execution': input,\n"
            "                                 'header': {}, 'depth': -5}})\n"
            "    return {'said': said, 'id': one['id']}\n",
            name="g.py",
        )
        forger = await runtime.ended(await runtime.ask("g", str(asked.id)))
        assert forger.status == "complete", forger.error
        assert forger.output["said"] == []
        (emitted,) = await runtime.emitted(forger)
        assert emitted.cause_id == forger.id
        assert (emitted.metadata["execution"], emitted.metadata["depth"]) == (str(forger.id), 1)
        await runtime.answer(asked, "confirm", by="ana")
        end = await runtime.ended(asked)
    assert (end.status, end.output) == ("complete", "yes")
    assert (await runtime.replay(end)).verdict == "equal"
    assert (await runtime.replay(forger)).verdict == "equal"


async def test_a_function_reaches_nothing_of_another_house(runtime: RuntimeHouse):
    theirs = await runtime.writer.append(
        [Draft(who="rui", did="pagar", this="segredo da pensão", confirmed_by="rui", if_ok="a",
               if_doubt="b", if_not="c", status="pending", visibility="public")],
        tenant="pensao",
    )  # fmt: skip
    await runtime.push(
        f"import ctx\n{EFFECTS}def main(input):\n"
        "    said = [ctx.ledger.get(input), ctx.ledger.history(input),\n"
        "            ctx.ledger.find(this='segredo da pensão'),\n"
        "            ctx.wait_for({'this': 'segredo da pensão'}, timeout_s=0),\n"
        "            ctx.wait_for({'id': input}, timeout_s=0)]\n"
        "    one = ctx.emit({'id': input, 'did': 'x', 'this': 'y', 'tenant_id': 'casa'})\n"
        "    for call in (lambda: ctx.emit({'did': 'x', 'tenant_id': 'pensao'}),\n"
        "                 lambda: ctx.enqueue(input), lambda: ctx.run(input)):\n"
        "        try:\n"
        "            call()\n"
        "            said.append('done')\n"
        "        except Exception:\n"
        "            said.append(None)\n"
        "    return said\n"
    )
    end = await runtime.run("f", str(theirs[0].id))
    assert end.status == "complete", end.error
    assert end.output == [None, [], [], None, None, None, None, None]
    assert (await runtime.writer.latest("pensao", theirs[0].id)).seq == 0
