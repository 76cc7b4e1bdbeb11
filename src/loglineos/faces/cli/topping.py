"""`logline top`: what a house's runtime does, second by second.

Always holds: it only reads, by index and position, so that it works beside any number of
processes; where looking takes long it looks less often.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from rich.console import Group
from rich.live import Live

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.faces.cli.render import local_time, one_line, status_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.node import Node
from loglineos.runtime.following import Lag, Log
from loglineos.services.queue.overview import QueueState, WorkerState, list_workers, queue_states
from loglineos.services.telemetry.looks import Ended, added, count_dead, count_ended, is_follower

_EVERY_S: Final = 1.0
_OF_TIME_MAX: Final = 0.25
"""At most this part of the time is spent looking."""
_RATES_OVER_S: Final = 10.0
_SLOWEST_OVER: Final = timedelta(minutes=5)
_LOOKED_BACK: Final = 20_000
"""How many positions back the first look goes for the slowest functions."""
_FUNCTIONS_MAX: Final = 8
_QUIT: Final = b"qQ\x03\x04"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What one look shows."""

    at: datetime
    records: int
    appends_per_s: float
    ends_per_s: dict[str, float]
    queues: list[QueueState]
    dead: int
    workers: list[WorkerState]
    lags: list[Lag]
    slowest: list[Ended]


class Window:
    """What several looks one after the other say together."""

    def __init__(self, node: Node, tenant: str) -> None:
        """Look at a tenant through the node's reader."""
        self._node = node
        self._tenant = tenant
        self._log = Log(node.reader_pool)
        self._position: int | None = None
        self._sizes: deque[tuple[float, int]] = deque()
        self._ended: deque[tuple[float, datetime, bool, list[Ended]]] = deque()

    async def look(self) -> Shown:
        """Look once; rates are over the last seconds that were looked at.

        Raises:
            LoglineError: what the database's failure means.
        """
        pool, tenant, now = self._node.reader_pool, self._tenant, self._node.clock.now()
        at_s = asyncio.get_running_loop().time()
        size = await self._log.size(tenant)
        is_first = self._position is None
        start = max(0, size - _LOOKED_BACK) if self._position is None else self._position
        found = await count_ended(pool, tenant, start=start, end=size, since=now - _SLOWEST_OVER)
        self._position = size
        self._sizes.append((at_s, size))
        self._ended.append((at_s, now, is_first, found))
        while self._sizes[0][0] < at_s - _RATES_OVER_S:
            self._sizes.popleft()
        while self._ended[0][1] < now - _SLOWEST_OVER:
            self._ended.popleft()
        began_s, size_then = self._sizes[0]
        passed_s = max(1e-6, at_s - began_s)
        fresh = added(
            one
            for seen_s, _, is_old, ends in self._ended
            if seen_s > began_s and not is_old
            for one in ends
        )
        rates: dict[str, float] = {}
        for one in fresh:
            rates[one.status] = rates.get(one.status, 0.0) + one.count / passed_s
        lags = [one for one in await self._log.lags(tenant) if is_follower(one.name)]
        return Shown(
            at=now,
            records=size,
            appends_per_s=(size - size_then) / passed_s if at_s > began_s else 0.0,
            ends_per_s=rates,
            queues=await queue_states(pool, tenant, now=now),
            dead=await count_dead(pool, tenant),
            workers=await list_workers(pool, tenant, now=now),
            lags=sorted(lags, key=lambda lag: -lag.behind),
            slowest=self._slowest(),
        )

    def _slowest(self) -> list[Ended]:
        sums = added(
            msgspec.structs.replace(one, status="") for _, _, _, ends in self._ended for one in ends
        )
        return sorted(sums, key=lambda one: -one.total_ms / one.count)[:_FUNCTIONS_MAX]


async def top(
    session: Session,
    *,
    once: Annotated[bool, Text("mostra uma vez e termina", "show once and end")] = False,
) -> None:  # fmt: skip
    """Show what the runtime of the house does until q or Ctrl-C."""
    async with session.node() as node:
        window = Window(node, session.tenant)
        is_live = not session.as_json and session.out.is_terminal
        if once or not (session.as_json or is_live):
            await window.look()
            await asyncio.sleep(_EVERY_S)  # a rate takes two looks
            shown = await window.look()
            session.answer(document_of(shown, session.tenant), lambda: screen(session, shown))
        elif session.as_json:
            while True:
                session.emit(document_of(await window.look(), session.tenant))
                await asyncio.sleep(_EVERY_S)
        else:
            await _stay(session, window)


