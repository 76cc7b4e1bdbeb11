"""Nothing acknowledged is ever lost, doubled or misplaced, whatever is killed and when."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loglineos.database.embedded import EmbeddedPostgres
from tests.crash.plan import make_plan
from tests.crash.site import Rounds, Site, wait_until
from tests.crash.worker import CUTS, FAULTS_LEFT, MADE, STEPS, Fault

SEED = 7
ROUNDS_OF_A_DATABASE = 20


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server for this module: its backends are killed, its postmaster is not."""
    yield from _site()


@pytest.fixture(scope="module")
def mortal_site() -> Iterator[Site]:
    """A server that tests may kill and stop."""
    yield from _site()


def _site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    with EmbeddedPostgres.start(folder) as postgres:
        yield Site.make(postgres)
    shutil.rmtree(folder)


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_loses_nothing_that_it_acknowledged(site: Site, step: str):
    rounds = site.new_database()
    worker = rounds.work(SEED, Fault(kind="kill_worker", step=step, skip=2))
    unanswered = rounds.settle(worker)
    assert worker.process.returncode == -signal.SIGKILL
    assert worker.acks()
    assert unanswered


@pytest.mark.parametrize("kind", ["exception", "disconnect", "terminate_backend", "kill_backend"])
def test_a_worker_outlives_the_loss_of_its_connection_at_every_step(site: Site, kind: str):
    rounds = site.new_database()
    worker = rounds.work(SEED, *[Fault(kind=kind, step=step) for step in STEPS])
    assert rounds.settle(worker) == 0
    assert worker.process.returncode == 0


@pytest.mark.parametrize("kind", ["kill_postmaster", "quit_postmaster"])
def test_a_worker_outlives_the_death_of_postgres_at_every_step(mortal_site: Site, kind: str):
    rounds = mortal_site.new_database()
    worker = rounds.work(SEED, *[Fault(kind=kind, step=step) for step in STEPS])
    assert rounds.settle(worker) == 0
    assert worker.process.returncode == 0


@pytest.mark.parametrize("kind", CUTS)
def test_a_commit_whose_question_or_answer_is_lost_is_done_once(site: Site, kind: str):
    rounds = site.new_database()
    worker = rounds.work(SEED, *[Fault(kind=kind, skip=skip) for skip in (0, 1, 1)])
    assert rounds.settle(worker) == 0
    assert worker.process.returncode == 0


def test_of_two_processes_on_one_ledger_the_killed_one_does_not_harm_the_other(site: Site):
    rounds = site.new_database()
    killed = rounds.work(SEED, Fault(kind="kill_worker", step="inserted", skip=3))
    other = rounds.work(SEED + 1)
    assert rounds.settle(killed, other)
    assert (killed.process.returncode, other.process.returncode) == (-signal.SIGKILL, 0)
    assert len(other.acks()) == len(rounds.acks) - len(_of(rounds, killed.seed))


def test_two_processes_that_append_the_same_acts_at_once_store_them_once(site: Site):
    rounds = site.new_database()
    workers = [rounds.work(SEED), rounds.work(SEED)]
    first, second = [worker.end() for worker in workers]
    assert set(first) == set(second)
    assert rounds.settle(workers[0]) == 0
    assert [worker.process.returncode for worker in workers] == [0, 0]


STEPS_OF_A_WAY = [
    *(("short", step) for step in STEPS), *(("streamed", step) for step in (MADE, *STEPS))
]  # fmt: skip


@pytest.mark.parametrize(("way", "step"), STEPS_OF_A_WAY)
def test_a_process_killed_at_any_step_of_any_way_loses_nothing(site: Site, way: str, step: str):
    rounds = site.new_database()
    fault = Fault(kind="kill_worker", way=way, step=step, skip=3)
    worker = rounds.work(SEED, fault, is_lone=True)
    assert rounds.settle(worker)
    assert worker.process.returncode == -signal.SIGKILL
    assert worker.acks()


