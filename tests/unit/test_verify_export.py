"""Checking an exported file without a database: every kind of lie is named, and where it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import InvalidInput, NotFound, VerificationFailed
from loglineos.ledger.archive.entity_heads import EntityHeads
from loglineos.ledger.archive.export_files import (
    ExportManifest,
    FileAside,
    manifest_path,
    open_sink,
)
from loglineos.ledger.archive.export_lines import FORMATS, Exported, Format, write_line
from loglineos.ledger.archive.verify_export import verify_export
from loglineos.ledger.record import Draft
from loglineos.ledger.seal import leaf_of, seal
from loglineos.ledger.signature import SigningKey, signing_key
from loglineos.ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import leaf_hash
from loglineos.ledger.tlog.note import ED25519, NoteSigner, note_signer
from loglineos.ledger.tlog.tiles import TileTree
from loglineos.ledger.trust import key_entity_id, tenant_entity_id

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
ROOT, NODE, STRANGER = (signing_key(bytes([n]) * 32) for n in (1, 2, 3))
LOG = note_signer("casa.example/t/casa", kind=ED25519, seed=b"\x04" * 32)
OTHER_LOG = note_signer("casa.example/t/casa", kind=ED25519, seed=b"\x05" * 32)


class House:
    """A log in memory, and the files that would be exported of it."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.entropy = SeededEntropy(7)
        self.records: list[Exported] = []
        self.heads: dict[UUID, Exported] = {}
        self.add(
            ROOT, id=tenant_entity_id("casa"), entity_type="tenant", who="root", this="casa",
            status="active",
        )  # fmt: skip
        self.add(
            ROOT, id=key_entity_id("casa", NODE.public.hex()), entity_type="key", who="root",
            did="enrol", this=NODE.public.hex(), name="node", status="active",
            metadata={"role": "service", "custody": "node"},
        )  # fmt: skip

    def add(self, key: SigningKey = NODE, **fields: object) -> Exported:
        """Seal the next record; the same id again is the next event of its entity."""
        self.clock.advance(timedelta(seconds=1))
        before = self.heads.get(fields.get("id"))  # type: ignore[arg-type]
        sealed = seal(
            Draft(tenant_id="casa", seq=before.record.seq + 1 if before else 0, **fields),
            key=key, clock=self.clock, entropy=self.entropy,
            prev_hash=before.record.curr_hash if before else None,
        )  # fmt: skip
        record = msgspec.structs.replace(
            sealed.record, position=len(self.records), recorded_at=self.clock.now()
        )
        one = Exported(record, sealed.bytes)
        self.records.append(one)
        self.heads[record.id] = one
        return one

    def live(self, count: int = 9) -> House:
        """Add some life: deliveries, each then confirmed."""
        for number in range(count):
            made = self.add(
                who="João", did="deliver", this=f"pedido:{number}", status="pending",
                tags=("rua", ""), details={"n": 1.0, "ç": [None, {}], "grande": 1e22},
                score=0.1, if_ok='fecha "já"\r\nou não', related_to=(UUID(int=number),),
            )  # fmt: skip
            self.add(
                id=made.record.id,
                who="Ana",
                did="confirm",
                this=f"pedido:{number}",
                status="confirmed",
                description="",
            )
        return self

    def write(
        self,
        path: Path,
        records_format: Format = "jsonl",
        *,
        signed: int | None = None,
        signer: NoteSigner | None = LOG,
        whole: bool = True,
    ) -> Path:
        """Write file and manifest as an export does."""
        file = FileAside(path)
        sink = open_sink(file, records_format=records_format)
        sink.write(self.records)
        sink.close()
        told = file.finish(name=path.name)
        size = len(self.records) if signed is None else signed
        note = None
        if signer is not None:
            at = Checkpoint(origin=signer.name, size=size, root=root_of(self.records[:size]))
            note = sign_checkpoint(at, signers=[signer]).decode()
        manifest = ExportManifest(
            tenant="casa", records_format=records_format, records=len(self.records),
            size=len(self.records), root=root_of(self.records).hex(), whole=whole, checkpoint=note,
            vkeys=(LOG.verifier.encode(),), exported_at="", files=(told,),
        )  # fmt: skip
        manifest_path(path).write_bytes(msgspec.json.encode(manifest))
        return path


def root_of(records: list[Exported]) -> bytes:
    tree = TileTree()
    for one in records:
        assert one.record.recorded_at is not None
        at = one.record.recorded_at.isoformat(timespec="microseconds")[:26] + "Z"
        tree.extend([leaf_hash(leaf_of(one.record, at))])
    return tree.root()


