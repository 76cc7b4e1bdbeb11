"""Restore: a backup becomes a data folder, complete or not at all.

    check every digest → a server in a folder aside → roles → schema as it was → data
    → heads and counts as the manifest says → forget again → today's schema → move into place

Always holds: nothing that is there is overwritten; the guard never moves back: where the folder's
own guard has seen more than the backup, it stays, and the node then refuses to sign (LogBehind)
until the newer history is found or given up; what was forgotten stays forgotten.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from loglineos.base.errors import LogBehind, Misconfigured, VerificationFailed
from loglineos.base.language import Text
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.migrate import Migration, migrate, read_migrations
from loglineos.database.roles import ensure_roles
from loglineos.ledger.archive.backup import SQL, Progress, failed_program, program
from loglineos.ledger.archive.backup_archive import (
    CONFIG,
    DUMP,
    GUARD,
    KEYS,
    BackupManifest,
    check_archive,
    chunks_of,
    open_member,
)
from loglineos.ledger.archive.backup_keys import open_keys, write_keys
from loglineos.ledger.archive.export_files import fsync_folder
from loglineos.ledger.forgotten import FILE as FORGOTTEN
from loglineos.ledger.forgotten import add_forgotten, parse_forgotten, read_forgotten
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.tlog.checkpoint import parse_checkpoint
from loglineos.ledger.tlog.note import parse_note

_ASIDE: Final = ".restoring-"


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did.

    `keys`: `restored`, `kept` (the folder had them), or `missing`. `ahead` names the logs of
    which the folder's guard had seen more than the backup holds: they will not be signed.
    `forgotten` counts subject keys that were destroyed again.
    """

    manifest: BackupManifest
    keys: str
    ahead: tuple[str, ...]
    forgotten: int


