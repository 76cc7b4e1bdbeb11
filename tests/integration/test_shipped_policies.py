"""Each policy that comes with the product: what it does, and what it leaves alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from loglineos.ledger.gestures import make_gesture
from loglineos.ledger.record import Draft
from loglineos.runtime.rows import Rows
from tests.integration.conftest import NOON
from tests.integration.policy_house import PolicyHouse, open_policies

SHIPPED = (
    "autocorrect_on_failed", "daily_exec_rollup", "double_confirmation", "error_report",
    "ghost_reminder", "late_delivery", "metrics_exec_duration", "prompt_circuit_breaker",
    "prompt_confidence_escalation", "slow_exec", "throttle", "ttl_reaper",
)  # fmt: skip
BOOKKEEPING = ("policy_cursor", "boot_event", "policy", "function", "prelude", "execution")


@pytest.fixture
async def casa(house):
    async with open_policies(house) as opened:
        yield opened


async def alone(casa: PolicyHouse, name: str) -> None:
    await casa.pause_shipped(but=(name,))
    await casa.agent.catch_up("casa")


async def answers(casa: PolicyHouse, *spans) -> list:
    """List what the policies say to some records, in order."""
    await casa.agent.catch_up("casa")
    return await replies(casa, *spans)


async def replies(casa: PolicyHouse, *spans) -> list:
    known = {span.id for span in spans}
    return [
        one
        for one in await casa.records()
        if one.cause_id in known and (one.who or "").startswith("policy:")
        and one.entity_type != "policy_cursor"
    ]  # fmt: skip


async def tick(casa: PolicyHouse, **after) -> None:
    """Turn the clock to some time after noon, and let the minute of then be asked about."""
    casa.clock.advance(max(timedelta(0), NOON + timedelta(**after) - casa.clock.now()))
    await casa.agent.tick("casa")


def test_all_policies_of_the_bluebook_are_shipped_under_their_ids():
    rows = {row.source.name: row.source for row in Rows().all if row.name.startswith("policies/")}
    assert sorted(rows) == sorted(SHIPPED)
    told = {name: str(rows[name].id)[-3:] for name in SHIPPED}
    assert [
        told[n]
        for n in (
            "slow_exec",
            "metrics_exec_duration",
            "daily_exec_rollup",
            "error_report",
            "throttle",
        )
    ] == ["401", "402", "403", "404", "405"]
    assert rows["ttl_reaper"].header.alias == "00000000-0000-4000-8000-ppol00000003"
    assert len({source.id for source in rows.values()}) == len(rows)


async def test_slow_exec_labels_what_took_longer_than_slow_ms(casa):
    await alone(casa, "slow_exec")
    slow = await casa.execution(duration_ms=5001)
    fast = await casa.execution(duration_ms=5000)
    (patch,) = await answers(casa, slow, fast)
    assert (patch.entity_type, patch.this, patch.parent_id) == (
        "status_patch",
        "status=slow",
        slow.id,
    )
    assert patch.metadata["reason"] == "5001 ms > 5000 ms"
    assert (await casa.writer.latest("casa", slow.id)).status == "complete"


async def test_metrics_exec_duration_measures_each_execution(casa):
    await alone(casa, "metrics_exec_duration")
    ended = await casa.execution(duration_ms=42)
    begun = await casa.execution(status="running", duration_ms=None)
    (metric,) = await answers(casa, ended, begun)
    assert (metric.entity_type, metric.name, metric.duration_ms) == ("metric", "soma", 42)
    assert metric.metadata["of"] == {"function": "soma", "status": "complete"}


async def test_daily_exec_rollup_adds_up_by_day_owner_and_status(casa):
    await alone(casa, "daily_exec_rollup")
    spans = [await casa.execution(duration_ms=10, owner_id=o) for o in ("ana", "ana", "joao")]
    first = await answers(casa, *spans)
    assert [(m.metadata["of"]["owner"], m.metadata["value"], m.seq) for m in first] == [
        ("ana", {"runs": 2, "duration_ms": 20}, 0),
        ("joao", {"runs": 1, "duration_ms": 10}, 0),
    ]
    later = [
        await casa.execution(duration_ms=5),
        await casa.execution(status="error", duration_ms=1),
    ]
    more = await answers(casa, *later)
    assert [(m.metadata["of"]["status"], m.metadata["value"], m.seq) for m in more] == [
        ("complete", {"runs": 3, "duration_ms": 25}, 1),
        ("error", {"runs": 1, "duration_ms": 1}, 0),
    ]
    assert first[0].id == more[0].id


async def test_error_report_opens_a_report_for_what_ended_badly(casa):
    await alone(casa, "error_report")
    error = {"code": "program_failed", "type": "ValueError", "message": "x"}
    bad = await casa.execution(status="error", error=error)
    good = await casa.execution()
    (report,) = await answers(casa, bad, good)
    assert (report.entity_type, report.status, report.error) == ("error_report", "open", error)
    assert (report.parent_id, report.valid) == (bad.id, True)


async def test_throttle_labels_what_a_quota_held_back_and_tells_the_manager(casa):
    await alone(casa, "throttle")
    held = await casa.execution(status="denied", error={"code": "quota.exec.per_tenant.daily"})
    other = await casa.execution(status="denied", error={"code": "function.paused"})
    quota, loop = await casa.append(
        *(
            Draft(
                entity_type="policy_violation", who="queue", did="block", this=law, status="error"
            )
            for law in ("quota.exec.per_tenant.daily", "loop.depth")
        )
    )
    patch, told = await answers(casa, held, other, quota, loop)
    assert (patch.this, patch.parent_id) == ("status=throttled", held.id)
    assert (told.entity_type, told.shared_with, told.cause_id) == (
        "notification",
        ("role:manager",),
        quota.id,
    )


async def test_prompt_circuit_breaker_blocks_a_prompt_that_calls_tools_again_and_again(casa):
    await alone(casa, "prompt_circuit_breaker")
    wild = await casa.house.add(entity_type="prompt_run", metadata={"tool_calls": 9})
    calm = await casa.house.add(entity_type="prompt_run", metadata={"tool_calls": 8})
    (block,) = await answers(casa, wild, calm)
    assert (block.entity_type, block.status, block.parent_id) == ("prompt_block", "active", wild.id)
    assert block.metadata["ttl_minutes"] == 30


async def test_prompt_confidence_escalation_asks_a_person(casa):
    await alone(casa, "prompt_confidence_escalation")
    unsure = await casa.house.add(entity_type="prompt_run", score=0.4)
    sure = await casa.house.add(entity_type="prompt_run", score=0.6)
    person = await casa.house.add(score=0.1)
    (question,) = await answers(casa, unsure, sure, person)
    assert (question.entity_type, question.status, question.shared_with) == (
        "question",
        "pending",
        ("role:operator",),
    )


async def test_ttl_reaper_is_the_bluebooks_own_source():
    text = Path("src/loglineos/rows/policies/ttl_reaper.js").read_text("utf-8")
    header, _, source = text.partition("*/\n")
    assert header.startswith("/* logline: {")
    assert source.startswith("export default function on(span){\n  // expire prompt_block with")
    assert "who:'policy:ttl', did:'expired', this:'status=archived'" in source


async def test_ttl_reaper_expires_a_block_when_its_time_is_over_and_once_only(casa):
    await alone(casa, "ttl_reaper")
    block = await casa.house.add(
        entity_type="prompt_block", status="active", metadata={"ttl_minutes": 30}
    )
    await casa.house.add(entity_type="prompt_block", status="active")
    assert await answers(casa, block) == []
    await tick(casa, minutes=30)
    assert await replies(casa, block) == []
    for minutes in (31, 31, 32, 90):
        await tick(casa, minutes=minutes)
    (patch,) = await replies(casa, block)
    assert (patch.who, patch.did, patch.this) == ("policy:ttl_reaper", "expired", "status=archived")
    assert patch.related_to == (block.id,)
    assert patch.metadata["said_who"] == "policy:ttl"
    assert await casa.records(entity_type="policy_violation") == []


async def test_ghost_reminder_reminds_of_a_persons_ghost_after_a_day(casa):
    await alone(casa, "ghost_reminder")
    ghost = await casa.house.add(confirmed_by=None, type="human")
    machine = await casa.house.add(confirmed_by=None, type="system")
    whole = await casa.house.add()
    await answers(casa)
    await tick(casa, hours=23)
    assert await replies(casa, ghost, machine, whole) == []
    for hours in (25, 26, 49):
        await tick(casa, hours=hours)
    (told,) = await replies(casa, ghost, machine, whole)
    assert (told.entity_type, told.shared_with, told.cause_id) == (
        "notification",
        ("joao",),
        ghost.id,
    )
    assert "confirmed_by" in told.this


async def test_ghost_reminder_leaves_a_completed_ghost_alone(casa):
    await alone(casa, "ghost_reminder")
    ghost = await casa.house.add(confirmed_by=None, type="human")
    await make_gesture(
        casa.writer, "complete", ghost.id, tenant="casa", by="ana", fields={"confirmed_by": "ana"}
    )
    await answers(casa)
    await tick(casa, hours=25)
    assert await replies(casa, ghost) == []


async def test_late_delivery_tells_the_manager_once(casa):
    await alone(casa, "late_delivery")
    promised = {"prometida_para": "2026-03-02T12:40:00Z"}
    late = await casa.house.add(entity_type="delivery", status="running", details=promised)
    done = await casa.house.add(entity_type="delivery", status="executed", details=promised)
    assert await answers(casa, late, done) == []
    await tick(casa, minutes=44)
    assert await replies(casa, late, done) == []
    for minutes in (46, 47, 120):
        await tick(casa, minutes=minutes)
    told, patch = await replies(casa, late, done)
    assert (told.entity_type, told.shared_with) == ("notification", ("role:manager",))
    assert (patch.this, patch.parent_id) == ("status=late", late.id)


async def test_double_confirmation_asks_a_second_person_about_much_money(casa):
    await alone(casa, "double_confirmation")
    much = {"valor": "500.01", "moeda": "EUR"}
    asked = await casa.house.add(entity_type="expense", status="confirmed", details=much)
    others = [
        await casa.house.add(entity_type="expense", status="confirmed", details={"valor": "500.00"}),
        await casa.house.add(entity_type="expense", status="pending", details=much),
        await casa.house.add(entity_type="expense", status="confirmed", details={"valor": "muito"}),
        await casa.house.add(entity_type="expense", status="confirmed", details=much, at=NOON - timedelta(days=9)),
    ]  # fmt: skip
    (question,) = await answers(casa, asked, *others)
    assert (question.entity_type, question.status, question.cause_id) == (
        "question",
        "pending",
        asked.id,
    )
    assert "500.01 EUR" in question.this
    assert (question.if_not, question.shared_with) == ("avisar_gerente", ("role:manager",))


async def test_autocorrect_on_failed_runs_autocorrect_for_a_dead_execution(casa):
    await alone(casa, "autocorrect_on_failed")
    dead = await casa.execution(status="dead")
    failed = await casa.execution(status="error")
    (run,) = await answers(casa, dead, failed)
    assert (run.entity_type, run.name, run.status) == ("execution", "autocorrect", "scheduled")
    assert run.input["record"] == str(dead.id)


async def test_the_shipped_policies_together_leave_ordinary_acts_alone(casa):
    await casa.agent.catch_up("casa")
    size = len(await casa.records())
    for number in range(5):
        await casa.house.add(this=f"pedido {number}")
    await casa.agent.catch_up("casa")
    new = (await casa.records())[size:]
    assert [one.entity_type for one in new] == ["logline"] * 5
