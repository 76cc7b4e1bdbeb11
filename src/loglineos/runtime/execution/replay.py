"""Replay: run a finished execution again from its records alone, and compare what comes out.

The world is forbidden: every question is answered from the journal, the clock stands where it
stood, randomness has the same seed. Always holds: the verdict is `equal` only when every record of
the run and of its journal bears its author's seal, and the program asked the same questions in the
same order and gave the same output hash; otherwise it names the step, what was expected there and
what was found. Outcomes that a replay cannot prove (a limit of time or memory, full CPython) are
`unproven`, never `equal`.
Source: docs/explanation/executions.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol, cast
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.clock import SystemClock
from loglineos.base.errors import Diverged, LoglineError, NotFound, RunnerLost
from loglineos.ledger.record import Record
from loglineos.ledger.seal import check_seal
from loglineos.runtime.execution.effects.catalog import NAMES
from loglineos.runtime.execution.effects.effect import World
from loglineos.runtime.execution.journal import CARRIED, STEP, Journal
from loglineos.runtime.execution.run import Run
from loglineos.runtime.execution.tools import Tools
from loglineos.runtime.functions import Function, function_of
from loglineos.runtime.laws import Laws
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Module, Program
from loglineos.runtime.sandbox.values import canon

ENDED: Final = frozenset({"complete", "error", "dead", "slow"})
_TRIES: Final = 2


class Source(Protocol):
    """Where the records of an execution come from: a ledger, or an export of one."""

    async def events(self, entity: UUID) -> list[Record]:
        """Return the life of an entity, in order."""
        ...

    async def steps(self, execution: UUID) -> list[Record]:
        """Return the events of an execution's steps, in the order of their positions."""
        ...

    async def preludes(self, name: str) -> list[Record]:
        """Return every version of a module of the prelude."""
        ...


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. `step`, `expected` and `found` say where it parted; hashes are hex."""

    execution: UUID
    function: str
    verdict: Literal["equal", "diverged", "unproven", "unfinished"]
    steps: int = 0
    step: int | None = None
    expected: str | None = None
    found: str | None = None
    reason: str | None = None


async def replay(runners: Runners, source: Source, execution: UUID) -> Verdict:
    """Run a finished execution again and compare.

    Raises:
        NotFound: no such execution, or its function's version is not among the records.
        RunnerLost, Pushback: not now; repeat.
    """
    events = await source.events(execution)
    if not events or events[0].entity_type != "execution":
        raise NotFound(what="execution", which=str(execution))
    end = next((event for event in reversed(events) if event.status in ENDED), None)
    name = events[0].name or "?"
    header = (end.metadata or {}).get("header") if end is not None else None
    where: dict[str, Any]
    if end is None or not isinstance(header, dict):
        reason = "it has not ended" if end is None else "it never began"
        return Verdict(execution=execution, function=name, verdict="unfinished", reason=reason)
    code = str((end.error or {}).get("code", "")) if isinstance(end.error, dict) else ""
    steps = [
        step
        for step in await source.steps(execution)  # what a retry asked after this end is not its
        if step.position is None or end.position is None or step.position < end.position
    ]
    broken = _first_broken([*events, *steps])
    if broken is not None:
        where = {"step": _number_of(broken), "expected": broken.curr_hash}
        return Verdict(
            execution=execution, function=name, verdict="diverged", reason="seal", **where
        )
    try:
        function = await _function_of(source, header)
    except Diverged as parted:
        where = {key: parted.fields.get(key) for key in ("expected", "found", "reason")}
        return Verdict(execution=execution, function=name, verdict="diverged", **where)
    unproven = _why_unproven(function, code, header, runners)
    if unproven is not None:
        return Verdict(execution=execution, function=name, verdict="unproven", reason=unproven)
    cuts = (end.metadata or {}).get("cuts") or ()
    journal = Journal.of_records(execution, steps, cuts=cuts)
    told: dict[str, Any] = {"execution": execution, "function": name, "steps": len(journal.steps)}
    program = await _program_of(source, function, header)
    for attempt in range(_TRIES):
        try:
            found = await _run(runners, end, events[0], function, program, journal)
        except Diverged as parted:
            where = {name: parted.fields.get(name) for name in ("step", "expected", "found")}
            return Verdict(**told, verdict="diverged", **where)
        except RunnerLost:
            if attempt == _TRIES - 1:
                raise
            continue
        if found == end.output_hash:
            return Verdict(**told, verdict="equal", expected=end.output_hash, found=found)
        return Verdict(
            **told, verdict="diverged", expected=end.output_hash, found=found, reason="output"
        )
    raise AssertionError("the loop returns or raises")


class _NoWriter:
    """Writes nothing: a replay that wants to has parted from its journal."""

    is_simulated = False

    async def append(self, drafts: list[Any], **_: Any) -> list[Record]:
        raise Diverged(
            execution="replay", step=None, expected="the journal", found=f"{len(drafts)} records",
            what="execution", where="writer", reason="append",
        )  # fmt: skip


class _Nothing:
    """The world of a replay: there is none."""

    writer = _NoWriter()
    clock = SystemClock()
    """For whoever measures; no program hears of it."""

    def __getattr__(self, name: str) -> Any:
        raise Diverged(
            execution="replay", step=None, expected="the journal", found=name, what="execution",
            where="world", reason=name,
        )  # fmt: skip


async def _wake_nobody(tenant: str, executions: list[UUID]) -> int:  # noqa: ARG001
    return 0


async def _run(
    runners: Runners, end: Record, first: Record, function: Function, program: Program,
    journal: Journal,
) -> str | None:  # fmt: skip
    tools = Tools(
        world=cast("World", _Nothing()), laws=cast("Laws", None), runners=runners, wake=_wake_nobody
    )
    run = Run(
        tools, end, input=canon(first.input), function=function, program=program, journal=journal,
        worker="replay", attempt=end.attempt or 1, is_replay=True,
    )  # fmt: skip
    outcome = await run.go()
    hashed: str | None = outcome.output_hash or outcome.columns.get("output_hash")
    return hashed


async def _function_of(source: Source, header: dict[str, Any]) -> Function:
    """Return the version that ran, whose bytes the header names."""
    pinned = header["function"]
    for record in await source.events(UUID(pinned["id"])):
        if record.seq == pinned["seq"]:
            function = function_of(record)
            if blake3(function.source.encode()).hexdigest() != pinned["hash"]:
                raise Diverged(
                    execution=str(record.id), step=0, expected=pinned["hash"][:16],
                    found=function.code_hash[:16], what="function", where=function.name,
                    reason="code_hash",
                )  # fmt: skip
            return function
    raise NotFound(what="function", which=f"{pinned['id']} seq {pinned['seq']}")


async def _program_of(source: Source, function: Function, header: dict[str, Any]) -> Program:
    modules = []
    for name, wanted in (header.get("prelude") or {}).items():
        versions = await source.preludes(name)
        found = next((one for one in versions if _hash_of(one) == wanted), None)
        if found is None:
            raise NotFound(what="prelude", which=f"{name} {str(wanted)[:16]}")
        modules.append(Module(name=name, source=found.code or ""))
    is_pure = function.runtime == "pure"
    return Program(
        source=function.source, entry=function.entrypoint, language=function.language,
        prelude=tuple(modules), modules=() if is_pure else NAMES, seed=header["seed"],
        frozen_at=header.get("frozen_at"),
    )  # fmt: skip


def _why_unproven(
    function: Function, code: str, header: dict[str, Any], runners: Runners
) -> str | None:
    if function.runtime == "full":
        return "full CPython: its effects are journaled, its run cannot be proved"
    if code.startswith("limit_"):
        return f"it ended by a limit ({code.removeprefix('limit_')}), which depends on the machine"
    if code in _NOT_OF_THE_PROGRAM:
        return f"it did not end by its program ({code})"
    engine = runners.engine_of(function.language)
    if header.get("engine") != engine:
        return f"it ran on {header.get('engine')}, here is {engine}"
    return None


def _first_broken(records: Iterable[Record]) -> Record | None:
    """Return the first record that is not what its author signed: no replay proves such a one."""
    for record in records:
        try:
            check_seal(record)
        except LoglineError:
            return record
    return None


def _number_of(record: Record) -> int | None:
    about = record.metadata or {}
    told = about if record.entity_type == STEP else about.get(CARRIED)
    number = told.get("n") if isinstance(told, dict) else None
    return number if isinstance(number, int) else None


def _hash_of(record: Record) -> str:
    return blake3((record.code or "").encode()).hexdigest()


def summarise(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Count verdicts by kind."""
    counted = dict.fromkeys(("equal", "diverged", "unproven", "unfinished"), 0)
    for one in verdicts:
        counted[one.verdict] += 1
    return counted


_NOT_OF_THE_PROGRAM: Final = frozenset(
    {"lease_lost", "runner_lost", "timeout", "unreachable", "busy", "diverged", "not_found"}
)
