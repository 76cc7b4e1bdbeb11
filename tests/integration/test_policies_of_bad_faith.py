"""Policies whose answers no ledger could hold: told in a record, and nobody else is harmed."""

from __future__ import annotations

import pytest

from tests.integration.policy_house import open_policies

ANSWERS = (
    {"emit_span": {"did": "x", "this": "y", "metadata": {"step": {"n": 1}}}},
    {"emit_span": {"did": "x" * 5000, "this": "y"}},
    {"emit_span": {"did": "x", "this": "y", "entity_type": " execution"}},
    {"emit_span": {"did": "x", "this": "y", "entity_type": ["step"]}},
    {"emit_span": {"did": "x", "this": "y", "at": "9999-12-31T23:59:59Z"}},
    {"emit_span": {"did": "x", "this": "y", "at": "2026-01-01T00:00:00"}},
    {"emit_span": {"did": "x", "this": "y", "status": "nonsense"}},
    {"emit_span": {"did": "x", "this": "y", "visibility": "all"}},
    {"emit_span": {"did": "x", "this": "y", "parent_id": "x"}},
    {"emit_span": {"did": "x", "this": "y", "tags": ["t" * 600]}},
    {"emit_span": {"did": "x", "this": "y"}, "key": "k" * 5000},
    {"emit_span": {"did": "x", "entity_type": "intent", "status": "pending",
                   "metadata": {"text": "abrir incidente", "record": "x", "seq": 0}}},
    {"status_patch": {"status": "x" * 5000}}, {"status_patch": {"status": "a", "span_id": "x"}},
    {"notify": "x" * 70_000}, {"notify": {"text": "a", "who": "w" * 5000}},
    {"confirm": {"question": "q" * 5000, "who": "w" * 5000}},
    {"run": "abrir_incidente", "input": "x" * 70_000},
    {"run": "abrir_incidente", "queue": "q" * 5000}, {"run": "abrir_incidente", "delay_s": 1e300},
    {"run": "abrir_incidente", "priority": 2**53 - 1}, {"run": "x" * 5000},
    {"enqueue": "abrir_incidente", "key": "k" * 5000},
)  # fmt: skip


@pytest.fixture
async def casa(house):
    async with open_policies(house) as opened:
        yield opened


async def test_each_answer_of_bad_faith_is_told_and_the_others_count(casa):
    await casa.pause_shipped()
    for number, answer in enumerate(ANSWERS):
        await casa.policy(
            f"ma_{number}",
            f"if span['did'] != 'olhar': return []\nreturn [{answer!r}, {{'emit_span': {{'did': "
            f"'bem', 'this': '{number}'}}}}]",
        )
    await casa.house.add(did="olhar")
    await casa.agent.catch_up("casa")
    await casa.house.add(did="olhar")
    await casa.agent.catch_up("casa")
    for number, answer in enumerate(ANSWERS):
        said = await casa.records(who=f"policy:ma_{number}")
        good = [one for one in said if one.did == "bem"]
        told = [one for one in said if one.entity_type == "policy_violation"]
        assert len(good) == 2 or len(told) == 2, answer
        assert (await casa.latest(f"ma_{number}")).status == "active", answer
    assert await casa.records(entity_type="step") == []
    assert {one.name for one in await casa.records(entity_type="execution")} == {"abrir_incidente"}
