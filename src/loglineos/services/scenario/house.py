"""The house as it stands before anything happens: people, words, products, routes.

Always holds: everything is read from `rows/scenarios/casa.json`; nothing here changes.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final, Literal

import msgspec

from loglineos.base.language import Text

ActorKind = Literal["person", "service", "model", "clock"]
ROLES: Final = (
    "owner", "manager", "operator", "courier", "client", "auditor", "agent", "service",
)  # fmt: skip


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Someone or something that acts in the house; `name` is what stands in `who`."""

    name: str
    kind: ActorKind
    role: str
    display: Text


class ActKind(msgspec.Struct, frozen=True, kw_only=True):
    """What an act is by nature: its entity type, its place, and what must follow from it."""

    entity: str
    subsystem: str
    ok: str
    doubt: str
    not_: str = msgspec.field(name="not")
    type: str | None = None


class GhostAct(msgspec.Struct, frozen=True, kw_only=True):
    """An act that people type in a hurry: its words, and the roles that type it."""

    did: str
    this: str
    roles: tuple[str, ...]


class ActorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One actor as the file writes it."""

    name: str
    kind: ActorKind
    role: str
    pt: str
    en: str


class HouseData(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of casa.json. Prices are cents; coordinates are degrees (latitude, longitude)."""

    actors: tuple[ActorRow, ...]
    client_names: tuple[tuple[str, str], ...]
    habitually_late: str
    desk: dict[str, str]
    products: tuple[tuple[str, int], ...]
    streets: tuple[str, ...]
    routes: dict[str, tuple[tuple[float, float], ...]]
    chat_messages: tuple[str, ...]
    promises: tuple[str, ...]
    notes: tuple[str, ...]
    avarias: tuple[str, ...]
    expenses: tuple[str, ...]
    timeouts: tuple[str, ...]
    models: dict[str, tuple[str, str]]
    acts: dict[str, ActKind]
    moves: tuple[str, ...]
    ghost_acts: tuple[GhostAct, ...]
    ghost_raw: tuple[str, ...]
    ghost_when: tuple[str, ...]
    ghost_status: tuple[str, ...]


def read_house() -> HouseData:
    """Read the house from the package's data."""
    text = files("loglineos").joinpath("rows/scenarios/casa.json").read_bytes()
    return msgspec.json.decode(text, type=HouseData)


def seed_actors(tenant: str = "casa") -> tuple[Actor, ...]:
    """List everyone who acts in the house, staff first, so that a node can enrol them.

    Every `who`, `confirmed_by`, `owner_id` and `shared_with` name of the scenario is in this list.
    The names are the same in every tenant; `tenant` must not be empty.
    """
    if not tenant:
        raise ValueError("the house needs a tenant")
    return actors_of(read_house())


def actors_of(data: HouseData) -> tuple[Actor, ...]:
    """List the actors of a house already read."""
    staff = [
        Actor(name=row.name, kind=row.kind, role=row.role, display=Text(row.pt, row.en))
        for row in data.actors
    ]
    clients = [
        Actor(name=f"cliente.{name}", kind="person", role="client", display=Text(full, full))
        for name, full in data.client_names
    ]
    return (*staff, *clients)
