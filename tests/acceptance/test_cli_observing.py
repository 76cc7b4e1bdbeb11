"""What a worker lets others see, and `logline top`, as one types them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from docs.walk import running_node, type_in

_UNTIL = "for n in $(seq 200); do {} && break; done"
_SECRET = "s3cr3t-quarto-204"


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_worker_tells_what_it_does_to_machines_and_top_to_people() -> None:
    port = _free_port()
    scrape = f"curl -sf http://127.0.0.1:{port}/metrics"
    commands = [
        "printf 'def main(input):\\n    return 1 / input[\"n\"]\\n' > eco.py",
        "logline fn push eco.py",
        "logline queue pause default --json",
        f'logline fn run eco --input \'{{"n": 2, "note": "{_SECRET}"}}\' --no-wait --json',
        f'logline fn run eco --input \'{{"n": 0, "note": "{_SECRET}"}}\' --no-wait --json',
        f"export LOGLINE_METRICS_PORT={port} LOGLINE_LOG=json",
        "logline worker > out.txt 2> log.jsonl & WORKER=$!",
        _UNTIL.format(f"{scrape} > /dev/null"),
        "logline queue resume default --json",
        _UNTIL.format("logline queue stats --json | grep -q '\"error\":1'"),
        "logline worker",
        scrape,
        "logline top --once --json",
        "COLUMNS=60 logline top --once",
        "COLUMNS=60 logline top --once --lang pt",
        "kill $WORKER; wait $WORKER",
        "cat log.jsonl",
        "cat out.txt",
    ]
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
    said = [answer.output for answer in answers]
    statuses = [answer.exit_status for answer in answers]
    assert statuses[10] != 0, said[10]
    assert "LOGLINE_METRICS_PORT" in said[10]
    assert statuses[:10] + statuses[11:] == [0] * 17, said

    assert "logline_database_up 1.0" in said[11]
    assert 'logline_records_total{tenant="casa"}' in said[11]
    assert "logline_sandbox_runners_lost_total 0.0" in said[11]
    assert 'logline_queue_executions{queue="default"' not in said[11], "it has been worked off"

    document = json.loads(said[12])
    assert (document["tenant"], document["dead"]) == ("casa", 0)
    assert {one["function"] for one in document["slowest"]} == {"eco"}
    assert len(document["workers"]) == 2
    assert {one["name"] for one in document["followers"]} >= {"waking", "policies"}
    for shown in said[13:15]:
        assert "eco" in shown
        assert max(map(len, shown.splitlines())) <= 60, shown

    for line in filter(None, said[16].splitlines()):
        told = json.loads(line)
        assert told["event"] == "turn ended", "there may be none: `up` has a worker too"
        assert told["function"] == "eco"
    assert _SECRET not in said[16]


def test_log_lines_bind_the_trace_and_never_quote_what_was_given() -> None:
    commands = [
        "printf 'def main(input):\\n    raise ValueError(input[\"note\"])\\n' > cai.py",
        "logline fn push cai.py",
        f'logline fn run cai --input \'{{"note": "{_SECRET}"}}\' --no-wait --json > asked.json',
        _UNTIL.format("logline queue stats --json | grep -q '\"error\":1'"),
        "cat asked.json",
    ]
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
        log = (folder.parent / "up.log").read_text(encoding="utf-8")
    asked = json.loads(answers[-1].output)
    asked = asked.get("record", asked)
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (ended,) = [line for line in told if line.get("execution") == asked["id"]]
    assert (ended["event"], ended["status"], ended["level"]) == ("turn ended", "error", "warning")
    assert (ended["trace_id"], ended["function"]) == (asked["trace_id"], "cai")
    assert re.fullmatch(r"[0-9a-f]{32}", ended["trace_id"])
    assert (ended["code"], ended["logger"]) == ("program_failed", "loglineos.executions")
    assert _SECRET not in log


def test_top_refreshes_on_a_terminal_until_q() -> None:
    with running_node() as (environment, folder):
        said, status = _top(environment, folder, key=b"q")
        assert status == 0, said
        interrupted, status = _top(environment, folder, key=None)
        assert status in (0, 130), interrupted
    assert "casa" in said
    assert "follower" in said


def _top(environment: Mapping[str, str], folder: Path, *, key: bytes | None) -> tuple[str, int]:
    """Run `logline top` on 60 columns until it has shown itself; then press a key, or interrupt."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 60, 0, 0))
    told = {name: value for name, value in environment.items() if name != "COLUMNS"}
    program = subprocess.Popen(
        [str(Path(sys.executable).parent / "logline"), "top"], stdin=theirs, stdout=theirs,
        stderr=theirs, cwd=folder, env={**told, "TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said, pressed, until = b"", False, time.monotonic() + 60
    try:
        while time.monotonic() < until:
            ready, _, _ = select.select([ours], [], [], 0.2)
            if ready:
                try:
                    fresh = os.read(ours, 65_536)
                except OSError:
                    break
                if not fresh:
                    break
                said += fresh
            if not pressed and said.count(b"follower") >= 2:
                os.write(ours, key) if key else program.send_signal(signal.SIGINT)
                pressed = True
        return said.decode("utf-8", "replace"), program.wait(timeout=20)
    finally:
        if program.poll() is None:
            program.send_signal(signal.SIGKILL)
            program.wait()
        with contextlib.suppress(OSError):
            os.close(ours)
