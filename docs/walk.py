"""Run what a page tells people to type, on a node of its own, and put the real answers into the page.

    python -m docs.walk docs/tutorial/first-day.md      write the answers anew

In a ```` ```console ```` block a line that begins with `$ ` is typed; the lines after it are the answer. A line that ends
with a backslash goes on, and so does one with `<<'END'`, up to the line `END`. All lines of a page are typed into one
shell, in order, beside a running `logline up`, with the options that the page gives it (`make up UP='...'`).
Always holds: the walk sees no node but its own, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

_BLOCK: Final = re.compile(r"(?ms)^```console\n(.*?)^```$")
_UP: Final = re.compile(r"(?m)^    make up UP='([^'\n]*)'$")
_INLINE: Final = "<<'END'"
_MARK: Final = "@@walk@@"
_UP_S_MAX: Final = 60
_WALK_S_MAX: Final = 110
_WIDTH: Final = 100

_CHANGING: Final = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "HEX"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DAY"),
    (re.compile(r"logline\.invalid/[0-9a-f]{8}"), "ORIGIN"),
    (re.compile(r"\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+"), "+VKEY"),
    (re.compile(r"\(\d[\d,. ]*/s\)"), "(RATE)"),
    (re.compile(r"\d+(?:\.\d)? [KMG]?i?B\b"), "SIZE"),
    (re.compile(r"@root +\d+ records"), "@root N records"),  # the root log grows with time
    (re.compile(r"\d+ checkpoints"), "N checkpoints"),
    (re.compile(r"place +\d+ / \d+"), "place N / N"),
    # what comes with the product, and what follows by itself, stands before and between
    (re.compile(r"#\d\d+"), "#N"),
    (re.compile(r"(position +|\.jsonl:)\d+"), r"\1N"),
    (re.compile(r"\b\d\d+ records"), "N records"),
    (re.compile(r"\b[\w.-]+-\d+-[0-9a-f]{4}\b"), "WORKER"),
    (re.compile(r"(?:/[\w.-]+)+/logline-walk-\w+"), "HOME"),
)


class Answer(NamedTuple):
    """How a command ended, and what it wrote on stdout and stderr together."""

    exit_status: int
    output: str


def commands_of(page: str) -> list[str]:
    """List the typed commands of the console blocks of a page, in order."""
    return [command for block in _BLOCK.findall(page) for command, _ in _exchanges(block)]


def lines_typed(text: str) -> list[str]:
    """Cut a shell block into what is typed at once: a line with all that continues it."""
    found: list[str] = []
    is_open = is_inline = False
    for line in text.splitlines():
        if is_open or is_inline:
            found[-1] += f"\n{line}"
        elif line.strip():
            found.append(line)
        is_inline = line != "END" if is_inline else line.endswith(_INLINE)
        is_open = not is_inline and line.endswith("\\")
    return found


def answers_of(page: str) -> list[str]:
    """List the answers that the page shows, one for each command."""
    return [answer for block in _BLOCK.findall(page) for _, answer in _exchanges(block)]


def up_options_of(page: str) -> list[str]:
    """Return the options that a page gives to `logline up`; none when it says just `make up`."""
    found = _UP.search(page)
    return found[1].split() if found else []


def comparable(output: str) -> str:
    """Return an answer with everything that differs from run to run named instead."""
    for pattern, name in _CHANGING:
        output = pattern.sub(name, output)
    return " ".join(output.split())


def type_in(
    commands: Sequence[str], *, environment: Mapping[str, str], folder: Path
) -> list[Answer]:
    """Type commands into one shell, in order, whatever each answers."""
    lines = ["exec 2>&1 </dev/null"]
    for number, command in enumerate(commands):
        lines += [f"printf '\\n{_MARK} begin {number}\\n'", command]
        lines += [f"printf '\\n{_MARK} end {number} %s\\n' $?"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], check=False, capture_output=True, cwd=folder,
        env=dict(environment), timeout=_WALK_S_MAX,
    )  # fmt: skip
    told = done.stdout.decode("utf-8", "replace")
    found = re.findall(rf"(?s)\n{_MARK} begin (\d+)\n(.*?)\n{_MARK} end \1 (\d+)\n", told)
    assert len(found) == len(commands), f"the shell stopped early:\n{told[-2000:]}"
    return [Answer(int(status), output.strip("\n")) for _, output, status in found]


@contextlib.contextmanager
def running_node(
    *, speaks: str = "en", options: Sequence[str] = ()
) -> Iterator[tuple[dict[str, str], Path]]:
    """Run `logline up` on a new data folder; yield the environment of a second terminal, and a folder."""
    folder = Path(tempfile.mkdtemp(prefix="logline-walk-")).resolve()
    folder.chmod(0o711)
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "USER": "rui",
        "LOGLINE_HOME": str(folder / "home"), "LOGLINE_LANG": speaks, "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1", "COLUMNS": str(_WIDTH), "TMPDIR": str(folder),
    }  # fmt: skip
    work = folder / "work"
    work.mkdir()
    (work / ".venv").symlink_to(programs.parent)
    log = folder / "up.log"
    with open(log, "wb") as out:
        up = subprocess.Popen(
            [str(programs / "logline"), "up", "--no-demo", "--json", *options],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out,
        )  # fmt: skip
    reading: threading.Thread | None = None
    try:
        assert up.stdout is not None
        first = up.stdout.readline()
        assert b'"started"' in first, log.read_text(errors="replace") or first
        # it tells each record: a pipe that nobody reads fills, and holds the whole node
        reading = threading.Thread(target=_read_away, args=(up.stdout,), daemon=True)
        reading.start()
        yield environment, work
    finally:
        up.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            up.wait(timeout=_UP_S_MAX)
        if up.poll() is None:
            up.kill()
            up.wait()
        if reading is not None:
            reading.join(_UP_S_MAX)
        shutil.rmtree(folder, ignore_errors=True)


def _read_away(told: IO[bytes]) -> None:
    with told:
        for _ in told:
            pass


def rewritten(page: str, answers: Sequence[Answer]) -> str:
    """Return the page with these answers in place of those that it shows."""
    waiting = iter(answers)

    def block(found: re.Match[str]) -> str:
        lines = []
        for command, _ in _exchanges(found[1]):
            typed = command if _INLINE in command else command.replace("\n", "\n  ")
            output = "\n".join(line.rstrip() for line in next(waiting).output.splitlines())
            lines.append(f"$ {typed}" + (f"\n{output}" if output else ""))
        return "```console\n" + "\n".join(lines) + "\n```"

    return _BLOCK.sub(block, page)


def _exchanges(block: str) -> list[tuple[str, str]]:
    found: list[tuple[list[str], list[str]]] = []
    is_typing = is_inline = False
    for line in block.splitlines():
        if is_inline:
            found[-1][0].append(line)
            is_inline = line != "END"
            continue
        if line.startswith("$ "):
            found.append(([line[2:]], []))
            is_inline = line.endswith(_INLINE)
        elif is_typing and found:
            found[-1][0].append(line.strip())
        elif found:
            found[-1][1].append(line)
        is_typing = (line.startswith("$ ") or is_typing) and line.endswith("\\")
    return [("\n".join(typed), "\n".join(answer).strip("\n")) for typed, answer in found]


def main(paths: Sequence[str]) -> int:
    """Rewrite the answers of each page."""
    for path in map(Path, paths):
        page = path.read_text(encoding="utf-8")
        with running_node(options=up_options_of(page)) as (environment, folder):
            answers = type_in(commands_of(page), environment=environment, folder=folder)
        broken = [answer.output for answer in answers if "unexpected" in answer.output]
        if broken:
            sys.stderr.write(f"{path} is left as it was: {broken[0]}\n")
            return 1
        path.write_text(rewritten(page, answers), encoding="utf-8")
        failed = [c for c, a in zip(commands_of(page), answers, strict=True) if a.exit_status]
        sys.stdout.write(f"{path}: {len(answers)} answers, not 0: {failed}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
