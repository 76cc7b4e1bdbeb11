"""The rows that come with the product: whole, readable, and as rows.lock says."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from loglineos.runtime.definitions import names_of
from loglineos.runtime.functions import as_said
from loglineos.runtime.genesis import main
from loglineos.runtime.manifest import LAW_TYPES
from loglineos.runtime.rows import LOCK, Rows

FOLDER = Path(__file__).parents[2] / "src" / "loglineos" / "rows"


def test_the_lock_is_what_the_rows_are():
    told = (FOLDER / LOCK).read_text(encoding="utf-8")
    assert told == Rows().lock, "python -m loglineos.runtime.genesis --lock"
    assert main([]) == 0


def test_each_line_of_the_lock_is_the_hash_of_a_file():
    for line in (FOLDER / LOCK).read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert blake3((FOLDER / name).read_bytes()).hexdigest() == digest


def test_a_changed_added_or_lost_row_changes_the_lock(tmp_path):
    (tmp_path / "functions").mkdir()
    file = tmp_path / "functions" / "f.py"
    file.write_text("def main(input):\n    return 1\n", encoding="utf-8")
    first = Rows(tmp_path).lock
    file.write_text("def main(input):\n    return 2\n", encoding="utf-8")
    second = Rows(tmp_path).lock
    (tmp_path / "functions" / "g.py").write_text("", encoding="utf-8")
    assert len({first, second, Rows(tmp_path).lock}) == 3
    (tmp_path / "functions" / "notes.txt").write_text("not a row", encoding="utf-8")
    assert Rows(tmp_path).lock.count("\n") == 2


def test_every_row_can_be_read_and_no_two_are_the_same_thing():
    rows = Rows()
    ids = [row.id for row in rows.all]
    assert len(ids) == len(set(ids))
    assert {row.draft(who="genesis", did="define").entity_type for row in rows.all} <= LAW_TYPES


def test_no_name_or_alias_of_a_function_is_that_of_another():
    said: dict[str, str] = {}
    for row in Rows().all:
        if row.source is not None and row.source.kind == "function":
            for name in {as_said(n) for n in (row.source.name, *row.source.header.aliases)}:
                assert said.setdefault(name, row.name) == row.name, name
    assert names_of([]) == {}


@pytest.mark.parametrize(
    ("kernel", "number", "alias"),
    [
        ("run_code", 1, "run_code_kernel"),
        ("observer", 2, "observer_bot_kernel"),
        ("request_worker", 3, "request_worker_kernel"),
        ("policy_agent", 4, "policy_agent_kernel"),
        ("provider_exec", 5, "provider_exec_kernel"),
    ],
)
def test_a_kernel_has_its_stable_id_and_the_spelling_of_the_bluebook(kernel, number, alias):
    rows = Rows()
    (row,) = [row for row in rows.all if row.name == f"kernels/{kernel}.py"]
    draft = row.draft(who="genesis", did="define")
    assert str(draft.id) == f"00000000-0000-4000-8000-{number:012}"
    assert (draft.name, draft.metadata["alias"], draft.metadata["kernel"]) == (kernel, alias, True)
    assert draft.runtime == "pure"
    assert rows.manifest.kernels[kernel] == str(draft.id)
    assert str(draft.id) in rows.manifest.allowed_boot_ids


def test_nothing_but_the_kernels_may_boot_in_a_new_house():
    manifest = Rows().manifest
    assert sorted(manifest.allowed_boot_ids) == sorted(manifest.kernels.values())
    assert manifest.trusted_keys == ()
    assert not any(manifest.grants(one) for one in ("http:api.example.org", "secret:bank", "llm"))
