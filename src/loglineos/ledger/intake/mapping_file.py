"""Loading a mapping file: YAML read safely, checked piece by piece, faults named by their line.

Always holds: nothing in the file is executed; its size, its regular expressions and its nesting are
bounded; aliases and anchors, back-references and a repeat inside a repeat are refused, since those
are how small files take for ever.
"""

from __future__ import annotations

import importlib
import re
from importlib import resources
from pathlib import Path
from typing import Any, Final, NoReturn, cast

import yaml

from loglineos.base.errors import InvalidInput, NotFound, TooLarge, shape_of
from loglineos.base.language import Text
from loglineos.ledger.intake.cells import ALIASES
from loglineos.ledger.intake.formats import FORMATS, Format
from loglineos.ledger.intake.mapping import Choice, Keep, Mapping, TimeRule
from loglineos.ledger.intake.template import Template, parse_template
from loglineos.ledger.record import DRAFT_FIELDS

FILE_BYTES_MAX: Final = 64 * 1024
PATTERN_CHARS_MAX: Final = 2_000
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)")
_KEYS: Final = {
    "name", "version", "about", "format", "match", "fields", "details", "tags", "when", "choose",
    "keep",
}  # fmt: skip
_REPEATS: Final = re.compile(r"MAX_REPEAT|MIN_REPEAT|POSSESSIVE_REPEAT")


def shipped_mappings() -> tuple[str, ...]:
    """List the names of the mappings that come with the house."""
    folder = resources.files("loglineos") / "rows" / "mappings"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load_mapping(name_or_file: str | Path) -> Mapping:
    """Load a shipped mapping by name, or a file.

    Raises:
        NotFound: neither a shipped name nor a readable file.
        InvalidInput: the file is no mapping; `field` names the key, the reason the line.
        TooLarge: the file or a pattern is over its limit.
    """
    if isinstance(name_or_file, str) and name_or_file in shipped_mappings():
        entry = resources.files("loglineos") / "rows" / "mappings" / f"{name_or_file}.yaml"
        return parse_mapping(entry.read_bytes())
    try:
        with Path(name_or_file).open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as cause:
        raise NotFound(what="mapping", which=str(name_or_file)) from cause
    return parse_mapping(data)


