"""How a foreign JSON value becomes the value of each column, or is told not to fit.

Always holds: a reader returns a value that the registry takes (type, size, zone), or `NOT_READ`; it
never raises. Every column of `Draft` has exactly one reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.intake.escapes import read_json
from loglineos.ledger.logline import NOT_ACTS
from loglineos.ledger.record import DRAFT_FIELDS, NINE, Draft

NOT_READ: Final = object()
"""What a reader answers for a value that does not fit."""

ALIASES: Final[dict[str, str]] = {"when": "at", "tenant": "tenant_id"}
"""LogLine keys that are spelt otherwise in the registry."""

Reader = Callable[[Any], Any]

_TENANT: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SEQ_MAX: Final = 2**31 - 1


def read_instant(value: Any) -> Any:
    """Read RFC 3339 with an offset; a space for the `T` and an offset without colon are taken too.

    Digits beyond microseconds are cut off.
    """
    if type(value) is not str or not 20 <= len(value) <= 40:
        return NOT_READ
    if value[4] != "-" or value[7] != "-" or value[10] not in "Tt ":
        return NOT_READ
    try:
        instant = datetime.fromisoformat(value.upper())
        return NOT_READ if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return NOT_READ


def _text(bytes_max: int) -> Reader:
    chars_safe = bytes_max // 4

    def read(value: Any) -> Any:
        if type(value) is not str or (
            len(value) > chars_safe and len(value.encode("utf-8", "surrogatepass")) > bytes_max
        ):
            return NOT_READ
        return value

    return read


def _integer(lowest: int, highest: int) -> Reader:
    return lambda v: v if type(v) is int and lowest <= v <= highest else NOT_READ


def _number(lowest: float, highest: float) -> Reader:
    def read(value: Any) -> Any:
        if type(value) not in (int, float) or not math.isfinite(value):
            return NOT_READ
        return float(value) if lowest <= value <= highest else NOT_READ

    return read


def _boolean(value: Any) -> Any:
    return value if type(value) is bool else NOT_READ


def _uuid(value: Any) -> Any:
    if type(value) is not str or len(value) not in (32, 36, 45):
        return NOT_READ
    try:
        return msgspec.convert(value, UUID)
    except msgspec.ValidationError:
        pass  # it knows the two common spellings only
    try:
        return UUID(value)
    except ValueError:
        return NOT_READ


def _list(item: Reader) -> Reader:
    def read(value: Any) -> Any:
        if type(value) not in (list, tuple) or len(value) > limits.list_items_max:
            return NOT_READ
        items = tuple(map(item, value))
        return NOT_READ if NOT_READ in items else items

    return read


def _object(value: Any) -> Any:
    return value if type(value) is dict else NOT_READ


def _anything(value: Any) -> Any:
    return value


def _one_of(*allowed: str) -> Reader:
    return lambda value: value if type(value) is str and value in allowed else NOT_READ


def _tenant(value: Any) -> Any:
    return value if type(value) is str and _TENANT.fullmatch(value) else NOT_READ


_NAME: Final = _text(limits.name_bytes_max)
_LONG: Final = _text(limits.text_bytes_max)
_COUNT: Final = _integer(-limits.integer_max, limits.integer_max)
_NAMES: Final = (
    "type", "trace_id", "span_id", "session_id", "owner_id", "name", "queue",
    "worker", "idempotency_key", "content_hash",
)  # fmt: skip


def _act(value: Any) -> Any:
    """Read an entity type; those that define or administer are not for a foreign file to claim."""
    return NOT_READ if value == "" or (value.__hash__ and value in NOT_ACTS) else _NAME(value)


def _readers() -> dict[str, Reader]:
    readers: dict[str, Reader] = dict.fromkeys(DRAFT_FIELDS, _LONG)
    readers.update(dict.fromkeys(_NAMES, _NAME))
    for name in NINE:
        indexed = name in ("who", "did", "status")
        readers[ALIASES.get(name, name)] = _NAME if indexed else _LONG
    readers.update(dict.fromkeys(("at", "run_at", "lease_until"), read_instant))
    readers.update(dict.fromkeys(("id", "parent_id", "cause_id"), _uuid))
    readers.update(dict.fromkeys(("valid", "is_deleted", "simulated"), _boolean))
    readers.update(dict.fromkeys(("details", "metadata"), _object))
    readers.update(dict.fromkeys(("input", "output", "error"), _anything))
    for name in (
        "attempt", "max_attempts", "priority", "duration_ms", "cost_micros", "tokens_in",
        "tokens_out", "latency_ms", "size_bytes",
    ):  # fmt: skip
        readers[name] = _COUNT
    readers["tags"] = readers["effects"] = readers["shared_with"] = _list(_LONG)
    readers["related_to"] = _list(_uuid)
    readers["score"] = _number(-math.inf, math.inf)
    readers["latitude"], readers["longitude"] = _number(-90, 90), _number(-180, 180)
    readers["seq"] = _integer(0, _SEQ_MAX)
    readers["code"] = _text(limits.record_bytes_max // 2)
    readers["tenant_id"] = _tenant
    readers["entity_type"] = _act
    readers["visibility"] = _one_of("private", "tenant", "public")
    readers["branch"] = _one_of("ok", "doubt", "not")
    return readers


READERS: Final[dict[str, Reader]] = _readers()


class Target(NamedTuple):
    """Where the value of a key goes: its column, and how it is read.

    A text of at most `chars_safe` characters fits as it is; -1 where no text does.
    """

    column: str
    read: Reader
    chars_safe: int


def _targets() -> dict[str, Target]:
    safe = {_NAME: limits.name_bytes_max // 4, _LONG: limits.text_bytes_max // 4}
    columns = {name: Target(name, read, safe.get(read, -1)) for name, read in READERS.items()}
    return columns | {alias: columns[name] for alias, name in ALIASES.items()}


TARGETS: Final[dict[str, Target]] = _targets()
"""The columns by the keys that people write."""

_A_TEXT: Final = Text("texto (dentro do limite)", "text (within its limit)")
_AN_INSTANT: Final = Text(
    "uma hora RFC 3339 com fuso, como 2025-05-20T12:34:56Z",
    "an RFC 3339 time with an offset, like 2025-05-20T12:34:56Z",
)
_A_NUMBER: Final = Text("um número dentro dos limites", "a number within its limits")
_AN_ID: Final = Text("um UUID", "a UUID")
_A_LIST: Final = Text("uma lista dentro do limite", "a list within its limit")


def _shapes() -> dict[str, Text]:
    shapes = dict.fromkeys(("", *DRAFT_FIELDS), _A_TEXT)
    for name, field in zip(DRAFT_FIELDS, Draft.__annotations__.values(), strict=True):
        kind = str(field)
        if "datetime" in kind:
            shapes[name] = _AN_INSTANT
        elif "tuple" in kind:
            shapes[name] = _A_LIST
        elif "UUID" in kind:
            shapes[name] = _AN_ID
        elif "int" in kind or "float" in kind:
            shapes[name] = _A_NUMBER
        elif "bool" in kind:
            shapes[name] = Text("verdadeiro ou falso", "true or false")
        elif "dict" in kind:
            shapes[name] = Text("um objeto", "an object")
    shapes["visibility"] = Text("private, tenant ou public", "private, tenant or public")
    shapes["branch"] = Text("ok, doubt ou not", "ok, doubt or not")
    shapes["tenant_id"] = Text("o nome de uma casa", "the name of a tenant")
    return shapes


SHAPES: Final[dict[str, Text]] = _shapes()
"""What each column wants, in words; under "" for a name that is no column."""


def cell_value(name: str, cell: str) -> Any:
    """Read a CSV cell as JSON where its column is no text; what does not parse stays text."""
    column = ALIASES.get(name, name)
    if column not in _NOT_TEXT:
        return cell
    reading = read_json(cell.encode("utf-8", "surrogatepass"))
    if reading.problem is None:
        return reading.value
    if SHAPES[column] is _A_LIST:
        return [part.strip() for part in re.split("[;,]", cell) if part.strip()]
    return {"true": True, "false": False}.get(cell.lower(), cell)


_NOT_TEXT: Final[frozenset[str]] = frozenset(
    name for name in DRAFT_FIELDS if SHAPES[name] in (_A_LIST, _A_NUMBER)
    or "bool" in str(Draft.__annotations__[name])
    or "dict" in str(Draft.__annotations__[name])
    or "Json" in str(Draft.__annotations__[name])
)  # fmt: skip
