"""Grants: what a function declares and the house allows, compared when it asks, not before.

Always holds: both the function's own declaration and the manifest must cover a need, at the moment
of the call: what was revoked while a run slept is refused when it wakes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from loglineos.base.errors import NotGranted
from loglineos.base.language import Text
from loglineos.runtime.manifest import covers


def check_granted(
    need: str, *, function: str, declared: Iterable[str], granted: Iterable[str]
) -> None:
    """Check that a function declares what it needs, and that the house grants it.

    Raises:
        NotGranted: one of them does not; the error says which.
    """
    if not covers(declared, need):
        raise NotGranted(effect=need, function=function, reason=_NOT_DECLARED)
    if not covers(granted, need):
        raise NotGranted(effect=need, function=function, reason=_NOT_GRANTED)


_NOT_DECLARED: Final = Text("a função não o declara", "the function does not declare it")
_NOT_GRANTED: Final = Text(
    "o manifesto da casa não o concede", "the manifest of the house does not grant it"
)
