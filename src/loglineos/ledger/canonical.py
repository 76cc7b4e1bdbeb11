"""Canonical bytes: RFC 8785 (JCS) of a JSON value, the one form that is hashed and signed.

Always holds: two equal values have equal bytes; the bytes survive PostgreSQL's jsonb. Two
serialisers stand behind one door: orjson where it is proven equal (no whole, very small or very
large float, no key beyond U+D7FF), the reference library otherwise; a property test holds them
equal.
"""

from __future__ import annotations

import math
from typing import Any, Final

import orjson
import rfc8785

from loglineos.base.errors import InvalidInput, TooLarge, shape_of
from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.record import Json

_FAST_KEY_END: Final = "\ud7ff"


def canonical(value: Json, *, field: str = "record") -> bytes:
    """Write a JSON value as RFC 8785 bytes.

    Raises:
        InvalidInput: a value has no canonical form: NaN or infinity, an integer beyond 2^53-1,
            U+0000, a lone surrogate, a key that is no text, a type that JSON lacks.
        TooLarge: nested deeper than `limits.json_depth_max`.

    Source: RFC 8785; RFC 7493 (I-JSON) for numbers.
    """
    if is_plain(value, field=field):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return write_strict(value)


def write_strict(value: Json) -> bytes:
    """Write a value that `is_plain` has passed by the reference serialiser, whatever is in it."""
    return bytes(rfc8785.dumps(value))


def is_plain(value: Json, *, field: str) -> bool:
    """Check that a JSON value has a canonical form; tell whether orjson writes exactly that form.

    Raises:
        InvalidInput: see `canonical`. The error names the path of the value, like `details.a[2]`.
        TooLarge: nested too deep.
    """
    return _check(value, field, 0)


def _check(value: Any, path: str, depth: int) -> bool:
    kind = type(value)
    if kind is str:
        check_text(value, path)
        return True
    if value is None or kind is bool:
        return True
    if kind is int:
        if -limits.integer_max <= value <= limits.integer_max:
            return True
        raise InvalidInput(field=path, shape=shape_of(value), reason=INTEGER_REASON)
    if kind is float:
        if math.isfinite(value):
            # The shortest digits are the same in both; only whole numbers and exponents differ.
            return 1e-4 <= abs(value) < 1e15 and not value.is_integer()
        raise InvalidInput(field=path, shape=repr(value), reason=_NOT_FINITE)
    if depth >= limits.json_depth_max and kind in (dict, list, tuple):
        raise TooLarge(
            field=path,
            shape=shape_of(value),
            limit=limits.json_depth_max,
            limit_name="json_depth_max",
        )
    if kind is dict:
        plain = True
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidInput(field=path, shape=shape_of(key), reason=_KEY)
            check_text(key, path)
            plain = _check(item, f"{path}.{key}", depth + 1) and plain
            if plain and not key.isascii():
                plain = max(key) <= _FAST_KEY_END
        return plain
    if kind is list or kind is tuple:
        plain = True
        for index, item in enumerate(value):
            plain = _check(item, f"{path}[{index}]", depth + 1) and plain
        return plain
    raise InvalidInput(field=path, shape=shape_of(value), reason=_NO_JSON)


def check_text(value: str, path: str) -> None:
    """Refuse text that PostgreSQL or UTF-8 cannot hold.

    Raises:
        InvalidInput: U+0000 or a lone surrogate.
    """
    if "\0" in value:
        raise InvalidInput(field=path, shape=shape_of(value), reason=_NUL)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            raise InvalidInput(field=path, shape=ascii(value)[:60], reason=_SURROGATE) from cause


def from_jsonb(value: Json) -> Json:
    """Turn a value read from jsonb back into the one that was admitted.

    jsonb keeps numbers as decimals, so a float of at least 2^53 without a fraction comes back as
    an integer; no integer of that size is ever admitted, so the way back is exact.
    """
    kind = type(value)
    if kind is int:
        return value if -limits.integer_max <= value <= limits.integer_max else float(value)
    if kind is dict:
        return {key: from_jsonb(item) for key, item in value.items()}
    if kind is list:
        return [from_jsonb(item) for item in value]
    return value


INTEGER_REASON: Final = Text(
    "inteiro além de ±(2^53-1); escreva-o como texto",
    "integer beyond ±(2^53-1); write it as text",
)
_NOT_FINITE: Final = Text("não é um número finito", "not a finite number")
_KEY: Final = Text("as chaves têm de ser texto", "keys must be text")
_NO_JSON: Final = Text("não é um valor JSON", "not a JSON value")
_NUL: Final = Text("contém U+0000; retire-o ou escape-o", "contains U+0000; remove or escape it")
_SURROGATE: Final = Text(
    "contém um surrogate isolado; o texto tem de ser Unicode válido",
    "contains a lone surrogate; text must be valid Unicode",
)
