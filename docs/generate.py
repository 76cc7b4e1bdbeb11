"""Write the reference pages that come from the code: settings, errors, columns, statuses, limits, CLI.

    python -m docs.generate            write the pages
    python -m docs.generate --check    fail when a page on disk is not what the code says

Always holds: a page is a function of the code alone, so that two machines write the same bytes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

import loglineos
from docs.functions import functions_parts
from loglineos.base import errors
from loglineos.ledger import limits, logline
from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.record import NOT_HASHED, Draft, Record
from loglineos.ledger.status import GESTURES, MOVES, STATUSES
from loglineos.settings import SETTINGS

REFERENCE: Final = Path(__file__).parent / "reference"
_MARK: Final = "<!-- Written by `make docs` from the code; changes here are lost. -->"
_DRAWN: Final = ("ghost", "pending", "valid", "under_review", "confirmed", "executed", "denied")
_GROUPS: Final = {
    "identity": "Identity", "nine": "The nine fields", "optional": "Optional fields of a LogLine",
    "relations": "Relations", "access": "Access", "code": "Code", "execution": "Execution",
    "schedule": "Schedule", "measures": "Measures", "place": "Place and bytes", "proof": "Proof",
    "rest": "The rest",
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Write every page, or with `--check` name those that are stale; return the exit status."""
    stale = stale_pages()
    if "--check" in arguments:
        for name in stale:
            sys.stderr.write(f"docs/reference/{name} is stale: run `make docs`\n")
        return 1 if stale else 0
    for name in stale:
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"wrote docs/reference/{name}\n")
    return 0


def stale_pages() -> list[str]:
    """Name the pages whose file is not what the code says."""
    return [name for name, page in PAGES.items() if _read(REFERENCE / name) != page()]


def settings_page() -> str:
    """List every setting with its variable, key, default and meaning."""
    rows = [
        (
            f"`{one.variable}`",
            f"`{one.key}`" if one.key else "",
            one.default.en,
            one.about.en + (" *(secret)*" if one.is_secret else ""),
            one.about.pt,
        )
        for one in SETTINGS
    ]
    return _page(
        "Settings",
        "A setting is read from its environment variable, then from its key in `config.json` of the\n"
        "data folder, then it has its default. An option of the command line, where there is one,\n"
        "wins over all. A setting without a key is never kept in the file. An empty variable counts\n"
        "as not set.",
        _table(("variable", "key", "default", "meaning", "em português"), rows),
        "For whoever mends the program: with `LOGLINE_TRACE` set, an unexpected failure shows its trace.",
    )


def errors_page() -> str:
    """Draw the tree of errors and tell each one: code, exit status, sentences, remedies."""
    known = every_error()
    tree = (errors.__doc__ or "").split("\n\n")[1]
    index = [
        (f"[`{one.code}`](#{one.code})", one.__name__, one.exit_status, "yes" if one.retryable else "no")
        for one in known
    ]
    parts = [
        "Every error has a stable `code`. Programs match the code and read `fields`; people read the\n"
        "sentence and the remedy, in their language. With `--json` a command that fails writes one line\n"
        "on stderr: `{\"problem\": {\"code\", \"detail\", \"remedy\", \"retryable\", \"fields\", \"exit_status\"}}`.\n"
        "*Retryable* says that the same call may succeed later, unchanged.",
        f"```\n{textwrap.dedent(tree)}\n```",
        _table(("code", "class", "exit status", "retryable"), index),
        *[_error_section(one) for one in known],
    ]
    return _page("Errors", *parts)


def columns_page() -> str:
    """List every column of the registry by its group."""
    required = {one.name for one in msgspec.structs.fields(Record) if one.required}
    required |= {"position", "recorded_at"}
    drafts = set(Draft.__struct_fields__)
    parts = [
        f"`ledger.universal_registry` has {len(COLUMNS)} columns. One row is one record: one event in\n"
        "the life of one entity. The key is `(tenant_id, id, seq)`.\n\n"
        "*Set* says that a column is never null. *Hashed* says that it is part of the\n"
        "[canonical bytes](record.md), when it is not null. *Given by* says who fills it in: the author,\n"
        "or the node when it seals and appends.",
    ]
    for group, title in _GROUPS.items():
        rows = [
            (
                f"`{one.name}`", one.sql_type, "set" if one.name in required else "",
                "no" if one.name in NOT_HASHED else "yes",
                "author" if one.name in drafts else "node", one.about.en, one.about.pt,
            )
            for one in COLUMNS if one.group == group
        ]  # fmt: skip
        heads = ("column", "type", "set", "hashed", "given by", "meaning", "em português")
        parts.append(f"## {title}\n\n{_table(heads, rows)}")
    parts.append(_logline_rule())
    return _page("Columns", *parts)


