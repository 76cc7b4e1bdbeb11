"""A wrapped command: its output unchanged, its end told, its secrets hidden."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from blake3 import blake3

from loglineos.ledger.canonical import canonical
from loglineos.ledger.intake.redact import redacted
from loglineos.ledger.intake.wrap import WrapResult, finish_draft, run_wrapped, start_draft
from loglineos.ledger.logline import judge

NOW = datetime(2025, 5, 20, 12, 34, 56, tzinfo=UTC)
ID = UUID("018f0000-0000-7000-8000-000000000001")


def run(*argv: str, tail: int = 0) -> tuple[WrapResult, dict[str, bytes]]:
    seen = {"stdout": b"", "stderr": b""}

    def keep(stream: Any, data: bytes) -> None:
        seen[stream] += data

    result = asyncio.run(run_wrapped(argv, capture_bytes_max=tail, on_output=keep))
    return result, seen


def python(code: str, *, tail: int = 0) -> tuple[WrapResult, dict[str, bytes]]:
    return run(sys.executable, "-c", code, tail=tail)


def test_output_passes_unchanged_and_is_hashed() -> None:
    code = "import sys; b = bytes(range(256)) * 2000; sys.stdout.buffer.write(b)"
    result, seen = python(code + "; sys.stderr.buffer.write(b'\\xff'); sys.exit(3)", tail=16)
    data = bytes(range(256)) * 2000
    assert seen == {"stdout": data, "stderr": b"\xff"}
    assert result.exit_status == 3 and result.signal is None
    assert result.stdout.digest == blake3(data).hexdigest()
    assert result.stdout.size_bytes == len(data) and result.stdout.tail == data[-16:]
    assert result.duration_ms > 0


def test_a_signal_and_a_command_that_is_not_there_end_as_in_a_shell() -> None:
    killed, _ = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (killed.exit_status, killed.signal) == (137, "SIGKILL")
    absent, _ = run("no-such-command-here")
    assert absent.exit_status == 127 and absent.problem is not None
    refused, _ = run(os.devnull)
    assert refused.exit_status == 126


def test_a_signal_to_us_reaches_the_child() -> None:
    code = (
        "import asyncio, sys; from loglineos.ledger.intake.wrap import run_wrapped; "
        "child = 'import signal, sys; signal.signal(signal.SIGTERM, lambda *a: sys.exit(9)); "
        "print(1, flush=True); signal.pause()'; "
        "r = asyncio.run(run_wrapped([sys.executable, '-c', child])); sys.exit(r.exit_status)"
    )
    wrapper = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert wrapper.stdout is not None and wrapper.stdout.readline() == b"1\n"
    wrapper.send_signal(signal.SIGTERM)
    assert wrapper.wait(timeout=20) == 9
    wrapper.stdout.close()


def test_standard_input_is_the_childs() -> None:
    code = (
        "import asyncio, sys; from loglineos.ledger.intake.wrap import run_wrapped; "
        "asyncio.run(run_wrapped([sys.executable, '-c', 'print(input())']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"ol\xc3\xa1\n", capture_output=True, check=True
    )
    assert done.stdout == b"ol\xc3\xa1\n" and done.stderr == b""


def test_start_and_end_are_two_events_of_one_life() -> None:
    argv = ["deploy", "--token", "abc", "casa"]
    started = start_draft(argv, who="Ana", id=ID, at=NOW)
    assert (started.seq, started.status, started.this) == (
        0,
        "running",
        "deploy --token '***' casa",
    )
    result, _ = python("print('x'); raise SystemExit(2)", tail=8)
    ended = finish_draft(started, result=result, at=NOW)
    assert (ended.id, ended.seq, ended.status) == (ID, 1, "failed")
    assert ended.if_not == "alert_the_operator" and ended.duration_ms == result.duration_ms
    assert ended.output is not None
    assert ended.output["exit_status"] == 2 and ended.output["stdout"]["tail"] == "x\n"
    assert ended.error == {"exit_status": 2} and len(ended.output_hash or "") == 64
    canonical(ended.output)
    assert judge(started).valid and judge(ended).valid
    fine, _ = python("pass")
    done = finish_draft(started, result=fine, at=NOW)
    assert done.status == "executed" and done.error is None
    assert done.output is not None
    assert "tail" not in done.output["stdout"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["x", "--password", "s3", "y"], ["x", "--password", "***", "y"]),
        (["x", "--api-key=s3"], ["x", "--api-key=***"]),
        (["env", "PGPASSWORD=s3 4", "psql"], ["env", "PGPASSWORD=***", "psql"]),
        (["AWS_SECRET_ACCESS_KEY=s3"], ["AWS_SECRET_ACCESS_KEY=***"]),
        (["GITHUB_TOKEN=s3"], ["GITHUB_TOKEN=***"]),
        (["psql", "postgres://ana:s3@host/db"], ["psql", "postgres://ana:***@host/db"]),
        (["curl", "-H", "Authorization: Bearer s3"], ["curl", "-H", "Authorization: ***"]),
        (["curl", "-u", "ana:s3"], ["curl", "-u", "ana:***"]),
        (
            ["sh", "-c", "A=1 TOKEN=s3 x --pass s3 y"],
            ["sh", "-c", "A=1 TOKEN=*** x --pass *** y"],
        ),
        (["make", "KEYBOARD=pt", "--author", "Ana", "compass=n"],) * 2,
        (["git", "commit", "-m", "pass the bread", "--tokenize"],) * 2,
    ],
)
def test_secrets_in_arguments_are_hidden_and_the_rest_is_not(
    argv: list[str], told: list[str]
) -> None:
    assert redacted(argv) == told
