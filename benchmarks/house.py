"""Houses to measure: a node in a folder that vanishes, and one of many records, made once."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from loglineos.ledger.reading.reader import Reader
from loglineos.node import Node, open_node
from loglineos.services.scenario import generate_casa
from loglineos.settings import Settings

TENANT: Final = "casa"
CACHE: Final = Path(".benchmarks")
_START: Final = datetime(2025, 1, 6, tzinfo=UTC)
"""So long ago that no day of the house lies ahead of the clock: such lines would become ghosts."""
_NOT_FOREIGN: Final = (
    "id",
    "seq",
    "tenant_id",
    "entity_type",
    "cause_id",
    "parent_id",
    "related_to",
)


def tell(text: str) -> None:
    """Say on standard error how far it is."""
    print(f"  {text}", file=sys.stderr, flush=True)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk of temporary files, removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix="logline-bench-")).resolve()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def settings_of(home: Path) -> Settings:
    """The settings of a node to measure; no environment of the user's matters."""
    return Settings(home=home, tenant=TENANT, actor="medidor", origin=_origin(home))


def _origin(home: Path) -> str | None:
    config = home / "config.json"
    return json.loads(config.read_bytes()).get("origin") if config.exists() else None


@asynccontextmanager
async def new_node() -> AsyncIterator[Node]:
    """A node of its own, empty but for its founding."""
    with folder() as home:
        async with open_node(settings_of(home)) as node:
            yield node


def reader_of(node: Node) -> Reader:
    """A reader with the eyes of an owner."""
    return node.reader(tenant=TENANT, actor="medidor")


def lines_file(count: int, *, foreign: bool) -> Path:
    """Write, once, the example house as JSON lines: whole lives, or lines without ids.

    Foreign lines are what other systems bring: acts without an id, each an entity of its own.
    """
    name = "foreign" if foreign else "lives"
    path = CACHE / f"{name}-{count}.jsonl"
    if path.exists():
        return path
    tell(f"writing {path}")
    CACHE.mkdir(exist_ok=True)
    days = max(30, min(365, count // 3_000))
    with path.with_suffix(".new").open("wb") as out:
        for number, draft in enumerate(
            generate_casa(days=days, lines=count, seed=7, start=_START, tenant=TENANT)
        ):
            if number == count:
                break
            line = msgspec.json.encode(draft)
            out.write((_as_foreign(line) if foreign else line) + b"\n")
    path.with_suffix(".new").rename(path)
    return path


def _as_foreign(line: bytes) -> bytes:
    said: dict[str, Any] = orjson.loads(line)
    return orjson.dumps({name: value for name, value in said.items() if name not in _NOT_FOREIGN})


async def ingest_apart(home: Path, path: Path) -> dict[str, Any]:
    """Ingest a file into a node of `home` in a process of its own; return what it measured."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.ingest_process", str(home), str(path),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"the ingest ended with {child.returncode}")
    return orjson.loads(out)


class House:
    """The large house that several benchmarks share; made at its first use."""

    def __init__(self, lines: int) -> None:
        """Nothing is made yet."""
        self.lines = lines
        self.built: dict[str, Any] | None = None
        self._home: Path | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Node]:
        """Open the house; the first time, fill it by ingesting whole lives."""
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="logline-bench-")).resolve()
            path = lines_file(self.lines, foreign=False)
            tell(f"building a house of {self.lines:,} records")
            self.built = await ingest_apart(self._home, path)
            await self._settle()
        async with open_node(settings_of(self._home)) as node:
            yield node

    async def _settle(self) -> None:
        """Do now what autovacuum would do within a minute, so that no run is disturbed by it."""
        assert self._home is not None
        async with open_node(settings_of(self._home)) as node:
            connection = await node.database.connect(None, name="bench")
            await connection.set_autocommit(True)
            await connection.execute("VACUUM ANALYZE")
            await connection.close()

    def remove(self) -> None:
        """Remove the house."""
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)


async def machine_line() -> str:
    """Say on what was measured."""
    async with new_node() as node:
        connection = await node.database.connect(None, name="bench")
        told = {}
        for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers"):
            cursor = await connection.execute(f"SHOW {name}")
            row = await cursor.fetchone()
            told[name] = row[0] if row else "?"
        await connection.close()
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, loglineos {version('loglineos')}, "
        f"embedded PostgreSQL {told['server_version']} with fsync {told['fsync']}, "
        f"synchronous_commit {told['synchronous_commit']}, shared_buffers "
        f"{told['shared_buffers']}; {time.strftime('%Y-%m-%d', time.gmtime())}."
    )


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