def statuses_page() -> str:
    """Tell the status machine: statuses, gestures, moves, and a small drawing."""
    statuses = [
        (f"`{name}`", one.label.pt, one.label.en, one.phase, one.about.en)
        for name, one in STATUSES.items()
    ]
    gestures = [
        (
            f"`{name}`", one.label.pt, one.label.en, one.about.en,
            "any" if one.frm is None else ", ".join(one.frm),
            f"`{one.to}`" if one.to else "stays", f"`if_{one.branch}`" if one.branch else "",
            "yes" if one.heavy else "",
        )
        for name, one in GESTURES.items()
    ]  # fmt: skip
    moves = [(f"`{name}`", ", ".join(sorted(MOVES[name])) or "nothing") for name in STATUSES]
    return _page(
        "Statuses and gestures",
        "An entity has the status of its latest event. A person moves it by a *gesture*; a machine\n"
        "appends the next event with another status, as far as the moves below allow. Each is a new\n"
        "record; the record before it stays as it was. Appending a status that does not follow is\n"
        "refused with `move_not_allowed`.",
        f"## Statuses\n\n{_table(('status', 'pt', 'en', 'phase', 'meaning'), statuses)}",
        "## Gestures\n\n"
        "*Branch* names the consequence of the record that the gesture calls for. *Heavy* gestures are\n"
        "those that a face asks about twice.\n\n"
        + _table(("gesture", "pt", "en", "what it does", "from", "to", "branch", "heavy"), gestures)
        + "\n\n`complete` gives the entity the status that its author claimed, or `valid`; until nothing is\n"
        "missing it stays `ghost`.",
        f"The gestures on the statuses met most often:\n\n{_drawing()}",
        "## Moves\n\n"
        "What a machine may append next, besides the same status again and what a gesture leads to.\n"
        "A ghost may be followed by any status, because its author may have claimed any.\n\n"
        + _table(("from", "to"), moves),
    )


def limits_page() -> str:
    """List every limit with its value and meaning, from the module that holds them."""
    rows = [
        (f"`{name}`", _limit_text(getattr(limits, name)), about) for name, about in limit_abouts()
    ]
    return _page(
        "Limits",
        "Bounds are named; an error over one of them (`too_large`) carries its name.",
        _table(("limit", "value", "meaning"), rows),
    )


def cli_page() -> str:
    """Tell every command with its arguments, options and examples, and the exit statuses."""
    from loglineos.faces.cli.command import GROUPS
    from loglineos.faces.cli.commands import COMMANDS
    from loglineos.faces.cli.options import OPTIONS

    index = [
        (f"[`logline {one.path}`](#{_anchor('logline ' + one.path)})", one.about.en, one.about.pt)
        for one in COMMANDS
    ]
    shared = [
        (", ".join(f"`{name}`" for name in one.names) + (f" `{one.value}`" if one.value else ""), one.about.en)
        for one in OPTIONS
    ]
    parts = [
        "Answers go to stdout, everything else to stderr. `logline COMMAND --help` tells the same as\n"
        "this page, in Portuguese too.",
        _table(("command", "what it does", "em português"), index),
        f"## Options of every command\n\n{_table(('option', 'meaning'), shared)}",
        f"## Exit statuses\n\n{_exit_statuses()}",
    ]
    for group, title in GROUPS.items():
        sections = [_command_section(one) for one in COMMANDS if one.group == group]
        if sections:
            parts.append("\n\n".join([f"## {title.en}", *sections]))
    return _page("The command line", *parts)


def functions_page() -> str:
    """Tell what a function may use, and what it must write otherwise than in Python."""
    return _page("Functions", *functions_parts(_table))


