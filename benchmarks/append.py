"""Appends: many submitters, one submitter with batches, beside plain INSERTs of the same rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, islice
from typing import Final

from psycopg.types.json import Jsonb

from benchmarks.figures import Figure, Scale, percentile, ratio
from benchmarks.house import TENANT, House, new_node, tell
from loglineos.database.pool import Connection
from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.founding import enrol_actor, enrol_key
from loglineos.ledger.logline import judge
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import SigningKey, signing_key
from loglineos.node import Node

_ACTOR: Final = "joao"
_OTHER: Final = "maria"
"""She has no key of her own: the node signs for her."""
_PROOF: Final = ("prev_hash", "curr_hash", "signature", "public_key")
_ACTS: Final = ("registrar_entrega", "check_in", "emitir_fatura", "limpar_quarto", "cobrar")


def acts(who: str) -> Iterator[Draft]:
    """Tell what somebody does all day, for ever: the nine fields and some of the others."""
    for number in count():
        yield Draft(
            tenant_id=TENANT, who=who, did=_ACTS[number % len(_ACTS)],
            this=f"pedido {number} no quarto {number % 300}", at=datetime.now(UTC),
            confirmed_by="ana", if_ok="enviar_recibo", if_doubt="pedir_verificacao",
            if_not="abrir_incidente", status="valid", type="human", subsystem="entregas",
            tags=("balcao",), details={"valor": number % 10_000, "moeda": "EUR"},
            trace_id=f"{number:032x}", owner_id=who,
        )  # fmt: skip


async def enrolled_key(node: Node) -> SigningKey:
    """Enrol an actor who signs with a key of their own."""
    key = signing_key(node.entropy.bytes(32))
    await enrol_actor(node.writer, TENANT, _ACTOR, role="operator")
    await enrol_key(
        node.writer, TENANT, key.public.hex(), actor=_ACTOR, role="operator", custody="own"
    )
    return key


def sealed(node: Node, key: SigningKey, drafts: Iterator[Draft], wanted: int) -> list[Record]:
    """Seal acts as their author does, before the clock starts."""
    return [
        seal(judge(draft), key=key, clock=node.clock, entropy=node.entropy).record
        for draft in islice(drafts, wanted)
    ]


async def measure(scale: Scale, house: House) -> list[Figure]:  # noqa: ARG001 - all take both
    """Measure appends and plain INSERTs by turns, in one database."""
    told, held = acts(_ACTOR), acts(_OTHER)
    rates: dict[str, list[float]] = {name: [] for name in ("many", "signed", "drafts")}
    plain: dict[str, list[float]] = {"same": [], "bare": []}
    p50, p99 = [], []
    async with new_node() as node:
        key = await enrolled_key(node)
        connection = await node.database.connect(None, name="bench")
        await _plain_tables(connection)
        await _many(node, sealed(node, key, told, scale.submitters * 2), scale.submitters)
        for run in range(scale.runs):
            records = sealed(node, key, told, scale.submitters * scale.records_each)
            rate, waits = await _many(node, records, scale.submitters)
            rates["many"].append(rate)
            p50.append(percentile(waits, 50))
            p99.append(percentile(waits, 99))
            size = scale.batch_records * scale.batches
            rates["signed"].append(
                await _batches_signed(node, sealed(node, key, told, size), scale)
            )
            rates["drafts"].append(await _batches_drafts(node, list(islice(held, size)), scale))
            for name, found in plain.items():
                rows = sealed(node, key, told, size)
                found.append(await _insert(connection, name, rows, scale))
            batched = rates["signed"][-1]
            tell(f"append {run + 1}/{scale.runs}: {rate:,.0f}/s, {batched:,.0f}/s in batches")
        await connection.close()
    return _figures(scale, rates, plain, p50, p99)


def _figures(
    scale: Scale,
    rates: dict[str, list[float]],
    plain: dict[str, list[float]],
    p50: list[float],
    p99: list[float],
) -> list[Figure]:
    many = f"{scale.submitters} submitters, one record each time"
    batch = f"one submitter, batches of {scale.batch_records:,}"

    def rate(what: str, runs: Sequence[float], goal: float | None = None, note: str = "") -> Figure:
        return Figure(what=what, unit="records/s", runs=tuple(runs), goal=goal, note=note)

    signed = rate(
        f"durable appends, {batch}, signed by the author", rates["signed"], 12_000,
        "signatures verified",
    )  # fmt: skip
    drafts = rate(
        f"durable appends, {batch}, signed by the node", rates["drafts"], 12_000,
        "hashing and signing included",
    )  # fmt: skip
    same = rate(
        "plain multi-row INSERT, same batches, same columns but the proof, same indexes",
        plain["same"],
    )
    bare = rate("plain multi-row INSERT, same batches, primary key only", plain["bare"])
    return [
        rate(f"durable appends, {many}", rates["many"], 6_000, "signatures verified"),
        Figure(what="the same: acknowledged, p50", unit="ms", runs=tuple(p50)),
        Figure(
            what="the same: acknowledged, p99", unit="ms", runs=tuple(p99), goal=150,
            sense="at most",
        ),
        signed, drafts, same, bare,
        ratio("signed by the author, against that with the same indexes", signed, same, goal=0.3),
        ratio("signed by the node, against that with the same indexes", drafts, same, goal=0.3),
        ratio("signed by the author, against that with primary key only", signed, bare),
    ]  # fmt: skip


async def _many(
    node: Node, records: Sequence[Record], submitters: int
) -> tuple[float, list[float]]:
    """Let submitters append one record after the other; return records/s and waits in ms."""
    waits: list[float] = []

    async def submit(own: Sequence[Record]) -> None:
        for record in own:
            began = time.perf_counter()
            await node.writer.append_signed([record])
            waits.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(submitters):
            group.create_task(submit(records[number::submitters]))
    return len(records) / (time.perf_counter() - began), waits


async def _batches_signed(node: Node, records: Sequence[Record], scale: Scale) -> float:
    began = time.perf_counter()
    for start in range(0, len(records), scale.batch_records):
        await node.writer.append_signed(records[start : start + scale.batch_records])
    return len(records) / (time.perf_counter() - began)


async def _batches_drafts(node: Node, drafts: Sequence[Draft], scale: Scale) -> float:
    began = time.perf_counter()
    for start in range(0, len(drafts), scale.batch_records):
        await node.writer.append(drafts[start : start + scale.batch_records], tenant=TENANT)
    return len(drafts) / (time.perf_counter() - began)


async def _plain_tables(connection: Connection) -> None:
    """Make the registry's table twice without its proof: with its indexes, and bare."""
    await connection.execute("CREATE SCHEMA bench")
    for name, including in (("same", "INCLUDING ALL"), ("bare", "INCLUDING STORAGE")):
        await connection.execute(
            f"CREATE TABLE bench.{name} (LIKE ledger.universal_registry {including})"
        )
        dropped = ", ".join(f"DROP COLUMN {column}" for column in _PROOF)
        await connection.execute(f"ALTER TABLE bench.{name} {dropped}")
    await connection.execute("ALTER TABLE bench.bare ADD PRIMARY KEY (tenant_id, id, seq)")


