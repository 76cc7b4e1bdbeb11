"""The account of a simulation: what was made of a period, and what two accounts do not share.

Records are compared by what they say, never by their ids, which follow from places in a log. Always
holds: the same account has the same digest, in whichever scratch tenant and on whichever machine it
was made; what was measured (time of processors, versions of engines) is no part of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.clock import rfc3339
from loglineos.ledger.record import Record
from loglineos.runtime.execution.requests import EXECUTION, UNFINISHED
from loglineos.runtime.manifest import LAW_TYPES

STEP: Final = "step"
SHOWN_MAX: Final = 1_000
"""Records that a comparison names on each side; all of them are counted."""
_BOOKKEEPING: Final = LAW_TYPES - {EXECUTION, STEP}
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SAID: Final = (
    "type", "confirmed_by", "if_ok", "if_doubt", "if_not", "name", "tags", "details", "input",
    "output", "error", "branch", "visibility", "shared_with", "queue", "run_at", "attempt",
    "duration_ms", "priority", "description",
)  # fmt: skip
_OF_METADATA: Final = ("of", "add", "said", "said_who", "gesture", "by", "answer", "waiting_for")
_MEASURED: Final = re.compile(rb',"(?:cpu_us|active_ms)":\d+|"(?:cpu_us|active_ms)":\d+,?')
_HASH: Final = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}){1,2}(?![0-9a-f])")
"""Hashes, keys and signatures: two scratch tenants have other ones."""

Side = Literal["as_is", "changed"]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one record says, and when. `content` stands for all of its other words (hash, hex)."""

    at: str
    entity_type: str
    who: str | None
    did: str | None
    this: str | None
    status: str | None
    content: str

    @property
    def key(self) -> tuple[str | None, ...]:
        """What it says, whenever that was."""
        return (self.entity_type, self.who, self.did, self.this, self.status, self.content)


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many records have this author, act and status."""

    who: str | None
    did: str | None
    status: str | None
    count: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of a period.

    `told` records came from outside, `refused` of them did not fit what had become of the house;
    `made` are those that its code made. `ends` are executions by function and how they ended, or
    where they stood. `simulated` counts effects that would have touched the world, by name.
    `cut` says when and why the simulation ended early; None: it did not.
    """

    scratch: str
    since: str
    until: str
    told: int
    refused: int
    left_out: int
    made: int
    questions: int
    answered: int
    counts: tuple[Count, ...]
    ends: dict[str, dict[str, int]]
    simulated: dict[str, int]
    waiting: int
    cut: str | None
    digest: str
    said: tuple[Said, ...]


class Only(msgspec.Struct, frozen=True, kw_only=True):
    """Records that only one side has: what they say, how many, and when first."""

    side: Side
    count: int
    first_at: str
    record: Said


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that differs."""

    what: str
    as_is: int
    changed: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The same period twice: as it is, and with a change in the law.

    `only` lists what one side alone has, by time, at most SHOWN_MAX; `only_as_is` and
    `only_changed` count all of it. `first` is the earliest of it.
    """

    as_is: Account
    changed: Account
    changes: tuple[str, ...]
    counts: tuple[Difference, ...]
    ends: tuple[Difference, ...]
    only: tuple[Only, ...]
    only_as_is: int
    only_changed: int
    first: Only | None

    @property
    def is_same(self) -> bool:
        """Whether the change changes nothing."""
        return not self.only


