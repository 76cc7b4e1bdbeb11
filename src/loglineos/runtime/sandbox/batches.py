"""A batch of spans on its way into the sandbox, and what `on(span)` gave on its way out.

Both cross as JSON text: one text is cheaper than half a million values, and text has no shared
parts. The text that comes out was written by a stranger's program and is read as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from loglineos.base.errors import InvalidInput, TooLarge, ValueRefused, shape_of
from loglineos.base.language import Text
from loglineos.runtime.sandbox.frames import BatchText
from loglineos.runtime.sandbox.limits import BATCH_LIMITS, BATCH_SPANS_MAX, RunLimits
from loglineos.runtime.sandbox.turns import Evaluated, Failed, Outcome, ProgramError
from loglineos.runtime.sandbox.values import canon

_MESSAGE_MAX: Final = 2000
_WHERE_LINES_MAX: Final = 20
_WHERE_MAX: Final = 200


def written(spans: Sequence[Any] | bytes) -> str:
    """Write a batch as one JSON text, keys in order.

    Raises:
        TooLarge: more than `BATCH_SPANS_MAX` spans or `BATCH_LIMITS.bytes_max` bytes.
        InvalidInput: a span is no JSON.
    """
    if isinstance(spans, bytes):
        content = spans
    else:
        if len(spans) > BATCH_SPANS_MAX:
            raise TooLarge(
                field="spans",
                shape=shape_of(spans),
                limit=BATCH_SPANS_MAX,
                limit_name="BATCH_SPANS_MAX",
            )
        try:
            content = orjson.dumps(list(spans), option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError as cause:
            reason = Text("não é JSON", "is no JSON")
            raise InvalidInput(field="spans", shape=shape_of(spans), reason=reason) from cause
    if len(content) > BATCH_LIMITS.bytes_max:
        raise TooLarge(
            field="spans",
            shape=f"{len(content)} bytes",
            limit=BATCH_LIMITS.bytes_max,
            limit_name="BATCH_LIMITS.bytes_max",
        )
    return content.decode()


def parse(batch: BatchText, limits: RunLimits) -> Outcome:
    """Read what a batch gave; a span whose actions may not cross fails by itself."""
    if len(batch.text) > BATCH_LIMITS.bytes_max:
        return _failed(batch, "size", "too many actions")
    try:
        rows = orjson.loads(batch.text)
        results = tuple(_result(row, limits) for row in rows)
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return _failed(batch, None, "on() gave what is no JSON")
    return Evaluated(results=results, cpu_us=batch.cpu_us, printed=batch.printed)


def failing(outcome: Evaluated) -> int | None:
    """Return the place of the first span that failed, if it is not yet known in which line."""
    for index, (_, error) in enumerate(outcome.results):
        if error is not None:
            return None if error.where else index
    return None


def _result(row: Any, limits: RunLimits) -> tuple[list[Any] | None, ProgramError | None]:
    actions, error = row
    if error is not None:
        kind, message, where = error
        return None, ProgramError(
            type=str(kind)[:60],
            message=str(message)[:_MESSAGE_MAX],
            where=tuple(str(line)[:_WHERE_MAX] for line in where[-_WHERE_LINES_MAX:]),
        )
    if actions is None or actions == []:
        return [], None
    if type(actions) is not list:
        return None, ProgramError(type="TypeError", message="on(span) must return a list")
    try:
        return canon(actions, limits=limits.value, field="actions"), None
    except ValueRefused as refused:
        return None, ProgramError(type="ValueRefused", message=refused.describe("en"))


def _failed(batch: BatchText, limit: Any, message: str) -> Failed:
    error = ProgramError(type="ValueError", message=message, limit=limit)
    return Failed(error=error, cpu_us=batch.cpu_us, printed=batch.printed)
