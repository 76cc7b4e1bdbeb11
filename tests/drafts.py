"""Strategies for everything a record may hold: JSON values, texts, times, whole drafts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.record import DRAFT_FIELDS, Draft
from loglineos.ledger.status import STATUSES

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
INTEGER_MAX = 2**53 - 1
FIRST = datetime(1, 1, 2, tzinfo=UTC).replace(tzinfo=None)
LAST = datetime(9999, 12, 30, tzinfo=UTC).replace(tzinfo=None)
YESTERDAY = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=24)
integers = st.integers(-INTEGER_MAX, INTEGER_MAX)
floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [-0.0, 0.0, 1e15, 1e16, 1e20, 1e21, 1e22, 1e-6, 1e-7, 5e-324, 2.0**53, 2.0**53 + 2, 2.0**64,
         1.7976931348623157e308, 0.1, 1 / 3, 333333333.33333329, 1e300, -1e16]
    ),
)  # fmt: skip
keys = st.one_of(
    texts,
    st.sampled_from(["", "a", "é", "\ud7ff", "\ue000", "\uffff", "\U00010000", "€", "\r", "1", "😀"]),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)
jsons = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(keys, jsons, max_size=4)
zones = st.one_of(
    st.just(UTC),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
times = st.datetimes(
    min_value=FIRST,
    max_value=LAST,
    timezones=zones,
)
past = st.datetimes(
    min_value=FIRST,
    max_value=YESTERDAY,
    timezones=zones,
)

_OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "bigint": integers,
    "double precision": floats,
    "boolean": st.booleans(),
    "uuid": st.uuids(),
    "timestamptz": times,
    "jsonb": jsons,
    "text[]": st.lists(texts, max_size=4).map(tuple),
    "uuid[]": st.lists(st.uuids(), max_size=3).map(tuple),
}
_SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "tenant_id": st.just("casa"),
    "id": st.uuids(),
    "seq": st.just(0),
    "entity_type": st.sampled_from(["logline", "entrega", "policy", "schedule", "prompt"]),
    "at": past,
    "status": st.sampled_from(sorted(STATUSES)),
    "type": st.sampled_from(["system", "human", "llm", "ghost", "webhook", "intent", "contract"]),
    "branch": st.sampled_from(["ok", "doubt", "not"]),
    "visibility": st.sampled_from(["private", "tenant", "public"]),
    "is_deleted": st.booleans(),
    "details": objects,
    "metadata": objects,
}
_ALWAYS = ("tenant_id", "id", "seq", "entity_type", "at", "who", "this", "visibility", "is_deleted")
_SQL_TYPE = {column.name: column.sql_type for column in COLUMNS}


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Every value that a column may hold."""
    return _SPECIAL[name] if name in _SPECIAL else _OF_TYPE[_SQL_TYPE[name]]


drafts: st.SearchStrategy[Draft] = st.fixed_dictionaries(
    {name: values_of(name) for name in _ALWAYS},
    optional={name: values_of(name) for name in DRAFT_FIELDS if name not in _ALWAYS},
).map(lambda fields: Draft(**fields))
"""Any draft that the ledger takes, over all columns."""
