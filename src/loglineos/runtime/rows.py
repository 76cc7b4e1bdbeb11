"""The rows that come with the product: files that genesis writes into each house's ledger.

    rows/manifest.json     the manifest of a new house
    rows/kernels/          what decides: run_code, observer, request_worker and the others
    rows/functions/        what a house can do from its first day
    rows/policies/         what watches
    rows/prelude/          modules that code may import, and the stubs of ctx
    rows/schedules/        what happens by the clock
    rows/rows.lock         the BLAKE3 of each of them, as `b3sum` writes it

Always holds: once written, the ledger's copy is the truth; a changed row is a changed line of
rows.lock (a test compares them), so that nobody changes a kernel unseen.
"""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, Literal
from uuid import UUID

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Json
from loglineos.runtime.functions import Kind
from loglineos.runtime.header import LANGUAGES, Source, read_source
from loglineos.runtime.ids import derived_id
from loglineos.runtime.manifest import Manifest, parse_manifest

LOCK: Final = "rows.lock"
MANIFEST_FILE: Final = "manifest.json"
_FOLDERS: Final[dict[str, Kind]] = {
    "kernels": "function", "functions": "function", "policies": "policy", "prelude": "prelude",
}  # fmt: skip
_SCHEDULES: Final = "schedules"


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule as its file says it."""

    cron: str
    function: str
    name: str | None = None
    description: str | None = None
    timezone: str = "Europe/Lisbon"
    catch_up: Literal["none", "last", "all"] = "last"
    input: Json = None
    queue: str = "default"
    metadata: dict[str, Json] = msgspec.field(default_factory=dict)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the file's name below rows/, its hash, and what it defines."""

    name: str
    hash: str
    source: Source | None = None
    schedule: Schedule | None = None

    @property
    def id(self) -> UUID:
        """The entity that it is."""
        if self.source is not None:
            return self.source.id
        return derived_id("schedule", self._schedule_name)

    def draft(self, *, who: str, did: str) -> Draft:
        """Draft the record that it defines, without its place in the life of its entity."""
        mark = {"row": self.name, "genesis": self.hash}
        if self.source is not None:
            return msgspec.structs.replace(self.source.draft(who=who, did=did), details=mark)
        assert self.schedule is not None
        one = self.schedule
        return Draft(
            id=self.id, entity_type="schedule", who=who, did=did, this=self._schedule_name,
            name=self._schedule_name, status="active", description=one.description, cron=one.cron,
            timezone=one.timezone, catch_up=one.catch_up, input=one.input, details=mark,
            metadata={**one.metadata, "function": one.function, "queue": one.queue},
        )  # fmt: skip

    @property
    def _schedule_name(self) -> str:
        assert self.schedule is not None
        return self.schedule.name or self.name.removeprefix(f"{_SCHEDULES}/").removesuffix(".json")


class Rows:
    """All rows of a folder."""

    def __init__(self, folder: Traversable | None = None) -> None:
        """Read from `folder`; None is the product's own."""
        self.folder = resources.files("loglineos").joinpath("rows") if folder is None else folder

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The files that rows are made of, by name below the folder, in order."""
        found: dict[str, bytes] = {}
        manifest = self.folder.joinpath(MANIFEST_FILE)
        if manifest.is_file():
            found[MANIFEST_FILE] = manifest.read_bytes()
        for name in (*_FOLDERS, _SCHEDULES):
            folder = self.folder.joinpath(name)
            endings = (".json",) if name == _SCHEDULES else tuple(LANGUAGES)
            if folder.is_dir():
                for file in folder.iterdir():
                    if file.name.endswith(endings) and not file.name.startswith(("_", ".")):
                        found[f"{name}/{file.name}"] = file.read_bytes()
        return dict(sorted(found.items()))

    @cached_property
    def lock(self) -> str:
        """What rows.lock must say: hash and name of each file, a line each."""
        return "".join(f"{digest}  {name}\n" for name, digest in self.hashes.items())

    @cached_property
    def hashes(self) -> dict[str, str]:
        """The hash of each file."""
        return {name: _hash(data) for name, data in self.files.items()}

    @property
    def digest(self) -> str:
        """One hash for all the rows together."""
        return _hash(self.lock.encode())

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of a new house; its trusted keys are for genesis to fill in."""
        return parse_manifest(_json(self.files.get(MANIFEST_FILE, b"{}"), MANIFEST_FILE))

    @cached_property
    def all(self) -> tuple[Row, ...]:
        """Every row but the manifest.

        Raises:
            InvalidInput, UnknownName: a defect of ours: a row that cannot be read.
        """
        return tuple(_row(name, data) for name, data in self.files.items() if name != MANIFEST_FILE)


def _row(name: str, data: bytes) -> Row:
    folder, _, file = name.partition("/")
    if folder == _SCHEDULES:
        try:
            schedule = msgspec.json.decode(data, type=Schedule)
        except msgspec.MsgspecError as cause:
            reason = Text(str(cause), str(cause))
            raise InvalidInput(field=name, shape=shape_of(data), reason=reason) from cause
        return Row(name=name, hash=_hash(data), schedule=schedule)
    source = read_source(data.decode(), filename=file, kind=_FOLDERS[folder])
    return Row(name=name, hash=_hash(data), source=source)


def _json(data: bytes, name: str) -> Json:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as cause:
        reason = Text(str(cause), str(cause))
        raise InvalidInput(field=name, shape=shape_of(data), reason=reason) from cause


def _hash(data: bytes) -> str:
    return blake3(data).hexdigest()
