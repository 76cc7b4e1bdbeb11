"""Every command and every option of it speaks both languages, and its place exists."""

from __future__ import annotations

import re
import sys
from io import StringIO

import pytest
from rich.cells import cell_len

from loglineos.base.errors import InvalidInput, UnknownName
from loglineos.base.language import LANGUAGES
from loglineos.database.distribute import distribution_script
from loglineos.database.migrate import read_migrations
from loglineos.faces.cli.command import GROUPS, Command
from loglineos.faces.cli.commands import COMMANDS, find_command
from loglineos.faces.cli.help import of_command, overview
from loglineos.faces.cli.options import OPTIONS, take_options
from loglineos.faces.cli.parsing import entries_of, function_of, parse, texts_of
from loglineos.faces.cli.render import console, plain
from loglineos.faces.cli.tables import Column, table

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.path)


@each_command
def test_a_command_says_itself_in_both_languages(command: Command):
    assert command.about.pt.strip()
    assert command.about.en.strip()
    assert command.group in GROUPS
    for name, text in texts_of(function_of(command)).items():
        assert text is not None, f"{command.path}: {name}"
        assert text.pt.strip()
        assert text.en.strip()


@each_command
def test_the_help_of_a_command_can_be_shown(command: Command, capsys):
    for language in LANGUAGES:
        console(sys.stdout).print(of_command(command, language))
        shown = capsys.readouterr().out
        assert f"logline {command.path}" in shown
        for entry in entries_of(function_of(command), language):
            assert entry.names[0].upper() in shown.upper()


@each_command
def test_a_command_declares_no_option_of_all_commands(command: Command):
    taken = {name for option in OPTIONS for name in option.names}
    declared = {
        name for entry in entries_of(function_of(command), "en") if entry.is_option
        for name in entry.names
    }  # fmt: skip
    assert not taken & declared


def test_paths_are_unique_and_the_longest_name_wins():
    paths = [command.path for command in COMMANDS]
    assert len(set(paths)) == len(paths)
    found, rest = find_command(["import", "git", "."])
    assert found is not None
    assert (found.path, rest) == ("import git", ["."])


def test_the_overview_lists_every_command_in_both_languages(capsys):
    for language in LANGUAGES:
        console(sys.stdout).print(overview(COMMANDS, language))
        shown = capsys.readouterr().out
        for command in COMMANDS:
            assert command.path in shown


def test_options_of_all_commands_stand_anywhere_but_after_the_end_of_options():
    options, rest = take_options(["--json", "add", "a", "--tenant=casa", "--lang", "pt", "b"])
    assert (options.json, options.tenant, options.lang, rest) == (
        True,
        "casa",
        "pt",
        ["add", "a", "b"],
    )
    options, rest = take_options(["wrap", "--", "ls", "--json", "-h"])
    assert not options.json
    assert not options.help
    assert rest == ["wrap", "--", "ls", "--json", "-h"]


def test_options_without_value_or_of_unknown_language_are_refused():
    with pytest.raises(InvalidInput):
        take_options(["add", "--tenant"])
    with pytest.raises(UnknownName):
        take_options(["--lang", "fr"])


def test_a_lone_hyphen_is_a_value_and_words_of_a_command_stay_whole():
    add = function_of(next(c for c in COMMANDS if c.path == "add"))
    assert parse(add, ["-"], path="add")[0][0] == "-"
    wrap = function_of(next(c for c in COMMANDS if c.path == "wrap"))
    given, named = parse(wrap, ["--did", "x", "--", "cat", "-", "--json", "-n"], path="wrap")
    assert given == ("cat", "-", "--json", "-n")
    assert named["did"] == "x"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_is_never_wider_than_its_terminal(width: int):
    columns = [
        Column(title=COMMANDS[0].about), Column(title=COMMANDS[1].about, grows=True),
        Column(title=COMMANDS[2].about, grows=True, width_min=60),
    ]  # fmt: skip
    columns = [Column(title=GROUPS["who"]), *(columns[1:])]
    rows = [("ação", "日本" * 40, "x" * 300), (None, "a\x1b[31mb\nc", "curto")]
    out = console(StringIO())
    out.width = width
    out.print(table(columns, rows, language="pt", width=width))
    lines = out.file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in out.file.getvalue()


def test_control_and_direction_characters_are_shown_not_obeyed():
    assert plain("a\x1b[2J\x07\u202eb\x9b") == "a\\x1b[2J\\x07\\x202eb\\x9b"
    assert plain("é日本\tx\n") == "é日本\tx\n"


def test_every_growing_table_is_distributed_by_tenant_with_its_row_triggers():
    script = distribution_script()
    (first, *_) = read_migrations()
    tables = re.findall(r"CREATE TABLE (ledger\.\w+) \(\s*tenant_id", first.sql)
    assert len(tables) > 5
    for name in tables:
        assert f"create_distributed_table('{name}', 'tenant_id', colocate_with" in script
    for trigger, on in re.findall(
        r"CREATE TRIGGER (\w+) BEFORE UPDATE OR DELETE ON (\S+)", first.sql
    ):
        assert f"DROP TRIGGER {trigger} ON {on};" in script
        assert f"CREATE TRIGGER {trigger} BEFORE UPDATE OR DELETE ON {on}" in script
    for trigger, on in re.findall(r"CREATE TRIGGER (\w+) BEFORE TRUNCATE ON (\S+)", first.sql):
        assert f"DROP TRIGGER {trigger} ON {on};" in script
        assert f"CREATE TRIGGER {trigger}" not in script
