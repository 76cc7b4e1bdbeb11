"""Taking secrets out of what another server says: it may repeat what it was told, as it likes.

Always holds: a secret does not come back as it is, nor in the writings that servers use when they
repeat something: JSON (twice over), percent, HTML, hex, UTF-16, and base64 at any place of a longer
text. A server that writes it in another way was given it, and could tell anybody.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

_STARS: Final = b"***"
_TELLING: Final = 6
"""Fewer characters than this of a packed secret are as likely somebody else's words."""
_LEAD: Final = (0, 2, 3)
"""How many characters of base64 tell of the 0, 1 or 2 bytes before the secret."""


def scrub(said: bytes, secrets: Iterable[str]) -> bytes:
    """Replace every secret, in each of its writings, by three stars."""
    writings = {one for secret in secrets if secret for one in writings_of(secret)}
    if not writings:
        return said
    longest_first = sorted(writings, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, longest_first)), _STARS, said)


def writings_of(secret: str) -> Iterator[bytes]:
    """Yield how a secret may be written."""
    plain = secret.encode()
    yield plain
    yield from (told for told in _packed(plain) if len(told) >= _TELLING)
    for once in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        for told in (once, json.dumps(once)[1:-1], once.replace("/", "\\/")):
            yield told.encode()
    yield html.escape(secret).encode()
    for once in (quote(secret, safe=""), quote_plus(secret, safe=""), quote(secret)):
        yield once.encode()
        yield re.sub("%..", lambda found: found[0].lower(), once).encode()


def _packed(plain: bytes) -> Iterator[bytes]:
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for name in ("utf-16-le", "utf-16-be"):
        yield plain.decode().encode(name)
    for before, lead in enumerate(_LEAD):
        whole = (before + len(plain)) * 8 // 6  # what follows the secret has its say in the rest
        told = base64.b64encode(b"\0" * before + plain)[lead:whole]
        yield told
        yield told.replace(b"+", b"-").replace(b"/", b"_")
