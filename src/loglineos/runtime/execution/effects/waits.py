"""Waits of a run: for a time, a person, a fact. The run rests; nothing is held meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import LoglineError
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.effects.acts import failed
from loglineos.runtime.execution.effects.effect import (
    Call,
    Denied,
    Done,
    Performed,
    Rest,
    World,
    effect,
)
from loglineos.runtime.execution.effects.reads import plain_record
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.ids import derived_id

WAIT_S_MAX: Final = 366 * 86_400.0
QUESTION_CHARACTERS_MAX: Final = 2_000
ANSWERS: Final = {"confirmed": "yes", "ratified": "yes", "denied": "no", "under_review": "doubt"}
"""What a person's gesture on a question says."""
_OF_NO_PERSON: Final = ("function:", "policy:")
_ANSWER_WORDS: Final = ("yes", "no", "doubt")
_PATTERN: Final = ("who", "did", "this", "status", "type", "entity_type", "tags", "id")
_ASKED_AGAIN_MAX: Final = 20


@effect("ctx.sleep", "wait", like="(seconds)")
async def sleep_for(world: World, call: Call) -> Performed:
    """Rest for some seconds, days or months."""
    return _rest_until(call, lambda: _after(call, call.arguments["seconds"]))


@effect("ctx.until", "wait", like="(when)")
async def sleep_until(world: World, call: Call) -> Performed:
    """Rest until an instant."""
    return _rest_until(call, lambda: _instant(call.arguments["when"], call))


@effect(
    "ctx.confirm",
    "wait",
    like="(question, who=None, timeout_s=None, if_timeout='no')",
    needs=("confirm",),
)
async def ask_person(world: World, call: Call) -> Performed:
    """Ask a person, who answers by a gesture on the question; rest until then."""
    asked = call.arguments
    if call.step is None:
        if (problem := _check_question(asked)) is not None:
            return problem
        until = _after(call, asked["timeout_s"]) if asked["timeout_s"] is not None else None
        return until if isinstance(until, Denied) else _ask(call, 0, until)
    again = int(call.step.metadata.get("again", 0))
    question = derived_id("question", str(call.execution.id), call.place, str(again))
    try:
        head = await world.writer.latest(call.tenant, question)
    except LoglineError as failure:
        return failed("ctx.confirm", failure)
    answer = ANSWERS.get(head.status or "")
    until = _told_until(call)
    if answer is not None and _may_answer(head, asked["who"]):
        return Done(value={"answer": answer, "who": head.who, "record": str(head.id)})
    if until is not None and call.now >= until:
        closing = () if head.status != "pending" else (_close(head, call),)
        value = {"answer": asked["if_timeout"], "who": None, "record": str(head.id)}
        return Done(value=value, drafts=closing)
    if head.status != "pending" and again < _ASKED_AGAIN_MAX:  # somebody else spoke: ask again
        return _ask(call, again + 1, until)
    return Rest(until=until, waiting_for={"kind": "question", "id": str(question)})


@effect("ctx.wait_for", "wait", like="(pattern, timeout_s=None)", needs=("wait",))
async def wait_for_fact(world: World, call: Call) -> Performed:
    """Rest until a record that fits `pattern` is appended; give it, or None after `timeout_s`."""
    pattern = call.arguments["pattern"]
    wanted = pattern_of(pattern)
    if isinstance(wanted, Denied):
        return wanted
    waiting_for = {"kind": "pattern", "pattern": pattern}
    if call.step is None:
        timeout_s = call.arguments["timeout_s"]
        until = _after(call, timeout_s) if timeout_s is not None else None
        if isinstance(until, Denied):
            return until
        return Rest(until=until, waiting_for=waiting_for)
    reader = world.reader(call.tenant, call.asker.name)
    try:
        found = await first_match(reader, wanted, pattern, after=call.step.position or 0)
    except LoglineError as failure:
        return failed("ctx.wait_for", failure)
    if found is not None:
        return Done(value=plain_record(found))
    until = _told_until(call)
    if until is not None and call.now >= until:
        return Done(value=None)
    return Rest(until=until, waiting_for=waiting_for)


WAITS: Final = (sleep_for, sleep_until, ask_person, wait_for_fact)


def pattern_of(pattern: Any) -> Filter | Denied:
    """Read a pattern: columns and the values that they must have."""
    if not isinstance(pattern, dict) or not pattern or set(pattern) - set(_PATTERN):
        return Denied(
            type="ValueError",
            code="invalid_input",
            message=f"ctx.wait_for: a pattern is an object with some of {', '.join(_PATTERN)}",
        )
    try:
        return msgspec.convert({k: v for k, v in pattern.items() if k != "id"}, Filter)
    except msgspec.ValidationError:
        return Denied(
            type="ValueError", code="invalid_input", message="ctx.wait_for: a pattern holds texts"
        )


