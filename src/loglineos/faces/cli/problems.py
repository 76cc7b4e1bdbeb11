"""Telling what went wrong: to people in three lines, to programs as one JSON line, on stderr.

Always holds: no trace and no secret is shown; an unexpected fault says its kind only.
"""

from __future__ import annotations

import sys
from typing import Final

import msgspec

from loglineos.base.errors import LoglineError
from loglineos.base.language import Language, Text
from loglineos.faces.cli.render import console, plain, styled


def tell_problem(error: LoglineError, *, language: Language, as_json: bool) -> int:
    """Write the error on stderr; return the exit status of a command that ends with it."""
    if as_json:
        problem = {"problem": {**error.as_problem(language), "exit_status": error.exit_status}}
        sys.stderr.write(msgspec.json.encode(problem, enc_hook=str).decode() + "\n")
        return error.exit_status
    err = console(sys.stderr)
    err.print(styled(("✗ ", "red"), (plain(error.describe(language)), "")))
    err.print(styled(("  → ", "cyan"), (plain(error.advise(language)), "")))
    err.print(styled((f"  {_CODE.in_(language)} {error.code}", "dim")))
    return error.exit_status


_CODE: Final = Text("código", "code")
