"""Help: of everything, of a family of commands, of one command; made of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text as Styled

from loglineos.base.language import Language, Text
from loglineos.faces.cli.command import GROUPS, Command
from loglineos.faces.cli.options import OPTIONS
from loglineos.faces.cli.render import styled

_WORDS: Final = {
    "usage": Text("Uso", "Usage"),
    "command": Text("COMANDO", "COMMAND"),
    "options": Text("OPÇÕES", "OPTIONS"),
    "arguments": Text("Argumentos", "Arguments"),
    "own": Text("Opções", "Options"),
    "shared": Text("Opções de todos os comandos", "Options of every command"),
    "examples": Text("Exemplos", "Examples"),
    "required": Text("obrigatório", "required"),
    "default": Text("por omissão", "default"),
    "many": Text("pode repetir-se", "may be repeated"),
}
WHAT: Final = Text(
    "LogLineOS: cada ato é um registo assinado, que se acrescenta, não se apaga e se prova.",
    "LogLineOS: every act is one signed, append-only, provable record.",
)


def overview(commands: Sequence[Command], language: Language) -> Group:
    """Return the help of `logline`: every command by group, then the options of all."""
    parts: list[Styled | Table] = [
        Styled(WHAT.in_(language)), Styled(), _usage("logline", language, "command", "options"),
    ]  # fmt: skip
    for group, title in GROUPS.items():
        rows = [(c.path, c.about.in_(language)) for c in commands if c.group == group]
        if rows:
            parts += [Styled(), _title(title.in_(language)), _pairs(rows)]
    return Group(*parts, Styled(), *_shared(language))


def family(word: str, commands: Sequence[Command], language: Language) -> Group:
    """Return the help of a word that begins several commands, like `key`."""
    rows = [(c.path, c.about.in_(language)) for c in commands]
    usage = _usage(f"logline {word}", language, "command", "options")
    return Group(usage, Styled(), _pairs(rows), Styled(), *_shared(language))


def of_command(command: Command, language: Language) -> Group:
    """Return the help of one command: usage, arguments, options, examples."""
    from loglineos.faces.cli.parsing import Entry, entries_of, function_of  # noqa: PLC0415

    def told(entry: Entry) -> tuple[str, str]:
        name = ", ".join(entry.names) if entry.is_option else entry.names[0].upper()
        value = f" {entry.value}" if entry.is_option and entry.value else ""
        notes = [_say("required", language)] if entry.is_required and entry.is_option else []
        if entry.is_many and entry.is_option:
            notes.append(_say("many", language))
        if entry.default is not None:
            notes.append(f"{_say('default', language)}: {entry.default}")
        return name + value, entry.about + (f" ({'; '.join(notes)})" if notes else "")

    entries = entries_of(function_of(command), language)
    words = [_placeholder(e.names[0], e.is_required, e.is_many) for e in entries if not e.is_option]
    usage = Styled.assemble(
        (f"{_say('usage', language)}: ", "bold"),
        " ".join([f"logline {command.path}", *words, f"[{_say('options', language)}]"]),
    )
    parts: list[Styled | Table] = [usage, Styled(), Styled(command.about.in_(language))]
    if command.more is not None:
        parts.append(Styled(command.more.in_(language)))
    for title, is_option in (("arguments", False), ("own", True)):
        rows = [told(entry) for entry in entries if entry.is_option is is_option]
        if rows:
            parts += [Styled(), _title(_say(title, language)), _pairs(rows)]
    if command.examples:
        parts += [Styled(), _title(_say("examples", language))]
        parts += [Styled(f"  logline {example}") for example in command.examples]
    return Group(*parts, Styled(), *_shared(language))


def _shared(language: Language) -> list[Styled | Table]:
    rows = [
        (" ".join(filter(None, (", ".join(one.names), one.value))), one.about.in_(language))
        for one in OPTIONS
    ]
    return [_title(_say("shared", language)), _pairs(rows)]


def _usage(start: str, language: Language, *words: str) -> Styled:
    rest = " ".join([_say(words[0], language), *(f"[{_say(w, language)}]" for w in words[1:])])
    return styled((f"{_say('usage', language)}: ", "bold"), (f"{start} {rest}", ""))


def _placeholder(name: str, is_required: bool, is_many: bool) -> str:
    shown = name.upper() + ("…" if is_many else "")
    return shown if is_required else f"[{shown}]"


def _title(text: str) -> Styled:
    return Styled(text, style="bold")


def _pairs(rows: Sequence[tuple[str, str]]) -> Table:
    made = Table(box=None, pad_edge=False, show_edge=False, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(style="cyan", overflow="fold", max_width=32)
    made.add_column(overflow="fold")
    for name, about in rows:
        made.add_row(Styled(f"  {name}"), Styled(about))
    return made


def _say(word: str, language: Language) -> str:
    return _WORDS[word].in_(language)
