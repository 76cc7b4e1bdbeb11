"""Backup and restore: a node comes back whole; an old one does not sign over newer history."""

from __future__ import annotations

import asyncio
import shutil
import stat
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SystemEntropy
from loglineos.base.errors import (
    LogBehind,
    Misconfigured,
    NotFound,
    VerificationFailed,
)
from loglineos.database.catalog import snapshot
from loglineos.database.embedded import EmbeddedPostgres
from loglineos.database.migrate import migrate, read_migrations
from loglineos.database.pool import connect, open_pool
from loglineos.database.roles import ensure_roles
from loglineos.ledger.appender import Appender
from loglineos.ledger.archive.backup import backup
from loglineos.ledger.archive.backup_archive import ArchiveWriter, BackupManifest, check_archive
from loglineos.ledger.archive.exporter import export
from loglineos.ledger.archive.recovery import restore
from loglineos.ledger.archive.restorer import import_export
from loglineos.ledger.archive.verify_export import verify_export
from loglineos.ledger.forgotten import note_forgotten, read_forgotten
from loglineos.ledger.founding import found_tenant
from loglineos.ledger.keyring import KeyRing
from loglineos.ledger.log.guard import Guard
from loglineos.ledger.log.publisher import Publisher
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.writer import Writer
from tests.conftest import Database
from tests.integration.conftest import NINE, NOON, House
from tests.integration.test_exporter import stored
from tests.integration.test_managed_server import (  # noqa: F401 - fixtures
    PASSWORD,
    managed,
    server,
)

NODE = "casa.example"
PASSPHRASE = "três cavalos à chuva"
FORGOTTEN_EARLY, FORGOTTEN_LATE = UUID(int=1), UUID(int=2)
KEPT = UUID(int=3)


@contextmanager
def make_home() -> Iterator[Path]:
    """A short path that a Postgres of root's may pass through, as the fixture `home`."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[House]:
    """Start the Postgres of a data folder and open the house in it; founded if it is new."""
    async with AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(EmbeddedPostgres.start, home)
        stack.push_async_callback(asyncio.to_thread, postgres.stop)
        async with await psycopg.AsyncConnection.connect(
            postgres.admin_dsn, autocommit=True
        ) as admin:
            await ensure_roles(admin)
            await migrate(admin)
        house = House(Database(postgres=postgres, name="logline"), home, stack)
        house.keyring.create()
        house.appender = await house.new_appender()
        house.writer = Writer(
            house.appender, pool=await house.pool("logline_reader"), keyring=house.keyring,
            clock=house.clock, entropy=house.entropy,
        )  # fmt: skip
        await found_tenant(house.writer, "casa")
        yield house


@asynccontextmanager
async def publishing(house: House, home: Path, origin: str = NODE) -> AsyncIterator[Publisher]:
    pool = await house.pool("logline_reader")
    publisher = Publisher(
        pool.connection, house.connect, guard=Guard(home / "guard"),
        keys=[house.keyring.key("log")], origin=origin, clock=house.clock,
    )  # fmt: skip
    yield publisher
    await publisher.close()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was backed up twice, and what it was each time."""

    home: Path
    old: Path
    new: Path
    manifest: BackupManifest
    records_old: list[Record]
    records_new: list[Record]
    catalog: list[str]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with make_home() as home:
        yield asyncio.run(_live(home))


async def _live(home: Path) -> Node:
    (home / "config.json").write_text('{"language":"pt"}')
    async with opened(home) as house, publishing(house, home) as publisher:
        for number in range(300):
            await house.add(this=f"pedido {number}", details={"n": 1.5, "ç": "ã"})
        await publisher.publish()
        await _keep_keys(house, FORGOTTEN_EARLY, FORGOTTEN_LATE, KEPT)
        old = await _back_up(home, house, home / "old.logline-backup")
        await house.writer.append(
            [
                Draft(
                    entity_type="forgetting", who="node", did="forget",
                    this=str(FORGOTTEN_EARLY), status="active",
                )
            ],
            tenant="casa",
        )  # fmt: skip
        await house.add(this="o último")
        await publisher.publish()
        new = await _back_up(home, house, home / "new.logline-backup")
        records = await stored(house)
        return Node(
            home=home, old=home / "old.logline-backup", new=home / "new.logline-backup",
            manifest=new, records_old=records[: _size(old)], records_new=records,
            catalog=await _catalog(house),
        )  # fmt: skip


