"""Every command of `logline`, in the order in which help lists them."""

from __future__ import annotations

from typing import Final

from loglineos.faces.cli.command import Command
from loglineos.faces.cli.commands_functions import GOVERNING
from loglineos.faces.cli.commands_policies import WATCHING
from loglineos.faces.cli.commands_queue import QUEUEING
from loglineos.faces.cli.commands_read import READING
from loglineos.faces.cli.commands_run import RUNNING
from loglineos.faces.cli.commands_simulate import SIMULATING
from loglineos.faces.cli.commands_write import WRITING

COMMANDS: Final[tuple[Command, ...]] = (
    *WRITING,
    *READING,
    *RUNNING,
    *GOVERNING,
    *WATCHING,
    *SIMULATING,
    *QUEUEING,
)


def find_command(words: list[str]) -> tuple[Command | None, list[str]]:
    """Return the command that the first words name, longest name first, and the words after it."""
    for count in (3, 2, 1):
        path = " ".join(words[:count])
        for command in COMMANDS:
            if command.path == path and len(words) >= count:
                return command, words[count:]
    return None, words


def commands_under(word: str) -> list[Command]:
    """List the commands of a family: `key` has `key new`, `key list`..."""
    return [command for command in COMMANDS if command.path.startswith(f"{word} ")]
