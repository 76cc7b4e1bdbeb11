"""A stream of bytes to read once: sniffed, unpacked if gzip, without byte-order mark, counted.

Always holds: `chunks` gives every byte once, the sniffed head first; `offset` only grows; a broken
gzip stream ends the bytes and says so in `problem`, it raises nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from loglineos.base.language import Text

CHUNK_BYTES: Final = 256 * 1024
HEAD_BYTES: Final = 64 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Source:
    """Reads a binary stream in chunks, forwards only."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the head at once; `head` holds at most about 64 KiB of unpacked bytes."""
        self.offset = 0
        self.problem: Text | None = None
        self._stream = stream
        start = self._raw(2)
        if len(start) == 1:
            start += self._raw(1)
        self.is_compressed = start == _GZIP_MAGIC
        self._chunks = self._unpacked(start) if self.is_compressed else self._plain(start)
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= HEAD_BYTES or (b"\n" in head and not _is_file(stream)):
                break
        self._mark_bytes = 3 if head.startswith(_BYTE_ORDER_MARK) else 0
        self._first = head[self._mark_bytes :]
        self.head = self._first[:HEAD_BYTES]

    def chunks(self) -> Iterator[bytes]:
        """Yield what is left; may be taken up again where another loop stopped."""
        if self._first:
            first, self._first = self._first, b""
            yield first
        while (chunk := next(self._chunks, None)) is not None:
            yield chunk  # no `yield from`: who stops this loop must not close the stream

    def offset_of(self, unpacked: int) -> int:
        """Return the progress in the file after `unpacked` bytes of content."""
        return self.offset if self.is_compressed else unpacked + self._mark_bytes

    def _raw(self, count: int) -> bytes:
        read = getattr(self._stream, "read1", self._stream.read)  # a live pipe must not wait
        data: bytes = read(count) or b""
        self.offset += len(data)
        return data

    def _plain(self, start: bytes) -> Iterator[bytes]:
        if start:
            yield start
        while chunk := self._raw(CHUNK_BYTES):
            yield chunk

    def _unpacked(self, start: bytes) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(wbits=31)
        packed = start
        while True:
            try:
                chunk = unpacker.decompress(packed, CHUNK_BYTES)
            except zlib.error as cause:
                self.problem = _broken(str(cause))
                return
            if chunk:
                yield chunk
            packed = unpacker.unconsumed_tail
            if unpacker.eof:
                packed = unpacker.unused_data.lstrip(b"\0") or self._raw(CHUNK_BYTES)
                if not packed:
                    return
                unpacker = zlib.decompressobj(wbits=31)
            elif not packed and not (packed := self._raw(CHUNK_BYTES)):
                if chunk:
                    continue
                self.problem = _broken("truncated")
                return


def _is_file(stream: BinaryIO) -> bool:
    return stream.seekable()


def _broken(why: str) -> Text:
    return Text(f"gzip danificado ou cortado: {why}", f"broken or truncated gzip: {why}")
