"""Filters: which records of the timeline are wanted, and how a person says it.

`filter_of` reads names and texts (`who=ana`, `since=2h`, `text="#quarto joã*"`); `Filter` is what
the reader works with. Always holds: a filter that was made here has known statuses and types,
times with a zone, and words within the limits below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

import msgspec

from loglineos.base.errors import InvalidInput, TooLarge, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger import search_terms
from loglineos.ledger.logline import TYPES
from loglineos.ledger.reading.moments import instant_of
from loglineos.ledger.status import STATUSES

text_bytes_max: Final = 1024
"""UTF-8 bytes of a filter's text, or of any other of its values."""

words_max: Final = 16
"""Words, prefixes and tags of one filter together."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What a record must fulfil; every field that is set must hold. Nothing set: every record.

    `words` and `prefixes` are looked for in who, did, this, confirmed_by and name, without regard
    to case, accents or punctuation. `since` is inclusive, `until` exclusive; both are compared with
    the author's `when`. `latest` keeps one record per entity, its latest event; `ghosts` keeps the
    ghosts that nobody has completed yet.
    """

    who: str | None = None
    did: str | None = None
    this: str | None = None
    status: str | None = None
    type: str | None = None
    entity_type: str | None = None
    tags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    ghosts: bool = False
    latest: bool = False

    @property
    def wanted_status(self) -> str | None:
        """The status that a record must have; open ghosts are ghosts."""
        return "ghost" if self.ghosts else self.status

    @property
    def is_latest_only(self) -> bool:
        """Whether only the latest event of each entity counts; open ghosts are latest events."""
        return self.latest or self.ghosts

    @property
    def is_searched(self) -> bool:
        """Whether no single index gives the records in order: words, tags, several columns."""
        exact = (self.who, self.did, self.wanted_status, self.entity_type)
        return bool(
            self.words or self.prefixes or self.tags or self.this is not None
            or self.type is not None or sum(value is not None for value in exact) > 1
        )  # fmt: skip

    @property
    def terms(self) -> list[str]:
        """The search terms that every record of this filter has, but for `openings`."""
        found = [search_terms.tagged(tag) for tag in self.tags]
        for name in ("who", "did", "type", "entity_type"):
            value = getattr(self, name)
            if value is not None:
                found.append(search_terms.exact(name, value))
        if self.wanted_status is not None:
            found.append(search_terms.exact("status", self.wanted_status))
        for word in self.words:
            found += search_terms.words_in(word)
        for prefix in self.prefixes:
            found += search_terms.words_in(prefix)[:-1]
        found += sorted(search_terms.words_in(self.this or ""), key=_tells, reverse=True)[:2]
        return list(dict.fromkeys(found))

    @property
    def openings(self) -> list[str]:
        """The beginnings of search terms that every record of this filter has."""
        found = [search_terms.words_in(prefix)[-1:] for prefix in self.prefixes]
        return list(dict.fromkeys(last for words in found for last in words))


FILTERS: Final[dict[str, Text]] = {
    "who": Text("quem agiu", "who acted"),
    "did": Text("o que fez", "what was done"),
    "this": Text("a quê, tal e qual", "to what, exactly"),
    "status": Text("o estado", "the status"),
    "type": Text("o tipo de LogLine", "the type of LogLine"),
    "entity_type": Text("o tipo de entidade", "the type of entity"),
    "tag": Text("uma etiqueta; pode repetir-se", "a tag; may be repeated"),
    "since": Text("desde (inclusive)", "since (inclusive)"),
    "until": Text("até (exclusive)", "until (exclusive)"),
    "text": Text(
        "palavras; inicio* e #etiqueta também",
        "words; beginning* and #tag too",
    ),
    "ghosts": Text("só fantasmas por completar", "open ghosts only"),
    "latest": Text(
        "só o último acontecimento de cada entidade",
        "the latest event of each entity only",
    ),
}
"""The names of the filters, as the command line and the API take them."""

_SYNONYMS: Final = {"tags": "tag", "q": "text", "open": "ghosts", "entity": "entity_type"}
_EXACT: Final = ("who", "did", "this", "status", "type", "entity_type")
_YES: Final = frozenset({True, "true", "yes", "sim", "1", ""})
_NO: Final = frozenset({False, "false", "no", "nao", "não", "0"})


