"""The commands that prove: verify, proof, verify-receipt, checkpoint, log export.

Always holds: a check that finds a lie ends with exit status 5 and names the first lie and where.
"""

# ruff: noqa: E501 - one option or text a line reads as a table
from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import orjson
from cyclopts import Parameter
from rich.console import Group
from rich.text import Text as Styled

from loglineos.base.errors import InvalidInput, Misconfigured, NotFound, shape_of
from loglineos.base.language import Text
from loglineos.database.roles import READER
from loglineos.faces.cli.entities import find
from loglineos.faces.cli.log_keys import (
    KEY_CAME_ALONG,
    NO_KEYS,
    keys_of_export,
    own_keys_of,
    own_log_keys,
)
from loglineos.faces.cli.progress import counting
from loglineos.faces.cli.render import one_line, size_text, styled
from loglineos.faces.cli.session import Session
from loglineos.faces.cli.tables import facts
from loglineos.ledger.archive.verify_export import ExportReport, verify_export
from loglineos.ledger.log.export_log import VKEYS_NAME, export_log
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_tiles import ROOT_LOG
from loglineos.ledger.tlog.note import parse_vkey
from loglineos.ledger.tlog.policy import Policy, parse_policy
from loglineos.ledger.tlog.receipt import verify_receipt
from loglineos.ledger.tlog.static_tree import CHECKPOINT_NAME, Audit, verify_static_tree
from loglineos.ledger.verification.verifier import (
    Verification,
    VerifyReport,
    verify_ledger,
    verify_record,
)
from loglineos.node import Node

Many = Annotated[tuple[str, ...] | None, Parameter(negative=())]


async def verify(
    session: Session,
    what: Annotated[str | None, Text("um id, #posição, ficheiro ou pasta; nada: tudo", "an id, #position, file or folder; nothing: everything")] = None,
    /,
    *,
    vkey: Annotated[Many, Text("a chave de um log, como a conhece", "the key of a log, as you know it")] = None,
    workers: Annotated[int, Text("quantos processos", "how many processes")] = 2,
) -> int:  # fmt: skip
    """Verify hash, signature, chain, keys and tree; say what holds, or the first lie and where."""
    path = Path(what) if what is not None else None
    if path is not None and path.exists():
        return await _verify_files(session, path, vkey)
    if path is not None and not _looks_like_an_id(str(what)):
        raise NotFound(what="file", which=str(what))
    async with session.node() as node:
        verification = verification_of(node, workers=max(1, min(workers, 16)))
        if what is not None:
            record = await find(session, node, what)
            report = await verify_record(verification, session.tenant, id=record.id, seq=record.seq)
        else:
            chosen = [session.options.tenant] if session.options.tenant else None
            with counting(session, _VERIFYING) as progress:
                report = await verify_ledger(
                    verification, tenants=chosen, on_progress=lambda now: progress.to(now.records)
                )
    return tell_report(session, report)


def verification_of(node: Node, *, workers: int = 2) -> Verification:
    """Return what this node is verified with: its own keys, guard and witnesses."""
    return Verification(
        dsn=node.database.dsn(READER),
        role=node.database.set_role(READER),
        origin=node.origin,
        publics=(bytes.fromhex(node.keyring.public("log")),),
        witnesses=tuple(node.policy.witness_keys) if node.policy else (),
        guard=Guard(node.settings.guard_folder),
        workers=workers,
    )


def tell_report(session: Session, report: VerifyReport) -> int:
    """Answer with what a verification found; 5 when something does not hold."""
    document = {**msgspec.to_builtins(report), "is_clean": report.is_clean}

    def human() -> Any:
        if report.lie is not None:
            return None
        rate = report.records / report.duration_s if report.duration_s > 0 else 0
        pairs: list[tuple[str, Any]] = [
            (log.tenant, session.text(_LOG_GOOD, records=log.records, checkpoints=log.checkpoints))
            for log in report.logs
        ]
        head = (session.text(_ALL_GOOD, records=report.records, rate=round(rate)), "green")
        return facts([("✓", styled(head)), *pairs])

    if report.lie is not None and not session.as_json:
        raise report.lie.as_error()
    session.answer(document, human)
    return 0 if report.is_clean else 5


async def proof(
    session: Session,
    which: Annotated[str, Text("id, início do id, ou #posição", "id, beginning of the id, or #position")],
    /,
    *,
    out: Annotated[Path | None, Text("o ficheiro do recibo; - ou nada: stdout", "the file of the receipt; - or nothing: stdout")] = None,
    seq: Annotated[int | None, Text("este acontecimento, não o último", "this event, not the latest")] = None,
) -> None:  # fmt: skip
    """Write the receipt of a record: a proof that anyone can check, anywhere, offline."""
    async with session.node() as node:
        record = await find(session, node, which)
        number = record.seq if seq is None else seq
        receipt = await node.prover.prove(session.tenant, id=record.id, seq=number)
        keys = [node.log_key(session.tenant).encode(), node.log_key(ROOT_LOG).encode()]
    is_file = out is not None and str(out) != "-"
    if is_file and out is not None:
        out.write_bytes(receipt.data)
    document = {
        "tenant": receipt.tenant, "id": str(receipt.id), "seq": receipt.seq,
        "position": receipt.position, "hash": receipt.record_hash, "size": receipt.tenant_size,
        "root_size": receipt.root_size, "is_witnessed": receipt.is_witnessed, "vkeys": keys,
        "file": str(out) if is_file else None, "receipt": receipt.data.decode(),
    }  # fmt: skip
    if session.as_json:
        session.answer(document)
    elif is_file:
        told = facts([
            (session.text(_RECEIPT), f"{out} ({size_text(len(receipt.data))})"),
            (session.text(_PROVES), f"{receipt.tenant} #{receipt.position}  seq {receipt.seq}"),
            ("hash", receipt.record_hash),
        ])  # fmt: skip
        session.answer(document, Group(told, *(Styled(f"vkey  {key}") for key in keys)))
    else:
        sys.stdout.write(receipt.data.decode())


