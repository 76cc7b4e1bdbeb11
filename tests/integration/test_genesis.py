"""Genesis: what the product brings becomes records of the house, once, and nothing is taken back."""

from __future__ import annotations

import asyncio

import pytest

from loglineos.base.errors import KeyNotTrusted, Misconfigured, NotFound, Refused, UnknownTenant
from loglineos.ledger.founding import ensure_node_key
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.writer import Writer
from loglineos.runtime.genesis import GENESIS_ID, write_rows
from loglineos.runtime.laws import Laws
from loglineos.runtime.manifest import MANIFEST_ID, manifest_draft, parse_manifest, with_item
from loglineos.runtime.publishing import set_pause
from loglineos.runtime.rows import Rows
from tests.integration.lawful_house import of_type, publish

ONE = "def main(input):\n    return 1\n"
TWO = "def main(input):\n    return 2\n"


@pytest.fixture
def folder(tmp_path):
    """Rows of a test's own: a kernel, a function, a schedule and a manifest."""
    home = tmp_path / "rows"
    for name in ("kernels", "functions", "schedules"):
        (home / name).mkdir(parents=True)
    kernel = "00000000-0000-4000-8000-000000000001"
    header = f"FUNCTION = {{'id': '{kernel}', 'kernel': True}}\n"
    (home / "kernels" / "run_code.py").write_text(header + ONE, "utf-8")
    (home / "functions" / "one.py").write_text(ONE, "utf-8")
    (home / "schedules" / "daily.json").write_text('{"cron": "0 8 * * *", "function": "one"}')
    (home / "manifest.json").write_text(
        f'{{"kernels": {{"run_code": "{kernel}"}}, "allowed_boot_ids": ["{kernel}"],'
        ' "effects_granted": ["emit"]}'
    )
    return home


async def size(house) -> int:
    return await house.writer.log_size("casa")


async def test_each_row_becomes_a_signed_record_and_a_repeat_appends_nothing(house):
    rows = Rows()
    report = await write_rows(house.writer, "casa")
    assert (report.kept, report.unchanged) == ((), 0)
    assert sorted(report.written) == sorted(rows.files)
    assert await size(house) == 2 + len(rows.files) + 1
    manifest = await house.writer.latest("casa", MANIFEST_ID)
    assert manifest.public_key == house.keyring.public("root")
    assert parse_manifest(manifest.metadata).trusted_keys == (house.keyring.public("node"),)
    for row in rows.all:
        record = await house.writer.latest("casa", row.id)
        assert (record.seq, record.public_key) == (0, house.keyring.public("node"))
        assert record.details == {"row": row.name, "genesis": rows.hashes[row.name]}
    for is_thorough in (False, True):
        again = await write_rows(house.writer, "casa", is_thorough=is_thorough)
        assert (again.written, again.kept) == ((), ())
    assert await size(house) == 2 + len(rows.files) + 1
    assert await house.writer.log_size("pensao") == 2


async def test_a_new_house_may_run_all_that_it_was_given(house):
    await write_rows(house.writer, "casa")
    laws = Laws(house.writer, root=house.keyring.public("root"))
    for row in Rows().all:
        if row.source is not None:
            assert (await laws.function("casa", row.id)).code_hash == row.source.code_hash


async def test_a_changed_row_appends_its_next_version_and_only_that(house, folder):
    await write_rows(house.writer, "casa", Rows(folder))
    before = await size(house)
    (folder / "functions" / "one.py").write_text(TWO, "utf-8")
    (folder / "functions" / "two.py").write_text(TWO, "utf-8")
    (folder / "schedules" / "daily.json").write_text('{"cron": "0 9 * * *", "function": "one"}')
    report = await write_rows(house.writer, "casa", Rows(folder))
    assert report.written == ("functions/one.py", "functions/two.py", "schedules/daily.json")
    assert await size(house) == before + 4
    versions = [r for r in await of_type(house, "function") if r.name == "one"]
    assert [(r.seq, r.code) for r in versions] == [(0, ONE), (1, TWO)]
    schedules = await of_type(house, "schedule")
    assert [(r.seq, r.cron) for r in schedules] == [(0, "0 8 * * *"), (1, "0 9 * * *")]


async def test_a_row_that_the_house_changed_is_kept_and_told(house, folder):
    await write_rows(house.writer, "casa", Rows(folder))
    mine = "def main(input):\n    return 'mine'\n"
    await publish(house, mine, "one.py")
    assert (await write_rows(house.writer, "casa", Rows(folder))).kept == ()
    (folder / "functions" / "one.py").write_text(TWO, "utf-8")
    report = await write_rows(house.writer, "casa", Rows(folder))
    assert (report.written, report.kept) == ((), ("functions/one.py",))
    assert [r.code for r in await of_type(house, "function") if r.name == "one"] == [ONE, mine]
    assert (await write_rows(house.writer, "casa", Rows(folder))).kept == ()
    thorough = await write_rows(house.writer, "casa", Rows(folder), is_thorough=True)
    assert thorough.kept == ("functions/one.py",)


