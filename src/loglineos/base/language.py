"""The two languages that people are answered in, and text that exists in both.

Always holds: every text a person may read is written in Portuguese and in English at the place
where it is born; nothing is translated later.
"""

from __future__ import annotations

import os
from typing import Final, Literal

import msgspec

Language = Literal["pt", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("pt", "en")


class Text(msgspec.Struct, frozen=True):
    """One message in both languages; `{name}` marks a field that `fill` puts in."""

    pt: str
    en: str

    def in_(self, language: Language) -> str:
        """Return the text in `language`, unfilled."""
        return self.pt if language == "pt" else self.en

    def fill(self, language: Language, /, **fields: object) -> str:
        """Return the text in `language` with each `{name}` replaced by its field.

        A field that is missing stays visible as `{name}`: an error message must never fail.
        """
        return self.in_(language).format_map(_Visible(fields))


class _Visible(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def language_of_environment(environment: dict[str, str] | None = None) -> Language:
    """Choose the language: `LOGLINE_LANG`, else `LC_ALL`, `LC_MESSAGES`, `LANG`; else English."""
    values = os.environ if environment is None else environment
    for name in ("LOGLINE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = values.get(name, "").lower()
        if value:
            return "pt" if value.startswith("pt") else "en"
    return "en"