def every_error() -> list[type[errors.LoglineError]]:
    """List the errors of the whole package, also those that a face adds; tests' own left out."""
    for module in pkgutil.walk_packages(loglineos.__path__, "loglineos."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [one for one in errors.every_error() if one.__module__.startswith("loglineos.")]


def limit_abouts() -> list[tuple[str, str]]:
    """Read the names of the limits and the docstrings under them, in the order of the file."""
    body = ast.parse(inspect.getsource(limits)).body
    found = []
    for statement, after in zip(body, body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            told = after.value if isinstance(after, ast.Expr) else None
            about = told.value if isinstance(told, ast.Constant) else ""
            found.append((statement.target.id, " ".join(str(about).split())))
    return found


def _error_section(one: type[errors.LoglineError]) -> str:
    about = " ".join((one.__doc__ or "").split("\n\n")[0].split())
    rows = [
        ("en", _fields(one.sentence.en), _fields(one.remedy.en)),
        ("pt", _fields(one.sentence.pt), _fields(one.remedy.pt)),
    ]
    return f"## {one.code}\n\n{about}\n\n{_table(('', 'sentence', 'remedy'), rows)}"


def _fields(text: str) -> str:
    return text.replace("{", "*").replace("}", "*")


def _logline_rule() -> str:
    kinds = ", ".join(f"`{one}`" for one in sorted(logline.NOT_ACTS))
    types = ", ".join(f"`{one}`" for one in sorted(logline.TYPES))
    return (
        "## The nine-field rule\n\n"
        f"A record is a LogLine unless its `entity_type` is one of {kinds}. A LogLine with all nine\n"
        "fields well-formed has `valid = true`; an absent `status` becomes `valid`. Any other is a\n"
        "[ghost](../glossary.md): `valid = false`, `status = 'ghost'`, `ghost_reason` names every fault,\n"
        "and `metadata.faults` names them by kind. What does not fit its column is in `details.given`.\n\n"
        f"`type`, when it is given, is one of {types}."
    )


def _drawing() -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    for name, gesture in GESTURES.items():
        sources = [one for one in _DRAWN if gesture.to and one in (gesture.frm or ())]
        lines += [f"    {source} --> {gesture.to}: {name}" for source in sources]
    return "\n".join([*lines, "```"])


def _limit_text(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    return f"{value:,}" if isinstance(value, int) else f"{value:g} s"


def _exit_statuses() -> str:
    meanings = {
        0: "done", 1: "failed", 2: "bad input or settings", 3: "not found", 4: "conflict",
        5: "verification failed", 6: "not now; the same again may succeed", 7: "refused by the rules", 130: "interrupted",
    }  # fmt: skip
    codes: dict[int, list[str]] = {}
    for one in every_error():
        codes.setdefault(one.exit_status, []).append(f"`{one.code}`")
    rows = [(status, about, ", ".join(codes.get(status, []))) for status, about in meanings.items()]
    return (
        _table(("status", "meaning", "error codes"), rows)
        + "\n\n`logline wrap` ends with the status of the command that it ran (128 + n for a signal)."
    )


def _command_section(command: object) -> str:
    from loglineos.faces.cli.command import Command
    from loglineos.faces.cli.parsing import entries_of, function_of

    assert isinstance(command, Command)
    entries = entries_of(function_of(command), "en")
    words = [f"logline {command.path}"]
    for one in entries:
        if not one.is_option:
            many = "..." if one.is_many else ""
            words.append(f"{one.names[0]}{many}" if one.is_required else f"[{one.names[0]}{many}]")
    parts = [f"### logline {command.path}", _sentence(command.about.en)]
    if command.more is not None:
        parts.append(command.more.en)
    parts.append(f"    {' '.join(words)}{' [OPTIONS]' if any(e.is_option for e in entries) else ''}")
    if entries:
        rows = [
            (
                ", ".join(f"`{name}`" for name in one.names) + (f" `{one.value}`" if one.value and one.is_option else ""),
                one.about + (f" (default: {one.default})" if one.default else ""),
                "required" if one.is_required else "repeatable" if one.is_many and one.is_option else "",
            )
            for one in entries
        ]
        parts.append(_table(("argument or option", "meaning", ""), rows))
    if command.examples:
        parts.append("\n".join(f"    logline {one}" for one in command.examples))
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _anchor(title: str) -> str:
    kept = [one for one in title.lower() if one.isalnum() or one in " -_"]
    return "".join(kept).replace(" ", "-")


def _table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    told = [list(heads), *[list(row) for row in rows]]
    lines = ["| " + " | ".join(_cell(one) for one in row) + " |" for row in told]
    lines.insert(1, "|" + "---|" * len(told[0]))
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _MARK, *parts]) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "columns.md": columns_page,
    "statuses.md": statuses_page,
    "limits.md": limits_page,
    "cli.md": cli_page,
    "functions.md": functions_page,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
