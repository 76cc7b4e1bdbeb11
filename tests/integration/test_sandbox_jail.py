"""The layers of the operating system, tried by a process that has been taken over."""

from __future__ import annotations

import importlib.metadata
import marshal
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import replace

from loglineos.base.errors import Misconfigured
from loglineos.runtime.sandbox import jail, jail_launcher
from loglineos.runtime.sandbox.python_engine import PythonEngine
from loglineos.runtime.sandbox.turns import Completed, Program
from tests.sandbox_driver import LIMITS, engine

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the layers are of Linux"
)
PROBE = Path(__file__).with_name("sandbox_probe.py")
KILLING = [
    "trace the parent",
    "read the parent's memory",
    "load a program into the kernel",
    "mount",
    "ring of calls",
    "join a namespace",
    "kernel keys",
]


def worker():
    return jail.worker_plan(jail.monty().path)


def runner():
    return jail.runner_plan(jail.monty(), None)


PLANS = {"worker": worker, "runner": runner}
OF_A_RUNNER = {
    # It reads our code and starts processes: that is its work.
    "read our own source": "",
    "new process": "",
    "descriptor of the parent": "",
    "new user namespace": "",
    "memory file": "",
}


@pytest.fixture
def port():
    """A service of this machine that answers on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def probe(plan, port, home, *attempt):
    (home / "secret").write_text("of the house", encoding="utf-8")
    home.chmod(0o777)
    command = [sys.executable, "-I", "-S", str(PROBE), jail_launcher.__file__]
    told = [marshal.dumps(plan).hex(), str(port), str(home), *attempt]
    return subprocess.run(command + told, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("who", PLANS)
def test_a_process_that_is_taken_over_gets_nothing(who, port, tmp_path):
    done = probe(PLANS[who](), port, tmp_path)
    got = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert len(got) == 27, done.stderr
    through = {name: what for name, what in got.items() if what != "denied"}
    expected = OF_A_RUNNER if who == "runner" else {}
    assert set(through) <= set(expected), through
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]


@pytest.mark.parametrize("who", PLANS)
@pytest.mark.parametrize("attempt", KILLING)
def test_the_worst_calls_end_the_process(who, attempt, port, tmp_path):
    done = probe(PLANS[who](), port, tmp_path, attempt)
    assert done.returncode == -signal.SIGSYS
    assert done.stdout == ""


def test_without_the_jail_the_same_process_gets_most_of_it(port, tmp_path):
    """The probe can fail: what is denied above is denied by the jail and not by chance."""
    plan = {"profile": "runner", "required": (), "nobody": False}
    code = textwrap.dedent(
        f"""
        import runpy, sys
        sys.argv = {[str(PROBE), jail_launcher.__file__, marshal.dumps(plan).hex(), str(port), str(tmp_path)]!r}
        names = runpy.run_path({str(PROBE)!r}, run_name="probe")
        names["launcher"].enter = lambda plan, granted: []
        names["main"]()
        """
    )
    (tmp_path / "secret").write_text("of the house", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    got = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert sum(what != "denied" for what in got.values()) > 12, (got, done.stderr)


def test_the_engine_works_behind_the_layers_and_owns_nothing():
    with engine(jailed=True) as opened:
        session = opened.session(Program(source="def main(n):\n    return n + 1"), LIMITS)
        process = session._session.worker_pid
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert told["Name"] == "monty"
        assert told["NoNewPrivs"] == "1"
        assert told["Seccomp"] == "2"
        assert int(told["CapEff"], 16) == int(told["CapPrm"], 16) == 0
        if os.geteuid() == 0:
            assert set(told["Uid"].split()) == set(told["Gid"].split()) == {"65534"}
            assert Path(f"/proc/{process}/environ").read_bytes() == b""
            for space in ("user", "net", "ipc", "uts"):
                ours = Path(f"/proc/self/ns/{space}").readlink()
                assert Path(f"/proc/{process}/ns/{space}").readlink() != ours
        assert isinstance(session.start(1), Completed)
        session.close()


def test_a_worker_that_wants_more_memory_than_its_jail_ends_cleanly():
    with engine(jailed=True) as opened:
        program = Program(source="def main(n):\n    return len('x' * n)")
        ample = replace(LIMITS, memory_bytes=8 * 1024**3)
        turn = opened.run_pure(program, 2 * 1024**3, ample)
        assert turn.error.type == "MemoryError"
        assert isinstance(opened.run_pure(program, 5, ample), Completed)


@pytest.mark.parametrize("layer", sorted(jail.LAYERS))
def test_a_layer_that_is_missing_stops_the_start_until_it_is_allowed_by_name(layer):
    """The kernel's refusal is real: the child takes the call away from itself first."""
    call = {
        "landlock": "landlock_create_ruleset",
        "seccomp": "seccomp",
        "namespaces": "unshare",
    }[layer]
    code = textwrap.dedent(
        f"""
        import asyncio
        from loglineos.base.errors import Misconfigured
        from loglineos.runtime.sandbox import jail, jail_launcher as launcher
        from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
        from loglineos.runtime.sandbox.turns import Program

        denied = launcher._number({call!r})
        filter = [(0x20, 0, 0, 0), (0x15, 0, 1, denied), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)]
        launcher._prctl(38, 1)
        launcher.install(filter)

        async def main():
            try:
                async with Runners(RunnerSettings(processes=1)):
                    print("started")
            except Misconfigured as error:
                print(error.fields["layers"], error.fields["setting"])
            allowed = RunnerSettings(processes=1, layers_missing_allowed=frozenset([{layer!r}]))
            async with Runners(allowed) as runners:
                print(sorted(runners.layers.missing))
                print((await runners.run_pure(Program(source="def main(n):\\n  return n"), 5)).output)

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == [
        f"['{layer}'] {jail.SETTING}",
        f"['{layer}']",
        "5",
    ], done.stderr


def test_a_root_without_any_right_over_the_machine_is_enough():
    code = textwrap.dedent(
        """
        import asyncio
        from loglineos.runtime.sandbox import jail_launcher as launcher
        from loglineos.runtime.sandbox.runners import Runners, RunnerSettings
        from loglineos.runtime.sandbox.turns import Program

        launcher._prctl(38, 1)
        launcher.drop_capabilities()

        async def main():
            async with Runners(RunnerSettings(processes=1)) as runners:
                loops = Program(source="def main(n):\\n    while n: pass\\n    return 5")
                print((await runners.run_pure(loops, 1)).error.limit)
                print((await runners.run_pure(loops, 0)).output)

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["time", "5"], done.stderr


def test_an_override_that_names_no_layer_is_refused():
    with pytest.raises(Misconfigured) as refused:
        jail.require({"firewall"})
    assert "firewall" in refused.value.describe("en")


def test_another_program_in_the_engines_place_is_refused(tmp_path, monkeypatch):
    real = importlib.metadata.distribution("pydantic-monty-runtime")
    site = tmp_path / "lib" / "python" / "site"
    place = site / "pydantic_monty_runtime-1.4.0.dist-info"
    place.mkdir(parents=True)
    for name in ("METADATA", "RECORD"):
        (place / name).write_text(real.read_text(name), encoding="utf-8")
    other = tmp_path / "bin" / "monty"  # the record says ../../../bin/monty
    other.parent.mkdir()
    other.write_bytes(b"\x7fELF of somebody else")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(Misconfigured) as refused:
        jail.monty()
    assert "sha256" in refused.value.describe("en")
    other.unlink()
    with pytest.raises(Misconfigured) as refused:
        jail.monty()
    assert "not installed" in refused.value.describe("en")


def test_a_folder_where_nothing_can_be_run_is_refused(tmp_path):
    binary = jail.Binary(path="/nowhere/monty", version="0", sha256="0" * 64)
    with pytest.raises(Misconfigured):
        jail.write_launcher(tmp_path, binary, worker())


def test_the_launcher_survives_a_long_path(tmp_path, monkeypatch):
    """A first line of more than 255 bytes is cut by the kernel: the shell stands in."""
    monkeypatch.setattr(jail, "_SHEBANG_BYTES_MAX", 5)
    binary = jail.monty()
    path = jail.write_launcher(tmp_path, binary, jail.worker_plan(binary.path))
    assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    opened = PythonEngine(str(path), workers_max=1)
    turn = opened.run_pure(Program(source="def main(n):\n    return n"), 5, LIMITS)
    opened.close()
    assert isinstance(turn, Completed)
