"""Reading CSV: delimiter and header found by content, each row with the very bytes it came from.

Always holds: every line that is not blank is in exactly one row; a row that the CSV rules
(RFC 4180) do not allow is handed on with its text and without cells, and reading goes on with the
next line. A quoted cell may span lines, up to `CELL_CHARS_MAX` characters.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from loglineos.base.language import Text

DELIMITERS: Final = ",;\t|"
CELL_CHARS_MAX: Final = 131_072
_SAMPLE_ROWS: Final = 20
_NAME_CHARS_MAX: Final = 64


class Line(msgspec.Struct, frozen=True):
    """One physical line with its place in the stream; `size_bytes` is larger than `data` if cut."""

    data: bytes
    line: int
    offset_end: int
    size_bytes: int
    digest: bytes | None = None


class Row(msgspec.Struct, frozen=True):
    """One CSV row: its cells, or why there are none, and the lines it is made of."""

    cells: list[str] | None
    lines: list[Line]
    problem: Text | None = None

    @property
    def data(self) -> bytes:
        """The bytes of the row, without its last line end."""
        return b"\n".join(line.data for line in self.lines).rstrip(b"\r\n")


def sniff_delimiter(sample: list[bytes]) -> str | None:
    """Find the delimiter that cuts most of the first rows into the same number of cells.

    None when no delimiter cuts the first row into two cells at least, as most other rows.
    """
    best: tuple[float, str] | None = None
    for delimiter in DELIMITERS:
        try:
            rows = list(_plain_rows(sample[:_SAMPLE_ROWS], delimiter))
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        score = alike * len(rows[0])
        if alike > 0.5 and (best is None or score > best[0]):
            best = (score, delimiter)
    return best[1] if best else None


def _plain_rows(sample: list[bytes], delimiter: str) -> Iterator[list[str]]:
    texts = (line.decode("utf-8", "surrogateescape") for line in sample if line.strip())
    return csv.reader(texts, delimiter=delimiter)


def is_header(cells: list[str]) -> bool:
    """Tell whether a first row names columns: all cells filled, distinct, short and no numbers."""
    names = [cell.strip() for cell in cells]
    return len(set(names)) == len(names) and all(
        name and len(name) <= _NAME_CHARS_MAX and not name[0].isdigit() and name[0] not in "-+{[\"'"
        for name in names
    )


def column_names(cells: list[str]) -> list[str]:
    """Name the columns: by the row itself when it is a header, else `column_1`, `column_2`..."""
    if is_header(cells):
        return [cell.strip() for cell in cells]
    return [f"column_{index}" for index in range(1, len(cells) + 1)]


def value_of(names: list[str], cells: list[str]) -> dict[str, str]:
    """Join names and cells; empty cells are left out, cells beyond the header get `column_<n>`."""
    value = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    for index in range(len(names), len(cells)):
        value[f"column_{index + 1}"] = cells[index]
    return value


def read_rows(lines: Iterable[Line], *, delimiter: str) -> Iterator[Row]:
    """Cut lines into rows; never raises for what the lines hold.

    A row that breaks the rules gives its first line as a row without cells; its other lines, if it
    had swallowed any behind an open quote, are read again on their own.
    """
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as cause:
            if not feed.taken:
                return
            first, *rest = feed.taken
            feed.again(rest)
            yield Row(None, [first], _broken(str(cause)))
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        taken = list(feed.taken)
        if any(line.digest for line in taken):
            yield from (Row(None, [line], _broken("line too long")) for line in taken)
        elif any(line.data.strip() for line in taken):
            yield Row(cells, taken)


class _Feed:
    """Gives lines to the CSV reader as text and remembers which ones it took for this row."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._pending: deque[Line] = deque()
        self.taken: list[Line] = []

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else next(self._lines)
        self.taken.append(line)
        return line.data.decode("utf-8", "surrogateescape") + "\n"

    def again(self, lines: list[Line]) -> None:
        self._pending.extendleft(reversed(lines))


def _broken(why: str) -> Text:
    return Text(f"linha CSV mal formada: {why}", f"malformed CSV row: {why}")
