"""Check what one exported record says of itself: canonical bytes, hash, signature.

Needs nothing but the record, so blocks are checked on other processes, and what comes back is
small. Always holds: a record that is summed up here was signed, in these bytes, by the key that it
names; whether that key may sign it, and whether it stands where it should, is not asked here.
"""

from __future__ import annotations

from typing import NamedTuple

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError, VerificationFailed
from loglineos.base.language import Text
from loglineos.ledger.archive.export_files import Block, read_block
from loglineos.ledger.archive.export_lines import Exported
from loglineos.ledger.record import Record
from loglineos.ledger.seal import claim_of, leaf_of
from loglineos.ledger.signature import verify
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.trust import speaker_of


class Checked(NamedTuple):
    """What the pass in order needs of a record whose bytes, hash and signature hold."""

    where: str
    position: int
    tenant: str
    entity: bytes
    seq: int
    prev_hash: bytes | None
    curr_hash: bytes
    leaf: bytes
    public_key: str
    who: str | None
    entity_type: str
    record: Record | None
    """Whole only where trust reads it whole: tenant and key records, and position 0."""


class Lie(NamedTuple):
    """The first thing in a block that does not hold."""

    where: str
    id: str
    what: str
    reason: Text

    def error(self) -> VerificationFailed:
        """Make the error that tells it."""
        return VerificationFailed(what=self.what, where=self.where, reason=self.reason, id=self.id)


def check_block(block: Block) -> tuple[list[Checked], Lie | None]:
    """Check bytes, hash and signature of each record of a block, up to the first lie."""
    checked: list[Checked] = []
    for where, one in read_block(block):
        if isinstance(one, LoglineError):
            reason = Text(one.describe("pt"), one.describe("en"))
            return checked, Lie(where, "", "record", reason)
        lie = _lie_of(where, one)
        if lie is not None:
            return checked, lie
        checked.append(_summary(where, one))
    return checked, None


def _lie_of(where: str, one: Exported) -> Lie | None:
    record = one.record
    identity = f"{record.id}/{record.seq}"
    try:
        claim = claim_of(record, one.bytes)
    except LoglineError as fault:
        return Lie(where, identity, "hash", Text(fault.describe("pt"), fault.describe("en")))
    if not verify(claim.public, claim.signature, claim.message):
        return Lie(where, identity, "signature", Text(
            f"a assinatura de {identity} não é da chave {record.public_key}",
            f"the signature of {identity} is not by the key {record.public_key}",
        ))  # fmt: skip
    return None


def _summary(where: str, one: Exported) -> Checked:
    record = one.record
    assert record.position is not None, "an exported record has its place"
    assert record.recorded_at is not None, "an exported record has its time"
    is_told_whole = record.position == 0 or record.entity_type in ("tenant", "key")
    return Checked(
        where=where, position=record.position, tenant=record.tenant_id, entity=record.id.bytes,
        seq=record.seq, prev_hash=None if record.prev_hash is None else _hash(record.prev_hash),
        curr_hash=bytes.fromhex(record.curr_hash),
        leaf=leaf_hash(leaf_of(record, rfc3339(record.recorded_at))),
        public_key=record.public_key, who=speaker_of(record), entity_type=record.entity_type,
        record=record if is_told_whole else None,
    )  # fmt: skip


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
