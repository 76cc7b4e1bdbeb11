"""Templates of a mapping: `{a.b|c|'text':lower}` in the middle of text; no code, no loops.

A placeholder names paths (dots go into objects, numbers into lists) tried in order, the last may be
quoted text; after `:` come filters. A template with a placeholder that finds nothing gives None.
Always holds: filling costs one pass and never raises; a template that is a single placeholder with
the filter `int`, `float` or `json` gives that type, every other one gives text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import orjson

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PATH: Final = re.compile(r"[^\s.|:'{}]+(\.[^\s.|:'{}]+)*")


def _to_int(value: Any) -> Any:
    return int(value) if re.fullmatch(r"-?\d{1,15}", str(value)) else None


def _to_float(value: Any) -> Any:
    return float(value) if re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", str(value)) else None


FILTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "lower": lambda value: as_text(value).lower(),
    "upper": lambda value: as_text(value).upper(),
    "short": lambda value: as_text(value)[:12],
    "line": lambda value: as_text(value).split("\n", 1)[0],
    "int": _to_int,
    "float": _to_float,
    "json": lambda value: value,
}
"""What may stand after `:` in a placeholder."""


class Placeholder(msgspec.Struct, frozen=True):
    """One `{...}`: paths to try, the text if none is there, filters to apply."""

    paths: tuple[tuple[str, ...], ...]
    otherwise: str | None
    filters: tuple[str, ...]

    def find(self, values: Mapping[str, Any]) -> Any:
        """Return the first value that is there and not empty, filtered; None when there is none."""
        for path in self.paths:
            found = at_path(values, path)
            if found is not None and found != "":
                for name in self.filters:
                    found = FILTERS[name](found)
                return found
        return self.otherwise


class Template(msgspec.Struct, frozen=True):
    """A parsed template: text and placeholders in turn."""

    parts: tuple[str | Placeholder, ...]

    def fill(self, values: Mapping[str, Any]) -> Any:
        """Fill the template; None when a placeholder finds nothing."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Placeholder):
            found = self.parts[0].find(values)
            typed = {"int", "float", "json"} & set(self.parts[0].filters)
            return found if typed or found is None else as_text(found)
        told: list[str] = []
        for part in self.parts:
            found = part if isinstance(part, str) else part.find(values)
            if found is None:
                return None
            told.append(as_text(found))
        return "".join(told)

    def names(self) -> set[str]:
        """Return the first names of all paths: what the template uses."""
        return {p[0] for part in self.parts if isinstance(part, Placeholder) for p in part.paths}


def parse_template(source: str) -> Template:
    """Read a template; `{{` and `}}` are braces.

    Raises:
        ValueError: an open brace, an unknown filter, a path that is none; says which.
    """
    parts: list[str | Placeholder] = []
    at = 0
    for found in _PLACEHOLDER.finditer(source):
        if found.start() > at:
            parts.append(source[at : found.start()])
        at = found.end()
        if found.group() in ("{{", "}}"):
            parts.append(found.group()[0])
        elif found.group(1) is None:
            raise ValueError(f"brace without its other half at {found.start() + 1}")
        else:
            parts.append(_placeholder(found.group(1)))
    if at < len(source):
        parts.append(source[at:])
    return Template(tuple(parts))


def _placeholder(inside: str) -> Placeholder:
    choices, otherwise = inside, None
    quoted = re.search(r"\|?\s*'([^']*)'", inside)
    if quoted is not None:
        choices, otherwise = inside[: quoted.start()] + inside[quoted.end() :], quoted.group(1)
    names, *filters = (part.strip() for part in choices.split(":"))
    paths = [name.strip() for name in names.split("|")] if names else []
    for path in paths:
        if _PATH.fullmatch(path) is None:
            raise ValueError(f"no path: {path[:40]!r}")
    for name in filters:
        if name not in FILTERS:
            raise ValueError(f"unknown filter {name[:40]!r}; known: {', '.join(FILTERS)}")
    if not paths and otherwise is None:
        raise ValueError("empty placeholder")
    return Placeholder(tuple(tuple(p.split(".")) for p in paths), otherwise, tuple(filters))


def at_path(values: Any, path: tuple[str, ...]) -> Any:
    """Follow a path into objects and lists; None where it ends too early."""
    for step in path:
        if isinstance(values, Mapping):
            values = values.get(step)
        elif isinstance(values, list) and step.isdigit() and len(step) < 6:
            values = values[int(step)] if int(step) < len(values) else None
        else:
            return None
    return values


def as_text(value: Any) -> str:
    """Write a found value as text: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
