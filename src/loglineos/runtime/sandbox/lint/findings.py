"""What the publish-time checks say about a program: one finding for each place.

Always holds: a finding names a line of the author's own text, and tells how to write it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from loglineos.base.errors import ProgramRefused
from loglineos.base.language import Language, Text

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to change. Lines and columns count from 1, columns in characters.

    An `error` keeps the program from being published; a `warning` is told and no more.
    """

    line: int
    column: int
    code: str
    message: Text
    rewrite: Text
    severity: Severity = "error"

    def tell(self, language: Language) -> str:
        """Say it in one line: where, what, and what to write instead."""
        place = f"{'linha' if language == 'pt' else 'line'} {self.line}"
        return f"{place}: {self.message.in_(language)}; {self.rewrite.in_(language)}"


def errors_among(findings: Sequence[Finding]) -> list[Finding]:
    """Return those that keep a program from being published."""
    return [finding for finding in findings if finding.severity == "error"]


def told(findings: Sequence[Finding]) -> Text:
    """Tell the findings in both languages, one a line."""
    return Text(
        "\n".join(finding.tell("pt") for finding in findings),
        "\n".join(finding.tell("en") for finding in findings),
    )


def refuse(findings: Sequence[Finding], *, shape: str, field: str = "code") -> None:
    """Raise for the errors among the findings; warnings alone pass.

    Raises:
        ProgramRefused: at least one finding is an error; names each of them.
    """
    errors = errors_among(findings)
    if errors:
        raise ProgramRefused(
            field=field, shape=shape, reason=_REASON, findings=told(errors), count=len(errors)
        )


_REASON = Text(
    "este código não pode ser publicado",
    "this code cannot be published",
)
