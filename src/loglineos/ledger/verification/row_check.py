"""Checking rows as they stand in the table: hash, signature, chain, key and place of each.

The quick way rebuilds the canonical bytes straight from the row; when their hash is not the one
that is stored, the strict way (`seal.bytes_of`) decides, so that speed never decides. Always
holds: rows are judged in the order of positions, and the first fault is the one that is named.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.ledger.columns import COLUMN_NAMES, COLUMNS
from loglineos.ledger.record import NOT_HASHED, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import DOMAIN, bytes_of
from loglineos.ledger.signature import verify
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.trust import KeyTerm, Trust
from loglineos.ledger.verification.lies import Lie, What, words_of

PAGE_ROWS: Final = 2_048

_HASHED_NAMES: Final = tuple(sorted(name for name in COLUMN_NAMES if name not in NOT_HASHED))
_PROOF_NAMES: Final = ("position", "recorded_at", "curr_hash", "signature")
SELECTED: Final = (*_HASHED_NAMES, *_PROOF_NAMES)
"""The columns of `READ_PAGE`, in its order; two of the event before follow them."""
_HASHED: Final = len(_HASHED_NAMES)
_READ: Final = len(SELECTED)
_SQL_TYPES: Final = {column.name: column.sql_type for column in COLUMNS}
_AS_TEXT: Final = ("uuid", "jsonb")


def _select_list() -> str:
    """Write the columns in the order of their hashed names; ids and JSON as their text.

    That is the order of the canonical bytes, and of text nothing is made that is not needed.
    """
    return ", ".join(
        f'r."{name}"' + ("::text" if _SQL_TYPES[name] in _AS_TEXT else "") for name in SELECTED
    )


READ_PAGE: Final = f"""
SELECT {_select_list()}, b.seq, b.curr_hash
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
key a row, whatever the planner knows about the table.
"""

READ_KEY_ROWS: Final = f"""
SELECT {_select_list()}
FROM ledger.universal_registry r
WHERE r.tenant_id = %(tenant)s AND r.entity_type IN ('tenant', 'key')
  AND r.position > %(after)s AND r.position < %(size)s
