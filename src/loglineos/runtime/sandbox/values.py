"""The only way a value crosses the sandbox's boundary.

`canon` walks a value as a tree, under a budget of nodes, before anything else touches it: a value
with shared parts may be small in memory and endless as JSON. What comes out is plain JSON; bytes,
instants and Decimals become `{"$bytes": hex}`, `{"$time": RFC 3339}` and `{"$decimal": text}`, and
`revive` turns them back.

Two things that JSON does not keep are settled here, because a replay reads the journal and must see
what the first run saw: the keys of objects come in order, and whole floats become integers.

Always holds: `canon(canon(x)) == canon(x)`; `canon(revive(canon(x))) == canon(x)`; a value that is
accepted survives a JSON round trip; a value that is refused costs at most its limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson
import rfc8785
from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.base.errors import ValueRefused, shape_of
from loglineos.base.language import Text
from loglineos.runtime.sandbox.limits import VALUE_LIMITS, ValueLimits

Plain = Any
"""JSON as Python has it: None, bool, int, float, str, list, and dict with text keys in order."""

INTEGER_MAX: Final = 2**53 - 1
_DECIMAL_DIGITS_MAX: Final = 4096
_DECIMAL_EXPONENT_MAX: Final = 4096
_ESCAPED: Final = 6  # a control character takes this many bytes in JSON, at most


def canon(value: object, *, limits: ValueLimits = VALUE_LIMITS, field: str = "value") -> Plain:
    """Return the value as plain JSON, a new tree that shares nothing with it.

    Accepts None, bool, int within ±(2^53-1), finite float, str, list, tuple (becomes a list), dict
    with text keys (comes out in the order of its keys), bytes, datetime (naive is taken as UTC) and
    finite Decimal. Exactly these types: subclasses are refused.

    Raises:
        ValueRefused: anything else, or over `limits`; names the path of the part: `value.a[2]`.
    """
    try:
        budget = [limits.nodes_max, limits.bytes_max]
        plain = _walk(value, budget, limits.depth_max)
        if (limits.bytes_max - budget[1]) * _ESCAPED > limits.bytes_max:
            _check_written(plain, limits.bytes_max)
    except _Refusal as refusal:
        raise ValueRefused(
            field=field + "".join(reversed(refusal.path)),
            shape=refusal.shape,
            reason=refusal.reason,
        ) from None
    return plain


def revive(plain: Plain) -> Any:
    """Give a plain value its bytes, instants (aware, UTC) and Decimals back; never fails.

    An object that only looks like one of them, but is malformed, stays what it is.
    """
    kind = type(plain)
    if kind is list:
        return [revive(item) for item in plain]
    if kind is not dict:
        return plain
    if len(plain) == 1:
        ((key, text),) = plain.items()
        if key in _REVIVERS and type(text) is str:
            revived = _REVIVERS[key](text)
            return plain if revived is None else revived
    return {key: revive(item) for key, item in plain.items()}


def digest(plain: Plain) -> str:
    """Return the BLAKE3-256 of the value's RFC 8785 bytes, hex: equal values, equal digests."""
    return blake3(rfc8785.dumps(plain)).hexdigest()


class _Refusal(Exception):
    """Refused somewhere in the walk; each level adds its step to `path` on the way out."""

    def __init__(self, reason: Text, shape: str) -> None:
        super().__init__(reason.en)
        self.reason = reason
        self.shape = shape
        self.path: list[str] = []


def _walk(value: Any, budget: list[int], depth: int) -> Plain:
    budget[0] -= 1
    if budget[0] < 0:
        raise _Refusal(_TOO_MANY, "more nodes than its limit")
    kind = type(value)
    if kind is str:
        budget[1] -= len(value) + 2
        return _text(value, budget)
    if value is None or kind is bool:
        budget[1] -= 4
        return value
    if kind is int:
        return _integer(value, budget)
    if kind is float:
        return _float(value, budget)
    if kind is list or kind is tuple:
        return _array(value, budget, depth)
    if kind is dict:
        return _object(value, budget, depth)
    if kind is bytes:
        budget[1] -= 2 * len(value) + 13
        _check_length(budget)
        return {"$bytes": value.hex()}
    if kind is datetime:
        return {"$time": _instant(value, budget)}
    if kind is Decimal:
        return {"$decimal": _decimal(value, budget)}
    raise _Refusal(_NO_JSON, _kind_of(value))


def _text(value: str, budget: list[int]) -> str:
    if not value.isascii():
        try:
            budget[1] -= len(value.encode()) - len(value)
        except UnicodeEncodeError:
            raise _Refusal(_SURROGATE, f"str of {len(value)}") from None
    if budget[1] < 0:
        _check_length(budget)
    if "\0" in value:
        raise _Refusal(_NUL, f"str of {len(value)}")
    return value


