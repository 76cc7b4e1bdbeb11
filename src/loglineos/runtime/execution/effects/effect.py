"""What an effect is: its signature, what it needs to be granted, and how it is performed.

`performing` an effect gives one of four answers: `Done` (a value, and what is appended with it),
`Denied` (an exception for the program, from a fixed vocabulary), `Rest` (the run waits) or `End`
(the run is over). A mode says how the journal treats it:

    pure      no one else can see it: its answer may be journaled with the next append
    append    what it does is an append: journaled in the same one
    external  it touches the world: the intent is journaled before, the answer after
    wait      it waits for a time, a person or a fact
    end       the run is over by its own word, at a replay too: it follows from the call alone

Always holds: an effect never sees the tenant from its arguments, only from the execution; what it
tells the program holds no text of an exception of ours.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.entropy import Entropy
from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.reading.reader import Reader
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.journal import Step, idempotency_key

Mode = Literal["pure", "append", "external", "wait", "end"]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The effect is done: `value` is its answer, `drafts` are appended with the journal's.

    `is_carried`: the last of the drafts is itself the step, and says so in its metadata.
    """

    value: Any = None
    drafts: tuple[Draft, ...] = ()
    is_carried: bool = False


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """The program gets this exception; `code` is for the journal. `is_passing`: may do later."""

    type: Literal["RuntimeError", "ValueError", "TimeoutError", "PermissionError", "KeyError"]
    message: str
    code: str
    is_passing: bool = False


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """The run waits until `until` (None: as long as it takes), or until it is woken.

    `waiting_for` says for what, in the record that says that it waits: `{"kind": "question",
    "id": ...}`, `{"kind": "execution", "id": ...}`, `{"kind": "pattern", ...}`, `{"kind": "time"}`.
    """

    until: datetime | None
    waiting_for: dict[str, Any]
    drafts: tuple[Draft, ...] = ()


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over by its own word: as an error, or with `output`."""

    output: Any = None
    error: dict[str, Any] | None = None
    drafts: tuple[Draft, ...] = ()


Performed = Done | Denied | Rest | End


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The code that asks: which function, which version, and the effects that it declares."""

    id: UUID
    seq: int
    name: str
    effects: tuple[str, ...]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One question of a run: `arguments` by name, plain values; `step` when it was asked before."""

    n: int
    name: str
    arguments: dict[str, Any]
    execution: Record
    asker: Asker
    now: datetime
    step: Step | None = None
    epoch: int = 0
    private_hosts: tuple[str, ...] = ()
    """Hosts with an address of the house's own network that the manifest lets `ctx.http` reach."""

    @property
    def tenant(self) -> str:
        """The tenant, which the execution alone decides."""
        return self.execution.tenant_id

    @property
    def idempotency_key(self) -> str:
        """The key under which the world may recognise a repeat: `execution:step`."""
        return idempotency_key(self.execution.id, self.n, self.epoch)

    @property
    def place(self) -> str:
        """The step's number, and after a retry which one: what ids of its own are derived from."""
        return f"{self.n}/{self.epoch}" if self.epoch else str(self.n)


class Door(Protocol):
    """The way out to other servers; made once, checks every address it opens."""

    async def request(self, call: Call, *, secrets: dict[str, str]) -> Done | Denied:
        """Perform one `ctx.http` call, whose host was granted; never raises."""
        ...


class Secrets(Protocol):
    """Where secrets are kept; they reach the door and nothing else."""

    def read(self, tenant: str, name: str) -> str | None:
        """Return a secret, or None when there is none of this name."""
        ...


class Directory(Protocol):
    """Finds functions of a tenant by name, alias or id."""

    async def resolve(self, tenant: str, name: str) -> Any | None:
        """Return the function (id, seq, name, queue, max_attempts...), or None."""
        ...


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What effects are performed with. `is_simulated`: nothing may leave the tenant."""

    writer: Writer
    reader: Callable[[str, str], Reader]
    clock: Clock
    entropy: Entropy
    directory: Directory
    door: Door
    secrets: Secrets
    is_simulated: bool = False


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One name of `ctx`: how it is called, what must be granted for it, how it is performed."""

    name: str
    signature: inspect.Signature
    mode: Mode
    needs: Callable[[dict[str, Any]], tuple[str, ...]]
    perform: Callable[[World, Call], Awaitable[Performed]]

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Name the arguments, with the defaults of those that were left out.

        Raises:
            InvalidInput: too many, too few or unknown ones.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as cause:
            reason = Text(
                f"chama-se {self.name}{self.signature}", f"call {self.name}{self.signature}"
            )
            raise InvalidInput(
                field=self.name, shape=shape_of(list(args)), reason=reason
            ) from cause
        bound.apply_defaults()
        return dict(bound.arguments)


def effect(
    name: str,
    mode: Mode,
    *,
    like: str,
    needs: Callable[[dict[str, Any]], tuple[str, ...]] | tuple[str, ...] = (),
) -> Callable[[Callable[[World, Call], Awaitable[Performed]]], Effect]:
    """Declare an effect: `like` shows its signature, `needs` names what must be granted."""
    asked = needs if callable(needs) else lambda _: needs

    def declare(perform: Callable[[World, Call], Awaitable[Performed]]) -> Effect:
        return Effect(
            name=name, signature=signature_of(like), mode=mode, needs=asked, perform=perform
        )

    return declare


def signature_of(text: str) -> inspect.Signature:
    """Read a signature as Python writes it, with literal defaults: `(id, seq=None)`."""
    (found,) = ast.parse(f"lambda {text.strip()[1:-1]}: None").body
    assert isinstance(found, ast.Expr)
    assert isinstance(found.value, ast.Lambda)
    given = found.value.args
    kind = inspect.Parameter
    without = len(given.args) - len(given.defaults)
    parameters = [
        kind(
            one.arg,
            kind.POSITIONAL_OR_KEYWORD,
            default=kind.empty if at < without else ast.literal_eval(given.defaults[at - without]),
        )
        for at, one in enumerate(given.args)
    ]
    if given.vararg is not None:
        parameters.append(kind(given.vararg.arg, kind.VAR_POSITIONAL))
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        value = kind.empty if default is None else ast.literal_eval(default)
        parameters.append(kind(one.arg, kind.KEYWORD_ONLY, default=value))
    if given.kwarg is not None:
        parameters.append(kind(given.kwarg.arg, kind.VAR_KEYWORD))
    return inspect.Signature(parameters)
