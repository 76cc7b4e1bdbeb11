"""Finding what a person means, and reading in their name.

Always holds: whoever may open the data folder is its owner; they read with the rights of an owner
of the house, and no more (records that are private to others stay so).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.reader import Reader
from loglineos.ledger.record import Record

if TYPE_CHECKING:
    from loglineos.faces.cli.session import Session
    from loglineos.node import Node

ROLE: Final = "owner"
_PAGE_ROWS: Final = 500


def reader_of(session: Session, node: Node) -> Reader:
    """Return a reader of the session's tenant, in the name of its actor."""
    return node.reader(tenant=session.tenant, actor=session.actor, role=ROLE)


async def find(session: Session, node: Node, which: str) -> Record:
    """Return the latest event of the entity that a person means.

    `which` is an id, at least 6 digits of its beginning, or a position: `12`, `@12`, `#12`.

    Raises:
        InvalidInput: neither form, or several begin like this.
        NotFound: nothing there.
    """
    reader = reader_of(session, node)
    meant = await reader.find(which.replace("#", "@", 1) if which.startswith("#") else which)
    return await reader.get(meant.id)


async def latest_of_type(session: Session, node: Node, entity_type: str) -> list[Record]:
    """Return the latest event of every entity of a type, oldest first."""
    reader = reader_of(session, node)
    wanted = Filter(entity_type=entity_type, latest=True)
    found: list[Record] = []
    after: int | None = None
    while True:
        page = await reader.timeline(wanted, after=after, limit=_PAGE_ROWS, oldest_first=True)
        found += page.records
        if page.next is None:
            return found
        after = page.next
