"""The commands that look after the node: rebuild and doctor."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from rich.console import Group

from loglineos import __version__
from loglineos.base.errors import LoglineError
from loglineos.base.language import Text
from loglineos.database.migrate import status as migration_status
from loglineos.database.roles import APPENDER
from loglineos.faces.cli.entities import reader_of
from loglineos.faces.cli.render import size_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.ledger.keyring import USES, KeyRing
from loglineos.ledger.verification.rebuild import rebuild
from loglineos.node import Node, is_initialised

State = Literal["ok", "warn", "fail"]
_FREE_BYTES_MIN: Final = 512 * 1024 * 1024
_MARKS: Final = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was examined, how it is, and what to do about it."""

    name: str
    state: State
    told: str
    remedy: str | None = None


async def rebuild_derived(
    session: Session,
    *,
    write: Annotated[bool, Text("repara o que difere", "repair what differs")] = False,
) -> int:
    """Compare the derived tables with the registry; 5 when they differ and were not repaired."""
    reports = []
    async with session.node() as node:
        tenants = [session.options.tenant] if session.options.tenant else await node.tenants()
        connection = await node.database.connect(APPENDER, name="rebuild")
        try:
            for tenant in tenants:
                reports.append(await rebuild(connection, tenant=tenant, write=write))  # noqa: PERF401
        finally:
            await connection.close()
    is_equal = all(report.is_equal for report in reports)

    def human() -> Any:
        lines: list[Any] = []
        for tenant, report in zip(tenants, reports, strict=True):
            mark = _MARKS["ok" if report.is_equal else "warn" if write else "fail"]
            words = _EQUAL if report.is_equal else _REPAIRED if write else _DIFFERS
            lines.append(
                styled(
                    (f"{mark[0]} ", mark[1]),
                    (session.text(words, tenant=tenant, size=report.size), ""),
                )
            )
            lines += [styled((f"    {one}", "dim")) for one in report.differences]
        return Group(*lines)

    session.answer(
        {"is_equal": is_equal, "written": write, "tenants": [
            {"tenant": tenant, **msgspec.to_builtins(report), "is_equal": report.is_equal}
            for tenant, report in zip(tenants, reports, strict=True)
        ]},
        human,
    )  # fmt: skip
    return 0 if is_equal or write else 5


async def doctor(session: Session) -> int:
    """Examine the data folder, keys, database, log and guard; 1 when something needs a hand."""
    findings = [finding async for finding in _examine(session)]
    worst: State = "fail" if any(f.state == "fail" for f in findings) else "ok"

    def human() -> Any:
        pairs: list[tuple[str, Any]] = []
        for finding in findings:
            mark, style = _MARKS[finding.state]
            pairs.append((finding.name, styled((f"{mark} ", style), (finding.told, ""))))
            if finding.remedy and finding.state != "ok":
                pairs.append(("", styled((f"  → {finding.remedy}", style))))
        return facts(pairs)

    session.answer(
        {"state": worst, "findings": [msgspec.structs.asdict(one) for one in findings]}, human
    )
    return 0 if worst == "ok" else 1


async def _examine(session: Session) -> AsyncIterator[Finding]:
    settings = session.settings
    yield Finding(name="logline", state="ok", told=__version__)
    if not is_initialised(settings):
        yield Finding(
            name=session.text(_HOME), state="fail",
            told=session.text(_NO_NODE, home=settings.home), remedy="logline init",
        )  # fmt: skip
        return
    yield _home(session, settings.home)
    yield _disk(session, settings.home)
    for finding in _keys(session, KeyRing(settings.keys_folder)):
        yield finding
    waiting = (
        sum(1 for _ in settings.spool_folder.glob("*.jsonl"))
        if settings.spool_folder.is_dir()
        else 0
    )
    yield Finding(
        name="spool", state="warn" if waiting else "ok",
        told=session.text(_SPOOL, count=waiting), remedy=session.text(_SPOOL_REMEDY),
    )  # fmt: skip
    try:
        async with session.node() as node:
            async for finding in _node(session, node):
                yield finding
    except LoglineError as error:
        yield Finding(
            name="node", state="fail",
            told=error.describe(session.language), remedy=error.advise(session.language),
        )  # fmt: skip


def _home(session: Session, home: Path) -> Finding:
    is_writable = os.access(home, os.W_OK)
    return Finding(
        name=session.text(_HOME), state="ok" if is_writable else "fail", told=str(home),
        remedy=session.text(_WRITABLE),
    )  # fmt: skip


