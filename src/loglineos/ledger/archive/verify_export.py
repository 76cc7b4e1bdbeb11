"""Check an exported file without any database: every record, every chain, every key, the tree.

    each record    its canonical bytes, hash and signature          two processes when it is long
    in order       dense positions, entity chains, terms of keys    one pass
    at the end     the tree of all leaves is the one that the checkpoint signs; the file's digest

Always holds: what a report says was checked; what could not be checked it names in `unchecked`.
The first lie in the order of the file is the one that is told, with file, line, record and reason.
Memory is a few blocks and 64 bytes for each entity, in a file that is mapped.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from loglineos.base.errors import LoglineError, VerificationFailed
from loglineos.base.language import Text
from loglineos.ledger.archive.entity_heads import EntityHeads
from loglineos.ledger.archive.export_check import Checked, Lie, check_block
from loglineos.ledger.archive.export_files import (
    Block,
    ExportManifest,
    digest_of,
    find_export,
    read_blocks,
)
from loglineos.ledger.record import Record
from loglineos.ledger.tlog.checkpoint import Checkpoint, open_checkpoint
from loglineos.ledger.tlog.note import parse_vkey
from loglineos.ledger.tlog.tiles import TileTree
from loglineos.ledger.trust import Trust

Progress: TypeAlias = Callable[[int], None]
"""Told how many records were checked so far."""

_PROCESSES_FROM_BYTES: Final = 16 * 1024 * 1024
_AHEAD: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What holds, and what was not checked.

    `root` (hex) is of the tree of all records, None for a part of a log. `signed_size` is how many
    of them the checkpoint covers; `log` is its origin; `is_key_given` tells whether the log's key
    came from the caller and not from the export itself.
    """

    tenant: str | None
    records: int
    entities: int
    whole: bool
    root: str | None
    signed_size: int | None
    log: str | None
    is_key_given: bool
    unchecked: tuple[Text, ...]


def verify_export(
    path: Path,
    *,
    vkeys: Sequence[str] | None = None,
    processes: int | None = None,
    on_progress: Progress | None = None,
) -> ExportReport:
    """Check a file or folder that `export` wrote; return what holds.

    `vkeys` are the log's keys as you know them; without any, those that the export names are
    used, which proves that it was not changed since, not who made it. A file without its manifest
    is checked as a whole log that no checkpoint covers. Two processes for more than 16 MiB
    (`processes` overrides).

    Raises:
        VerificationFailed: the first lie: `where` is `file:line`, `what` and `reason` what it is.
        NotFound, InvalidInput, TooLarge: no export is there, or it cannot be read at all.
    """
    place = find_export(path)
    manifest = place.manifest
    size_bytes = place.records.stat().st_size
    if processes is None:
        processes = 2 if size_bytes > _PROCESSES_FROM_BYTES and (os.cpu_count() or 1) > 1 else 1
    signed = _open_checkpoint(manifest, vkeys, place.records.name)
    with EntityHeads() as heads:
        reading = _Pass(manifest, signed, heads)
        for block in _checked(read_blocks(place), processes):
            reading.take(*block)
            if on_progress is not None:
                on_progress(reading.records)
        reading.finish(place.records.name)
        report = reading.report(is_key_given=vkeys is not None)
    if manifest is not None:
        _check_files(place.records.parent, place.records, manifest)
    return report


