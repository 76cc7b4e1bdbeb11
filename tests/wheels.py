"""A wheel made by hand, so that no test needs a package index."""

from __future__ import annotations

import zipfile
from pathlib import Path

PIN = "quartos==1.0"


def write_wheel(folder: Path) -> Path:
    """Write the wheel of a package of one line."""
    folder.mkdir()
    told = "quartos-1.0.dist-info"
    files = {
        "quartos/__init__.py": "LIVRES = [101, 102]\n",
        f"{told}/METADATA": "Metadata-Version: 2.1\nName: quartos\nVersion: 1.0\n",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{told}/RECORD"
    files[record] = "".join(f"{name},,\n" for name in (*files, record))
    with zipfile.ZipFile(folder / "quartos-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return folder
