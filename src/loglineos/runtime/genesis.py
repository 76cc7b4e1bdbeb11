"""Genesis: the rows that come with the product become signed records of a house.

    python -m loglineos.runtime.genesis --lock     write rows.lock after changing a row

The manifest is signed by the root key, everything else by the node's. Each row that genesis writes
is marked with its hash (`details.genesis`); a version that somebody of the house published has no
mark. Always holds: the same bytes twice append nothing; a row that the house changed itself is kept
as it is, and told; a pause stays; what the house decided in its manifest is never taken back.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.errors import Conflict
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.writer import Writer
from loglineos.runtime.following import asking
from loglineos.runtime.ids import derived_id
from loglineos.runtime.manifest import MANIFEST_ID, Manifest, manifest_draft, parse_manifest
from loglineos.runtime.publishing import next_version
from loglineos.runtime.rows import LOCK, MANIFEST_FILE, Row, Rows

_SQL: Final = Queries.load("loglineos.runtime", "genesis.sql")
GENESIS_ID: Final = derived_id("genesis")
WHO: Final = "genesis"
_RACES_MAX: Final = 8
_GIVEN_MAX: Final = 200
_SCHEDULE: Final = (
    "name", "description", "cron", "timezone", "catch_up", "input", "status"
)  # fmt: skip


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What genesis did: rows written, and rows left because the house has its own version."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unchanged: int = 0


async def write_rows(
    writer: Writer, tenant: str, rows: Rows | None = None, *, is_thorough: bool = False
) -> Report:
    """Write into a house what it does not have yet of the rows; one query when that is nothing.

    `is_thorough` compares every row, also when the house has been given these rows before: the
    report then names all that the house keeps in its own version. Safe to repeat and to run on
    several nodes at once.

    Raises:
        Misconfigured, NotFound: the manifest must be written, and the root key is not to be had.
        KeyNotTrusted: the root of this house is not this node's.
        UnknownTenant: no such tenant.
    """
    rows = rows or Rows()
    for _ in range(_RACES_MAX):
        heads = await _heads(writer, tenant, [GENESIS_ID, MANIFEST_ID])
        given, law = heads.get(GENESIS_ID), heads.get(MANIFEST_ID)
        is_given = rows.digest in _given(given)
        public = writer.keyring.public("node")
        manifest = lawful(law, rows, public)
        if is_given and manifest is None and not is_thorough:
            return Report(unchanged=len(rows.files))
        try:
            if manifest is not None:
                await _write_manifest(writer, tenant, manifest, law, rows)
            written, kept = await _write(writer, tenant, rows, given, is_given=is_given)
        except Conflict:
            continue  # another node does the same at this moment
        if manifest is not None:
            written = [MANIFEST_FILE, *written]
        unchanged = len(rows.files) - len(written) - len(kept)
        return Report(written=tuple(written), kept=tuple(kept), unchanged=unchanged)
    raise Conflict(id=str(GENESIS_ID), seq="?", head="?")


def lawful(head: Record | None, rows: Rows, public: str) -> Manifest | None:
    """Return the manifest that the house should have; None: the one that it has.

    The node's key is trusted, and kernels that it has not heard of may boot. A manifest that the
    house never touched follows the row; of one that it did, nothing else changes.

    Raises:
        InvalidInput, UnknownName: the house's manifest cannot be read.
    """
    row = rows.manifest
    if head is None:
        return msgspec.structs.replace(row, trusted_keys=(*row.trusted_keys, public))
    current = parse_manifest(head.metadata or {})
    mark = (head.details or {}).get("genesis")
    base = current
    if mark is not None and mark != rows.hashes.get(MANIFEST_FILE):
        base = msgspec.structs.replace(row, trusted_keys=current.trusted_keys)
    new = {name: one for name, one in row.kernels.items() if name not in base.kernels}
    missing = tuple(one for one in new.values() if one not in base.allowed_boot_ids)
    keys = () if public in base.trusted_keys else (public,)
    wanted = msgspec.structs.replace(
        base,
        kernels={**base.kernels, **new},
        allowed_boot_ids=(*base.allowed_boot_ids, *missing),
        trusted_keys=(*base.trusted_keys, *keys),
    )
    return None if wanted == current else wanted


async def _write_manifest(
    writer: Writer, tenant: str, manifest: Manifest, head: Record | None, rows: Rows
) -> None:
    is_ours = head is None or (head.details or {}).get("genesis") is not None
    mark = {"row": MANIFEST_FILE, "genesis": rows.hashes.get(MANIFEST_FILE)} if is_ours else None
    seq = 0 if head is None else head.seq + 1
    draft = manifest_draft(manifest, who=WHO, seq=seq, details=mark)
    await writer.append([draft], tenant=tenant, key=writer.keyring.key("root"))


async def _write(
    writer: Writer, tenant: str, rows: Rows, given: Record | None, *, is_given: bool
) -> tuple[list[str], list[str]]:
    heads = await _heads(writer, tenant, [row.id for row in rows.all])
    drafts: list[Draft] = []
    written, kept = [], []
    for row in rows.all:
        head = heads.get(row.id)
        if head is not None and _is_own(head):
            if _next(row, head) is not None:
                kept.append(row.name)
            continue
        if head is not None and (head.details or {}).get("genesis") == row.hash:
            continue
        draft = _next(row, head)
        if draft is not None:
            drafts.append(draft)
            written.append(row.name)
    if not is_given:
        seq = 0 if given is None else given.seq + 1
        drafts.append(
            Draft(
                id=GENESIS_ID, seq=seq, entity_type="boot_event", who=WHO, did="write", this="rows",
                status="complete", metadata={
                    "rows": rows.digest, "written": written, "kept": kept,
                    "given": [*_given(given), rows.digest][-_GIVEN_MAX:],
                },
            )
        )  # fmt: skip
    if drafts:
        await writer.append(drafts, tenant=tenant, key=writer.keyring.key("node"))
    return written, kept


def _given(head: Record | None) -> list[str]:
    """List the sets of rows that the house was given so far: an older node gives none back."""
    return [] if head is None else list((head.metadata or {}).get("given", ()))


def _is_own(head: Record) -> bool:
    """Tell whether the house has published a version of its own over the row's."""
    return (head.details or {}).get("genesis") is None


