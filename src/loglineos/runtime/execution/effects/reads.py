"""Reading the ledger from a run: what its function may see, as it was when the step was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError, NotFound
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Record
from loglineos.runtime.execution.effects.effect import Call, Denied, Done, Performed, World, effect
from loglineos.runtime.execution.effects.small import parse_id

FOUND_MAX: Final = 200
"""Records that one `ctx.ledger.find` or `history` may give."""
READ_BYTES_MAX: Final = 512 * 1024
_FILTERS: Final = frozenset(
    {
        "who",
        "did",
        "this",
        "status",
        "type",
        "entity_type",
        "tags",
        "text",
        "since",
        "until",
        "latest",
        "ghosts",
    }
)
_FILTER_NAMES: Final = ", ".join(sorted(_FILTERS))
_NO_ID: Final = Denied(type="ValueError", message="ctx.ledger: this is no id", code="invalid_input")


@effect("ctx.ledger.get", "pure", like="(id, seq=None)", needs=("ledger.read",))
async def get_record(world: World, call: Call) -> Performed:
    """Give one event of an entity, its latest without `seq`; None when there is none to see."""
    entity = parse_id(call.arguments["id"])
    if entity is None:
        return _NO_ID
    seq = call.arguments["seq"]
    try:
        record = await world.reader(call.tenant, call.asker.name).get(entity, seq=seq)
    except NotFound:
        return Done(value=None)
    except LoglineError as failure:
        return _failed(failure)
    return Done(value=plain_record(record))


@effect("ctx.ledger.history", "pure", like="(id, limit=100)", needs=("ledger.read",))
async def read_history(world: World, call: Call) -> Performed:
    """Give the life of an entity, its first event first."""
    entity = parse_id(call.arguments["id"])
    if entity is None:
        return _NO_ID
    reader = world.reader(call.tenant, call.asker.name)
    try:
        events = await reader.history(entity)
    except NotFound:
        return Done(value=[])
    except LoglineError as failure:
        return _failed(failure)
    records = [event.record for event in events]
    return _within(
        [plain_record(record) for record in records[: _bounded(call.arguments["limit"])]]
    )


@effect("ctx.ledger.find", "pure", like="(limit=50, **filters)", needs=("ledger.read",))
async def find_records(world: World, call: Call) -> Performed:
    """Give the newest records that a filter finds, newest first."""
    wanted = _filter_of(call.arguments["filters"])
    if isinstance(wanted, Denied):
        return wanted
    reader = world.reader(call.tenant, call.asker.name)
    try:
        page = await reader.timeline(wanted, limit=_bounded(call.arguments["limit"]))
    except LoglineError as failure:
        return _failed(failure)
    return _within([plain_record(record) for record in page.records])


READS: Final = (get_record, read_history, find_records)


def plain_record(record: Record) -> dict[str, Any]:
    """Write a record as plain JSON, as a program sees it; `when` is beside `at`."""
    plain: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(datetime,))
    for name, value in plain.items():
        if isinstance(value, datetime):
            plain[name] = rfc3339(value)
    plain["when"] = plain["at"]
    return plain


def _filter_of(given: dict[str, Any]) -> Filter | Denied:
    unknown = sorted(set(given) - _FILTERS)
    if unknown:
        return Denied(
            type="ValueError",
            code="unknown_name",
            message=f"ctx.ledger.find: no filter {unknown[0][:40]}; use {_FILTER_NAMES}",
        )
    fields = dict(given)
    text = fields.pop("text", None)
    if isinstance(text, str):
        words = text.split()
        fields["words"] = [word for word in words if not word.endswith("*")]
        fields["prefixes"] = [word[:-1] for word in words if word.endswith("*") and len(word) > 1]
    try:
        return msgspec.convert(fields, Filter)
    except msgspec.ValidationError:
        return Denied(
            type="ValueError",
            code="invalid_input",
            message="ctx.ledger.find: a filter has the wrong type (times are RFC 3339)",
        )


def _bounded(limit: Any) -> int:
    return max(1, min(limit, FOUND_MAX)) if isinstance(limit, int) else FOUND_MAX


def _within(found: list[dict[str, Any]]) -> Performed:
    if len(msgspec.json.encode(found)) > READ_BYTES_MAX:
        return Denied(
            type="ValueError",
            code="too_large",
            message="ctx.ledger: this is too much to read at once; narrow the search or its limit",
        )
    return Done(value=found)


def _failed(failure: LoglineError) -> Denied:
    return Denied(
        type="RuntimeError",
        message=f"ctx.ledger: {failure.code}",
        code=failure.code,
        is_passing=failure.retryable,
    )