def reseal(one: Exported, key: SigningKey, **changes: object) -> Exported:
    """Let `key` sign a changed record, as a liar with a key would."""
    fields = {
        name: getattr(one.record, name)
        for name in Draft.__struct_fields__
        if getattr(one.record, name) is not None
    }
    prev_hash = changes.pop("prev_hash", one.record.prev_hash)
    sealed = seal(
        Draft(**{**fields, **changes}), key=key, clock=ManualClock(START),
        entropy=SeededEntropy(1), prev_hash=prev_hash,
    )  # fmt: skip
    place = {"position": one.record.position, "recorded_at": one.record.recorded_at}
    return Exported(msgspec.structs.replace(sealed.record, **place), sealed.bytes)


@pytest.mark.parametrize("records_format", FORMATS)
def test_an_honest_export_holds_in_every_format(tmp_path: Path, records_format: Format):
    house = House().live()
    path = house.write(tmp_path / f"casa.{records_format}", records_format)
    report = verify_export(path, vkeys=[LOG.verifier.encode()])
    assert (report.records, report.entities, report.whole) == (20, 11, True)
    assert (report.signed_size, report.log) == (20, "casa.example/t/casa")
    assert report.root == root_of(house.records).hex()
    assert report.is_key_given
    assert report.unchecked == ()


@pytest.mark.parametrize("records_format", FORMATS)
def test_two_processes_say_the_same_as_one(tmp_path: Path, records_format: Format):
    path = House().live(1100).write(tmp_path / f"casa.{records_format}", records_format)
    assert verify_export(path, processes=2) == verify_export(path, processes=1)


def test_what_was_not_checked_is_named(tmp_path: Path):
    house = House().live()
    path = house.write(tmp_path / "casa.jsonl", signed=15)
    report = verify_export(path)
    assert not report.is_key_given
    assert [one.en for one in report.unchecked] == [
        "the last 5 records are newer than the checkpoint"
    ]
    house.write(path, signer=None)
    assert "no checkpoint" in verify_export(path).unchecked[0].en
    manifest_path(path).unlink()
    alone = verify_export(path)
    assert alone.whole
    assert alone.root == root_of(house.records).hex()
    assert "no checkpoint" in alone.unchecked[0].en


def test_a_part_of_a_log_is_checked_as_far_as_it_can_be(tmp_path: Path):
    house = House().live()
    house.records = house.records[3::2]
    report = verify_export(house.write(tmp_path / "casa.jsonl", whole=False, signer=None))
    assert report.root is None
    assert [one.en for one in report.unchecked] == [
        "it is only a part of the log: tree, keys and gaps cannot be checked"
    ]


Lines = list[bytes]
LIES: dict[str, tuple[Callable[[House, Lines], object], str, int, str]] = {
    "a word was changed": (
        lambda _, lines: lines.__setitem__(4, lines[4].replace(b"pedido:1", b"pedido:7")),
        "hash", 5, "curr_hash is not the hash",
    ),
    "a word and its hash were changed": (
        lambda house, lines: lines.__setitem__(4, forged(house, 4)),
        "signature", 5, "not by the key",
    ),
    "a record was left out": (
        lambda _, lines: lines.pop(7), "position", 8, "position 8 comes after 6",
    ),
    "a record was told twice": (
        lambda _, lines: lines.insert(7, lines[6]), "position", 8, "position 6 comes after 6",
    ),
    "two records changed places": (
        lambda _, lines: lines.reverse(), "position", 1, "position 19 comes after -1",
    ),
    "the end was cut off": (
        lambda _, lines: lines.pop(), "file", 0, "19 records and should have 20",
    ),
    "a line was cut": (
        lambda _, lines: lines.__setitem__(19, lines[19][:90]), "record", 20, "not an exported",
    ),
    "a stranger signed": (
        lambda house, lines: lines.__setitem__(4, write_line(reseal(house.records[4], STRANGER))),
        "key", 5, "not enrolled",
    ),
    "the root signed what is not its to sign": (
        lambda house, lines: lines.__setitem__(4, write_line(reseal(house.records[4], ROOT))),
        "key", 5, "may not",
    ),
    "an event follows another one than it says": (
        lambda house, lines: lines.__setitem__(
            5, write_line(reseal(house.records[5], NODE, prev_hash="0" * 64))
        ),
        "chain", 6, "does not continue event 0",
    ),
    "a life begins in its middle": (
        lambda house, lines: lines.__setitem__(
            4, write_line(reseal(house.records[4], NODE, seq=3, prev_hash="0" * 64))
        ),
        "chain", 5, "does not continue event -",
    ),
    "the node wrote history anew": (
        lambda house, lines: lines.__setitem__(
            18, write_line(reseal(house.records[18], NODE, id=UUID(int=99), who="Rui"))
        ),
        "chain", 20, "does not continue event -",
    ),
    "the time of recording was changed": (
        lambda _, lines: lines.__setitem__(
            4, re.sub(rb'"recorded_at":"2026', b'"recorded_at":"2025', lines[4])
        ),
        "tree", 0, "not the one that the log signed",
    ),
    "a record is of another tenant": (
        lambda house, lines: lines.__setitem__(
            4, write_line(reseal(house.records[4], NODE, tenant_id="pensao"))
        ),
        "tenant", 5, "it is of pensao",
    ),
    "a field was added that no hash covers": (
        lambda _, lines: lines.__setitem__(4, lines[4].replace(b"{", b'{"boss":"Rui",', 1)),
        "record", 5, "not spelled",
    ),
    "a field is told twice": (
        lambda _, lines: lines.__setitem__(4, lines[4].replace(b"{", b'{"who":"Rui",', 1)),
        "record", 5, "not spelled",
    ),
    "the founding is missing": (
        lambda house, lines: lines.__setitem__(
            0, write_line(reseal(house.records[0], ROOT, entity_type="actor"))
        ),
        "key", 1, "founding",
    ),
}  # fmt: skip


