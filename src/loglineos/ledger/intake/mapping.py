"""Mappings: how the lines of a foreign log become LogLines, told in a small YAML file.

See docs/reference/mappings.md for the format. Loading is in `mapping_file.py`; this is what a
mapping does. Always holds: applying runs no code of the file's author and never raises; a line
that a mapping does not understand passes unchanged, with the mapping's problem; what no template
used is kept in the draft's `details.extra`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

import msgspec

from loglineos.base.language import Text
from loglineos.ledger.intake.formats import Format, Item
from loglineos.ledger.intake.template import Template, as_text, at_path

MATCH_CHARS_MAX: Final = 8 * 1024
"""Longest line that is matched by a regular expression."""

Keep = Literal["rest", "raw", "none"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that depend on a value: the first case whose pattern fits all of it decides."""

    by: Template
    cases: tuple[tuple[re.Pattern[str], dict[str, Template]], ...]
    otherwise: dict[str, Template]


class TimeRule(msgspec.Struct, frozen=True, kw_only=True):
    """Where `when` is found and how it is written; formats are tried in order."""

    source: Template
    formats: tuple[str, ...]
    offset_minutes: int | None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """A checked mapping. `reading` is its `name/version`, which goes into the ids of content."""

    name: str
    version: int
    about: Text
    format: Format
    patterns: tuple[re.Pattern[str], ...]
    require: tuple[tuple[str, ...], ...]
    fields: dict[str, Template]
    details: dict[str, Template]
    tags: tuple[Template, ...]
    when: TimeRule | None
    choose: tuple[Choice, ...]
    keep: Keep

    @property
    def reading(self) -> str:
        """Name this understanding of a file, for `intake.drafts_of`."""
        return f"{self.name}/{self.version}"

    def apply(self, item: Item) -> Item:
        """Return the item with its `value` turned into a LogLine's keys.

        An item that does not match keeps its value (None for text) and tells the problem.
        """
        values = self._values(item)
        if values is None:
            problem = Text(
                f"não corresponde ao mapeamento {self.name}",
                f"does not match the mapping {self.name}",
            )
            return msgspec.structs.replace(item, problem=item.problem if item.digest else problem)
        return msgspec.structs.replace(item, value=self._line(values, item), problem=None)

    def line_of(self, values: dict[str, Any]) -> dict[str, Any]:
        """Turn named values into a LogLine's keys (for sources that are no files)."""
        return self._line(values, None)

    def _values(self, item: Item) -> dict[str, Any] | None:
        if item.value is not None:
            return item.value if not self.patterns and self._has_required(item.value) else None
        if item.size_bytes > MATCH_CHARS_MAX or item.raw_base64 is not None or "\0" in item.raw:
            return None
        for pattern in self.patterns:
            found = pattern.fullmatch(item.raw)
            if found is not None:
                return {k: v for k, v in found.groupdict().items() if v not in (None, "", "-")}
        return None

    def _has_required(self, value: dict[str, Any]) -> bool:
        return all(at_path(value, path) is not None for path in self.require)

    def _line(self, values: dict[str, Any], item: Item | None) -> dict[str, Any]:
        line: dict[str, Any] = {}
        _fill(line, self.fields, values)
        for choice in self.choose:
            _fill(line, _chosen(choice, values), values)
        if self.when is not None:
            told = self.when.source.fill(values)
            if told is not None:
                line["when"] = read_when(told, self.when)
        tags = [tag for tag in (template.fill(values) for template in self.tags) if tag]
        if tags:
            line["tags"] = tags
        details: dict[str, Any] = {}
        _fill(details, self.details, values)
        if details:
            line["details"] = details
        return self._kept(line, values, item)

    def _kept(
        self, line: dict[str, Any], values: dict[str, Any], item: Item | None
    ) -> dict[str, Any]:
        if self.keep == "raw" and item is not None:
            line.setdefault("details", {})["raw"] = item.raw
        elif self.keep == "rest":
            used = self.used()
            rest = {key: value for key, value in values.items() if key not in used}
            if rest:
                line.setdefault("details", {})["extra"] = rest
        return line

    def used(self) -> set[str]:
        """Return the names of the values that some template uses."""
        templates = [*self.fields.values(), *self.details.values(), *self.tags]
        if self.when is not None:
            templates.append(self.when.source)
        for choice in self.choose:
            templates += [choice.by, *choice.otherwise.values()]
            templates += [t for _, fields in choice.cases for t in fields.values()]
        return set().union(*(template.names() for template in templates))


def _fill(line: dict[str, Any], fields: dict[str, Template], values: dict[str, Any]) -> None:
    for name, template in fields.items():
        found = template.fill(values)
        if found is not None:
            line[name] = found


def _chosen(choice: Choice, values: dict[str, Any]) -> dict[str, Template]:
    told = choice.by.fill(values)
    if told is not None:
        text = as_text(told)[:MATCH_CHARS_MAX]
        for pattern, fields in choice.cases:
            if pattern.fullmatch(text):
                return fields
    return choice.otherwise


def read_when(told: Any, rule: TimeRule) -> Any:
    """Read a time by the rule's formats; return RFC 3339, or what was told when none fits."""
    for form in rule.formats:
        try:
            instant = _instant(told, form)
            if instant is None:
                continue
            if instant.tzinfo is None:
                if rule.offset_minutes is None:
                    continue
                zone = timezone(timedelta(minutes=rule.offset_minutes))
                instant = instant.replace(tzinfo=zone)
            return instant.astimezone(UTC).isoformat()
        except (ValueError, OverflowError, TypeError, OSError):
            continue
    return told


def _instant(told: Any, form: str) -> datetime | None:
    if form in ("epoch_s", "epoch_ms"):
        number = float(told)
        whole = number / 1000 if form == "epoch_ms" else number
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(whole, 6))
    if not isinstance(told, str):
        return None
    if form == "rfc3339":
        return datetime.fromisoformat(told.upper())
    return datetime.strptime(told, form)  # noqa: DTZ007 - the mapping says the zone
