"""The journal: what a run asked of the world, in order, and what it was answered.

Each question is one entity of type `step`, whose id follows from the execution and the number of
the step: it cannot be written twice. Its first event is the intent (status `running`, or `waiting`
for a time, a person or a fact), its second the answer (`complete` or `error`); what touches nothing
is answered in its first event. A record that the run emits is its own step: it says so in
`metadata.step`.

Always holds: the journal is the truth about a run. A program that asks something else at a step
than its journal says has parted from it, and is stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from loglineos.base.errors import Diverged
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.requests import span_of
from loglineos.runtime.ids import derived_id, step_id
from loglineos.runtime.sandbox.values import canon, digest

STEP: Final = "step"
CARRIED: Final = "step"
"""Where the metadata of an emitted record says which step it is."""


class StepKey(msgspec.Struct, frozen=True):
    """What a program asks at a step: the same question has the same key."""

    kind: str
    name: str
    args_hash: str

    def __str__(self) -> str:
        """Write it for people: `ctx.emit(3f2a91c07d5e)`."""
        return f"{self.name}({self.args_hash[:12]})"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step as the journal has it. `settled` is its turn among answers that came late.

    `at` is when it was first asked, of a step that is an entity of its own and was appended.
    """

    n: int
    epoch: int = 0
    key: StepKey
    state: Literal["intent", "waiting", "done"]
    seq: int
    position: int | None
    value: Any = None
    error: dict[str, Any] | None = None
    settled: int | None = None
    cpu_us: int = 0
    at: datetime | None = None
    metadata: dict[str, Any] = {}


class Journal:
    """The steps of one execution.

    A retry from step N is a cut: what was answered from N on no longer counts, and its steps are
    asked anew, as entities of their own. `cuts` holds the N of each retry, in order.
    """

    def __init__(
        self, execution: UUID, steps: Iterable[Step] = (), *, cuts: Sequence[int] = ()
    ) -> None:
        """Start from what was written before."""
        self.execution = execution
        self.cuts = tuple(cuts)
        self.steps: dict[int, Step] = {}
        for step in steps:
            self.keep(step)

    @classmethod
    def of_records(
        cls, execution: UUID, records: Iterable[Record], *, cuts: Sequence[int] = ()
    ) -> Journal:
        """Read the journal from the records of its steps, in the order of their positions."""
        return cls(execution, (step_of(record) for record in records), cuts=cuts)

    @property
    def epoch(self) -> int:
        """How many retries there were: steps that are asked now belong to this one."""
        return len(self.cuts)

    def keep(self, step: Step) -> None:
        """Take note of a step, or of its answer, unless a later retry has cut it off."""
        if all(step.n < cut for cut in self.cuts[step.epoch :]):
            before = self.steps.get(step.n)
            if before is not None and before.at is not None and before.epoch == step.epoch:
                step = msgspec.structs.replace(step, at=before.at)
            self.steps[step.n] = step

    def expect(self, n: int, key: StepKey) -> Step | None:
        """Return what the journal has of step `n`; None: the program goes on into the open.

        Raises:
            Diverged: the journal's question is another one.
        """
        step = self.steps.get(n)
        if step is not None and step.key != key:
            raise Diverged(
                execution=str(self.execution), step=n, expected=str(step.key), found=str(key),
                what="execution", where=f"step {n}", reason=str(key),
            )  # fmt: skip
        return step

    def header_after(self, about: dict[str, Any]) -> dict[str, Any]:
        """Return the header of a run whose latest event tells `about`; empty: it has none yet.

        It is what that event says, or the step that carried it; an event that says an empty one
        lets it begin anew, so that only steps asked since then count.
        """
        if about.get("header"):
            return dict(about["header"])
        since = self.epoch if "header" in about else 0
        for step in self.steps.values():
            header = step.metadata.get("header")
            if isinstance(header, dict) and step.epoch >= since:
                return header
        return {}

    @property
    def cpu_us(self) -> int:
        """The time that the program itself has run, as far as the journal tells."""
        return sum(step.cpu_us for step in self.steps.values())

    @property
    def next_settling(self) -> int:
        """The turn of the next answer that comes late."""
        turns = [step.settled for step in self.steps.values() if step.settled is not None]
        return max(turns, default=-1) + 1