async def _insert(
    connection: Connection, name: str, records: Sequence[Record], scale: Scale
) -> float:
    """Insert the same rows by one multi-row INSERT ... VALUES and commit per batch."""
    used = [
        column
        for column in COLUMNS
        if column.name not in _PROOF
        and (
            column.name in ("position", "recorded_at")
            or getattr(records[0], column.name) is not None
        )
    ]
    names = ", ".join(f'"{column.name}"' for column in used)
    row = "(" + ", ".join(["%s"] * len(used)) + ")"
    first = _next_position(name)
    now = datetime.now(UTC)
    began = time.perf_counter()
    for start in range(0, len(records), scale.batch_records):
        batch = records[start : start + scale.batch_records]
        statement = f"INSERT INTO bench.{name} ({names}) VALUES {', '.join([row] * len(batch))}"
        values: list[object] = []
        for number, record in enumerate(batch, first + start):
            for column in used:
                if column.name == "position":
                    values.append(number)
                elif column.name == "recorded_at":
                    values.append(now)
                else:
                    values.append(_plain(getattr(record, column.name), column.sql_type))
        async with connection.transaction():
            await connection.execute(statement, values)
    _positions[name] = first + len(records)
    return len(records) / (time.perf_counter() - began)


_positions: dict[str, int] = {}


def _next_position(name: str) -> int:
    return _positions.get(name, 0)


def _plain(value: object, sql_type: str) -> object:
    if sql_type == "jsonb" and value is not None:
        return Jsonb(value)
    return list(value) if isinstance(value, tuple) else value
