"""The small effects: an id, the time, a word for the log, the end of a run."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from loglineos.base.clock import rfc3339
from loglineos.runtime.execution.effects.effect import (
    Call,
    Denied,
    Done,
    End,
    Performed,
    World,
    effect,
)
from loglineos.runtime.ids import derived_id

_LOG_CHARACTERS_MAX: Final = 4_000
_CODE_CHARACTERS_MAX: Final = 80


@effect("ctx.uuid", "pure", like="()")
async def make_uuid(world: World, call: Call) -> Performed:
    """Give an id of its own to each step: the same at each replay."""
    return Done(value=str(derived_id("uuid", str(call.execution.id), call.place)))


@effect("ctx.now", "pure", like="()")
async def tell_time(world: World, call: Call) -> Performed:
    """Tell the time of the step."""
    return Done(value=rfc3339(call.now))


@effect("ctx.log", "pure", like="(text, **fields)")
async def keep_log(world: World, call: Call) -> Performed:
    """Keep a line for whoever reads the function's log; the step itself is the line."""
    if len(str(call.arguments["text"])) > _LOG_CHARACTERS_MAX:
        return Denied(type="ValueError", message="ctx.log: the text is too long", code="too_large")
    return Done()


@effect("ctx.fail", "end", like="(code, message=None, **data)")
async def fail_run(world: World, call: Call) -> Performed:
    """End the run as failed, with a code of the house's own and data to act on."""
    code = str(call.arguments["code"])[:_CODE_CHARACTERS_MAX]
    message = call.arguments["message"]
    error: dict[str, Any] = {"code": code, "type": "Fail", "message": str(message or code)}
    if call.arguments["data"]:
        error["data"] = call.arguments["data"]
    return End(error=error)


@effect("ctx.secret.use", "pure", like="(name)", needs=lambda a: (f"secret:{a['name']}",))
async def use_secret(world: World, call: Call) -> Performed:
    """Give a handle on a secret; the secret itself only ever reaches the door of `ctx.http`."""
    name = str(call.arguments["name"])
    if world.secrets.read(call.tenant, name) is None:
        return Denied(
            type="KeyError", message="ctx.secret: there is no such secret", code="not_found"
        )
    return Done(value={"$secret": name})


SMALL: Final = (make_uuid, tell_time, keep_log, fail_run, use_secret)


def parse_id(value: Any) -> UUID | None:
    """Read an id that a program gave; None when it is none."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
