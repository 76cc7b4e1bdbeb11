"""Acts of a run: records, other runs, and what is to be undone if it fails.

Always holds: what a run appends says `function:NAME` as its author, belongs to the run's tenant and
owner, names the run as its cause, and is appended together with the step that asked for it; nothing
that defines the house (keys, actors, code, law) or its bookkeeping can be written this way, and
nothing that only people decide, be it of a record of the run's own or of somebody else's.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import LoglineError, NotFound
from loglineos.database.queries import Queries
from loglineos.ledger.record import DRAFT_FIELDS, Draft
from loglineos.ledger.reserved import JOURNAL
from loglineos.runtime.execution.effects.effect import (
    Call,
    Denied,
    Done,
    End,
    Performed,
    Rest,
    World,
    effect,
)
from loglineos.runtime.execution.effects.small import parse_id
from loglineos.runtime.execution.requests import DEPTH_MAX, depth_of, draft_request, is_unfinished
from loglineos.runtime.following import asking
from loglineos.runtime.ids import derived_id
from loglineos.runtime.manifest import LAW_TYPES

_SQL: Final = Queries.load("loglineos.runtime.execution", "execution.sql")
OURS: Final = LAW_TYPES | {"policy_violation", "intent"}
"""Entity types that only the house itself and its runtime write."""
OF_PEOPLE: Final = frozenset({"confirmed", "denied", "ratified", "reverted", "under_review"})
"""Statuses that only a person's gesture gives; neither a run nor a policy does."""
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_OF_GESTURES: Final = ("gesture", "by", "noted_at")
_FORBIDDEN: Final = (
    "tenant_id",
    "who",
    "owner_id",
    "signature",
    "public_key",
    "curr_hash",
    "prev_hash",
    "position",
    "recorded_at",
    "valid",
)
_DELAY_S_MAX: Final = 366 * 86_400.0


@effect("ctx.emit", "append", like="(span)", needs=("emit",))
async def emit_record(world: World, call: Call) -> Performed:
    """Append one record; a known `id` goes on with that life. The record is its own step."""
    draft = draft_span(call.arguments["span"], call)
    if isinstance(draft, Denied):
        return draft
    assert draft.id is not None, "it has an id, the program's or a derived one"
    seq = 0
    if draft.seq is not None:
        try:
            head = await world.writer.latest(call.tenant, draft.id)
        except NotFound:
            if draft.id.version == _DERIVED and not _is_own(draft.id, call):
                return _FOREIGN_ID
        except LoglineError as failure:
            return failed("ctx.emit", failure)
        else:
            if head.entity_type in OURS or head.entity_type == "question":  # people go on with it
                return _NOT_YOURS
            if draft.status is None and head.status in OF_PEOPLE:
                return _of_people(head.status)
            seq = head.seq + 1
    value = {"id": str(draft.id), "seq": seq}
    return Done(value=value, drafts=(msgspec.structs.replace(draft, seq=seq),), is_carried=True)


def _is_own(identity: UUID, call: Call) -> bool:
    """Tell whether an id is one that this run's own `ctx.uuid` gave."""
    execution = str(call.execution.id)
    places = [str(n) for n in range(1, call.n)]
    if call.epoch:
        places += [f"{n}/{call.epoch}" for n in range(1, call.n)]
    return any(identity == derived_id("uuid", execution, place) for place in places)


