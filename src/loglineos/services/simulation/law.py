"""The law of a simulation: the house's own, row by row, and what is to be changed in it.

What Stage-0 would refuse in the house is not taken along: a simulation makes nothing lawful. Always
holds: nothing is written here, in the house or elsewhere; a changed function or policy takes the
place of the one of its name, so that both runs of a comparison are otherwise alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import Refused
from loglineos.database.queries import Queries
from loglineos.ledger.record import DRAFT_FIELDS, Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.scratch import SIMULATION
from loglineos.ledger.trust import key_entity_id
from loglineos.ledger.writer import Writer
from loglineos.runtime.definitions import ALIAS, list_definitions, names_of
from loglineos.runtime.following import asking
from loglineos.runtime.functions import KINDS, Kind, as_said
from loglineos.runtime.header import Source, read_source
from loglineos.runtime.manifest import MANIFEST_ID, Manifest, manifest_draft
from loglineos.runtime.stage0 import check_code, check_manifest
from loglineos.services.queue.settings import QUEUE
from loglineos.services.schedule.schedules import SCHEDULE

_SQL: Final = Queries.load("loglineos.runtime", "stage0.sql")
_TYPES: Final = (*KINDS, ALIAS, SCHEDULE, QUEUE)
_OF_EVENT: Final = frozenset({"seq", "at", "status", "metadata", "tenant_id", "simulated"})
_PLACES: Final = ("begins", "from_start")
"""What a policy says of positions of the house's own log; a simulation's is another."""
_POLICY: Final = re.compile(
    r"^(?:POLICY\s*[:=]|def on\(|(?:export default )?function on\b|globalThis\.default\s*=)",
    re.MULTILINE,
)
_FUNCTION: Final = re.compile(
    r"^(?:FUNCTION\s*[:=]|def main\(|(?:export default )?function main\b)", re.MULTILINE
)


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """What says what runs: the manifest, and the rest of the rows. `refused` names what is left."""

    manifest: Manifest
    drafts: tuple[Draft, ...]
    names: dict[str, UUID]
    refused: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Tell whether a name means a function of the house."""
        return as_said(name) in self.names

    def rows(self, node_key: str) -> list[Draft]:
        """Return all of it, to be written by a node with this key (public, hex)."""
        manifest = msgspec.structs.replace(self.manifest, trusted_keys=(node_key,))
        return [manifest_draft(manifest, who=SIMULATION, seq=0), *self.drafts]


def kind_of(text: str) -> Kind:
    """Tell whether a source is a policy or a function."""
    is_policy = _POLICY.search(text) is not None and _FUNCTION.search(text) is None
    return "policy" if is_policy else "function"


def read_change(text: str, *, filename: str) -> Source:
    """Read a file that is to take the place of a policy or function, or to be a new one.

    Raises:
        ProgramRefused, InvalidInput, UnknownName, TooLarge: see `read_source`.
    """
    return read_source(text, filename=filename, kind=kind_of(text))


async def read_law(writer: Writer, tenant: str) -> Law:
    """Read the law of a house as it is now; nothing is appended, whatever is found.

    Raises:
        Refused: its manifest is missing, or not lawful.
    """
    root = writer.keyring.public("root") if writer.keyring.has("root") else None
    record = await _rows(writer, "read_latest", tenant=tenant, id=MANIFEST_ID)
    founding = await _rows(writer, "read_founding", tenant=tenant)
    manifest = check_manifest(_first(record), _first(founding), tenant, root)
    found = await list_definitions(writer.pool, tenant, types=_TYPES)
    lives: dict[str, list[Record]] = {}
    lawful: list[Record] = []
    refused: list[str] = []
    for one in found:
        if one.status != "active":
            continue
        if one.entity_type in KINDS:
            key = one.public_key
            if key not in lives:
                identity = key_entity_id(tenant, key)
                lives[key] = await _rows(writer, "read_key_lives", tenant=tenant, id=identity)
            try:
                check_code(one, tenant=tenant, manifest=manifest, key_life=lives[key])
            except Refused:
                refused.append(one.name or str(one.id))
                continue
        lawful.append(one)
    return Law(
        manifest=manifest, drafts=tuple(_as_written(one) for one in lawful),
        names=names_of(lawful), refused=tuple(refused),
    )  # fmt: skip


def with_changes(law: Law, changes: Sequence[Source]) -> Law:
    """Return the law with these sources in force, each in the place of the one of its name."""
    drafts = list(law.drafts)
    for source in changes:
        sought = (source.kind, as_said(source.name))
        named = [
            place
            for place, draft in enumerate(drafts)
            if (draft.entity_type, as_said(draft.name or "")) == sought
        ]
        identity = drafts[named[0]].id if named else source.id
        draft = msgspec.structs.replace(
            source.draft(who=SIMULATION, did="push"), id=identity, seq=0
        )
        draft = _without_place(draft)
        if named:
            drafts[named[0]] = draft
        else:
            drafts.append(draft)
    names = {**law.names}
    for source in changes:
        if source.kind == "function":
            for name in (source.name, *source.header.aliases):
                names.setdefault(as_said(name), source.id)
    return msgspec.structs.replace(
        law, drafts=tuple(drafts), names=names, changed=tuple(one.name for one in changes)
    )


def _as_written(record: Record) -> Draft:
    """Return the draft that begins the life of a row of the law as it stands."""
    kept = {name: getattr(record, name) for name in DRAFT_FIELDS if name not in _OF_EVENT}
    draft = Draft(**kept, seq=0, status="active", metadata=record.metadata)
    return _without_place(draft)


def _without_place(draft: Draft) -> Draft:
    if draft.entity_type != "policy":
        return draft
    kept = {k: v for k, v in (draft.metadata or {}).items() if k not in _PLACES}
    return msgspec.structs.replace(draft, metadata=kept or None)


async def _rows(writer: Writer, query: str, **named: Any) -> list[Record]:
    async with asking(writer.pool) as connection:
        cursor = await connection.execute(_SQL[query], named)
        return [record_of(row) for row in await cursor.fetchall()]


def _first(records: Iterable[Record]) -> Record | None:
    return next(iter(records), None)
