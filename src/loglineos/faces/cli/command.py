"""A command, as the tables of commands say it: its name, its sentence, where its function lives."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from loglineos.base.language import Text

Group = Literal["begin", "write", "look", "run", "prove", "move", "who", "node"]

GROUPS: Final[dict[Group, Text]] = {
    "begin": Text("Começar", "Begin"),
    "write": Text("Escrever", "Write"),
    "look": Text("Ver", "Look"),
    "run": Text("Correr", "Run"),
    "prove": Text("Provar", "Prove"),
    "move": Text("Trazer e levar", "Bring in and take out"),
    "who": Text("Quem", "Who"),
    "node": Text("O nó", "The node"),
}


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command.

    `path` is what one types after `logline`, e.g. `key new`. `target` is `module:function` inside
    `loglineos.faces.cli`; the function is `async def f(session: Session, ...) -> int | None`.
    `about` is one line for lists; `more` follows it in the command's own help; `examples` are
    lines to paste, without `logline`.
    """

    path: str
    target: str
    about: Text
    group: Group
    more: Text | None = None
    examples: tuple[str, ...] = ()
