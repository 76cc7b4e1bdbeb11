"""The laws of the houses of a node: what may run now, and what the kernels decide about it.

What Stage-0 verified is remembered until the house's log has a newer row that the law consists of
(manifest, function, policy, prelude, alias, key); whether it has is one indexed query, shared by
all who ask at the same time.
Always holds: an answer is no older than the question (or than `fresh_s`); nothing is given out that
Stage-0 did not pass.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import msgspec

from loglineos.base.clock import rfc3339
from loglineos.base.errors import NotFound, ProgramFailed, Refused
from loglineos.base.language import Text
from loglineos.database.queries import Queries
from loglineos.ledger.record import Json, Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.definitions import ALIAS, list_definitions, names_of
from loglineos.runtime.following import asking
from loglineos.runtime.functions import KINDS, Function, as_said
from loglineos.runtime.manifest import MANIFEST, Manifest
from loglineos.runtime.sandbox.limits import BATCH_LIMITS, PURE
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import Completed, Failed, Module, Program
from loglineos.runtime.stage0 import Stage0
from loglineos.runtime.usage import Meter, Usage

_SQL: Final = Queries.load("loglineos.runtime", "laws.sql")
_TYPES: Final = (MANIFEST, *KINDS, ALIAS, "key")
_IMPORTS: Final = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
DECIDING: Final = msgspec.structs.replace(PURE, turn_s=2.0, feed_s=2.0, value=BATCH_LIMITS)
"""What a kernel may use for one batch of facts."""


class _Law:
    """The law of one house as it was at one position of its log."""

    def __init__(self, position: int, records: Iterable[Record]) -> None:
        self.position = position
        self.records = {record.id: record for record in records}
        self.names = names_of(self.records.values())
        self.manifest: Manifest | None = None
        self.told: dict[str, Json] = {}
        self.verified: dict[tuple[UUID, int], Function] = {}
        self.kernels: dict[str, Function] = {}


class _House:
    """One house: its law, and who asks whether that is still the law."""

    def __init__(self) -> None:
        self.law: _Law | None = None
        self.lock = asyncio.Lock()
        self.asked = 0
        self.answered = 0
        self.checked_at = float("-inf")
        self.booted: dict[str, str] = {}


class Laws:
    """What may run in each house of this node. One for each process; shared by all its tasks."""

    def __init__(
        self,
        writer: Writer,
        runners: Runners | None = None,
        *,
        root: str | None = None,
        fresh_s: float = 0.0,
    ) -> None:
        """Read and append through `writer`; kernels decide in `runners` (None: nothing decides).

        `root` is the node's root key (public, hex), where it has one. For `fresh_s` after a look
        at a house's log its law is taken as it was; 0 looks at each question.
        """
        self._writer = writer
        self._runners = runners
        self._stage0 = Stage0(writer, root=root)
        self._fresh_s = fresh_s
        self._houses: dict[str, _House] = {}
        self._meter = Meter(writer.pool, clock=writer.clock)

    async def manifest(self, tenant: str) -> Manifest:
        """Return the house's manifest.

        Raises:
            Refused: it is missing, or not lawful; a `policy_violation` says so.
        """
        return await self._manifest_of(await self._law(tenant), tenant)

    async def function(
        self,
        tenant: str,
        which: str | UUID,
        seq: int | None = None,
        *,
        is_paused_fine: bool = False,
    ) -> Function:
        """Return a function that may run, by name, alias or id: its latest version, or that `seq`.

        Raises:
            NotFound: the house has no such function.
            Refused: Stage-0 does not pass it (a `policy_violation` says so), or it is paused.
        """
        law = await self._law(tenant)
        head = law.records.get(_entity(law, which) or _NOBODY)
        if head is None or head.entity_type not in KINDS:
            raise NotFound(what="function", which=str(which)[:100])
        latest = await self._verified(law, head, tenant)
        if latest.paused is not None and not is_paused_fine:
            raise _paused(latest.name)
        if seq is None or seq == head.seq:
            return latest
        if (found := law.verified.get((head.id, seq))) is not None:
            return found
        record = await self._stage0.read(tenant, head.id, seq)
        if record is None:
            raise NotFound(what="function", which=f"{which} seq {seq}"[:100])
        return await self._verified(law, record, tenant)

    async def resolve(self, tenant: str, text: str) -> Function | None:
        """Return the function that a text means, by name, alias or learned name; else None.

        Kernels are not meant by texts. A paused function is: whoever asks for it is told so.

        Raises:
            Refused: it means a function that Stage-0 does not pass.
        """
        law = await self._law(tenant)
        entity = law.names.get(as_said(text))
        if entity is None:
            return None
        function = await self._verified(law, law.records[entity], tenant)
        return None if function.is_kernel else function

    async def policies(self, tenant: str) -> list[Function]:
        """Return the policies of the house that Stage-0 passes, oldest first.

        Paused and quarantined ones are among them and say so. One that is refused is left out,
        after its `policy_violation`, and harms no other.
        """
        law = await self._law(tenant)
        found = []
        for record in law.records.values():
            if record.entity_type == "policy" and record.status == "active":
                try:
                    found.append(await self._verified(law, record, tenant))
                except Refused:
                    await self._manifest_of(law, tenant)  # without a law, no policy stands
        return found

    async def program(
        self,
        tenant: str,
        function: Function,
        *,
        frozen_at: str | None,
        seed: str = "",
        modules: tuple[str, ...] = (),
    ) -> Program:
        """Return what the sandbox runs: the source, and those modules of the prelude it imports.

        Raises:
            Refused: a module of the prelude is not lawful.
        """
        is_python = function.language == "python"
        prelude = await self.prelude(tenant, function.source) if is_python else ()
        return Program(
            source=function.source, entry=function.entrypoint, language=function.language,
            prelude=prelude, modules=modules, seed=seed, frozen_at=frozen_at,
        )  # fmt: skip

    async def prelude(self, tenant: str, source: str) -> tuple[Module, ...]:
        """Return the modules of the prelude that a Python source imports, the used before the user.

        Raises:
            Refused: one of them is not lawful.
        """
        law = await self._law(tenant)
        modules = {r.name: r for r in law.records.values() if r.entity_type == "prelude"}
        found: dict[str, Module] = {}
        for name in _wanted(source, modules):
            one = await self._verified(law, modules[name], tenant)
            found[name] = Module(name=name, source=one.source)
        return tuple(found.values())

    async def prelude_names(self, tenant: str) -> frozenset[str]:
        """Name the modules that programs of this house may import, its own included."""
        law = await self._law(tenant)
        found = (r.name for r in law.records.values() if r.entity_type == "prelude")
        return frozenset(name for name in found if name is not None)

    async def decide(self, tenant: str, kernel: str, facts: dict[str, Json]) -> Any:
        """Have a kernel decide about facts; the shapes are in the kernel's own row.

        `tenant`, `law` (the manifest) and, unless it is given, `now` are added to the facts. The
        first time that this node asks a version of a kernel, a `boot_event` is left.

        Raises:
            Refused: Stage-0 does not pass the kernel.
            ProgramFailed: the kernel raised, or passed a limit; nothing was decided.
            InvalidInput: it answered what its own schema refuses.
        """
        assert self._runners is not None, "these laws were made without runners"
        law = await self._law(tenant)
        manifest = await self._manifest_of(law, tenant)
        function = law.kernels.get(kernel)
        if function is None:
            house = self._houses[tenant]
            function = await self._stage0.boot(
                kernel, tenant=tenant, manifest=manifest, known=house.booted.get(kernel)
            )
            law.kernels[kernel] = function
            house.booted[kernel] = function.hash
        now = facts.get("now") or rfc3339(self._writer.clock.now())
        program = await self.program(tenant, function, frozen_at=str(now))
        given = {**facts, "now": now, "tenant": tenant, "law": law.told}
        turn = await self._runners.run_pure(program, given, limits=DECIDING)
        if not isinstance(turn, Completed):
            raise _failed(kernel, turn)
        function.check_output(turn.output)
        return turn.output

    async def usage(self, tenant: str) -> Usage:
        """Return how many executions ended in this house today (UTC) and in this minute."""
        return await self._meter.read(tenant)

    async def refresh(self, tenant: str) -> None:
        """Look whether the law of a house changed, whatever `fresh_s` says."""
        await self._look(self._house(tenant), tenant)

    def _house(self, tenant: str) -> _House:
        return self._houses.setdefault(tenant, _House())

    async def _law(self, tenant: str) -> _Law:
        house = self._house(tenant)
        age_s = asyncio.get_running_loop().time() - house.checked_at
        if house.law is None or age_s >= self._fresh_s:
            await self._look(house, tenant)
        assert house.law is not None
        return house.law

    async def _look(self, house: _House, tenant: str) -> None:
        """Look at the log; whoever asked before a look began is answered by it."""
        house.asked += 1
        ticket = house.asked
        async with house.lock:
            if house.answered >= ticket:
                return
            await asyncio.sleep(0)  # whoever asks in this turn of the loop comes along
            covered = house.asked
            began = asyncio.get_running_loop().time()
            async with asking(self._writer.pool) as connection:
                asked = {"tenant": tenant, "types": list(_TYPES)}
                cursor = await connection.execute(_SQL["read_law_position"], asked)
                row = await cursor.fetchone()
            position = -1 if row is None or row[0] is None else int(row[0])
            if house.law is None or house.law.position != position:
                types = (*KINDS, ALIAS)
                records = await list_definitions(self._writer.pool, tenant, types=types)
                house.law = _Law(position, records)
            house.answered = covered
            house.checked_at = began

    async def _manifest_of(self, law: _Law, tenant: str) -> Manifest:
        if law.manifest is None:
            _, law.manifest = await self._stage0.take_manifest(tenant)
            law.told = msgspec.to_builtins(law.manifest)
        return law.manifest

    async def _verified(self, law: _Law, record: Record, tenant: str) -> Function:
        found = law.verified.get((record.id, record.seq))
        if found is None:
            manifest = await self._manifest_of(law, tenant)
            found = await self._stage0.check(record, tenant=tenant, manifest=manifest)
            law.verified[(record.id, record.seq)] = found
        return found


def _wanted(source: str, modules: dict[str | None, Record]) -> list[str]:
    """List the modules that a source imports, and those that they import, before them."""
    order: list[str] = []

    def visit(text: str, above: tuple[str, ...]) -> None:
        for name in _IMPORTS.findall(text):
            if name in modules and name not in order and name not in above:
                visit(modules[name].code or "", (*above, name))
                order.append(name)

    visit(source, ())
    return order


def _entity(law: _Law, which: str | UUID) -> UUID | None:
    if isinstance(which, UUID):
        return which
    try:
        return UUID(which)
    except ValueError:
        return law.names.get(as_said(which))


def _paused(name: str) -> Refused:
    remedy = Text(f"`logline fn enable {name}` retoma-a", f"`logline fn enable {name}` resumes it")
    return Refused(reason=_PAUSED, law="function.paused", which=name, remedy=remedy)


def _failed(kernel: str, turn: object) -> ProgramFailed:
    if not isinstance(turn, Failed):
        return ProgramFailed(function=kernel, kind="PermissionError", reason=_ASKED, where="")
    error = turn.error
    return ProgramFailed(
        function=kernel, kind=error.limit or error.type, reason=error.message,
        where=", ".join(error.where),
    )  # fmt: skip


_NOBODY: Final = UUID(int=0)
_PAUSED: Final = Text("a função está em pausa", "the function is paused")
_ASKED: Final = Text("um kernel não pede nada ao mundo", "a kernel asks nothing of the world")
