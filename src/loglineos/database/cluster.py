"""The files of the embedded Postgres: making the folder once, writing its settings at each start.

Always holds: `pgdata` appears complete or not at all (it is made beside and renamed); only local
connections by the owner of the folder are let in; nothing here weakens durability.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.database.failures import no_room
from loglineos.database.installation import POSTGRES_MAJOR, Identity

SETTINGS_FILE: Final = "logline.conf"
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}
_MIB: Final = 1024 * 1024

_HBA: Final = """\
# Written when the folder was made; lines of yours may follow.
# Only the operating system's user that owns this folder (and root) gets in, by the local socket.
local all         all peer map=logline
local replication all peer map=logline
"""


def make_cluster(pgdata: Path, *, programs: Path, identity: Identity) -> None:
    """Run `initdb` beside `pgdata` and rename; what a killed attempt left behind is removed.

    Raises:
        Misconfigured: `initdb` failed; the reason carries its words. ReadOnly: no room for it.
    """
    unfinished = pgdata.with_name(pgdata.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if identity.is_other:
        os.chown(unfinished, identity.uid, identity.gid)
    _run_initdb(unfinished, programs=programs, identity=identity)
    (unfinished / "pg_hba.conf").write_text(_HBA)
    with (unfinished / "postgresql.conf").open("a") as settings:
        settings.write("\n# The node's own settings; ALTER SYSTEM overrides them.\n")
        settings.write(f"include = '{SETTINGS_FILE}'\n")
    write_settings(unfinished, identity=identity)
    unfinished.rename(pgdata)


def check_version(pgdata: Path) -> None:
    """Refuse a folder that another major version of Postgres made.

    Raises:
        Misconfigured: with both versions and the way out.
    """
    found = (pgdata / "PG_VERSION").read_text().strip()
    if found != str(POSTGRES_MAJOR):
        raise Misconfigured(
            setting=str(pgdata),
            reason=Text(
                f"a pasta é do PostgreSQL {found}, o nó traz o {POSTGRES_MAJOR}",
                f"the folder is of PostgreSQL {found}, the node brings {POSTGRES_MAJOR}",
            ),
            remedy=Text(
                "restaure uma cópia (`logline restore`) numa pasta nova",
                "restore a backup (`logline restore`) into a new folder",
            ),
        )


def write_settings(pgdata: Path, *, identity: Identity) -> None:
    """Write the node's settings and the list of users let in; done before each launch."""
    _replace(pgdata / SETTINGS_FILE, _settings(), identity)
    names = dict.fromkeys((identity.name, "root"))
    lines = [f'logline "{name}" all' for name in names]
    _replace(pgdata / "pg_ident.conf", "\n".join(lines) + "\n", identity)


def _settings() -> str:
    memory_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
    return f"""\
# Written by the node at each start; changes here are lost. Use ALTER SYSTEM.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'

# Durability is what a ledger is for.
fsync = on
synchronous_commit = on
full_page_writes = on

shared_buffers = {max(16, min(512, memory_mib // 4))}MB
effective_cache_size = {max(64, memory_mib // 2)}MB
work_mem = 16MB
maintenance_work_mem = {max(16, min(256, memory_mib // 16))}MB
jit = off

# Few, spread checkpoints: a ledger only grows. The wheel is built without lz4, and pglz costs
# more time than it saves here.
wal_compression = off
# What a large append has written goes to the disk while it goes on, not all of it at its commit.
wal_writer_delay = 10ms
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

# Tables that only grow: freeze early and keep the visibility map fresh for index-only scans.
autovacuum_vacuum_insert_scale_factor = 0.05
autovacuum_vacuum_insert_threshold = 10000
autovacuum_analyze_scale_factor = 0.02

log_min_messages = warning
log_line_prefix = '%m [%p] %q%u@%d/%a '
"""


def _replace(path: Path, text: str, identity: Identity) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    if identity.is_other:
        os.chown(fresh, identity.uid, identity.gid)
    fresh.replace(path)


def _run_initdb(folder: Path, *, programs: Path, identity: Identity) -> None:
    command = [
        str(programs / "initdb"),
        f"--pgdata={folder}",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--auth=peer",
        "--no-instructions",
    ]
    user = identity.uid if identity.is_other else None
    group = identity.gid if identity.is_other else None
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd="/",
        user=user,
        group=group,
        extra_groups=[] if identity.is_other else None,
    )
    if done.returncode != 0 and "No space left on device" in done.stderr:
        raise no_room(folder.parent)
    if done.returncode != 0:
        raise Misconfigured(
            setting="initdb",
            reason=Text(
                f"a base de dados não se deixou criar: {done.stderr.strip()[-500:]}",
                f"the database could not be made: {done.stderr.strip()[-500:]}",
            ),
        )