def draft_span(span: Any, call: Call) -> Draft | Denied:
    """Draft a record that a program wrote; `seq` is None for a new life, else to be found."""
    if not isinstance(span, dict):
        return _bad("a record is an object with who did what")
    given = {
        "at" if name == "when" else name: value for name, value in span.items() if value is not None
    }
    author = f"function:{call.asker.name}"
    forged = [
        name for name in _FORBIDDEN if name in given and given[name] not in (author, call.tenant)
    ]
    if forged:
        return Denied(
            type="PermissionError",
            code="forbidden",
            message=f"ctx.emit: {forged[0]} is not yours to say; the ledger says it",
        )
    kind = given.get("entity_type", "logline")
    if not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
        return _bad("entity_type is a plain word in small letters")
    if kind in OURS:
        return _NOT_YOURS
    if given.get("status") in tuple(OF_PEOPLE):
        return _of_people(given["status"])
    unknown = sorted(set(given) - set(DRAFT_FIELDS))
    if unknown:
        return _bad(f"there is no column {unknown[0][:40]}; put it into details")
    metadata = given.pop("metadata", None) or {}
    if not isinstance(metadata, dict):
        return _bad("metadata is an object")
    execution = call.execution
    metadata = {
        name: value for name, value in metadata.items() if name not in (JOURNAL, *_OF_GESTURES)
    }
    about = {**metadata, "execution": str(execution.id), "depth": depth_of(execution) + 1}
    known = parse_id(given.pop("id", None))
    given.pop("seq", None)
    for name in (*_FORBIDDEN, "simulated"):
        given.pop(name, None)
    ours = {
        "entity_type": kind,
        "who": author,
        "owner_id": execution.owner_id,
        "simulated": execution.simulated,
        "metadata": about,
        "cause_id": str(execution.id),
    }
    led = given.pop("cause_id", None)  # the run is what led here; what it names is related
    if led is not None:
        related = given.get("related_to") or []
        if not isinstance(related, list):
            return _bad("related_to is a list of ids")
        given["related_to"] = [*related, led]
    given.setdefault("trace_id", execution.trace_id)
    given.setdefault("visibility", execution.visibility)
    given.setdefault("at", call.now)
    try:
        draft = msgspec.convert({**given, **ours}, Draft)
    except msgspec.ValidationError as cause:
        return _bad(f"a column has the wrong type ({_place(cause)})")
    if known is None:
        return msgspec.structs.replace(draft, id=derived_id("emit", str(execution.id), call.place))
    return msgspec.structs.replace(draft, id=known, seq=-1)


@effect(
    "ctx.enqueue",
    "append",
    needs=("enqueue",),
    like="(function, input=None, queue=None, delay_s=0, run_at=None, priority=0, key=None)",
)
async def enqueue_run(world: World, call: Call) -> Performed:
    """Ask for another run, now or later; do not wait for it."""
    asked = await _request(world, call, call.arguments)
    if isinstance(asked, Denied):
        return asked
    if asked.idempotency_key is not None:
        try:
            known = await _known(world, call.tenant, asked)
        except LoglineError as failure:
            return failed("ctx.enqueue", failure)
        if known is not None:
            return Done(value={"id": str(known)})
    return Done(value={"id": str(asked.id)}, drafts=(asked,))


async def _known(world: World, tenant: str, asked: Draft) -> UUID | None:
    """Return the run that was asked for under the same key and has not ended."""
    named = {"tenant": tenant, "key": asked.idempotency_key, "name": asked.name}
    async with asking(world.writer.pool) as connection:
        row = await (await connection.execute(_SQL["find_job"], named)).fetchone()
    return None if row is None else row[0]


@effect("ctx.run", "wait", like="(function, input=None, wait=True)", needs=("run",))
async def run_child(world: World, call: Call) -> Performed:
    """Run another function as a child; give its output, or raise what it failed with."""
    if call.step is None:
        asked = await _request(world, call, call.arguments, is_child=True)
        if isinstance(asked, Denied):
            return asked
        if not call.arguments["wait"]:
            return Done(value={"id": str(asked.id)}, drafts=(asked,))
        return Rest(
            until=None, waiting_for={"kind": "execution", "id": str(asked.id)}, drafts=(asked,)
        )
    return await child_outcome(world, call)


async def child_outcome(world: World, call: Call) -> Performed:
    """Tell how a child ended, or wait on."""
    child = derived_id("child", str(call.execution.id), call.place)
    head = await world.writer.latest(call.tenant, child)
    if is_unfinished(head):
        return Rest(until=None, waiting_for={"kind": "execution", "id": str(child)})
    if head.status in ("complete", "slow"):
        return Done(value=head.output)
    error = head.error if isinstance(head.error, dict) else {}
    return Denied(
        type="RuntimeError",
        code=str(error.get("code", head.status)),
        message=f"ctx.run: the child ended as {head.status} ({error.get('code', 'no code')})",
    )


