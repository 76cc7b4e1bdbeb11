"""The list of destroyed subject keys, kept beside the guard: what no old backup may bring back.

One line for each key, `<tenant> <key id>`, in `forgotten`. The log says so too, but a backup from
before the forgetting has a log that does not say it yet.
Always holds: a line is on the disk before `note_forgotten` returns; lines are never removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import UUID

FILE: Final = "forgotten"


def note_forgotten(guard: Path, *, tenant: str, key_id: UUID) -> None:
    """Add a key to the list in the guard's folder; a repeat adds nothing. Before it is destroyed.

    Raises:
        OSError: the disk refused; the key must not be called forgotten yet.
    """
    add_forgotten(guard, keys=[(tenant, key_id)])


def add_forgotten(guard: Path, *, keys: Iterable[tuple[str, UUID]]) -> None:
    """Add keys to the list, those that it lacks."""
    fresh = [one for one in keys if one not in read_forgotten(guard)]
    if not fresh:
        return
    guard.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(guard / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write("".join(f"{tenant} {key_id}\n" for tenant, key_id in fresh).encode())
        file.flush()
        os.fsync(file.fileno())


def read_forgotten(guard: Path) -> set[tuple[str, UUID]]:
    """Return the keys of the list as (tenant, key id); a line cut off by a crash is passed over."""
    try:
        text = (guard / FILE).read_text()
    except FileNotFoundError:
        return set()
    return parse_forgotten(text)


def parse_forgotten(text: str) -> set[tuple[str, UUID]]:
    """Read the text of a list."""
    keys: set[tuple[str, UUID]] = set()
    for line in text.splitlines():
        tenant, _, key_id = line.partition(" ")
        try:
            keys.add((tenant, UUID(key_id)))
        except ValueError:
            continue
    return keys