def fits(record: Record, pattern: dict[str, Any]) -> bool:
    """Tell whether a record is what a pattern waits for. Bookkeeping of runs never is."""
    if (
        record.entity_type in ("step", "execution")
        and pattern.get("entity_type") != record.entity_type
    ):
        return False
    for name, value in pattern.items():
        if name == "tags":
            if not set(value) <= set(record.tags or ()):
                return False
        elif str(getattr(record, name)) != str(value):
            return False
    return True


async def first_match(
    reader: Any, wanted: Filter, pattern: dict[str, Any], *, after: int
) -> Record | None:
    """Find the first record after a position that fits; the same whenever it is asked."""
    while True:
        page = await reader.timeline(wanted, after=after, limit=200, oldest_first=True)
        for record in page.records:
            if fits(record, pattern):
                return record  # type: ignore[no-any-return]
        if page.next is None:
            return None
        after = page.next


def _ask(call: Call, again: int, until: datetime | None) -> Rest:
    asked, execution = call.arguments, call.execution
    question = derived_id("question", str(execution.id), call.place, str(again))
    whom = asked["who"]
    draft = Draft(
        id=question,
        seq=0,
        entity_type="question",
        who=f"function:{call.asker.name}",
        did="ask",
        this=asked["question"],
        at=call.now,
        confirmed_by=whom or "role:operator",
        status="pending",
        if_ok="sim",
        if_doubt="em dúvida",
        if_not="não",
        type="system",
        parent_id=execution.id,
        cause_id=execution.id,
        trace_id=execution.trace_id,
        owner_id=execution.owner_id,
        visibility=execution.visibility,
        shared_with=(whom,) if whom else None,
        run_at=until,
        simulated=execution.simulated,
        details={"if_timeout": asked["if_timeout"]} if until else None,
        metadata={
            "execution": str(execution.id),
            "asked_at": call.n,
            "depth": depth_of(execution) + 1,
        },
    )
    return Rest(
        until=until,
        drafts=(draft,),
        waiting_for={"kind": "question", "id": str(question), "again": again},
    )


def _close(head: Record, call: Call) -> Draft:
    """The question has had its time: it is put away, so that nobody answers into the void."""
    kept = {
        name: getattr(head, name)
        for name in (
            "entity_type",
            "this",
            "confirmed_by",
            "if_ok",
            "if_doubt",
            "if_not",
            "type",
            "parent_id",
            "cause_id",
            "trace_id",
            "owner_id",
            "visibility",
            "shared_with",
            "details",
            "simulated",
            "metadata",
        )
    }
    return Draft(
        id=head.id,
        seq=head.seq + 1,
        **kept,
        who=f"function:{call.asker.name}",
        did="close",
        at=call.now,
        status="archived",
    )


def _may_answer(head: Record, whom: str | None) -> bool:
    """Tell whether it was answered by a person's gesture, of whoever was asked."""
    who, about = head.who or "", head.metadata or {}
    if who.startswith(_OF_NO_PERSON) or about.get("by") != who or "gesture" not in about:
        return False
    return whom is None or whom.startswith("role:") or who == whom


def _check_question(asked: dict[str, Any]) -> Denied | None:
    question, whom = asked["question"], asked["who"]
    if not isinstance(question, str) or not 0 < len(question) <= QUESTION_CHARACTERS_MAX:
        return Denied(
            type="ValueError", code="invalid_input", message="ctx.confirm: the question is a text"
        )
    if whom is not None and (not isinstance(whom, str) or not 0 < len(whom) <= 200):
        return Denied(
            type="ValueError", code="invalid_input", message="ctx.confirm: who is an actor's name"
        )
    if asked["if_timeout"] not in _ANSWER_WORDS:
        return Denied(
            type="ValueError",
            code="invalid_input",
            message="ctx.confirm: if_timeout is yes, no or doubt",
        )
    return None


def _rest_until(call: Call, begin: Any) -> Performed:
    until = _told_until(call) if call.step is not None else begin()
    if isinstance(until, Denied):
        return until
    if until is None or call.now >= until:
        return Done(value=None)
    return Rest(until=until, waiting_for={"kind": "time"})


def _told_until(call: Call) -> datetime | None:
    """Read from the journal until when the step waits."""
    told = call.step.metadata.get("until") if call.step is not None else None
    return datetime.fromisoformat(told) if isinstance(told, str) else None


def _after(call: Call, seconds: Any) -> datetime | Denied:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= WAIT_S_MAX
    ):
        return Denied(
            type="ValueError",
            code="invalid_input",
            message=f"{call.name}: seconds are a number, at most a year",
        )
    return call.now + timedelta(seconds=seconds)


def _instant(when: Any, call: Call) -> datetime | Denied:
    told = when.get("$time") if isinstance(when, dict) else when
    try:
        instant = datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        return Denied(
            type="ValueError",
            code="invalid_input",
            message="ctx.until: an RFC 3339 time with a zone",
        )
    if instant - call.now > timedelta(seconds=WAIT_S_MAX):
        return Denied(
            type="ValueError", code="invalid_input", message="ctx.until: at most a year from now"
        )
    return instant


def until_text(until: datetime | None) -> str | None:
    """Write until when a step waits, for its journal."""
    return None if until is None else rfc3339(until)
