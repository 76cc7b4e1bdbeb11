"""An exported log of a real house can be checked by others; a repeat adds only what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

from loglineos.base.errors import LogBehind, VerificationFailed
from loglineos.ledger.log.export_log import ExportedLog, export_log
from loglineos.ledger.log.log_names import log_keys
from loglineos.ledger.record import Draft
from loglineos.ledger.tlog.note import parse_vkey
from loglineos.ledger.tlog.static_tree import verify_static_tree
from tests.integration.conftest import NINE, House
from tests.integration.log_house import ORIGIN, LogHouse


@pytest.fixture
async def logs(house: House, tmp_path: Path) -> LogHouse:
    return LogHouse(house, tmp_path)


async def grow(logs: LogHouse, count: int) -> None:
    await logs.house.writer.append([Draft(**NINE) for _ in range(count)], tenant="casa")
    await (await logs.publisher()).publish()


async def export(logs: LogHouse, folder: Path) -> dict[str, ExportedLog]:
    pool = await logs.house.pool("logline_reader")
    done = await export_log(
        folder, lend_reader=pool.connection, origin=ORIGIN, publics=[logs.key.public]
    )
    return {one.tenant: one for one in done}


async def entries_that_hold(folder: Path, vkey: str) -> int:
    entries = 0
    async for audit in verify_static_tree(folder, log=parse_vkey(vkey)):
        entries = audit.entries
    return entries


async def test_every_published_log_is_exported_and_holds(logs: LogHouse, tmp_path: Path) -> None:
    await grow(logs, 298)
    folder = tmp_path / "out"
    done = await export(logs, folder)
    vkeys = (folder / "vkeys").read_text().splitlines()
    assert [key.partition("+")[0] for key in vkeys] == [
        f"{ORIGIN}/t/casa", f"{ORIGIN}/t/pensao", f"{ORIGIN}/root",
    ]  # fmt: skip
    assert await entries_that_hold(folder / "t/casa", vkeys[0]) == 300
    assert await entries_that_hold(folder / "t/pensao", vkeys[1]) == 2
    assert await entries_that_hold(folder / "root", vkeys[2]) == 2
    assert {name: one.checkpoint.size for name, one in done.items()} == {
        "casa": 300, "pensao": 2, "@root": 2,
    }  # fmt: skip


async def test_a_repeat_writes_only_what_is_new(logs: LogHouse, tmp_path: Path) -> None:
    await grow(logs, 598)
    folder = tmp_path / "out"
    assert (await export(logs, folder))["casa"].entries_written == 600
    full = {path: path.stat().st_mtime_ns for path in (folder / "t/casa/tile").rglob("00[01]")}
    assert len(full) == 4, "two tiles and two bundles"
    await grow(logs, 200)
    done = await export(logs, folder)
    assert done["casa"].entries_written == 800 - 512
    assert {path: path.stat().st_mtime_ns for path in full} == full
    (vkey,) = log_keys([logs.key.public], f"{ORIGIN}/t/casa")
    assert await entries_that_hold(folder / "t/casa", vkey.encode()) == 800
    assert (folder / "t/casa/tile/0/002.p/88").exists(), "the older checkpoint stays good"


async def test_nothing_published_exports_nothing(logs: LogHouse, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert await export(logs, folder) == {}
    assert [path.name for path in folder.iterdir()] == ["vkeys"]


async def test_an_export_never_goes_back_nor_over_another_history(
    logs: LogHouse, tmp_path: Path
) -> None:
    await grow(logs, 3)
    folder = tmp_path / "out"
    await export(logs, folder)
    path = folder / "t/casa/checkpoint"
    honest = path.read_text()
    path.write_text(honest.replace("\n5\n", "\n9\n"))
    with pytest.raises(LogBehind):
        await export(logs, folder)
    origin, size, _, *rest = honest.split("\n")
    path.write_text("\n".join([origin, size, "A" * 43 + "=", *rest]))
    with pytest.raises(VerificationFailed):
        await export(logs, folder)
