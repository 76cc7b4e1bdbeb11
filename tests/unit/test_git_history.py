"""A real repository becomes LogLines, twice the same."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from loglineos.base.errors import InvalidInput
from loglineos.ledger.intake.git_history import commit_id, read_git_history
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft


def git(repository: Path, *words: str, author: str = "Ana", committer: str = "Ana") -> str:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "ana@example.org",
        "GIT_COMMITTER_NAME": committer, "GIT_COMMITTER_EMAIL": "rui@example.org",
        "GIT_AUTHOR_DATE": "2025-05-20T12:34:56+0100", "GIT_COMMITTER_DATE": "2025-05-21T08:00:00Z",
    }  # fmt: skip
    command = ["git", "-C", str(repository), *words]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a b.txt").write_text("um\ndois\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Abre a casa")
    git(tmp_path, "checkout", "-q", "-b", "lado")
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    (tmp_path / "1\t2\té.txt").write_text("x\n")
    git(tmp_path, "add", "-A")
    message = "Põe o número\n\ncorpo com \x1e e ana@example.org\n\n"
    message += "Signed-off-by: Ana <ana@example.org>\nReviewed-by: Rui Sá <rui@example.org>\n"
    git(tmp_path, "commit", "-q", "-m", message)
    git(tmp_path, "checkout", "-q", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Nada muda", committer="Rui")
    git(tmp_path, "merge", "-q", "--no-ff", "-m", "Junta", "lado")
    return tmp_path


def history(repository: Path, **options: object) -> dict[str, Draft]:
    drafts = list(read_git_history(repository, tenant="casa", **options))  # type: ignore[arg-type]
    return {draft.this or "": draft for draft in drafts}


def test_each_commit_is_an_act_of_its_author(repository: Path) -> None:
    drafts = history(repository)
    assert len(drafts) == 4 and [*drafts][::3] == ["Abre a casa", "Junta"]
    first = drafts["Abre a casa"]
    assert (first.who, first.did, first.status, first.seq) == ("Ana", "git_commit", "executed", 0)
    assert first.at is not None and first.at.isoformat() == "2025-05-20T11:34:56+00:00"
    assert first.confirmed_by == "git" and first.parent_id is None
    assert first.content_hash == git(repository, "rev-list", "--max-parents=0", "HEAD")
    assert first.details is not None
    assert first.details["files"] == ["a b.txt"] and first.details["insertions"] == 2
    assert all(judge(draft).valid for draft in drafts.values())
    assert drafts["Nada muda"].confirmed_by == "Rui"
    assert (drafts["Nada muda"].details or {})["files_changed"] == 0


def test_trailers_witness_and_addresses_stay_out(repository: Path) -> None:
    draft = history(repository)["Põe o número"]
    assert draft.confirmed_by == "Rui Sá"
    assert draft.details is not None
    assert draft.details["files"] == ["1\t2\té.txt", "b.bin"]
    assert draft.details["trailers"][1] == {"key": "Reviewed-by", "value": "Rui Sá"}
    assert "example.org" not in str(draft)
    told = history(repository, with_emails=True)["Põe o número"]
    assert "rui@example.org" in str(told)


def test_parents_are_relations_and_a_second_run_is_the_same(repository: Path) -> None:
    drafts = history(repository)
    merge = drafts["Junta"]
    assert merge.parent_id == drafts["Nada muda"].id
    assert merge.related_to == (drafts["Põe o número"].id,)
    assert merge.id == commit_id(git(repository, "rev-parse", "HEAD"), tenant="casa")
    assert history(repository) == drafts


def test_what_is_no_repository_or_revision_is_named(tmp_path: Path, repository: Path) -> None:
    empty = tmp_path / "empty"
    for place, revision in ((empty, "HEAD"), (repository, "nowhere"), (repository, "--output=x")):
        with pytest.raises(InvalidInput):
            list(read_git_history(place, tenant="casa", revision=revision))
    assert not (repository / "x").exists()


def test_a_reader_may_stop_early(repository: Path) -> None:
    stream = read_git_history(repository, tenant="casa")
    assert next(stream).this == "Abre a casa"
    stream.close()  # type: ignore[attr-defined]