def _next(row: Row, head: Record | None) -> Draft | None:
    if row.source is not None:
        draft = next_version(row.source, head, who=WHO, did="define")
        if draft is None:
            return None
        return msgspec.structs.replace(draft, details=row.draft(who=WHO, did="define").details)
    draft = row.draft(who=WHO, did="define")
    if head is None:
        return msgspec.structs.replace(draft, seq=0)
    state = {k: v for k, v in (head.metadata or {}).items() if k not in (draft.metadata or {})}
    draft = msgspec.structs.replace(
        draft, seq=head.seq + 1, metadata={**(draft.metadata or {}), **state}
    )
    is_same = all(getattr(draft, name) == getattr(head, name) for name in (*_SCHEDULE, "metadata"))
    return None if is_same else draft


async def _heads(writer: Writer, tenant: str, ids: Sequence[UUID]) -> dict[UUID, Record]:
    async with asking(writer.pool) as connection:
        asked = {"tenant": tenant, "ids": list(ids)}
        rows = await (await connection.execute(_SQL["read_heads"], asked)).fetchall()
    return {record.id: record for record in map(record_of, rows)}


def main(arguments: Sequence[str]) -> int:
    """Write rows.lock (`--lock`), or say whether it is what the rows are; return the status."""
    path = Path(__file__).parents[1] / "rows" / LOCK
    rows = Rows()
    if "--lock" in arguments:
        path.write_text(rows.lock, encoding="utf-8")
        return 0
    is_right = path.is_file() and path.read_text(encoding="utf-8") == rows.lock
    if not is_right:
        sys.stderr.write(f"{path.name} is stale: python -m loglineos.runtime.genesis --lock\n")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
