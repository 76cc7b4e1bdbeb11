"""JavaScript in the sandbox: what a program may look like, what it sees, what comes out of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.base.errors import Misconfigured
from loglineos.runtime.sandbox import quickjs, quickjs_module
from loglineos.runtime.sandbox.frames import BatchText
from loglineos.runtime.sandbox.javascript_engine import Compiled, JavaScript
from loglineos.runtime.sandbox.limits import PURE
from loglineos.runtime.sandbox.turns import Completed, Failed, Program, ProgramError

DATA = Path(__file__).parents[1] / "data" / "sandbox"
NOON = "2026-03-01T12:00:00.000000Z"
SPANS = [{"id": f"s{n}", "seq": 0, "entity_type": "execution", "ms": n * 17} for n in range(500)]


@pytest.fixture(scope="module")
def cache() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="logline-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def engine(cache: Path) -> JavaScript:
    return JavaScript(cache_folder=cache)


def program(source: str, **given: Any) -> Program:
    return Program(source=source, language="javascript", **{"frozen_at": NOON, "seed": "s"} | given)


def run(engine: JavaScript, source: str, value: Any = None, **given: Any) -> Completed | Failed:
    return engine.run_pure(program(source, **given), value, PURE)


def output(engine: JavaScript, source: str, value: Any = None, **given: Any) -> Any:
    turn = run(engine, source, value, **given)
    assert isinstance(turn, Completed), turn
    return turn.output


def error(engine: JavaScript, source: str, value: Any = None, **given: Any) -> ProgramError:
    turn = run(engine, source, value, **given)
    assert isinstance(turn, Failed), turn
    return turn.error


def evaluate(engine: JavaScript, source: str, spans: list[Any], **given: Any) -> list[Any]:
    batch = engine.evaluate(program(source, **given), json.dumps(spans), PURE)
    assert isinstance(batch, BatchText), batch
    return json.loads(batch.text)


@pytest.mark.parametrize(
    "source",
    [
        "function main(input) { return input + 1 }",
        "async function main(input) { await null; return input + 1 }",
        "const main = (input) => input + 1",
        "export default function main(input) { return input + 1 }",
        "export default async function main(input) { return input + 1 }",
        "export default (input) => input + 1",
        "export function main(input) { return input + 1 }",
        "globalThis.default = async function main(input) { return input + 1 }",
        "const one = await Promise.resolve(1); export default (input) => input + one",
        "// export default nothing\nfunction main(input) { return input + 1 }",
        "/*\nexport\n*/ function main(input) { return input + 1 }",
    ],
)
def test_a_function_may_be_written_in_each_of_the_known_shapes(
    engine: JavaScript, source: str
) -> None:
    assert output(engine, source, 41) == 42


def test_a_function_may_have_another_name(engine: JavaScript) -> None:
    source = "function decide(facts) { return facts.n > 1 } function main() { return 'other' }"
    assert output(engine, source, {"n": 2}, entry="decide") is True


def test_a_source_is_tried_by_loading_it_without_an_entry(engine: JavaScript) -> None:
    assert output(engine, "export default function on(span) { throw 1 }", entry="") is None
    assert output(engine, "function main() { for (;;); }", entry="") is None
    told = error(engine, "function main() {\n  return 1 +\n}", entry="")
    assert (told.type, told.where) == ("SyntaxError", ("line 3 in <module>",))


@pytest.mark.parametrize(
    "source",
    [
        "function on(span) { return [span.id] }",
        "export default function on(span) { return [span.id] }",
        "globalThis.default = (span) => [span.id]",
        "async function on(span) { await 0; return [span.id] }",
    ],
)
def test_a_policy_gives_a_list_for_each_span(engine: JavaScript, source: str) -> None:
    assert evaluate(engine, source, [{"id": "a"}, {"id": "b"}]) == [[["a"], None], [["b"], None]]


def test_the_reaper_of_the_origin_runs_verbatim(engine: JavaScript) -> None:
    source = (DATA / "ttl_reaper_policy.js").read_text(encoding="utf-8")
    block = {"id": "b1", "entity_type": "prompt_block", "metadata": {"ttl_minutes": 30}}
    spans = [
        block | {"when": "2026-03-01T11:29:59Z"},
        block | {"when": "2026-03-01T11:30:00Z"},
        block | {"when": "2026-03-01T11:29:59Z", "metadata": None},
        {"id": "b2", "entity_type": "execution"},
    ]
    expired, *others = evaluate(engine, source, spans)
    assert expired == [
        [
            {
                "emit_span": {
                    "entity_type": "status_patch",
                    "who": "policy:ttl",
                    "did": "expired",
                    "this": "status=archived",
                    "status": "complete",
                    "parent_id": "b1",
                    "related_to": ["b1"],
                    "metadata": {"reason": "ttl"},
                }
            }
        ],
        None,
    ]
    assert others == [[[], None]] * 3


def test_a_span_that_fails_says_where_and_leaves_the_others_alone(engine: JavaScript) -> None:
    source = """
    const check = (span) => {
      if (span.bad) throw new RangeError('bad: ' + span.id)
    }
    export default function on(span) {
      check(span)
      return span.none ? null : [span.id]
    }"""
    spans = [{"id": "a"}, {"id": "b", "bad": True}, {"id": "c", "none": True}]
    first, second, third = evaluate(engine, source, spans)
    assert first == [["a"], None]
    assert second == [None, ["RangeError", "bad: b", ["line 6 in on", "line 3 in check"]]]
    assert third == [None, None]


def test_explaining_tells_the_failure_of_the_first_span(engine: JavaScript) -> None:
    policy = program("function on(span) { null.x }")
    turn = engine.evaluate(policy, json.dumps([{}, {}]), PURE, explain=True)
    assert isinstance(turn, Failed)
    assert turn.error.type == "TypeError"
    assert turn.error.where == ("line 1 in on",)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("{}", "on(span) must return a list of actions"),
        ("'text'", "on(span) must return a list of actions"),
        ("[1n]", "BigInt are forbidden in JSON.stringify"),
        ("new Promise(() => {})", "the promise is never settled"),
        ("['\\ud800']", "the answer may not cross the boundary"),
    ],
)
def test_an_answer_that_is_no_list_of_json_fails_its_span(
    engine: JavaScript, answer: str, message: str
) -> None:
    ((none, told),) = evaluate(engine, f"function on() {{ return {answer} }}", [{}])
    assert none is None
    assert told[1] == message


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("function main( {", "SyntaxError", None),
        ("export default 5", "TypeError", "the source has no function main(input)"),
        ("let nothing", "TypeError", "the source has no function main(input)"),
        ("import x from 'fs'; export default () => 1", "ReferenceError", None),
        ("throw new Error('at once'); function main() {}", "Error", "at once"),
        ("await new Promise(() => {}); export default () => 1", "Error", None),
        ("forgotten = 1; function main() {}", "ReferenceError", "forgotten is not defined"),
    ],
)
def test_a_source_that_cannot_be_loaded_says_why(
    engine: JavaScript, source: str, kind: str, message: str | None
) -> None:
    told = engine.compile(source, entry="main")
    assert isinstance(told, ProgramError)
    assert told.type == kind
    assert message is None or told.message == message


def test_a_syntax_error_names_its_line(engine: JavaScript) -> None:
    told = engine.compile("function main() {\n  return 1\n}\nconst x = = 2", entry="main")
    assert isinstance(told, ProgramError)
    assert told.where == ("line 4 in <module>",)


def test_time_stands_still_in_utc(engine: JavaScript) -> None:
    source = """function main() {
      const before = Date.now(); for (let i = 0; i < 1e5; i++); const now = new Date();
      return [before, now.getTime(), now.toISOString(), now.toString(), now.getTimezoneOffset(),
              new Date(2026, 0, 1).toISOString(), performance.now()]
    }"""
    instant = 1772366400000
    assert output(engine, source) == [
        instant,
        instant,
        "2026-03-01T12:00:00.000Z",
        "Sun Mar 01 2026 12:00:00 GMT+0000",
        0,
        "2026-01-01T00:00:00.000Z",
        0,
    ]


def test_there_is_no_time_without_an_instant_and_while_loading(engine: JavaScript) -> None:
    assert (
        "no instant"
        in error(engine, "function main() { return 1 + Date.now() }", frozen_at=None).message
    )
    assert output(engine, "function main() { return 1 }", frozen_at=None) == 1
    early = engine.compile("const start = new Date(); function main() {}", entry="main")
    assert isinstance(early, ProgramError)
    assert "while the source loads" in early.message


def test_chance_follows_the_seed_and_the_span_but_not_the_batch(engine: JavaScript) -> None:
    source = "function on(span) { return [Math.random(), Math.random()] }"
    together = evaluate(engine, source, SPANS[:5])
    alone = [evaluate(engine, source, [span])[0] for span in SPANS[:5]]
    assert together == alone
    drawn = [number for (numbers, _) in together for number in numbers]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= number < 1 for number in drawn)
    assert evaluate(engine, source, SPANS[:5], seed="other") != together


def test_chance_is_spread_evenly(engine: JavaScript) -> None:
    source = """function main() {
      const tens = Array(10).fill(0);
      for (let i = 0; i < 2e4; i++) tens[Math.floor(Math.random() * 10)]++;
      return tens }"""
    assert all(abs(count - 2_000) < 200 for count in output(engine, source))


def test_what_is_printed_is_told_up_to_its_limit(engine: JavaScript) -> None:
    told = run(
        engine, "function main(x) { print('a', 1, {b: [x]}); console.warn(null, Symbol('s')) }", "é"
    )
    assert told.printed == 'a 1 {"b":["é"]}\nnull symbol\n'
    for source in (
        "function main() { for (;;) console.log('x'.repeat(99)) }",
        "function main() { try { for (;;) print('é'.repeat(99)) } catch {} return 1 }",
    ):
        over = run(engine, source)
        assert isinstance(over, Failed)
        assert over.error.limit == "size"
        assert 60_000 < len(over.printed.encode()) <= PURE.printed_bytes_max


ATTACKS = {
    case["category"]: case
    for case in map(json.loads, (DATA / "js.jsonl").read_text(encoding="utf-8").splitlines())
}


@pytest.mark.parametrize("case", ATTACKS.values(), ids=ATTACKS)
def test_one_attack_of_each_kind_is_contained(engine: JavaScript, case: dict[str, Any]) -> None:
    """The whole corpus is in test_javascript_attacks.py."""
    for code in case["code"].split("\n//---SECOND---\n"):
        turn = run(engine, "function main(code) { return (0, eval)(code) }", code)
        assert isinstance(turn, Failed) or turn.output != "ESCAPED"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_é$"), inner),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(value=JSON)
def test_json_goes_in_and_comes_out_unchanged(engine: JavaScript, value: Any) -> None:
    assert output(engine, "function main(input) { return input }", value) == value


def test_a_machine_keeps_nothing_of_the_batch_before(engine: JavaScript) -> None:
    source = (
        "let count = 0; function on(span) { count += 1; globalThis.last = span; return [count] }"
    )
    assert evaluate(engine, source, [{}, {}]) == [[[1], None], [[2], None]]
    assert evaluate(engine, source, [{}]) == [[[1], None]]


FUEL = """
import json, sys
from pathlib import Path
from loglineos.runtime.sandbox.javascript_engine import JavaScript
engine = JavaScript(cache_folder=Path(sys.argv[1]) if sys.argv[1] else None)
told = []
for entry, source, inputs in json.load(sys.stdin):
    compiled = engine.compile(source, entry=entry)
    called = engine.call(compiled, json.dumps(inputs).encode(), frozen_at="2026-03-01T12:00:00Z", seed="s")
    answers = [a.decode() if isinstance(a, bytes) else repr(a) for a in called.answers]
    told.append([compiled.fuel, called.fuel, answers, repr(called.error)])
