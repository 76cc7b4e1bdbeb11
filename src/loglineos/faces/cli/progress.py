"""Progress of long work, on stderr: a line that moves on a terminal, nothing for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from loglineos.base.language import Text
from loglineos.faces.cli.session import Session


class Counter:
    """Shows how far something has come."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        """Move `task` of `progress`; without them, say nothing."""
        self._progress = progress
        self._task = task

    def to(self, done: int, total: int | None = None) -> None:
        """Say how much is done, and of how much when that is known. From any thread."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def counting(session: Session, what: Text, *, total: int | None = None) -> Iterator[Counter]:
    """Show the progress of `what` while the block runs, when a person is there to see it."""
    if session.as_json or session.options.quiet or not session.err.is_terminal:
        yield Counter(None, None)
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
        console=session.err,
        transient=True,
    )
    with progress:
        yield Counter(progress, progress.add_task(session.text(what), total=total))