async def test_what_was_paused_is_upgraded_and_stays_paused(house, folder):
    await write_rows(house.writer, "casa", Rows(folder))
    (row,) = [row for row in Rows(folder).all if row.name == "functions/one.py"]
    await set_pause(house.writer, "casa", row.id, who="ana", is_paused=True, reason="férias")
    (folder / "functions" / "one.py").write_text(TWO, "utf-8")
    report = await write_rows(house.writer, "casa", Rows(folder))
    assert (report.written, report.kept) == (("functions/one.py",), ())
    head = await house.writer.latest("casa", row.id)
    assert (head.seq, head.code, head.metadata["paused"]["by"]) == (2, TWO, "ana")


async def test_what_the_house_decided_in_its_manifest_is_not_taken_back(house, folder):
    await write_rows(house.writer, "casa", Rows(folder))
    head = await house.writer.latest("casa", MANIFEST_ID)
    mine = with_item(parse_manifest(head.metadata), "effects_granted", "emit", is_in=False)
    draft = manifest_draft(mine, who="ana", seq=1)
    await house.writer.append([draft], tenant="casa", key=house.keyring.key("root"))

    new = "00000000-0000-4000-8000-000000000009"
    (folder / "kernels" / "new.py").write_text(f"FUNCTION = {{'id': '{new}'}}\n" + ONE, "utf-8")
    text = (folder / "manifest.json").read_text("utf-8")
    text = text.replace('"kernels": {', f'"kernels": {{"new": "{new}", ').replace("emit", "run")
    (folder / "manifest.json").write_text(text, "utf-8")
    report = await write_rows(house.writer, "casa", Rows(folder))
    assert report.written == ("manifest.json", "kernels/new.py")
    after = parse_manifest((await house.writer.latest("casa", MANIFEST_ID)).metadata)
    assert (after.effects_granted, after.kernels["new"]) == ((), new)
    assert new in after.allowed_boot_ids


async def test_a_manifest_that_the_house_never_touched_follows_its_row(house, folder):
    await write_rows(house.writer, "casa", Rows(folder))
    text = (folder / "manifest.json").read_text("utf-8").replace('"emit"', '"run"')
    (folder / "manifest.json").write_text(text, "utf-8")
    await write_rows(house.writer, "casa", Rows(folder))
    after = parse_manifest((await house.writer.latest("casa", MANIFEST_ID)).metadata)
    assert after.effects_granted == ("run",)
    assert after.trusted_keys == (house.keyring.public("node"),)


async def test_an_older_node_takes_no_row_back_unless_it_is_told_to(house, folder):
    old = Rows(folder)
    assert old.all
    await write_rows(house.writer, "casa", old)
    (folder / "functions" / "one.py").write_text(TWO, "utf-8")
    await write_rows(house.writer, "casa", Rows(folder))
    before = await size(house)
    assert (await write_rows(house.writer, "casa", old)).written == ()
    assert await size(house) == before
    told = await write_rows(house.writer, "casa", old, is_thorough=True)
    assert told.written == ("functions/one.py",)


async def test_many_nodes_at_once_write_each_row_once(house):
    await asyncio.gather(*(write_rows(house.writer, "casa") for _ in range(5)))
    assert await size(house) == 2 + len(Rows().files) + 1
    lives = [r for r in await of_type(house, "boot_event") if r.id == GENESIS_ID]
    assert len(lives) == 1


async def test_a_second_node_adds_its_key_to_the_manifest_and_nothing_else(house, tmp_path):
    await write_rows(house.writer, "casa")
    before = await size(house)
    seed = {"LOGLINE_ROOT_KEY": house.keyring.key("root").secret[:32].hex()}
    keyring = KeyRing(tmp_path / "second", environment=seed)
    keyring.create()
    second = Writer(
        house.appender, pool=house.writer.pool, keyring=keyring, clock=house.clock,
        entropy=house.entropy,
    )  # fmt: skip
    await ensure_node_key(second, "casa")
    report = await write_rows(second, "casa")
    assert (report.written, await size(house)) == (("manifest.json",), before + 2)
    manifest = parse_manifest((await house.writer.latest("casa", MANIFEST_ID)).metadata)
    assert manifest.trusted_keys == (house.keyring.public("node"), keyring.public("node"))


async def test_without_the_root_key_a_new_house_gets_no_law_and_says_so(house):
    (house.keyring.folder / "root.key").unlink()
    house.keyring.reopen()
    with pytest.raises((NotFound, Misconfigured)):
        await write_rows(house.writer, "casa")
    assert await size(house) == 2
    with pytest.raises(Refused):
        await Laws(house.writer).manifest("casa")


async def test_the_root_of_another_house_cannot_give_this_one_its_law(house, tmp_path):
    keyring = KeyRing(tmp_path / "foreign", environment={})
    keyring.create()
    foreign = Writer(
        house.appender, pool=house.writer.pool, keyring=keyring, clock=house.clock,
        entropy=house.entropy,
    )  # fmt: skip
    with pytest.raises(KeyNotTrusted):
        await write_rows(foreign, "casa")
    assert await size(house) == 2


async def test_a_house_that_is_not_there_is_not_founded(house):
    with pytest.raises(UnknownTenant):
        await write_rows(house.writer, "nenhures")