async def restore(
    source: Path,
    home: Path,
    *,
    passphrase: str | None = None,
    on_progress: Progress | None = None,
) -> RestoreReport:
    """Make the data folder `home` from a backup; return what was done.

    `home` must have no `pgdata`; keys, guard and config that are there stay. If it stops half way,
    nothing is in place and it may be run again. `passphrase` opens the backup's keys.

    Raises:
        Misconfigured: there is a database, other keys are there, the passphrase is missing or
            wrong, or this program does not know the backup's schema. Nothing was changed.
        VerificationFailed: the file is cut off or changed, or the guard knows another history.
        NotFound: no such file. DatabaseUnavailable: the data could not be loaded.
    """
    tell = on_progress or (lambda _: None)
    home = _without_database(home)
    tell(Text("a verificar a cópia", "checking the backup"))
    manifest = await asyncio.to_thread(check_archive, source)
    migrations = _known_schema(manifest)
    keys = await asyncio.to_thread(_read_keys, source, manifest, home, passphrase)
    forgotten = _forgotten(source, manifest, home)
    ahead = _compare_guards(source, manifest, home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in home.glob(f"{_ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=home))
    try:
        postgres = await asyncio.to_thread(EmbeddedPostgres.start, aside, on_progress=on_progress)
        try:
            tell(Text("a repor os dados", "loading the data"))
            count = await _load(postgres.admin_dsn, source, manifest, migrations, forgotten)
        finally:
            await asyncio.to_thread(postgres.stop)
        state = _put_in_place(source, manifest, home, aside, keys)
    finally:
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
    return RestoreReport(manifest=manifest, keys=state, ahead=tuple(ahead), forgotten=count)


def _without_database(home: Path) -> Path:
    home = home.expanduser().resolve()
    if (home / "pgdata").exists():
        raise Misconfigured(setting=str(home), reason=_NOT_EMPTY, remedy=_NOT_EMPTY_REMEDY)
    return home


async def _load(
    dsn: str,
    source: Path,
    manifest: BackupManifest,
    migrations: tuple[Migration, ...],
    forgotten: set[tuple[str, Any]],
) -> int:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await ensure_roles(connection)
        await migrate(connection, migrations=migrations)
        await asyncio.to_thread(_run_restore, source, dsn)
        await _compare_heads(connection, manifest)
        cursor = await connection.execute(SQL["destroy_forgotten"])
        count = cursor.rowcount
        for tenant, key_id in sorted(forgotten):
            asked = {"tenant": tenant, "key_id": key_id}
            count += (await connection.execute(SQL["destroy_key"], asked)).rowcount
        await migrate(connection)
        await connection.execute(SQL["refresh_statistics"])
    return count


def _run_restore(source: Path, dsn: str) -> None:
    options = ["--data-only", "--exit-on-error", "--no-owner", "--no-password"]
    command, environment = program("pg_restore", dsn, options)
    with (
        open_member(source, DUMP) as dump,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment, cwd="/"
        ) as process,
    ):
        assert process.stdin is not None, "asked for"
        try:
            with suppress(BrokenPipeError):  # its own words say why it ended early
                for chunk in chunks_of(dump):
                    process.stdin.write(chunk)
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        except BaseException:
            process.kill()
            raise
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise failed_program("pg_restore", words)


async def _compare_heads(
    connection: psycopg.AsyncConnection[Any], manifest: BackupManifest
) -> None:
    rows = await (await connection.execute(SQL["read_heads"])).fetchall()
    heads = {row[0]: (row[1], bytes(row[2]).hex()) for row in rows}
    counts = dict(await (await connection.execute(SQL["count_records"])).fetchall())
    for log in manifest.logs:
        is_same = heads.get(log.tenant) == (log.size, log.root)
        is_full = log.tenant.startswith("@") or counts.get(log.tenant, 0) == log.size
        if not is_same or not is_full:
            raise VerificationFailed(
                what="backup",
                where=log.tenant,
                reason=Text(
                    f"o log tem {counts.get(log.tenant, 0)} registos e o manifesto diz {log.size}",
                    f"the log has {counts.get(log.tenant, 0)} records, the manifest says "
                    f"{log.size}",
                ),
            )


def _known_schema(manifest: BackupManifest) -> tuple[Migration, ...]:
    known = read_migrations()
    told = [(one.number, one.checksum) for one in manifest.schema]
    ours = [(one.number, one.checksum) for one in known[: len(told)]]
    if told != ours:
        raise Misconfigured(
            setting="schema",
            reason=Text(
                "a cópia tem um esquema que este programa não conhece",
                "the backup has a schema that this program does not know",
            ),
            remedy=Text(
                "instale a versão do loglineos que fez a cópia, ou uma mais nova",
                "install the loglineos that made the backup, or a newer one",
            ),
        )
    return known[: len(told)]


def _read_keys(
    source: Path, manifest: BackupManifest, home: Path, passphrase: str | None
) -> dict[str, bytes]:
    """Return the backup's keys; refuse if the folder has other ones under the same names."""
    if not manifest.has_keys:
        return {}
    with open_member(source, KEYS) as file:
        files = open_keys(file.read(), passphrase=passphrase)
    for name, data in files.items():
        path = home / "keys" / name
        if path.exists() and path.read_bytes() != data:
            raise Misconfigured(setting=str(path), reason=_OTHER_KEY, remedy=_OTHER_KEY_REMEDY)
    return files


def _forgotten(source: Path, manifest: BackupManifest, home: Path) -> set[tuple[str, Any]]:
    keys = read_forgotten(home / "guard")
    if any(one.name == GUARD + FORGOTTEN for one in manifest.members):
        with open_member(source, GUARD + FORGOTTEN) as file:
            keys |= parse_forgotten(file.read().decode(errors="replace"))
    return keys


def _guard_notes(source: Path, manifest: BackupManifest) -> list[bytes]:
    notes = []
    for member in manifest.members:
        if member.name.startswith(GUARD) and member.name != GUARD + FORGOTTEN:
            with open_member(source, member.name) as file:
                notes.append(file.read())
    return notes


def _compare_guards(source: Path, manifest: BackupManifest, home: Path) -> list[str]:
    """Name the logs of which the folder's guard has seen more; refuse another history."""
    guard, ahead = Guard(home / "guard"), []
    sizes = {log.tenant: log.size for log in manifest.logs}
    for note in _guard_notes(source, manifest):
        told = parse_checkpoint(parse_note(note).text)
        kept = guard.read(told.origin)
        if kept is not None and kept.checkpoint.size == told.size and kept.checkpoint != told:
            raise VerificationFailed(what="backup", where=told.origin, reason=_FORKED)
    for origin in guard.origins():
        kept = guard.read(origin)
        tenant = "@root" if origin.endswith("/root") else origin.rpartition("/t/")[2]
        if kept is not None and kept.checkpoint.size > sizes.get(tenant, 0):
            ahead.append(origin)
    return ahead


def _put_in_place(
    source: Path, manifest: BackupManifest, home: Path, aside: Path, keys: dict[str, bytes]
) -> str:
    """Bring everything into the folder; the database comes last, so that it is whole or not."""
    missing = {name: data for name, data in keys.items() if not (home / "keys" / name).exists()}
    write_keys(home / "keys", missing)
    guard = Guard(home / "guard")
    for note in _guard_notes(source, manifest):
        kept = guard.read(parse_checkpoint(parse_note(note).text).origin)
        with suppress(LogBehind):  # the folder's own guard has seen more: it stays
            guard.advance(note, expected=kept.checkpoint if kept else None)
    add_forgotten(home / "guard", keys=_forgotten(source, manifest, home))
    if not (home / CONFIG).exists() and any(m.name == CONFIG for m in manifest.members):
        with open_member(source, CONFIG) as file:
            write_keys(home, {CONFIG: file.read()})
    (aside / "pgdata").rename(home / "pgdata")
    fsync_folder(home)
    if missing:
        return "restored"
    return "kept" if any((home / "keys").glob("*.key")) else "missing"


_NOT_EMPTY: Final = Text(
    "já tem uma base de dados, e nada se escreve por cima dela",
    "it has a database already, and nothing is written over it",
)
_NOT_EMPTY_REMEDY: Final = Text(
    "dê outra pasta em LOGLINE_HOME, ou pare o nó e mude o nome de pgdata",
    "give another folder in LOGLINE_HOME, or stop the node and rename pgdata",
)
_OTHER_KEY: Final = Text(
    "há aqui outra chave com este nome, e não é a da cópia",
    "another key of this name is here, and it is not the backup's",
)
_OTHER_KEY_REMEDY: Final = Text(
    "guarde as chaves desta pasta noutro sítio e repita",
    "keep the keys of this folder elsewhere and try again",
)
_FORKED: Final = Text(
    "a guarda desta pasta viu outra história do mesmo tamanho",
    "the guard of this folder has seen another history of the same size",
)
