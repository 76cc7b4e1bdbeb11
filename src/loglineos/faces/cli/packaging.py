"""`logline fn packages`: laying out packages for functions in full CPython."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from loglineos.base.errors import NotFound
from loglineos.base.language import Text
from loglineos.faces.cli.render import plain
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import Column, table
from loglineos.runtime.packages import FOLDER, laid_out, lay_out


async def add_packages(
    session: Session,
    *packages: Annotated[str, Text("cada pacote com a versão exata: NOME==VERSÃO", "each package with its exact version: NAME==VERSION")],
    wheels: Annotated[Path | None, Text("só desta pasta de wheels, sem rede", "only from this folder of wheels, without network")] = None,
) -> None:  # fmt: skip
    """Lay out one list of packages on this machine, and record that it was."""
    if wheels is not None and not wheels.is_dir():
        raise NotFound(what=_FOLDER, which=str(wheels))
    async with session.node() as node:
        made = await lay_out(
            packages, root=node.settings.home / FOLDER, wheels=wheels and wheels.resolve()
        )
        (record,) = await node.writer.append(
            [made.draft(who=session.actor)], tenant=session.tenant, if_absent=True
        )
    document = {
        "name": made.name, "packages": list(made.requirements), "digest": made.digest,
        "files": made.files, "is_new": made.is_new, "record": str(record.id),
    }  # fmt: skip
    told = _ADDED if made.is_new else _THERE
    session.answer(document, session.text(told, packages=" ".join(made.requirements)))


async def list_packages(session: Session) -> None:
    """List what was laid out in this house's name, and whether this machine still has it."""
    async with session.node() as node:
        root = node.settings.home / FOLDER
        records = await laid_out(node.reader_pool, session.tenant)
    found: list[dict[str, Any]] = [
        {
            "name": record.name, "packages": (record.metadata or {}).get("requirements", []),
            "digest": (record.metadata or {}).get("digest"), "who": record.who,
            "is_here": (root / (record.name or "?")).is_dir(),
        }
        for record in records
    ]  # fmt: skip
    columns = [
        Column(title=_PACKAGES, grows=True, width_min=30),
        Column(title=_HERE),
        Column(title=_BY),
    ]
    rows = [
        (plain(" ".join(one["packages"])), session.text(_YES if one["is_here"] else _NO), plain(one["who"]))
        for one in found
    ]  # fmt: skip
    session.answer(
        {"tenant": session.tenant, "packages": found},
        lambda: (
            table(columns, rows, language=session.language, width=session.width)
            if rows
            else session.text(_NONE)
        ),
    )


_FOLDER: Final = Text("a pasta", "folder")
_PACKAGES: Final = Text("pacotes", "packages")
_HERE: Final = Text("aqui", "here")
_BY: Final = Text("por", "by")
_YES: Final = Text("sim", "yes")
_NO: Final = Text("não", "no")
_ADDED: Final = Text("✓ {packages}: pronto para correr", "✓ {packages}: ready to run")
_THERE: Final = Text("✓ {packages}: já cá estava", "✓ {packages}: was here already")
_NONE: Final = Text(
    "ainda não há pacotes; `logline fn packages add NOME==VERSÃO` prepara-os",
    "there are no packages yet; `logline fn packages add NAME==VERSION` lays them out",
)
