"""The vectors of others: where LOGLINE_VECTORS says, else beside the project, or nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(
    os.environ.get("LOGLINE_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors")
)


def read_vectors(name: str, *, pinned: Any) -> Any:
    """Read a file of vectors; on a clean clone, which has none, the few that the test pins."""
    path = FOLDER / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else pinned
