"""Many drafts at once: read in a thread, appended by the loop, told as progress on stderr.

Always holds: the loop never waits for a file or a pipe; what waits between reader and ledger is
bounded; what was appended before an interruption stays, and the same input again adds the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

import msgspec

from loglineos.base.language import Text
from loglineos.faces.cli.session import Session
from loglineos.ledger.intake.ingest import IngestReport, ingest_chunks
from loglineos.ledger.record import Draft
from loglineos.node import Node

CHUNK_DRAFTS: Final = 8_000
CHUNK_BYTES: Final = 8 * 1024 * 1024
"""What may wait between the reader and the ledger."""
_WORTH_DRAFTS: Final = 2_000
"""From here on a chunk is taken at once; a smaller one when the source has paused."""
_PAUSE_S: Final = 0.1


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """One draft on its way: its size and how far its source is read after it, in the bar's unit."""

    draft: Draft
    size_bytes: int = 256
    done: int | None = None


class Reading(msgspec.Struct, kw_only=True):
    """How the drafts are read: what the bar says, and of how many units."""

    label: str
    total: int | None = None
    is_bytes: bool = False


Chunk = list[Portion]


async def keep_many(
    session: Session, node: Node, portions: Iterable[Portion], *, tenant: str, reading: Reading
) -> IngestReport:
    """Append every draft of a source, in order; return what was added and what was there.

    Raises:
        What reading raises, and what `ingest` raises.
    """
    done = 0

    with _bar(session, reading) as advance, _Reader(portions) as reader:

        async def chunks() -> AsyncIterator[Iterable[Draft]]:
            nonlocal done
            while chunk := await reader.next_chunk():
                done = chunk[-1].done or done
                yield [portion.draft for portion in chunk]

        def told(report: IngestReport) -> None:
            advance(done if reading.is_bytes else report.lines)

        try:
            return await ingest_chunks(node.writer, chunks(), tenant=tenant, on_progress=told)
        except asyncio.CancelledError:
            session.note(_INTERRUPTED)
            raise


class _Reader:
    """Reads a source in a thread of its own and hands over what has come so far."""

    def __init__(self, portions: Iterable[Portion]) -> None:
        self._portions = portions
        self._chunk: Chunk = []
        self._size = 0
        self._fault: BaseException | None = None
        self._is_over = False
        self._is_stopped = False
        self._changed = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._worth = asyncio.Event()
        self._thread = threading.Thread(target=self._read, name="reading", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    async def next_chunk(self) -> Chunk:
        """Return what was read since the last call, in order; empty at the end of the source."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._worth.wait(), _PAUSE_S)
            with self._changed:
                chunk, self._chunk, self._size = self._chunk, [], 0
                is_over = self._is_over
                if not is_over:
                    self._worth.clear()
                self._changed.notify()
            if chunk:
                return chunk
            if is_over:
                if self._fault is not None:
                    raise self._fault
                return []

    def _read(self) -> None:
        try:
            for portion in self._portions:
                if not self._keep(portion):
                    return
        except BaseException as fault:  # noqa: BLE001 - raised again where the chunks are taken
            self._fault = fault
        with self._changed:
            self._is_over = True
        self._ring()

    def _keep(self, portion: Portion) -> bool:
        with self._changed:
            while not self._is_stopped and self._is_full():
                self._changed.wait()
            self._chunk.append(portion)
            self._size += portion.size_bytes
            is_worth = len(self._chunk) == _WORTH_DRAFTS or self._is_full()
            if self._is_stopped:
                return False
        if is_worth:
            self._ring()
        return True

    def _is_full(self) -> bool:
        return len(self._chunk) >= CHUNK_DRAFTS or self._size >= CHUNK_BYTES

    def _ring(self) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            self._loop.call_soon_threadsafe(self._worth.set)


@contextmanager
def _bar(session: Session, reading: Reading) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal; elsewhere show nothing."""
    if session.as_json or session.options.quiet or not session.err.is_terminal:
        yield lambda _: None
        return
    from rich import progress  # noqa: PLC0415 (only people see it)

    counts = (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        if reading.is_bytes
        else [progress.MofNCompleteColumn()]
    )
    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *counts,
        progress.TimeRemainingColumn(),
        console=session.err,
        transient=True,
    ) as bar:
        task = bar.add_task(reading.label, total=reading.total)
        yield lambda done: bar.update(task, completed=done)


def tell_report(session: Session, report: IngestReport, *, source: str) -> None:
    """Answer with what came in."""
    document = {"source": source, **msgspec.structs.asdict(report)}
    text = session.text(
        _SUMMARY, source=source, lines=report.lines, added=report.added,
        present=report.present, ghosts=report.ghosts,
    )  # fmt: skip
    session.answer(document, text)


_INTERRUPTED: Final = Text(
    "interrompido; o que entrou fica, e o mesmo comando continua o resto",
    "interrupted; what came in stays, and the same command goes on with the rest",
)
_SUMMARY: Final = Text(
    "{source}: {lines} lidas, {added} novas ({ghosts} fantasmas), {present} já cá estavam",
    "{source}: {lines} read, {added} new ({ghosts} ghosts), {present} were here already",
)