async def _stay(session: Session, window: Window) -> None:
    """Show each look in the place of the one before, on a screen of its own."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with (
        _keys(stop),
        Live(console=session.out, screen=True, auto_refresh=False, transient=True) as live,
    ):
        while not stop.is_set():
            began_s = loop.time()
            try:
                shown = screen(session, await window.look())
            except LoglineError as failure:
                if not failure.retryable:
                    raise
                shown = Group(styled((failure.describe(session.language), "yellow")))
            live.update(shown, refresh=True)
            pause_s = max(_EVERY_S, (loop.time() - began_s) / _OF_TIME_MAX)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await stop.wait()


@contextmanager
def _keys(stop: asyncio.Event) -> Iterator[None]:
    """Ring `stop` at q, without waiting for a line end; the terminal is given back as it was."""
    if not sys.stdin.isatty():
        yield
        return
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        typed = os.read(keyboard, 64)
        if not typed or any(key in _QUIT for key in typed):
            stop.set()

    try:
        tty.setcbreak(keyboard)
        loop.add_reader(keyboard, pressed)
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def document_of(shown: Shown, tenant: str) -> dict[str, Any]:
    """Tell a look to a program."""
    return {
        "at": rfc3339(shown.at),
        "tenant": tenant,
        "records": shown.records,
        "appends_per_s": round(shown.appends_per_s, 1),
        "executions_per_s": {name: round(rate, 1) for name, rate in shown.ends_per_s.items()},
        "running": _sum(shown, "running"),
        "waiting": _sum(shown, "waiting"),
        "dead": shown.dead,
        "queues": [
            {
                "queue": one.name, "ready": one.ready, "running": one.running,
                "waiting": one.waiting, "later": one.later,
                "is_paused": one.settings.paused is not None,
            }
            for one in shown.queues
        ],
        "workers": [
            {
                "name": one.name, "leases": one.leases, "in_hand": one.about.get("in_hand"),
                "seen_at": rfc3339(one.seen_at),
            }
            for one in shown.workers
        ],
        "followers": [
            {"name": one.name, "position": one.position, "lag": one.behind} for one in shown.lags
        ],
        "slowest": [
            {
                "function": one.function, "ended": one.count,
                "mean_ms": round(one.total_ms / one.count), "longest_ms": one.longest_ms,
            }
            for one in shown.slowest
        ],
    }  # fmt: skip


def screen(session: Session, shown: Shown) -> Group:
    """Lay a look out for a terminal of any width from 40 columns on."""
    parts: list[Any] = [_head(session, shown)]
    blocks: list[tuple[list[Column], list[tuple[Any, ...]]]] = [
        (
            [
                Column(title=_QUEUE, grows=True), Column(title=_READY, right=True),
                Column(title=_RUNNING, right=True), Column(title=_WAITING, right=True),
                Column(title=_LATER, right=True),
            ],
            [(_queue(one), one.ready, one.running, one.waiting, one.later) for one in shown.queues],
        ),
        (
            [
                Column(title=_WORKER, grows=True), Column(title=_LEASES, right=True),
                Column(title=_IN_HAND, right=True),
                Column(title=_SEEN, right=True, width_min=50),
            ],
            [
                (one.name, one.leases, one.about.get("in_hand"), _clock(session, one.seen_at))
                for one in shown.workers
            ],
        ),
        (
            [
                Column(title=_FOLLOWER, grows=True), Column(title=_BEHIND, right=True),
                Column(title=_POSITION, right=True, width_min=50),
            ],
            [(one.name, one.behind, one.position) for one in shown.lags],
        ),
        (
            [
                Column(title=_SLOWEST, grows=True), Column(title=_ENDED, right=True),
                Column(title=_MEAN, right=True), Column(title=_LONGEST, right=True),
            ],
            [
                (one.function, one.count, _ms(one.total_ms / one.count), _ms(one.longest_ms))
                for one in shown.slowest
            ],
        ),
    ]  # fmt: skip
    for columns, rows in blocks:
        if rows:
            made = table(columns, rows, language=session.language, width=session.width)
            parts += [styled(("", "")), made]
    if not shown.workers:
        parts += [styled(("", "")), styled((session.text(_NOBODY), "yellow"))]
    return Group(*parts)


def _head(session: Session, shown: Shown) -> Group:
    now = _clock(session, shown.at)
    rate = f"{shown.appends_per_s:.1f}/s"
    first = styled(
        (session.tenant, "bold"), (f"  {now}  ", "dim"),
        (session.text(_RECORDS, count=shown.records, rate=rate), ""),
    )  # fmt: skip
    second = styled(
        (session.text(_STANDS, running=_sum(shown, "running"), waiting=_sum(shown, "waiting")), ""),
        (session.text(_DEAD, dead=shown.dead), "bold red" if shown.dead else "dim"),
    )
    third = styled((session.text(_ENDING), "dim"))
    for status, per_s in sorted(shown.ends_per_s.items()):
        third.append("  ")
        third.append_text(status_text(status, session.language))
        third.append(f" {per_s:.1f}/s")
    if not shown.ends_per_s:
        third.append(" —", style="dim")
    return Group(first, second, third)


def _sum(shown: Shown, what: str) -> int:
    return sum(int(getattr(one, what)) for one in shown.queues)


def _queue(one: QueueState) -> str:
    return f"{one_line(one.name)} ‖" if one.settings.paused is not None else one_line(one.name)


def _clock(session: Session, instant: datetime) -> str:
    return local_time(instant, session.settings.zone, with_date=False)


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.0f} s"


_QUEUE: Final = Text("fila", "queue")
_READY: Final = Text("prontas", "ready")
_RUNNING: Final = Text("em curso", "running")
_WAITING: Final = Text("à espera", "waiting")
_LATER: Final = Text("depois", "later")
_WORKER: Final = Text("trabalhador", "worker")
_LEASES: Final = Text("desta casa", "leases")
_IN_HAND: Final = Text("em mãos", "in hand")
_SEEN: Final = Text("visto", "seen")
_FOLLOWER: Final = Text("seguidor", "follower")
_BEHIND: Final = Text("em atraso", "behind")
_POSITION: Final = Text("posição", "position")
_SLOWEST: Final = Text("mais lentas, 5 min", "slowest, 5 min")
_ENDED: Final = Text("acabaram", "ended")
_MEAN: Final = Text("média", "mean")
_LONGEST: Final = Text("a maior", "longest")
_RECORDS: Final = Text("{count} registos, {rate}", "{count} records, {rate}")
_STANDS: Final = Text(
    "em curso {running}  à espera {waiting}  ", "running {running}  waiting {waiting}  "
)
_DEAD: Final = Text("mortas {dead}", "dead {dead}")
_ENDING: Final = Text("acabam:", "ending:")
_NOBODY: Final = Text(
    "ninguém trabalha: `logline up` ou `logline worker`",
    "nobody works: `logline up` or `logline worker`",
)
