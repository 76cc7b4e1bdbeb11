"""Checking rows as they stand in the table: hash, signature, chain, key and place of each.

The quick way rebuilds the canonical bytes straight from the row; when their hash is not the one
that is stored, the strict way (`seal.bytes_of`) decides, so that speed never decides. Always
holds: rows are judged in the order of positions, and the first fault is the one that is named.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

import orjson
from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.ledger.columns import COLUMN_NAMES, COLUMNS, column_list
from loglineos.ledger.record import NOT_HASHED, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import DOMAIN, bytes_of, leaf_of_row
from loglineos.ledger.signature import verify
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.trust import KeyTerm, Trust
from loglineos.ledger.verification.lies import Lie, What, words_of

PAGE_ROWS: Final = 2_048

READ_PAGE: Final = f"""
SELECT {column_list("r.")}, b.seq, b.curr_hash
FROM ledger.universal_registry r
LEFT JOIN LATERAL (
  SELECT p.seq, p.curr_hash
  FROM ledger.universal_registry p
  WHERE p.tenant_id = r.tenant_id AND p.id = r.id AND p.seq IN (r.seq - 1, r.seq)
    AND p.position < r.position
  ORDER BY p.seq DESC
  LIMIT 1
) AS b ON true
WHERE r.tenant_id = %(tenant)s
  AND r.position >= %(position_from)s AND r.position < %(position_before)s
ORDER BY r.position
"""  # noqa: S608 - the names of our own columns
"""A page of rows, each with the event of its entity that came before it: one probe of the primary
key a row, whatever the planner knows about the table. JSON columns come as they were sent: bytes.
"""

READ_KEY_ROWS: Final = f"""
SELECT {column_list("r.")}
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.entity_type IN ('tenant', 'key')
  AND r.position > %(after)s AND r.position < %(size)s
ORDER BY r.position
LIMIT %(rows_max)s
"""  # noqa: S608 - the names of our own columns
"""What defines who may sign, in order."""

_AT: Final = {name: index for index, name in enumerate(COLUMN_NAMES)}
_HASHED_NAMES: Final = tuple(name for name in COLUMN_NAMES if name not in NOT_HASHED)
_hashed: Final = itemgetter(*(_AT[name] for name in _HASHED_NAMES))
_leaf_columns: Final = itemgetter(
    *(_AT[name] for name in ("id", "seq", "curr_hash", "public_key", "signature", "recorded_at"))
)
_proof: Final = itemgetter(
    *(_AT[name] for name in ("position", "id", "seq", "entity_type", "who")),
    *(_AT[name] for name in ("prev_hash", "curr_hash", "signature", "public_key")),
)
_JSON_NAMES: Final = tuple(c.name for c in COLUMNS if c.sql_type == "jsonb")
_FLOAT_NAMES: Final = tuple(c.name for c in COLUMNS if c.sql_type == "double precision")
_JSON_AT: Final = tuple(_AT[name] for name in _JSON_NAMES)
_METADATA_AT: Final = _AT["metadata"]
_SPARE_TIMES: Final = ("run_at", "lease_until")
_NOT_PLAIN: Final = re.compile(rb"(?:^|[:,] |\[)-?(?:[0-9]{16}|[0-9]+\.)|[\xee-\xff]")
"""Where jsonb text may hold what orjson writes unlike RFC 8785: fractions, integers of more than
15 digits, keys beyond U+D7FF. Too wide on purpose: the strict way then decides."""
_UNREADABLE: Final = (LoglineError, ValueError, TypeError, OverflowError)


class RowCheck:
    """Checks the rows of one tenant; remembers which keys may sign for whom between key records."""

    def __init__(self, tenant: str, terms: Sequence[KeyTerm]) -> None:
        """Judge keys by `terms`, made of the log's own key records."""
        self._tenant = tenant
        self._trust = Trust(list(terms))
        ends = {term.enrolled for term in terms} | {t.revoked for t in terms if t.revoked}
        self._changes = sorted(ends)
        self._epoch = -1
        self._may_sign: set[tuple[str, str | None, str] | None] = set()

    def check(self, row: Sequence[Any], expected: int) -> Lie | bytes:
        """Judge one row of `READ_PAGE` that should stand at `expected`; return its leaf hash."""
        position, _, seq, entity_type, who, prev, curr, signature, key = _proof(row)
        if position != expected:
            return _misplaced(self._tenant, expected, position)
        prior_seq, prior_hash = row[-2], row[-1]
        if seq != (0 if prior_seq is None else prior_seq + 1) or prev != prior_hash:
            return self._lie(row, "chain", _CHAIN)
        digest = self._digest(row, curr)
        if isinstance(digest, Lie):
            return digest
        if not _is_signed(key, signature, digest):
            return self._lie(row, "signature", _SIGNATURE)
        refusal = self._refusal(row, position, entity_type, who, key)
        if refusal is not None:
            return self._lie(row, "key", refusal)
        return leaf_hash(leaf_of_row(self._tenant, _leaf_columns(row)))

    def _digest(self, row: Sequence[Any], curr_hash: str) -> bytes | Lie:
        quick = _quick_bytes(row)
        if quick is not None:
            digest = blake3(quick).digest()
            if digest.hex() == curr_hash:
                return digest
        try:
            digest = blake3(bytes_of(record_in(row))).digest()
        except _UNREADABLE as cause:
            return self._lie(row, "record", words_of(cause))
        return digest if digest.hex() == curr_hash else self._lie(row, "record", _HASH)

    def _refusal(
        self, row: Sequence[Any], position: int, entity_type: str, who: str | None, key: str
    ) -> Text | None:
        """Say why the key may not sign this row; one question for each key and person."""
        epoch = bisect_right(self._changes, position - 1)
        if epoch != self._epoch:
            self._epoch = epoch
            self._may_sign.clear()
        # Some are judged by more than signer, person and type: each of these on its own.
        is_alone = position == 0 or entity_type == "key" or b'"by"' in (row[_METADATA_AT] or b"")
        question = None if is_alone else (key, who, entity_type)
        if question in self._may_sign:
            return None
        try:
            self._trust.check(record_in(row), position)
        except _UNREADABLE as cause:
            return words_of(cause)
        if question is not None:
            self._may_sign.add(question)
        return None

    def _lie(self, row: Sequence[Any], what: What, reason: Text) -> Lie:
        position, identity, seq = _proof(row)[:3]
        return Lie(
            tenant=self._tenant,
            what=what,
            where=f"{position} ({identity}/{seq})",
            reason=reason,
            position=position,
            id=str(identity),
            seq=seq,
        )


