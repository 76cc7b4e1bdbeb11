"""What the pages tell people to type: code blocks, the commands in them, the links around them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SHELL = ("sh", "bash", "shell", "console")
_FENCE = re.compile(r"^( *)(```+|~~~+)([^\n`]*)$")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_ENDS = ("|", "||", "&&", "&", ";", ">", ">>", "<", ")", "2>")


class Block(NamedTuple):
    """A fenced block: its language, its text, the line where it begins."""

    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """List every page of the project: the root's and those of docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks_of(page: str) -> list[Block]:
    """Cut a page into its code blocks; indented ones have no language."""
    blocks: list[Block] = []
    opened: tuple[str, str, int] | None = None
    kept: list[str] = []
    indented: list[str] = []
    for number, line in enumerate([*page.splitlines(), ""], start=1):
        fence = _FENCE.match(line)
        if opened is not None:
            if fence and fence[2] == opened[0] and not fence[3].strip():
                blocks.append(Block(opened[1], "\n".join(kept), opened[2]))
                opened, kept = None, []
            else:
                kept.append(line)
            continue
        if line.startswith("    ") and not fence:
            indented.append(line[4:])
            continue
        if indented and line.strip():
            blocks.append(Block("", "\n".join(indented), number - len(indented)))
            indented = []
        if fence:
            opened = (fence[2], fence[3].strip().split(" ")[0], number + 1)
    if indented:
        blocks.append(Block("", "\n".join(indented), 0))
    return blocks


def commands_in(block: Block) -> list[list[str]]:
    """List the words of every `logline` command of a block, without the word `logline` itself."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        # in indented blocks, what stands three spaces off is a remark
        typed = line if block.language else re.split(r"(?<=\S) {3,}", line)[0]
        words = words_of(typed.strip().removeprefix("$ "))
        for at, word in enumerate(words):
            before = words[at - 1] if at else ";"
            begins = before in (*_ENDS, "$(", "(", "-") or "=$(" in before
            begins = begins or (at == 1 and "=" in before)  # NAME=value logline ...
            if word in ("logline", ".venv/bin/logline") and begins:
                rest = words[at + 1 :]
                end = next((i for i, one in enumerate(rest) if one in _ENDS), len(rest))
                found.append(rest[:end])
    return found


def words_of(line: str) -> list[str]:
    """Cut a shell line into words; one that is not shell has none."""
    lexer = shlex.shlex(line.replace("$(", " $( "), posix=True, punctuation_chars="|&;<>)")
    lexer.whitespace_split = True
    lexer.commenters = "#" if not line.startswith("#!") else ""
    try:
        return list(lexer)
    except ValueError:
        return []


def links_of(page: str) -> list[str]:
    """List the targets of the links of a page, code left out."""
    prose = re.sub(r"(?ms)^ *(```+|~~~+).*?^ *\1 *$", "", page)
    prose = re.sub(r"`[^`\n]*`", "", prose)
    return _LINK.findall(prose)


def anchors_of(page: str) -> set[str]:
    """List the anchors that the headings of a page make."""
    prose = re.sub(r"(?ms)^ *(```+|~~~+).*?^ *\1 *$", "", page)
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#{1,6} +(.+?) *$", prose):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add("".join(one for one in text if one.isalnum() or one in " -_").replace(" ", "-"))
    return found