class Bookkeeping:
    """Keeps the account while the simulation goes on."""

    def __init__(self, *, tenant: str, scratch: str) -> None:
        """`tenant` is what the account says in place of the scratch tenant's own name."""
        self._names = (scratch.encode(), tenant.encode())
        self._scratch = scratch
        self._digest = blake3()
        self._said: list[Said] = []
        self._ends: dict[UUID, tuple[str, str]] = {}
        self._counts: Counter[tuple[str | None, str | None, str | None]] = Counter()
        self.simulated: Counter[str] = Counter()
        self.records = 0

    def take(self, record: Record) -> None:
        """Take the next record of the scratch tenant's log."""
        if record.entity_type in _BOOKKEEPING:
            return
        said = self._what(record)
        self._digest.update(orjson.dumps(msgspec.to_builtins(said)) + b"\n")
        self.records += 1
        if record.entity_type == STEP:
            value = (record.output or {}).get("value") if isinstance(record.output, dict) else None
            if isinstance(value, dict) and value.get("simulated") is True:
                self.simulated[record.did or "?"] += 1
            return
        if record.entity_type == EXECUTION:
            self._ends[record.id] = (record.name or "?", record.status or "?")
            if record.status in UNFINISHED and record.status != "scheduled":
                return
        self._said.append(said)
        if record.entity_type != EXECUTION:
            self._counts[(record.who, record.did, record.status)] += 1

    def account(self, **figures: Any) -> Account:
        """Close the account; `figures` are what only the simulation knows."""
        ends: dict[str, dict[str, int]] = {}
        for (name, status), count in sorted(Counter(self._ends.values()).items()):
            ends.setdefault(name, {})[status] = count
        counts = tuple(
            Count(who=who, did=did, status=status, count=count)
            for (who, did, status), count in sorted(
                self._counts.items(), key=lambda one: (-one[1], tuple(map(str, one[0])))
            )
        )
        waiting = sum(1 for _, status in self._ends.values() if status in UNFINISHED)
        return Account(
            scratch=self._scratch, counts=counts, ends=ends, waiting=waiting,
            simulated=dict(sorted(self.simulated.items())), digest=self._digest.hexdigest(),
            said=tuple(self._said), **figures,
        )  # fmt: skip

    def _what(self, record: Record) -> Said:
        words = {name: getattr(record, name) for name in _SAID}
        if record.entity_type == STEP:
            del words["output"]  # what was read is in the account where it was written
        metadata = record.metadata or {}
        words["metadata"] = {n: metadata[n] for n in _OF_METADATA if n in metadata}
        told = {name: value for name, value in words.items() if value not in (None, {}, ())}
        content = orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=str)
        return Said(
            at=rfc3339(record.at),
            entity_type=record.entity_type,
            who=self._text(record.who),
            did=record.did,
            this=self._text(record.this),
            status=record.status,
            content=blake3(_MEASURED.sub(b"", self._plain(content))).hexdigest(length=8),
        )

    def _text(self, text: str | None) -> str | None:
        return None if text is None else self._plain(text.encode()).decode()

    def _plain(self, data: bytes) -> bytes:
        return _HASH.sub(b"<hash>", _UUID.sub(b"<id>", data.replace(*self._names)))


def compare(as_is: Account, changed: Account, *, changes: Iterable[str]) -> Comparison:
    """Say what one account has and the other has not."""
    left, right = Counter(one.key for one in as_is.said), Counter(one.key for one in changed.said)
    only = sorted(
        [*_only("as_is", as_is, left - right), *_only("changed", changed, right - left)],
        key=lambda one: (one.first_at, one.side, tuple(map(str, one.record.key))),
    )
    sides: tuple[Side, Side] = ("as_is", "changed")
    counted = {side: sum(one.count for one in only if one.side == side) for side in sides}
    return Comparison(
        as_is=as_is, changed=changed, changes=tuple(changes),
        counts=_differences(_counted(as_is), _counted(changed)),
        ends=_differences(_ended(as_is), _ended(changed)),
        only=tuple(only[:SHOWN_MAX]), only_as_is=counted["as_is"],
        only_changed=counted["changed"], first=only[0] if only else None,
    )  # fmt: skip


def _only(side: Side, account: Account, surplus: Counter[tuple[str | None, ...]]) -> list[Only]:
    """List what one side has too many of; of several that say the same, the last ones are meant."""
    found: list[Only] = []
    times: dict[tuple[str | None, ...], list[Said]] = {}
    for said in account.said:
        if said.key in surplus:
            times.setdefault(said.key, []).append(said)
    for key, count in surplus.items():
        first = times[key][-count]
        found.append(Only(side=side, count=count, first_at=first.at, record=first))
    return found


def _differences(as_is: dict[str, int], changed: dict[str, int]) -> tuple[Difference, ...]:
    names = sorted({*as_is, *changed})
    return tuple(
        Difference(what=name, as_is=as_is.get(name, 0), changed=changed.get(name, 0))
        for name in names
        if as_is.get(name, 0) != changed.get(name, 0)
    )


def _counted(account: Account) -> dict[str, int]:
    return {f"{c.who or '—'} · {c.did or '—'} · {c.status or '—'}": c.count for c in account.counts}


def _ended(account: Account) -> dict[str, int]:
    return {
        f"{name} · {status}": count
        for name, statuses in account.ends.items()
        for status, count in statuses.items()
    }