def filter_of(named: Mapping[str, Any], *, now: datetime, zone: tzinfo) -> Filter:
    """Read a filter from names and texts; a value of None counts as not given.

    `tag` takes a text or a list. Times as `moments.instant_of` reads them, days in `zone`.

    Raises:
        UnknownName: no such filter, status or type; the error lists those that exist.
        InvalidInput: a value cannot be read; TooLarge: it is over `text_bytes_max`.
    """
    fields: dict[str, Any] = {}
    tags: list[str] = []
    for given, value in named.items():
        if value is None:
            continue
        name = _SYNONYMS.get(given, given)
        if name not in FILTERS:
            raise UnknownName(field="filter", shape=repr(given)[:60], known=", ".join(FILTERS))
        if name in ("ghosts", "latest"):
            fields[name] = _flag(value, name)
        elif name == "tag":
            tags += [_tag(item) for item in _several(value, name)]
        elif name == "text":
            words, prefixes, found = parse_text(_plain(value, name))
            fields["words"], fields["prefixes"] = words, prefixes
            tags += found
        elif name in ("since", "until"):
            fields[name] = instant_of(value, now=now, zone=zone, field=name)
        else:
            fields[name] = _plain(value, name)
    return checked(Filter(tags=tuple(dict.fromkeys(tags)), **fields))


def checked(wanted: Filter) -> Filter:
    """Return the filter when it makes sense.

    Raises:
        UnknownName: a status or type that does not exist.
        InvalidInput: `since` is after `until`, a time has no zone, too many words.
    """
    if wanted.status is not None and wanted.status not in STATUSES:
        raise UnknownName(field="status", shape=repr(wanted.status)[:60], known=", ".join(STATUSES))
    if wanted.type is not None and wanted.type not in TYPES:
        raise UnknownName(
            field="type", shape=repr(wanted.type)[:60], known=", ".join(sorted(TYPES))
        )
    if wanted.ghosts and wanted.status not in (None, "ghost"):
        raise InvalidInput(field="status", shape=repr(wanted.status), reason=_GHOST_AND_STATUS)
    for name in ("since", "until"):
        instant = getattr(wanted, name)
        if instant is not None and instant.tzinfo is None:
            raise InvalidInput(field=name, shape=shape_of(instant), reason=_ZONE)
    if wanted.since and wanted.until and wanted.since > wanted.until:
        raise InvalidInput(field="since", shape=wanted.since.isoformat(), reason=_BACKWARDS)
    terms = len(wanted.words) + len(wanted.prefixes) + len(wanted.tags)
    if terms > words_max:
        raise TooLarge(
            field="text", shape=f"{terms} words", limit=words_max, limit_name="words_max",
            remedy=_FEWER,
        )  # fmt: skip
    return wanted


def parse_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Split what a person typed into words, prefixes (`joã*`) and tags (`#quarto-3`), in order.

    Folding (case, accents, punctuation) is the database's work; a lone `*` or `#` means nothing.
    """
    words, prefixes, tags = [], [], []
    for piece in text.split():
        if piece.startswith("#"):
            if len(piece) > 1:
                tags.append(piece[1:])
        elif piece.endswith("*"):
            if piece.strip("*"):
                prefixes.append(piece.rstrip("*"))
        else:
            words.append(piece)
    return tuple(words), tuple(prefixes), tuple(tags)


def _tells(word: str) -> tuple[bool, int]:
    """Rank a word by how much it tells: numbers first, then long ones."""
    return any(map(str.isdigit, word)), len(word)


def _several(value: Any, name: str) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item, name) for item in value]
    return [_plain(value, name)]


def _tag(value: str) -> str:
    return value.removeprefix("#") or value


def _plain(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(field=name, shape=shape_of(value), reason=_TEXT)
    try:
        size = len(value.encode())
    except UnicodeEncodeError as cause:
        raise InvalidInput(field=name, shape=shape_of(value), reason=_CHARACTER) from cause
    if "\0" in value:
        raise InvalidInput(field=name, shape=shape_of(value), reason=_CHARACTER)
    if size > text_bytes_max:
        raise TooLarge(
            field=name, shape=f"{size} bytes", limit=text_bytes_max, limit_name="text_bytes_max",
            remedy=_FEWER,
        )  # fmt: skip
    return value


def _flag(value: Any, name: str) -> bool:
    known = value.lower() if isinstance(value, str) else value
    if isinstance(known, (bool, str)):
        if known in _YES:
            return True
        if known in _NO:
            return False
    raise InvalidInput(field=name, shape=shape_of(value), reason=_YES_OR_NO)


_TEXT: Final = Text("tem de ser texto", "must be text")
_CHARACTER: Final = Text(
    "tem um carácter que nenhum registo pode ter", "has a character that no record can have"
)
_YES_OR_NO: Final = Text("diga true ou false", "say true or false")
_ZONE: Final = Text("a hora precisa de fuso (p. ex. Z)", "the time needs a zone (e.g. Z)")
_BACKWARDS: Final = Text("since vem depois de until", "since is after until")
_FEWER: Final = Text("procure por menos palavras", "search for fewer words")
_GHOST_AND_STATUS: Final = Text(
    "um fantasma por completar só tem o estado ghost", "an open ghost has the status ghost only"
)
