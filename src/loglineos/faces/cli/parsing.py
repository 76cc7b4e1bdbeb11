"""The words of one command become the arguments of its function, by its own signature.

A parameter says itself: `when: Annotated[str | None, Text("pt", "en")] = None`. Positional-only
parameters are arguments, keyword-only ones are options (`if_ok` is `--if-ok`).
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnknownOptionError
from cyclopts import exceptions as faults

from loglineos.base.errors import InvalidInput, LoglineError, UnknownName
from loglineos.base.language import Language, Text
from loglineos.faces.cli.command import Command

Function = Callable[..., Any]
_STDIN_MARK: Final = "\ue000stdin"
"""Stands for `-` while the words are read: a lone hyphen is a value, never an option."""
_PACKAGE: Final = "loglineos.faces.cli"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One argument or option of a command, as help and the reference page tell it."""

    names: tuple[str, ...]
    about: str
    is_option: bool
    is_required: bool
    is_many: bool
    value: str | None
    default: str | None


def function_of(command: Command) -> Function:
    """Import and return the function of a command."""
    module, _, name = command.target.partition(":")
    function: Function = getattr(import_module(f"{_PACKAGE}.{module}"), name)
    return function


def parse(
    function: Function, words: list[str], *, path: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read the words of a command as arguments for its function (after the session).

    Raises:
        InvalidInput, UnknownName: a word that does not fit; exit status 2.
    """
    app = _app(function, "en")
    marked = [_STDIN_MARK if word == "-" else word for word in words]
    try:
        _, bound, _ = app.parse_args(marked, print_error=False, exit_on_error=False, verbose=False)
    except CycloptsError as cause:
        raise _told(cause, path) from cause
    given = tuple(_unmarked(value) for value in bound.args)
    return given, {name: _unmarked(value) for name, value in bound.kwargs.items()}


def entries_of(function: Function, language: Language) -> list[Entry]:
    """List the arguments and options of a command, arguments first."""
    found = []
    for argument in _app(function, language).assemble_argument_collection():
        kind = argument.field_info.kind
        is_option = kind is inspect.Parameter.KEYWORD_ONLY
        names = (
            (*argument.names, *argument.negatives) if is_option else (argument.name.lstrip("-"),)
        )
        default = argument.field_info.default
        shown = default not in (None, False, True, (), [], inspect.Parameter.empty)
        found.append(
            Entry(
                names=tuple(dict.fromkeys(names)),
                about=argument.parameter.help or "",
                is_option=is_option,
                is_required=argument.required,
                is_many=_is_many(argument.hint) or kind is inspect.Parameter.VAR_POSITIONAL,
                value=None if argument.is_flag() else _value_name(argument.hint),
                default=str(default) if shown else None,
            )
        )
    return sorted(found, key=lambda entry: entry.is_option)


def texts_of(function: Function) -> dict[str, Text | None]:
    """Return, for each parameter after the session, what it says of itself in both languages."""
    hints = typing.get_type_hints(function, include_extras=True)
    told: dict[str, Text | None] = {}
    for name in list(inspect.signature(function).parameters)[1:]:
        marks = getattr(hints[name], "__metadata__", ())
        told[name] = next((mark for mark in marks if isinstance(mark, Text)), None)
    return told


def _app(function: Function, language: Language) -> App:
    def stub(*_: Any, **__: Any) -> None:
        """Stand for the function while its words are read."""

    signature = _signature(function, language)
    stub.__signature__ = signature  # type: ignore[attr-defined]
    stub.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return App(
        name="logline", default_command=stub, help_flags=[], version_flags=[],
        default_parameter=Parameter(negative_bool=(), negative_iterable=()),
    )  # fmt: skip


def _signature(function: Function, language: Language) -> inspect.Signature:
    hints = typing.get_type_hints(function, include_extras=True)
    _, *parameters = inspect.signature(function).parameters.values()
    return inspect.Signature(
        [p.replace(annotation=_spoken(hints[p.name], language)) for p in parameters]
    )


def _spoken(hint: Any, language: Language) -> Any:
    marks = getattr(hint, "__metadata__", None)
    if marks is None:
        return hint
    made = [Parameter(help=m.in_(language)) if isinstance(m, Text) else m for m in marks]
    spoken = hint.__origin__
    for mark in made:
        spoken = Annotated[spoken, mark]
    return spoken


def _unmarked(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(_unmarked(one) for one in value)
    if isinstance(value, (str, Path)) and str(value) == _STDIN_MARK:
        return type(value)("-")
    return value


def _is_many(hint: Any) -> bool:
    parts = [hint, *typing.get_args(hint)]
    return any(typing.get_origin(part) in (list, tuple) for part in parts)


def _value_name(hint: Any) -> str:
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is typing.Literal:
            return "|".join(str(choice) for choice in typing.get_args(part))
        if part in (int, float):
            return "N"
    return "TEXT"


def _told(cause: CycloptsError, path: str) -> LoglineError:
    """Say a fault in the words of the line in the house's own shape."""
    advice = Text(f"veja `logline {path} --help`", f"see `logline {path} --help`")
    if isinstance(cause, UnknownOptionError):
        known = cause.argument_collection if hasattr(cause, "argument_collection") else None
        names = ", ".join(n for a in known for n in a.names if n.startswith("--")) if known else ""
        word = cause.token.keyword or cause.token.value
        return UnknownName(field=path, shape=word[:60], known=names or "--help")
    if isinstance(cause, MissingArgumentError):
        field = cause.argument.name if cause.argument else path
        return InvalidInput(field=field, shape="null", reason=_MISSING, remedy=advice)
    if isinstance(cause, faults.UnusedCliTokensError):
        words = " ".join(cause.unused_tokens or [])
        return InvalidInput(field=path, shape=words[:60], reason=_TOO_MANY, remedy=advice)
    if isinstance(cause, faults.CoercionError):
        field = cause.argument.name if cause.argument else path
        given = cause.token.value if cause.token else ""
        return InvalidInput(field=field, shape=repr(given)[:60], reason=_WRONG_KIND, remedy=advice)
    if isinstance(cause, faults.RepeatArgumentError):
        field = cause.token.keyword or path
        return InvalidInput(field=field, shape="2", reason=_TWICE, remedy=advice)
    message = str(cause)[:300]
    return InvalidInput(field=path, shape="", reason=Text(message, message), remedy=advice)


_MISSING: Final = Text("falta", "is missing")
_TOO_MANY: Final = Text("palavras a mais", "more words than expected")
_WRONG_KIND: Final = Text("não se lê como o que devia ser", "cannot be read as what it should be")
_TWICE: Final = Text("foi dado duas vezes", "was given twice")
