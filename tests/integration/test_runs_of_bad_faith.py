"""Programs of bad faith: what they say is refused or bounded, and the run itself ends well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from loglineos.ledger.record import Record
from loglineos.runtime.manifest import (
    MANIFEST_ID,
    manifest_draft,
    parse_manifest,
    with_item,
    with_value,
)
from tests.integration.runtime_house import RuntimeHouse, open_runtime


@pytest.fixture
async def runtime(house, tmp_path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as opened:
        yield opened


HOUSE_RULES = (
    "confirmed",
    "intent",
    "type_list",
    "type_space",
    "type_case",
    "type_zwsp",
)
"""What is refused as not the program's to say."""
CASES = {
    "type_list": "ctx.emit({'did': 'x', 'entity_type': []})",
    "type_dict": "ctx.emit({'did': 'x', 'entity_type': {}})",
    "type_empty": "ctx.emit({'did': 'x', 'entity_type': ''})",
    "type_space": "ctx.emit({'did': 'x', 'entity_type': ' execution'})",
    "type_case": "ctx.emit({'did': 'x', 'entity_type': 'Execution'})",
    "type_zwsp": "ctx.emit({'did': 'x', 'entity_type': 'execution\\u200b'})",
    "type_long": "ctx.emit({'did': 'x', 'entity_type': 'x' * 100000})",
    "related": "ctx.emit({'did': 'x', 'cause_id': 'x', 'related_to': 5})",
    "related2": "ctx.emit({'did': 'x', 'cause_id': {}, 'related_to': {}})",
    "nul": "ctx.emit({'did': 'x\\x00y'})",
    "big": "ctx.emit({'did': 'x', 'details': {'a': 'x' * 1000000}})",
    "big2": "ctx.emit({'did': 'x', 'details': {'a': '\\x01' * 170000}})",
    "deep": "ctx.emit({'did': 'x', 'details': {'a': " + "[" * 60 + "]" * 60 + "}})",
    "keynul": "ctx.emit({'did': 'x', 'metadata': {'a\\x00': 1}})",
    "intcol": "ctx.emit({'did': 'x', 'priority': 2**53 - 1})",
    "float": "ctx.emit({'did': 'x', 'score': 1e308})",
    "negint": "ctx.emit({'did': 'x', 'cost_micros': -(2**53 - 1)})",
    "at": "ctx.emit({'did': 'x', 'at': '2026-01-01T00:00:00'})",
    "at9999": "ctx.emit({'did': 'x', 'at': '9999-12-31T23:59:59Z'})",
    "at1": "ctx.emit({'did': 'x', 'at': '0001-01-01T00:00:00+14:00'})",
    "badstatus": "ctx.emit({'did': 'x', 'status': 'nonsense'})",
    "tags": "ctx.emit({'did': 'x', 'tags': ['a' * 5000] * 200})",
    "long": "ctx.emit({'did': 'x' * 500000})",
    "who": "ctx.emit({'who': 'ana', 'did': 'x'})",
    "reserved_id": "ctx.emit({'id': '00000000-0000-4000-8000-000000000001', 'did': 'x'})",
    "manifest_id": "ctx.emit({'id': '00000000-0000-4000-8000-0000000000aa', 'did': 'x'})",
    "own": "ctx.emit({'id': input['me'], 'did': 'x'})",
    "currency": "ctx.emit({'did': 'x', 'currency': 'x' * 100})",
    "trace": "ctx.emit({'did': 'x', 'trace_id': 'x' * 100})",
    "span": "ctx.emit({'did': 'x', 'span_id': 'x' * 100})",
    "enq_prio": "ctx.enqueue('f2', priority=2**53 - 1)",
    "enq_prio_f": "ctx.enqueue('f2', priority=[])",
    "enq_queue": "ctx.enqueue('f2', queue='x' * 10000)",
    "enq_queue0": "ctx.enqueue('f2', queue='a\\x00')",
    "enq_key": "ctx.enqueue('f2', key='a\\x00')",
    "enq_fn0": "ctx.enqueue('f\\x00')",
    "enq_fn1": "ctx.enqueue('f\\x1f')",
    "enq_fnlong": "ctx.enqueue('f' * 100000)",
    "enq_fnlist": "ctx.enqueue([])",
    "enq_runat": "ctx.enqueue('f2', run_at='2026-01-01T00:00:00')",
    "enq_runat9": "ctx.enqueue('f2', run_at='9999-12-31T23:59:59Z')",
    "enq_runat0": "ctx.enqueue('f2', run_at='0001-01-01T00:00:00+14:00')",
    "enq_delay": "ctx.enqueue('f2', delay_s=True)",
    "enq_big": "ctx.enqueue('f2', input='x' * 1000000)",
    "run_kernel": "ctx.run('run_code', {})",
    "run_big": "ctx.run('f2', 'x' * 1000000)",
    "comp0": "ctx.compensate('f\\x00')",
    "get0": "ctx.ledger.get('x')",
    "get_seq": "ctx.ledger.get(input['me'], seq=2**53 - 1)",
    "get_seqs": "ctx.ledger.get(input['me'], seq='a')",
    "get_seqneg": "ctx.ledger.get(input['me'], seq=-1)",
    "get_seqlist": "ctx.ledger.get(input['me'], seq=[])",
    "find0": "ctx.ledger.find(text='\\x00')",
    "find1": "ctx.ledger.find(text='* * * *')",
    "find2": "ctx.ledger.find(text='a ' * 100000)",
    "find3": "ctx.ledger.find(who='a\\x00')",
    "find4": "ctx.ledger.find(limit=True)",
    "find5": "ctx.ledger.find(limit=-5)",
    "find6": "ctx.ledger.find(since='2026-01-01T00:00:00')",
    "find7": "ctx.ledger.find(tags=['\\x00'])",
    "find8": "ctx.ledger.find(text=5)",
    "find9": "ctx.ledger.find(limit=2**53 - 1, latest='x')",
    "hist": "ctx.ledger.history(input['me'], limit=-1)",
    "wait_tags": "ctx.wait_for({'tags': None}, timeout_s=0)",
    "wait_tags2": "ctx.wait_for({'tags': 5}, timeout_s=0)",
    "wait_nul": "ctx.wait_for({'who': 'a\\x00'}, timeout_s=0)",
    "wait_id": "ctx.wait_for({'id': {}}, timeout_s=0)",
    "wait_none": "ctx.wait_for({'who': None}, timeout_s=0)",
    "wait_huge": "ctx.wait_for({'who': 'x' * 900000}, timeout_s=0)",
    "wait_timeout": "ctx.wait_for({'who': 'x'}, timeout_s='1')",
    "sleep": "ctx.sleep(-1)",
    "until": "ctx.until('9999-12-31T23:59:59-14:00')",
    "until0": "ctx.until('0001-01-01T00:00:00+14:00')",
    "until_list": "ctx.until([])",
    "confirm_who": "ctx.confirm('x', who='a\\x00', timeout_s=0)",
    "confirm_q": "ctx.confirm('x\\x00', timeout_s=0)",
    "confirm_if": "ctx.confirm('x', timeout_s=0, if_timeout=[])",
    "confirm_0": "ctx.confirm('x', timeout_s=0)",
    "confirm_sp": "ctx.confirm(' ', who=' ', timeout_s=0)",
    "log_big": "ctx.log('x', a='x' * 1000000)",
    "log_nul": "ctx.log('x\\x00', a='\\x00')",
    "secret0": "ctx.secret.use('\\x00')",
    "secret_list": "ctx.secret.use([])",
    "http0": "ctx.http('GET', [])",
    "http_sec": "ctx.http('GET', 'http://127.0.0.1/', secret={})",
    "http_bytes": "ctx.http('POST', 'http://127.0.0.1:9/', body={'$bytes': 'zz'})",
    "http_big": "ctx.http('POST', 'http://127.0.0.1:9/', body='x' * 1048400)",
    "http_idn": "ctx.http('GET', 'http://' + 'a' * 64 + '.com/')",
    "http_hdr": "ctx.http('GET', 'http://127.0.0.1/', headers={'a': {}})",
    "fail_big": "ctx.fail('x', 'y' * 1000000)",
    "fail_nul": "ctx.fail('x\\x00', 'y\\x00', a='\\x00')",
    "fail_code": "ctx.fail([])",
    "cont_big": "ctx.continue_as_new('x' * 1000000)",
    "log_huge": "ctx.log('x', a='x' * 1048400)",
    "log_deep": "ctx.log('x', a=" + "[" * 40 + "]" * 40 + ")",
    "find_deep": "ctx.ledger.find(who=" + "[" * 40 + "]" * 40 + ")",
    "late": "[ctx.log('x', a=" + "[" * 40 + "]" * 40 + ") for _ in range(2)]",
    "out_deep": "" + "[" * 50 + "]" * 50,
    "confirmed": "ctx.emit({'did': 'x', 'this': 'y', 'status': 'confirmed'})",
    "question": "ctx.emit({'did': 'x', 'entity_type': 'question', 'status': 'pending'})",
    "intent": "ctx.emit({'did': 'x', 'entity_type': 'intent', 'status': 'confirmed', 'metadata': {'gesture': 'confirm'}})",
    "unknown": "ctx.nothing('x' * 900000)",
    "out_big": "'x' * 1040000",
    "out_ctl": "'\\x01' * 174000",
    "out_nul": "'\\x00'",
    "print": "print('x\\x00' * 10000)",
}


