"""The commands that move whole logs: export, import, backup, restore."""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.faces.cli.progress import counting
from loglineos.faces.cli.prompts import ask_secret
from loglineos.faces.cli.render import size_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.ledger.archive.export_files import format_of
from loglineos.ledger.archive.export_lines import Format
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.reading.filters import filter_of

PASSPHRASE_VARIABLE: Final = "LOGLINE_BACKUP_PASSPHRASE"  # noqa: S105 (its name, not it)


async def export_log_records(
    session: Session,
    target: Annotated[str, Text("um ficheiro, uma pasta, ou - para stdout", "a file, a folder, or - for stdout")],
    /,
    *,
    format: Annotated[  # noqa: A002
        Literal["jsonl", "csv", "parquet"] | None, Text("o formato; senão, pelo nome do ficheiro", "the format; else by the name of the file")
    ] = None,
    folders: Annotated[bool, Text("também contracts/ confirmed/ ghosts/", "also contracts/ confirmed/ ghosts/")] = False,
    who: Annotated[str | None, Text("só de quem", "of whom only")] = None,
    did: Annotated[str | None, Text("só o que fez", "of what was done only")] = None,
    this: Annotated[str | None, Text("só a quê", "to what only")] = None,
    status: Annotated[str | None, Text("só deste estado", "of this status only")] = None,
    type: Annotated[str | None, Text("só deste tipo", "of this type only")] = None,  # noqa: A002
    tag: Annotated[str | None, Text("só com esta etiqueta", "with this tag only")] = None,
    since: Annotated[str | None, Text("desde", "since")] = None,
    until: Annotated[str | None, Text("até (exclusive)", "until (exclusive)")] = None,
) -> None:  # fmt: skip
    """Write the records of a tenant so that they re-import to the same hashes."""
    from loglineos.ledger.archive.exporter import ExportFilter, export  # noqa: PLC0415 (pyarrow is heavy)

    chosen = format or _format_of(target)
    async with session.node() as node:
        wanted = filter_of(
            {"who": who, "did": did, "this": this, "status": status, "type": type, "tag": tag,
             "since": since, "until": until},
            now=node.clock.now(), zone=session.settings.zone,
        )  # fmt: skip
        await node.publisher.publish([session.tenant], is_witnessed=False)
        with counting(session, _EXPORTING) as progress:
            manifest = await export(
                node.reader_pool,
                session.tenant,
                target if target == "-" else Path(target),
                records_format=chosen,
                where=ExportFilter(
                    who=wanted.who, did=wanted.did, this=wanted.this, status=wanted.status,
                    type=wanted.type, tag=wanted.tags[0] if wanted.tags else None,
                    at_from=wanted.since, at_before=wanted.until,
                ),
                folders=folders,
                vkeys=(node.log_key(session.tenant).encode(), node.log_key(ROOT_LOG).encode()),
                on_progress=progress.to,
                stdout=sys.stdout.buffer,
            )  # fmt: skip
    if target == "-":
        return
    session.answer(
        msgspec.to_builtins(manifest),
        lambda: facts([
            ("✓", styled((session.text(_EXPORTED, records=manifest.records, target=target), "green"))),
            *[(one.name, size_text(one.size_bytes)) for one in manifest.files],
        ]),
    )  # fmt: skip


async def import_log_records(
    session: Session,
    path: Annotated[Path, Text("o que `logline export` escreveu", "what `logline export` wrote")],
    /,
) -> None:
    """Replay an exported log into this node: the same positions, hashes and signatures."""
    from loglineos.ledger.archive.restorer import import_export  # noqa: PLC0415 (pyarrow is heavy)

    async with session.node() as node:
        with counting(session, _IMPORTING) as progress:
            report = await import_export(
                path,
                appender=node.appender,
                pool=node.reader_pool,
                clock=node.clock,
                tenant=session.options.tenant,
                on_progress=progress.to,
            )
    session.answer(
        msgspec.to_builtins(report),
        lambda: facts([
            ("✓", styled((session.text(_IMPORTED, tenant=report.tenant or "—"), "green"))),
            (session.text(_READ), report.read), (session.text(_WRITTEN), report.written),
            (session.text(_ALREADY), report.already),
        ]),
    )  # fmt: skip


async def make_backup(
    session: Session,
    target: Annotated[Path, Text("o ficheiro da cópia", "the file of the backup")],
    /,
    *,
    with_keys: Annotated[bool, Text("também as chaves, seladas por uma frase-passe", "the keys too, sealed by a passphrase")] = False,
) -> None:  # fmt: skip
    """Write one file with the database, the guard and, if asked, the sealed keys."""
    from loglineos.ledger.archive.backup import backup  # noqa: PLC0415

    passphrase = _passphrase(session, twice=True) if with_keys else None
    async with session.node() as node:
        await node.publisher.publish(is_witnessed=False)
        manifest = await backup(
            target,
            home=session.settings.home,
            dsn=node.database.dsn(None),
            with_keys=with_keys,
            passphrase=passphrase,
            on_progress=session.note,
        )
    session.answer(
        msgspec.to_builtins(manifest),
        lambda: facts([
            ("✓", styled((session.text(_BACKED_UP, target=target), "green"))),
            *[(log.tenant, log.size) for log in manifest.logs],
            (session.text(_KEYS), session.text(_INSIDE if manifest.has_keys else _NOT_INSIDE)),
        ]),
    )  # fmt: skip


