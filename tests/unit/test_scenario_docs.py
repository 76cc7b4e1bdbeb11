"""The reference page of the example house tells the figures of a real run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from loglineos.services.scenario import check, generate_casa, proportions_table, seed_actors
from loglineos.services.scenario.volume import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "scenario-casa.md"


def test_the_page_has_the_figures_of_a_fresh_default_run() -> None:
    fresh = proportions_table(check(generate_casa(start=datetime(2025, 5, 5, tzinfo=UTC))).figures)
    page = PAGE.read_text(encoding="utf-8")
    told = page.split("<!-- figures:begin -->\n")[1].split("<!-- figures:end -->")[0]
    assert told.strip() == fresh.strip(), f"put this between the figures marks:\n{fresh}"


def test_the_page_names_everyone_of_the_staff_and_every_kind_of_story() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for actor in seed_actors():
        if actor.role != "client":
            assert f"`{actor.name}`" in page, actor.name
    for kind in KINDS:
        assert f"`{kind.name}`" in page, kind.name