def _integer(value: int, budget: list[int]) -> int:
    budget[1] -= 2
    if -INTEGER_MAX <= value <= INTEGER_MAX:
        return value
    raise _Refusal(_INTEGER, shape_of(value))


def _float(value: float, budget: list[int]) -> float | int:
    budget[1] -= 4
    if not math.isfinite(value):
        raise _Refusal(_NOT_FINITE, repr(value))
    if value.is_integer() and -INTEGER_MAX <= value <= INTEGER_MAX:
        return int(value)
    return value


def _array(value: list[Any] | tuple[Any, ...], budget: list[int], depth: int) -> list[Plain]:
    _check_container(value, budget, depth)
    items: list[Plain] = []
    try:
        for item in value:
            items.append(_walk(item, budget, depth - 1))  # noqa: PERF401 - the index is in the error
    except _Refusal as refusal:
        refusal.path.append(f"[{len(items)}]")
        raise
    return items


def _object(value: dict[Any, Any], budget: list[int], depth: int) -> dict[str, Plain]:
    _check_container(value, budget, depth)
    members: dict[str, Plain] = {}
    for key in value:
        if type(key) is not str:
            raise _Refusal(_KEY, _kind_of(key))
    key = ""
    try:
        for key in sorted(value):
            budget[1] -= len(key) + 3
            _text(key, budget)
            members[key] = _walk(value[key], budget, depth - 1)
    except _Refusal as refusal:
        refusal.path.append("." + ascii(key[:40])[1:-1])
        raise
    return members


def _instant(value: datetime, budget: list[int]) -> str:
    budget[1] -= 40
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    try:
        return rfc3339(aware)
    except (OverflowError, ValueError):
        raise _Refusal(_RANGE, "datetime") from None


def _decimal(value: Decimal, budget: list[int]) -> str:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise _Refusal(_NOT_FINITE, "Decimal")
    if len(digits) > _DECIMAL_DIGITS_MAX or abs(exponent) > _DECIMAL_EXPONENT_MAX:
        raise _Refusal(_RANGE, f"Decimal of {len(digits)} digits")
    budget[1] -= len(digits) + 20
    _check_length(budget)
    return str(value)


def _check_container(value: Any, budget: list[int], depth: int) -> None:
    budget[1] -= 2
    if depth <= 0:
        raise _Refusal(_TOO_DEEP, shape_of(value))
    if len(value) > budget[0]:
        raise _Refusal(_TOO_MANY, shape_of(value))
    _check_length(budget)


def _check_written(plain: Plain, bytes_max: int) -> None:
    size = len(orjson.dumps(plain))
    if size > bytes_max:
        raise _Refusal(_TOO_LONG, f"{size} bytes")


def _check_length(budget: list[int]) -> None:
    if budget[1] < 0:
        raise _Refusal(_TOO_LONG, "more bytes than its limit")


def _kind_of(value: object) -> str:
    """Name the type alone: the value is foreign, and its `repr` may be endless."""
    return type(value).__name__[:60]


def _bytes_of(text: str) -> bytes | None:
    if len(text) % 2 or not _HEX.fullmatch(text):
        return None
    return bytes.fromhex(text)


def _datetime_of(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _decimal_of(text: str) -> Decimal | None:
    if len(text) > 2 * _DECIMAL_DIGITS_MAX or not _DECIMAL.fullmatch(text):
        return None
    number = Decimal(text)
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > _DECIMAL_EXPONENT_MAX:
        return None
    return number if len(digits) <= _DECIMAL_DIGITS_MAX and str(number) == text else None


_HEX: Final = re.compile(r"[0-9a-f]*", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?(E[+-]?\d{1,5})?", re.ASCII)
_REVIVERS: Final[dict[str, Callable[[str], Any]]] = {
    "$bytes": _bytes_of,
    "$time": _datetime_of,
    "$decimal": _decimal_of,
}

_TOO_MANY: Final = Text("tem partes demais", "has too many parts")
_TOO_DEEP: Final = Text("é fundo demais", "is nested too deep")
_TOO_LONG: Final = Text("é comprido demais", "is too long")
_RANGE: Final = Text("está fora do alcance", "is out of range")
_INTEGER: Final = Text(
    "inteiro além de ±(2^53-1); escreva-o como texto",
    "integer beyond ±(2^53-1); write it as text",
)
_NOT_FINITE: Final = Text("não é um número finito", "is not a finite number")
_KEY: Final = Text("as chaves têm de ser texto", "keys must be text")
_NO_JSON: Final = Text(
    "este tipo não atravessa a fronteira", "this type does not cross the boundary"
)
_NUL: Final = Text("contém U+0000", "contains U+0000")
_SURROGATE: Final = Text("contém um surrogate isolado", "contains a lone surrogate")
