"""Tier X: a whole CPython in the jail: what it may do, what it may not, how it is ended."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from loglineos.base.errors import InvalidInput, Misconfigured, ValueRefused
from loglineos.runtime.sandbox.full_python import (
    FULL,
    PROOF,
    FullPython,
    FullSession,
    packages_name,
)
from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.turns import (
    Completed,
    Failed,
    Later,
    Module,
    Program,
    Raised,
    Suspended,
    Value,
)

MIB = 1024 * 1024
LIST = ["quartos==1.0  # the rooms", "", "contas>=2"]
SHORT = msgspec.structs.replace(FULL, turn_s=20.0, feed_s=10.0, memory_bytes=256 * MIB)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="logline-"))
    packages = folder / packages_name(LIST)
    (packages / "quartos").mkdir(parents=True)
    (packages / "quartos" / "__init__.py").write_text("from .lista import LIVRES\n")
    (packages / "quartos" / "lista.py").write_text("LIVRES = [101, 102]\n")
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def full(root: Path) -> FullPython:
    return FullPython(packages_root=root)


@pytest.fixture
async def session(full: FullPython) -> AsyncIterator[FullSession]:
    async with full.session(limits=SHORT) as opened:
        yield opened


def program(source: str, *modules: str, prelude: tuple[Module, ...] = ()) -> Program:
    return Program(source=source, modules=modules, prelude=prelude, seed="s")


async def run(full: FullPython, source: str, value: Any = None, limits: RunLimits = SHORT) -> Any:
    async with full.session(limits=limits) as opened:
        return await opened.start(program(source), value)


async def output(full: FullPython, source: str, value: Any = None) -> Any:
    turn = await run(full, source, value)
    assert isinstance(turn, Completed), turn
    return turn.output


def test_its_runs_are_marked_unproven(full: FullPython) -> None:
    assert PROOF == "unproven"
    assert full.engine.startswith("cpython/3.")
    assert full.engine.endswith("+unproven")


async def test_what_the_small_interpreter_lacks_runs_here(full: FullPython) -> None:
    source = """
import enum, statistics, dataclasses, heapq
class Room(enum.Enum):
    SINGLE = 1
    DOUBLE = 2
def rooms():
    yield from Room
def main(input):
    return {"mean": statistics.mean(input), "rooms": [room.name for room in rooms()]}
"""
    assert await output(full, source, [1, 2, 6]) == {"mean": 3, "rooms": ["SINGLE", "DOUBLE"]}


async def test_values_cross_in_both_directions(full: FullPython) -> None:
    value = {
        "bytes": b"\x00\xff",
        "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "price": Decimal("9.90"),
        "text": "é 𝄞",
        "nested": [None, True, 1.5, {"a": []}],
    }
    source = """
def main(input):
    assert type(input["bytes"]) is bytes and input["at"].year == 2026 and input["price"] * 2 > 19
    return input
"""
    assert await output(full, source, value) == {
        "at": {"$time": "2026-03-01T12:00:00.000000Z"},
        "bytes": {"$bytes": "00ff"},
        "nested": [None, True, 1.5, {"a": []}],
        "price": {"$decimal": "9.90"},
        "text": "é 𝄞",
    }


async def test_a_call_of_ctx_is_a_suspension_and_its_answer_a_value(session: FullSession) -> None:
    source = """
import ctx
from ctx.ledger import get
from sdk import double
def main(input):
    print("asking")
    first = get(input, seq=1)
    try:
        ctx.emit({"this": "quarto"})
    except PermissionError as error:
        print("refused", error)
    return double(first["n"])
