"""The README and the tutorial, typed into a shell beside a real node, answer as they say."""

from __future__ import annotations

import re

import pytest
from docs.walk import answers_of, commands_of, comparable, running_node, type_in
from tests.shell_lines import ROOT, blocks_of, commands_in

_WALK = re.compile(r"(?s)<!-- walk:begin -->\n(.*?)<!-- walk:end -->")


def _typed(readme: str) -> list[str]:
    """List the lines of the second terminal; a line that ends with a backslash goes on."""
    walk = _WALK.search((ROOT / readme).read_text(encoding="utf-8"))
    assert walk, f"{readme} has no second terminal"
    text = "\n".join(block.text for block in blocks_of(walk[1]) if block.language == "sh")
    return [line for line in re.split(r"(?<!\\)\n", text) if line.strip()]


def test_everything_in_the_second_terminal_works_by_copy_and_paste() -> None:
    commands = _typed("README.md")
    assert commands == _typed("README.pt.md")
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
        counted = type_in(
            ["logline stats --json", "logline verify --json"],
            environment=environment,
            folder=folder,
        )
    for command, answer in zip(commands, answers, strict=True):
        assert answer.exit_status == 0, f"{command}\n{answer.output}"
    written = 1 + 3 + 2  # a line; a ghost, its completion and confirmation; a command's two
    assert f'"records":{2 + written}' in counted[0].output.replace(" ", ""), "and nothing else"
    assert counted[1].exit_status == 0


def test_the_readme_adds_completes_proves_verifies_exports_and_wraps() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = {words[0] for block in blocks_of(text) for words in commands_in(block) if words}
    assert {"add", "complete", "proof", "verify", "export", "wrap"} <= used


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorial").glob("*.md")), ids=str)
def test_a_tutorial_shows_what_its_commands_answer(page) -> None:
    text = page.read_text(encoding="utf-8")
    commands, shown = commands_of(text), answers_of(text)
    assert commands
    with running_node() as (environment, folder):
        answers = type_in(commands, environment=environment, folder=folder)
    for command, told, answer in zip(commands, shown, answers, strict=True):
        assert comparable(answer.output) == comparable(told), (
            f"$ {command}\n{answer.output}\n(write it anew: python -m docs.walk {page})"
        )