async def grant(runtime: RuntimeHouse, *effects: str) -> None:
    head = await runtime.writer.latest("casa", MANIFEST_ID)
    manifest = parse_manifest(head.metadata)
    for effect in effects or ("http:*", "secret:*"):
        manifest = with_item(manifest, "effects_granted", effect, is_in=True)
    manifest = with_value(manifest, "limits.http_private_allowed", ["127.0.0.1"])
    draft = manifest_draft(manifest, who="ana", seq=head.seq + 1)
    await runtime.writer.append([draft], tenant="casa", key=runtime.house.keyring.key("root"))


async def test_every_call_of_bad_faith_is_answered(runtime: RuntimeHouse):
    await grant(runtime)
    await runtime.push("def main(input):\n    return 1\n", name="f2.py")
    asked: dict[str, Record] = {}
    for what, call in CASES.items():
        await runtime.push(
            "import ctx\n"
            "FUNCTION = {'effects': ['emit', 'ledger.read', 'enqueue', 'run', 'confirm', 'wait',"
            " 'http:*', 'secret:*']}\n"
            "def main(input):\n"
            "    try:\n"
            f"        return {call}\n"
            "    except Exception as fault:\n"
            "        return ['caught', str(fault)]\n",
            name=f"c_{what}.py",
        )
    wrong = []
    async with runtime.working():
        for what in CASES:
            asked[what] = await runtime.ask(f"c_{what}", {"me": str(UUID(int=5, version=4))})
        await runtime.pass_time(seconds=5)
        for what, run in asked.items():
            try:
                head = await runtime.reached(
                    run, lambda head: head.status not in ("scheduled", "running")
                )
            except AssertionError as stuck:
                wrong.append((what, "stuck", str(stuck)[:200]))
                continue
            verdict = "-"
            if head.status in ("complete", "error"):
                verdict = (await runtime.replay(head)).verdict
            line = (what, head.status, verdict, str(head.output)[:150], str(head.error)[:250])
            if what in HOUSE_RULES:
                assert head.output[0] == "caught", line
            if verdict != "equal":
                wrong.append(line)
    assert not wrong, "\n".join(map(str, wrong))