"""
    sdk = Module(name="sdk", source="def double(n):\n    return 2 * n\n")
    asked = program(source, "ctx.ledger.get", "ctx.emit", prelude=(sdk,))
    turn = await session.start(asked, "a1")
    assert isinstance(turn, Suspended)
    assert (turn.kind, turn.name, turn.args, turn.kwargs) == (
        "call",
        "ctx.ledger.get",
        ["a1"],
        {"seq": 1},
    )
    assert turn.printed == "asking\n"
    assert turn.cpu_us > 0
    with pytest.raises(InvalidInput):
        await session.resume(Later())
    with pytest.raises(ValueRefused):
        await session.resume(Value(object()))
    turn = await session.resume(Value({"n": 21}))
    assert isinstance(turn, Suspended)
    assert turn.args == [{"this": "quarto"}]
    turn = await session.resume(Raised("PermissionError", "not yours"))
    assert isinstance(turn, Completed)
    assert turn.output == 42
    assert turn.printed == "refused not yours\n"
    with pytest.raises(InvalidInput):
        await session.resume(Value(1))


async def test_sleep_is_the_hosts(session: FullSession) -> None:
    source = "import time\ndef main(input):\n    time.sleep(3 * 86400)\n    return 'rested'\n"
    turn = await session.start(program(source))
    assert isinstance(turn, Suspended)
    assert (turn.kind, turn.name, turn.args) == ("os", "time.sleep", [259200])
    turn = await session.resume(Value(None))
    assert isinstance(turn, Completed)
    assert turn.output == "rested"


async def test_a_package_of_the_declared_folder_is_imported(full: FullPython) -> None:
    asked = program("import quartos\ndef main(input):\n    return quartos.LIVRES\n")
    async with full.session(limits=SHORT, packages=packages_name(reversed(LIST))) as opened:
        turn = await opened.start(asked)
    assert isinstance(turn, Completed), turn
    assert turn.output == [101, 102]
    async with full.session(limits=SHORT) as opened:
        turn = await opened.start(asked)
    assert isinstance(turn, Failed)
    assert turn.error.type == "ModuleNotFoundError"


@pytest.mark.parametrize("name", ["../etc", "0" * 32, "", "a/b" * 10])
async def test_no_other_folder_serves(full: FullPython, name: str) -> None:
    with pytest.raises(Misconfigured):
        async with full.session(packages=name):
            raise AssertionError


@pytest.mark.security
@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd').read()",
        "open('/etc/hostname').read()",
        "open({secret!r}).read()",
        "os.listdir({folder!r})",
        "os.listdir('/')",
        "open('/proc/%d/environ' % os.getppid(), 'rb').read()",
        "open('/proc/self/mem', 'rb').read(1)",
        "open({folder!r} + '/new', 'w')",
        "open({packages!r} + '/quartos/new.py', 'w')",
        "open('/tmp/new', 'w')",
        "open('/dev/shm/new', 'w')",
        "os.memfd_create('x')",
        "os.symlink('/etc/passwd', '/tmp/link')",
        "os.mkdir('/tmp/new')",
        "os.chmod({secret!r}, 0o777)",
        "socket.socket()",
        "socket.create_connection(('127.0.0.1', {port}), 1)",
        "socket.socketpair()",
        "os.fork()",
        "subprocess.run(['/bin/true'])",
        "subprocess.run([sys.executable, '-c', '1'])",
        "os.execv('/bin/sh', ['sh'])",
        "os.kill(os.getppid(), 9)",
        "os.kill(1, 0)",
        "os.setuid(0)",
        "os.nice(-10)",
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "ctypes.CDLL(None, use_errno=True).mount(b'none', b'/tmp', b'tmpfs', 0, 0) and 1 / 0",
    ],
)
async def test_the_machine_is_out_of_reach(
    full: FullPython, root: Path, home: Path, attempt: str
) -> None:
    secret = home / "secret"
    secret.write_text("the node's key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = attempt.format(
            secret=str(secret),
            folder=str(home),
            packages=str(root / packages_name(LIST)),
            port=server.getsockname()[1],
        )
        source = f"""
import os, socket, subprocess, sys, resource, ctypes
def main(input):
    try:
        {told}
    except (OSError, ValueError, ZeroDivisionError) as error:
        return type(error).__name__
    return "REACHED"
