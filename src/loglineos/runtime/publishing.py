"""Publishing: source becomes the next version of a function in a house, and versions compared.

Always holds: what was published is lawful as far as this node can say (it was checked, it compiles,
the node's key signed it); the same bytes twice append nothing; what somebody paused stays paused
until somebody resumes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import unified_diff
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from loglineos.base.errors import Conflict, InvalidInput, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import DRAFT_FIELDS, Draft, Json, Record
from loglineos.ledger.signature import SigningKey
from loglineos.ledger.writer import Writer
from loglineos.runtime.definitions import ALIAS, list_definitions, names_of
from loglineos.runtime.functions import KINDS, as_said
from loglineos.runtime.governing import stage0_of
from loglineos.runtime.header import Source

Check = Callable[[Source], Awaitable[list[Text]]]
"""Checks a source before it is published: raises ProgramRefused, or returns what to be wary of."""

_RACES_MAX: Final = 8
_DEFINES: Final = (
    "name", "description", "code", "code_hash", "language", "runtime", "version", "entrypoint",
    "effects", "visibility", "owner_id",
)  # fmt: skip
_STATES: Final = frozenset({"paused", "quarantined"})
"""What `metadata` says of a function's state; the rest of it is its definition."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is in force now; `is_new`: it was appended, not there already."""

    record: Record
    is_new: bool
    warnings: tuple[Text, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two versions: declared parts (before, after), and lines of code."""

    declared: dict[str, tuple[Json, Json]]
    lines: tuple[str, ...]


async def push(
    writer: Writer,
    tenant: str,
    source: Source,
    *,
    who: str,
    check: Check | None = None,
    key: SigningKey | None = None,
) -> Published:
    """Publish a source as the next version of the function of its name.

    A name that is a known function's alias, or an alias that another function answers to, is
    refused. The node's key signs, or `key`: then the manifest must trust that one for it to run.

    Raises:
        ProgramRefused: `check` refuses it.
        InvalidInput: the name or an alias belongs to another function.
        KeyNotTrusted: `who` signs with a key of their own; the node does not speak in their name.
    """
    warnings = tuple(await check(source)) if check is not None else ()
    source = await _placed(writer, tenant, source)
    for _ in range(_RACES_MAX):
        head = await head_of(writer, tenant, source.id)
        draft = next_version(source, head, who=who, did="push")
        if draft is None:
            assert head is not None
            return Published(record=head, is_new=False, warnings=warnings)
        try:
            record = await _append(writer, tenant, draft, key=key)
        except Conflict:
            continue  # another published in between: see whether it is the same
        return Published(record=record, is_new=True, warnings=warnings)
    raise Conflict(id=str(source.id), seq="?", head="?")


async def set_pause(
    writer: Writer, tenant: str, entity: UUID, *, who: str, is_paused: bool, reason: str | None
) -> tuple[Record, bool]:
    """Pause a function or policy, or resume it; return its record, and whether that is new.

    Resuming lifts a quarantine as well. The node signs the next event, and so vouches for the code
    in it: what Stage-0 refuses can be neither paused nor resumed.

    Raises:
        NotFound: there is none.
        Refused: the house's manifest, or the code, is not lawful.
    """
    stage0 = stage0_of(writer)
    _, manifest = await stage0.take_manifest(tenant)
    for _ in range(_RACES_MAX):
        head = await head_of(writer, tenant, entity)
        if head is None or head.entity_type not in KINDS:
            raise NotFound(what="function", which=str(entity))
        state = head.metadata or {}
        if is_paused == ("paused" in state) and (is_paused or "quarantined" not in state):
            return head, False
        await stage0.check(head, tenant=tenant, manifest=manifest)
        at = writer.clock.now().isoformat(timespec="seconds")
        paused = {"by": who, "reason": reason, "at": at} if is_paused else None
        changes = {"paused": paused} if is_paused else {"paused": None, "quarantined": None}
        draft = amended(head, who=who, did="pause" if is_paused else "resume", **changes)
        try:
            return await _append(writer, tenant, draft), True
        except Conflict:
            continue
    raise Conflict(id=str(entity), seq="?", head="?")


def amended(
    head: Record,
    *,
    who: str,
    did: str,
    status: Literal["active", "archived"] = "active",
    **changes: Json,
) -> Draft:
    """Draft the next event of a definition: all as it was, but for parts of its metadata.

    A part that is None goes. Sign it with the node's key: whoever acts need not be among those
    whose keys the manifest trusts.
    """
    carried = {name: getattr(head, name) for name in DRAFT_FIELDS if name not in _OF_EVENT}
    metadata = {**(head.metadata or {}), **changes}
    kept = {name: value for name, value in metadata.items() if value is not None}
    return Draft(**carried, seq=head.seq + 1, who=who, did=did, status=status, metadata=kept)


def next_version(source: Source, head: Record | None, *, who: str, did: str) -> Draft | None:
    """Draft what follows `head` so that `source` is in force; None: it is already.

    A pause stays; a quarantine ends, for it was of other code. The aliases that genesis gave stay
    only if the source has them.
    """
    draft = source.draft(who=who, did=did)
    if head is None:
        return msgspec.structs.replace(draft, seq=0)
    if head.status == "active" and _definition(draft) == _definition(head):
        return None
    metadata = dict(draft.metadata or {})
    if "paused" in (head.metadata or {}):
        metadata["paused"] = (head.metadata or {})["paused"]
    return msgspec.structs.replace(draft, seq=head.seq + 1, metadata=metadata)


async def head_of(writer: Writer, tenant: str, entity: UUID) -> Record | None:
    """Return the latest event of an entity; None: there is none."""
    try:
        return await writer.latest(tenant, entity)
    except NotFound:
        return None


def compare(before: Record, after: Record) -> Difference:
    """Tell what is different between two versions of a function."""
    old, new = _definition(before), _definition(after)
    names = [name for name in {**old, **new} if name not in ("code", "code_hash")]
    lines = unified_diff(
        (before.code or "").splitlines(), (after.code or "").splitlines(),
        f"{before.name} seq {before.seq}", f"{after.name} seq {after.seq}", lineterm="",
    )  # fmt: skip
    return Difference(
        declared={n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)},
        lines=tuple(lines),
    )


async def _placed(writer: Writer, tenant: str, source: Source) -> Source:
    """Give a source the id of the function that has its name; check its names against others."""
    records = await list_definitions(writer.pool, tenant, types=(*KINDS, ALIAS))
    names = names_of(records)
    same = [r for r in records if r.entity_type == source.kind and r.name is not None]
    mine = next((r.id for r in same if as_said(r.name or "") == as_said(source.name)), None)
    if mine is not None:
        source = msgspec.structs.replace(source, id=mine)
    if source.kind == "function":
        learned = {as_said(r.name or "") for r in records if r.entity_type == ALIAS}
        for name in (source.name, *source.header.aliases):
            owner = names.get(as_said(name))
            if owner not in (None, source.id) and as_said(name) not in learned:
                other = next(r.name for r in records if r.id == owner)
                reason = Text(f"é o nome de outra função: {other}", f"is a name of {other}")
                raise InvalidInput(field="aliases", shape=shape_of(name), reason=reason)
    return source


async def _append(
    writer: Writer, tenant: str, draft: Draft, *, key: SigningKey | None = None
) -> Record:
    signer = key or writer.keyring.key("node")
    (record,) = await writer.append([draft], tenant=tenant, key=signer)
    return record


def _definition(one: Draft | Record) -> dict[str, Any]:
    """Return what defines a function, without its place, author and state."""
    metadata = {k: v for k, v in (one.metadata or {}).items() if k not in _STATES}
    parts = {name: getattr(one, name) for name in _DEFINES}
    parts["effects"] = tuple(one.effects or ())
    return {**parts, **{f"metadata.{name}": value for name, value in metadata.items()}}


_OF_EVENT: Final = frozenset({"seq", "who", "did", "status", "metadata", "at", "tenant_id"})