class _Pass:
    """The one pass in the order of the file."""

    def __init__(
        self, manifest: ExportManifest | None, signed: Checkpoint | None, heads: EntityHeads
    ) -> None:
        self.records = 0
        self._manifest = manifest
        self._whole = manifest is None or manifest.whole
        self._tenant = manifest.tenant if manifest else None
        self._signed = signed
        self._heads = heads
        self._trust = Trust()
        self._trusted: set[tuple[str, str | None, str]] = set()
        self._tree = TileTree()
        self._last = -1
        self._signed_root: bytes | None = None

    def take(self, checked: list[Checked], lie: Lie | None) -> None:
        for one in checked:
            self._place(one)
            self._chain(one)
            if self._whole:
                self._check_trust(one)
        self.records += len(checked)
        if self._whole:
            self._grow([one.leaf for one in checked])
        if lie is not None:
            raise lie.error()

    def finish(self, file: str) -> None:
        told = self._manifest
        if told is None:
            return
        if self.records != told.records or (self._whole and self.records != told.size):
            expected = told.size if self._whole else told.records
            raise _broken(file, "file", Text(
                f"tem {self.records} registos e devia ter {expected}",
                f"it has {self.records} records and should have {expected}",
            ))  # fmt: skip
        if not self._whole:
            return
        if self._signed is not None and self._signed_root != self._signed.root:
            raise _broken(file, "tree", Text(
                f"a árvore dos primeiros {self._signed.size} registos não é a que o log assinou: "
                "um recorded_at mudou, ou um registo foi trocado por outro",
                f"the tree of the first {self._signed.size} records is not the one that the log "
                "signed: a recorded_at was changed, or a record was put in place of another",
            ))  # fmt: skip
        if self._tree.root().hex() != told.root:
            raise _broken(file, "tree", _OTHER_ROOT)

    def report(self, *, is_key_given: bool) -> ExportReport:
        signed = self._signed if self._whole else None
        return ExportReport(
            tenant=self._tenant, records=self.records, entities=len(self._heads),
            whole=self._whole, root=self._tree.root().hex() if self._whole else None,
            signed_size=signed.size if signed else None, log=signed.origin if signed else None,
            is_key_given=is_key_given and signed is not None, unchecked=self._unchecked(signed),
        )  # fmt: skip

    def _unchecked(self, signed: Checkpoint | None) -> tuple[Text, ...]:
        if not self._whole:
            return (_ONLY_A_PART,)
        if signed is None:
            return (_NO_CHECKPOINT,)
        if signed.size < self.records:
            rest = self.records - signed.size
            return (Text(
                f"os últimos {rest} registos são mais novos do que o checkpoint",
                f"the last {rest} records are newer than the checkpoint",
            ),)  # fmt: skip
        return ()

    def _place(self, one: Checked) -> None:
        if self._tenant is None:
            self._tenant = one.tenant
        if one.tenant != self._tenant:
            raise _lie(one, "tenant", Text(
                f"é de {one.tenant}, o ficheiro de {self._tenant}",
                f"it is of {one.tenant}, the file of {self._tenant}",
            ))  # fmt: skip
        is_next = one.position == self._last + 1 if self._whole else one.position > self._last
        if not is_next:
            raise _lie(one, "position", Text(
                f"a posição {one.position} vem depois da {self._last}",
                f"position {one.position} comes after {self._last}",
            ))  # fmt: skip
        self._last = one.position

    def _chain(self, one: Checked) -> None:
        last = self._heads.last_seq(one.entity)
        is_gap = not self._whole and one.seq > 0 and (last is None or one.seq > last + 1)
        if not is_gap and not self._heads.follows(one.entity, one.seq, one.prev_hash):
            known = "-" if last is None else str(last)
            raise _lie(one, "chain", Text(
                f"o acontecimento {one.seq} não continua o {known} da entidade (seq, prev_hash)",
                f"event {one.seq} does not continue event {known} of the entity (seq, prev_hash)",
            ))  # fmt: skip
        self._heads.keep(one.entity, one.seq, one.curr_hash)

    def _check_trust(self, one: Checked) -> None:
        """Ask trust once for each key, author and type between two changes of keys."""
        if one.record is None:
            asked = (one.public_key, one.who, one.entity_type)
            if asked in self._trusted:
                return
            self._trusted.add(asked)
        record = one.record or _outline(one)
        try:
            self._trust.check(record, one.position)
            changed = self._trust.apply(record, one.position) is not None
        except LoglineError as cause:
            raise _lie(one, "key", Text(cause.describe("pt"), cause.describe("en"))) from cause
        if changed:
            self._trusted.clear()

    def _grow(self, leaves: list[bytes]) -> None:
        signed = self._signed
        if signed is not None and self._signed_root is None:
            until = signed.size - self._tree.size
            if until <= len(leaves):
                self._tree.extend(leaves[:until])
                self._signed_root = self._tree.root()
                leaves = leaves[until:]
        self._tree.extend(leaves)