async def _back_up(home: Path, house: House, path: Path) -> BackupManifest:
    dsn = house.database.postgres.admin_dsn
    return await backup(
        path, home=home, dsn=dsn, with_keys=True, passphrase=PASSPHRASE, clock=house.clock
    )


def _size(manifest: BackupManifest) -> int:
    return next(log.size for log in manifest.logs if log.tenant == "casa")


async def _keep_keys(house: House, *keys: UUID) -> None:
    connection = await house.connect()
    for key in keys:
        await connection.execute(
            "INSERT INTO ledger.subject_key VALUES ('casa', %s, %s, '\\x00', now())", [key, key]
        )


async def _subject_keys(house: House) -> set[UUID]:
    connection = await house.connect()
    rows = await connection.execute("SELECT key_id FROM ledger.subject_key WHERE tenant_id='casa'")
    return {row[0] for row in await rows.fetchall()}


async def _catalog(house: House) -> list[str]:
    async with await psycopg.AsyncConnection.connect(house.database.dsn()) as connection:
        return list(await snapshot(connection))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


async def test_a_restored_node_is_the_one_that_was_backed_up(
    node: Node, home: Path, tmp_path: Path
):
    told: list[str] = []
    report = await restore(
        node.new, home, passphrase=PASSPHRASE, on_progress=lambda text: told.append(text.en)
    )
    assert (report.keys, report.ahead, report.manifest) == ("restored", (), node.manifest)
    assert told[0] == "checking the backup"
    assert files_of(home / "keys") == files_of(node.home / "keys")
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in (home / "keys").glob("*.key"))
    assert files_of(home / "guard") == files_of(node.home / "guard")
    assert (home / "config.json").read_text() == '{"language":"pt"}'
    assert not list(home.glob(".restoring*"))
    async with opened(home) as house, publishing(house, home) as publisher:
        assert await stored(house) == node.records_new
        assert await _catalog(house) == node.catalog
        await publisher.check_behind()
        again = await house.add(this="a vida continua")
        assert again.position == len(node.records_new)
        assert again.public_key == node.records_new[-1].public_key
        published = await publisher.publish()
        assert published[0].checkpoint.size == len(node.records_new) + 1
        await export(await house.pool("logline_reader"), "casa", tmp_path / "casa.jsonl")
        assert verify_export(tmp_path / "casa.jsonl").records == len(node.records_new) + 1


async def test_an_old_backup_beside_a_newer_guard_refuses_to_sign(node: Node, home: Path):
    Guard(home / "guard")
    (home / "guard").mkdir()
    for name, data in files_of(node.home / "guard").items():
        (home / "guard" / name).write_bytes(data)
    before = files_of(home / "guard")
    report = await restore(node.old, home, passphrase=PASSPHRASE)
    assert report.ahead == ("casa.example/root", "casa.example/t/casa")
    assert files_of(home / "guard") == before, "the guard never moves back"
    async with opened(home) as house, publishing(house, home) as publisher:
        assert await stored(house) == node.records_old
        with pytest.raises(LogBehind) as refused:
            await publisher.check_behind()
        assert refused.value.fields["ours"] < refused.value.fields["theirs"]
        assert "docs/how-to/recover.md" in refused.value.advise("en")
        with pytest.raises(LogBehind):
            await publisher.publish()
    assert files_of(home / "guard") == before


async def test_lost_history_goes_on_under_a_new_origin(node: Node, home: Path, tmp_path: Path):
    """As docs/how-to/recover.md tells: restore, rename, and import what an export still has."""
    async with opened(node.home) as house:
        await export(await house.pool("logline_reader"), "casa", tmp_path / "newer.jsonl")
    (home / "guard").mkdir()
    for name, data in files_of(node.home / "guard").items():
        (home / "guard" / name).write_bytes(data)
    before = files_of(home / "guard")
    await restore(node.old, home, passphrase=PASSPHRASE)
    async with opened(home) as house, publishing(house, home, "casa.example/2") as publisher:
        await publisher.check_behind()
        report = await import_export(
            tmp_path / "newer.jsonl", appender=house.appender,
            pool=await house.pool("logline_reader"), clock=house.clock,
        )  # fmt: skip
        assert report.written == len(node.records_new) - len(node.records_old)
        assert [one.curr_hash for one in await stored(house)] == [
            one.curr_hash for one in node.records_new
        ]
        published = await publisher.publish()
        assert [one.checkpoint.origin for one in published] == [
            "casa.example/2/t/casa", "casa.example/2/root"
        ]  # fmt: skip
    after = files_of(home / "guard")
    assert {name: after[name] for name in before} == before, "the old log ends as it was signed"


