"""Governing: a change of the manifest is its next event, signed by the root key.

Always holds: only a manifest that is lawful as it stands can be changed; what does not change it
appends nothing; two changes at once are both made, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loglineos.base.errors import Conflict
from loglineos.ledger.record import Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.manifest import MANIFEST_ID, Manifest, manifest_draft
from loglineos.runtime.stage0 import Stage0

_RACES_MAX: Final = 8


async def read_manifest(writer: Writer, tenant: str) -> tuple[Record, Manifest]:
    """Return the record of a house's manifest and what it says, checked by Stage-0.

    Raises:
        Refused: it is missing, or not lawful.
    """
    return await stage0_of(writer).take_manifest(tenant)


def stage0_of(writer: Writer) -> Stage0:
    """Return the Stage-0 of this node, which knows the node's root key where there is one."""
    keyring = writer.keyring
    return Stage0(writer, root=keyring.public("root") if keyring.has("root") else None)


async def change_manifest(
    writer: Writer, tenant: str, change: Callable[[Manifest], Manifest], *, who: str
) -> tuple[Record, bool]:
    """Change a house's manifest; return its record, and whether that is new.

    Raises:
        Refused: the manifest is missing or not lawful.
        InvalidInput, UnknownName: `change` makes no manifest.
        Misconfigured, NotFound: the root key is sealed or not here.
    """
    for _ in range(_RACES_MAX):
        head, manifest = await read_manifest(writer, tenant)
        wanted = change(manifest)
        if wanted == manifest:
            return head, False
        draft = manifest_draft(wanted, who=who, seq=head.seq + 1)
        try:
            (record,) = await writer.append([draft], tenant=tenant, key=writer.keyring.key("root"))
        except Conflict:
            continue  # somebody else changed it in between
        return record, True
    raise Conflict(id=str(MANIFEST_ID), seq="?", head="?")
