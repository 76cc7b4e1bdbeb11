"""The sandbox as its callers meet it: through the host, its sockets and its jailed runners."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from benchmarks.figures import Figure, Scale, percentile
from benchmarks.house import House, tell
from loglineos.base.errors import LoglineError
from loglineos.runtime.sandbox.full_python import FullPython
from loglineos.runtime.sandbox.limits import BATCH_SPANS_MAX
from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
from loglineos.runtime.sandbox.turns import Completed, Evaluated, Program, Suspended, Value

_NOON: Final = "2026-03-01T12:00:00.000000Z"
_POLICIES: Final = {
    "python": """
def on(span):
    if span["entity_type"] == "execution" and span["duration_ms"] > 5000:
        patch = {"entity_type": "status_patch", "status": "slow", "parent_id": span["id"]}
        return [{"emit_span": patch}]
    return []
""",
    "javascript": """
export default function on(span) {
  if (span.entity_type === 'execution' && span.duration_ms > 5000)
    return [{emit_span: {entity_type: 'status_patch', status: 'slow', parent_id: span.id}}];
  return [];
}
""",
}  # fmt: skip
_FUNCTIONS: Final = {
    "python": "def main(input):\n    return {'twice': input['n'] * 2}\n",
    "javascript": "export default (input) => ({twice: input.n * 2})",
}
_NAMES: Final = {"python": "Python", "javascript": "JavaScript"}
_CALLER: Final = """
import ctx
def main(input):
    for _ in range(input):
        ctx.uuid()
"""


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Measure batches, fresh runs and calls by turns, in one runner."""
    batches: dict[str, list[float]] = {name: [] for name in _POLICIES}
    fresh: dict[str, list[float]] = {name: [] for name in _FUNCTIONS}
    calls: list[float] = []
    full: list[float] = []
    whole = _full_python()
    async with Runners(RunnerSettings(processes=1)) as runners:
        for run in range(scale.runs + 1):  # the first one warms up
            for language in _POLICIES:
                batches[language].append(await _batches(runners, language, scale))
                fresh[language].append(await _fresh(runners, language, scale))
            calls.append(await _calls(runners, scale))
            if whole is not None:
                full.append(await _p50(lambda: _run_full(whole), scale.sandbox_runs // 20 + 2))
            tell(f"sandbox {run}/{scale.runs}: {batches['javascript'][-1]:,.0f} spans/s")
    figures = [
        Figure(
            what=f"policy in {_NAMES[language]}, batches of {BATCH_SPANS_MAX}, all fresh",
            unit="spans/s", runs=tuple(batches[language][1:]), goal=50_000,
            note="one runner, through the jail; reading the answers included",
        )
        for language in _POLICIES
    ]  # fmt: skip
    figures += [
        Figure(
            what=f"one fresh sandboxed run in {_NAMES[language]}, p50", unit="ms",
            runs=tuple(fresh[language][1:]), goal=5, sense="at most",
        )
        for language in _FUNCTIONS
    ]  # fmt: skip
    figures.append(
        Figure(
            what="calls out of a Python program, answered", unit="calls/s", runs=tuple(calls[1:])
        )
    )
    if full:
        figures.append(
            Figure(
                what="one run in a whole CPython behind the jail, p50", unit="ms",
                runs=tuple(full[1:]), note="tier X, a process for each run",
            )
        )  # fmt: skip
    return figures


def _full_python() -> FullPython | None:
    try:
        return FullPython()
    except LoglineError:
        return None


async def _batches(runners: Runners, language: Any, scale: Scale) -> float:
    program = Program(
        source=_POLICIES[language], entry="on", language=language, frozen_at=_NOON, seed="bench"
    )
    spans = orjson.dumps([_span(number) for number in range(BATCH_SPANS_MAX)])
    began = time.perf_counter()
    for _ in range(scale.sandbox_batches):
        outcome = await runners.evaluate(program, spans)
        assert isinstance(outcome, Evaluated)
    return scale.sandbox_batches * BATCH_SPANS_MAX / (time.perf_counter() - began)


async def _fresh(runners: Runners, language: Any, scale: Scale) -> float:
    program = Program(source=_FUNCTIONS[language], language=language, frozen_at=_NOON, seed="bench")

    async def once() -> None:
        assert isinstance(await runners.run_pure(program, {"n": 21}), Completed)

    return await _p50(once, scale.sandbox_runs)


async def _run_full(whole: FullPython) -> None:
    async with whole.session() as session:
        turn = await session.start(Program(source=_FUNCTIONS["python"]), {"n": 21})
        assert isinstance(turn, Completed)


async def _p50(once: Callable[[], Awaitable[None]], times: int) -> float:
    waits = []
    for _ in range(times):
        began = time.perf_counter()
        await once()
        waits.append((time.perf_counter() - began) * 1000)
    return percentile(waits, 50)


async def _calls(runners: Runners, scale: Scale) -> float:
    program = Program(source=_CALLER, modules=("ctx.uuid",), seed="bench")
    wanted = min(scale.sandbox_calls, 1000)  # of one session
    began = time.perf_counter()
    async with runners.session() as session:
        turn = await session.start(program, wanted)
        while isinstance(turn, Suspended):
            turn = await session.resume(Value("0190-7c2e"))
        assert isinstance(turn, Completed), turn
    return wanted / (time.perf_counter() - began)


def _span(number: int) -> dict[str, Any]:
    return {
        "id": f"0195f3a2-0000-7000-8000-{number:012d}",
        "seq": 0,
        "entity_type": "execution",
        "who": "ana",
        "did": "limpar_quarto",
        "this": f"quarto {number % 300}",
        "at": _NOON,
        "status": "complete",
        "duration_ms": number * 13 % 9_000,
        "tags": ["balcao"],
        "metadata": {"valor": number, "moeda": "EUR"},
    }