"""
        async with full.session(limits=SHORT, packages=packages_name(LIST)) as opened:
            turn = await opened.start(program(source))
    # `mount` and its like end the process at once.
    assert isinstance(turn, (Completed, Failed))
    if isinstance(turn, Completed):
        assert turn.output == ("ValueError" if "setrlimit" in attempt else "PermissionError")
    else:
        assert "mount" in attempt
        assert turn.error.message == "the process ended midway"
    assert sorted(path.name for path in home.iterdir()) == ["secret"]


async def test_there_is_no_environment(full: FullPython, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGLINE_SECRET", "of the host")
    source = "import os\ndef main(input):\n    return [dict(os.environ), os.getcwd()]\n"
    environment, folder = await output(full, source)
    assert "LOGLINE_SECRET" not in environment
    assert set(environment) <= {"LC_CTYPE"}
    assert folder == "/"


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("return [bytearray(16 * 1024 * 1024) for _ in range(64)]", "memory"),
        ("return main(input)", "depth"),
        ("while True: print('x' * 999)", "size"),
    ],
)
async def test_a_limit_ends_the_run(full: FullPython, body: str, limit: str) -> None:
    turn = await run(full, f"def main(input):\n    {body}\n")
    assert isinstance(turn, Failed)
    assert turn.error.limit == limit


async def test_time_ends_a_run_whatever_it_catches(full: FullPython) -> None:
    endless = "def main(input):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n"
    by_wall = msgspec.structs.replace(SHORT, turn_s=1.0)
    turn = await run(full, endless, limits=by_wall)
    assert isinstance(turn, Failed)
    assert turn.error.limit == "time"
    by_cpu = msgspec.structs.replace(SHORT, turn_s=60.0, feed_s=1.0)
    turn = await run(full, endless, limits=by_cpu)
    assert isinstance(turn, Failed)
    assert turn.error.limit == "time"


async def test_too_many_calls_end_a_run(full: FullPython) -> None:
    few = msgspec.structs.replace(SHORT, suspensions_max=3)
    asked = program("import ctx\ndef main(input):\n    while True: ctx.uuid()\n", "ctx.uuid")
    async with full.session(limits=few) as opened:
        turn = await opened.start(asked)
        for _ in range(3):
            assert isinstance(turn, Suspended)
            turn = await opened.resume(Value("u"))
    assert isinstance(turn, Failed)
    assert turn.error.limit == "calls"


async def test_an_error_names_the_lines_of_the_program(full: FullPython) -> None:
    source = "def inner(n):\n    return 1 / n\n\ndef main(input):\n    return inner(0)\n"
    turn = await run(full, source)
    assert isinstance(turn, Failed)
    assert (turn.error.type, turn.error.message) == ("ZeroDivisionError", "division by zero")
    assert turn.error.where == ("line 5 in main", "line 2 in inner")


FRAME = """
import json, os
def raw(content):
    for file in range(3, 64):
        try: os.write(file, content)
        except OSError: pass
def tell(message):
    content = message if type(message) is bytes else json.dumps(message).encode()
    raw(len(content).to_bytes(4, 'big') + content)
"""


@pytest.mark.security
@pytest.mark.parametrize(
    "forged",
    [
        "tell(b'no json')",
        "tell(b'[' * 100000)",
        "tell({'turn': 'suspended', 'name': 'ctx.secret.use', 'args': ['key']})",
        "tell({'turn': 'suspended', 'kind': 'os', 'name': 'os.system'})",
        "tell({'turn': 'completed', 'output': 2**70})",
        "tell({'turn': 'completed', 'output': '\\0'})",
        "tell({'turn': 'owned'})",
        "raw(b'\\xff' * 4)",
        "raw(b'\\0\\0\\0')",
        "os._exit(0)",
        "os.abort()",
        "import ctypes; ctypes.string_at(0)",
    ],
)
async def test_a_process_that_breaks_the_protocol_fails_its_run_alone(
    full: FullPython, forged: str
) -> None:
    source = f"{FRAME}\ndef main(input):\n    {forged}\n    os._exit(0)\n"
    asked = program(source, "ctx.uuid")
    async with full.session(limits=SHORT) as opened:
        turn = await opened.start(asked)
    assert isinstance(turn, Failed)
    assert await output(full, "def main(input):\n    return input\n", 1) == 1


async def test_no_process_is_left_behind(full: FullPython) -> None:
    ours = psutil.Process(os.getpid())
    before = set(ours.children(recursive=True))
    async with full.session(limits=SHORT) as opened:
        turn = await opened.start(program("import ctx\ndef main(i): ctx.uuid()", "ctx.uuid"))
        assert isinstance(turn, Suspended)
        (running,) = set(ours.children(recursive=True)) - before
        assert running.is_running()
    assert set(ours.children(recursive=True)) == before
    turn = await run(
        full,
        "import threading\ndef main(i):\n    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n    return 1\n",
    )
    assert isinstance(turn, Completed)
    assert set(ours.children(recursive=True)) == before
