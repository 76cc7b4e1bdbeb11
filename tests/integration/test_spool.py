"""What waits in the spool enters the ledger once, whatever happened to the files."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from loglineos.ledger.intake.spool import Spool, drain_spool
from loglineos.ledger.record import Draft
from tests.integration.conftest import NINE, House


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


def waiting(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


async def test_what_was_spooled_is_appended_and_the_file_removed(house: House, folder: Path):
    spool = Spool(folder, tenant="casa", clock=house.clock)
    before = await house.writer.log_size("casa")
    assert spool.write([Draft(**NINE), Draft(**NINE)]) == 2
    spool.close()
    report = await drain_spool(house.writer, folder)
    assert (report.files, report.added, report.present, report.left) == (1, 2, 0, 0)
    assert await house.writer.log_size("casa") == before + 2
    assert waiting(folder) == []


async def test_a_file_drained_twice_adds_nothing(house: House, folder: Path):
    spool = Spool(folder, tenant="casa", clock=house.clock)
    spool.write([Draft(**NINE)])
    spool.close()
    (path,) = waiting(folder)
    copy = path.read_bytes()
    await drain_spool(house.writer, folder)
    path.write_bytes(copy)
    report = await drain_spool(house.writer, folder)
    assert (report.added, report.present) == (0, 1)


async def test_a_file_that_is_being_written_is_passed_over(house: House, folder: Path):
    spool = Spool(folder, tenant="casa", clock=house.clock)
    spool.write([Draft(**NINE)])
    report = await drain_spool(house.writer, folder)
    assert (report.busy, report.added) == (1, 0)
    spool.close()
    assert (await drain_spool(house.writer, folder)).added == 1


async def test_a_torn_line_becomes_a_ghost_that_keeps_its_text(house: House, folder: Path):
    (folder / "casa.torn.jsonl").write_bytes(b'{"id":"' + str(uuid4()).encode()[:9])
    report = await drain_spool(house.writer, folder)
    assert report.added == 1
    assert waiting(folder) == []


async def test_the_end_of_an_act_follows_its_start(house: House, folder: Path):
    started = await house.add(status="running")
    end = Draft(**{**NINE, "id": started.id, "seq": 1, "status": "executed"})
    spool = Spool(folder, tenant="casa", clock=house.clock)
    spool.write([end])
    spool.close()
    await drain_spool(house.writer, folder)
    latest = await house.writer.latest("casa", started.id)
    assert (latest.seq, latest.status, latest.prev_hash) == (1, "executed", started.curr_hash)


async def test_a_file_of_an_unknown_tenant_stays(house: House, folder: Path):
    spool = Spool(folder, tenant="ninguem", clock=house.clock)
    spool.write([Draft(**NINE)])
    spool.close()
    report = await drain_spool(house.writer, folder)
    assert (report.left, report.added, len(waiting(folder))) == (1, 0, 1)


async def test_a_value_that_is_no_json_is_kept_as_text(house: House, folder: Path):
    spool = Spool(folder, tenant="casa", clock=house.clock)
    spool.write([Draft(**{**NINE, "details": {"odd": object(), "half": "\ud800"}})])
    spool.close()
    assert (await drain_spool(house.writer, folder)).added == 1
