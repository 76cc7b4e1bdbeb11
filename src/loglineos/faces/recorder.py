"""The decorator: each call of a function is an act with a start, an end and a duration.

Event 0 is `running` and on disk before the function begins; event 1 is `executed` with
`duration_ms` and `output_hash`, or `failed` with the error's type and message.
Always holds: the function's result and exceptions reach its caller unchanged, whatever the ledger
does; no argument and no result is recorded unless it was asked for by name; on the ledger's own
loop nothing ever waits for the database except a coroutine.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
from blake3 import blake3

from loglineos.base.clock import Clock
from loglineos.base.entropy import Entropy
from loglineos.base.ids import uuid7
from loglineos.faces.acts import is_keepable, plain, readable
from loglineos.faces.keeping import Keeper
from loglineos.ledger.canonical import canonical
from loglineos.ledger.record import Draft, Json

P = ParamSpec("P")
R = TypeVar("R")
This = str | Callable[..., str] | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What every call of one function has in common."""

    who: str
    did: str
    this: This = None
    confirmed_by: str | None = None
    if_ok: str | None = None
    if_doubt: str | None = None
    if_not: str | None = None
    record_args: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None


class Recorder:
    """Records calls through a keeper."""

    def __init__(self, keeper: Keeper, *, clock: Clock, entropy: Entropy) -> None:
        """Take time and ids from `clock` and `entropy`."""
        self.keeper = keeper
        self._clock = clock
        self._entropy = entropy

    def wrap(self, function: Callable[P, R], recorded: Recorded) -> Callable[P, R]:
        """Return the function with every call recorded.

        Raises:
            TypeError: a generator, whose end nobody can tell; wrap what consumes it.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator cannot be recorded; record the function that consumes it")
        signature = inspect.signature(function)
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._wrap_async(function, signature, recorded))
        return self._wrap_plain(function, signature, recorded)

    def _wrap_async(
        self, function: Callable[..., Any], signature: inspect.Signature, recorded: Recorded
    ) -> Callable[..., Any]:
        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            started = self._start(signature, recorded, args, kwargs)
            await _kept(self.keeper.submit([started]))
            began = time.perf_counter()
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                await _kept(self.keeper.submit([self._failed(started, began, error)]))
                raise
            except BaseException as error:  # cancelled: the ledger waits for it, we do not
                self.keeper.submit([self._failed(started, began, error)])
                raise
            await _kept(self.keeper.submit([self._executed(started, began, result)]))
            return result

        return call

    def _wrap_plain(
        self, function: Callable[P, R], signature: inspect.Signature, recorded: Recorded
    ) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            started = self._start(signature, recorded, args, kwargs)
            first = self._hand_over(started, None)
            began = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._hand_over(self._failed(started, began, error), first)
                raise
            self._hand_over(self._executed(started, began, result), first)
            return result

        return call

    def _hand_over(self, draft: Draft, after: Future[None] | None) -> Future[None]:
        done = self.keeper.submit([draft], after=after)
        if not self.keeper.is_on_loop:
            self.keeper.wait(done, [draft])
        return done

    def _start(
        self,
        signature: inspect.Signature,
        recorded: Recorded,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Draft:
        arguments = _bound(signature, args, kwargs)
        asked = {name: arguments[name] for name in recorded.record_args if name in arguments}
        return Draft(
            id=uuid7(self._clock, self._entropy), seq=0, who=recorded.who, did=recorded.did,
            this=_about(recorded.this, arguments), at=self._clock.now(),
            confirmed_by=recorded.confirmed_by, if_ok=recorded.if_ok, if_doubt=recorded.if_doubt,
            if_not=recorded.if_not, status="running", type="system", tags=recorded.tags,
            subsystem="python", input=_told(asked) if asked else None,
        )  # fmt: skip

    def _executed(self, started: Draft, began: float, result: Any) -> Draft:
        return self._end(started, began, status="executed", output_hash=output_hash(result))

    def _failed(self, started: Draft, began: float, error: BaseException) -> Draft:
        kind = type(error)
        name = kind.__qualname__
        told = {
            "type": name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}",
            "message": _message(error),
        }
        return self._end(started, began, status="failed", error=told)

    def _end(self, started: Draft, began: float, **fields: Any) -> Draft:
        duration_ms = round((time.perf_counter() - began) * 1000)
        return msgspec.structs.replace(
            started, seq=1, at=self._clock.now(), duration_ms=duration_ms, **fields
        )


def output_hash(result: Any) -> str | None:
    """Return the BLAKE3-256 of a result: of bytes as they are, of JSON by its RFC 8785 bytes.

    Structs and dataclasses count as JSON objects. None for anything else: a `repr` may hold an
    address in memory, and proves nothing.
    """
    if isinstance(result, (bytes, bytearray)):
        return blake3(result).hexdigest()
    try:
        return blake3(canonical(msgspec.to_builtins(result, str_keys=True))).hexdigest()
    except Exception:  # noqa: BLE001 - any object may fail in any way; recording must not
        return None


def _told(asked: dict[str, Any]) -> Json:
    told = {}
    for name, value in asked.items():
        try:
            one = plain(value)
        except Exception:  # noqa: BLE001 - any object may fail in any way; recording must not
            one = f"({type(value).__name__})"
        told[name] = one if is_keepable(one) else readable(repr(one))
    return told


def _bound(
    signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:  # the call itself will say so
        return {}
    bound.apply_defaults()
    return dict(bound.arguments)


def _about(this: This, arguments: dict[str, Any]) -> str | None:
    """Say what the call is about; None, and so a ghost, where that cannot be said."""
    try:
        if callable(this):
            return str(this(**arguments))
        return this.format_map(arguments) if this is not None else None
    except Exception:  # noqa: BLE001 - the function must run all the same
        return None


def _message(error: BaseException) -> str:
    try:
        return readable(str(error))
    except Exception:  # noqa: BLE001 - an error that cannot be told still is one
        return ""


async def _kept(done: Future[None]) -> None:
    await asyncio.shield(asyncio.wrap_future(done))
