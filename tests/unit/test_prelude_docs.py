"""The page about functions names all that they may use, and all that they may not."""

from __future__ import annotations

import re

import pytest
from docs.functions import capability_names

from loglineos.runtime.sandbox.lint.effects import NEEDS
from loglineos.runtime.sandbox.lint.prelude import members_of
from loglineos.runtime.sandbox.lint.rules import engine, every_rule
from tests.shell_lines import ROOT

PAGE = (ROOT / "docs" / "reference" / "functions.md").read_text(encoding="utf-8")


def test_every_capability_is_on_the_page_with_its_effect() -> None:
    assert sorted(capability_names()) == sorted(NEEDS)
    for name, effect in NEEDS.items():
        row = re.search(rf"^\| `{re.escape(name)}\(.*\)` \| (.*?) \|", PAGE, re.MULTILINE)
        assert row, name
        assert (row[1] == "") == (effect == "")
        assert row[1].startswith(effect)


@pytest.mark.parametrize("name", sorted(members_of("sdk")))
def test_every_member_of_the_prelude_is_on_the_page(name: str) -> None:
    assert re.search(rf"^\| `{name}[`(]", PAGE, re.MULTILINE)


def test_every_module_that_can_be_imported_is_on_the_page() -> None:
    for name, members in engine().modules.items():
        assert f"| `{name}` | " in PAGE
        assert all(f"`{one}`" in PAGE for one in members)


def test_every_rule_is_on_the_page_in_both_languages() -> None:
    for rule in every_rule():
        assert f"| {rule.what.replace('|', chr(92) + '|')} | " in PAGE
        for told, mark in ((rule.rewrite.en, "write: "), (rule.rewrite.pt, "escreva: ")):
            assert told.removeprefix(mark).replace("|", "\\|") in PAGE
