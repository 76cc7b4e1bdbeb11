"""Reading one JSON text so that nothing of it is lost: what canonical JSON cannot hold is escaped.

U+0000, lone surrogates, integers beyond 2^53-1, numbers that a double would round, NaN and
infinities, and objects that name a key twice become `{"$json": "<the JSON text>"}`; an object that
really has the single key `$json` is escaped the same way, so that the escape has one meaning.
Always holds: a value that is returned has a canonical form (RFC 8785, RFC 7493), nested at most
`DEPTH_MAX`; `unescape` of an escaped value is the value that was written.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
import orjson

from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.record import Json

ESCAPE: Final = "$json"
DEPTH_MAX: Final = limits.json_depth_max - 4
"""Nesting of a foreign value; the four levels left are ours (`details.extra.<name>`)."""

_KEY: Final = re.compile(rb'"\s*:')
_SHAPES: Final = bytes(
    ord("0") if byte in b"0123456789." else ord(" ") if byte in b" \t\n\r" else
    byte if byte in b":" else ord("x") for byte in range(256)
)  # fmt: skip
"""Each byte's kind: a digit or point, white space, a colon, or anything else."""
_LONG_NUMBER: Final = b"0" * 16
_DIGITS_SAFE: Final = 15


class Reading(msgspec.Struct, frozen=True):
    """What one JSON text says: its value, the escaped paths, and why there is no value."""

    value: Json = None
    escaped: tuple[str, ...] = ()
    problem: Text | None = None


def read_json(data: bytes) -> Reading:
    """Read one JSON text of any kind; never raises.

    Costs one parse for ordinary text; the slow and exact way is taken only when the bytes hold
    something that the fast parser would change or refuse.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as cause:
        return _read_exactly(data, str(cause))
    brackets = data.count(b"{") + data.count(b"[")
    if brackets > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        return Reading(problem=TOO_DEEP)
    is_flat = brackets == 1 and type(value) is dict
    shapes = data.translate(_SHAPES)
    # Each key ends in `":`, unless there is space between; text that looks so only costs time.
    told = len(_KEY.findall(data)) if b" :" in shapes else data.count(b'":')
    if (
        told == (len(value) if is_flat else _keys(value))
        and _LONG_NUMBER not in shapes
        and b"\\u0000" not in data
        and b'"$json"' not in data
    ):
        return Reading(value)
    return _read_exactly(data, "")


def _keys(value: Json) -> int:
    if type(value) is dict:
        return len(value) + sum(map(_keys, value.values()))
    if type(value) is list:
        return sum(map(_keys, value))
    return 0


def _depth(value: Json) -> int:
    deepest, level = 0, [value]
    while level:
        level = [v for v in level if type(v) in (dict, list) and v]
        deepest += 1
        level = [c for v in level for c in (v.values() if type(v) is dict else v)]
    return deepest - 1


def unescape(value: Json) -> Json:
    """Undo the escapes: return the value that `json.loads` reads from the original text."""
    if type(value) is dict:
        if len(value) == 1 and isinstance(value.get(ESCAPE), str):
            return json.loads(value[ESCAPE])
        return {_key_back(key): unescape(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [unescape(item) for item in value]
    return value


def escaped_text(value: str) -> Json:
    """Return text as it is when it can be kept, escaped otherwise."""
    return value if _holds(value) else {ESCAPE: _literal(value)}


class _Kept(dict[str, Any]):
    """An escape that the exact parser has already made."""


def _read_exactly(data: bytes, why: str) -> Reading:
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as cause:
        return Reading(problem=_not_utf8(cause.start))
    except (ValueError, RecursionError) as cause:
        return Reading(problem=_not_json(why or str(cause)))
    if _depth(value) > DEPTH_MAX:
        return Reading(problem=TOO_DEEP)
    paths: list[str] = []
    held = _hold(value, "", paths)
    return Reading(held, tuple(paths))


def _integer(digits: str) -> Json:
    if len(digits) <= _DIGITS_SAFE or (
        len(digits) <= 17 and abs(int(digits)) <= limits.integer_max
    ):
        return int(digits)
    return _Kept({ESCAPE: digits})


def _decimal(digits: str) -> Json:
    number = float(digits)
    try:
        exact = Decimal(digits) == Decimal(repr(number))
    except InvalidOperation:
        exact = False
    return number if exact else _Kept({ESCAPE: digits})


def _constant(name: str) -> Json:
    return _Kept({ESCAPE: name})


def _object(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) == len(pairs) and (len(value) != 1 or ESCAPE not in value):
        return value
    inside = ",".join(f"{_literal(key)}:{_literal(item)}" for key, item in pairs)
    return _Kept({ESCAPE: "{" + inside + "}"})


def _hold(value: Json, path: str, paths: list[str]) -> Json:
    if type(value) is str:
        if _holds(value):
            return value
        paths.append(path)
        return {ESCAPE: _literal(value)}
    if type(value) is _Kept:
        paths.append(path)
        return dict(value)
    if type(value) is dict:
        return {
            _key_held(key): _hold(item, _under(path, _key_held(key)), paths)
            for key, item in value.items()
        }
    if type(value) is list:
        return [_hold(item, f"{path}[{index}]", paths) for index, item in enumerate(value)]
    return value


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _key_held(key: str) -> str:
    if _holds(key) and not key.startswith(ESCAPE + ":"):
        return key
    return f"{ESCAPE}:{_literal(key)}"


def _key_back(key: str) -> str:
    prefix = ESCAPE + ":"
    return str(json.loads(key[len(prefix) :])) if key.startswith(prefix) else key


def _holds(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _literal(value: Json) -> str:
    """Write a value as JSON text in which every escape is again what it stands for."""
    if type(value) is _Kept:
        return str(value[ESCAPE])
    if type(value) is dict:
        return "{" + ",".join(f"{_literal(k)}:{_literal(v)}" for k, v in value.items()) + "}"
    if type(value) is list:
        return "[" + ",".join(map(_literal, value)) + "]"
    if type(value) is str and _holds(value):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


TOO_DEEP: Final = Text(
    f"JSON com mais de {DEPTH_MAX} níveis; guardado como texto",
    f"JSON nested deeper than {DEPTH_MAX} levels; kept as text",
)


def _not_json(why: str) -> Text:
    return Text(f"não é JSON: {why[:200]}", f"not JSON: {why[:200]}")


def _not_utf8(offset: int) -> Text:
    return Text(f"não é UTF-8, no byte {offset}", f"not UTF-8, at byte {offset}")
