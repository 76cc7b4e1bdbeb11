"""Taking secrets out of a command line before it is recorded.

Hidden, with `***` in their place:
  - the value of a flag whose name says secret: `--password x`, `--api-key=x`, `--token x`...
  - the value of `NAME=value` where NAME says secret: `PGPASSWORD=x`, `AWS_SECRET_ACCESS_KEY=x`
  - the password in a URL: `postgres://ana:x@host/`
  - the value of a header that says secret: `Authorization: Bearer x`, `Cookie: x`
  - what follows the colon in the value of `-u` and `--user`: `-u ana:x`
A name says secret when one of its words is in `SECRET_WORDS`. The text of `sh -c '...'` is searched
for the same forms. A secret given in any other way, such as a bare argument, cannot be known.
Always holds: as many arguments come out as went in; the name of the flag stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"

SECRET_WORDS: Final = (
    "password", "passwd", "passphrase", "pass", "pwd", "secret", "token", "apikey", "api-key",
    "api_key", "access-key", "access_key", "private-key", "private_key", "credential",
    "credentials", "auth", "authorization", "bearer", "cookie", "pgpassword", "jwt", "otp", "pin",
)  # fmt: skip

_WORD: Final = (
    r"(?:[A-Za-z0-9]+[-_])*(?:[A-Za-z0-9]*(?:password|passwd|secret|token|apikey)|"
    + "|".join(map(re.escape, SECRET_WORDS))
    + r")(?:[-_][A-Za-z0-9]+)*"
)
_VALUE: Final = r"(?:\"[^\"]*\"|'[^']*'|[^\s\"']+)"
_FLAG_ALONE: Final = re.compile(rf"--?{_WORD}", re.IGNORECASE)
_ASSIGNED_WHOLE: Final = re.compile(rf"((?:--?)?{_WORD}=).+", re.IGNORECASE | re.DOTALL)
_ASSIGNED: Final = re.compile(rf"(?<![A-Za-z0-9_-])((?:--?)?{_WORD}=){_VALUE}", re.IGNORECASE)
_FLAGGED: Final = re.compile(rf"(?<![A-Za-z0-9_-])(--{_WORD}\s+){_VALUE}", re.IGNORECASE)
_HEADER: Final = re.compile(rf"(?<![A-Za-z0-9_-])({_WORD}\s*:\s*)[^\r\n\"']+", re.IGNORECASE)
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,200}:)[^\s/@]+@", re.IGNORECASE)
_USER_FLAGS: Final = ("-u", "--user", "--proxy-user")


def redacted(argv: Sequence[str]) -> list[str]:
    """Return the arguments with their secrets hidden; see the module for which are known."""
    told: list[str] = []
    before = ""
    for argument in argv:
        if _FLAG_ALONE.fullmatch(before):
            told.append(HIDDEN)
        elif before in _USER_FLAGS and ":" in argument:
            told.append(argument.split(":", 1)[0] + ":" + HIDDEN)
        else:
            told.append(_redacted_text(argument))
        before = argument
    return told


def _redacted_text(argument: str) -> str:
    whole = _ASSIGNED_WHOLE.fullmatch(argument)
    if whole is not None:
        return whole[1] + HIDDEN
    for pattern, shown in (
        (_URL, rf"\g<1>{HIDDEN}@"),
        (_ASSIGNED, rf"\g<1>{HIDDEN}"),
        (_FLAGGED, rf"\g<1>{HIDDEN}"),
        (_HEADER, rf"\g<1>{HIDDEN}"),
    ):
        argument = pattern.sub(shown, argument)
    return argument
