"""The options that every command takes, before or after its name."""

# ruff: noqa: E501 - one line for each option or command reads as a table
from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import LANGUAGES, Language, Text, language_of_environment


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen for all commands; None where nothing was."""

    home: Path | None = None
    tenant: str | None = None
    lang: Language | None = None
    actor: str | None = None
    json: bool = False
    quiet: bool = False
    help: bool = False
    version: bool = False


class GlobalOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option of every command."""

    names: tuple[str, ...]
    field: str
    about: Text
    value: str | None = None


# fmt: off
OPTIONS: Final[tuple[GlobalOption, ...]] = (
    GlobalOption(names=("--home",), field="home", value="DIR", about=Text("a pasta de dados (LOGLINE_HOME)", "the data folder (LOGLINE_HOME)")),
    GlobalOption(names=("--tenant",), field="tenant", value="NAME", about=Text("a casa de que se fala (LOGLINE_TENANT)", "the tenant that is meant (LOGLINE_TENANT)")),
    GlobalOption(names=("--actor",), field="actor", value="NAME", about=Text("em nome de quem (LOGLINE_ACTOR)", "in whose name (LOGLINE_ACTOR)")),
    GlobalOption(names=("--lang",), field="lang", value="pt|en", about=Text("a língua das respostas (LOGLINE_LANG)", "the language of the answers (LOGLINE_LANG)")),
    GlobalOption(names=("--json",), field="json", about=Text("responde a programas: um documento JSON em stdout", "answer programs: one JSON document on stdout")),
    GlobalOption(names=("--quiet", "-q"), field="quiet", about=Text("sem notas nem progresso em stderr", "no notes, no progress on stderr")),
    GlobalOption(names=("--help", "-h"), field="help", about=Text("mostra esta ajuda", "show this help")),
)
# fmt: on
_BY_NAME: Final = {name: option for option in OPTIONS for name in option.names}


def take_options(words: list[str]) -> tuple[Options, list[str]]:
    """Take the options of every command out of the words; what follows `--` is never touched.

    Raises:
        InvalidInput: an option without its value.
        UnknownName: no such language.
    """
    found: dict[str, Any] = {}
    rest: list[str] = []
    waiting = list(words)
    if waiting[:1] == ["--version"]:
        return Options(version=True), waiting[1:]
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return _checked(found), [*rest, word, *waiting]
        name, equals, value = word.partition("=")
        option = _BY_NAME.get(name)
        if option is None or (equals and option.value is None):
            rest.append(word)
        elif option.value is None:
            found[option.field] = True
        elif equals:
            found[option.field] = value
        elif waiting:
            found[option.field] = waiting.pop(0)
        else:
            raise InvalidInput(field=name, shape=shape_of(None), reason=_NO_VALUE)
    return _checked(found), rest


def language_of(words: list[str]) -> Language:
    """Guess the language from raw words, for the fault that keeps them from being read."""
    for before, word in zip(["", *words], words, strict=False):
        told = word.removeprefix("--lang=") if word.startswith("--lang=") else word
        if (before == "--lang" or told != word) and told in LANGUAGES:
            return "pt" if told == "pt" else "en"
    return language_of_environment()


def _checked(found: dict[str, Any]) -> Options:
    lang = found.get("lang")
    if lang is not None and lang not in LANGUAGES:
        raise UnknownName(field="--lang", shape=repr(lang)[:60], known=", ".join(LANGUAGES))
    if "home" in found:
        if not found["home"]:
            raise InvalidInput(field="--home", shape=shape_of(""), reason=_NO_VALUE)
        found["home"] = Path(found["home"])
    return Options(**found)


_NO_VALUE: Final = Text("falta o valor", "its value is missing")
