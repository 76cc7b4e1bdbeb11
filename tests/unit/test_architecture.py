"""What the import contracts of pyproject.toml cannot see."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "loglineos"
SIGNING = re.compile(r"crypto_sign|nacl\.signing|SigningKey\(|VerifyKey\(|ed25519 import|Ed25519P")


def test_only_one_file_signs_and_verifies():
    doors = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if SIGNING.search(path.read_text(encoding="utf-8"))
    }
    assert doors == {"ledger/signature.py"}


def test_no_file_grows_past_four_hundred_lines():
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if "prelude" not in path.parts  # one module is one row of the ledger, with one hash
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}
