"""10,000 random records: our canonical bytes and those of Node's own serializer are the same."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SeededEntropy
from loglineos.ledger.columns import COLUMNS
from loglineos.ledger.record import DRAFT_FIELDS, Draft
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import signing_key

RECORDS = 10_000
SEED = 8785
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SCRIPT = Path(__file__).parent / "node" / "canonical.mjs"
RANGES = (
    (0x20, 0x7F),
    (0x01, 0x20),
    (0xA0, 0x250),
    (0x2000, 0x2100),
    (0xE000, 0xFFFF),
    (0x10000, 0x110000),
)
ALWAYS = ("tenant_id", "entity_type", "at", "who", "this", "visibility", "is_deleted")


class Dice:
    """Random values of every kind, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        letters = []
        for _ in range(self.random.randrange(1, 12)):
            low, high = self.random.choice(RANGES)
            letters.append(chr(self.random.randrange(low, high)))
        return "".join(letters)

    def double(self) -> float:
        while True:
            (value,) = struct.unpack("<d", self.random.randbytes(8))
            if value == value and abs(value) != float("inf"):
                return value

    def number(self) -> int | float:
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.randrange(-(2**53) + 1, 2**53)
        if kind == 1:
            return self.double()
        if kind == 2:
            return round(self.random.uniform(-1e6, 1e6), self.random.randrange(8))
        return float(f"{self.random.uniform(-9.99, 9.99):.3f}e{self.random.randrange(-30, 31)}")

    def json(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 4 else 5)
        if kind < 2:
            return self.text()
        if kind < 4:
            return self.number()
        if kind == 4:
            return self.random.choice([None, True, False, "", -0.0, 1e21, 1e-7])
        if kind == 5:
            return [self.json(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.text(): self.json(depth + 1) for _ in range(self.random.randrange(5))}

    def of_column(self, name: str, sql_type: str) -> Any:
        chance = self.random
        special = {
            "tenant_id": "casa", "entity_type": "logline",
            "visibility": chance.choice(["private", "tenant", "public"]),
            "branch": chance.choice(["ok", "doubt", "not"]),
            "at": NOON - timedelta(microseconds=chance.randrange(10**15)),
        }  # fmt: skip
        if name in special:
            return special[name]
        if name in ("details", "metadata"):
            return {self.text(): self.json() for _ in range(3)}
        return {
            "text": self.text,
            "bigint": lambda: chance.randrange(-(2**53) + 1, 2**53),
            "double precision": self.double,
            "boolean": lambda: chance.random() < 0.5,
            "uuid": lambda: UUID(int=chance.getrandbits(128)),
            "timestamptz": lambda: NOON + timedelta(microseconds=chance.randrange(10**15)),
            "jsonb": self.json,
            "text[]": lambda: tuple(self.text() for _ in range(chance.randrange(4))),
            "uuid[]": lambda: tuple(UUID(int=chance.getrandbits(128)) for _ in range(2)),
        }[sql_type]()

    def draft(self) -> Draft:
        fields = {
            column.name: self.of_column(column.name, column.sql_type)
            for column in COLUMNS
            if column.name in DRAFT_FIELDS and column.name not in ("id", "seq")
            if column.name in ALWAYS or self.random.random() < 0.12
        }
        return Draft(**fields)


def written_by_node(documents: list[bytes]) -> list[bytes]:
    """Let Node parse each document and write it canonically."""
    node = shutil.which("node")
    assert node is not None, "this test needs Node 20 or later on the PATH (apt install nodejs)"
    answer = subprocess.run(
        [node, str(SCRIPT)],
        input=b"\n".join(documents),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [bytes.fromhex(line) for line in answer.stdout.decode().splitlines()]


def disordered(encoded: bytes, chance: random.Random) -> bytes:
    """Write a document once more with its keys in another order and other escapes."""

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            members = list(value.items())
            chance.shuffle(members)
            return {key: shuffled(item) for key, item in members}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    return json.dumps(shuffled(json.loads(encoded)), indent=None, ensure_ascii=True).encode()


def test_nodes_own_serializer_writes_the_same_bytes():
    dice, key = Dice(SEED), signing_key(b"n" * 32)
    clock, entropy = ManualClock(NOON), SeededEntropy(SEED)
    ours = [seal(dice.draft(), key=key, clock=clock, entropy=entropy).bytes for _ in range(RECORDS)]
    theirs = written_by_node([disordered(one, dice.random) for one in ours])
    differing = [number for number in range(RECORDS) if ours[number] != theirs[number]]
    assert differing == [], f"seed {SEED}"
    assert len(theirs) == RECORDS
    assert sum(not one.isascii() for one in ours) > RECORDS / 2
    assert sum(b"e+" in one for one in ours) > RECORDS / 10
