"""Salvage: what the ledger cannot keep as it is becomes a ghost that keeps what can be kept.

Always holds: nothing that was said is dropped without its length and its hash; the ghost has an id
of its content, so that a second run finds it.
"""

from __future__ import annotations

from typing import Final

import msgspec
from blake3 import blake3

from loglineos.base.errors import InvalidInput, LoglineError
from loglineos.ledger.record import DRAFT_FIELDS, Draft
from loglineos.ledger.trust import stable_id

_KEPT_CHARACTERS: Final = 8_000
_NEVER_CHANGED: Final = frozenset({"tenant_id", "id", "seq", "entity_type", "visibility"})


def ghost_of(draft: Draft, error: InvalidInput) -> Draft:
    """Turn a draft that the ledger cannot keep into a ghost that keeps what can be kept.

    The field that the error names moves to `details.given`, cut to 8,000 characters with its
    length and BLAKE3 beside it when it was longer.
    """
    field = str(error.fields.get("field", "record")).split(".")[0].split("[")[0]
    column = "at" if field == "when" else field
    offending = column in DRAFT_FIELDS and column not in _NEVER_CHANGED | {"details"}
    details = dict(draft.details or {}) if column != "details" else {}
    given = details.get("given")
    given = dict(given) if isinstance(given, dict) else {}
    if offending and getattr(draft, column) is not None:
        given[field] = _kept(getattr(draft, column))
        details["given"] = given
        return msgspec.structs.replace(draft, **{column: None}, details=details)
    plain = {name: getattr(draft, name) for name in _NEVER_CHANGED | {"source_file"}}
    whole = {
        name: value
        for name in DRAFT_FIELDS
        if name not in _NEVER_CHANGED and (value := getattr(draft, name)) is not None
    }
    return Draft(**plain, details={"given": {"raw": _kept(whole)}})


def orphan_of(draft: Draft, error: LoglineError) -> Draft:
    """Turn an event that fits nowhere in its entity's life into a ghost of its own.

    Its id is of its content, so that a second run finds it.
    """
    content = msgspec.json.encode(draft)
    given = {"id": str(draft.id), "seq": draft.seq, "status": draft.status}
    return msgspec.structs.replace(
        draft,
        id=stable_id(blake3(b"loglineos/orphan/v1\n" + content).digest()),
        seq=0,
        status=None,
        related_to=(*(draft.related_to or ()), *((draft.id,) if draft.id else ())),
        details={**(draft.details or {}), "given": given, "conflict": error.describe("en")},
    )


def _kept(value: object) -> object:
    text = value if isinstance(value, str) else _as_text(value)
    safe = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")
    if len(safe) <= _KEPT_CHARACTERS:
        return safe
    digest = blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
    return {"begins": safe[:_KEPT_CHARACTERS], "characters": len(text), "blake3": digest}


def _as_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError, UnicodeEncodeError):
        return repr(value)