def parse_mapping(data: bytes) -> Mapping:
    """Read and check the YAML of a mapping.

    Raises:
        InvalidInput, TooLarge: see `load_mapping`.
    """
    if len(data) > FILE_BYTES_MAX:
        raise TooLarge(
            field="mapping", shape=shape_of(data), limit=FILE_BYTES_MAX, limit_name="FILE_BYTES_MAX"
        )
    try:
        text = data.decode("utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, yaml.SafeLoader)):
            _refuse("mapping", 1, "*", "não aceita referências (*)", "aliases (*) are not taken")
        root = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as cause:
        mark = getattr(cause, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        why = str(getattr(cause, "problem", None) or cause)[:200]
        raise _invalid("mapping", line, "YAML", f"não é YAML: {why}", f"not YAML: {why}") from cause
    return _Checker(_lines_of(root)).mapping(value)


def _lines_of(root: yaml.Node | None) -> dict[str, int]:
    lines: dict[str, int] = {}

    def walk(node: yaml.Node, path: str) -> None:
        lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, item in node.value:
                name = f"{path}.{key.value}" if path else str(key.value)
                walk(item, name)
                lines[name] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                walk(item, f"{path}[{index}]")

    if root is not None:
        walk(root, "")
    return lines


def _invalid(field: str, line: int, shape: str, pt: str, en: str) -> InvalidInput:
    reason = Text(f"linha {line}: {pt}", f"line {line}: {en}")
    return InvalidInput(field=field, shape=shape, reason=reason, line=line)


def _refuse(field: str, line: int, value: object, pt: str, en: str) -> NoReturn:
    raise _invalid(field, line, shape_of(value), pt, en)


class _Checker:
    """Checks one file; every fault is raised with the line of its key."""

    def __init__(self, lines: dict[str, int]) -> None:
        self._lines = lines

    def mapping(self, value: Any) -> Mapping:
        root = self._object(value, "")
        for key in root:
            if key not in _KEYS:
                self._fault(str(key), key, "chave desconhecida", "unknown key")
        name, version = root.get("name"), root.get("version", 1)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._fault("name", name, "um nome como access-log", "a name like access-log")
        if type(version) is not int or not 0 < version < 10**6:
            self._fault("version", version, "um número inteiro, de 1", "a whole number from 1")
        match = self._object(root.get("match", {}), "match")
        self._known(match, "match", ("regex", "require"))
        required = self._list(match.get("require"), "match.require")
        patterns = match.get("regex", [])
        if not isinstance(patterns, list):
            patterns = [patterns]
        return Mapping(
            name=name,
            version=version,
            about=self._about(root.get("about")),
            format=cast("Format", self._one_of(root.get("format", "auto"), "format", FORMATS)),
            patterns=tuple(self._pattern(p, "match.regex") for p in patterns),
            require=tuple(tuple(str(path).split(".")) for path in required),
            fields=self._fields(root.get("fields"), "fields"),
            details=self._templates(root.get("details"), "details"),
            tags=tuple(
                self._template(tag, f"tags[{index}]")
                for index, tag in enumerate(self._list(root.get("tags"), "tags"))
            ),
            when=self._when(root.get("when")),
            choose=tuple(
                self._choice(choice, f"choose[{index}]")
                for index, choice in enumerate(self._list(root.get("choose"), "choose"))
            ),
            keep=cast("Keep", self._one_of(root.get("keep", "rest"), "keep", _KEEPS)),
        )

    def _fault(self, path: str, value: object, pt: str, en: str) -> NoReturn:
        known = path
        while known and known not in self._lines:
            known = known.rpartition(".")[0]
        _refuse(path or "mapping", self._lines.get(known, 1), value, pt, en)

    def _object(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fault(path, value, "tem de ter chaves e valores", "must have keys and values")
        return value

    def _known(self, value: dict[str, Any], path: str, known: tuple[str, ...]) -> None:
        for key in value:
            if key not in known:
                self._fault(f"{path}.{key}", key, "chave desconhecida", "unknown key")

    def _list(self, value: Any, path: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._fault(path, value, "tem de ser uma lista", "must be a list")
        return value

    def _one_of(self, value: Any, path: str, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            told = ", ".join(allowed)
            self._fault(path, value, f"tem de ser um de: {told}", f"must be one of: {told}")
        return str(value)

    def _about(self, value: Any) -> Text:
        if isinstance(value, dict) and {"pt", "en"} <= value.keys():
            return Text(str(value["pt"]), str(value["en"]))
        return Text(str(value or ""), str(value or ""))

    def _fields(self, value: Any, path: str) -> dict[str, Template]:
        templates = self._templates(value, path)
        for name in templates:
            if ALIASES.get(name, name) not in DRAFT_FIELDS or name in ("details", "tags"):
                self._fault(f"{path}.{name}", name, "não é um campo", "is no field")
        return templates

    def _templates(self, value: Any, path: str) -> dict[str, Template]:
        items = self._object(value if value is not None else {}, path)
        return {str(k): self._template(v, f"{path}.{k}") for k, v in items.items()}

    def _template(self, value: Any, path: str) -> Template:
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            self._fault(path, value, "tem de ser texto", "must be text")
        try:
            return parse_template(str(value))
        except ValueError as cause:
            line, why = self._lines.get(path, 1), str(cause)
            raise _invalid(path, line, shape_of(value), why, why) from cause

    def _pattern(self, value: Any, path: str) -> re.Pattern[str]:
        if not isinstance(value, str) or not value:
            self._fault(path, value, "uma expressão regular", "a regular expression")
        if len(value) > PATTERN_CHARS_MAX:
            raise TooLarge(
                field=path,
                shape=f"{len(value)} characters",
                limit=PATTERN_CHARS_MAX,
                limit_name="PATTERN_CHARS_MAX",
            )
        try:
            pattern = re.compile(value)
        except (re.error, RecursionError, OverflowError) as cause:
            line, why = self._lines.get(path, 1), str(cause)
            raise _invalid(path, line, shape_of(value), why, why) from cause
        fault = time_fault(value)
        if fault is not None:
            self._fault(path, value, fault.pt, fault.en)
        return pattern

    def _when(self, value: Any) -> TimeRule | None:
        if value is None:
            return None
        rule = self._object(value, "when")
        self._known(rule, "when", ("from", "format", "offset"))
        formats = rule.get("format", "rfc3339")
        formats = formats if isinstance(formats, list) else [formats]
        for form in formats:
            if not isinstance(form, str) or not ("%" in form or form in _FORMS):
                self._fault("when.format", form, f"strptime ou: {_TOLD}", f"strptime or: {_TOLD}")
        return TimeRule(
            source=self._template(rule.get("from"), "when.from"),
            formats=tuple(formats),
            offset_minutes=self._offset(rule.get("offset")),
        )

    def _offset(self, value: Any) -> int | None:
        if value is None:
            return None
        found = _OFFSET.fullmatch(str(value))
        if found is None:
            self._fault("when.offset", value, "como '+01:00'", "like '+01:00'")
        minutes = int(found[2]) * 60 + int(found[3])
        return -minutes if found[1] == "-" else minutes

    def _choice(self, value: Any, path: str) -> Choice:
        choice = self._object(value, path)
        self._known(choice, path, ("by", "cases", "otherwise"))
        cases = self._object(choice.get("cases", {}), f"{path}.cases")
        return Choice(
            by=self._template(choice.get("by"), f"{path}.by"),
            cases=tuple(
                (self._pattern(str(k), f"{path}.cases.{k}"), self._fields(v, f"{path}.cases.{k}"))
                for k, v in cases.items()
            ),
            otherwise=self._fields(choice.get("otherwise"), f"{path}.otherwise"),
        )


_KEEPS: Final = ("rest", "raw", "none")
_FORMS: Final = ("rfc3339", "epoch_s", "epoch_ms")
_TOLD: Final = ", ".join(_FORMS)


def time_fault(pattern: str) -> Text | None:
    """Say why a regular expression could take exponential time, or None.

    The safe subset: no back-references, no conditionals, no open-ended repeat inside another.
    """
    parser: Any = importlib.import_module("re._parser")

    def walk(tokens: Any, repeated: bool) -> bool:
        for op, argument in tokens:
            name = str(op)
            if name in ("GROUPREF", "GROUPREF_EXISTS", "GROUPREF_IGNORE"):
                return False
            if _REPEATS.fullmatch(name):
                unbounded = argument[1] > 64
                if (unbounded and repeated) or not walk(argument[2], repeated or unbounded):
                    return False
            elif name == "BRANCH":
                if not all(walk(branch, repeated) for branch in argument[1]):
                    return False
            elif name == "SUBPATTERN":
                if not walk(argument[3], repeated):
                    return False
            elif name == "ATOMIC_GROUP":
                if not walk(argument, repeated):
                    return False
            elif name in ("ASSERT", "ASSERT_NOT") and not walk(argument[1], repeated):
                return False
        return True

    if walk(parser.parse(pattern), False):
        return None
    return Text(
        "repetição dentro de repetição, ou referência para trás: pode não acabar",
        "a repeat inside a repeat, or a back-reference: might never end",
    )
