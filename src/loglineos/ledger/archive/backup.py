"""Backup: one file from which a node comes back, taken while the node works.

Always holds: the dump is of one instant, and the manifest's log sizes are of that same instant;
keys are never inside unless they were asked for, and then in a box under a passphrase; a user whom
row-level security would hide rows from is refused, never given a backup with holes.
Runs the programs of Postgres that the embedded server comes with; a server that is newer than
they are is refused.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loglineos.base.clock import Clock, SystemClock, rfc3339
from loglineos.base.entropy import Entropy, SystemEntropy
from loglineos.base.errors import DatabaseUnavailable, Misconfigured
from loglineos.base.language import Text
from loglineos.database.failures import as_error
from loglineos.database.installation import POSTGRES_MAJOR, find_programs
from loglineos.database.migrate import status
from loglineos.database.queries import Queries
from loglineos.ledger.archive.backup_archive import (
    CONFIG,
    DUMP,
    ENDING,
    GUARD,
    KEYS,
    ArchiveWriter,
    BackupManifest,
    LogHead,
    SchemaStep,
    chunks_of,
)
from loglineos.ledger.archive.backup_keys import seal_keys
from loglineos.ledger.forgotten import FILE as FORGOTTEN
from loglineos.ledger.log.guard import SUFFIX

Progress: TypeAlias = Callable[[Text], None]
SQL: Final = Queries.load("loglineos.ledger.archive", "backup.sql")
_TELL_EVERY_S: Final = 1.0
_KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "PGSSLROOTCERT", "PGSSLMODE", "PGSERVICEFILE")


async def backup(
    target: Path,
    *,
    home: Path,
    dsn: str,
    with_keys: bool = False,
    passphrase: str | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
    on_progress: Progress | None = None,
) -> BackupManifest:
    """Write a backup of a node to `target` (made `*.logline-backup`); return its manifest.

    `dsn` is the administrator's: of the embedded server, or DATABASE_URL. `home` is the data
    folder whose guard, `config.json` and, `with_keys`, keys go along. Appends go on meanwhile; what
    is appended after the start is not inside. A file that stands there is replaced at the end.

    Raises:
        Misconfigured: no passphrase for the keys, a server newer than our programs, or a user who
            may not read every row. DatabaseUnavailable: it does not answer, or went away.
    """
    tell = on_progress or _say_nothing
    path = target if target.name.endswith(ENDING) else target.with_name(target.name + ENDING)
    box = b""
    if with_keys:
        tell(Text("a fechar as chaves na sua caixa", "sealing the keys in their box"))
        box = await asyncio.to_thread(
            seal_keys, home / "keys", passphrase=passphrase or "",
            entropy=entropy or SystemEntropy(),
        )  # fmt: skip
    archive = ArchiveWriter(path)
    try:
        manifest = await _dump(archive, dsn, clock or SystemClock(), with_keys, tell)
        for name, data in _small_files(home):
            archive.add(name, [data])
        if with_keys:
            archive.add(KEYS, [box])
        return await asyncio.to_thread(archive.finish, manifest)
    except psycopg.Error as cause:
        raise as_error(cause) from cause
    finally:
        archive.discard()


async def _dump(
    archive: ArchiveWriter, dsn: str, clock: Clock, with_keys: bool, tell: Progress
) -> BackupManifest:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        is_superuser = await _demand_reach(connection)
        applied = (await status(connection)).applied
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        snapshot = await (await connection.execute(SQL["share_snapshot"])).fetchone()
        heads = await (await connection.execute(SQL["read_heads"])).fetchall()
        assert snapshot is not None, "a snapshot has a name"
        options = ["--format=custom", "--data-only", "--exclude-schema=ledger_meta"]
        options += [f"--snapshot={snapshot[0]}", "--no-password"]
        options += [] if is_superuser else ["--enable-row-security"]
        await asyncio.to_thread(_run_dump, archive, dsn, options, tell)
        await connection.execute("COMMIT")
        return BackupManifest(
            made_at=rfc3339(clock.now()),
            server_version=str(connection.info.server_version),
            has_keys=with_keys,
            logs=tuple(LogHead(tenant=t, size=n, root=bytes(r).hex()) for t, n, r in heads),
            schema=tuple(
                SchemaStep(number=m.number, name=m.name, checksum=m.checksum) for m in applied
            ),
        )


async def _demand_reach(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Refuse who cannot dump everything; tell whether row-level security is passed over."""
    major = connection.info.server_version // 10_000
    if major > POSTGRES_MAJOR:
        raise Misconfigured(
            setting="DATABASE_URL",
            reason=Text(
                f"o servidor é PostgreSQL {major}, os programas da cópia são do {POSTGRES_MAJOR}",
                f"the server is PostgreSQL {major}, the programs of the backup are "
                f"{POSTGRES_MAJOR}",
            ),
            remedy=Text(
                "use a cópia do próprio servidor, e `logline export` de cada casa",
                "use the server's own backups, and `logline export` of each tenant",
            ),
        )
    row = await (await connection.execute(SQL["read_reach"])).fetchone()
    assert row is not None, "a session has a user"
    if not (row[0] or row[1]):
        raise Misconfigured(setting="DATABASE_URL", reason=_HIDDEN, remedy=_HIDDEN_REMEDY)
    return bool(row[0])


