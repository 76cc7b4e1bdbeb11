"""A story: the lines that follow from one beginning, told as acts and the moves of their lives.

Always holds: `seq` counts without gaps, a consequence names its cause and branch and comes later
than it, and what an act promises (`if_ok`, `if_doubt`, `if_not`) is the code of what really
follows, because `consequence` reads it from there.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from loglineos.ledger.record import Draft
from loglineos.services.scenario.dice import Dice
from loglineos.services.scenario.house import HouseData
from loglineos.services.scenario.rhythm import SECOND, Instant, moment_of

Branch = Literal["ok", "doubt", "not"]


class Act:
    """The life of one entity while its story is told; `kept` are the columns that stay."""

    __slots__ = ("at", "id", "kept", "seq", "status")

    def __init__(self, entity: UUID, at: Instant, status: str, kept: dict[str, Any]) -> None:
        """Begin a life at `seq` 0."""
        self.id = entity
        self.at = at
        self.seq = 0
        self.status = status
        self.kept = kept


class Story:
    """Collects the lines of one story; `lines` are (instant, draft), not yet in order."""

    __slots__ = ("_acts", "_models", "_tenant", "_types", "dice", "lines", "trace")

    def __init__(self, *, tenant: str, dice: Dice, house: HouseData, types: dict[str, str]) -> None:
        """Begin with no lines; `types` gives each actor's usual LogLine type."""
        self._tenant = tenant
        self._acts = house.acts
        self._models = house.models
        self._types = types
        self.dice = dice
        self.trace = dice.hexadecimal(32)
        self.lines: list[tuple[Instant, Draft]] = []

    def act(
        self,
        did: str,
        at: Instant,
        *,
        who: str,
        this: str,
        by: str,
        status: str,
        cause: Act | None = None,
        branch: Branch | None = None,
        owner: str | None = None,
        shared: tuple[str, ...] | None = None,
        visibility: str = "tenant",
        **columns: Any,
    ) -> Act:
        """Begin the life of an entity with a complete act, witnessed `by` someone."""
        kind = self._acts[did]
        kept: dict[str, Any] = {
            "tenant_id": self._tenant,
            "id": self.dice.uuid7(at // 1000),
            "entity_type": kind.entity,
            "this": this,
            "confirmed_by": by,
            "if_ok": kind.ok,
            "if_doubt": kind.doubt,
            "if_not": kind.not_,
            "subsystem": kind.subsystem,
            "trace_id": self.trace,
            "visibility": visibility,
        }
        if owner:
            kept["owner_id"] = owner
        if shared:
            kept["shared_with"] = shared
        if cause:
            columns["cause_id"] = cause.id
            columns["branch"] = branch
        act = Act(kept["id"], at, status, kept)
        columns.setdefault("type", kind.type or self._types[who])
        self._line(act, at, who, did, columns)
        return act

    def move(
        self,
        act: Act,
        at: Instant,
        did: str,
        *,
        who: str,
        status: str,
        gesture: str | None = None,
        cause: Act | None = None,
        **columns: Any,
    ) -> None:
        """Append the next event of an entity's life: a machine's move, or a person's gesture.

        Who makes a gesture is its witness (`confirmed_by`), as in the ledger's own gestures.
        """
        act.seq += 1
        act.status = status
        act.at = at
        if cause:
            columns["cause_id"] = cause.id
        if gesture:
            columns["metadata"] = {"gesture": gesture, "by": who}
            if gesture != "annotate":
                act.kept["confirmed_by"] = who
        columns.setdefault("type", self._types[who])
        self._line(act, at, who, did, columns)

    def consequence(
        self,
        cause: Act,
        branch: Branch,
        at: Instant,
        *,
        who: str,
        by: str,
        status: str = "executed",
        this: str | None = None,
        **columns: Any,
    ) -> Act:
        """Let happen what `cause` promised for `branch`; its code is the new act's `did`."""
        did = cause.kept[f"if_{branch}"]
        return self.act(
            did,
            at,
            who=who,
            by=by,
            status=status,
            this=this or cause.kept["this"],
            cause=cause,
            branch=branch,
            **columns,
        )

    def measures(self, model: str, *, tokens_in: int) -> dict[str, Any]:
        """Return the columns that a model's act carries: model, tokens, cost and latency."""
        name, provider = self._models[model]
        tokens_out = self.dice.between(12, 90)
        return {
            "model": name,
            "provider": provider,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost_micros": (tokens_in * 3 + tokens_out * 11) // 10,
            "currency": "EUR",
            "latency_ms": self.dice.between(180, 2_400),
        }

    def raw(self, at: Instant, columns: dict[str, Any]) -> None:
        """Append a line as its author typed it, complete or not."""
        self.lines.append((at, Draft(**columns)))

    def _line(self, act: Act, at: Instant, who: str, did: str, columns: dict[str, Any]) -> None:
        draft = Draft(
            **act.kept,
            seq=act.seq,
            at=moment_of(at),
            who=who,
            did=did,
            status=act.status,
            **columns,
        )
        self.lines.append((at, draft))

    def pause(self, low_s: int, high_s: int) -> int:
        """Choose a span between two numbers of seconds, in microseconds and never round."""
        return self.dice.between(low_s * SECOND, high_s * SECOND)
