"""What a policy is: its code, which records it is shown, and where it stands.

A policy is a row of type `policy`; its metadata says more than other code has to:

    shows       which records it is shown: [{"entity_type": "execution", "status": ["error"]}];
                left out: every record
    on_tick     it is also asked each minute, with "now" as its clock
    needs       which entities it is shown then, in the same form
    from_start  begin at the first record of the log, not at its own
    paused      {"by", "reason", "at"}: what happens meanwhile waits for it
    quarantined {"reason", "position", "at"}: it failed there; a new version or a resume goes on

Always holds: of a policy only its latest event counts; who is not active is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import orjson

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.columns import COLUMN_NAMES
from loglineos.ledger.record import Record
from loglineos.runtime.execution.effects.reads import plain_record
from loglineos.runtime.functions import Function
from loglineos.runtime.ids import derived_id

State = Literal["active", "paused", "quarantined", "withdrawn"]
BOOKKEEPING: Final = frozenset({"policy_cursor", "step", "boot_event"})
"""Types that no policy is shown: they tell how the runtime itself went on."""
_UNSEEN: Final = ("prev_hash", "curr_hash", "signature", "public_key", "code")
_CLAUSES_MAX: Final = 20


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """Columns and the values that a record must have there, any one of them in each."""

    wanted: tuple[tuple[str, frozenset[Any]], ...]

    def fits(self, record: Record) -> bool:
        """Tell whether a record has one of the wanted values in each column."""
        return all(getattr(record, name) in values for name, values in self.wanted)

    def of(self, name: str) -> list[Any] | None:
        """Return the values wanted in one column; None: any."""
        found = [sorted(values) for column, values in self.wanted if column == name]
        return found[0] if found else None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy of a tenant as its latest event says it."""

    function: Function
    begins: int
    """Where it begins when it has no place yet."""
    shows: tuple[Clause, ...]
    needs: tuple[Clause, ...]
    on_tick: bool

    @property
    def id(self) -> UUID:
        """The policy's own id."""
        return self.function.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.function.name

    @property
    def who(self) -> str:
        """In whose name its actions are."""
        return f"policy:{self.function.name}"

    @property
    def record(self) -> Record:
        """Its latest event."""
        return self.function.record

    @property
    def state(self) -> State:
        """Whether it is asked."""
        return state_of(self.function)

    @property
    def place(self) -> str:
        """The name of its cursor."""
        return f"policy/{self.id}"

    @property
    def cursor_id(self) -> UUID:
        """The entity that tells how far it has acted."""
        return derived_id("policy_cursor", str(self.id))

    def is_shown(self, record: Record) -> bool:
        """Tell whether the policy wants to see a record."""
        return not self.shows or any(clause.fits(record) for clause in self.shows)


def policy_of(function: Function, *, first_position: int) -> Policy:
    """Read what a policy says besides its code; `first_position` is where its life began.

    Raises:
        InvalidInput: `shows` or `needs` is no list of clauses.
    """
    metadata = function.record.metadata or {}
    begins = metadata.get("begins")
    if not isinstance(begins, int):
        begins = 0 if metadata.get("from_start") is True else first_position + 1
    return Policy(
        function=function,
        begins=begins,
        shows=clauses_of(metadata.get("shows"), field="shows"),
        needs=clauses_of(metadata.get("needs"), field="needs"),
        on_tick=metadata.get("on_tick") is True,
    )


def state_of(function: Function) -> State:
    """Tell whether a policy is asked."""
    if function.record.status != "active" or function.record.is_deleted:
        return "withdrawn"
    if function.quarantined:
        return "quarantined"
    return "paused" if function.paused else "active"


def clauses_of(told: Any, *, field: str) -> tuple[Clause, ...]:
    """Read clauses: a list of objects, column to value or list of values.

    Raises:
        InvalidInput: it is no such list, or names something that is no column.
    """
    if told is None:
        return ()
    is_list = isinstance(told, list | tuple) and len(told) <= _CLAUSES_MAX
    if not is_list or not all(isinstance(one, dict) and one for one in told):
        raise InvalidInput(field=field, shape=shape_of(told), reason=_CLAUSES)
    return tuple(Clause(wanted=tuple(_wanted(one, field))) for one in told)


def _wanted(clause: dict[str, Any], field: str) -> Iterable[tuple[str, frozenset[Any]]]:
    for name, value in clause.items():
        values = value if isinstance(value, list | tuple) else [value]
        if name not in COLUMN_NAMES or not all(isinstance(one, str) for one in values):
            raise InvalidInput(field=f"{field}.{name}", shape=shape_of(value), reason=_CLAUSES)
        yield name, frozenset(values)


Shown = tuple[Record, bytes]
"""A record, and the same as a policy sees it: JSON, written once for all of them."""


def span_of(record: Record) -> bytes:
    """Return a record as a policy sees it: its columns that have a value, without its proof."""
    plain = plain_record(record)
    for name in _UNSEEN:
        plain.pop(name, None)
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def shown_to(
    policies: Iterable[Policy],
    records: Iterable[Record],
    *,
    depth_max: int,
    depth_of: Callable[[Record], int],
) -> dict[UUID, list[Shown]]:
    """Sort out what each policy is shown; each record is made plain once, and only if wanted.

    What too many have led to is shown to nobody: the chain ends there.
    """
    asked: list[tuple[Policy, list[Shown]]] = [(policy, []) for policy in policies]
    for record in records:
        if record.entity_type in BOOKKEEPING or depth_of(record) > depth_max:
            continue
        plain: bytes | None = None
        for policy, shown in asked:
            if policy.is_shown(record):
                plain = plain if plain is not None else span_of(record)
                shown.append((record, plain))
    return {policy.id: shown for policy, shown in asked}


_CLAUSES: Final = Text(
    'é uma lista de objetos, coluna e valores: [{"entity_type": ["execution"]}]',
    'is a list of objects, column and values: [{"entity_type": ["execution"]}]',
)