async def restore_backup(
    session: Session,
    source: Annotated[Path, Text("o ficheiro da cópia", "the file of the backup")],
    /,
) -> None:
    """Make the data folder from a backup; it must hold no database yet."""
    from loglineos.ledger.archive.recovery import restore  # noqa: PLC0415

    if session.settings.database_url is not None:
        raise Misconfigured(setting="DATABASE_URL", reason=_EMBEDDED_ONLY)
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if passphrase is None and session.is_interactive:
        passphrase = ask_secret(session, _ASK_PASSPHRASE_IF_KEYS) or None
    report = await restore(
        source,
        session.settings.home,
        passphrase=passphrase,
        on_progress=session.note,
    )
    document: dict[str, Any] = {**msgspec.to_builtins(report), "home": str(session.settings.home)}

    def human() -> Any:
        pairs: list[tuple[str, Any]] = [
            ("✓", styled((session.text(_RESTORED, home=session.settings.home), "green"))),
            *[(log.tenant, log.size) for log in report.manifest.logs],
            (session.text(_KEYS), session.text(_KEY_STATES.get(report.keys, _NOT_INSIDE))),
        ]
        pairs += [("!", styled((session.text(_AHEAD, log=log), "yellow"))) for log in report.ahead]
        return facts(pairs)

    session.answer(document, human)


def _format_of(target: str) -> Format:
    """Tell the format by the end of the name; a folder and stdout take lines.

    Raises:
        UnknownName: the name ends like no format, so `verify` would not know what to read.
    """
    path = Path(target)
    return "jsonl" if target == "-" or path.is_dir() or not path.suffix else format_of(path)


def _passphrase(session: Session, *, twice: bool) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not session.is_interactive:
        raise Misconfigured(setting=PASSPHRASE_VARIABLE, reason=_NEEDS_PASSPHRASE)
    first = ask_secret(session, _ASK_PASSPHRASE)
    if twice and first != ask_secret(session, _ASK_AGAIN):
        raise Misconfigured(setting=PASSPHRASE_VARIABLE, reason=_DIFFERENT)
    return first


_EXPORTING: Final = Text("a exportar", "exporting")
_EXPORTED: Final = Text("{records} registos em {target}", "{records} records in {target}")
_IMPORTING: Final = Text("a importar", "importing")
_IMPORTED: Final = Text("importado: {tenant}", "imported: {tenant}")
_READ: Final = Text("lidos", "read")
_WRITTEN: Final = Text("escritos", "written")
_ALREADY: Final = Text("já cá estavam", "already here")
_BACKED_UP: Final = Text("cópia em {target}", "backup in {target}")
_KEYS: Final = Text("chaves", "keys")
_INSIDE: Final = Text("dentro, seladas", "inside, sealed")
_NOT_INSIDE: Final = Text(
    "fora: guarde a pasta keys/ noutro lugar", "not inside: keep the keys/ folder elsewhere"
)
_KEY_STATES: Final = {
    "restored": Text("repostas", "restored"),
    "kept": Text("as que a pasta já tinha", "those that the folder had"),
    "missing": Text(
        "em falta: ponha a pasta keys/ no lugar", "missing: put the keys/ folder in place"
    ),
}
_RESTORED: Final = Text("reposto em {home}", "restored in {home}")
_AHEAD: Final = Text(
    "a guarda já viu mais de {log}: este nó não o assinará (docs/how-to/recover.md)",
    "the guard has seen more of {log}: this node will not sign it (docs/how-to/recover.md)",
)
_EMBEDDED_ONLY: Final = Text(
    "só se repõe para o Postgres embutido; retire DATABASE_URL",
    "restoring is for the embedded Postgres only; unset DATABASE_URL",
)
_ASK_PASSPHRASE: Final = Text("frase-passe da cópia: ", "passphrase of the backup: ")
_ASK_AGAIN: Final = Text("outra vez: ", "once more: ")
_ASK_PASSPHRASE_IF_KEYS: Final = Text(
    "frase-passe da cópia (vazia, se não tem chaves): ",
    "passphrase of the backup (empty when it holds no keys): ",
)
_NEEDS_PASSPHRASE: Final = Text("dê a frase-passe das chaves", "give the passphrase for the keys")
_DIFFERENT: Final = Text("as duas não são iguais", "the two are not the same")
