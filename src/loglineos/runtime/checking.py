"""Checking a source before it is published: read for what the engines lack, then tried.

Always holds: what passes has been compiled by the very engine that will run it; the trial runs no
function of the source, and has no effects.
"""

from __future__ import annotations

from typing import Final

from loglineos.base.errors import ProgramRefused
from loglineos.base.language import Text
from loglineos.runtime.execution.effects.catalog import NAMES
from loglineos.runtime.header import Source
from loglineos.runtime.laws import Laws
from loglineos.runtime.publishing import Check
from loglineos.runtime.sandbox.lint import Finding, check_javascript, check_python, refuse
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import SCRIPT, Failed, Program

_FROZEN_AT: Final = "2000-01-01T00:00:00.000000Z"


def read_through(source: Source) -> list[Finding]:
    """Return what is to be changed, or to be wary of, in a source; nothing of it runs."""
    entry = source.entrypoint
    if source.language == "javascript":
        return check_javascript(source.text, entry=entry)
    return check_python(source.text, entry=entry, effects=source.header.effects)


def checker(laws: Laws, runners: Runners, tenant: str) -> Check:
    """Return what checks a source that is to be published in this house."""

    async def check(source: Source) -> list[Text]:
        findings = read_through(source)
        refuse(findings, shape=source.name)
        if source.runtime != "full" and not source.name.endswith(".pyi"):
            await _try(source, laws, runners, tenant)
        return [Text(one.tell("pt"), one.tell("en")) for one in findings]

    return check


async def _try(source: Source, laws: Laws, runners: Runners, tenant: str) -> None:
    prelude = await laws.prelude(tenant, source.text) if source.language == "python" else ()
    program = Program(
        source=source.text, entry=SCRIPT, language=source.language, prelude=prelude,
        modules=NAMES if source.language == "python" else (), frozen_at=_FROZEN_AT,
    )  # fmt: skip
    turn = await runners.run_pure(program)
    if isinstance(turn, Failed):
        error = turn.error
        told = f"{error.type}: {error.message}"
        findings = "; ".join((*error.where, told))
        raise ProgramRefused(field="code", shape=source.name, reason=_TRIAL, findings=findings)


_TRIAL: Final = Text(
    "o motor que o havia de correr não o aceita", "the engine that is to run it does not accept it"
)
