"""Export: any accepted record leaves in any format and enters another node with the same hashes."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loglineos.base.clock import rfc3339
from loglineos.base.errors import InvalidInput, UnknownName, UnknownTenant
from loglineos.ledger.archive.export_files import (
    ExportManifest,
    find_export,
    read_block,
    read_blocks,
)
from loglineos.ledger.archive.export_lines import FORMATS
from loglineos.ledger.archive.exporter import ExportFilter, export
from loglineos.ledger.archive.restorer import import_export
from loglineos.ledger.archive.verify_export import verify_export
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.log_names import log_keys, origin_of
from loglineos.ledger.log.publisher import Publisher
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.rows import record_of
from loglineos.ledger.seal import bytes_of
from tests.integration.conftest import House
from tests.integration.elsewhere import elsewhere  # noqa: F401 - a fixture

NODE = "casa.example"

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.integers(-(2**53) + 1, 2**53 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | floats | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)
SPAN = (datetime(1, 1, 2), datetime(2026, 3, 1))  # noqa: DTZ001 - the zone is drawn apart
times = st.datetimes(*SPAN, timezones=st.just(UTC))
lists = st.lists(words, max_size=4).map(tuple)
ids = st.uuids()


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


TEXTS = (
    "who", "did", "this", "confirmed_by", "if_ok", "if_doubt", "if_not", "subsystem",
    "source_file", "trace_id", "span_id", "session_id", "owner_id", "name", "description", "code",
    "code_hash", "language", "runtime", "version", "entrypoint", "output_hash", "queue", "worker",
    "idempotency_key", "cron", "timezone", "catch_up", "currency", "model", "provider",
    "content_hash", "content_type", "bucket", "object_key",
)  # fmt: skip
NUMBERS = (
    "attempt", "max_attempts", "priority", "duration_ms", "cost_micros", "tokens_in", "tokens_out",
    "latency_ms", "size_bytes",
)  # fmt: skip
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **{name: optional(words) for name in TEXTS},
    **{name: optional(numbers) for name in NUMBERS},
    **{name: optional(floats) for name in ("score", "latitude", "longitude")},
    **{name: optional(lists) for name in ("tags", "shared_with", "effects")},
    **{name: optional(ids) for name in ("parent_id", "cause_id")},
    **{name: optional(times) for name in ("run_at", "lease_until")},
    **{name: optional(values) for name in ("input", "output", "error")},
    **{name: optional(st.dictionaries(words, values, max_size=4)) for name in ("metadata",)},
    "at": optional(times),
    "details": optional(st.dictionaries(words.filter(lambda k: k != "given"), values, max_size=4)),
    "related_to": optional(st.lists(ids, max_size=3).map(tuple)),
    "branch": st.sampled_from([None, "ok", "doubt", "not"]),
    "visibility": st.sampled_from(["private", "tenant", "public"]),
    "is_deleted": st.booleans(),
    "simulated": st.sampled_from([None, True, False]),
    "status": st.sampled_from([None, "pending", "valid"]),
    "type": st.sampled_from([None, "human", "contract", "odd"]),
}
drafts = st.fixed_dictionaries(FIELDS).map(lambda fields: Draft(**fields))


async def stored(house: House, tenant: str = "casa") -> list[Record]:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT r.* FROM ledger.universal_registry r WHERE tenant_id = %s ORDER BY position",
        [tenant],
    )
    return [record_of(row) for row in await cursor.fetchall()]


def in_file(path: Path) -> list[Record]:
    return [
        one.record  # type: ignore[union-attr]
        for block in read_blocks(find_export(path))
        for _, one in read_block(block)
    ]


def timeless(records: list[Record]) -> list[Record]:
    return [msgspec.structs.replace(one, recorded_at=None) for one in records]


@pytest.mark.parametrize("records_format", FORMATS)
@settings(
    max_examples=12, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(batch=st.lists(drafts, min_size=1, max_size=8))
async def test_any_accepted_record_leaves_and_enters_elsewhere_unchanged(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
    records_format: Any,
    batch: list[Draft],
):
    await house.writer.append(batch, tenant="casa")
    pool = await house.pool("logline_reader")
    path = tmp_path / f"casa.{records_format}"
    await export(pool, "casa", path, records_format=records_format)
    here = await stored(house)
    assert in_file(path) == here
    assert verify_export(path).records == len(here)
    there = await elsewhere.pool("logline_reader")
    before = await stored(elsewhere)
    report = await import_export(
        path, appender=elsewhere.appender, pool=there, clock=elsewhere.clock
    )
    after = await stored(elsewhere)
    assert timeless(after) == timeless(here)
    assert [bytes_of(one) for one in after] == [bytes_of(one) for one in here]
    assert (report.already, report.written) == (len(before), len(here) - len(before))


async def test_a_line_is_the_hashed_bytes_with_place_and_proof_behind(house: House, tmp_path: Path):
    made = await house.add(details={"ç": 1.5, "a": [None]})
    path = tmp_path / "casa.jsonl"
    await export(await house.pool("logline_reader"), "casa", path)
    line = path.read_text().splitlines()[2]
    head = line[: line.rindex(',"position":')] + "}"
    assert blake3(head.encode()).hexdigest() == made.curr_hash
    told = json.loads(line)
    assert list(told)[-4:] == ["position", "recorded_at", "curr_hash", "signature"]
    assert made.recorded_at is not None
    assert (told["position"], told["recorded_at"]) == (2, rfc3339(made.recorded_at))


async def test_the_manifest_brings_the_checkpoint_that_covers_the_file(
    house: House, tmp_path: Path
):
    for number in range(300):
        await house.add(this=f"pedido {number}")
    pool = await house.pool("logline_reader")
    publisher = Publisher(
        pool.connection, house.connect, guard=Guard(tmp_path / "guard"),
        keys=[house.keyring.key("log")], origin=NODE, clock=house.clock,
    )  # fmt: skip
    await publisher.publish(["casa"])
    await house.add()
    origin = origin_of(NODE, "casa")
    (vkey,) = log_keys([bytes.fromhex(house.keyring.public("log"))], origin)
    manifest = await export(pool, "casa", tmp_path / "casa", vkeys=(vkey.encode(),))
    await publisher.close()
    report = verify_export(tmp_path / "casa", vkeys=[vkey.encode()])
    assert (manifest.size, manifest.records, manifest.whole) == (303, 303, True)
    assert (report.signed_size, report.log, report.root) == (302, origin, manifest.root)
    assert report.is_key_given


async def test_folders_hold_ghosts_confirmed_and_open_contracts(house: House, tmp_path: Path):
    contract = await house.add()
    ghost = await house.add(confirmed_by=None)
    confirmed = await house.add(status="pending")
    (confirmed_now,) = await house.writer.append(
        [msgspec.structs.replace(Draft(**_nine(confirmed)), id=confirmed.id, status="confirmed")],
        tenant="casa",
    )
    target = tmp_path / "saída"
    manifest = await export(
        await house.pool("logline_reader"), "casa", target, folders=True, records_format="csv"
    )
    assert manifest.records == 6
    names = ["records.csv", *(f"{f}/records.csv" for f in ("contracts", "confirmed", "ghosts"))]
    assert [one.name for one in manifest.files] == [*names, "index.csv"]
    assert sorted(p.name for p in target.iterdir()) == sorted(
        ["confirmed", "contracts", "export.json", "ghosts", "index.csv", "records.csv"]
    )
    assert (target / "index.csv").read_text().splitlines()[3:] == [
        f"2,{contract.id},0,contracts", f"3,{ghost.id},0,ghosts", f"4,{confirmed.id},0,contracts",
        f"5,{confirmed_now.id},1,confirmed",
    ]  # fmt: skip
    whole = (target / "records.csv").read_bytes()
    (line,) = (target / "ghosts" / "records.csv").read_bytes().splitlines()[1:]
    assert line in whole
    verify_export(target)
    (target / "ghosts" / "records.csv").write_bytes(b"")
    with pytest.raises(Exception, match="not what the manifest says"):
        verify_export(target)


class Ana(msgspec.Struct):
    user: str = "ana"
    role: str = "courier"


async def test_a_viewer_exports_what_they_may_read_and_no_more(house: House, tmp_path: Path):
    await house.add(confirmed_by="rui")
    mine = await house.add(who="ana", confirmed_by="rui")
    await house.add(tenant="pensao", who="ana", visibility="public")
    path = tmp_path / "minhas.jsonl"
    manifest = await export(await house.pool("logline_app"), "casa", path, viewer=Ana())
    assert not manifest.whole
    assert in_file(path) == [mine]
    assert verify_export(path).whole is False


async def test_a_filter_makes_a_part_that_says_so_and_does_not_enter_elsewhere(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    await house.add(tags=("a",))
    some = await house.add(tags=("a", "b"), who="ana")
    path = tmp_path / "parte.jsonl"
    where = ExportFilter(tag="b", who="ana")
    manifest = await export(await house.pool("logline_reader"), "casa", path, where=where)
    assert (manifest.records, manifest.size, manifest.whole) == (1, 4, False)
    assert in_file(path) == [some]
    pool = await elsewhere.pool("logline_reader")
    with pytest.raises(InvalidInput, match="only a part"):
        await import_export(path, appender=elsewhere.appender, pool=pool, clock=elsewhere.clock)
    assert await stored(elsewhere) == []


@pytest.mark.parametrize("records_format", FORMATS)
async def test_what_goes_to_stdout_is_what_a_file_would_hold(
    house: House, tmp_path: Path, records_format: Any
):
    await house.add()
    pool = await house.pool("logline_reader")
    out = io.BytesIO()
    told = await export(pool, "casa", "-", records_format=records_format, stdout=out)
    assert told.files == ()
    await export(pool, "casa", tmp_path / f"c.{records_format}", records_format=records_format)
    assert out.getvalue() == (tmp_path / f"c.{records_format}").read_bytes()


async def test_an_export_that_fails_leaves_what_was_there(house: House, tmp_path: Path):
    path = tmp_path / "casa.jsonl"
    path.write_text("the export of yesterday")

    def fail(done: int, total: int) -> None:
        raise RuntimeError("the disk is away")

    pool = await house.pool("logline_reader")
    with pytest.raises(RuntimeError):
        await export(pool, "casa", path, on_progress=fail)
    assert [p.name for p in tmp_path.glob("*casa*")] == ["casa.jsonl"]
    assert path.read_text() == "the export of yesterday"


async def test_what_cannot_be_exported_is_told(house: House, tmp_path: Path):
    pool = await house.pool("logline_reader")
    with pytest.raises(UnknownTenant):
        await export(pool, "nenhuma", tmp_path / "x.jsonl")
    with pytest.raises(UnknownName):
        await export(pool, "casa", tmp_path / "x.xml", records_format="xml")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="folder"):
        await export(pool, "casa", tmp_path / "x.jsonl", folders=True)
    assert not list(tmp_path.glob("*x.*"))


def test_the_manifest_has_a_version():
    assert ExportManifest.__struct_defaults__[0] == "loglineos/export/v1"


def _nine(record: Record) -> dict[str, Any]:
    names = ("who", "did", "this", "at", "confirmed_by", "if_ok", "if_doubt", "if_not")
    return {name: getattr(record, name) for name in names}
