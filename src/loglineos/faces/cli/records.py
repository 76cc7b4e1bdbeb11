"""A record as an answer: one document for programs, one line or one page for people."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.text import Text as Styled

from loglineos.base.clock import rfc3339
from loglineos.base.language import Language, Text
from loglineos.faces.cli.render import local_time, one_line, status_text, styled
from loglineos.ledger.logline import explain
from loglineos.ledger.record import RECORD_FIELDS, Record
from loglineos.ledger.status import allowed_actions

if TYPE_CHECKING:
    from loglineos.faces.cli.session import Session

_TIMES: Final = ("recorded_at", "run_at", "lease_until")


def record_document(record: Record, language: Language) -> dict[str, Any]:
    """Return a record for programs: its columns without nulls, in order, `at` as `when`.

    `reason` says in `language` why a ghost is one; `actions` what may be done now, each with what
    follows from it. Both are for the latest event of an entity.
    """
    document: dict[str, Any] = {}
    for name in RECORD_FIELDS:
        value = getattr(record, name)
        if value is None:
            continue
        if name == "at":
            document["when"] = rfc3339(value)
        else:
            document[name] = rfc3339(value) if name in _TIMES else value
    reason = explain(record, language)
    if reason is not None:
        document["reason"] = reason
    document["actions"] = [msgspec.structs.asdict(a) for a in allowed_actions(record, language)]
    return document


def record_line(record: Record, session: Session) -> Styled:
    """Return a record as one line: place, time, status, who did this."""
    language = session.language
    parts = Styled()
    parts.append(f"#{record.position} ".rjust(8), style="dim")
    parts.append(local_time(record.at, session.settings.zone) + "  ", style="dim")
    parts.append_text(status_text(record.status, language))
    parts.append("  ")
    parts.append_text(sentence_of(record))
    reason = explain(record, language)
    if reason:
        parts.append(f"  ({one_line(reason)})", style="magenta")
    return parts


def sentence_of(record: Record) -> Styled:
    """Return who did this, as a sentence; what is not known is `?`."""
    return styled(
        (one_line(record.who or "?"), "bold"), (" ", ""), (one_line(record.did or "?"), "cyan"),
        (" ", ""), (one_line(record.this or "?"), ""),
    )  # fmt: skip


def receipt_of(record: Record, session: Session) -> Styled:
    """Return what one is told after writing: what it became, where it is, what is missing."""
    mark = ("○ ", "magenta") if record.status == "ghost" else ("✓ ", "green")
    head = styled(mark)
    head.append_text(status_text(record.status, session.language))
    head.append(f"  #{record.position}  ", style="dim")
    head.append_text(sentence_of(record))
    lines = [head, styled((f"  id {record.id}  seq {record.seq}", "dim"))]
    reason = explain(record, session.language)
    if reason is not None:
        lines.append(styled((f"  {one_line(reason)}", "magenta")))
        command = completion_command(record, session)
        if command is not None:
            lines.append(styled((f"  {session.text(_COMPLETE)}", "")))
            lines.append(styled((f"    {command}", "bold")))
    return Styled("\n").join(lines)


def completion_command(record: Record, session: Session) -> str | None:
    """Return the command to paste that completes a ghost; None when nothing is to be filled in."""
    missing = missing_of(record)
    if not missing:
        return None
    fields = " ".join(f"{name}='…'" for name in missing)
    place = ""
    if session.options.home is not None:
        place += f" --home {shlex.quote(str(session.options.home))}"
    if session.options.tenant is not None:
        place += f" --tenant {session.options.tenant}"
    return f"logline complete{place} {record.id} {fields}"


def missing_of(record: Record) -> list[str]:
    """List the fields that keep a ghost from being valid, in the order of the nine."""
    faults = (record.metadata or {}).get("faults")
    if record.status != "ghost" or not isinstance(faults, dict):
        return []
    named = [name for kind in faults.values() for name in kind]
    raw = ["who", "did", "this"] if "raw" in named else []
    return list(dict.fromkeys([*raw, *(n for n in named if n not in ("raw", "status"))]))


_COMPLETE: Final = Text("complete com:", "complete it with:")