async def verify_receipt_file(
    session: Session,
    path: Annotated[Path, Text("o ficheiro do recibo", "the file of the receipt")],
    /,
    *,
    vkey: Annotated[Many, Text("a chave de um log em que confia; nada: as deste nó", "the key of a log that you trust; nothing: this node's")] = None,
    policy: Annotated[Path | None, Text("um ficheiro tlog-policy com logs e testemunhas", "a tlog-policy file with logs and witnesses")] = None,
) -> None:  # fmt: skip
    """Check a receipt offline: what it proves, under whose signature."""
    data = _read(path)
    rules = _policy(policy)
    keys = [parse_vkey(one) for one in vkey or ()]
    if not keys and rules is None:
        keys = own_log_keys(session)
    proved = verify_receipt(data, logs=keys, policy=rules)
    entry = orjson.loads(proved.entry)
    document = {
        "entry": entry, "index": proved.index, "log": proved.checkpoint.origin,
        "size": proved.checkpoint.size, "root": proved.checkpoint.root.hex(),
        "root_log": proved.root_checkpoint.origin if proved.root_checkpoint else None,
        "cosignatures": [one.key.name for one in proved.cosignatures],
        "is_witnessed": proved.is_witnessed,
    }  # fmt: skip

    def human() -> Any:
        return facts([
            ("✓", styled((session.text(_PROVED), "green"))),
            (session.text(_RECORD), f"{entry.get('id')} seq {entry.get('seq')}"),
            ("hash", entry.get("hash")),
            (session.text(_RECORDED), entry.get("at")),
            (session.text(_SIGNED_BY), entry.get("key")),
            (session.text(_PLACE), f"{proved.index} / {proved.checkpoint.size}"),
            ("log", proved.checkpoint.origin),
            (session.text(_WITNESSES), ", ".join(document["cosignatures"]) or "—"),
        ])  # fmt: skip

    session.answer(document, human)


async def log_key(session: Session) -> None:
    """Show the public keys of this data folder's logs, as others need them; no database."""
    keys = own_log_keys(session)
    session.answer(
        {"vkeys": [key.encode() for key in keys]},
        lambda: "\n".join(key.encode() for key in keys),
    )


async def checkpoint(
    session: Session,
    *,
    root: Annotated[bool, Text("o do log raiz", "that of the root log")] = False,
) -> None:
    """Sign what is new and show the checkpoint: origin, size, root, signature."""
    async with session.node() as node:
        await node.publisher.publish()
        tenant = ROOT_LOG if root else session.tenant
        newest = await node.publisher.newest(tenant)
        key = node.log_key(tenant).encode()
    if newest is None:
        raise NotFound(what="checkpoint", which=tenant)
    signed = newest.checkpoint
    document = {
        "origin": signed.origin, "size": signed.size, "root": signed.root.hex(),
        "note": newest.note.decode(), "vkey": key,
    }  # fmt: skip
    if session.as_json:
        session.answer(document)
    else:
        sys.stdout.write(newest.note.decode())
        session.note(Text("vkey {key}", "vkey {key}"), key=key)


async def log_export(
    session: Session,
    directory: Annotated[Path, Text("a pasta", "the folder")],
    /,
) -> None:
    """Write every published log as a static tile tree; only what is new is written again."""
    async with session.node() as node:
        await node.publisher.publish()
        done = await export_log(
            directory,
            lend_reader=node.reader_pool.connection,
            origin=node.origin,
            publics=[bytes.fromhex(node.keyring.public("log"))],
            tenants=[session.options.tenant] if session.options.tenant else None,
        )
    document = {
        "folder": str(directory),
        "logs": [
            {
                "tenant": log.tenant, "folder": str(log.folder), "origin": log.checkpoint.origin,
                "size": log.checkpoint.size, "entries_written": log.entries_written,
            }
            for log in done
        ],
    }  # fmt: skip
    session.answer(document, lambda: facts([
        (log.tenant, f"{log.folder}  {log.checkpoint.size} (+{log.entries_written})") for log in done
    ]))  # fmt: skip


