"""Why something that a policy wants is not done, and the violation that says so on the record.

Always holds: one violation tells of all the times that a policy broke one law in one batch, with
the records that it was about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.execution.requests import depth_of
from loglineos.runtime.policy.policies import Policy
from loglineos.runtime.violations import violation_draft

_SPANS_TOLD: Final = 20


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """An action that is not done: the law that it breaks, and why in words."""

    law: str
    said: Text


def said_by(policy: Policy) -> dict[str, Any]:
    """Return which policy, and which version of it, is behind a record."""
    return {"id": str(policy.id), "seq": policy.function.seq}


def violations(policy: Policy, denied: list[tuple[Record, Denial]]) -> list[Draft]:
    """Draft one violation for each law that was broken, whatever the number of times."""
    by_law: dict[str, list[tuple[Record, Denial]]] = {}
    for span, denial in denied:
        by_law.setdefault(denial.law, []).append((span, denial))
    return [violation(policy, found) for found in by_law.values()]


def violation(policy: Policy, found: Sequence[tuple[Record, Denial]], **details: Any) -> Draft:
    """Draft the record that says why something that a policy wants, or the policy, is refused.

    The same version of a policy that breaks the same law about the same records drafts the same.
    """
    span, denial = found[0]
    spans = [f"{one.id}/{one.seq}" for one, _ in found[:_SPANS_TOLD]]
    draft = violation_draft(
        denial.law, who=policy.who, said=denial.said, which=policy.id, cause=span.id,
        key=f"{policy.function.seq}/{','.join(spans)}",
        trace_id=span.trace_id, times=len(found), spans=spans,
        depth=max(depth_of(one) for one, _ in found) + 1, policy=said_by(policy), **details,
    )  # fmt: skip
    is_private = any(one.visibility == "private" for one, _ in found)
    return msgspec.structs.replace(
        draft, parent_id=policy.id, description=denial.said.pt, owner_id=policy.function.owner_id,
        visibility="private" if is_private and policy.function.owner_id else "tenant",
        simulated=span.simulated,
    )  # fmt: skip


def of_result(result: dict[str, Any]) -> Denial:
    """Read why the kernel refuses an action."""
    said = result.get("said") or {}
    field = str(result.get("field", ""))[:100]
    words = Text(f"{said.get('pt', '')}: {field}", f"{said.get('en', '')}: {field}")
    return Denial(law=str(result.get("reason", "policy.refused")), said=words)


def forged_who(said_who: str) -> Denial:
    """Say that nobody speaks in another's name."""
    name = said_who[:80]
    return Denial(
        law="who.forged",
        said=Text(
            f"uma política não fala em nome de {name}",
            f"a policy does not speak in the name of {name}",
        ),
    )


def no_function(name: str) -> Denial:
    """Say that there is no such function, or none that may run."""
    return Denial(
        law="function.unknown",
        said=Text(
            f"não há função {name[:80]} que possa correr",
            f"there is no function {name[:80]} that may run",
        ),
    )


def no_column(what: str) -> Denial:
    """Say what does not fit into a record."""
    return Denial(
        law="column.malformed",
        said=Text(f"não cabe num registo: {what}", f"does not fit into a record: {what}"),
    )