ORDER BY r.position
LIMIT %(rows_max)s
"""  # noqa: S608 - the names of our own columns
"""What defines who may sign, in order."""

_Hashed: Final[Any] = msgspec.defstruct(
    "_Hashed", [(name, Any, None) for name in _HASHED_NAMES], omit_defaults=True
)
"""The hashed columns of a row, made of its first values as they come."""

_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_columns_of: Final = itemgetter(*(SELECTED.index(name) for name in COLUMN_NAMES))
_JSON_AT: Final = tuple(i for i, c in enumerate(COLUMNS) if c.sql_type == "jsonb")
_ID_AT: Final = tuple(i for i, c in enumerate(COLUMNS) if c.sql_type == "uuid")
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
        self._may_sign: set[tuple[str | None, ...] | None] = set()
        self._keys: dict[str, bytes] = {}
        self._recorded_at: tuple[datetime | None, str] = (None, "")

    def check(self, row: Sequence[Any], expected: int) -> Lie | bytes:
        """Judge one row of `READ_PAGE` that should stand at `expected`; return its leaf hash."""
        position, recorded_at, curr_hash, signature, prior_seq, prior_hash = row[_HASHED:]
        if position != expected:
            return _misplaced(self._tenant, expected, position)
        hashed = _Hashed(*row[:_HASHED])
        is_next = hashed.seq == (0 if prior_seq is None else prior_seq + 1)
        if not is_next or hashed.prev_hash != prior_hash:
            return self._lie(row, "chain", _CHAIN)
        digest = self._digest(row, hashed, curr_hash)
        if isinstance(digest, Lie):
            return digest
        if not self._is_signed(hashed.public_key, signature, digest):
            return self._lie(row, "signature", _SIGNATURE)
        refusal = self._refusal(row, hashed, position)
        if refusal is not None:
            return self._lie(row, "key", refusal)
        return leaf_hash(
            (
                f'{{"at":"{self._told(recorded_at)}","hash":"{curr_hash}","id":"{hashed.id}",'
                f'"key":"{hashed.public_key}","seq":{hashed.seq},"sig":"{signature}",'
                f'"tenant":"{self._tenant}","v":1}}'
            ).encode()
        )

    def _digest(self, row: Sequence[Any], hashed: Any, curr_hash: str) -> bytes | Lie:
        quick = _quick_bytes(hashed)
        if quick is not None:
            digest = blake3(quick).digest()
            if digest.hex() == curr_hash:
                return digest
        try:
            digest = blake3(bytes_of(record_in(row))).digest()
        except _UNREADABLE as cause:
            return self._lie(row, "record", words_of(cause))
        return digest if digest.hex() == curr_hash else self._lie(row, "record", _HASH)

    def _is_signed(self, key: str, signature: str, digest: bytes) -> bool:
        try:
            public = self._keys.get(key)
            if public is None:
                public = self._keys[key] = bytes.fromhex(key)
            return verify(public, bytes.fromhex(signature), DOMAIN + digest)
        except ValueError:
            return False

    def _told(self, recorded_at: datetime) -> str:
        """Write the time of recording, which all rows of one append share."""
        known, told = self._recorded_at
        if recorded_at != known:
            told = rfc3339(recorded_at)
            self._recorded_at = (recorded_at, told)
        return told

    def _refusal(self, row: Sequence[Any], hashed: Any, position: int) -> Text | None:
        """Say why the key may not sign this row; each question is asked once between changes."""
        epoch = bisect_right(self._changes, position - 1)
        if epoch != self._epoch:
            self._epoch = epoch
            self._may_sign.clear()
        question = _question(hashed) if position else None
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
        position, hashed = row[_HASHED], _Hashed(*row[:_HASHED])
        return Lie(
            tenant=self._tenant,
            what=what,
            where=f"{position} ({hashed.id}/{hashed.seq})",
            reason=reason,
            position=position,
            id=hashed.id,
            seq=hashed.seq,
        )


def record_in(row: Sequence[Any]) -> Record:
    """Make the record of a row of `READ_PAGE` or `READ_KEY_ROWS`."""
    values = list(_columns_of(row))
    for at in _JSON_AT:
        if values[at] is not None:
            values[at] = orjson.loads(values[at])
    for at in _ID_AT:
        if values[at] is not None:
            values[at] = UUID(values[at])
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


def _quick_bytes(hashed: Any) -> bytes | None:
    """Write the hashed columns in one go, as canonical bytes are but for rare numbers and keys.

    The JSON columns are parsed on the way. A time with whole seconds is given its six decimals.
    """
    try:
        if hashed.details is not None:
            hashed.details = orjson.loads(hashed.details)
        if hashed.metadata is not None:
            hashed.metadata = orjson.loads(hashed.metadata)
        if hashed.input is not None:
            hashed.input = orjson.loads(hashed.input)
        if hashed.output is not None:
            hashed.output = orjson.loads(hashed.output)
        if hashed.error is not None:
            hashed.error = orjson.loads(hashed.error)
        if not hashed.at.microsecond:
            hashed.at = rfc3339(hashed.at)
        if hashed.run_at is not None:
            hashed.run_at = rfc3339(hashed.run_at)
        if hashed.lease_until is not None:
            hashed.lease_until = rfc3339(hashed.lease_until)
        return _encode(hashed)
    except (*_UNREADABLE, msgspec.MsgspecError, RecursionError):
        return None


def _question(hashed: Any) -> tuple[str | None, ...] | None:
    """Tell all that the answer to "may this key sign this?" depends on; None: ask each time."""
    if hashed.entity_type == "key":
        return None
    asked = (hashed.public_key, hashed.who, hashed.entity_type)
    told = hashed.metadata
    if told is None or "by" not in told:
        return asked
    by, gesture = told["by"], told.get("gesture")
    if type(by) is not str or type(gesture) is not str:
        return None
    return (*asked, by, gesture, "first" if hashed.seq == 0 else "later")


_CHAIN: Final = Text(
    "não continua o acontecimento anterior da sua entidade",
    "it does not continue the event before it of its entity",
)
_HASH: Final = Text("curr_hash não é o hash dos bytes", "curr_hash is not the hash of the bytes")
_SIGNATURE: Final = Text("a assinatura não é desta chave", "the signature is not by this key")
_MISSING: Final = Text("falta o registo desta posição", "the record of this position is missing")
_TWICE: Final = Text("há dois registos nesta posição", "two records stand at this position")
