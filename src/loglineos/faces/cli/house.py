"""The example house on a real node: who works there, its days, what the origin itself wrote."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from loglineos.base.clock import SystemClock
from loglineos.base.language import Text
from loglineos.faces.cli.entities import latest_of_type
from loglineos.faces.cli.keeping_many import Portion, Reading, keep_many
from loglineos.ledger.founding import enrol_actor
from loglineos.ledger.intake.formats import read_items
from loglineos.ledger.intake.ingest import IngestReport
from loglineos.ledger.intake.intake import drafts_of
from loglineos.node import Node
from loglineos.services.scenario import generate_casa, seed_actors
from loglineos.settings import CONFIG_FILE, write_config

if TYPE_CHECKING:
    from loglineos.faces.cli.session import Session

DAYS: Final = 30
SEED: Final = 7
LINES: Final = 3000
_ORIGIN_FILE: Final = "origin_loglines.json"


class Demo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `config.json` remembers of a tenant's example data, so that a killed start goes on."""

    start: str | None = None
    is_done: bool = False
    is_declined: bool = False


def scenario_start(zone: ZoneInfo, *, days: int) -> datetime:
    """Return the first instant of a span of whole days that ends with yesterday."""
    today = SystemClock().now().astimezone(zone).date()
    return datetime.combine(today - timedelta(days=days), time(), zone)


async def enrol_house(session: Session, node: Node) -> int:
    """Enrol everyone who acts in the example house; return how many were new."""
    known = {record.name for record in await latest_of_type(session, node, "actor")}
    missing = [one for one in seed_actors(session.tenant) if one.name not in known]
    for actor in missing:
        await enrol_actor(
            node.writer, session.tenant, actor.name, role=actor.role, kind=actor.kind,
            title=actor.display.in_(session.language),
        )  # fmt: skip
    return len(missing)


async def tell_house(session: Session, node: Node) -> IngestReport:
    """Put the origin's own lines and thirty days of the house into the ledger, once."""
    demo = read_demo(session)
    start = (
        datetime.fromisoformat(demo.start).astimezone(session.settings.zone)
        if demo.start is not None
        else scenario_start(session.settings.zone, days=DAYS)
    )
    write_demo(session, Demo(start=start.isoformat()))
    session.note(_ENROLLING)
    await enrol_house(session, node)
    await keep_many(
        session, node, _origin(session.tenant), tenant=session.tenant,
        reading=Reading(label=_ORIGIN_FILE),
    )  # fmt: skip
    drafts = generate_casa(days=DAYS, seed=SEED, lines=LINES, start=start, tenant=session.tenant)
    report = await keep_many(
        session, node, (Portion(draft=draft) for draft in drafts), tenant=session.tenant,
        reading=Reading(label=session.text(_HOUSE), total=LINES),
    )  # fmt: skip
    write_demo(session, Demo(start=start.isoformat(), is_done=True))
    return report


def read_demo(session: Session) -> Demo:
    """Return what is remembered of this tenant's example data."""
    return _demos(session).get(session.tenant, Demo())


def write_demo(session: Session, demo: Demo) -> None:
    """Remember it."""
    demos = {**_demos(session), session.tenant: demo}
    write_config(session.settings.home, demo=msgspec.to_builtins(demos))


def _demos(session: Session) -> dict[str, Demo]:
    try:
        kept: Any = msgspec.json.decode((session.settings.home / CONFIG_FILE).read_bytes())
        return msgspec.convert(kept.get("demo", {}), dict[str, Demo])
    except (OSError, msgspec.MsgspecError, AttributeError):
        return {}


def _origin(tenant: str) -> list[Portion]:
    data = files("loglineos").joinpath("rows", "examples", _ORIGIN_FILE).read_bytes()
    items = read_items(BytesIO(data))
    return [Portion(draft=d) for _, d in drafts_of(items, tenant=tenant, source=_ORIGIN_FILE)]


_ENROLLING: Final = Text("a inscrever quem trabalha na casa", "enrolling who works in the house")
_HOUSE: Final = Text("30 dias da casa", "30 days of the house")