def _run_dump(archive: ArchiveWriter, dsn: str, options: list[str], tell: Progress) -> None:
    command, environment = program("pg_dump", dsn, options)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, env=environment, cwd="/"
        ) as process,
    ):
        assert process.stdout is not None, "asked for"
        try:
            archive.add(DUMP, _told(chunks_of(process.stdout), tell))
            process.wait()
        except BaseException:
            process.kill()
            raise
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise failed_program("pg_dump", words)


def program(name: str, dsn: str, options: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a Postgres program; a password goes by the environment.

    Raises:
        Misconfigured: the programs are not installed.
    """
    parts: dict[str, Any] = conninfo_to_dict(dsn)
    password = parts.pop("password", None)
    environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    command = [str(find_programs() / name), *options, f"--dbname={make_conninfo(**parts)}"]
    return command, environment | {"LC_ALL": "C"}


def failed_program(name: str, words: str) -> DatabaseUnavailable:
    """Make the error for a program that ended badly; it carries the program's last words."""
    last = words[-500:]
    return DatabaseUnavailable(
        reason=Text(f"{name} falhou: {last}", f"{name} failed: {last}"), retry_after_s=5
    )


def _small_files(home: Path) -> Iterator[tuple[str, bytes]]:
    if (home / CONFIG).is_file():
        yield CONFIG, (home / CONFIG).read_bytes()
    guard = home / "guard"
    for path in sorted(guard.glob(f"*{SUFFIX}")) if guard.is_dir() else []:
        if not path.name.startswith("."):
            yield GUARD + path.name, path.read_bytes()
    if (guard / FORGOTTEN).is_file():
        yield GUARD + FORGOTTEN, (guard / FORGOTTEN).read_bytes()


def _told(chunks: Iterator[bytes], tell: Progress) -> Iterator[bytes]:
    size, told_at = 0, time.monotonic()
    tell(Text("a copiar a base de dados", "copying the database"))
    for chunk in chunks:
        size += len(chunk)
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            mebibytes = size // (1024 * 1024)
            tell(Text(f"{mebibytes} MiB copiados", f"{mebibytes} MiB copied"))
        yield chunk


def _say_nothing(_: Text) -> None:
    return None


_HIDDEN: Final = Text(
    "a segurança por linhas esconde registos a este utilizador: a cópia teria buracos",
    "row-level security hides records from this user: the backup would have holes",
)
_HIDDEN_REMEDY: Final = Text(
    "GRANT logline_appender TO este utilizador (com INHERIT), ou use o administrador",
    "GRANT logline_appender TO this user (with INHERIT), or use the administrator",
)
