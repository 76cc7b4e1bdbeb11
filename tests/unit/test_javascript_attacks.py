"""Attacks on the JavaScript sandbox: a corpus of hostile programs, bombs, and one policy on another."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from loglineos.runtime.sandbox.batches import parse
from loglineos.runtime.sandbox.frames import BatchText
from loglineos.runtime.sandbox.javascript_engine import Called, Compiled, JavaScript
from loglineos.runtime.sandbox.limits import PURE
from loglineos.runtime.sandbox.turns import Evaluated, Failed, Program, ProgramError

pytestmark = pytest.mark.security

CORPUS = Path(__file__).parents[1] / "data" / "sandbox" / "js.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
SECOND = "\n//---SECOND---\n"
EVALUATE = "function main(code) { return (0, eval)(code) }"
LIMITED = ("out of memory", "too large", "too many captures", "invalid max array buffer length")
"""How QuickJS says that something is more than it would ever do."""
CPU_S_MAX = 1.0
"""Fuel for one run is 0.02 to 0.1 s of this kind of processor; ten times that is a hole."""


@pytest.fixture(scope="module")
def engine() -> Iterator[JavaScript]:
    folder = Path(tempfile.mkdtemp(prefix="logline-"))
    yield JavaScript(cache_folder=folder)
    shutil.rmtree(folder)


def call(engine: JavaScript, source: str, value: Any = None) -> Called:
    compiled = engine.compile(source, entry="main")
    if isinstance(compiled, ProgramError):
        return Called(answers=(), error=compiled, fuel=0, printed="")
    began = time.thread_time()
    called = engine.call(
        compiled, json.dumps([value]).encode(), frozen_at="2026-03-01T12:00:00Z", seed="s"
    )
    assert time.thread_time() - began < CPU_S_MAX
    return called


def answer(called: Called) -> Any:
    given = called.error or called.answers[0]
    return given if isinstance(given, ProgramError) else json.loads(given)


def evaluate(engine: JavaScript, source: str, spans: list[Any]) -> Any:
    policy = Program(source=source, language="javascript", frozen_at="2026-03-01T12:00:00Z")
    batch = engine.evaluate(policy, json.dumps(spans), PURE)
    return json.loads(batch.text) if isinstance(batch, BatchText) else batch


def is_limited(given: Any) -> bool:
    if not isinstance(given, ProgramError):
        return False
    is_absent = given.message.startswith("limit:") or given.message == "Atomics is not defined"
    return given.limit is not None or is_absent or any(part in given.message for part in LIMITED)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_corpus_is_contained(engine: JavaScript, case: dict[str, Any]) -> None:
    for code in case["code"].split(SECOND):
        given = answer(call(engine, EVALUATE, code))
        assert given != "ESCAPED"
        if case["expected"] == "limited":
            assert is_limited(given), given
    assert answer(call(engine, EVALUATE, "6 * 7")) == 42


POLLUTIONS = [
    "Object.prototype.polluted = 'A'; Array.prototype.map = () => ['HIJACK']",
    "JSON.stringify = () => '[\"forged\"]'; JSON.parse = () => [{}]",
    "Array.prototype.toJSON = Object.prototype.toJSON = String.prototype.toJSON = () => 'forged'",
    "Object.defineProperty(Object.prototype, 'id', {get() { return 'forged' }, configurable: true})",
    "Object.defineProperty(Array.prototype, '0', {set() {}, get() { return 'forged' }})",
    "Array.prototype[Symbol.iterator] = function* () { yield 1e99; yield 1e99; yield 1e99 }",
    "Promise.prototype.then = (f) => f('forged'); globalThis.Promise = class {}",
    "Reflect.apply = Function.prototype.call = Function.prototype.apply = () => 'forged'",
    "Error.prototype.toString = () => 'forged'; Object.defineProperty(Error, Symbol.hasInstance, {value: () => true})",
    "Error.prepareStackTrace = () => ({toString() { for (;;); }})",
    "Math.imul = Math.floor = () => 7; String.prototype.slice = String.prototype.charCodeAt = () => 'forged'",
    "globalThis.eval = () => () => ['forged']; globalThis.default = () => ['forged']",
    "delete globalThis.JSON; delete globalThis.Array; delete globalThis.Object; delete globalThis.Error",
    "(function leave() { queueMicrotask(() => { globalThis.late = 'A' }) })()",
    "for (const name of Object.getOwnPropertyNames(globalThis)) try { globalThis[name] = undefined } catch {}",
]  # fmt: skip
CLEAN = """function on(span) {
  return [typeof polluted, typeof secret, typeof late, Object.keys({}).length, [1].map((x) => x)[0],
          JSON.stringify({a: 1}), span.id, Math.floor(2.5), 'abc'.slice(1), [...'ab'].join('-')]
}"""


@pytest.mark.parametrize("attack", POLLUTIONS)
@pytest.mark.parametrize("moment", ["while loading", "in a call"])
def test_no_policy_reaches_another(engine: JavaScript, attack: str, moment: str) -> None:
    before = evaluate(engine, CLEAN, [{"id": "a"}])
    assert before[0][0][:7] == ["undefined", "undefined", "undefined", 0, 1, '{"a":1}', "a"]
    loading, calling = (attack, "") if moment == "while loading" else ("", attack)
    hostile = f"var secret = 'A'; {loading};\nfunction on(span) {{ {calling}; return [] }}"
    evaluate(engine, hostile, [{"id": "a"}, {"id": "b"}])
    assert evaluate(engine, CLEAN, [{"id": "a"}]) == before


@pytest.mark.parametrize("attack", POLLUTIONS)
def test_a_polluted_machine_still_gives_one_result_for_each_span(
    engine: JavaScript, attack: str
) -> None:
    source = f"""{attack};
    function on(span) {{ if (span.seq === 1) throw new Error('mine'); return [span.seq] }}"""
    results = evaluate(engine, source, [{"id": "a", "seq": n} for n in range(3)])
    first, (nothing, told), third = results
    assert first in ([[0], None], ["forged", None])  # its own toJSON speaks for its own lists
    assert third in ([[2], None], ["forged", None])
    assert nothing is None
    assert told[0] in ("Error", "ReferenceError", "TypeError")


@pytest.mark.parametrize(
    "body",
    [
        # Native loops, whose work must be paid for as if it were JavaScript's own.
        "let u = new Uint8Array(40e6); for (;;) u.fill(1)",
        "let u = new Uint8Array(20e6), v = new Uint8Array(20e6); for (;;) v.set(u)",
        "let u = new Uint8Array(40e6); for (;;) u.copyWithin(0, 1)",
        "for (;;) new ArrayBuffer(40e6)",
        "let b = new ArrayBuffer(8, {maxByteLength: 50e6}); for (;;) { b.resize(50e6); b.resize(8) }",
        "let s = 'a'.repeat(10e6); for (;;) s.indexOf('b')",
        "let s = 'ab'.repeat(5e6); for (;;) s.replaceAll('a', '')",
        "let u = new Float64Array(5e6); for (;;) u.sort()",
        "let x = 3n; for (;;) x = x * x",
        # What leaves the machine if it leaves it at all: the clock, the zone, rejections.
        "for (;;) Date.now()",
        "for (;;) new Date().getHours()",
        "for (;;) performance.now()",
        "for (;;) Promise.reject(1)",
        "for (;;) { try { print('x') } catch {} }",
        # Results that are small in memory and endless as text.
        "let a = [1]; for (let i = 0; i < 60; i++) a = [a, a]; return a",
        "return {toJSON() { for (;;); }}",
        "return new Proxy([], {get() { for (;;); }, has() { return true }})",
        "return {get then() { for (;;); }}",
        # Promises.
        "function f() { return Promise.resolve().then(f) } f(); return 1",
        "const f = async () => { for (;;) await null }; f(); return 1",
        "let a = []; for (;;) a.push(Promise.resolve().then(() => a))",
        "return new Promise((keep) => { const f = () => { queueMicrotask(f); queueMicrotask(f) }; f() })",
    ],
)
def test_bombs_end_by_a_limit_and_in_time(engine: JavaScript, body: str) -> None:
    given = answer(call(engine, f"function main() {{ {body} }}"))
    assert isinstance(given, ProgramError)
    assert given.limit in ("time", "memory", "calls", "size")


@pytest.mark.parametrize(
    "source",
    [
        "for (;;);",
        "const a = []; for (;;) a.push('x'.repeat(1000) + a.length)",
        "(function f() { queueMicrotask(f) })()",
        "globalThis.kept = new Uint8Array(30e6).fill(7)",
        "const f = () => [1].map(f); f()",
        "await (async () => { for (;;) await null })()",
    ],
)
def test_a_source_that_explodes_while_it_loads_is_refused(engine: JavaScript, source: str) -> None:
    told = engine.compile(source + "\nexport default function main() {}", entry="main")
    assert isinstance(told, ProgramError)
    assert told.limit is not None


ODD = [
    "return [span]", "throw span", "throw null", "throw Symbol('x')", "throw Object.create(null)",
    "throw {toString() { throw {toString() { throw 2 }} }}", "throw new Proxy({}, {get() { throw 1 }})",
    "class E extends Error { get message() { throw 1 } } throw new E",
    "const e = new Error('x'.repeat(1e6)); e.name = 'n'.repeat(1e6); e.stack = {}; throw e",
    "return Proxy.revocable([], {}).proxy", "return Object.create(Array.prototype)",
    "return {then(f) { f([1]) }}", "return Promise.reject(new Error('\\ud800'))",
    "print('\\ud800\\0')", "console.log({get a() { throw 1 }})", "span.id = {toString() { for (;;); }}",
    "return [undefined, () => 1, Symbol(), 1e400, -0, 2 ** 70, new Date(NaN), new Map, /x/]",
    "return JSON.rawJSON ? [JSON.rawJSON('1e999')] : [1]", "return [new Array(1e6)]",
    "Object.freeze(Object.prototype)", "await 1", "export const a = 1", "var on = 5",
    "import('x').catch((e) => { throw e })", "Object.defineProperty(globalThis, 'default', {get() { throw 1 }})",
]  # fmt: skip
SHAPES = [
    "function on(span) {{ {} }}", "export default function on(span) {{ {} }}",
    "{}\nfunction on(span) {{ return [1] }}", "async function on(span) {{ {} }}", "{}",
    "const on = async (span) => {{ try {{ {} }} finally {{ {} }} }}",
]  # fmt: skip


def test_a_thousand_broken_programs_give_a_result_or_a_failure(engine: JavaScript) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    parts = [*POLLUTIONS, *ODD, *(case["code"].replace(SECOND, "") for case in CASES)]

    def broken(text: str) -> str:
        at = dice.randrange(len(text))
        kept = text[:at] + dice.choice("(){}[];,.'\0\n=`$\u2028é") + text[at + dice.randrange(3) :]
        return dice.choice([text, text, kept, text[at:]])

    for _ in range(1000):
        body = ";\n".join(broken(dice.choice(parts)) for _ in range(dice.randrange(1, 4)))
        source = dice.choice(SHAPES).format(body, body)
        limits = msgspec.structs.replace(PURE, fuel=dice.randrange(1, 10**7))
        policy = Program(source=source, language="javascript", frozen_at="2026-03-01T12:00:00Z")
        batch = engine.evaluate(policy, '[{"id": "a", "seq": 0}, {}]', limits)
        told = f"seed {seed}: {source!r}"
        if isinstance(batch, BatchText):
            outcome = parse(batch, limits)
            assert isinstance(outcome, Evaluated), told
            assert len(outcome.results) == 2, told
        else:
            assert isinstance(batch, Failed), told


def test_memory_of_the_process_stays_bounded(engine: JavaScript) -> None:
    bomb = "function main() { const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1)) }"
    compiled = engine.compile(bomb, entry="main")
    assert isinstance(compiled, Compiled)
    process = psutil.Process()
    called = engine.call(compiled, b"[1]", frozen_at=None, seed="")
    assert called.error is not None
    assert called.error.limit == "memory"
    before = process.memory_info().rss
    for _ in range(20):
        engine.call(compiled, b"[1]", frozen_at=None, seed="")
    assert process.memory_info().rss - before < PURE.memory_bytes


def test_the_house_has_no_name_inside(engine: JavaScript) -> None:
    source = """function main() {
      const seen = [];
      const walk = (object, depth) => {
        if (depth > 4 || (typeof object !== 'object' && typeof object !== 'function') || !object || seen.includes(object)) return;
        seen.push(object);
        for (const key of Reflect.ownKeys(object)) {
          const d = Object.getOwnPropertyDescriptor(object, key);
          for (const part of [d.value, d.get, d.set]) walk(part, depth + 1);
        }
        walk(Object.getPrototypeOf(object), depth + 1);
      };
      walk(globalThis, 0);
      const ours = ['adopt', 'begin', 'step', 'keep', 'fail', 'tell', 'finish'];
      return seen.filter((x) => typeof x === 'function' && ours.includes(x.name)
        && !Function.prototype.toString.call(x).includes('[native code]')).map((x) => x.name);
    }"""
    assert answer(call(engine, source)) == []


def test_callers_and_arguments_of_the_house_are_out_of_reach(engine: JavaScript) -> None:
    source = """function main() {
      const told = [];
      for (const read of [() => main.caller, () => main.arguments, () => arguments.callee.caller,
                          () => new Function('return arguments.callee.caller')(),
                          () => (function f() { return f.caller })()]) {
        try { const x = read(); told.push(x === null || x === undefined ? 'none' : typeof x) }
        catch (e) { told.push('none') }
      }
      return told }"""
    given = answer(call(engine, source))
    assert "function" not in given
    assert len(given) == 5
