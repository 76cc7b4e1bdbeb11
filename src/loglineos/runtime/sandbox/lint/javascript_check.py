"""What can be said of a JavaScript program without its engine; the trial compile says the rest."""

from __future__ import annotations

import re

from loglineos.base.language import Text
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.lint.source import check_text


def check_javascript(source: str, *, entry: str) -> list[Finding]:
    """Check the size and characters of a JavaScript program, and that it names its entry.

    `entry` is `main`, or `on` for a policy; empty for a script. A program that gives its entry by
    `export default` or `globalThis.default` need not name it.
    """
    faults = check_text(source)
    if faults or not entry:
        return faults
    if re.search(
        rf"\b{re.escape(entry)}\b|\bexport\s+default\b|\bglobalThis\s*\.\s*default\b", source
    ):
        return []
    message = Text(f"falta a função `{entry}`", f"the function `{entry}` is missing")
    rewrite = Text(
        f"escreva: export default function {entry}(...)",
        f"write: export default function {entry}(...)",
    )
    return [Finding(line=1, column=1, code="entry_missing", message=message, rewrite=rewrite)]
