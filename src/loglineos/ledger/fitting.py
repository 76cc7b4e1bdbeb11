"""Whether a value fits its column: its type, its list of names, and text that can be stored.

Always holds: what passes `check_fit` and `check_texts` comes back from the database as it was,
since nothing is left to be converted on the way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.canonical import INTEGER_REASON, check_text
from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.record import Visibility

_KINDS: Final[dict[str, type]] = {
    "text": str, "bigint": int, "integer": int, "double precision": float, "boolean": bool,
    "uuid": UUID, "timestamptz": datetime, "text[]": tuple, "uuid[]": tuple,
}  # fmt: skip
_KIND_OF: Final[dict[str, type]] = {
    **{column.name: _KINDS[column.sql_type] for column in COLUMNS if column.sql_type != "jsonb"},
    "details": dict, "metadata": dict, "input": object, "output": object, "error": object,
}  # fmt: skip
_ITEM_OF: Final[dict[str, type]] = {
    column.name: UUID if column.sql_type == "uuid[]" else str
    for column in COLUMNS
    if column.sql_type.endswith("[]")
}
_NEEDED: Final = frozenset(
    {"tenant_id", "id", "seq", "entity_type", "at", "visibility", "is_deleted", "public_key"}
)
_VISIBILITIES: Final = get_args(Visibility)
_BRANCHES: Final = ("ok", "doubt", "not")


def check_fit(payload: dict[str, Any]) -> None:
    """Check that each value has its column's Python type and that what every record has is there.

    A list column may be a list or a tuple; a `double precision` may be an int. JSON columns are
    checked by `canonical.is_plain`, sizes by `seal.encode`.

    Raises:
        InvalidInput: the wrong type, or nothing where something must be; names the field.
        UnknownName: `visibility` or `branch` is out of its list.
    """
    if missing := _NEEDED - payload.keys():
        raise InvalidInput(field=shown(min(missing)), shape="null", reason=_ABSENT)
    kinds = list(map(type, payload.values()))
    if tuple in kinds or list(map(_KIND_OF.__getitem__, payload)) != kinds:
        _check_each(payload)
    if payload["visibility"] not in _VISIBILITIES:
        raise _unknown("visibility", payload["visibility"], _VISIBILITIES)
    if "branch" in payload and payload["branch"] not in _BRANCHES:
        raise _unknown("branch", payload["branch"], _BRANCHES)
    if payload.get("status") != "ghost":
        for name in ("who", "this"):
            if name not in payload:
                raise InvalidInput(field=name, shape="null", reason=_ONLY_GHOSTS)


def check_texts(payload: dict[str, Any]) -> None:
    """Check every text and integer outside the JSON columns: U+0000, surrogates, 2^53.

    Raises:
        InvalidInput: names the field, for lists with the place, like `tags[2]`.
    """
    for name, value in payload.items():
        if type(value) is str:
            check_text(value, shown(name))
        elif type(value) is int and abs(value) > limits.integer_max:
            raise InvalidInput(field=name, shape=shape_of(value), reason=INTEGER_REASON)
        elif name in _ITEM_OF:
            for index, item in enumerate(value):
                if type(item) is str:
                    check_text(item, f"{name}[{index}]")


def shown(name: str) -> str:
    """Return the name that people use for a column: `at` is shown as `when`."""
    return "when" if name == "at" else name


def _check_each(payload: dict[str, Any]) -> None:
    for name, value in payload.items():
        kind = _KIND_OF[name]
        if type(value) is kind:
            if kind is tuple:
                _check_items(name, value)
        elif kind is not object:
            _check_other(name, value, kind)


def _check_other(name: str, value: Any, kind: type) -> None:
    if kind is tuple and type(value) is list:
        return _check_items(name, value)
    if kind is float and type(value) is int:
        return None
    if kind is datetime and isinstance(value, datetime):
        return None
    raise InvalidInput(field=shown(name), shape=shape_of(value), reason=_WANTED[kind])


def _check_items(name: str, items: Any) -> None:
    kind = _ITEM_OF[name]
    for index, item in enumerate(items):
        if type(item) is not kind:
            raise InvalidInput(field=f"{name}[{index}]", shape=shape_of(item), reason=_WANTED[kind])


def _unknown(field: str, value: Any, known: tuple[str, ...]) -> UnknownName:
    return UnknownName(field=field, shape=shape_of(value), known=", ".join(known))


_WANTED: Final[dict[type, Text]] = {
    str: Text("tem de ser texto", "must be text"),
    int: Text("tem de ser um inteiro", "must be an integer"),
    float: Text("tem de ser um número", "must be a number"),
    bool: Text("tem de ser verdadeiro ou falso", "must be true or false"),
    UUID: Text("tem de ser um UUID", "must be a UUID"),
    datetime: Text("tem de ser uma hora com fuso", "must be a time with a zone"),
    tuple: Text("tem de ser uma lista", "must be a list"),
    dict: Text("tem de ser um objeto", "must be an object"),
}
_ABSENT: Final = Text("não pode faltar", "must be there")
_ONLY_GHOSTS: Final = Text("só a um fantasma pode faltar", "only a ghost may lack it")
