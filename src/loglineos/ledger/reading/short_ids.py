"""Short ids: what a person types instead of a whole UUID: its beginning, or a position.

Always holds: a short id is never guessed; it means one entity, or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger import limits

PREFIX_DIGITS_MIN: Final = 6
_HEX: Final = re.compile(r"^[0-9a-f]+$")
_POSITION: Final = re.compile(r"^@?(0|[1-9][0-9]{0,15})$")


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """What a text may mean: a position, ids from `first` to `last`, or either; perhaps one seq."""

    position: int | None = None
    first: UUID | None = None
    last: UUID | None = None
    seq: int | None = None


def parse(text: str) -> Meant:
    """Read a position (`12`, `@12`) or the beginning of an id (`0192f3`, with `/3` for an event).

    Raises:
        InvalidInput: neither, or fewer than PREFIX_DIGITS_MIN digits of an id.
    """
    plain = text.strip().lower()
    position = int(plain.removeprefix("@")) if _POSITION.match(plain) else None
    if position is not None and position > limits.integer_max:
        position = None
    if plain.startswith("@"):
        if position is None:
            raise InvalidInput(field="id", shape=shape_of(text), reason=_SHORT)
        return Meant(position=position)
    digits, slash, event = plain.partition("/")
    digits = digits.replace("-", "")
    is_id = bool(_HEX.match(digits)) and PREFIX_DIGITS_MIN <= len(digits) <= 32
    if slash and not (event.isascii() and event.isdigit() and len(event) < 10):
        is_id = False
    if not is_id:
        if position is None:
            raise InvalidInput(field="id", shape=shape_of(text), reason=_SHORT)
        return Meant(position=position)
    return Meant(
        position=position,
        first=UUID(digits.ljust(32, "0")),
        last=UUID(digits.ljust(32, "f")),
        seq=int(event) if slash else None,
    )


def ambiguous(text: str, found: Sequence[UUID]) -> InvalidInput:
    """Make the error for a short id that several entities begin with."""
    told = ", ".join(str(one) for one in found[:2])
    return InvalidInput(field="id", shape=shape_of(text), reason=_SEVERAL, remedy=Text(
        f"escreva mais dígitos; começam assim: {told}…",
        f"type more digits; these begin like it: {told}…",
    ))  # fmt: skip


_SHORT: Final = Text(
    f"não é um id, nem os primeiros {PREFIX_DIGITS_MIN} dígitos de um, nem uma posição (@12)",
    f"is no id, nor the first {PREFIX_DIGITS_MIN} digits of one, nor a position (@12)",
)
_SEVERAL: Final = Text("há várias entidades que começam assim", "several entities begin like this")
