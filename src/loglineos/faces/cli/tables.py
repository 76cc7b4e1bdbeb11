"""Tables that fit: no frame, columns by importance, safe text, at home on 80 columns and a phone.

Always holds: a table is never wider than its terminal; the last column that says `grows` takes
what is left and is cut with an ellipsis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text as Styled

from loglineos.base.language import Language, Text
from loglineos.faces.cli.render import one_line

_GAP: Final = 2
_GROWING_MIN: Final = 6


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: its title, whether it may shrink, and from how many columns of width it shows."""

    title: Text
    grows: bool = False
    right: bool = False
    width_min: int = 0


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, language: Language, width: int
) -> Table:
    """Make a table for a terminal of `width`; columns with a larger `width_min` are left out.

    Columns that do not grow keep the width of their longest value; those that grow share the rest.
    """
    kept = [column for column in columns if width >= column.width_min]
    shown = [index for index, column in enumerate(columns) if column in kept]
    cells = [[_cell(row[index]) for index in shown] for row in rows]
    titles = [column.title.in_(language) for column in kept]
    natural = [
        max([cell_len(title), *(row[place].cell_len for row in cells)])
        for place, title in enumerate(titles)
    ]
    made = Table(
        box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, _GAP, 0, 0)
    )
    for column, title, own in zip(kept, titles, _widths(kept, natural, width), strict=True):
        made.add_column(
            title, justify="right" if column.right else "left", no_wrap=True,
            overflow="ellipsis", width=own,
        )  # fmt: skip
    for row in cells:
        made.add_row(*row)
    return made


def _widths(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """Give each column its width: the small ones that grow get all they want first."""
    widths = list(natural)
    growing = sorted((i for i, c in enumerate(columns) if c.grows), key=lambda i: natural[i])
    fixed = sum(own for i, own in enumerate(natural) if i not in growing)
    left = width - fixed - _GAP * (len(columns) - 1)
    for count, place in enumerate(growing):
        share = max(_GROWING_MIN, left // (len(growing) - count))
        widths[place] = min(natural[place], share)
        left -= widths[place]
    return widths


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Make a list of names and values; values wrap."""
    made = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, value if isinstance(value, Styled) else one_line(value))
    return made


def _cell(value: Any) -> Styled:
    if value is None:
        return Styled("—", style="dim")
    return value if isinstance(value, Styled) else Styled(one_line(value))
