"""Traces: an execution is a trace or a part of one, each of its steps a span.

The ids are those that the records say: `trace_id` of the execution, `span_id` of each step; the
span of the execution itself has the id that `requests.span_of` gives. A turn of an execution that
takes several (it waits, or is tried again) is a span of its own beside the steps; the execution's
span is sent when it has ended.
Always holds: a span says names, codes, attempts and times; never an input, an output or a message.
Source: W3C Trace Context level 1; docs/how-to/observe.md.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from loglineos.ledger.record import Record
from loglineos.runtime.execution.journal import step_of_epoch
from loglineos.runtime.execution.observer import StepSeen, TurnSeen
from loglineos.runtime.execution.requests import span_of, trace_of
from loglineos.runtime.ids import derived_id

ENDED: Final = frozenset({"complete", "error", "dead", "denied", "archived"})
"""The statuses after which an execution does not go on by itself."""

_W3C: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCOPE: Final = InstrumentationScope("loglineos")
Values = dict[str, str | int]


class Spans:
    """Makes spans of what runs do, and hands each finished one to a processor."""

    def __init__(self, processor: SpanProcessor, *, resource: Resource | None = None) -> None:
        """Hand spans to `processor`; whoever made it shuts it down."""
        self._processor = processor
        self._resource = resource or Resource.create({"service.name": "logline"})

    def begin(self, execution: Record, *, worker: str, attempt: int) -> None:
        """Do nothing: a span is sent when it has ended."""

    def step(self, execution: Record, seen: StepSeen) -> None:
        """Send the span of a step, a child of its execution's."""
        step = step_of_epoch(execution.id, seen.n, seen.epoch)
        told: Values = {"logline.step": seen.n, **_about(execution)}
        if seen.cpu_us:
            told["logline.cpu_us"] = seen.cpu_us
        self._send(
            execution, seen.name[:120], own=step, parent=execution.id, told=told,
            times=(seen.began, seen.ended), code=seen.code, is_failed=seen.status == "error",
        )  # fmt: skip

    def end(self, execution: Record, seen: TurnSeen) -> None:
        """Send the span of a turn, and of the execution once it has ended."""
        is_over = seen.status in ENDED
        is_whole = is_over and seen.began == seen.started
        told: Values = {
            "logline.status": seen.status, "logline.attempt": seen.attempt,
            "logline.worker": seen.worker, **_about(execution),
        }  # fmt: skip
        is_failed = is_over and seen.status != "complete"
        if not is_whole:
            turn = derived_id("turn", str(execution.id), str(execution.seq), str(seen.attempt))
            self._send(
                execution, "turn", own=turn, parent=execution.id, told=told,
                times=(seen.began, seen.ended), code=seen.code, is_failed=is_failed,
            )  # fmt: skip
        if is_over:
            self._send(
                execution, execution.name or "?", own=execution.id, parent=_parent(execution),
                told=told, times=(min(seen.started, seen.ended), seen.ended), code=seen.code,
                is_failed=is_failed,
            )  # fmt: skip

    def _send(
        self, execution: Record, name: str, *, own: UUID, parent: UUID | None, told: Values,
        times: tuple[datetime, datetime], code: str | None, is_failed: bool,
    ) -> None:  # fmt: skip
        if code is not None:
            told = {**told, "error.type": code}
        trace = int(trace_id_of(execution), 16)
        span = ReadableSpan(
            name=name,
            context=_context(trace, own),
            parent=_context(trace, parent) if parent is not None else None,
            resource=self._resource,
            attributes=told,
            kind=SpanKind.INTERNAL,
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR if is_failed else StatusCode.UNSET),
            start_time=_nanoseconds(times[0]),
            end_time=_nanoseconds(times[1]),
        )
        self._processor.on_end(span)


def trace_id_of(execution: Record) -> str:
    """Return the trace of an execution: what its records say, where that is a W3C trace id."""
    told = execution.trace_id
    if told is not None and _W3C.fullmatch(told):
        return told
    found = trace_of(execution.id)
    assert found is not None, "an execution has an id"
    return found


def _parent(execution: Record) -> UUID | None:
    told = (execution.metadata or {}).get("parent_execution")
    try:
        return UUID(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _about(execution: Record) -> Values:
    return {
        "logline.tenant": execution.tenant_id, "logline.execution": str(execution.id),
        "logline.function": execution.name or "?", "logline.queue": execution.queue or "?",
    }  # fmt: skip


def _context(trace: int, span: UUID) -> SpanContext:
    return SpanContext(
        trace_id=trace, span_id=int(span_of(span), 16), is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )  # fmt: skip


def _nanoseconds(instant: datetime) -> int:
    passed = instant - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000
