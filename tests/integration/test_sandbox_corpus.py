"""Attacks on the Python engine: none gets out, none runs for ever, the worker pool survives each.

A case says what is expected of it: `blocked` (nothing of the host's is reached), `limited` (ended by
a limit, of ours or of the engine) or `ok` (harmless, may end well).
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.python_engine import WorkerGone
from loglineos.runtime.sandbox.turns import (
    SCRIPT,
    Completed,
    Failed,
    Later,
    Program,
    Raised,
    Suspended,
    Value,
    Waiting,
)
from tests.sandbox_driver import engine

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "sandbox" / "monty.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
SAMPLE = [case for index, case in enumerate(CASES) if index % 8 == 0 or case["category"] == "host"]
LIMITS = RunLimits(
    turn_s=1.0, feed_s=1.0, memory_bytes=64 * 1024 * 1024, depth_max=200, suspensions_max=100
)
STOPPED_S_MAX = 10.0  # the limit is 1 s and half a second of grace; the rest is a busy machine
CAPABILITIES = {
    "ask": "host.ask",
    "strict": "host.ask",
    "boom": "host.boom",
    "aask": "host.aask",
    "user": "host.whoami",
    "tools": "tools.add",
}


def name_of(case):
    return case["name"]


@pytest.fixture(scope="module")
def jailed():
    with engine(jailed=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare():
    with engine(jailed=False) as opened:
        yield opened


def source_of(case):
    """Return the attack's text; what it calls of the host's is imported, as a program must."""
    code = eval(case["code"]) if case.get("expand") else case["code"]
    names = [CAPABILITIES[host] for host in case.get("host", ())]
    given = sorted({name.removeprefix("host.") for name in names if name.startswith("host.")})
    head = f"from host import {', '.join(given)}\n" if given else ""
    return head + code, tuple(names)


def answer(call, case):
    if call.awaited:
        return Later()
    if call.name == "host.boom":
        return Raised("RuntimeError", "call failed")
    if "strict" in case.get("host", ()) and call.kwargs:
        return Raised("ValueError", "no such argument")
    return Value("yes")


def attack(opened, case, source, names):
    """Run one text to its end; return its last turn, or WorkerGone."""
    program = Program(source=source, entry=SCRIPT, modules=names, seed=source[:20])
    session = opened.session(program, LIMITS)
    try:
        turn = session.start(None)
        while isinstance(turn, (Suspended, Waiting)):
            if isinstance(turn, Waiting):
                turn = session.settle(turn.pending[0], Value(1))
            elif turn.kind == "os":
                turn = session.resume(Raised("PermissionError", "not granted"))
            else:
                turn = session.resume(answer(turn, case))
    except WorkerGone as gone:
        return gone
    finally:
        session.close()
    return turn


def check(opened, case):
    source, names = source_of(case)
    for part in source.split("#---SESSION2---\n"):
        began = time.monotonic()
        outcome = attack(opened, case, part, names)
        assert time.monotonic() - began < STOPPED_S_MAX
    assert not Path("/var/tmp/sandbox_pwned").exists()
    if isinstance(outcome, Completed):
        assert "ESCAPED" not in json.dumps(outcome.output)
        assert case["expected"] != "limited"
    elif isinstance(outcome, Failed):
        told = outcome.error.message + str(outcome.error.where)
        assert "/srv/" not in told
        assert "site-packages" not in told
    else:
        assert case["expected"] == "limited"
    canary = opened.run_pure(Program(source="def main(n):\n    return n + 2"), 40, LIMITS)
    assert isinstance(canary, Completed)
    assert canary.output == 42


@pytest.mark.parametrize("case", SAMPLE, ids=name_of)
def test_an_attack_of_the_sample_does_not_get_out(case, jailed):
    check(jailed, case)


@pytest.mark.security
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_no_attack_gets_out_of_the_jail(case, jailed):
    check(jailed, case)


@pytest.mark.security
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_no_attack_gets_out_of_the_engine_alone(case, bare):
    check(bare, case)
