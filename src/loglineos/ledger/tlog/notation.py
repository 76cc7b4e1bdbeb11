"""The small notations that the log's texts share: decimal numbers, base64, hashes, bounded text.

Always holds: one value has one spelling here. What these functions accept they would write back
byte for byte, so that no two texts mean the same and hash differently.
Source: C2SP signed-note, tlog-checkpoint, tlog-proof, tlog-witness (all: decimal without leading
zeros, RFC 4648 section 4 base64 with padding).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from loglineos.base.errors import InvalidInput, TooLarge, shape_of
from loglineos.base.language import Text

HASH_BYTES: Final = 32
SIZE_MAX: Final = 2**63 - 1
"""Largest tree size, index and timestamp: what every other implementation can hold."""

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def decimal_of(text: str, *, field: str) -> int:
    """Read a decimal number from 0 to 2^63 - 1 without sign, spaces or leading zeros.

    Raises:
        InvalidInput: it is written otherwise, or larger.
    """
    if _DECIMAL.fullmatch(text) is None or (number := int(text)) > SIZE_MAX:
        raise InvalidInput(
            field=field,
            shape=shape_of(text),
            reason=Text(
                "é preciso um número decimal sem zeros à esquerda, até 2^63-1",
                "a decimal number without leading zeros is needed, up to 2^63-1",
            ),
        )
    return number


def base64_of(data: bytes) -> str:
    """Write bytes as standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def bytes_of_base64(text: str, *, field: str) -> bytes:
    """Read standard base64 with padding in its one canonical spelling.

    Raises:
        InvalidInput: other letters, wrong padding, or bits beyond the last byte.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as cause:
        raise _not_base64(text, field=field) from cause
    if base64_of(data) != text:
        raise _not_base64(text, field=field)
    return data


def hash_of_base64(text: str, *, field: str) -> bytes:
    """Read one SHA-256 hash, 32 bytes, from base64.

    Raises:
        InvalidInput: no base64, or another length.
    """
    data = bytes_of_base64(text, field=field)
    if len(data) != HASH_BYTES:
        raise InvalidInput(
            field=field,
            shape=shape_of(data),
            reason=Text("um hash tem 32 bytes", "a hash has 32 bytes"),
        )
    return data


def text_of(data: bytes, *, field: str, bytes_max: int, limit_name: str) -> str:
    """Read bounded UTF-8 without control characters below U+0020 other than the newline.

    Raises:
        TooLarge: more than `bytes_max` bytes.
        InvalidInput: no UTF-8, or a control character in it.
    """
    if len(data) > bytes_max:
        raise TooLarge(field=field, shape=shape_of(data), limit=bytes_max, limit_name=limit_name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise InvalidInput(
            field=field,
            shape=shape_of(data),
            reason=Text("não é UTF-8", "it is not UTF-8"),
        ) from cause
    if has_control(text):
        raise InvalidInput(
            field=field,
            shape=shape_of(data),
            reason=Text("tem caracteres de controlo", "it holds control characters"),
        )
    return text


def has_control(text: str) -> bool:
    """Tell whether `text` holds a character below U+0020 other than the newline."""
    return any(letter < " " and letter != "\n" for letter in text)


def _not_base64(text: str, *, field: str) -> InvalidInput:
    return InvalidInput(
        field=field,
        shape=shape_of(text),
        reason=Text("não é base64 canónico", "it is not canonical base64"),
    )
