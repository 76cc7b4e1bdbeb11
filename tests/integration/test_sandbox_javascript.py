"""JavaScript through the whole sandbox: host, jailed runner, machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.runtime.sandbox.turns import Completed, Evaluated, Failed, Program

NOON = "2026-03-01T12:00:00.000000Z"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "javascript"


@pytest.fixture
async def runners(kept: Path) -> AsyncIterator[Runners]:
    async with Runners(RunnerSettings(processes=1, javascript_folder=str(kept))) as pool:
        yield pool


def program(source: str, entry: str = "main") -> Program:
    return Program(source=source, entry=entry, language="javascript", frozen_at=NOON, seed="s")


async def test_a_pure_function_runs_behind_the_jail(runners: Runners, kept: Path) -> None:
    source = "export default async (input) => ({twice: input * 2, at: new Date().toISOString()})"
    turn = await runners.run_pure(program(source), 21)
    assert isinstance(turn, Completed)
    assert turn.output == {"twice": 42, "at": "2026-03-01T12:00:00.000Z"}
    (file,) = kept.iterdir()
    assert file.stat().st_size > 1_000_000
    assert kept.stat().st_mode & 0o777 == 0o700
    assert runners.engine_of("javascript").startswith("quickjs-ng/0.17.0+")
    assert runners.engine_of("python") == runners.engine


async def test_the_compiled_machine_is_kept_for_the_next_pool(runners: Runners, kept: Path) -> None:
    await runners.run_pure(program("function main() {}"))
    (file,) = kept.iterdir()
    before = file.stat()
    async with Runners(RunnerSettings(processes=1, javascript_folder=str(kept))) as others:
        assert isinstance(await others.run_pure(program("function main() {}")), Completed)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_a_batch_gives_a_result_for_each_span(runners: Runners) -> None:
    source = """function on(span) {
      if (span.n === 1) throw new RangeError('no ' + span.n)
      return span.n ? [{emit_span: {parent_id: span.id}}] : []
    }"""
    spans = [{"id": f"s{n}", "n": n} for n in range(3)]
    outcome = await runners.evaluate(program(source, "on"), spans)
    assert isinstance(outcome, Evaluated)
    (first, none), (nothing, error), (third, also_none) = outcome.results
    assert (first, none) == ([], None)
    assert nothing is None
    assert error is not None
    assert (error.type, error.message, error.where) == ("RangeError", "no 1", ("line 2 in on",))
    assert (third, also_none) == ([{"emit_span": {"parent_id": "s2"}}], None)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("for (;;);", "time"),
        ("const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", "memory"),
        ("const f = () => Promise.resolve().then(f); return f()", "calls"),
        ("return main()", "depth"),
        ("for (;;) print('x'.repeat(999))", "size"),
        ("return 'x'.repeat(2e6)", "size"),
    ],
)
async def test_a_limit_ends_the_run_and_not_the_runner(
    runners: Runners, body: str, limit: str
) -> None:
    before = runners.process_ids
    turn = await runners.run_pure(program(f"function main() {{ {body} }}"))
    assert isinstance(turn, Failed)
    assert turn.error.limit == limit
    after = await runners.run_pure(program("function main() { return 1 }"))
    assert isinstance(after, Completed)
    assert runners.process_ids == before


async def test_runs_at_the_same_time_do_not_mix(runners: Runners) -> None:
    async def one(number: int) -> Any:
        source = f"let own = {number}; function main(i) {{ own += i; return [own, Math.random()] }}"
        turn = await runners.run_pure(program(source), number)
        assert isinstance(turn, Completed)
        return turn.output

    outputs = await asyncio.gather(*(one(number) for number in range(24)))
    assert [output[0] for output in outputs] == [2 * number for number in range(24)]


async def test_no_program_sees_the_process_that_runs_it(runners: Runners) -> None:
    names = ["process", "require", "Deno", "std", "os", "scriptArgs", "fetch", "setTimeout"]
    told = f"[{','.join(f'typeof {name}' for name in names)}]"
    turn = await runners.run_pure(program(f"function main() {{ return {told} }}"))
    assert isinstance(turn, Completed)
    assert turn.output == ["undefined"] * len(names)
    assert os.getpid() not in runners.process_ids
