"""The pool of runners: conversations with real programs in real, jailed workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from msgspec.structs import replace

from loglineos.base.errors import (
    InvalidInput,
    Pushback,
    RunnerLost,
    TooLarge,
    UnknownName,
    ValueRefused,
    VerificationFailed,
)
from loglineos.runtime.sandbox.limits import BATCH_SPANS_MAX, DURABLE, PURE, SOURCE_BYTES_MAX
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.runtime.sandbox.turns import (
    Completed,
    Evaluated,
    Failed,
    Later,
    Module,
    Program,
    Raised,
    Suspended,
    Value,
    Waiting,
)

MODULES = ("ctx.ask", "ctx.ledger.get", "ctx.emit")
NOON = {"$time": "2026-03-02T12:00:00.000000Z"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runners():
    async with Runners(RunnerSettings(processes=1, sessions_max=4, silence_s=5)) as opened:
        yield opened


def program(*lines, **fields):
    return Program(source="\n".join(lines), modules=MODULES, **fields)


async def until(condition, within_s=20.0):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_program_asks_and_is_answered(runners):
    asks = program(
        "import ctx",
        "from ctx.ledger import get",
        "def main(input):",
        "    print('begin')",
        "    a = ctx.ask('Reembolsar?', who=input['who'])",
        "    print('middle')",
        "    return [a, get('x'), type(input['when']).__name__]",
    )
    async with runners.session() as session:
        turn = await session.start(asks, {"who": "ana", "when": NOON})
        assert turn == Suspended(
            kind="call", name="ctx.ask", args=["Reembolsar?"], kwargs={"who": "ana"}, call_id=2,
            cpu_us=turn.cpu_us, printed="begin\n",
        )  # fmt: skip
        turn = await session.resume(Value({"answer": "yes"}))
        assert (turn.name, turn.args, turn.printed) == ("ctx.ledger.get", ["x"], "middle\n")
        turn = await session.resume(Value(None))
        assert turn == Completed(
            output=[{"answer": "yes"}, None, "datetime"], cpu_us=turn.cpu_us, printed=""
        )
        assert turn.cpu_us > 0
        with pytest.raises(InvalidInput):
            await session.resume(Value(None))


async def test_time_and_sleep_of_a_durable_program_are_asked_of_the_host(runners):
    clocks = program(
        "import time, asyncio",
        "from datetime import datetime, date, timezone",
        "def main(input):",
        "    time.sleep(3 * 86400)",
        "    return [str(datetime.now()), str(datetime.now(timezone.utc)), str(date.today()), time.time()]",
    )
    async with runners.session() as session:
        turn = await session.start(clocks)
        assert (turn.kind, turn.name, turn.args) == ("os", "time.sleep", [259200])
        asked = []
        while isinstance(turn := await session.resume(Value(NOON)), Suspended):
            assert turn.args == []
            asked.append((turn.kind, turn.name))
    assert asked == [
        ("os", "datetime.now"), ("os", "datetime.now"), ("os", "date.today"), ("os", "time.time"),
    ]  # fmt: skip
    assert turn.output == [
        "2026-03-02 12:00:00", "2026-03-02 12:00:00+00:00", "2026-03-02", 1772452800,
    ]  # fmt: skip


async def test_time_of_a_pure_program_stands_still_and_sleep_is_refused(runners):
    clocks = program(
        "import time, random",
        "from datetime import datetime",
        "def main(input):",
        "    try:",
        "        time.sleep(1)",
        "    except PermissionError as error:",
        "        return [str(error), str(datetime.now()), random.random()]",
        frozen_at="2026-03-02T12:00:00.000000Z",
        seed="one",
    )
    first = await runners.run_pure(clocks)
    assert first.output[:2] == ["sleep is an effect", "2026-03-02 12:00:00"]
    assert (await runners.run_pure(clocks)).output == first.output
    assert (await runners.run_pure(replace(clocks, seed="two"))).output != first.output


async def test_the_order_of_settling_is_the_hosts(runners):
    gathers = program(
        "import ctx, asyncio",
        "seen = []",
        "async def one(i):",
        "    got = await ctx.ask(i)",
        "    seen.append(i)",
        "    return got",
        "async def main(input):",
        "    return [await asyncio.gather(*[one(i) for i in range(3)]), seen]",
    )
    async with runners.session() as session:
        turn = await session.start(gathers)
        calls = []
        while isinstance(turn, Suspended):
            assert turn.awaited is True
            calls.append(turn.call_id)
            turn = await session.resume(Later())
        assert turn.pending == tuple(sorted(calls))
        with pytest.raises(InvalidInput):
            await session.resume(Value(1))
        with pytest.raises(InvalidInput):
            await session.settle(999, Value(1))
        for call_id in (calls[2], calls[0], calls[1]):
            assert isinstance(turn, Waiting)
            turn = await session.settle(call_id, Value(call_id))
    assert turn.output == [calls, [2, 0, 1]]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("transfer(10 ** 400, {1, 2})", "NameError"),
        ("ctx.transfer(1)", "AttributeError"),
        ("ctx._ask(1)", "AttributeError"),
        ("ctx.ledger(1)", "TypeError"),
        ("__import__('os')", "NameError"),
        ("open('/etc/passwd')", "PermissionError"),
        ("print(__file__) or undefined", "NameError"),
    ],
)
async def test_a_name_that_was_not_given_never_reaches_the_host(runners, line, kind):
    tries = program("import ctx", "def main(input):", f"    return {line}")
    async with runners.session() as session:
        turn = await session.start(tries)
    assert isinstance(turn, Failed)
    assert turn.error.type == kind
    assert turn.error.where == ("line 3 in main",)


async def test_the_name_decides_before_the_arguments_are_looked_at(runners):
    tries = program(
        "def main(input):",
        "    x = [1]",
        "    for i in range(40): x = [x, x]",
        "    try:",
        "        transfer(x)",
        "    except NameError as error:",
        "        return str(error)",
    )
    turn = await runners.run_pure(tries)
    assert turn.output == "name 'transfer' is not defined"


async def test_an_argument_that_may_not_cross_is_refused_inside_the_program(runners):
    tries = program(
        "import ctx",
        "def main(input):",
        "    x = [1]",
        "    for i in range(40): x = [x, x]",
        "    try:",
        "        ctx.ask(x)",
        "    except ValueError as error:",
        "        return str(error)[-100:]",
    )
    async with runners.session() as session:
        turn = await session.start(tries)
    assert "too many parts" in turn.output


async def test_a_program_that_tries_it_again_and_again_is_ended(runners):
    tries = program(
        "import ctx",
        "def main(input):",
        "    while True:",
        "        try:",
        "            ctx.ask(float('nan'))",
        "        except ValueError:",
        "            pass",
    )
    async with runners.session() as session:
        turn = await session.start(tries)
    assert (turn.error.type, turn.error.limit) == ("ValueRefused", "size")


async def test_an_answer_raises_only_what_it_may(runners):
    tries = program(
        "import ctx",
        "def main(input):",
        "    try:",
        "        return ctx.ask(1)",
        "    except Exception as error:",
        "        return [type(error).__name__, str(error)]",
    )
    for raised, told in (
        (Raised("KeyError", "k"), ["KeyError", "'k'"]),
        (Raised("TimeoutError", "provider_timeout"), ["TimeoutError", "provider_timeout"]),
        (Raised("SystemExit", "out"), ["RuntimeError", "out"]),
        (Raised("MyOwnError", ""), ["RuntimeError", ""]),
    ):
        async with runners.session() as session:
            await session.start(tries)
            assert (await session.resume(raised)).output == told


async def test_an_answer_that_may_not_cross_leaves_the_turn_standing(runners):
    asks = program("import ctx", "def main(input): return ctx.ask(1)")
    async with runners.session() as session:
        await session.start(asks)
        with pytest.raises(ValueRefused):
            await session.resume(Value({1, 2}))
        assert (await session.resume(Value(b"\x01"))).output == {"$bytes": "01"}


@pytest.mark.parametrize(
    ("body", "limit", "message"),
    [
        ("while True: pass", "time", "time limit exceeded"),
        ("x = 'a' * 10**9", "memory", "memory limit exceeded"),
        ("main(input)", "depth", "maximum recursion depth exceeded"),
        ("print('a' * 70_000)", "size", "too much printed"),
        ("while True: ctx.ask(1)", "calls", "too many calls"),
    ],
)
async def test_every_limit_is_told_by_its_name_and_without_numbers(runners, body, limit, message):
    spends = program("import ctx", "def main(input):", f"    {body}")
    limits = replace(DURABLE, turn_s=0.3, feed_s=0.3, suspensions_max=5)
    async with runners.session(limits=limits) as session:
        turn = await session.start(spends)
        answered = 0
        while isinstance(turn, Suspended):
            answered += 1
            turn = await session.resume(Value(None))
    assert (turn.error.limit, turn.error.message) == (limit, message)
    assert answered == (5 if limit == "calls" else 0)


async def test_cpu_is_told_for_each_turn(runners):
    spends = program(
        "import ctx",
        "def main(input):",
        "    ctx.ask(0)",
        "    for i in range(4_000_000): pass",
        "    return ctx.ask(1)",
    )
    async with runners.session() as session:
        idle = await session.start(spends)
        busy = await session.resume(Value(None))
        last = await session.resume(Value(None))
    assert busy.cpu_us > 5_000
    assert busy.cpu_us > 5 * max(idle.cpu_us, last.cpu_us)


async def test_what_is_returned_must_be_a_value(runners):
    for body in ("{1, 2}", "float('nan')", "2 ** 60", "{1: 2}"):
        turn = await runners.run_pure(program("def main(input):", f"    return {body}"))
        assert turn.error.type == "ValueRefused", body
    shared = program(
        "def main(input):",
        "    x = [1]",
        "    for i in range(40): x = [x, x]",
        "    return x",
    )
    assert (await runners.run_pure(shared)).error.type == "ValueRefused"


async def test_a_pure_program_has_no_effects(runners):
    turn = await runners.run_pure(program("import ctx", "def main(input): return ctx.ask(1)"))
    assert turn.error.limit == "calls"
    turn = await runners.run_pure(Program(source="import ctx\ndef main(input): pass"))
    assert turn.error.type == "ModuleNotFoundError"


async def test_the_prelude_is_imported_as_a_module_and_keeps_to_itself(runners):
    sdk = Module(
        name="sdk",
        source="def _cents(x):\n    return round(x * 100)\ndef money(x):\n    return _cents(x)\nRATE = 7\n",
    )
    uses = Program(
        source="import sdk\nfrom sdk import (money as m,\n  RATE)\n_cents = None\n"
        "def money(x):\n    return 'mine'\ndef main(input):\n"
        "    return [sdk.money(1.5), m(2), RATE, money(1), sdk.nothing]\n",
        prelude=(sdk,),
    )
    turn = await runners.run_pure(uses)
    assert turn.error.type == "AttributeError"
    assert turn.error.where == ("line 8 in main",)
    works = replace(uses, source=uses.source.replace(", sdk.nothing", ""))
    assert (await runners.run_pure(works)).output == [150, 200, 7, "mine"]
    broken = replace(uses, prelude=(Module(name="sdk", source="RATE = 1 / 0\nmoney = 1"),))
    turn = await runners.run_pure(broken)
    assert turn.error.type == "ZeroDivisionError"
    assert turn.error.where[-1] == "prelude line 1 in <module>"


async def test_a_batch_is_evaluated_and_one_bad_span_spoils_itself_only(runners):
    policy = Program(
        source="def on(span):\n"
        "    n = span['n']\n"
        "    if n == 2:\n"
        "        raise ValueError('two')\n"
        "    if n == 3:\n"
        "        return 'no list'\n"
        "    if n == 4:\n"
        "        return [2 ** 60]\n"
        "    if n == 5:\n"
        "        return [float('nan')]\n"
        "    return [{'emit': n}] if n else None\n"
    )
    outcome = await runners.evaluate(policy, [{"n": n} for n in (0, 1, 2, 3, 4, 6)])
    assert isinstance(outcome, Evaluated)
    actions = [result[0] for result in outcome.results]
    kinds = [error and error.type for _, error in outcome.results]
    assert actions == [[], [{"emit": 1}], None, None, None, [{"emit": 6}]]
    assert kinds == [None, None, "ValueError", "TypeError", "ValueRefused", None]
    assert outcome.results[2][1].where == ("line 4 in on",)
    assert isinstance(await runners.evaluate(policy, [{"n": 5}]), Failed)
    assert (await runners.evaluate(policy, b'[{"n":1}]')).results == (([{"emit": 1}], None),)


async def test_a_limit_fails_the_batch_so_that_it_can_be_cut_in_two(runners):
    policy = Program(source="def on(span):\n    while span['n'] == 3: pass\n")
    turn = await runners.evaluate(policy, [{"n": n} for n in range(5)])
    assert turn.error.limit == "time"
    assert isinstance(await runners.evaluate(policy, [{"n": n} for n in range(3)]), Evaluated)
    effects = program("import ctx", "def on(span):", "    ctx.ask(1)")
    assert isinstance(await runners.evaluate(effects, [{}]), Failed)
    assert isinstance(await runners.evaluate(Program(source="def on(:"), [{}]), Failed)


async def test_a_batch_and_a_source_have_limits(runners):
    policy = Program(source="def on(span): pass")
    with pytest.raises(TooLarge):
        await runners.evaluate(policy, [{}] * (BATCH_SPANS_MAX + 1))
    with pytest.raises(InvalidInput):
        await runners.evaluate(policy, [{"a": {1, 2}}])
    with pytest.raises(TooLarge):
        await runners.run_pure(Program(source="#" * (SOURCE_BYTES_MAX + 1)))
    with pytest.raises(InvalidInput):
        await runners.run_pure(Program(source="", entry="main(); evil"))
    with pytest.raises(ValueRefused):
        await runners.run_pure(policy, object())
    async with runners.session() as session:
        with pytest.raises(UnknownName):
            await session.start(Program(source="", language="javascript"))


async def test_a_dump_goes_on_in_another_session(runners):
    asks = program(
        "import ctx", "from datetime import datetime",
        "def main(input):",
        "    kept = {'b', 'a'}",
        "    first = ctx.ask(1)",
        "    return [sorted(kept), first, ctx.ask(2)]",
    )  # fmt: skip
    async with runners.session() as session:
        turn = await session.start(asks)
        blob = await session.dump()
        assert (await session.resume(Value("one"))).args == [2]
    async with runners.session() as session:
        again = await session.load(blob, asks)
        assert replace(again, cpu_us=0) == replace(turn, cpu_us=0)
        await session.resume(Value("one"))
        assert (await session.resume(Value(3))).output == [["a", "b"], "one", 3]


@pytest.mark.parametrize("blob", [b"", b"garbage", b"\x00" * 1000, os.urandom(5000)])
async def test_what_is_no_dump_is_a_clean_error(runners, blob):
    asks = program("import ctx", "def main(input): return ctx.ask(1)")
    async with runners.session() as session:
        with pytest.raises(VerificationFailed):
            await session.load(blob, asks)
        assert isinstance(await session.start(asks), Suspended)


async def test_a_damaged_dump_ends_in_an_error_or_a_turn_and_never_in_the_pool(runners):
    asks = program("import ctx", "def main(input): return [ctx.ask(1), 'x' * 50]")
    async with runners.session() as session:
        await session.start(asks)
        blob = await session.dump()
    for place in range(0, len(blob), max(1, len(blob) // 60)):
        damaged = blob[:place] + bytes([blob[place] ^ 0x41]) + blob[place + 1 :]
        async with runners.session(limits=PURE) as session:
            try:
                turn = await session.load(damaged, asks)
            except (VerificationFailed, RunnerLost):
                continue
            assert isinstance(turn, (Suspended, Waiting, Completed, Failed))
    assert (await runners.run_pure(Program(source="def main(n): return n"), 5)).output == 5


async def test_a_dump_that_is_too_large_is_refused(runners):
    big = program("import ctx", "def main(input):", "    x = 'é' * 4_000_000", "    ctx.ask(1)")
    async with runners.session() as session:
        await session.start(big)
        with pytest.raises(TooLarge):
            await session.dump()
        assert isinstance(await session.resume(Value(None)), Completed)


async def test_a_runner_that_is_killed_takes_its_sessions_and_the_pool_recovers(runners):
    asks = program("import ctx", "def main(input): return ctx.ask(1)")
    loops = Program(source="def main(input):\n    while True: pass")
    patient = replace(DURABLE, turn_s=60, feed_s=60)
    async with runners.session() as session, runners.session(limits=patient) as other:
        await session.start(asks)
        (process,) = runners.process_ids
        runner = psutil.Process(process)
        running = asyncio.create_task(other.start(loops))
        await until(lambda: any(w.cpu_times().user > 0.05 for w in runner.children()))
        workers = runner.children()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(RunnerLost):
            await running
        with pytest.raises(RunnerLost):
            await session.resume(Value(1))
    answer = await runners.run_pure(Program(source="def main(n): return n"), 5)
    assert answer.output == 5
    assert process not in runners.process_ids
    await until(lambda: not any(worker.is_running() for worker in workers))


async def test_a_runner_that_hangs_is_ended_and_replaced():
    settings = RunnerSettings(processes=1, sessions_max=2, silence_s=0.2)
    async with Runners(settings) as runners:
        (process,) = runners.process_ids
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(RunnerLost):
            await runners.run_pure(Program(source="def main(n): return n"), 5)
        answer = await runners.run_pure(Program(source="def main(n): return n"), 6)
        assert answer.output == 6


async def test_a_worker_that_is_killed_loses_its_session_only(runners):
    asks = program("import ctx", "def main(input): return ctx.ask(1)")
    async with runners.session() as session:
        await session.start(asks)
        (process,) = runners.process_ids
        for worker in psutil.Process(process).children(recursive=True):
            worker.kill()
        with pytest.raises(RunnerLost):
            await session.resume(Value(1))
        assert isinstance(await session.start(asks), Suspended)
    assert runners.process_ids == [process]


async def test_more_sessions_than_places_wait_and_then_are_pushed_back():
    asks = program("import ctx", "def main(input): return ctx.ask(1)")
    async with Runners(RunnerSettings(processes=1, sessions_max=1, wait_s=0.2)) as runners:
        async with runners.session() as session:
            await session.start(asks)
            with pytest.raises(Pushback):
                await runners.run_pure(Program(source="def main(n): return n"))
            waiting = asyncio.create_task(runners.run_pure(Program(source="def main(n): return n")))
            await asyncio.sleep(0)
        assert isinstance(await waiting, Completed)


async def test_an_asker_who_leaves_does_not_leave_the_answer_to_the_next():
    slow = Program(source="def main(n):\n    for i in range(2_000_000): pass\n    return n")
    async with Runners(RunnerSettings(processes=1, sessions_max=1)) as runners:
        for n in range(6):
            leaving = asyncio.create_task(runners.run_pure(slow, n))
            await asyncio.sleep(0.003 * n)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert (await runners.run_pure(slow, 100 + n)).output == 100 + n


async def test_many_sessions_at_once_do_not_mix(runners):
    asks = program("import ctx", "def main(n): return [n] + [ctx.ask(n, i) for i in range(20)]")

    async def one(n):
        async with runners.session() as session:
            turn = await session.start(asks, n)
            while isinstance(turn, Suspended):
                assert turn.args[0] == n
                turn = await session.resume(Value(n * 1000 + turn.args[1]))
            return turn.output

    found = await asyncio.gather(*[one(n) for n in range(12)])
    assert found == [[n] + [n * 1000 + i for i in range(20)] for n in range(12)]


async def test_the_engine_is_named_with_its_bytes(runners):
    name, mark = runners.engine.split("+")
    assert name == "monty/1.4.0"
    assert len(mark) == 12


async def test_a_runner_has_no_environment_and_no_files_of_the_house(runners, monkeypatch):
    (process,) = runners.process_ids
    for seen in (process, *(w.pid for w in psutil.Process(process).children(recursive=True))):
        if os.geteuid() == 0:
            assert Path(f"/proc/{seen}/environ").read_bytes() == b""
            opened = [str(f.resolve()) for f in Path(f"/proc/{seen}/fd").iterdir()]
            kept = [f for f in opened if not f.startswith(("/dev/", "/proc/"))]
            assert kept == []


async def test_everything_ends_with_the_host(tmp_path):
    """H7: a host that is killed leaves no runner and no worker behind, not even a looping one."""
    code = textwrap.dedent(
        """
        import asyncio, sys
        from loglineos.runtime.sandbox.limits import RunLimits
        from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
        from loglineos.runtime.sandbox.turns import Program

        async def main():
            async with Runners(RunnerSettings(processes=1)) as runners:
                limits = RunLimits(turn_s=60, feed_s=60, memory_bytes=2**26, depth_max=9, suspensions_max=0)
                print(runners.process_ids[0], flush=True)
                await runners.run_pure(Program(source="def main(n):\\n    while True: pass"), limits=limits)

        asyncio.run(main())
        """
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=subprocess.PIPE, env=environment
    )
    runner = psutil.Process(int(await host.stdout.readline()))
    await until(lambda: any(c.cpu_times().user > 0.05 for c in runner.children()))
    left = [runner, *runner.children(recursive=True)]
    host.kill()
    await host.wait()
    await until(lambda: not any(p.is_running() and p.status() != "zombie" for p in left))
    assert len(left) >= 2