print(json.dumps(told))
"""

VARIED = [
    ["on", "function on(s) { return s.ms > 500 ? [s, Math.random(), Date.now()] : [] }", SPANS],
    ["on", "async function on(s) { await null; if (s.ms % 3) throw new Error(s.id); return [s] }", SPANS],
    ["main", "function main() { const m = new Map(); for (let i = 0; i < 20000; i++) m.set({i}, 'x' + i); return m.size }", [1]],
    ["main", "function main() { let a = []; for (;;) a.push('x'.repeat(1000) + a.length) }", [1]],
    ["main", "function main() { for (;;); }", [1]],
    ["main", "function main() { return main() }", [1]],
    ["main", "function main() { return /(a+)+$/.test('a'.repeat(40) + '!') }", [1]],
    ["main", "function main() { const s = new Set([3, 1, 2]); return [[...s], Object.keys({b: 1, a: 2, 1: 3}), (0.1 + 0.2) / 3, Math.sin(1e22), new Error('x').stack] }", [1]],
]  # fmt: skip


def test_output_and_fuel_are_the_same_in_every_machine_and_process(cache: Path) -> None:
    def told(folder: str, head: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-c", head + FUEL, folder],
            input=json.dumps(VARIED),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "random"},
        )
        return done.stdout

    first = told(str(cache))
    assert told(str(cache)) == first
    # Compiled anew, and with a check at each access of memory: there is no room to do without.
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
    assert told("", limited) == first
    rows = json.loads(first)
    assert [row[1] == PURE.fuel for row in rows] == [
        False,
        False,
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    engine = JavaScript(cache_folder=cache)
    for (entry, source, inputs), (load, fuel, _, _) in zip(VARIED, rows, strict=True):
        compiled = engine.compile(source, entry=entry)
        assert isinstance(compiled, Compiled)
        text = json.dumps(inputs).encode()
        used = {
            engine.call(compiled, text, frozen_at="2026-03-01T12:00:00Z", seed="s").fuel
            for _ in range(3)
        }
        assert (compiled.fuel, used) == (load, {fuel})


def test_many_threads_may_use_one_engine(engine: JavaScript) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        instant = f"2026-03-01T12:00:{number:02}.000000Z"
        for _ in range(10):
            got = output(
                engine,
                "function main(i) { return [i, new Date().getSeconds()] }",
                number,
                frozen_at=instant,
            )
            if got != [number, number]:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_deep_recursion_ends_inside_javascript_on_a_small_thread(engine: JavaScript) -> None:
    told: list[ProgramError] = []
    size = threading.stack_size(2 * 1024 * 1024)
    try:
        thread = threading.Thread(
            target=lambda: told.append(error(engine, "function main() { return [1].map(main) }"))
        )
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    assert [(e.type, e.limit) for e in told] == [("RangeError", "depth")]


def test_a_smaller_memory_limit_holds(engine: JavaScript) -> None:
    source = "function main() { return new Uint8Array(20e6).length }"
    assert output(engine, source) == 20_000_000
    small = msgspec.structs.replace(PURE, memory_bytes=16 * 1024 * 1024)
    turn = engine.run_pure(program(source), None, small)
    assert isinstance(turn, Failed)
    assert turn.error.limit == "memory"


def test_the_module_is_the_pinned_one() -> None:
    content = (quickjs.FOLDER / "quickjs.wasm").read_bytes()
    assert hashlib.sha256(content).hexdigest() == quickjs.SHA256
    readme = (quickjs.FOLDER / "README.md").read_text(encoding="utf-8")
    assert quickjs.SHA256 in readme


def test_another_module_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in quickjs.FOLDER.glob("*.w*"):
        shutil.copy(file, tmp_path)
    content = bytearray((tmp_path / "quickjs.wasm").read_bytes())
    content[-1] ^= 1
    (tmp_path / "quickjs.wasm").write_bytes(content)
    monkeypatch.setattr(quickjs_module, "FOLDER", tmp_path)
    with pytest.raises(Misconfigured):
        quickjs_module.load(memory_bytes_max=PURE.memory_bytes, cache_folder=None)


def test_a_compiled_module_is_taken_only_from_a_private_folder_and_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    quickjs_module.prepare(memory_bytes_max=PURE.memory_bytes, cache_folder=folder)
    (kept,) = folder.iterdir()
    written = kept.read_bytes()
    machines = quickjs_module.load(memory_bytes_max=PURE.memory_bytes, cache_folder=folder)
    read = quickjs_module._read
    assert read(machines.engine, kept) is not None
    folder.chmod(0o777)
    assert read(machines.engine, kept) is None
    folder.chmod(0o700)
    kept.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    assert read(machines.engine, kept) is None
    kept.write_bytes(written)
    assert read(machines.engine, kept) is not None


def test_a_batch_and_a_fresh_run_are_fast_enough(engine: JavaScript) -> None:
    """A tenth of the goals, by CPU time: it only has to notice when something is badly wrong."""
    source = "function on(span) { return span.ms > 8000 ? [{id: span.id}] : [] }"
    evaluate(engine, source, SPANS)
    began = time.process_time()
    evaluate(engine, source, SPANS)
    assert time.process_time() - began < 0.1
    output(engine, "function main() { return 1 }")
    began = time.process_time()
    for _ in range(10):
        output(engine, "function main() { return 1 }")
    assert (time.process_time() - began) / 10 < 0.02