def forged(house: House, index: int) -> bytes:
    """Change a word and compute the hash anew, keeping the signature."""
    true = house.records[index]
    false = reseal(true, NODE, who="Rui")
    record = msgspec.structs.replace(false.record, signature=true.record.signature)
    return write_line(Exported(record, false.bytes))


@pytest.mark.parametrize("lie", LIES)
def test_each_kind_of_lie_is_named_with_its_place(tmp_path: Path, lie: str):
    house = House().live()
    path = house.write(tmp_path / "casa.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    tell, what, line, reason = LIES[lie]
    tell(house, lines)
    path.write_bytes(b"".join(lines))
    with pytest.raises(VerificationFailed) as told:
        verify_export(path)
    where = f"casa.jsonl:{line}" if line else "casa.jsonl"
    assert (told.value.fields["what"], told.value.fields["where"]) == (what, where)
    assert reason in told.value.describe("en")


def test_the_first_lie_is_the_one_that_is_told(tmp_path: Path):
    path = House().live(1100).write(tmp_path / "casa.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    for number in (3, 1500, 2150):
        lines[number] = lines[number].replace(b'"seq":', b'"seq" :')
    path.write_bytes(b"".join(lines))
    with pytest.raises(VerificationFailed) as told:
        verify_export(path, processes=2)
    assert told.value.fields["where"] == "casa.jsonl:4"


def test_a_checkpoint_of_another_key_or_log_does_not_serve(tmp_path: Path):
    house = House().live()
    path = house.write(tmp_path / "casa.jsonl", signer=OTHER_LOG)
    with pytest.raises(VerificationFailed, match="no known key signed"):
        verify_export(path)
    elsewhere = note_signer("casa.example/t/pensao", kind=ED25519, seed=b"\x04" * 32)
    house.write(path, signer=elsewhere)
    with pytest.raises(VerificationFailed, match="not of the tenant casa"):
        verify_export(path, vkeys=[elsewhere.verifier.encode()])


def test_a_whole_history_written_anew_by_the_node_does_not_fit_the_checkpoint(tmp_path: Path):
    """Every record holds by itself; only the tree that was signed before tells."""
    true, false = House().live(), House()
    false.clock.advance(timedelta(seconds=1))
    false.live()
    true.write(tmp_path / "true.jsonl")
    path = false.write(tmp_path / "casa.jsonl")
    verify_export(path)
    old = msgspec.json.decode(manifest_path(tmp_path / "true.jsonl").read_bytes())
    new = msgspec.json.decode(manifest_path(path).read_bytes())
    manifest_path(path).write_bytes(msgspec.json.encode({**new, "checkpoint": old["checkpoint"]}))
    with pytest.raises(VerificationFailed, match="not the one that the log signed"):
        verify_export(path)


@pytest.mark.parametrize("signed", [1, 2, 13, 20])
def test_the_checker_in_the_guide_needs_nothing_of_ours(tmp_path: Path, signed: int):
    """It is run as it stands there, by an interpreter without our packages."""
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "verify-elsewhere.md"
    (program,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    path = House().live().write(tmp_path / "casa.jsonl", signed=signed)

    def check() -> str:
        command = [sys.executable, "-I", "-S", "-c", program, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert check() == f"ok casa.example/t/casa {signed}\n"
    path.write_bytes(path.read_bytes().replace(b'"seq":0', b'"seq":1', 1))
    assert check().startswith("NOT THE SIGNED TREE")


def test_csv_knows_null_from_empty_and_survives_quotes_and_line_ends(tmp_path: Path):
    house = House().live(1)
    path = house.write(tmp_path / "casa.csv", "csv")
    text = path.read_bytes()
    assert b'"fecha ""j\xc3\xa1""\r\nou n\xc3\xa3o"' in text
    assert house.records[3].record.description == ""
    verify_export(path)
    path.write_bytes(text.replace(b',"",', b",,"))
    with pytest.raises(VerificationFailed, match="hash") as told:
        verify_export(path)
    assert told.value.fields["where"] == "casa.csv:6"


def test_a_copy_of_the_file_with_another_compression_is_told_last(tmp_path: Path):
    """Every record holds, but the file is not the one that the manifest names."""
    house = House().live()
    path = house.write(tmp_path / "casa.parquet", "parquet")
    house.write(tmp_path / "two.parquet", "parquet")
    pq.write_table(pq.read_table(path), tmp_path / "two.parquet", compression="gzip")
    shutil.copy(tmp_path / "two.parquet", path)
    with pytest.raises(VerificationFailed, match="not what the manifest says"):
        verify_export(path)


def test_what_is_no_export_is_said_so(tmp_path: Path):
    with pytest.raises(NotFound):
        verify_export(tmp_path / "none.jsonl")
    path = House().live().write(tmp_path / "casa.csv", "csv")
    path.write_bytes(b"who,did\nAna,sell\n")
    with pytest.raises(InvalidInput, match="header"):
        verify_export(path)
    (tmp_path / "casa.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(InvalidInput, match="not an export of ours"):
        verify_export(tmp_path / "casa.parquet")
    manifest_path(path).write_text("{}")
    with pytest.raises(InvalidInput):
        verify_export(path)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 3)), max_size=200))
def test_the_table_of_heads_judges_as_a_dictionary_does(steps: list[tuple[int, int, int]]):
    """The model: a dictionary of id to (seq, hash)."""
    model: dict[bytes, tuple[int, bytes]] = {}
    with EntityHeads() as heads:
        for entity, seq, hashed in steps:
            key, prev = entity.to_bytes(16, "big"), bytes([hashed]) * 32
            known = model.get(key)
            expected = known == (seq - 1, prev) if known and seq else False
            assert heads.follows(key, seq, prev) == expected
            assert heads.follows(key, 0, None) == (known is None)
            assert heads.last_seq(key) == (known[0] if known else None)
            heads.keep(key, seq, prev)
            model[key] = (seq, prev)
        assert len(heads) == len(model)


def test_the_table_of_heads_grows():
    with EntityHeads() as heads:
        for number in range(10_000):
            heads.keep(number.to_bytes(16, "big"), number, number.to_bytes(32, "big"))
        assert len(heads) == 10_000
        for number in range(10_000):
            key, hashed = number.to_bytes(16, "big"), number.to_bytes(32, "big")
            assert heads.last_seq(key) == number
            assert heads.follows(key, number + 1, hashed)


def test_a_file_aside_never_writes_through_what_lies_in_its_way(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out.jsonl"
    victim.write_bytes(b"precious")
    target.symlink_to(victim)
    aside = FileAside(target)
    waiting = {path.name for path in tmp_path.iterdir()} - {"victim", "out.jsonl"}
    again = FileAside(target)
    assert len(waiting) == 1
    assert not any(str(os.getpid()) == part for name in waiting for part in name.split("."))
    again.discard()
    aside.write(b"new")
    aside.finish(name="out.jsonl")
    assert victim.read_bytes() == b"precious"
    assert (target.is_symlink(), target.read_bytes()) == (False, b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "out.jsonl"}


def test_a_parquet_file_with_any_byte_changed_is_refused_by_name(tmp_path: Path):
    path = House().live().write(tmp_path / "casa.parquet", "parquet")
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        path.write_bytes(changed)
        with pytest.raises((InvalidInput, VerificationFailed)):
            verify_export(path)
    path.write_bytes(whole)
    assert verify_export(path).whole
