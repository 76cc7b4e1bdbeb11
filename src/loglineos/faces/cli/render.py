"""What answers are made of for people: consoles, safe text, times, colours of statuses.

Always holds: what a record says never reaches a terminal as a control sequence; colours are only
on a terminal and only without NO_COLOR.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import IO, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text as Styled

from loglineos.base.language import Language
from loglineos.ledger.status import STATUSES

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_STYLES: Final = {
    "ghost": "magenta", "valid": "green", "confirmed": "bold green", "ratified": "bold green",
    "executed": "green", "complete": "green", "pass": "green", "indexed": "green",
    "under_review": "yellow", "waiting": "yellow", "pending": "yellow", "scheduled": "yellow",
    "queued": "yellow", "running": "cyan", "open": "cyan", "active": "cyan", "slow": "yellow",
    "denied": "red", "reverted": "red", "failed": "bold red", "error": "bold red",
    "dead": "bold red", "fail": "red", "revoked": "red", "archived": "dim", "draft": "dim",
}  # fmt: skip


def console(stream: IO[str]) -> Console:
    """Make a console that takes text as it is: no markup, no guessing, no emoji names."""
    return Console(file=stream, markup=False, highlight=False, emoji=False)


def plain(value: object) -> str:
    """Return text that is safe on a terminal: control characters are shown, never obeyed."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", str(value))


def one_line(value: object) -> str:
    """Return safe text in one line."""
    return " ".join(plain(value).split())


def styled(*parts: tuple[str, str]) -> Styled:
    """Join (text, style) parts into one line."""
    return Styled.assemble(*parts)


def status_text(status: str | None, language: Language) -> Styled:
    """Return a status by its label in the reader's language, in its colour."""
    if status is None:
        return Styled("—", style="dim")
    known = STATUSES.get(status)
    label = known.label.in_(language) if known else one_line(status)
    return Styled(label, style=_STYLES.get(status, ""))


def local_time(instant: datetime, zone: ZoneInfo, *, with_date: bool = True) -> str:
    """Return a time as people of the house read it, to the second."""
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S")


def size_text(count: int) -> str:
    """Return a count of bytes with its unit."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