def _disk(session: Session, home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    return Finding(
        name=session.text(_DISK), state="ok" if free >= _FREE_BYTES_MIN else "fail",
        told=session.text(_FREE, free=size_text(free)), remedy=session.text(_FREE_REMEDY),
    )  # fmt: skip


def _keys(session: Session, keyring: KeyRing) -> list[Finding]:
    findings = []
    for use in USES:
        try:
            told = keyring.public(use) if keyring.has(use) else session.text(_MISSING)
            state: State = "ok" if keyring.has(use) else "fail"
            findings.append(
                Finding(name=f"{use}.key", state=state, told=told, remedy=session.text(_KEY_REMEDY))
            )
        except LoglineError as error:
            findings.append(Finding(
                name=f"{use}.key", state="fail",
                told=error.describe(session.language), remedy=error.advise(session.language),
            ))  # fmt: skip
    return findings


async def _node(session: Session, node: Node) -> AsyncIterator[Finding]:
    connection = await node.database.connect(None, name="doctor")
    try:
        version = connection.info.server_version
        migrations = await migration_status(connection)
    finally:
        await connection.close()
    place = session.text(_EMBEDDED if node.database.is_embedded else _EXTERNAL)
    yield Finding(
        name="PostgreSQL", state="ok" if version >= 150000 else "fail",
        told=f"{version // 10000}.{version % 10000} ({place})", remedy=session.text(_OLD),
    )  # fmt: skip
    yield Finding(
        name=session.text(_MIGRATIONS), state="ok" if migrations.fault is None else "fail",
        told=session.text(_APPLIED, count=len(migrations.applied)),
        remedy=migrations.fault.advise(session.language) if migrations.fault else None,
    )  # fmt: skip
    refusal = node.publisher.refusal
    yield Finding(
        name=session.text(_GUARD), state="ok" if refusal is None else "fail",
        told=session.text(_GUARD_OK) if refusal is None else refusal.describe(session.language),
        remedy=refusal.advise(session.language) if refusal else None,
    )  # fmt: skip
    if node.policy is not None and refusal is None:
        silent = await node.publisher.check_behind()
        yield Finding(
            name=session.text(_WITNESSES), state="warn" if silent else "ok",
            told=", ".join(silent) or session.text(_ALL_ANSWER), remedy=session.text(_WITNESS_REMEDY),
        )  # fmt: skip
    head = await reader_of(session, node).head()
    ahead = head.updated_at - node.clock.now()
    yield Finding(
        name=session.tenant, state="ok" if ahead < timedelta(seconds=5) else "warn",
        told=session.text(_HEAD, size=head.size, signed=head.signed_size or 0),
        remedy=session.text(_CLOCK),
    )  # fmt: skip


_EQUAL: Final = Text(
    "{tenant}: igual ao registo ({size} registos)",
    "{tenant}: equal to the registry ({size} records)",
)
_DIFFERS: Final = Text(
    "{tenant}: difere do registo; repare com --write",
    "{tenant}: differs from the registry; repair with --write",
)
_REPAIRED: Final = Text("{tenant}: diferia; reparado", "{tenant}: differed; repaired")
_HOME: Final = Text("pasta de dados", "data folder")
_NO_NODE: Final = Text("não há nó em {home}", "there is no node in {home}")
_WRITABLE: Final = Text(
    "dê a este utilizador direito de escrever nela", "let this user write to it"
)
_DISK: Final = Text("disco", "disk")
_FREE: Final = Text("{free} livres", "{free} free")
_FREE_REMEDY: Final = Text(
    "liberte espaço: sem ele o nó fica só de leitura",
    "free some space: without it the node only reads",
)
_MISSING: Final = Text("falta", "missing")
_KEY_REMEDY: Final = Text(
    "reponha a pasta keys/ da sua cópia", "put back the keys/ folder from your copy"
)
_SPOOL: Final = Text("{count} ficheiros à espera de entrar", "{count} files wait to enter")
_SPOOL_REMEDY: Final = Text(
    "entram quando o nó abre; veja se o disco e a base de dados estão bem",
    "they enter when the node opens; see that disk and database are well",
)
_EMBEDDED: Final = Text("embutido", "embedded")
_EXTERNAL: Final = Text("DATABASE_URL", "DATABASE_URL")
_OLD: Final = Text("use PostgreSQL 15 ou mais recente", "use PostgreSQL 15 or newer")
_MIGRATIONS: Final = Text("migrações", "migrations")
_APPLIED: Final = Text("{count} aplicadas", "{count} applied")
_GUARD: Final = Text("guarda", "guard")
_GUARD_OK: Final = Text(
    "a base de dados continua tudo o que foi assinado",
    "the database continues everything that was signed",
)
_WITNESSES: Final = Text("testemunhas", "witnesses")
_ALL_ANSWER: Final = Text("todas respondem", "all answer")
_WITNESS_REMEDY: Final = Text(
    "os recibos não saem testemunhados enquanto não houver quórum",
    "receipts are not witnessed until there is a quorum",
)
_HEAD: Final = Text(
    "{size} registos, {signed} num checkpoint", "{size} records, {signed} in a checkpoint"
)
_CLOCK: Final = Text("o relógio andou para trás; acerte-o", "the clock went back; set it right")