def record_in(row: Sequence[Any]) -> Record:
    """Make the record of a row of `READ_PAGE`."""
    values = list(row[: len(COLUMN_NAMES)])
    for at in _JSON_AT:
        if values[at] is not None:
            values[at] = orjson.loads(values[at])
    return record_of(values)


def unreadable(tenant: str, position: int, cause: Exception) -> Lie:
    """Name a row that cannot even be read."""
    return Lie(
        tenant=tenant, what="record", where=str(position), reason=words_of(cause), position=position
    )


def missing(tenant: str, position: int) -> Lie:
    """Name a position where nothing stands."""
    return Lie(
        tenant=tenant, what="position", where=str(position), reason=_MISSING, position=position
    )


def _misplaced(tenant: str, expected: int, found: int) -> Lie:
    if found > expected:
        return missing(tenant, expected)
    return Lie(tenant=tenant, what="position", where=str(found), reason=_TWICE, position=found)


def _quick_bytes(row: Sequence[Any]) -> bytes | None:
    payload = {
        name: value
        for name, value in zip(_HASHED_NAMES, _hashed(row), strict=True)
        if value is not None
    }
    payload["at"] = rfc3339(payload["at"])
    for name in _SPARE_TIMES:
        if name in payload:
            payload[name] = rfc3339(payload[name])
    for name in _FLOAT_NAMES:
        if name in payload:
            return None
    for name in _JSON_NAMES:
        if name in payload:
            if _NOT_PLAIN.search(payload[name]):
                return None
            payload[name] = orjson.loads(payload[name])
    try:
        return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None


def _is_signed(key: str, signature: str, digest: bytes) -> bool:
    try:
        return verify(bytes.fromhex(key), bytes.fromhex(signature), DOMAIN + digest)
    except ValueError:
        return False


_CHAIN: Final = Text(
    "não continua o acontecimento anterior da sua entidade",
    "it does not continue the event before it of its entity",
)
_HASH: Final = Text("curr_hash não é o hash dos bytes", "curr_hash is not the hash of the bytes")
_SIGNATURE: Final = Text("a assinatura não é desta chave", "the signature is not by this key")
_MISSING: Final = Text("falta o registo desta posição", "the record of this position is missing")
_TWICE: Final = Text("há dois registos nesta posição", "two records stand at this position")
