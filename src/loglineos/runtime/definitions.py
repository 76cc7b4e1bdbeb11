"""Definitions: what a house has defined so far, as its latest records say, unverified.

Always holds: of two entities of one name the older one keeps it, so that nobody can slip another
function under a name that is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from loglineos.base.errors import InvalidInput, NotFound
from loglineos.database.pool import Pool
from loglineos.database.queries import Queries
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.writer import Writer
from loglineos.runtime.following import asking
from loglineos.runtime.functions import KINDS, Function, as_said, function_of
from loglineos.runtime.ids import derived_id

_SQL: Final = Queries.load("loglineos.runtime", "definitions.sql")
ALIAS: Final = "alias"
"""A name that the house learned: `name` as it is said, `parent_id` the function that is meant."""


async def list_definitions(
    pool: Pool, tenant: str, *, types: Sequence[str] = KINDS
) -> list[Record]:
    """Return the latest event of each entity of these types, oldest entity first."""
    async with asking(pool) as connection:
        asked = {"tenant": tenant, "types": list(types)}
        cursor = await connection.execute(_SQL["list_definitions"], asked)
        return [record_of(row) for row in await cursor.fetchall()]


def names_of(records: Iterable[Record]) -> dict[str, UUID]:
    """Return which function each name means: names first, then aliases, then learned names.

    Withdrawn functions and records that define none have no name.
    """
    records = list(records)
    functions = [function for record in records if (function := _readable(record)) is not None]
    names: dict[str, UUID] = {}
    for function in functions:
        names.setdefault(as_said(function.name), function.id)
    for function in functions:
        for alias in function.aliases:
            names.setdefault(as_said(alias), function.id)
    known = {function.id for function in functions}
    for record in records:
        is_learned = record.entity_type == ALIAS and record.status == "active" and record.name
        if is_learned and record.parent_id in known:
            names.setdefault(as_said(record.name or ""), record.parent_id)
    return names


async def find_function(pool: Pool, tenant: str, which: str) -> Function:
    """Return the function that a person means, by name, alias or id, unverified.

    Raises:
        NotFound: there is none.
    """
    records = await list_definitions(pool, tenant, types=("function", ALIAS))
    entity = names_of(records).get(as_said(which)) or _id_of(which)
    for record in records:
        if record.id == entity and (function := _readable(record)) is not None:
            return function
    raise NotFound(what="function", which=which[:100])


async def learn_alias(
    writer: Writer, tenant: str, said: str, *, function: UUID, who: str, cause: UUID | None = None
) -> Record:
    """Remember that `said` means this function; the same again changes nothing.

    A name or alias that a function declares itself goes before what was learned.
    """
    name = as_said(said)
    entity = derived_id(ALIAS, name)
    try:
        head = await writer.latest(tenant, entity)
        if head.parent_id == function and head.status == "active":
            return head
    except NotFound:
        pass
    draft = Draft(
        id=entity, entity_type=ALIAS, who=who, did="teach", this=said, name=name, status="active",
        parent_id=function, related_to=(function,), cause_id=cause,
    )  # fmt: skip
    (record,) = await writer.append([draft], tenant=tenant)
    return record


def _readable(record: Record) -> Function | None:
    if record.entity_type != "function" or record.status != "active":
        return None
    try:
        return function_of(record)
    except InvalidInput:
        return None


def _id_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