@effect("ctx.compensate", "pure", like="(function, input=None)", needs=("run",))
async def register_compensation(world: World, call: Call) -> Performed:
    """Note what undoes the step before, should this run fail: the last noted runs first."""
    found = await world.directory.resolve(call.tenant, str(call.arguments["function"]))
    if found is None:
        return _no_function(call.arguments["function"])
    return Done(value=None)


@effect("ctx.continue_as_new", "end", like="(input=None)", needs=("run",))
async def continue_as_new(world: World, call: Call) -> Performed:
    """End this run and begin another of the same function, with a journal of its own."""
    execution = call.execution
    successor = draft_request(
        function=call.asker.id,
        name=call.asker.name,
        who=f"function:{call.asker.name}",
        id=derived_id("continued", str(execution.id)),
        input=call.arguments["input"],
        queue=execution.queue or "default",
        priority=execution.priority or 0,
        max_attempts=execution.max_attempts or 1,
        cause=execution,
        depth=depth_of(execution),
    )
    return End(output={"continued_as": str(successor.id)}, drafts=(successor,))


ACTS: Final = (emit_record, enqueue_run, run_child, register_compensation, continue_as_new)


def failed(name: str, failure: LoglineError) -> Denied:
    """Tell a program of a failure of ours by its code alone."""
    return Denied(
        type="RuntimeError",
        message=f"{name}: {failure.code}",
        code=failure.code,
        is_passing=failure.retryable,
    )


async def _request(
    world: World, call: Call, asked: dict[str, Any], *, is_child: bool = False
) -> Draft | Denied:
    execution = call.execution
    if depth_of(execution) + 1 > DEPTH_MAX:
        return Denied(
            type="RuntimeError",
            code="too_deep",
            message=f"{call.name}: {DEPTH_MAX} runs have led to one another; the chain ends here",
        )
    found = await world.directory.resolve(call.tenant, str(asked["function"]))
    if found is None:
        return _no_function(asked["function"])
    run_at = _run_at(call, asked)
    if isinstance(run_at, Denied):
        return run_at
    priority = asked.get("priority", 0)
    key = asked.get("key")
    return draft_request(
        function=found.id,
        name=found.name,
        who=f"function:{call.asker.name}",
        id=derived_id("child" if is_child else "enqueued", str(execution.id), call.place),
        input=asked["input"],
        queue=str(asked.get("queue") or found.queue),
        run_at=run_at,
        at=call.now,
        priority=priority if isinstance(priority, int) else 0,
        max_attempts=found.max_attempts,
        key=str(key)[:200] if key is not None else None,
        cause=execution,
        parent_execution=execution.id,
    )


def _run_at(call: Call, asked: dict[str, Any]) -> datetime | Denied | None:
    if asked.get("run_at") is not None:
        try:
            told = msgspec.convert(asked["run_at"], datetime)
        except msgspec.ValidationError:
            told = None
        if told is None or told.tzinfo is None:
            return _bad("run_at is an RFC 3339 time with a zone", name=call.name)
        return told
    delay_s = asked.get("delay_s") or 0
    if not isinstance(delay_s, int | float) or not 0 <= delay_s <= _DELAY_S_MAX:
        return _bad("delay_s is a number of seconds, at most a year", name=call.name)
    return call.now + timedelta(seconds=delay_s) if delay_s else None


def _no_function(name: Any) -> Denied:
    return Denied(
        type="KeyError", message=f"there is no function {str(name)[:80]}", code="not_found"
    )


def _bad(why: str, *, name: str = "ctx.emit") -> Denied:
    return Denied(type="ValueError", message=f"{name}: {why}", code="invalid_input")


def _place(cause: msgspec.ValidationError) -> str:
    return str(cause).rpartition("`$.")[2].strip("`")[:60] or "see its type"


def _of_people(status: str) -> Denied:
    return Denied(
        type="PermissionError",
        message=f"ctx.emit: {status} is for a person to say",
        code="status_of_people",
    )


_DERIVED: Final = 8
"""The version of ids that follow from what they name: steps, questions, children of other runs."""
_FOREIGN_ID: Final = Denied(
    type="PermissionError",
    code="forbidden",
    message="ctx.emit: such an id belongs to what it is derived from; take one from ctx.uuid",
)
_NOT_YOURS: Final = Denied(
    type="PermissionError",
    message="ctx.emit: records of this type are the house's own",
    code="forbidden",
)