async def _verify_files(session: Session, path: Path, vkey: tuple[str, ...] | None) -> int:
    if path.is_dir() and (path / CHECKPOINT_NAME).exists():
        return await _verify_trees(session, [path], path, vkey)
    if path.is_dir() and (path / VKEYS_NAME).exists():
        trees = sorted(one.parent for one in path.rglob(CHECKPOINT_NAME))
        return await _verify_trees(session, trees, path, vkey)
    known = list(vkey or ()) or keys_of_export(session, path)
    with counting(session, _VERIFYING) as progress:
        report = await asyncio.to_thread(
            verify_export, path, vkeys=known or None, on_progress=progress.to
        )
    session.answer(_export_document(session, report), lambda: _export_facts(session, report))
    return 0


def _export_document(session: Session, report: ExportReport) -> dict[str, Any]:
    told = msgspec.to_builtins(report)
    return {**told, "unchecked": [one.in_(session.language) for one in report.unchecked]}


def _export_facts(session: Session, report: ExportReport) -> Any:
    pairs: list[tuple[str, Any]] = [
        ("✓", styled((session.text(_EXPORT_GOOD, records=report.records), "green"))),
        ("log", report.log or "—"),
        (session.text(_ROOT), report.root or "—"),
    ]
    came_along = (KEY_CAME_ALONG,) if report.log and not report.is_key_given else ()
    doubts = (*came_along, *report.unchecked)
    pairs += [("!", styled((one.in_(session.language), "yellow"))) for one in doubts]
    return facts(pairs)


async def _verify_trees(
    session: Session, trees: list[Path], top: Path, vkey: tuple[str, ...] | None
) -> int:
    given = [parse_vkey(one) for one in vkey or ()]
    has_come_along = False
    done: list[tuple[Path, Audit]] = []
    with counting(session, _VERIFYING) as progress:
        for tree in trees:
            origin = _origin_of(tree)
            keys = given or own_keys_of(session, origin)
            if not keys:
                has_come_along, keys = True, [parse_vkey(one) for one in _vkeys_beside(top)]
            key = next((one for one in keys if one.name == origin), None)
            if key is None:
                raise Misconfigured(
                    setting="--vkey", reason=_KEY_OF.in_(session.language).format(origin=origin)
                )
            audit: Audit | None = None
            async for audit in verify_static_tree(tree, log=key):
                progress.to(audit.entries)
            if audit is not None:
                done.append((tree, audit))
    document = {
        "trees": [
            {
                "folder": str(tree), "origin": audit.checkpoint.origin,
                "size": audit.checkpoint.size, "root": audit.checkpoint.root.hex(),
                "tiles": audit.tiles, "entries": audit.entries,
            }
            for tree, audit in done
        ],
        "is_key_given": not has_come_along,
    }  # fmt: skip
    doubt = [("!", styled((session.text(KEY_CAME_ALONG), "yellow")))] if has_come_along else []
    session.answer(document, lambda: facts([
        *(("✓", styled((f"{audit.checkpoint.origin}  {audit.entries}", "green"))) for _, audit in done),
        *doubt,
    ]))  # fmt: skip
    return 0


def _vkeys_beside(folder: Path) -> list[str]:
    for place in (folder, folder.parent, folder.parent.parent):
        file = place / VKEYS_NAME
        if file.is_file():
            return [line for line in file.read_text().splitlines() if line.strip()]
    raise Misconfigured(setting="--vkey", reason=NO_KEYS)


def _origin_of(tree: Path) -> str:
    with (tree / CHECKPOINT_NAME).open("rb") as file:
        return one_line(file.readline(1024).decode("utf-8", "replace"))


def _looks_like_an_id(text: str) -> bool:
    bare = text.lstrip("#@").replace("-", "")
    return bare.isdigit() or (len(bare) >= 6 and all(c in "0123456789abcdefABCDEF" for c in bare))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise NotFound(what="file", which=str(path)) from cause


def _policy(path: Path | None) -> Policy | None:
    if path is None:
        return None
    data = _read(path)
    if not data.strip():
        raise InvalidInput(field=str(path), shape=shape_of(data), reason=_EMPTY)
    return parse_policy(data)


_VERIFYING: Final = Text("a verificar", "verifying")
_ALL_GOOD: Final = Text(
    "tudo confere: {records} registos ({rate}/s)", "all holds: {records} records ({rate}/s)"
)
_LOG_GOOD: Final = Text(
    "{records} registos, {checkpoints} checkpoints", "{records} records, {checkpoints} checkpoints"
)
_EXPORT_GOOD: Final = Text("tudo confere: {records} registos", "all holds: {records} records")
_ROOT: Final = Text("raiz", "root")
_RECEIPT: Final = Text("recibo", "receipt")
_PROVES: Final = Text("prova", "proves")
_PROVED: Final = Text("provado: está no log assinado", "proved: it is in the signed log")
_RECORD: Final = Text("registo", "record")
_RECORDED: Final = Text("registado", "recorded")
_SIGNED_BY: Final = Text("assinado por", "signed by")
_PLACE: Final = Text("lugar", "place")
_WITNESSES: Final = Text("testemunhas", "witnesses")
_KEY_OF: Final = Text("falta a chave do log {origin}", "the key of the log {origin} is missing")
_EMPTY: Final = Text("está vazio", "is empty")