def _checked(blocks: Iterator[Block], processes: int) -> Iterator[tuple[list[Checked], Lie | None]]:
    """Check blocks, in order, on some processes; a few blocks ahead at most."""
    if processes < 2:
        yield from map(check_block, blocks)
        return
    waiting: deque[Future[tuple[list[Checked], Lie | None]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for block in blocks:
                waiting.append(pool.submit(check_block, block))
                if len(waiting) >= processes + _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _outline(one: Checked) -> Record:
    """Make a record that says what trust asks of one that is neither a tenant nor a key."""
    return Record(
        tenant_id=one.tenant, id=UUID(bytes=one.entity), seq=one.seq, entity_type=one.entity_type,
        at=_EPOCH, who=one.who, visibility="tenant", is_deleted=False, curr_hash="", signature="",
        public_key=one.public_key,
    )  # fmt: skip


def _open_checkpoint(
    manifest: ExportManifest | None, vkeys: Sequence[str] | None, file: str
) -> Checkpoint | None:
    if manifest is None or manifest.checkpoint is None:
        return None
    names = manifest.vkeys if vkeys is None else vkeys
    if not names:
        return None
    logs = [parse_vkey(one) for one in names]
    opened = open_checkpoint(manifest.checkpoint.encode(), logs=logs).checkpoint
    if not opened.origin.endswith(f"/t/{manifest.tenant}"):
        raise _broken(file, "checkpoint", Text(
            f"é do log {opened.origin}, não da casa {manifest.tenant}",
            f"it is of the log {opened.origin}, not of the tenant {manifest.tenant}",
        ))  # fmt: skip
    if opened.size > manifest.size:
        raise _broken(file, "checkpoint", Text(
            f"assina {opened.size} registos; a exportação diz ter {manifest.size}",
            f"it signs {opened.size} records; the export says that it has {manifest.size}",
        ))  # fmt: skip
    return opened


def _check_files(folder: Path, records: Path, manifest: ExportManifest) -> None:
    """Compare every file that the manifest names with its digest there."""
    for told in manifest.files:
        path = folder / told.name
        if ".." in Path(told.name).parts or Path(told.name).is_absolute():
            raise _broken(told.name, "manifest", _STRANGE_NAME)
        if len(manifest.files) == 1:
            path = records
        if not path.exists() or path.stat().st_size != told.size_bytes:
            raise _broken(told.name, "file", _OTHER_BYTES)
        if digest_of(path) != told.blake3:
            raise _broken(told.name, "file", _OTHER_BYTES)


def _lie(one: Checked, what: str, reason: Text) -> VerificationFailed:
    return Lie(one.where, f"{UUID(bytes=one.entity)}/{one.seq}", what, reason).error()


def _broken(where: str, what: str, reason: Text) -> VerificationFailed:
    return VerificationFailed(what=what, where=where, reason=reason)


_ONLY_A_PART: Final = Text(
    "é só uma parte do log: nem a árvore, nem as chaves, nem as falhas se podem conferir",
    "it is only a part of the log: tree, keys and gaps cannot be checked",
)
_NO_CHECKPOINT: Final = Text(
    "não traz checkpoint assinado por uma chave conhecida: o fim pode ter sido cortado",
    "it brings no checkpoint signed by a known key: its end may have been cut off",
)
_OTHER_ROOT: Final = Text(
    "a árvore dos registos não é a que o manifesto diz: depois do checkpoint algo foi trocado",
    "the tree of the records is not what the manifest says: after the checkpoint something was put "
    "in place of another",
)
_OTHER_BYTES: Final = Text(
    "o tamanho ou o BLAKE3 do ficheiro não é o do manifesto",
    "size or BLAKE3 of the file is not what the manifest says",
)
_STRANGE_NAME: Final = Text("sai da pasta", "it leaves the folder")
