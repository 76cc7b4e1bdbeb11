"""A socket between the appender and Postgres that can lose a question or its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

Cut = Literal["question_lost", "answer_lost"]
SOCKET = ".s.PGSQL.5432"
IDLE = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery of a server outside any transaction: what was asked is committed."""
_CHUNK = 1 << 16


class Cutter:
    """Passes bytes on in both directions until it is told to cut.

    `question_lost`: what the client sends next never arrives, and the connection ends.
    `answer_lost`: it arrives and is carried out, its answer is swallowed, and the connection ends.
    """

    def __init__(self, server: Path) -> None:
        self._server = server / SOCKET
        self._next: Cut | None = None
        self.cuts = 0

    def cut(self, what: Cut) -> None:
        """Cut at the next bytes of the client."""
        self._next = what

    @contextlib.asynccontextmanager
    async def listening(self, folder: Path) -> AsyncIterator[None]:
        async with await asyncio.start_unix_server(self._serve, folder / SOCKET):
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_unix_connection(str(self._server))
        except OSError:
            writer.close()
            return
        answers = asyncio.create_task(_pass_on(there[0], writer))
        try:
            while asked := await reader.read(_CHUNK):
                what, self._next = self._next, None
                if what is None:
                    there[1].write(asked)
                    await there[1].drain()
                    continue
                self.cuts += 1
                answers.cancel()
                if what == "answer_lost":
                    await asyncio.wait([answers])
                    there[1].write(asked)
                    await _swallow(reader, there)
                return
        except (OSError, asyncio.CancelledError):
            return  # the worker ends, and with it this way
        finally:
            answers.cancel()
            writer.close()
            there[1].close()


async def _swallow(
    reader: asyncio.StreamReader, there: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Deliver all that the client still sends, and keep the answers, until a commit is done."""

    async def deliver() -> None:
        while asked := await reader.read(_CHUNK):
            there[1].write(asked)
            await there[1].drain()

    delivery = asyncio.create_task(deliver())
    told = b""
    while IDLE not in told and (more := await there[0].read(_CHUNK)):
        told = told[-len(IDLE) :] + more
    delivery.cancel()
    await asyncio.wait([delivery])


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while told := await reader.read(_CHUNK):
            writer.write(told)
            await writer.drain()
    writer.close()
