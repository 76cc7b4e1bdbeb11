"""The README and the tutorial, typed into a shell beside a real node, answer as they say."""

from __future__ import annotations

import json
import re

import pytest
from docs.walk import (
    answers_of,
    commands_of,
    comparable,
    lines_typed,
    running_node,
    type_in,
    up_options_of,
)
from tests.shell_lines import ROOT, blocks_of, commands_in

_WALK = re.compile(r"(?s)<!-- walk:begin -->\n(.*?)<!-- walk:end -->")


def _typed(readme: str) -> list[str]:
    """List the lines of the second terminal, each with what continues it."""
    walk = _WALK.search((ROOT / readme).read_text(encoding="utf-8"))
    assert walk, f"{readme} has no second terminal"
    text = "\n".join(block.text for block in blocks_of(walk[1]) if block.language == "sh")
    return lines_typed(text)


def test_everything_in_the_second_terminal_works_by_copy_and_paste() -> None:
    commands = _typed("README.md")
    assert commands == _typed("README.pt.md")
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
        looked = type_in(
            ["logline verify --json", "logline timeline --who joao --json",
             "logline timeline --who ines --json", "logline timeline --did agradecer --json",
             "logline timeline --did run_command --json"],
            environment=environment, folder=folder,
        )  # fmt: skip
    for command, answer in zip(commands, answers, strict=True):
        assert answer.exit_status == 0, f"{command}\n{answer.output}"
    assert looked[0].exit_status == 0
    said = [len(json.loads(answer.output)["records"]) for answer in looked[1:5]]
    assert said == [2, 2, 1, 2], "each line, ghost, promise and wrapped command is there once"


def test_the_readme_adds_completes_proves_verifies_exports_and_wraps() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = {words[0] for block in blocks_of(text) for words in commands_in(block) if words}
    assert {"add", "complete", "proof", "verify", "export", "wrap"} <= used


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorial").glob("*.md")), ids=str)
def test_a_tutorial_shows_what_its_commands_answer(page) -> None:
    text = page.read_text(encoding="utf-8")
    commands, shown = commands_of(text), answers_of(text)
    assert commands
    with running_node(options=up_options_of(text)) as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
    for command, told, answer in zip(commands, shown, answers, strict=True):
        assert comparable(answer.output) == comparable(told), (
            f"$ {command}\n{answer.output}\n(write it anew: python -m docs.walk {page})"
        )
