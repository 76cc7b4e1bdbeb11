"""Import: a log enters another node whole, once, and never over another history."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from loglineos.base.errors import (
    Conflict,
    InvalidInput,
    KeyNotTrusted,
    VerificationFailed,
)
from loglineos.ledger.archive.export_files import manifest_path
from loglineos.ledger.archive.exporter import export
from loglineos.ledger.archive.restorer import ImportReport, import_export
from loglineos.ledger.archive.verify_export import verify_export
from loglineos.ledger.founding import found_tenant
from loglineos.ledger.writer import Writer
from tests.integration.conftest import House
from tests.integration.elsewhere import elsewhere  # noqa: F401 - a fixture
from tests.integration.test_exporter import stored, timeless


async def bring(path: Path, into: House, tenant: str | None = None) -> ImportReport:
    pool = await into.pool("logline_reader")
    return await import_export(
        path, appender=into.appender, pool=pool, clock=into.clock, tenant=tenant
    )


async def export_of(house: House, path: Path, count: int = 30) -> Path:
    for number in range(count):
        made = await house.add(this=f"pedido {number}", status="pending")
        if number % 3 == 0:
            await house.add(id=made.id, seq=1, this=f"pedido {number}", status="confirmed")
    await export(await house.pool("logline_reader"), "casa", path)
    return path


async def heads(house: House) -> list[tuple[object, ...]]:
    connection = await house.connect("logline_reader")
    rows = await connection.execute(
        "SELECT * FROM ledger.entity WHERE tenant_id = 'casa' ORDER BY id"
    )
    return await rows.fetchall()


async def test_an_imported_log_has_the_same_records_places_and_states(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    report = await bring(path, elsewhere)
    assert report == ImportReport(tenant="casa", read=42, written=42, already=0)
    here, there = await stored(house), await stored(elsewhere)
    assert timeless(there) == timeless(here)
    assert {one.recorded_at for one in there} == {elsewhere.clock.now()}
    assert await heads(house) == await heads(elsewhere)
    again = tmp_path / "again.jsonl"
    await export(await elsewhere.pool("logline_reader"), "casa", again)
    assert verify_export(again).records == 42
    assert verify_export(again).root != verify_export(path).root, "its log is a log of its own"


async def test_a_repeat_writes_nothing_and_a_longer_export_goes_on(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    await bring(path, elsewhere)
    before = await stored(elsewhere)
    assert await bring(path, elsewhere) == ImportReport(
        tenant="casa", read=42, written=0, already=42
    )
    assert await stored(elsewhere) == before
    longer = await export_of(house, tmp_path / "longer.jsonl", count=2)
    assert await bring(longer, elsewhere) == ImportReport(
        tenant="casa", read=45, written=3, already=42
    )
    assert (await stored(elsewhere))[:42] == before
    assert await bring(path, elsewhere) == ImportReport(
        tenant="casa", read=42, written=0, already=42
    ), "an older export of the same history holds too"


async def test_another_history_of_the_tenant_is_a_conflict_that_changes_nothing(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    pool = await elsewhere.pool("logline_reader")
    elsewhere.writer = Writer(
        elsewhere.appender, pool=pool, keyring=elsewhere.keyring, clock=elsewhere.clock,
        entropy=elsewhere.entropy,
    )  # fmt: skip
    await found_tenant(elsewhere.writer, "casa")
    before = await stored(elsewhere)
    with pytest.raises(Conflict) as told:
        await bring(path, elsewhere)
    assert told.value.fields["position"] == 0
    assert "another history" in told.value.advise("en")
    assert await stored(elsewhere) == before


async def test_histories_that_part_later_are_told_at_the_place_where_they_part(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl", count=3)
    await bring(path, elsewhere)
    elsewhere.writer = Writer(
        elsewhere.appender, pool=await elsewhere.pool("logline_reader"), keyring=house.keyring,
        clock=elsewhere.clock, entropy=elsewhere.entropy,
    )  # fmt: skip
    await elsewhere.add(this="só aqui")
    before = await stored(elsewhere)
    with pytest.raises(Conflict) as told:
        await bring(await export_of(house, path, count=1), elsewhere)
    assert told.value.fields["position"] == len(before) - 1
    assert await stored(elsewhere) == before


async def test_a_lie_stops_the_import_before_its_batch(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[9] = lines[9].replace(b'"who":"joao"', b'"who":"rui"')
    path.write_bytes(b"".join(lines))
    with pytest.raises(Exception) as told:
        await bring(path, elsewhere)
    assert type(told.value).__name__ == "SignatureBroken"
    assert await stored(elsewhere) == []
    lines[9] = lines[9][:50] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(VerificationFailed) as cut:
        await bring(path, elsewhere)
    assert cut.value.fields["where"] == "casa.jsonl:10"
    assert await stored(elsewhere) == []


async def test_a_log_that_does_not_begin_with_its_founding_is_refused(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    manifest_path(path).unlink()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    with pytest.raises(InvalidInput, match="only a part"):
        await bring(path, elsewhere)
    moved = [
        line.replace(b',"position":%d,' % (n + 1), b',"position":%d,' % n)
        for n, line in enumerate(lines[1:])
    ]
    path.write_bytes(b"".join(moved))
    with pytest.raises(KeyNotTrusted, match="founding"):
        await bring(path, elsewhere)
    assert await stored(elsewhere) == []


async def test_a_tenant_cannot_be_renamed_by_an_import(
    house: House,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
):
    path = await export_of(house, tmp_path / "casa.jsonl")
    with pytest.raises(InvalidInput, match="another tenant"):
        await bring(path, elsewhere, tenant="pensao")
    assert await stored(elsewhere) == []
    assert msgspec.json.decode(manifest_path(path).read_bytes())["tenant"] == "casa"
