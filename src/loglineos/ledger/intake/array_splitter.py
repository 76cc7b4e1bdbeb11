"""Finding the elements of JSON arrays in a stream of chunks, without holding the array.

Knows strings, escapes and depth, nothing else: each element is handed on as its bytes, to be
parsed by someone else. Top-level values that are no arrays (concatenated JSON, JSON lines) are
elements too; what is no JSON at all is handed on line by line.
Always holds: every byte that is not white space, a comma or a bracket of an opened array is in
exactly one piece, in order; where chunks end changes nothing; at most `element_bytes_max` and one
chunk are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from blake3 import blake3

_SPACE: Final = b" \t\r\n\x0b\x0c"
_NOT_SPACE: Final = re.compile(rb"[^\s]")
_WHOLE_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BETWEEN: Final = re.compile(rb'(?:[^"{}\[\],]++|' + _WHOLE_STRING + rb")*+", re.DOTALL)
_INSIDE: Final = re.compile(rb'(?:[^"{}\[\]]++|' + _WHOLE_STRING + rb")*+", re.DOTALL)
_STRING_END: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

Ending = Literal["whole", "cut", "stray"]


class Piece(msgspec.Struct, frozen=True):
    """One element: its bytes and where it stands.

    `ending`: "whole"; "cut" by the end of the stream before its array or itself was closed;
    "stray" when it stands where no element may. Of an element over the limit `data` is only the
    start; `digest` (BLAKE3-256) and `size_bytes` are of all of it.
    """

    data: bytes
    line: int
    offset_end: int
    ending: Ending
    size_bytes: int
    digest: bytes | None = None


class ArraySplitter:
    """Feed it chunks, take pieces; `close` tells it that the stream has ended."""

    def __init__(self, *, element_bytes_max: int, kept_bytes_max: int) -> None:
        """Hold at most `element_bytes_max`; keep `kept_bytes_max` of an element over that."""
        self._element_bytes_max = element_bytes_max
        self._kept_bytes_max = kept_bytes_max
        self._buffer = b""
        self._base = 0  # stream offset of the buffer's first byte
        self._at = 0  # scanned up to here, in the buffer
        self._start = -1  # where the element starts in the buffer, -1 between elements
        self._depth = 0
        self._floor = 0  # depth at which elements of the open document live: 1 in an array
        self._in_string = False
        self._stray = False
        self._line = 1  # of the place up to which line ends are counted
        self._counted = 0
        self._line_first = 1
        self._prefix = b""
        self._flushed = 0
        self._hash: blake3 | None = None

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """Take the next bytes and yield the elements that they complete."""
        self._buffer += chunk
        yield from self._scan()
        self._compact()

    def close(self) -> Iterator[Piece]:
        """End the stream; yield what was still open, marked "cut"."""
        if self._start >= 0:
            self._at = len(self._buffer)
            yield from self._emit(len(self._buffer), "stray" if self._stray else "cut")

    def _scan(self) -> Iterator[Piece]:
        while True:
            if self._start < 0:
                if not self._open():
                    return
            elif self._stray:
                end = self._buffer.find(b"\n", self._at)
                if end < 0:
                    self._at = len(self._buffer)
                    return
                yield from self._emit(end, "stray")
            elif self._in_string:
                if not self._skip_string():
                    return
            else:
                skip = _BETWEEN if self._depth == self._floor else _INSIDE
                found = skip.match(self._buffer, self._at)
                self._at = found.end() if found is not None else self._at
                if self._at == len(self._buffer):
                    return
                if self._closes():
                    yield from self._emit(self._at, "whole")

    def _open(self) -> bool:
        """Go to the next byte that means something; False when the buffer has none."""
        found = _NOT_SPACE.search(self._buffer, self._at)
        if found is None:
            self._at = len(self._buffer)
            return False
        self._at = found.start()
        byte = self._buffer[self._at]
        if self._floor and byte in b",]":
            if byte in b"]":
                self._floor = self._depth = 0
            self._at += 1
        elif not self._floor and byte in b"[":
            self._floor = self._depth = 1
            self._at += 1
        else:
            self._start = self._at
            self._stray = not self._floor and byte not in b"{"
        return True

    def _closes(self) -> bool:
        """Take the quote, bracket or comma that we stand at; tell whether the element ends here."""
        byte = self._buffer[self._at]
        if byte in b",]" and self._depth == self._floor:
            return True
        self._at += 1
        if byte in b'"':  # a string whose end is not in the buffer
            self._in_string = True
        elif byte in b"{[":
            self._depth += 1
        elif self._depth > self._floor:
            self._depth -= 1
            return self._depth == 0
        return False

    def _skip_string(self) -> bool:
        found = _STRING_END.match(self._buffer, self._at)
        if found is not None:
            self._at = found.end()
            self._in_string = False
            return True
        tail = self._buffer[self._at :]
        odd = (len(tail) - len(tail.rstrip(b"\\"))) % 2
        self._at = len(self._buffer) - odd
        return False

    def _emit(self, end: int, ending: Ending) -> Iterator[Piece]:
        data = self._buffer[self._start : end]
        if self._hash is None and len(data) > self._element_bytes_max:
            self._flush(end)
            data = b""
        if self._hash is None:
            data = data.rstrip(_SPACE)
            line = self._line_at(self._start)
            piece = Piece(data, line, self._base + end, ending, len(data))
        else:
            self._hash.update(data)
            size, digest = self._flushed + len(data), self._hash.digest()
            piece = Piece(self._prefix, self._line_first, self._base + end, ending, size, digest)
        self._hash, self._prefix, self._flushed = None, b"", 0
        self._start, self._stray, self._in_string, self._depth = -1, False, False, self._floor
        self._at = end
        yield piece

    def _line_at(self, place: int) -> int:
        """Return the line of a place in the buffer; places may only grow."""
        self._line += self._buffer.count(b"\n", self._counted, place)
        self._counted = place
        return self._line

    def _compact(self) -> None:
        """Forget what is behind us; hash away an element that is over the limit."""
        if self._start >= 0 and (
            self._hash is not None or self._at - self._start > self._element_bytes_max
        ):
            self._flush(self._at)
        cut = self._at if self._start < 0 else self._start
        self._line_at(cut)
        self._buffer, self._base = self._buffer[cut:], self._base + cut
        self._at -= cut
        self._counted = 0
        self._start = self._start - cut if self._start >= 0 else -1

    def _flush(self, end: int) -> None:
        piece = self._buffer[self._start : end]
        if self._hash is None:
            self._hash = blake3()
            self._prefix = piece[: self._kept_bytes_max]
            self._line_first = self._line_at(self._start)
        self._hash.update(piece)
        self._flushed += len(piece)
        self._start = end
