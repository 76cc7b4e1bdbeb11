"""Checking a source before it is published: read for what the engines lack, then tried.

Always holds: what passes has been compiled by the very engine that will run it, and loads in it;
the trial calls no entry, and has no effects. Full CPython has no such engine: it is only read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from loglineos.base.errors import ProgramRefused
from loglineos.base.language import Text
from loglineos.runtime.execution.effects.catalog import NAMES
from loglineos.runtime.header import Source
from loglineos.runtime.laws import Laws
from loglineos.runtime.policy.programs import house_module
from loglineos.runtime.publishing import Check
from loglineos.runtime.sandbox.lint import Finding, check_javascript, check_python, refuse
from loglineos.runtime.sandbox.lint.prelude import published_stubs, stub_of_text
from loglineos.runtime.sandbox.runners import Runners
from loglineos.runtime.sandbox.turns import SCRIPT, Failed, Module, Program

_FROZEN_AT: Final = "2000-01-01T00:00:00.000000Z"


def read_through(source: Source, *, modules: Collection[str] = ()) -> list[Finding]:
    """Return what is to be changed, or to be wary of, in a source; nothing of it runs.

    `modules` are those of the house's own prelude.
    """
    entry = source.entrypoint
    if source.language == "javascript":
        return check_javascript(source.text, entry=entry)
    return check_python(
        source.text, entry=entry, effects=source.header.effects, modules=modules,
        is_full=source.runtime == "full",
    )  # fmt: skip


def checker(laws: Laws, runners: Runners, tenant: str) -> Check:
    """Return what checks a source that is to be published in this house."""

    async def check(source: Source) -> list[Text]:
        findings = read_through(source, modules=await laws.prelude_names(tenant))
        refuse(findings, shape=source.name)
        if source.runtime != "full" and not source.name.endswith(".pyi"):
            prelude = await _prelude(source, laws, tenant)
            if source.language == "python":
                found = await runners.trial(source.text, stubs=_stubs(prelude))
                refuse(found, shape=source.name)
                findings += found
            await _load(source, prelude, runners)
        return [Text(one.tell("pt"), one.tell("en")) for one in findings]

    return check


async def _prelude(source: Source, laws: Laws, tenant: str) -> tuple[Module, ...]:
    if source.language != "python":
        return ()
    prelude = await laws.prelude(tenant, source.text)
    if source.kind == "policy":
        prelude = (*prelude, house_module(await laws.manifest(tenant), tenant))
    return prelude


def _stubs(prelude: tuple[Module, ...]) -> dict[str, str]:
    """Tell the type check what each module has: as this house has it, where it is imported."""
    return {**published_stubs(), **{one.name: stub_of_text(one.source) for one in prelude}}


async def _load(source: Source, prelude: tuple[Module, ...], runners: Runners) -> None:
    """Load a source as a run of it would, without calling its entry."""
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
