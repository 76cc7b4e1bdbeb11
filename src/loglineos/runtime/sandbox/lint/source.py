"""The text of a program before anything else is asked of it: its size, its bytes, its grammar."""

from __future__ import annotations

import ast
import re
import warnings

from loglineos.base.language import Text
from loglineos.runtime.sandbox.limits import SOURCE_BYTES_MAX
from loglineos.runtime.sandbox.lint.findings import Finding


def check_text(source: str) -> list[Finding]:
    """Check what a program of any language must be: at most 256 kB of UTF-8, without U+0000."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        return [_at(source, error.start, "source_characters", _SURROGATE, _REMOVE)]
    if size > SOURCE_BYTES_MAX:
        message = Text(
            _TOO_LONG.fill("pt", size=size, limit=SOURCE_BYTES_MAX),
            _TOO_LONG.fill("en", size=size, limit=SOURCE_BYTES_MAX),
        )
        return [Finding(line=1, column=1, code="source_size", message=message, rewrite=_SPLIT)]
    nul = source.find("\0")
    if nul >= 0:
        return [_at(source, nul, "source_characters", _NUL, _REMOVE)]
    return []


def parse(source: str) -> ast.Module | Finding:
    """Return the tree of a Python program, or the finding that says why there is none.

    Never raises, whatever the text is; the longest text costs at most a few seconds.
    """
    if _CHAIN.search(source):  # the parser takes half a minute for `import a.b.b.b...` of 256 kB
        return Finding(line=1, column=1, code="syntax", message=_TOO_DEEP, rewrite=_SPLIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        told = (error.msg or "invalid syntax")[:200]
        message = Text(f"não é Python 3.11: {told}", f"this is not Python 3.11: {told}")
        return Finding(
            line=max(1, error.lineno or 1), column=max(1, error.offset or 1), code="syntax",
            message=message, rewrite=_GRAMMAR,
        )  # fmt: skip
    except (ValueError, RecursionError, MemoryError):
        return Finding(line=1, column=1, code="syntax", message=_TOO_DEEP, rewrite=_SPLIT)


def _at(source: str, index: int, code: str, message: Text, rewrite: Text) -> Finding:
    before = source[:index]
    return Finding(
        line=before.count("\n") + 1, column=index - (before.rfind("\n") + 1) + 1, code=code,
        message=message, rewrite=rewrite,
    )  # fmt: skip


_CHAIN = re.compile(r"(?:\.[\s\\]*+\w++[\s\\]*+){200}")
_TOO_LONG = Text(
    "o código tem {size} bytes; o limite é {limit}",
    "the code has {size} bytes; the limit is {limit}",
)
_SPLIT = Text(
    "divida-o em funções da casa, chamadas com ctx.run",
    "split it into functions of the house, called by ctx.run",
)
_NUL = Text("o código contém U+0000", "the code contains U+0000")
_SURROGATE = Text("o código contém um surrogate isolado", "the code contains a lone surrogate")
_REMOVE = Text("tire esse carácter", "take that character out")
_GRAMMAR = Text("corrija a gramática nesta linha", "correct the grammar of this line")
_TOO_DEEP = Text("o código é fundo demais para ser lido", "the code is nested too deep to be read")
