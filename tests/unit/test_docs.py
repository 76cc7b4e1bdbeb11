"""What exists is documented, and what is documented exists."""

from __future__ import annotations

import re
import tokenize
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
from blake3 import blake3
from docs import generate

from loglineos.base.errors import LoglineError
from loglineos.faces.cli.commands import COMMANDS, commands_under, find_command
from loglineos.faces.cli.options import OPTIONS, take_options
from loglineos.faces.cli.parsing import entries_of, function_of, parse
from loglineos.ledger import limits
from loglineos.ledger.columns import COLUMN_NAMES
from loglineos.ledger.record import Record
from loglineos.ledger.seal import bytes_of, leaf_of
from loglineos.ledger.signature import signing_key, verify
from loglineos.ledger.status import GESTURES, MOVES, STATUSES
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.trust import CUSTODIES, ROLES
from loglineos.settings import SETTINGS
from tests.shell_lines import ROOT, SHELL, anchors_of, blocks_of, commands_in, links_of, pages

REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "src" / "loglineos").rglob("*.py"))


def _reference(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_each_reference_page_is_what_the_code_says(name: str) -> None:
    assert _reference(name) == generate.PAGES[name](), "run `make docs`"


def test_every_setting_is_documented_with_its_key() -> None:
    page = _reference("settings.md")
    for setting in SETTINGS:
        assert f"| `{setting.variable}` |" in page
        assert setting.key is None or f"| `{setting.key}` |" in page
        assert setting.about.en in page


def test_every_variable_that_the_code_reads_is_documented() -> None:
    page = _reference("settings.md")
    for source in SOURCES:
        with tokenize.open(source) as file:
            tokens = list(tokenize.generate_tokens(file.readline))
        told = {token.string.strip("\"'") for token in tokens if token.type == tokenize.STRING}
        for name in (one for one in told if re.fullmatch(r"LOGLINE_[A-Z_]+", one)):
            assert f"`{name}`" in page, f"{source.name} reads {name}"


def test_every_error_code_is_documented_with_its_sentences() -> None:
    page = _reference("errors.md")
    known = generate.every_error()
    assert len({one.code for one in known}) == len(known), "codes are unique"
    for one in known:
        assert f"\n## {one.code}\n" in page
        assert one.__doc__, one.__name__


def test_every_error_class_stands_in_the_drawing_of_the_tree() -> None:
    drawing = blocks_of(_reference("errors.md"))[0].text
    for one in generate.every_error():
        assert re.search(rf"\b{one.__name__}\b", drawing), one.__name__


def test_every_column_is_documented() -> None:
    page = _reference("columns.md")
    for name in COLUMN_NAMES:
        assert page.count(f"\n| `{name}` |") == 1, name


def test_every_status_gesture_and_move_is_documented() -> None:
    page = _reference("statuses.md")
    for name, status in STATUSES.items():
        assert f"| `{name}` | {status.label.pt} | {status.label.en} |" in page
    for name, gesture in GESTURES.items():
        assert f"| `{name}` | {gesture.label.pt} | {gesture.label.en} |" in page
    for name, following in MOVES.items():
        told = re.search(rf"(?m)^\| `{name}` \| ([a-z_, ]+) \|$", page)
        assert told, name
        assert {one for one in told[1].split(", ") if one != "nothing"} == set(following)


def test_every_limit_is_documented() -> None:
    page = _reference("limits.md")
    names = [name for name in vars(limits) if name.endswith("_max") or name == "block_positions"]
    assert dict(generate.limit_abouts()).keys() == set(names)
    for name, about in generate.limit_abouts():
        assert about, f"{name} has no sentence"
        assert f"| `{name}` |" in page


def test_every_command_and_option_is_documented() -> None:
    page = _reference("cli.md")
    for command in COMMANDS:
        section = page.split(f"\n### logline {command.path}\n")
        assert len(section) == 2, command.path
        told = re.split(r"\n##+ ", section[1])[0]
        for entry in entries_of(function_of(command), "en"):
            assert entry.about, f"{command.path} {entry.names[0]} says nothing of itself"
            for name in entry.names:
                assert f"`{name}`" in told, f"{command.path} {name}"
    for option in OPTIONS:
        assert f"`{option.names[0]}`" in page


def test_every_command_is_told_in_portuguese_too() -> None:
    for command in COMMANDS:
        assert command.about.pt
        assert command.about.pt != command.about.en, command.path
        for entry in entries_of(function_of(command), "pt"):
            assert entry.about, f"{command.path} {entry.names[0]}"


def test_every_example_of_a_command_can_be_read_by_it() -> None:
    for command in COMMANDS:
        for example in command.examples:
            for words in commands_in(blocks_of(f"```sh\nlogline {example}\n```")[0]):
                _read(words, f"example of {command.path}")


def test_every_role_and_custody_of_a_key_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "keys.md").read_text(encoding="utf-8")
    for name in (*ROLES, *CUSTODIES):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_points_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in links_of(text):
        if re.match(r"[a-z]+:", target):
            assert target.startswith("https://"), target
            continue
        path, _, anchor = unquote(target).partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT), f"{target} leaves the project"
        assert there.exists(), f"{target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors_of(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists_and_takes_these_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in blocks_of(text):
        if block.language in SHELL or (block.language == "" and page.parent != REFERENCE):
            for words in commands_in(block):
                _read(words, f"{page.name}:{block.line}")
    for said in re.findall(r"`logline ([a-z][a-z -]*[a-z])", text):
        words = said.split(" -")[0].split()
        command, _ = find_command(words)
        assert command or commands_under(words[0]), f"{page.name} speaks of `logline {said}`"


