"""The pinned JavaScript machine: which one it is, and where its files are (README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
VERSION: Final = "0.17.0"
SHA256: Final = "d4c9375f2b1ca4dc95f72c8aa2982a7a9951ac8011490d79c6582df732b4bbd9"
"""Of quickjs.wasm."""
ENGINE: Final = f"quickjs-ng/{VERSION}+{SHA256[:12]}"
"""Names the engine in the header of an execution."""
