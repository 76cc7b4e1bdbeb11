"""The laws at hand: what they cost, what they count, and what the kernels decide."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from loglineos.base.errors import InvalidInput, ProgramFailed
from loglineos.ledger.record import Draft
from loglineos.runtime.genesis import write_rows
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import MANIFEST_ID, manifest_draft, parse_manifest, with_value
from loglineos.runtime.usage import Usage
from tests.integration.lawful_house import decided, of_type, publish

F = {"id": "f", "name": "f", "tenant": "casa", "paused": False}


class CountingPool:
    """The real pool, which counts how often a connection is taken."""

    def __init__(self, pool):
        self.pool = pool
        self.taken = 0

    def connection(self, *args, **kwargs):
        self.taken += 1
        return self.pool.connection(*args, **kwargs)


def execution(number: int, **more):
    return {
        "id": str(number), "tenant": "casa", "function": F, "depth": 0, "attempt": 1,
        "max_attempts": 1, "key": "ab" * 32, "force": False, **more,
    }  # fmt: skip


async def set_law(house, path: str, value) -> None:
    head = await house.writer.latest("casa", MANIFEST_ID)
    manifest = with_value(parse_manifest(head.metadata), path, value)
    draft = manifest_draft(manifest, who="ana", seq=head.seq + 1)
    await house.writer.append([draft], tenant="casa", key=house.keyring.key("root"))


async def ended(house, count: int, status: str = "complete") -> None:
    drafts = [
        Draft(entity_type="execution", who="w", did="run", this="f", name="f", status=status)
        for _ in range(count)
    ]
    await house.writer.append(drafts, tenant="casa")


async def test_a_question_about_an_unchanged_law_costs_one_query_however_many_ask(house):
    await write_rows(house.writer, "casa")
    await publish(house)
    laws = Laws(house.writer)
    await laws.function("casa", "double")
    house.writer.pool = counting = CountingPool(house.writer.pool)
    await laws.function("casa", "double")
    assert counting.taken == 1
    await asyncio.gather(*(laws.function("casa", "double") for _ in range(100)))
    assert counting.taken == 2, "all of one turn of the loop are answered by one look"


async def test_laws_that_may_be_a_moment_old_ask_nothing_until_they_are_told_to(house):
    await write_rows(house.writer, "casa")
    laws = Laws(house.writer, fresh_s=3600)
    await laws.manifest("casa")
    house.writer.pool = counting = CountingPool(house.writer.pool)
    assert (await laws.manifest("casa")).policy.slow_ms == 5000
    assert counting.taken == 0
    await set_law(house, "policy.slow_ms", 7)
    assert (await laws.manifest("casa")).policy.slow_ms == 5000
    await laws.refresh("casa")
    assert (await laws.manifest("casa")).policy.slow_ms == 7


async def test_acts_of_the_house_do_not_make_the_law_be_read_anew(house):
    await write_rows(house.writer, "casa")
    laws = Laws(house.writer)
    await laws.manifest("casa")
    known = laws._houses["casa"].law
    await house.add()
    await laws.manifest("casa")
    assert laws._houses["casa"].law is known
    await set_law(house, "policy.slow_ms", 7)
    await laws.manifest("casa")
    assert laws._houses["casa"].law is not known


async def test_a_house_counts_its_own_executions_of_today_and_of_this_minute(house):
    await write_rows(house.writer, "casa")
    laws = Laws(house.writer)
    assert await laws.usage("casa") == Usage(today=0, minute=0)
    await ended(house, 3)
    await ended(house, 2, "error")
    for status in ("denied", "scheduled", "running", "archived"):
        await ended(house, 1, status)
    assert await laws.usage("casa") == Usage(today=5, minute=5)
    assert await laws.usage("casa") == Usage(today=5, minute=5)
    house.clock.advance(timedelta(minutes=1))
    await ended(house, 1)
    assert await laws.usage("casa") == Usage(today=6, minute=1)
    assert await Laws(house.writer).usage("casa") == Usage(today=6, minute=1)
    assert await laws.usage("pensao") == Usage(today=0, minute=0)
    house.clock.advance(timedelta(days=1))
    assert await laws.usage("casa") == Usage(today=0, minute=0)
    await ended(house, 4)
    for one in (laws, Laws(house.writer)):
        assert await one.usage("casa") == Usage(today=4, minute=4)


async def test_many_who_count_at_once_count_each_execution_once(house):
    laws = Laws(house.writer)
    for _ in range(3):
        await ended(house, 5)
        counts = await asyncio.gather(*(laws.usage("casa") for _ in range(10)))
        assert len({count.today for count in counts}) == 1
    assert counts[0].today == 15


async def test_quotas_come_from_the_manifest_and_only_a_signed_override_passes_them(house):
    async with decided(house) as laws:
        key = "cd" * 32
        await set_law(house, "throttle.per_tenant_daily_exec_limit", 2)
        await set_law(house, "override_pubkey_hex", key)
        facts = {
            "used": {"today": 1, "minute": 0},
            "executions": [
                execution(1), execution(2), execution(3, force=True),
                execution(4, key=key), execution(5, key=key, force=True),
            ],
            "law": {"throttle": {"per_tenant_daily_exec_limit": 10**9}},  # not yours to say
            "tenant": "pensao",
        }  # fmt: skip
        decisions = (await laws.decide("casa", "run_code", facts))["decisions"]
    assert [d["do"] for d in decisions] == ["run", "block", "block", "block", "run"]
    assert {d["reason"] for d in decisions if d["do"] == "block"} == {"quota.exec.per_tenant.daily"}
    assert (decisions[1]["limit"], decisions[1]["used"]) == (2, 2)


async def test_a_full_minute_defers_to_the_next_and_other_faults_block_with_their_reason(house):
    async with decided(house) as laws:
        await set_law(house, "throttle.per_tenant_per_minute", 1)
        facts = {
            "now": "2026-12-31T23:59:30.000000Z",
            "used": {"today": 0, "minute": 0},
            "executions": [
                execution(1), execution(2), execution(3, tenant="pensao"),
                execution(4, function=None), execution(5, function={**F, "tenant": "pensao"}),
                execution(6, function={**F, "paused": True}), execution(7, depth=17),
                execution(8, attempt=2), execution(9, depth=17, force=True),
            ],
        }  # fmt: skip
        one, two, *others = (await laws.decide("casa", "run_code", facts))["decisions"]
    assert one == {"id": "1", "do": "run"}
    assert (two["do"], two["until"]) == ("defer", "2027-01-01T00:00:00.000000Z")
    assert [d["reason"] for d in others] == [
        "tenant.mismatch", "function.unknown", "tenant.mismatch", "function.paused", "loop.depth",
        "attempts.spent", "loop.depth",
    ]  # fmt: skip
    assert all(d["do"] == "block" and set(d["said"]) == {"pt", "en"} for d in others)


async def test_the_observer_catches_up_as_each_schedule_says(house):
    due = [f"2026-03-02T{hour:02}:00:00.000000Z" for hour in (9, 10, 12)]
    schedule = {
        "id": "s",
        "name": "s",
        "function": "f",
        "queue": "q",
        "input": {"a": 1},
        "due": due,
    }
    async with decided(house) as laws:
        told = {}
        for catch_up, is_paused in (
            ("none", False),
            ("last", False),
            ("all", False),
            ("all", True),
        ):
            one = {**schedule, "catch_up": catch_up, "paused": is_paused}
            facts = {"now": "2026-03-02T12:00:30.000000Z", "schedules": [one], "functions": []}
            answer = await laws.decide("casa", "observer", facts)
            told[catch_up, is_paused] = (
                [r["run_at"] for r in answer["requests"]],
                [(m["count"], m["reason"]) for m in answer["missed"]],
            )
        facts = {"functions": [{"id": "f", "seq": 3, "name": "f", "queue": None}]}
        (marked,) = (await laws.decide("casa", "observer", facts))["requests"]
    assert told == {
        ("none", False): (due[2:], [(2, "catch_up")]),
        ("last", False): (due[2:], [(2, "catch_up")]),
        ("all", False): (due, []),
        ("all", True): ([], [(3, "paused")]),
    }
    assert (marked["key"], marked["queue"]) == ("function:f:3", "default")


async def test_the_worker_of_requests_is_fair_between_tenants_and_within_the_room(house):
    def asked(number: int, tenant: str, **more):
        return {
            "id": f"{tenant}{number}", "tenant": tenant, "queue": "q", "priority": 0,
            "due": "2026-03-02T12:00:00.000000Z", "position": number, **more,
        }  # fmt: skip

    flood = [asked(n, "casa") for n in range(400)]
    few = [asked(n, "pensao") for n in range(2)]
    async with decided(house) as laws:
        facts = {"slots": 5, "queues": {}, "requests": [*flood, *few]}
        fair = await laws.decide("casa", "request_worker", facts)
        urgent = asked(900, "casa", priority=-5)
        queues = {"q": {"concurrency": 3, "running": 1, "tokens": None, "paused": False}}
        facts = {"slots": 9, "queues": queues, "requests": [*flood[:3], urgent]}
        full = await laws.decide("casa", "request_worker", facts)
        queues = {"q": {"concurrency": None, "running": 0, "tokens": 1, "paused": False}}
        rated = await laws.decide("casa", "request_worker", {**facts, "queues": queues})
        queues = {"q": {"concurrency": None, "running": 0, "tokens": None, "paused": True}}
        paused = await laws.decide("casa", "request_worker", {**facts, "queues": queues})
    assert fair["take"] == ["casa0", "pensao0", "casa1", "pensao1", "casa2"]
    assert len(fair["leave"]) == 397
    assert full["take"] == ["casa900", "casa0"]
    assert {one["reason"] for one in full["leave"]} == {"queue.full"}
    assert (rated["take"], rated["leave"][0]["reason"]) == (["casa900"], "queue.rate")
    assert (paused["take"], len(paused["leave"])) == ([], 4)


async def test_without_a_provider_the_answer_is_clean(house):
    async with decided(house) as laws:
        none = await laws.decide("casa", "provider_exec", {"configured": [], "payload": {}})
        some = await laws.decide(
            "casa", "provider_exec", {"configured": ["local"], "payload": {"a": 1}}
        )
        other = await laws.decide(
            "casa", "provider_exec", {"configured": ["local"], "provider": {"name": "x"}}
        )
    assert (none["do"], none["output"], none["error"]["code"]) == ("none", None, "provider.none")
    assert some == {"do": "call", "provider": "local", "payload": {"a": 1}}
    assert other["error"]["code"] == "provider.unknown"


async def test_a_kernel_that_fails_or_answers_nonsense_decides_nothing(house):
    async with decided(house) as laws:
        with pytest.raises(ProgramFailed):
            await laws.decide("casa", "run_code", {})
        text = "FUNCTION = {'output_schema': {'type': 'object'}}\ndef main(input):\n    return 1\n"
        await publish(house, text, "provider_exec.py")
        with pytest.raises(InvalidInput):
            await laws.decide("casa", "provider_exec", {})
        await publish(
            house, "def main(input):\n    while True:\n        pass\n", "provider_exec.py"
        )
        with pytest.raises(ProgramFailed) as caught:
            await laws.decide("casa", "provider_exec", {})
        assert caught.value.fields["kind"] == "time"


async def test_policies_that_do_not_hold_harm_no_other(house):
    await write_rows(house.writer, "casa")
    code = "def on(span):\n    return []\n"
    draft = Draft(
        entity_type="policy", who="ana", did="push", this="bad", name="bad", status="active",
        code=code, code_hash="00" * 32,
    )  # fmt: skip
    laws = Laws(house.writer)
    before = await laws.policies("casa")
    await house.writer.append([draft], tenant="casa")
    after = await laws.policies("casa")
    assert [one.name for one in after] == [one.name for one in before]
    assert all(one.kind == "policy" and one.entrypoint == "on" for one in after)
    (violation,) = await of_type(house, "policy_violation")
    assert violation.this == "code.other_bytes"


def answered(position: int, *actions, depth: int = 0):
    span = {"id": "5a", "seq": 0, "position": position, "trace_id": "ab" * 16, "depth": depth}
    return {"span": span, "actions": list(actions)}


async def agent(laws: Laws, *items, effects=("run", "enqueue", "emit", "confirm")):
    policy = {"id": "p1", "name": "vigia", "owner_id": "ana", "visibility": "tenant"}
    facts = {"policy": {**policy, "effects": list(effects)}, "batch": list(items)}
    return (await laws.decide("casa", "policy_agent", facts))["results"]


async def test_what_a_policy_asks_for_becomes_records_in_its_own_name(house):
    async with decided(house) as laws:
        emitted, patched, told, asked = await agent(
            laws,
            answered(
                7,
                {"emit_span": {"entity_type": "status_patch", "who": "policy:ttl", "did": "expired",
                               "this": "status=archived", "metadata": {"reason": "ttl"}}},
                {"status_patch": {"status": "slow", "reason": "9 s"}, "key": "slow"},
                {"notify": {"text": "Há um fantasma", "who": "rui"}},
                {"confirm": {"question": "Reembolsar?", "who": "ana", "if_ok": "reembolsar"}},
            ),
        )  # fmt: skip
    for one in (emitted, patched, told, asked):
        draft = one["draft"]
        assert (one["kind"], one["position"], draft["who"]) == ("record", 7, "policy:vigia")
        assert (draft["cause_id"], draft["trace_id"], draft["owner_id"]) == ("5a", "ab" * 16, "ana")
        assert {"policy": "p1", "span": "5a", "position": 7, "depth": 1}.items() <= draft[
            "metadata"
        ].items()
        assert not {"id", "seq", "tenant_id", "signature"} & set(draft)
        Draft(
            **{k: v for k, v in draft.items() if k not in ("cause_id", "parent_id", "related_to")}
        )
    assert emitted["draft"]["metadata"]["said_who"] == "policy:ttl"
    assert (patched["key"], patched["draft"]["this"]) == ("slow", "status=slow")
    assert told["draft"]["shared_with"] == ["rui"]
    assert (asked["draft"]["confirmed_by"], asked["draft"]["if_ok"]) == ("ana", "reembolsar")
    assert asked["draft"]["status"] == "pending"


async def test_what_a_policy_wants_to_run_becomes_a_request_one_deeper(house):
    async with decided(house) as laws:
        by_name, by_id, queued = await agent(
            laws,
            answered(
                7,
                {"run": "enviar recibo", "input": {"a": 1}, "delay_s": 30, "key": "k"},
                {"run": "run_code", "span_id": "00000000-0000-4000-8000-000000000001"},
                {"enqueue": "enviar recibo", "queue": "mail", "priority": -1},
                depth=3,
            ),
        )
    assert (by_name["function"], by_name["delay_s"], by_name["key"]) == ("enviar recibo", 30, "k")
    assert by_id["function"] == "00000000-0000-4000-8000-000000000001"
    assert (queued["queue"], queued["priority"]) == ("mail", -1)
    assert {one["depth"] for one in (by_name, by_id, queued)} == {4}


FORGED = [
    ({"emit_span": {"tenant_id": "pensao", "this": "x"}}, "tenant.forged"),
    ({"emit_span": {"signature": "00" * 64}}, "column.forged"),
    ({"emit_span": {"public_key": "00" * 32}}, "column.forged"),
    ({"emit_span": {"curr_hash": "00" * 32}}, "column.forged"),
    ({"emit_span": {"position": 1}}, "column.forged"),
    ({"emit_span": {"id": "5a", "seq": 1}}, "column.forged"),
    ({"emit_span": {"colour": "red"}}, "column.unknown"),
    *(
        ({"emit_span": {"entity_type": kind, "this": "x"}}, "type.of_the_law")
        for kind in (
            "manifest",
            "function",
            "policy",
            "key",
            "actor",
            "tenant",
            "execution",
            "step",
        )
    ),
    ({"emit_span": {"status": "confirmed"}}, "status.of_people"),
    ({"emit_span": {"status": "ratified"}}, "status.of_people"),
    ({"emit_span": {"confirmed_by": "ana", "status": "valid"}}, "witness.forged"),
    ({"emit_span": {"confirmed_by": "ana"}}, "witness.forged"),
    ({"emit_span": "x"}, "action.malformed"),
    ({"emit_span": {}, "also": 1}, "action.malformed"),
    ({"run": ""}, "action.malformed"),
    ({"run": "f", "who": "ana"}, "action.malformed"),
    ({"run": "f", "delay_s": -1}, "action.malformed"),
    ({"run": "f", "priority": 0.5}, "action.malformed"),
    ({"run": "run_code"}, "action.malformed"),
    ({"notify": ""}, "action.malformed"),
    ({"confirm": {"question": "?", "answer": "yes"}}, "action.malformed"),
    ({"delete": "5a"}, "action.unknown"),
    ({"run": "f", "enqueue": "f"}, "action.unknown"),
    ({}, "action.unknown"),
    ("run", "action.malformed"),
    (None, "action.malformed"),
]


async def test_what_a_policy_may_not_do_is_refused_in_words_and_the_rest_still_counts(house):
    async with decided(house) as laws:
        results = await agent(
            laws,
            *(
                answered(n, action, {"status_patch": "slow"})
                for n, (action, _) in enumerate(FORGED)
            ),
        )
    refused, fine = results[::2], results[1::2]
    assert [one.get("reason") for one in refused] == [reason for _, reason in FORGED]
    assert all(one["kind"] == "refused" and set(one["said"]) == {"pt", "en"} for one in refused)
    assert {one["kind"] for one in fine} == {"record"}


async def test_effects_that_a_policy_lacks_floods_and_loops_are_cut(house):
    async with decided(house) as laws:
        lacking = await agent(
            laws, answered(1, {"run": "f"}, {"notify": "x"}, {"confirm": "x"}), effects=("emit",)
        )
        flood = await agent(
            laws, answered(1, *[{"notify": "x"}] * 1000), answered(2, {"notify": "y"})
        )
        loop = await agent(laws, answered(1, {"notify": "x"}, depth=16))
    assert [(one["kind"], one.get("reason")) for one in lacking] == [
        ("refused", "effect.not_granted"), ("record", None), ("refused", "effect.not_granted"),
    ]  # fmt: skip
    assert [one["kind"] for one in flood] == ["record"] * 100 + ["refused", "record"]
    assert [one["reason"] for one in loop] == ["loop.depth"]