@pytest.mark.parametrize("way", ["short", "streamed"])
@pytest.mark.parametrize("kind", ["exception", "disconnect", "terminate_backend", "kill_backend"])
def test_a_worker_outlives_the_loss_of_its_connection_on_every_way(site: Site, way: str, kind: str):
    rounds = site.new_database()
    steps = (MADE, *STEPS) if way == "streamed" and "backend" in kind else STEPS
    faults = [Fault(kind=kind, way=way, step=step) for step in steps]
    worker = rounds.work(SEED, *faults, is_lone=True)
    assert rounds.settle(worker) == 0
    assert worker.process.returncode == 0, "a fault is left: the plan did not take this way"


@pytest.mark.parametrize("way", ["short", "streamed"])
@pytest.mark.parametrize("kind", CUTS)
def test_whatever_is_lost_on_the_way_is_done_once(site: Site, way: str, kind: str):
    rounds = site.new_database()
    steps = ("inserted",) if way == "short" else (MADE, "locked", "inserted")
    faults = [Fault(kind=kind, way=way, step=step) for step in steps]
    worker = rounds.work(SEED, *faults, is_lone=True)
    assert rounds.settle(worker) == 0
    assert worker.process.returncode == 0, "a fault is left: the plan did not take this way"


@pytest.mark.parametrize("way", ["short", "streamed"])
def test_two_processes_that_take_all_ways_by_turns_do_not_harm_each_other(site: Site, way: str):
    rounds = site.new_database()
    killed = rounds.work(SEED, Fault(kind="kill_worker", way=way, skip=1), is_lone=True)
    others = [rounds.work(SEED + 1, is_lone=True), rounds.work(SEED + 2)]
    rounds.settle(killed, *others)
    assert [other.process.returncode for other in others] == [0, 0]
    assert killed.process.returncode in (-signal.SIGKILL, FAULTS_LEFT)


def _of(rounds: Rounds, seed: int) -> list[object]:
    plan = make_plan(seed, rounds.site.keyring.key("node"))
    return [one for submitter in plan for call in submitter for one in call]


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_thousands_of_crashes_lose_double_and_misplace_nothing():
    seed = int(os.environ.get("LOGLINE_CRASH_SEED") or random.SystemRandom().randrange(2**32))
    count = int(os.environ.get("LOGLINE_CRASH_ROUNDS", "2000"))
    print(f"\nLOGLINE_CRASH_SEED={seed} LOGLINE_CRASH_ROUNDS={count}", flush=True)
    chance = random.Random(seed)
    for site in _site():
        rounds: Rounds | None = None
        for number in range(count):
            if rounds is None or number % ROUNDS_OF_A_DATABASE == 0:
                if rounds is not None:
                    site.drop(rounds.name)
                rounds = site.new_database()
            try:
                _play(rounds, chance, first_seed=seed + 2 * number)
            except BaseException:
                print(f"round {number} of seed {seed}", flush=True)
                raise


def _play(rounds: Rounds, chance: random.Random, *, first_seed: int) -> None:
    """Play one round: one or two workers, each with a fault or a kill at a moment of chance."""
    workers = []
    for number in range(chance.choice((1, 1, 1, 2))):
        faults = [_fault(chance) for _ in range(chance.randint(0, 2))]
        worker = rounds.work(first_seed + number, *faults, is_lone=chance.random() < 0.4)
        workers.append((worker, chance.random()))
    for worker, moment in workers:
        if moment < 0.5:  # killed when about so many records were acknowledged, if it lives so long
            wanted = int(moment * 2 * 1000)
            wait_until(
                lambda worker=worker, wanted=wanted: (
                    worker.process.poll() is not None or len(worker.acks()) >= wanted
                )
            )
            worker.process.kill()
    rounds.settle(*[worker for worker, _ in workers])
    assert {worker.process.returncode for worker, _ in workers} <= {0, -signal.SIGKILL, FAULTS_LEFT}


def _fault(chance: random.Random) -> Fault:
    kinds = {
        "exception": 4, "disconnect": 4, "kill_worker": 8, "terminate_backend": 6,
        "kill_backend": 6, "kill_postmaster": 1, "quit_postmaster": 1, "question_lost": 6,
        "answer_lost": 6,
    }  # fmt: skip
    kind = chance.choices(list(kinds), list(kinds.values()))[0]
    step = "inserted" if kind in CUTS else chance.choice(STEPS)
    return Fault(kind=kind, step=step, skip=chance.randint(0, 2))