async def test_an_old_backup_alone_brings_its_own_guard_along(node: Node, home: Path):
    report = await restore(node.old, home, passphrase=PASSPHRASE)
    assert report.ahead == ()
    kept = Guard(home / "guard").read("casa.example/t/casa")
    assert kept is not None
    assert kept.checkpoint.size == _size(report.manifest)


async def test_what_was_forgotten_does_not_come_back(node: Node, home: Path):
    """By the log's word, by the list beside the guard, and by that list inside a backup."""
    note_forgotten(home / "guard", tenant="casa", key_id=FORGOTTEN_LATE)
    report = await restore(node.new, home, passphrase=PASSPHRASE)
    assert report.forgotten == 2
    async with opened(home) as house:
        assert await _subject_keys(house) == {KEPT}
        await _back_up(home, house, home / "later.logline-backup")
    assert read_forgotten(home / "guard") == {("casa", FORGOTTEN_LATE)}
    with make_home() as third:
        await restore(home / "later.logline-backup", third, passphrase=PASSPHRASE)
        assert read_forgotten(third / "guard") == {("casa", FORGOTTEN_LATE)}


async def test_keys_are_not_inside_unless_asked_for(node: Node, home: Path):
    async with opened(node.home) as house:
        path = home / "plain"
        manifest = await backup(path, home=node.home, dsn=house.database.postgres.admin_dsn)
    assert not manifest.has_keys
    (made,) = home.iterdir()
    assert made.name == "plain.logline-backup"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    with tarfile.open(made) as tar:
        assert "keys.box" not in tar.getnames()
    content = made.read_bytes()
    for data in files_of(node.home / "keys").values():
        secret = msgspec.json.decode(data)["secret"]
        assert secret.encode() not in content
        assert bytes.fromhex(secret) not in content
    assert (await restore(made, home)).keys == "missing"


async def test_keys_that_are_there_stay_and_others_are_refused(node: Node, home: Path):
    (home / "keys").mkdir(mode=0o700)
    for name, data in files_of(node.home / "keys").items():
        (home / "keys" / name).write_bytes(data)
    (home / "keys" / "node.key").write_bytes(b"another")
    before = files_of(home)
    with pytest.raises(Misconfigured, match="another key"):
        await restore(node.new, home, passphrase=PASSPHRASE)
    assert files_of(home) == before
    (home / "keys" / "node.key").write_bytes((node.home / "keys" / "node.key").read_bytes())
    assert (await restore(node.new, home, passphrase=PASSPHRASE)).keys == "kept"


@pytest.mark.parametrize("passphrase", [None, "", "outra"])
async def test_without_the_passphrase_nothing_is_restored(
    node: Node, home: Path, passphrase: str | None
):
    with pytest.raises(Misconfigured, match="passphrase"):
        await restore(node.new, home, passphrase=passphrase)
    assert list(home.iterdir()) == []


async def test_keys_are_not_packed_without_a_passphrase(node: Node, home: Path):
    with pytest.raises(Misconfigured, match="passphrase"):
        await backup(home / "x", home=node.home, dsn="host=/nowhere", with_keys=True)
    assert list(home.iterdir()) == []


async def test_a_folder_with_a_database_is_left_alone(node: Node, home: Path):
    (home / "pgdata").mkdir()
    (home / "pgdata" / "PG_VERSION").write_text("18")
    before = files_of(home)
    with pytest.raises(Misconfigured) as refused:
        await restore(node.new, home, passphrase=PASSPHRASE)
    assert "LOGLINE_HOME" in refused.value.advise("en")
    assert files_of(home) == before


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
async def test_a_truncated_file_is_refused(node: Node, home: Path, tmp_path: Path, share: float):
    data = node.new.read_bytes()
    cut = tmp_path / "cut.logline-backup"
    cut.write_bytes(data[: int((len(data) - 1024) * share)])
    with pytest.raises(VerificationFailed):
        await restore(cut, home, passphrase=PASSPHRASE)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["database.dump", "keys.box", "manifest.json", "config.json"])
