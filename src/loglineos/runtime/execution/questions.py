"""What a program asks, how its run may stop on it, and how question and answer are written down."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from loglineos.runtime.execution.effects.effect import Call, Denied, Effect, End, Rest
from loglineos.runtime.execution.journal import Step, StepKey
from loglineos.runtime.sandbox.limits import BUDGET
from loglineos.runtime.sandbox.turns import Answer, Program, ProgramError, Raised, Turn, Value
from loglineos.runtime.sandbox.values import revive

OUT_OF_TIME: Final = {
    "code": "limit_time", "type": "Limit",
    "message": f"more than {BUDGET.cpu_s:.0f} s of running",
}  # fmt: skip
"""The error of a run that has run for longer than any may."""
ATTEMPTS_MAX: Final = 8
"""How often a run is tried again when the world does not answer, unless its request says more."""


class Speaker(Protocol):
    """What a program speaks through: a session of the runners, or a process of its own."""

    async def start(self, program: Program, value: Any = None) -> Turn:
        """Run up to the first turn."""
        ...

    async def resume(self, answer: Answer) -> Turn:
        """Answer the turn that stands, and run on to the next."""
        ...


class Question(NamedTuple):
    """A question under way: what it asks, and under which number and key."""

    effect: Effect
    call: Call
    key: StepKey


class Pending(NamedTuple):
    """A question that the run may rest on."""

    question: Question
    rest: Rest


class Resting(Exception):
    """The run rests: everything that it could go on with waits."""

    def __init__(self, pending: list[Pending]) -> None:
        super().__init__("resting")
        self.pending = pending


class Ending(Exception):
    """The run is over by its own word."""

    def __init__(self, end: End) -> None:
        super().__init__("ending")
        self.end = end


class Passing(Exception):
    """The world does not answer now; the same question may be asked later."""

    def __init__(self, denied: Denied) -> None:
        super().__init__("passing")
        self.denied = denied


def answer_of(step: Step) -> Value | Raised:
    """Return what the program is told of a step that is done."""
    if step.error is not None:
        return Raised(
            str(step.error.get("type", "RuntimeError")), str(step.error.get("message", ""))
        )
    return Value(revive(step.value))


def error_of(denied: Denied) -> dict[str, Any]:
    """Return what the journal says of a denial."""
    return {"code": denied.code, "type": denied.type, "message": denied.message}


def told(args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what the journal says of a question as it was asked."""
    return {"args": args, "kwargs": kwargs}


def told_by_name(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the journal says of a question whose arguments have names."""
    return {"arguments": {name: value for name, value in arguments.items() if value is not None}}


def turn_of(step: Step) -> tuple[int, int]:
    """Return when the answer of a step is settled: in the journal's order, else by number."""
    return (step.settled if step.settled is not None else 2**31, step.n)


def limit_end(which: str, message: str) -> End:
    """Return how a run ends that passed a limit of its own."""
    return End(error={"code": f"limit_{which}", "type": "Limit", "message": message})


def told_of(error: ProgramError) -> dict[str, Any]:
    """Return what a record says of a program that failed."""
    told: dict[str, Any] = {
        "code": "program_failed" if error.limit is None else f"limit_{error.limit}",
        "type": error.type,
        "message": error.message,
    }
    if error.where:
        told["where"] = list(error.where)
    return told
