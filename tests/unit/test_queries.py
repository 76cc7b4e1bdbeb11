"""Named queries: how they are read, and that every statement of ours names the tenant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loglineos.database.queries import Queries, Query, split_statements

SOURCE = Path(__file__).parents[2] / "src" / "loglineos"
FILES = sorted(
    path
    for path in SOURCE.rglob("*.sql")
    if path.parent.name not in ("schema", "database") and path.name != "distribute.sql"
)
"""Every file of queries; left out are those that define tables and touch no row of them."""


def parse(text: str) -> Queries:
    return Queries.parse(text, file="example.sql")


def test_a_block_is_found_by_its_name_with_its_comment_and_without_the_last_semicolon():
    queries = parse("-- name: read_head\n-- Why: the head\n-- comes first.\nSELECT 1;\n\n")
    assert queries["read_head"] == "SELECT 1"
    (query,) = queries.every_statement()
    assert query.comment == "Why: the head\ncomes first."


def test_an_unknown_name_is_answered_with_the_names_that_exist():
    with pytest.raises(KeyError, match=r"example.sql has no query read_tail.*read_head"):
        parse("-- name: read_head\nSELECT 1;")["read_tail"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("-- name: read_head\nSELECT 1;\n-- name: read_head\nSELECT 2;", "defined twice"),
        ("-- name: read_head\n-- only words\n", "is empty"),
        ("-- name: head\nSELECT 1;", "verb_noun"),
        ("-- name:\nSELECT 1;", "verb_noun"),
        ("SELECT 1;\n-- name: read_head\nSELECT 1;", "before the first"),
    ],
)
def test_a_malformed_file_is_refused_at_loading(text: str, fault: str):
    with pytest.raises(ValueError, match=fault):
        parse(text)


def test_a_semicolon_in_quotes_dollar_quotes_or_comments_does_not_end_a_statement():
    text = "SELECT ';' -- a; b\n, \"x;y\" /* ; */; DO $$ BEGIN; END $$; SELECT $f$;$f$, 4 - 2 / 1"
    assert [re.sub(r"\s+", " ", s) for s in split_statements(text)] == [
        "SELECT ';' , \"x;y\"",
        "DO $$ BEGIN; END $$",
        "SELECT $f$;$f$, 4 - 2 / 1",
    ]


def without_tenant(query: Query) -> list[str]:
    if query.all_tenants_because:
        return []
    return [
        statement
        for statement in query.statements()
        if re.search(r"\bledger\.", statement) and "tenant_id" not in statement
    ]


def test_a_statement_that_forgets_the_tenant_is_found():
    text = "-- name: read_head\nSELECT position FROM ledger.head;"
    (query,) = parse(text).every_statement()
    assert without_tenant(query) == ["SELECT position FROM ledger.head"]
    (query,) = parse(
        "-- name: list_tenants\n-- tenant: all, because the node serves them all.\n"
        "SELECT origin FROM ledger.tenant;"
    ).every_statement()
    assert without_tenant(query) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_statement_on_the_ledger_names_the_tenant(path: Path):
    queries = Queries.parse(path.read_text(encoding="utf-8"), file=path.name)
    faults = {q.name: without_tenant(q) for q in queries.every_statement()}
    assert {name: found for name, found in faults.items() if found} == {}


def test_leaving_out_the_tenant_stays_rare():
    queries = [
        query
        for path in FILES
        for query in Queries.parse(path.read_text(), file=path.name).every_statement()
    ]
    excused = [query for query in queries if query.all_tenants_because]
    assert len(excused) <= max(3, len(queries) // 5), [query.name for query in excused]