async def test_a_changed_byte_anywhere_is_refused(
    node: Node, home: Path, tmp_path: Path, name: str
):
    changed = tmp_path / "changed.logline-backup"
    data = bytearray(node.new.read_bytes())
    with tarfile.open(node.new) as tar:
        member = tar.getmember(name)
    data[member.offset_data + member.size // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(VerificationFailed) as told:
        await restore(changed, home, passphrase=PASSPHRASE)
    assert "nothing was restored" in told.value.advise("en")
    assert list(home.iterdir()) == []


def test_names_that_are_not_ours_are_refused(tmp_path: Path):
    for name in ("../evil", "/etc/passwd", "guard/../../evil", "guard/..", "database.dump/x"):
        path = tmp_path / "evil.logline-backup"
        archive = ArchiveWriter(path)
        archive.add(name, [b"x"])
        archive.finish(
            BackupManifest(made_at="", server_version="", has_keys=False, logs=(), schema=())
        )
        with pytest.raises(VerificationFailed, match="not ours"):
            check_archive(path)
    with pytest.raises(NotFound):
        check_archive(tmp_path / "none")


async def test_a_backup_of_a_schema_that_is_not_known_is_refused(
    node: Node, home: Path, tmp_path: Path
):
    schema = node.manifest.schema
    strange = msgspec.structs.replace(schema[-1], checksum="0" * 64)
    for steps in ((*schema[:-1], strange), (*schema, _after(schema))):
        archive = ArchiveWriter(tmp_path / "other.logline-backup")
        archive.add("database.dump", [b""])
        archive.finish(msgspec.structs.replace(node.manifest, schema=steps, has_keys=False))
        with pytest.raises(Misconfigured, match="does not know"):
            await restore(tmp_path / "other.logline-backup", home)
    assert list(home.iterdir()) == []


def _after(schema: tuple[Any, ...]) -> Any:
    return msgspec.structs.replace(schema[-1], number=len(read_migrations()) + 1, name="later")


async def test_a_backup_that_fails_leaves_the_one_before(node: Node, tmp_path: Path):
    path = tmp_path / "x.logline-backup"
    path.write_text("the backup of yesterday")
    with pytest.raises(Exception, match="does not answer"):
        await backup(path, home=node.home, dsn="host=/nowhere dbname=logline")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "the backup of yesterday"


async def test_a_user_who_does_not_see_every_row_is_refused(node: Node, tmp_path: Path):
    async with opened(node.home) as house:
        dsn = house.database.dsn("logline_app")
        with pytest.raises(Misconfigured, match="holes"):
            await backup(tmp_path / "x", home=node.home, dsn=dsn)
    assert list(tmp_path.iterdir()) == []


async def test_a_server_of_others_is_backed_up_by_an_ordinary_user(
    managed: str,  # noqa: F811
    home: Path,
    tmp_path: Path,
):
    """By password over TCP, under row-level security; the dump misses nothing all the same."""
    async with AsyncExitStack() as stack:
        admin = await psycopg.AsyncConnection.connect(managed, autocommit=True)
        await stack.enter_async_context(admin)
        await ensure_roles(admin)
        await migrate(admin)

        async def connect_as(role: str) -> psycopg.AsyncConnection[Any]:
            return await connect(managed, name="test", role=role)

        pool = await open_pool(managed, name="test", role="logline_reader", max_size=2)
        stack.push_async_callback(pool.close)
        clock, keyring = ManualClock(NOON), KeyRing(tmp_path / "keys", environment={})
        keyring.create()
        appender = await stack.enter_async_context(
            Appender(lambda: connect_as("logline_appender"), clock=clock)
        )
        writer = Writer(appender, pool=pool, keyring=keyring, clock=clock, entropy=SystemEntropy())
        await found_tenant(writer, "casa")
        await writer.append([Draft(**NINE, visibility="private")] * 40, tenant="casa")
        path = tmp_path / "house.logline-backup"
        manifest = await backup(path, home=tmp_path, dsn=managed, clock=clock)
        await export(pool, "casa", tmp_path / "casa.jsonl")
    assert _size(manifest) == 42
    assert PASSWORD.encode() not in path.read_bytes()
    await restore(path, home)
    async with opened(home) as house:
        await export(await house.pool("logline_reader"), "casa", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "casa.jsonl").read_bytes()


def test_the_list_of_the_forgotten_only_grows(tmp_path: Path):
    one, two = uuid4(), uuid4()
    note_forgotten(tmp_path / "guard", tenant="casa", key_id=one)
    note_forgotten(tmp_path / "guard", tenant="casa", key_id=two)
    note_forgotten(tmp_path / "guard", tenant="casa", key_id=one)
    assert (tmp_path / "guard" / "forgotten").read_text() == f"casa {one}\ncasa {two}\n"
    with (tmp_path / "guard" / "forgotten").open("a") as file:
        file.write("casa 0189")
    assert read_forgotten(tmp_path / "guard") == {("casa", one), ("casa", two)}
