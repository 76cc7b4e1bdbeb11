"""SQL in `.sql` files beside the module that runs it: `-- name: verb_noun` blocks, loaded once.

A block starts with its name; the comment lines that follow say why it is as it is; the rest is one
or more statements with named parameters `%(tenant)s`.
Always holds: a name is defined once and exists when asked for; a block is never empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Final, LiteralString

import msgspec

_NAME: Final = re.compile(r"^--\s*name:\s*(?P<name>\S*)\s*$")
_VERB_NOUN: Final = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")
_ALL_TENANTS: Final = re.compile(r"tenant: all, because (?P<reason>.{8,})")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One block: its name, its comment without dashes, its SQL for psycopg's named parameters."""

    name: str
    comment: str
    sql: str
    file: str

    @property
    def all_tenants_because(self) -> str | None:
        """Why it may leave out the tenant: `-- tenant: all, because …` in its comment."""
        found = _ALL_TENANTS.search(self.comment)
        return found["reason"] if found else None

    def statements(self) -> list[str]:
        """Return the single statements, without the comments inside; dollar quotes stay whole."""
        return split_statements(self.sql)


class Queries:
    """The blocks of one file by name; `queries["read_head"]` is SQL text for psycopg."""

    def __init__(self, file: str, blocks: dict[str, Query]) -> None:
        """Keep the blocks; `load` and `parse` are the ways to get one."""
        self.file: Final = file
        self._blocks = blocks

    @classmethod
    def load(cls, package: str, filename: str) -> Queries:
        """Read `filename` from `package` (dotted name). At import time only: it reads a file.

        Raises:
            ValueError: a defect of ours: a block twice, malformed, empty or missing.
        """
        text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
        return cls.parse(text, file=f"{package.replace('.', '/')}/{filename}")

    @classmethod
    def parse(cls, text: str, *, file: str) -> Queries:
        """Read the blocks of `text`; `file` is named in errors."""
        blocks: dict[str, Query] = {}
        for name, lines in _blocks(text, file):
            if not _VERB_NOUN.match(name):
                raise ValueError(f"{file}: a query is named verb_noun, not {name!r}")
            if name in blocks:
                raise ValueError(f"{file}: the query {name} is defined twice")
            blocks[name] = _query(name, lines, file)
        return cls(file, blocks)

    def __getitem__(self, name: str) -> LiteralString:
        """Return the SQL of `name`; it comes from our own file, so it is literal to psycopg."""
        try:
            return self._blocks[name].sql
        except KeyError:
            known = ", ".join(sorted(self._blocks))
            raise KeyError(f"{self.file} has no query {name}; it has: {known}") from None

    def every_statement(self) -> Iterator[Query]:
        """Yield every block in the order of the file, for the tests that read them all."""
        yield from self._blocks.values()


def split_statements(sql: str) -> list[str]:
    """Split at semicolons outside quotes, dollar quotes and comments; drop comments and blanks."""
    statements, current = [], ""
    for piece in _TOKEN.findall(sql):
        if piece.startswith(("--", "/*")):
            current += " "
        elif piece == ";":
            statements.append(current.strip())
            current = ""
        else:
            current += piece
    return [s for s in (*statements, current.strip()) if s]


_TOKEN: Final = re.compile(
    r"--[^\n]*|/\*[\s\S]*?\*/|\$\$[\s\S]*?\$\$|\$(?:[A-Za-z_]\w*)\$[\s\S]*?\$(?:[A-Za-z_]\w*)\$"
    r"|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|;|[^-/$'\";]+|[\s\S]"
)


def _blocks(text: str, file: str) -> Iterator[tuple[str, list[str]]]:
    name: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        found = _NAME.match(line)
        if found is None:
            lines.append(line)
            continue
        if name is not None:
            yield name, lines
        elif split_statements("\n".join(lines)):
            raise ValueError(f"{file}: statements before the first `-- name:`")
        name, lines = found["name"], []
    if name is not None:
        yield name, lines


def _query(name: str, lines: list[str], file: str) -> Query:
    comment: list[str] = []
    while lines and (not lines[0].strip() or lines[0].lstrip().startswith("--")):
        comment.append(lines.pop(0).strip().removeprefix("--").strip())
    sql = "\n".join(lines).strip().removesuffix(";")
    if not sql:
        raise ValueError(f"{file}: the query {name} is empty")
    return Query(name=name, comment="\n".join(comment).strip(), sql=sql, file=file)
