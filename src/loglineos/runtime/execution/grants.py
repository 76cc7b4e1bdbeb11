"""Grants: what a function declares and the house allows, compared when it asks, not before.

A need is a word (`emit`, `ledger.read`) or a word and a name (`http:api.example.org`,
`secret:banco`). A pattern covers a need when they are equal, or when it ends in `*` and begins it
(`http:*`, `http:*.example.org` for every host below that name, `*` for everything).
Always holds: both the function's own declaration and the manifest must cover a need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from loglineos.base.errors import NotGranted
from loglineos.base.language import Text


def covers(patterns: Iterable[str], need: str) -> bool:
    """Tell whether one of the patterns covers a need."""
    return any(_covers(pattern, need) for pattern in patterns)


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


def _covers(pattern: str, need: str) -> bool:
    if pattern in ("*", need):
        return True
    word, _, name = pattern.partition(":")
    asked, _, which = need.partition(":")
    if word != asked:
        return False
    if name == "*":
        return bool(which)
    return name.startswith("*.") and which.endswith(name[1:])


_NOT_DECLARED: Final = Text("a função não o declara", "the function does not declare it")
_NOT_GRANTED: Final = Text(
    "o manifesto da casa não o concede", "the manifest of the house does not grant it"
)