def test_every_page_that_the_code_speaks_of_is_there() -> None:
    for source in [*SOURCES, *(ROOT / "src").rglob("*.sql")]:
        for told in re.findall(
            r"docs/[a-z-]+/[A-Za-z0-9_-]+\.md", source.read_text(encoding="utf-8")
        ):
            assert (ROOT / told).exists(), f"{source.name} speaks of {told}"


def test_the_two_readmes_tell_the_same_commands() -> None:
    english, portuguese = (
        [block for block in blocks_of((ROOT / name).read_text("utf-8")) if block.language in SHELL]
        for name in ("README.md", "README.pt.md")
    )
    assert [block.text for block in english] == [block.text for block in portuguese]
    assert sum(len(commands_in(block)) for block in english) >= 8


@pytest.mark.parametrize("readme", ["README.md", "README.pt.md"])
def test_every_page_can_be_found_from_the_readme(readme: str) -> None:
    reached, waiting = set(), [ROOT / readme]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        if page.parent.name == "decisions" or page == ROOT / readme:
            targets = [one.partition("#")[0] for one in links_of(page.read_text("utf-8"))]
            found = {(page.parent / one).resolve() for one in targets if one.endswith(".md")}
            waiting += found - reached - set(waiting)
    missing = {page for page in pages() if page.is_relative_to(ROOT / "docs")} - reached
    assert not missing, "name them in the tables of the readme, or in decisions/README.md"


def test_the_targets_that_the_readme_names_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in pages():
        for target in re.findall(
            r"(?:^|`| {4})make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")
        ):
            assert re.search(rf"(?m)^{target}:", makefile), f"{page.name}: make {target}"


def test_every_decision_has_its_four_parts_and_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    decisions = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert len(decisions) >= 10
    for number, page in enumerate(decisions, start=1):
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. ")
        assert f"({page.name})" in listed
        for part in ("Context", "Decision", "Consequences", "What would change our mind"):
            assert f"**{part}.**" in text, f"{page.name}: {part}"


def test_the_worked_example_of_the_record_holds() -> None:
    told = {b.language: b.text for b in blocks_of(_reference("record.md")) if b.language}
    data = told["bytes"].encode()
    assert blake3(data).hexdigest() == told["curr_hash"]
    message = b"loglineos/record/v1\n" + bytes.fromhex(told["curr_hash"])
    key = signing_key(bytes.fromhex(told["seed"]))
    assert key.sign(message).hex() == told["signature"]
    assert verify(key.public, bytes.fromhex(told["signature"]), message)
    proof = {"curr_hash": told["curr_hash"], "signature": told["signature"]}
    record = msgspec.convert({**msgspec.json.decode(data), **proof}, type=Record)
    assert bytes_of(record) == data
    assert leaf_of(record, "2026-03-02T12:00:01.000000Z").decode() == told["leaf"]
    assert leaf_hash(told["leaf"].encode()).hex() == told["leaf_hash"]


def _read(words: list[str], where: str) -> None:
    """Read a command as the program would, and say where it stands when it cannot."""
    options, rest = take_options(words)
    if options.version or (options.help and not rest):
        return
    command, given = find_command(rest)
    assert command or (options.help and commands_under(rest[0])), (
        f"{where}: logline {' '.join(words)}"
    )
    if command is None or options.help or "..." in given:
        return
    try:
        parse(function_of(command), given, path=command.path)
    except LoglineError as error:
        pytest.fail(f"{where}: logline {' '.join(words)}: {error}")
