"""The history of a git repository as LogLines: one draft for each commit, parents first.

Always holds: git is called with a list of arguments and without a shell, hooks, pagers, signature
programs or external diffs; commits stream, memory does not grow with the history; ids are made of
the commit's hash, so that a second run adds nothing; e-mail addresses are personal data and stay
out unless asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.intake.escapes import escaped_text
from loglineos.ledger.intake.formats import Item
from loglineos.ledger.intake.intake import draft_of
from loglineos.ledger.intake.mapping import Mapping
from loglineos.ledger.intake.mapping_file import load_mapping
from loglineos.ledger.intake.occurrences import content_id
from loglineos.ledger.record import Draft

FILES_MAX: Final = 200
"""Names of changed files that one draft lists; all are counted."""
BODY_CHARS_MAX: Final = 16 * 1024
TRAILERS_MAX: Final = 100

_FIELDS: Final = (
    "commit", "parents", "author", "author_email", "authored_at", "committer", "committer_email",
    "committed_at", "subject", "body", "trailers",
)  # fmt: skip
_FORMAT: Final = (
    "%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%s%x00%b%x00"
    "%(trailers:only=true,unfold=true)%x00"
)
_CHANGE: Final = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)
_ADDRESS: Final = re.compile(r"\s*<[^<>\n]*@[^<>\n]*>")
_BARE_ADDRESS: Final = re.compile(r"[^\s<>()]+@[^\s<>()]+\.[^\s<>()]+")
_TRAILER: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*:\s*(.+)")
_REVISION: Final = re.compile(r"[^-\s\0][^\s\0]{0,255}")


def read_git_history(
    repository: Path | str,
    *,
    tenant: str,
    revision: str = "HEAD",
    since: str | None = None,
    count_max: int | None = None,
    with_emails: bool = False,
    mapping: Mapping | None = None,
) -> Iterator[Draft]:
    """Read commits, oldest first, as drafts with ids made of their hashes.

    `revision` is a commit, branch or range; `since` is git's `--since`. `who` is the author,
    `confirmed_by` the first reviewer named in a trailer, else someone else who signed off, else the
    committer when another person, else `git`. `parent_id` is the first parent's draft, the others
    are in `related_to`. What follows (`if_ok`...) is the mapping's (`git` by default).

    Raises:
        InvalidInput: no repository, no such revision, or git is not installed; says git's words.
    """
    if not _REVISION.fullmatch(revision):
        raise _not_read("revision", revision, "isto não é uma revisão", "this is no revision")
    chosen = mapping or load_mapping("git")
    for commit in _commits(_command(Path(repository), revision, since, count_max)):
        yield _draft(commit, chosen, tenant, with_emails)


def commit_id(commit: str, *, tenant: str) -> UUID:
    """Return the entity id of a commit in a tenant."""
    return content_id(blake3(f"git commit {commit}".encode()).digest(), tenant=tenant)


def _command(
    repository: Path, revision: str, since: str | None, count_max: int | None
) -> list[str]:
    command = [
        "git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false",
        "-c", "log.mailmap=false", "-C", str(repository), "log", "--reverse", "--topo-order", "-z",
        "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--numstat", "--no-notes",
        "--encoding=UTF-8", f"--format=tformat:{_FORMAT}",
    ]  # fmt: skip
    if since is not None:
        command.append(f"--since={since}")
    if count_max is not None:
        command.append(f"--max-count={count_max}")
    return [*command, "--end-of-options", revision, "--"]


def _commits(command: list[str]) -> Iterator[dict[str, Any]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment.update(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    with tempfile.TemporaryFile() as told:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                env=environment,
            )
        except OSError as cause:
            raise _not_read("git", "git", "não está instalado", "is not installed") from cause
        assert process.stdout is not None
        try:
            yield from _parsed(_tokens(process.stdout))
        finally:
            process.stdout.close()
            process.wait()  # with its output closed, git ends by itself
        if process.returncode != 0:
            told.seek(0)
            why = told.read(500).decode("utf-8", "replace").strip()
            raise _not_read("repository", command[command.index("-C") + 1], why, why)


def _tokens(stream: IO[bytes]) -> Iterator[bytes]:
    tail = b""
    while chunk := stream.read(64 * 1024):
        pieces = (tail + chunk).split(b"\0")
        tail = pieces.pop()
        yield from pieces
    if tail:
        yield tail


def _parsed(tokens: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Cut git's NUL-separated words into commits: eleven fields, then one word for each change.

    A commit's text holds no NUL, and a change starts with two counts, which no hash does.
    """
    token = next(tokens, None)
    while token is not None:
        if not token.strip(b"\n"):
            token = next(tokens, None)
            continue
        words = [token.lstrip(b"\n"), *(next(tokens, b"") for _ in _FIELDS[1:])]
        commit: dict[str, Any] = {
            name: word.decode("utf-8", "replace") for name, word in zip(_FIELDS, words, strict=True)
        }
        files: list[str] = []
        changed = insertions = deletions = 0
        while (token := next(tokens, None)) is not None:
            found = _CHANGE.fullmatch(token)
            if found is None:
                if token.strip(b"\n"):
                    break
                continue
            changed += 1
            insertions += int(found[1]) if found[1] != b"-" else 0
            deletions += int(found[2]) if found[2] != b"-" else 0
            if len(files) < FILES_MAX:
                files.append(found[3].decode("utf-8", "replace"))
        commit.update(
            files=files, files_changed=changed, insertions=insertions, deletions=deletions
        )
        yield commit


