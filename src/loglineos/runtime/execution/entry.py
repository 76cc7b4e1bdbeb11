"""What the law says before a run begins or goes on: it may, it is held back, or it is refused.

Always holds: a run that is refused leaves a `policy_violation` and ends as `denied`; one that has
begun when its function is paused is held, not ended, and goes on when the function is resumed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from loglineos.base.errors import LoglineError, Refused
from loglineos.base.language import Text
from loglineos.ledger.record import Record
from loglineos.ledger.writer import Writer
from loglineos.runtime.execution.outcome import Outcome
from loglineos.runtime.execution.requests import follow_up
from loglineos.runtime.functions import Function
from loglineos.runtime.laws import Laws
from loglineos.runtime.stage0 import WHO
from loglineos.runtime.violations import violation_draft

Wake = Callable[[str, list[UUID]], Awaitable[int]]

FULL_PYTHON: Final = "sandbox.full_python"
"""The law that a run in full CPython breaks where the house's manifest does not allow it."""
HELD_S: Final = 3600.0
"""How long a held run waits before it looks by itself whether its function was resumed."""


class Entry:
    """Lets runs of lawful code in."""

    def __init__(self, laws: Laws, writer: Writer, *, wake: Wake) -> None:
        """Ask `laws`, tell what they say through `writer`; `wake` makes waiting runs due."""
        self._laws = laws
        self._wake = wake
        self._writer = writer

    async def function(self, execution: Record, seq: int | None) -> Function | None:
        """Return the version of its function that an execution runs; None: it is to be held.

        `seq` is the version that it began with, None if it has not begun. Of one that has not, a
        pause is for the kernel to judge: the function that is returned says that it is paused.

        Raises:
            NotFound: the house has no such function.
            Refused: it may not run; a `policy_violation` says so.
        """
        tenant, which = execution.tenant_id, execution.parent_id or execution.name or ""
        function = await self._laws.function(tenant, which, is_paused_fine=True)
        if seq is not None and function.paused is not None:
            return None
        if seq is not None and seq != function.seq:
            function = await self._laws.function(tenant, function.id, seq, is_paused_fine=True)
        if function.runtime == "full":
            await self._check_full(function)
        return function

    async def hold(self, execution: Record, function: str, *, worker: str, attempt: int) -> Outcome:
        """Let a run wait until something happens to its function, told by its id."""
        about = execution.metadata or {}
        pattern = {"entity_type": "function", "id": function}
        metadata = {**about, "waiting_for": [{"kind": "pattern", "pattern": pattern}]}
        later = follow_up(
            execution, who=WHO, did="hold", status="waiting", worker=worker, attempt=attempt,
            run_at=self._writer.clock.now() + timedelta(seconds=HELD_S), metadata=metadata,
            error={"code": "function.paused", "type": "Refused", "message": _HELD.en},
        )  # fmt: skip
        (head,) = await self._writer.append([later], tenant=execution.tenant_id)
        await self._laws.refresh(execution.tenant_id)
        if (await self._laws.function(execution.tenant_id, function, is_paused_fine=True)).paused:
            return Outcome(kind="rested", head=head)
        await self._wake(execution.tenant_id, [execution.id])  # resumed before anybody listened
        return Outcome(kind="rested", head=head)

    async def refuse(self, execution: Record, failure: LoglineError, *, attempt: int) -> Outcome:
        """End an execution that may not run, or not run on.

        What the law refuses is `denied`; what goes wrong otherwise is an error. An execution that
        a worker left in the middle of its run can only end as an error.
        """
        law = failure.fields.get("law") if isinstance(failure, Refused) else None
        if law is None or execution.status == "running":
            return refused(execution, failure)
        reason = failure.fields.get("reason")
        said = reason if isinstance(reason, Text) else Text(failure.describe("pt"), str(law))
        denied = follow_up(
            execution, who=WHO, did="block", status="denied", attempt=attempt,
            error={"code": law, "type": "Refused", "message": said.en},
            metadata={"said": {"pt": said.pt, "en": said.en}},
        )  # fmt: skip
        (head,) = await self._writer.append([denied], tenant=execution.tenant_id)
        return Outcome(kind="rested", head=head)

    async def _check_full(self, function: Function) -> None:
        manifest = await self._laws.manifest(function.tenant)
        if manifest.sandbox.full_python_allowed:
            return
        violation = violation_draft(
            FULL_PYTHON, who=WHO, said=_NOT_ALLOWED, which=function.id, key=function.hash,
            seq=function.seq,
        )  # fmt: skip
        await self._writer.append([violation], tenant=function.tenant, if_absent=True)
        raise Refused(reason=_NOT_ALLOWED, law=FULL_PYTHON, which=function.name, remedy=_ALLOW)


def refused(execution: Record, failure: LoglineError) -> Outcome:
    """Say why an execution is not run, or not run on."""
    error = {
        "code": failure.code, "type": type(failure).__name__, "message": failure.describe("en"),
    }  # fmt: skip
    return Outcome(kind="error", head=execution, error=error, is_final=True)


_HELD: Final = Text(
    "a função está em pausa; a execução continua quando for retomada",
    "the function is paused; the execution goes on when it is resumed",
)
_NOT_ALLOWED: Final = Text(
    "a casa não deixa correr código em CPython completo",
    "the house does not let code run in full CPython",
)
_ALLOW: Final = Text(
    "quem governa a casa permite-o com `logline manifest set sandbox.full_python_allowed true`",
    "who governs the house allows it with `logline manifest set sandbox.full_python_allowed true`",
)
