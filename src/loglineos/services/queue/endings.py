"""Endings: the ends of many jobs, appended together.

While one append is on its way the next ends gather, so that many jobs share one commit and one job
alone waits for nobody. Always holds: an end is appended whole or not at all; one that may not enter
never keeps its neighbours out; whoever waits is told the truth about their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from loglineos.base.errors import Conflict, LoglineError
from loglineos.ledger.record import Draft
from loglineos.ledger.writer import Writer

GROUP_DRAFTS_MAX: Final = 1_000
_PAUSE_S_FIRST: Final = 0.05
_PAUSE_S_LONGEST: Final = 2.0


class _Waiting(NamedTuple):
    drafts: list[Draft]
    answer: asyncio.Future[None]


class Endings:
    """Takes the drafts of many ends and appends them in groups, tenant by tenant."""

    def __init__(self, writer: Writer) -> None:
        """Append through `writer`."""
        self._writer = writer
        self._waiting: dict[str, list[_Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def append(self, tenant: str, drafts: list[Draft]) -> None:
        """Append the drafts of one end with those of others; return when they are durable.

        While the database is away this waits: the lease decides how long that makes sense.

        Raises:
            Conflict: the place is taken; somebody else has the execution now.
            LoglineError: these drafts may not enter; nothing of them was written.
        """
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, []).append(_Waiting(drafts, answer))
        if tenant not in self._tasks:
            task = asyncio.create_task(self._write(tenant), name=f"ends of {tenant}")
            self._tasks[tenant] = task
        await answer

    async def close(self) -> None:
        """Give up on what still waits; every caller is told by a cancelled future."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiting in self._waiting.values():
            _cancel(waiting)
        self._waiting.clear()

    async def _write(self, tenant: str) -> None:
        try:
            while True:
                await asyncio.sleep(0)  # whoever ended in this turn of the loop comes along
                waiting = self._waiting.pop(tenant, [])
                if not waiting:
                    return
                while waiting:
                    group = _first_group(waiting)
                    try:
                        await self._append(tenant, group)
                    finally:
                        _cancel(group)  # of a group that was written, nobody waits any more
        finally:
            del self._tasks[tenant]

    async def _append(self, tenant: str, group: Sequence[_Waiting]) -> None:
        """Append a group; set apart what may not enter, wait out what is only not now."""
        pause_s = _PAUSE_S_FIRST
        while group := [one for one in group if not one.answer.done()]:
            try:
                await self._writer.append(
                    [draft for one in group for draft in one.drafts],
                    tenant=tenant,
                    is_of_code=True,
                )
            except Conflict as conflict:
                taken = str(conflict.fields.get("id"))
                found = [one for one in group if any(str(d.id) == taken for d in one.drafts)]
                if found or len(group) == 1:
                    _refuse(found or group, conflict)
                else:
                    await self._append(tenant, group[: len(group) // 2])
            except LoglineError as failure:
                if failure.retryable:
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _PAUSE_S_LONGEST)
                elif len(group) == 1:
                    _refuse(group, failure)
                else:  # the first half is answered by itself, then the rest is tried again
                    await self._append(tenant, group[: len(group) // 2])
            else:
                for one in group:
                    if not one.answer.done():
                        one.answer.set_result(None)


def _first_group(waiting: list[_Waiting]) -> list[_Waiting]:
    """Take what fits into one append off the list; at least one."""
    count = size = 0
    for one in waiting:
        size += len(one.drafts)
        if count and size > GROUP_DRAFTS_MAX:
            break
        count += 1
    group = waiting[:count]
    del waiting[:count]
    return group


def _refuse(group: Sequence[_Waiting], failure: LoglineError) -> None:
    for one in group:
        if not one.answer.done():
            told = type(failure)(**failure.fields)
            told.__cause__ = failure
            one.answer.set_exception(told)


def _cancel(group: Sequence[_Waiting]) -> None:
    for one in group:
        if not one.answer.done():
            one.answer.cancel()