def _draft(commit: dict[str, Any], mapping: Mapping, tenant: str, with_emails: bool) -> Draft:
    parents = commit["parents"].split()
    trailers = _trailers(commit["trailers"])
    values = {**commit, "parents": parents, "trailers": trailers}
    values["confirmed_by"] = _witness(commit, trailers)
    values["body"] = commit["body"].strip()[:BODY_CHARS_MAX]
    if values["committer"] == values["author"]:
        del values["committer"], values["committed_at"]
    if not with_emails:
        values = _without_emails(values)
        values["trailers"] = [{**t, "value": _ADDRESS.sub("", t["value"])} for t in trailers]
    values = {k: v for k, v in values.items() if v not in ("", [])}
    line = {
        k: escaped_text(v) if isinstance(v, str) else v for k, v in mapping.line_of(values).items()
    }
    item = Item(line=0, byte_offset_end=0, data=b"", size_bytes=0, value=line)
    draft = draft_of(item, tenant=tenant)
    ids = [commit_id(parent, tenant=tenant) for parent in parents]
    return msgspec.structs.replace(
        draft,
        id=commit_id(commit["commit"], tenant=tenant),
        seq=0,
        parent_id=ids[0] if ids else None,
        related_to=tuple(ids[1:]) or None,
    )


def _trailers(text: str) -> list[dict[str, str]]:
    found = (_TRAILER.fullmatch(line.strip()) for line in text.splitlines())
    return [{"key": m[1], "value": m[2][:500]} for m in found if m is not None][:TRAILERS_MAX]


def _witness(commit: dict[str, Any], trailers: list[dict[str, str]]) -> str:
    for wanted in ("reviewed-by", "acked-by", "signed-off-by"):
        for trailer in trailers:
            name = _ADDRESS.sub("", trailer["value"]).strip()
            if trailer["key"].lower() == wanted and name and name != commit["author"]:
                return name
    return commit["committer"] if commit["committer"] != commit["author"] else "git"


def _without_emails(values: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if not k.endswith("_email")}
    for name in ("author", "committer", "confirmed_by", "subject", "body"):
        if isinstance(kept.get(name), str):
            kept[name] = _BARE_ADDRESS.sub("[e-mail]", _ADDRESS.sub("", kept[name]))
    return kept


def _not_read(field: str, value: str, pt: str, en: str) -> InvalidInput:
    return InvalidInput(field=field, shape=shape_of(value), reason=Text(pt, en))