def key_of(kind: str, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> StepKey:
    """Return the key of a question; the arguments are plain values."""
    return StepKey(kind, name, digest(canon([list(args), kwargs])))


def draft_step(
    execution: Record,
    n: int,
    key: StepKey,
    *,
    seq: int,
    status: Literal["running", "waiting", "complete", "error"],
    epoch: int = 0,
    asked: Any = None,
    value: Any = None,
    error: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Draft:
    """Draft one event of a step: its question, its answer, or both at once."""
    step = step_of_epoch(execution.id, n, epoch)
    about = {"n": n, "kind": key.kind, "args_hash": key.args_hash, **(metadata or {})}
    if epoch:
        about["epoch"] = epoch
    return Draft(
        id=step, seq=seq, entity_type=STEP, who=f"function:{execution.name}", did=key.name,
        this=f"{execution.name} #{n}", status=status, parent_id=execution.id,
        trace_id=execution.trace_id, span_id=span_of(step),
        idempotency_key=idempotency_key(execution.id, n, epoch), owner_id=execution.owner_id,
        visibility=execution.visibility, shared_with=execution.shared_with,
        simulated=execution.simulated, input=asked,
        output={"value": value} if status == "complete" else None, error=error, metadata=about,
    )  # fmt: skip


def step_of_epoch(execution: UUID, n: int, epoch: int) -> UUID:
    """Return the id of a step; one that is asked anew after a retry has an id of its own."""
    return (
        derived_id("step", str(execution), str(n), str(epoch)) if epoch else step_id(execution, n)
    )


def idempotency_key(execution: UUID, n: int, epoch: int) -> str:
    """Return the key under which the world may recognise a repeat of a step."""
    return f"{execution}:{n}:{epoch}" if epoch else f"{execution}:{n}"


def is_step(record: Draft | Record) -> bool:
    """Tell whether a record belongs to a journal: a step, or an emitted record that is one."""
    return record.entity_type == STEP or isinstance((record.metadata or {}).get(CARRIED), dict)


def execution_of(record: Draft | Record) -> UUID | None:
    """Return the execution to whose journal a record belongs."""
    if not is_step(record):
        return None
    return record.parent_id if record.entity_type == STEP else record.cause_id


def carried(execution: Record, n: int, key: StepKey, draft: Draft, **about: Any) -> Draft:
    """Make an emitted record its own step."""
    told = {"n": n, "kind": key.kind, "name": key.name, "args_hash": key.args_hash, **about}
    metadata = {**(draft.metadata or {}), CARRIED: told}
    epoch = int(about.get("epoch", 0))
    return msgspec.structs.replace(
        draft, metadata=metadata, span_id=span_of(step_of_epoch(execution.id, n, epoch))
    )


def step_of(record: Draft | Record) -> Step:
    """Read one event of a step."""
    about = record.metadata or {}
    if record.entity_type != STEP:
        about = about[CARRIED]
        return Step(
            n=int(about["n"]),
            epoch=int(about.get("epoch", 0)),
            key=StepKey(str(about["kind"]), str(about["name"]), str(about["args_hash"])),
            state="done",
            seq=0,
            position=record.position if isinstance(record, Record) else None,
            value={"id": str(record.id), "seq": record.seq or 0},
            settled=about.get("settled"),
            cpu_us=int(about.get("cpu_us", 0)),
            metadata=about,
        )
    states: dict[str | None, Literal["intent", "waiting"]] = {
        "running": "intent", "waiting": "waiting",
    }  # fmt: skip
    return Step(
        n=int(about["n"]),
        epoch=int(about.get("epoch", 0)),
        key=StepKey(str(about["kind"]), str(record.did), str(about["args_hash"])),
        state=states.get(record.status, "done"),
        seq=record.seq or 0,
        position=record.position if isinstance(record, Record) else None,
        value=record.output.get("value") if isinstance(record.output, dict) else None,
        error=record.error if isinstance(record.error, dict) else None,
        settled=about.get("settled"),
        cpu_us=int(about.get("cpu_us", 0)),
        at=record.at,
        metadata=about,
    )
