"""A run is the same in another process, after a dump at every turn, and from its journal."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from msgspec.structs import replace

from loglineos.runtime.sandbox import jail
from loglineos.runtime.sandbox.turns import Completed, Failed
from loglineos.runtime.sandbox.values import canon, digest
from tests.sandbox_driver import LIMITS, Driver, engine, program
from tests.sandbox_programs import PROGRAMS

HASHES = Path(__file__).parents[1] / "data" / "sandbox" / "determinism.json"


def fingerprint(driver, turn):
    outcome = turn.output if isinstance(turn, Completed) else [turn.error.type, turn.error.message]
    asked = [list(entry.asked) for entry in driver.journal]
    return digest(canon([outcome, driver.printed, asked]))


@pytest.fixture(scope="module")
def here():
    with engine(jailed=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def elsewhere():
    with engine(jailed=False) as opened:
        yield opened


def first_run(here, name):
    given = program(PROGRAMS[name])
    driver = Driver(given)
    return driver, driver.run(here.session(given, LIMITS))


def test_there_are_enough_programs_and_most_of_them_end_well(here):
    assert len(PROGRAMS) >= 40
    turns = {name: first_run(here, name)[1] for name in PROGRAMS}
    failed = {name: turn.error for name, turn in turns.items() if isinstance(turn, Failed)}
    assert len(failed) <= 6, failed
    assert not [error for error in failed.values() if error.limit is not None]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_in_another_process_is_the_same(name, here, elsewhere):
    driver, turn = first_run(here, name)
    again = Driver(driver.program)
    other = again.run(elsewhere.session(driver.program, LIMITS))
    assert fingerprint(again, other) == fingerprint(driver, turn)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_run_moved_to_another_process_at_every_turn_is_the_same(name, here, elsewhere):
    driver, turn = first_run(here, name)
    moved = Driver(driver.program)
    homes = [here, elsewhere]

    def move(session, standing):
        blob = session.dump()
        session.close()
        homes.reverse()
        fresh = homes[0].session(driver.program, LIMITS)
        stands = fresh.load(blob)
        assert replace(stands, cpu_us=0, printed="") == replace(standing, cpu_us=0, printed="")
        return fresh, stands

    last = moved.run(elsewhere.session(driver.program, LIMITS), move)
    assert fingerprint(moved, last) == fingerprint(driver, turn)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_replay_from_the_journal_is_the_same(name, here, elsewhere):
    driver, turn = first_run(here, name)
    replay = Driver(driver.program, journal=driver.journal)
    again = replay.run(elsewhere.session(driver.program, LIMITS))
    assert fingerprint(replay, again) == fingerprint(driver, turn)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the last digit of libm is not ours")
def test_this_engine_gives_what_the_last_one_gave(here):
    """An upgrade of the engine must come with a look at every line that changes here."""
    found = {name: fingerprint(*first_run(here, name)) for name in PROGRAMS}
    kept = json.loads(HASHES.read_text(encoding="utf-8"))
    assert {"engine": jail.monty().version, "programs": found} == kept
