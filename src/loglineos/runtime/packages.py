"""Packages for functions in full CPython: laid out by an operator, never by a run.

A list of exact pins has a folder of its own, named by the list; who runs a function whose header
declares that list gives it that folder to read. Always holds: only wheels are taken, so nothing of
a package runs while it is laid out; nothing comes but what the list names; a folder is whole or is
not there.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, Misconfigured, shape_of
from loglineos.base.language import Text
from loglineos.database.pool import Pool
from loglineos.ledger.record import Draft, Record
from loglineos.runtime.definitions import list_definitions
from loglineos.runtime.ids import derived_id
from loglineos.runtime.sandbox.full_python import packages_name

FOLDER: Final = "packages"
"""Where a node keeps them, below its home."""
PACKAGES: Final = "packages"
"""The type of the record that they were laid out."""
_PIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9][A-Za-z0-9.+!_]*")
_INSTALL_S: Final = 600.0
_TOLD_CHARACTERS: Final = 600


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of packages. `digest` is the BLAKE3 of its files, hex; `is_new`: made just now."""

    name: str
    requirements: tuple[str, ...]
    digest: str
    files: int
    is_new: bool

    def draft(self, *, who: str) -> Draft:
        """Draft the record that it was laid out."""
        return Draft(
            id=derived_id(PACKAGES, self.name, self.digest), seq=0, entity_type=PACKAGES,
            who=who, did="install", this=" ".join(self.requirements)[:200], name=self.name,
            status="executed",
            metadata={
                "requirements": list(self.requirements), "digest": self.digest, "files": self.files,
            },
        )  # fmt: skip


def check_pin(requirement: str, *, field: str) -> str:
    """Check that a requirement is a name and one exact version, and return it.

    Raises:
        InvalidInput: it is not.
    """
    if len(requirement) > 200 or not _PIN.fullmatch(requirement):
        raise InvalidInput(field=field, shape=shape_of(requirement), reason=_NO_PIN)
    return requirement


async def lay_out(
    requirements: Sequence[str], *, root: Path, wheels: Path | None = None
) -> Packages:
    """Lay out a list of packages below `root`; a list that is there already stays as it is.

    They come from the package index, or from a folder of wheels and nowhere else. What a package
    needs itself is named in the list as well.

    Raises:
        InvalidInput: a requirement is no exact pin, or the installer refuses the list.
        Misconfigured: there is neither uv nor pip.
    """
    pins = tuple(sorted({check_pin(one, field="packages") for one in requirements}))
    if not pins:
        raise InvalidInput(field="packages", shape="0", reason=_NO_PIN)
    name = packages_name(pins)
    place = root / name
    is_new = not place.is_dir()
    if is_new:
        making = await asyncio.to_thread(_room_in, root)
        try:
            await _install(pins, into=making, wheels=wheels)
            await asyncio.to_thread(making.rename, place)
        finally:
            await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
    digest, files = await asyncio.to_thread(_digest, place)
    return Packages(name=name, requirements=pins, digest=digest, files=files, is_new=is_new)


def _room_in(root: Path) -> Path:
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    making.chmod(0o755)
    return making


async def laid_out(pool: Pool, tenant: str) -> list[Record]:
    """List the records of what was laid out in a house's name, oldest first."""
    return await list_definitions(pool, tenant, types=(PACKAGES,))


async def _install(pins: tuple[str, ...], *, into: Path, wheels: Path | None) -> None:
    command = [*_installer(), "--target", str(into), "--only-binary", ":all:", "--no-deps"]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels)]
    process = await asyncio.create_subprocess_exec(
        *command, *pins, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_INSTALL_S):
            told, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = " ".join(told.decode(errors="replace").split())[-_TOLD_CHARACTERS:]
        raise InvalidInput(
            field="packages", shape=", ".join(pins)[:200], reason=Text(said, said), remedy=_DEPS
        )


def _installer() -> list[str]:
    if (uv := shutil.which("uv")) is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    own = [sys.executable, "-m", "pip"] if find_spec("pip") is not None else []
    pip = own or [path for path in (shutil.which("pip"), shutil.which("pip3")) if path][:1]
    if not pip:
        raise Misconfigured(setting="packages", reason=_NO_INSTALLER)
    version = ".".join(str(part) for part in sys.version_info[:2])
    return [
        *pip, "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile",
        "--python-version", version,
    ]  # fmt: skip


def _digest(folder: Path) -> tuple[str, int]:
    """Digest the paths and bytes of a folder's files, in the order of their paths; count them."""
    digest, files = blake3(), 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            told = path.relative_to(folder).as_posix().encode()
            digest.update(len(told).to_bytes(8, "big") + told)
            digest.update(blake3(path.read_bytes()).digest())
            files += 1
    return digest.hexdigest(), files


_NO_PIN: Final = Text(
    "diga nome e versão exata: NOME==VERSÃO", "say a name and one exact version: NAME==VERSION"
)
_NO_INSTALLER: Final = Text("não há uv nem pip", "there is neither uv nor pip")
_DEPS: Final = Text(
    "diga também, com a versão, tudo aquilo de que estes precisam; só valem wheels",
    "name all that these need as well, with versions; only wheels will do",
)
