"""Search terms: by which texts a record is found, and where each is found in a block of positions.

    word     a word of who, did, this, confirmed_by or name
    #tag     a tag
    =dvalue  a column that is asked for exactly: =w who, =d did, =s status, =t type, =e entity_type
    =rname   an actor or role that may read the record, besides the house's staff; =v for everybody
    *        a record of too much text: it is looked at whatever is asked for

Always holds: a record that a filter lets through is found by every term that the filter is made of.
The reverse is not promised: terms are cut, and fold more letters together than the database does;
who searches compares each record with the filter itself. Terms depend on the record alone, so
`logline rebuild` can make them again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

WIDTH: Final = 1024
"""Positions of a block; the bits of the column `places`."""
EVERYTHING: Final = "*"
PUBLIC: Final = "=v"
COLUMNS: Final = (
    "who", "did", "this", "confirmed_by", "name", "status", "type", "entity_type", "owner_id",
    "visibility", "tags", "shared_with",
)  # fmt: skip
"""The columns that terms are made of, in the order of the values below."""

_CHARACTERS_MAX: Final = 400
"""Characters of a term: with the tenant, fewer bytes than a B-tree takes."""
_TEXT_MAX: Final = 2_000
"""Characters of text, and of lists, that terms are made of; a record with more is `*`."""
_SEPARATORS: Final = str.maketrans("_.:#/-@,;()", "           ")
_WORDS_OF: Final = ("who", "did", "this", "confirmed_by", "name")
_EXACT: Final = {"who": "=w", "did": "=d", "status": "=s", "type": "=t", "entity_type": "=e"}
_READERS: Final = ("who", "confirmed_by", "owner_id")
_LISTS: Final = ("tags", "shared_with")
_NOTHING: Final = (None,) * len(COLUMNS)
_BITS: Final = tuple(1 << place for place in reversed(range(WIDTH)))
"""The bit of each place, the first place leftmost, as PostgreSQL writes bits."""

_DROPPED: Final = frozenset({"Mn", "Cn"})
"""Marks over letters; and letters that this Python does not know yet, but a database may. All other
marks that can change places are dropped too: a beginning must stay a beginning."""
_ALIKE: Final = {"\u0131": "i", "\u0264": "", "\u019b": ""}
"""Dotless i, which some databases make of I; and partners of capitals younger than Unicode 15."""

values_of: Final = attrgetter(*COLUMNS)
"""Take from a record what its terms are made of."""


def terms_of(values: Sequence[Any]) -> set[str]:
    """Return the terms of one record, given as `values_of` gives it."""
    if _is_long(values):
        return {EVERYTHING}
    found: set[str] = set()
    for column, value in zip(COLUMNS, values, strict=True):
        for one in value or () if column in _LISTS else (value,):
            if one is not None:
                found.update(_terms(column, one))
    return found


def places_of(rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    """Return in which of the records of a full block each term is found, as `WIDTH` bits.

    `rows` are the records in order, as `values_of` gives them. The same terms as `terms_of`, made
    once for each different value.
    """
    assert len(rows) == WIDTH, "only a full block is written"
    found: dict[str, int] = {}
    short = [_NOTHING if _is_long(row) else row for row in rows]
    for row, kept, bit in zip(rows, short, _BITS, strict=True):
        if kept is not row:
            found[EVERYTHING] = found.get(EVERYTHING, 0) | bit
    for column, values in zip(COLUMNS, zip(*short, strict=True), strict=True):
        is_list = column in _LISTS
        terms = _terms if column == "this" else _known_terms
        for value, bits in _places_by_value(values, is_list=is_list).items():
            for one in value if is_list else (value,):
                for term in terms(column, one):
                    found[term] = found.get(term, 0) | bits
    return found


def place_and_places(bits: int) -> tuple[int | None, str | None]:
    """Write bits as the two columns of `ledger.search_term`: one place, or all in hexadecimal."""
    if bits & (bits - 1) == 0:
        return WIDTH - bits.bit_length(), None
    return None, f"x{bits:0{WIDTH // 4}x}"


def words_in(text: str) -> list[str]:
    """Split a text as `ledger.fold` does, and fold each word at least as far as it does."""
    parted = text.translate(_SEPARATORS)
    if parted.isascii():
        words = parted.lower().split(" ")
    else:
        words = [_folded(word) for word in parted.split(" ") if word]
    return [word[:_CHARACTERS_MAX] for word in words if word]


def exact(column: str, value: str) -> str:
    """Return the term of a column's whole value: `who`, `did`, `status`, `type`, `entity_type`."""
    return f"{_EXACT[column]}{value}"[:_CHARACTERS_MAX]


def tagged(tag: str) -> str:
    """Return the term of a tag."""
    return f"#{tag}"[:_CHARACTERS_MAX]


def _places_by_value(values: Sequence[Any], *, is_list: bool) -> dict[Any, int]:
    places: dict[Any, int] = {}
    for value, bit in zip(values, _BITS, strict=True):
        if value is not None:
            key = tuple(value) if is_list else value
            places[key] = places.get(key, 0) | bit
    return places


def _terms(column: str, value: str) -> tuple[str, ...]:
    if column == "tags":
        return (tagged(value),)
    if column == "visibility":
        return (PUBLIC,) if value == "public" else ()
    terms = words_in(value) if column in _WORDS_OF else []
    if column in _EXACT:
        terms.append(exact(column, value))
    if column in _READERS or column == "shared_with":
        terms.append(f"=r{value}"[:_CHARACTERS_MAX])
    return tuple(dict.fromkeys(terms))


_known_terms: Final = lru_cache(maxsize=8192)(_terms)
"""For columns whose values come back again and again."""


def _is_long(values: Sequence[Any]) -> bool:
    who, did, this, confirmed_by, name, *_, tags, shared_with = values
    length = sum(len(text) for text in (who, did, this, confirmed_by, name) if text)
    return length + sum(map(len, tags or ())) + sum(map(len, shared_with or ())) > _TEXT_MAX


def _folded(word: str) -> str:
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(
        _ALIKE.get(c, c)
        for c in apart
        if not unicodedata.combining(c) and unicodedata.category(c) not in _DROPPED
    )
