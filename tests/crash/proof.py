"""What must hold in a ledger after anything, told by its rows and not by what wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from loglineos.ledger.record import Record
from loglineos.ledger.rows import ROW_COLUMNS, record_of
from loglineos.ledger.seal import check_seal, leaf_of_row
from loglineos.ledger.tlog.merkle import leaf_hash, root_of
from loglineos.ledger.trust import Trust
from tests.crash.plan import Ack

_ENTITY_COLUMNS = """entity_type, status, type, who, did, "this", at, confirmed_by, ghost_reason,
  owner_id, visibility, shared_with, is_deleted, name, queue, priority, run_at, attempt,
  max_attempts, idempotency_key"""
_STATE = f"SELECT id, seq, position, curr_hash, {_ENTITY_COLUMNS}"
_LATEST = f"""{_STATE} FROM (
  SELECT DISTINCT ON (id) * FROM ledger.universal_registry WHERE tenant_id = %(tenant)s
  ORDER BY id, seq DESC) AS latest ORDER BY id"""
_KEPT = f"{_STATE} FROM ledger.entity WHERE tenant_id = %(tenant)s ORDER BY id"
_FIRST = """SELECT id, position FROM ledger.universal_registry
  WHERE tenant_id = %(tenant)s AND seq = 0 ORDER BY id"""
_FIRST_KEPT = (
    "SELECT id, first_position FROM ledger.entity WHERE tenant_id = %(tenant)s ORDER BY id"
)
_BLOCKS = """SELECT position / 512, min(at), max(at) FROM ledger.universal_registry
  WHERE tenant_id = %(tenant)s GROUP BY 1 ORDER BY 1"""
_BLOCKS_KEPT = """SELECT block, at_min, at_max FROM ledger.timeline_block
  WHERE tenant_id = %(tenant)s ORDER BY block"""
_ROWS = f"""SELECT {ROW_COLUMNS} FROM ledger.universal_registry WHERE tenant_id = %(tenant)s
  ORDER BY position"""


def prove(dsn: str, acks: Iterable[Ack]) -> int:
    """Check every log of a database and every acknowledgement; return how many records it has."""
    with psycopg.connect(dsn) as connection:
        # One instant for everything that is compared.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        heads = connection.execute("SELECT tenant_id, size, root FROM ledger.log_head").fetchall()
        stored: dict[str, list[Record]] = {}
        for tenant, size, root in heads:
            rows = connection.execute(_ROWS, {"tenant": tenant}).fetchall()
            stored[tenant] = [record_of(row) for row in rows]
            assert len(rows) == size
            _prove_log(connection, tenant, stored[tenant], bytes(root))
            _prove_derived(connection, tenant, stored[tenant])
        (strangers,) = connection.execute(
            "SELECT count(*) FROM ledger.universal_registry WHERE NOT (tenant_id = ANY(%s))",
            (list(stored),),
        ).fetchone() or (None,)
        assert strangers == 0
    _prove_acks(stored, acks)
    return sum(len(records) for records in stored.values())


def _prove_log(
    connection: psycopg.Connection[Any], tenant: str, records: list[Record], root: bytes
) -> None:
    assert [record.position for record in records] == list(range(len(records)))
    heads: dict[Any, Record] = {}
    for record in records:
        check_seal(record)
        before = heads.get(record.id)
        assert record.seq == (0 if before is None else before.seq + 1)
        assert record.prev_hash == (None if before is None else before.curr_hash)
        heads[record.id] = record
    leaves = [
        leaf_hash(
            leaf_of_row(
                tenant, (r.id, r.seq, r.curr_hash, r.public_key, r.signature, r.recorded_at)
            )
        )
        for r in records
    ]
    assert root_of(leaves) == root
    kept = connection.execute(
        "SELECT level, index, root, hashes FROM ledger.tile WHERE tenant_id = %(tenant)s"
        " ORDER BY level, index",
        {"tenant": tenant},
    ).fetchall()
    assert [(level, n, bytes(r), bytes(h)) for level, n, r, h in kept] == _full_tiles(leaves)


def _full_tiles(leaves: list[bytes]) -> list[tuple[int, int, bytes, bytes]]:
    tiles, level, hashes = [], 0, leaves
    while len(hashes) >= 256:
        cuts = [hashes[at : at + 256] for at in range(0, len(hashes) - 255, 256)]
        roots = [root_of(cut) for cut in cuts]
        tiles += [(level, n, roots[n], b"".join(cut)) for n, cut in enumerate(cuts)]
        level, hashes = level + 1, roots
    return tiles


def _prove_derived(connection: psycopg.Connection[Any], tenant: str, records: list[Record]) -> None:
    pairs = [(_LATEST, _KEPT), (_FIRST, _FIRST_KEPT), (_BLOCKS, _BLOCKS_KEPT)]
    for derived, kept in pairs:
        asked = {"tenant": tenant}
        assert (
            connection.execute(kept, asked).fetchall()
            == connection.execute(derived, asked).fetchall()
        )
    trust = Trust()
    for position, record in enumerate(records):
        trust.check(record, position)
        trust.apply(record, position)
    terms = connection.execute(
        "SELECT public_key, actor, role, custody, enrolled, revoked FROM ledger.actor_key"
        " WHERE tenant_id = %(tenant)s ORDER BY enrolled, public_key",
        {"tenant": tenant},
    ).fetchall()
    told = sorted(trust.terms.values(), key=lambda t: (t.enrolled, t.public_key))
    assert terms == [
        (t.public_key, t.actor, t.role, t.custody, t.enrolled, t.revoked) for t in told
    ]


def _prove_acks(stored: dict[str, list[Record]], acks: Iterable[Ack]) -> None:
    for ack in acks:
        record = stored[ack.tenant][ack.position]
        assert (str(record.id), record.seq, record.curr_hash) == (ack.id, ack.seq, ack.hash)
