"""The keys of logs that a check may believe: those given, else this data folder's own.

Always holds: a log that bears the name of one of ours is held against our own key, never against
one that its files bring along; a key that comes with the files is believed only for a log that we
know nothing of, and whoever asked is told so. Nothing here opens a database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.faces.cli.session import Session
from loglineos.ledger.archive.export_files import find_export
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_names import log_keys, nodes_of, origin_of
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.tlog.note import VerifierKey

NO_KEYS: Final = Text("diga a chave do log em que confia", "give the key of the log that you trust")
KEY_CAME_ALONG: Final = Text(
    "a chave veio com os ficheiros: nada mudou desde que foram assinados, mas por quem, só o diz "
    "--vkey",
    "the key came with the files: nothing has changed since they were signed, but by whom, only "
    "--vkey can tell",
)


def own_log_keys(session: Session) -> list[VerifierKey]:
    """Return the keys of this data folder's logs, read from its key files alone: no database.

    Raises:
        Misconfigured: there is no node in this data folder, and no key was given.
    """
    settings = session.settings
    if settings.origin is None:
        raise Misconfigured(setting="--vkey", reason=NO_KEYS)
    public = bytes.fromhex(KeyRing(settings.keys_folder).public("log"))
    names = [origin_of(settings.origin, tenant) for tenant in (settings.tenant, ROOT_LOG)]
    origins = sorted({*names, *Guard(settings.guard_folder).origins()})
    return [key for origin in origins for key in log_keys([public], origin)]


def own_keys_of(session: Session, origin: str) -> list[VerifierKey]:
    """Return this data folder's key of the log `origin`; [] when the log is not one of its own."""
    settings = session.settings
    ours = {settings.origin, *nodes_of(Guard(settings.guard_folder).origins())}
    if not ours.intersection(nodes_of([origin])) or not settings.keys_folder.is_dir():
        return []
    return log_keys([bytes.fromhex(KeyRing(settings.keys_folder).public("log"))], origin)


def keys_of_export(session: Session, path: Path) -> list[str]:
    """Return our own vkeys of the log that an export says it is of; [] when it is none of ours.

    Raises:
        NotFound, InvalidInput: no export is there, or it cannot be read.
    """
    manifest = find_export(path).manifest
    if manifest is None or manifest.checkpoint is None:
        return []
    origin, _, _ = manifest.checkpoint.partition("\n")
    return [key.encode() for key in own_keys_of(session, origin)]
