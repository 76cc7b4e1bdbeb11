"""Turning foreign items into drafts: nothing is refused, nothing is lost, twice adds nothing.

Where each part of an item goes:

    a LogLine key or column, well-formed       its column (`when` is `at`)
    the same, but it does not fit its column   `details.given.<name>`, verbatim; a fault of the act
    any other key                              `details.extra.<name>`, verbatim
    text that is no JSON object                `details.given.raw` (`raw_base64` beside it when the
                                               text alone is not the bytes; `raw_hash`, `raw_bytes`
                                               when only the start could be kept), type `ghost`
    what the reader noticed                    `details.intake`: `problem`, `line`, `escaped`

Always holds: `draft_of` never raises for what an item says, and its draft can be sealed; the id is
made of content (`occurrences.py`) unless the item brings its own, so that the same file read twice
gives the same ids; `at` stays None when the item has no usable `when`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson
from blake3 import blake3

from loglineos.base.errors import shape_of
from loglineos.base.language import Text
from loglineos.ledger import limits
from loglineos.ledger.canonical import canonical
from loglineos.ledger.intake.cells import ALIASES, NOT_READ, SHAPES, TARGETS
from loglineos.ledger.intake.formats import KEPT_BYTES_MAX, Item
from loglineos.ledger.intake.occurrences import Occurrences, content_id
from loglineos.ledger.record import Draft, Json
from loglineos.ledger.reserved import is_of_code

_GESTURE: Final = "gesture"
_LARGE_BYTES: Final = 48 * 1024
_RECORD_BYTES: Final = limits.record_bytes_max - 32 * 1024
_TEXT_BYTES: Final = limits.record_bytes_max - 256 * 1024
_PREVIEW_CHARS: Final = 1024
_MICROSECONDS_CHARS: Final = len("2025-05-20T12:34:56.789012Z")
_OWN_DETAILS: Final = ("given", "extra", "intake")


def drafts_of(
    items: Iterable[Item],
    *,
    tenant: str,
    source: str | None = None,
    reading: str = "",
    now: datetime | None = None,
) -> Iterator[tuple[Item, Draft]]:
    """Turn the items of one file into drafts, each beside its item, in order.

    Every draft has an id: the item's own, or one made of tenant, `reading` (the mapping's
    `name/version`, "" without) and content. An item with an id of its own but without `seq` gets
    an `idempotency_key` made of its content instead, since its place in that life is not known.
    """
    seen = Occurrences()
    for item in items:
        fields = _fields(item, tenant, source, now)
        is_new = "id" not in fields
        # What names its own place needs no place of ours, nor does whatever says the same.
        if is_new or ("seq" not in fields and "idempotency_key" not in fields):
            digest = digest_of(item)
            made = content_id(digest, tenant=tenant, reading=reading, occurrence=seen.next(digest))
            if is_new:
                fields["id"], fields["seq"] = made, 0
            else:
                fields["idempotency_key"] = f"intake:{made}"
        yield item, Draft(**fields)


def digest_of(item: Item) -> bytes:
    """Return the BLAKE3-256 of what an item says: of its JSON in sorted order, else of its bytes.

    White space and the order of keys change nothing.
    """
    if item.digest is not None:
        return item.digest
    if item.content is None:
        return blake3(item.data).digest()
    return blake3(orjson.dumps(item.content, option=orjson.OPT_SORT_KEYS)).digest()


def draft_of(
    item: Item, *, tenant: str | None = None, source: str | None = None, now: datetime | None = None
) -> Draft:
    """Turn one item into a draft; see the module for where each part goes.

    `tenant` wins over a `tenant` in the item, which is then kept in `details.extra`. `source`
    becomes `source_file` unless the item names one. With `now`, a `when` that lies further ahead
    than `limits.when_ahead_max` counts as malformed.
    """
    return Draft(**_fields(item, tenant, source, now))


def _fields(
    item: Item, tenant: str | None, source: str | None, now: datetime | None
) -> dict[str, Any]:
    """Return the columns of the draft that an item becomes, but for those that are null."""
    if item.value is None:
        return _ghost(item, tenant, source, item.problem)
    fields = _columns(item, item.value, tenant, source, now)
    if item.size_bytes > _LARGE_BYTES and not _fits(Draft(**fields)):
        return _ghost(item, tenant, source, TOO_LARGE)
    return fields


def _columns(
    item: Item, value: dict[str, Any], tenant: str | None, source: str | None, now: datetime | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    given: dict[str, Json] = {}
    extra: dict[str, Json] = {}
    for key, content in value.items():
        target = TARGETS.get(key)
        if target is None:
            extra[key] = content
            continue
        column, read, chars_safe = target
        if type(content) is str and len(content) <= chars_safe:
            fields[column] = content
        elif content is None:
            continue
        elif column in fields:  # the same column twice, like `when` and `at`
            extra[key] = content
        elif (found := read(content)) is NOT_READ:
            given[key if key != "at" else "when"] = content
        else:
            fields[column] = found
    if is_of_code(fields.get("who"), None, fields.get("metadata")):
        _settle_author(fields, given)
    metadata = fields.get("metadata")
    if metadata and _GESTURE in metadata:  # a person makes one, a line only tells of it
        extra[_GESTURE] = metadata[_GESTURE]
        fields["metadata"] = {name: told for name, told in metadata.items() if name != _GESTURE}
    _settle_time(fields, given, extra, value, now)
    _settle_tenant(fields, extra, tenant)
    if source is not None:
        fields.setdefault("source_file", source)
    if given or extra or item.escaped or item.problem is not None:
        fields["details"] = _details(fields.get("details"), given, extra, item)
    return fields


def _settle_author(fields: dict[str, Any], given: dict[str, Json]) -> None:
    """A foreign line never speaks as code of the house, nor into the journal of a run."""
    for name in ("who", "metadata"):
        if is_of_code(fields.get("who"), None, fields.get("metadata")) and name in fields:
            given[name] = fields.pop(name)


def _settle_time(
    fields: dict[str, Any],
    given: dict[str, Json],
    extra: dict[str, Json],
    value: dict[str, Any],
    now: datetime | None,
) -> None:
    at = fields.get("at")
    if at is None:
        return
    told = value.get("when", value.get("at"))
    if now is not None and at - now > limits.when_ahead_max:
        del fields["at"]
        given["when"] = told
    elif isinstance(told, str) and len(told) > _MICROSECONDS_CHARS and _has_nanoseconds(told):
        extra["when"] = told


def _has_nanoseconds(told: str) -> bool:
    fraction = re.split("[+-]", told[20:], maxsplit=1)[0].rstrip("Zz")
    return len(fraction) > 6 and fraction[6:].strip("0") != ""


def _settle_tenant(fields: dict[str, Any], extra: dict[str, Json], tenant: str | None) -> None:
    if tenant is None:
        return
    if fields.get("tenant_id", tenant) != tenant:
        extra["tenant"] = fields["tenant_id"]
    fields["tenant_id"] = tenant


def _details(
    own: dict[str, Json] | None, given: dict[str, Json], extra: dict[str, Json], item: Item
) -> dict[str, Json]:
    details = dict(own or {})
    noticed: dict[str, Json] = {}
    if item.escaped:
        noticed["escaped"] = list(item.escaped[: limits.list_items_max])
    if item.problem is not None:
        noticed["problem"] = {"pt": item.problem.pt, "en": item.problem.en}
        noticed["line"] = item.line
    for name, ours in zip(_OWN_DETAILS, (given, extra, noticed), strict=True):
        if not ours:
            continue
        theirs = details.get(name)
        # what the item calls so itself stays, one level down
        details[name] = ours if theirs is None else {**ours, f"details.{name}": theirs}
    return details


def _ghost(
    item: Item, tenant: str | None, source: str | None, problem: Text | None
) -> dict[str, Any]:
    given = raw_fields(item)
    intake: dict[str, Json] = {"line": item.line}
    if problem is not None:
        intake["problem"] = {"pt": problem.pt, "en": problem.en}
    fields: dict[str, Any] = {"type": "ghost", "details": {"given": given, "intake": intake}}
    if tenant is not None:
        fields["tenant_id"] = tenant
    if source is not None:
        fields["source_file"] = source
    return fields


def raw_fields(item: Item) -> dict[str, Json]:
    """Return the `raw...` entries of `details.given`: all that is needed to get the bytes back.

    `raw` is the text. `raw_base64` stands beside it when the bytes are no UTF-8, hold U+0000 or
    would outgrow the record as JSON text; `raw` is then only a preview of at most 1,024 characters.
    """
    text = item.raw
    given: dict[str, Json] = {}
    encoded = item.raw_base64
    if encoded is None and ("\0" in text or _is_bulky(text)):
        encoded = base64.b64encode(item.data).decode()
    if encoded is None:
        given["raw"] = text
    else:
        given["raw"] = text[:_PREVIEW_CHARS].replace("\0", "\ufffd")
        given["raw_base64"] = encoded
    if item.digest is not None:
        given["raw_hash"] = item.digest.hex()
        given["raw_bytes"] = item.size_bytes
    return given


def raw_bytes_of(draft: Draft) -> bytes | None:
    """Return the bytes that a raw ghost was made of (their start, when `raw_hash` is there)."""
    given = (draft.details or {}).get("given")
    if not isinstance(given, dict) or "raw" not in given:
        return None
    if "raw_base64" in given:
        return base64.b64decode(given["raw_base64"])
    return str(given["raw"]).encode()


def given_problems(draft: Draft) -> tuple[tuple[str, Text], ...]:
    """Say, for each value in `details.given`, what is wrong with it: (field, reason) pairs."""
    given = (draft.details or {}).get("given")
    if not isinstance(given, dict):
        return ()
    told: list[tuple[str, Text]] = []
    for name, value in given.items():
        if name == "raw":
            told.append((name, _problem_of(draft)))
        elif not name.startswith(("raw_", "details.")):
            told.append((name, _misfit(name, value)))
    return tuple(told)


def is_record(value: dict[str, Any]) -> bool:
    """Tell whether an item is an exported record with its seal, to be imported, not ingested."""
    return all(name in value for name in ("id", "seq", "curr_hash", "signature", "public_key"))


def _problem_of(draft: Draft) -> Text:
    problem = ((draft.details or {}).get("intake") or {}).get("problem")
    if isinstance(problem, dict):
        return Text(str(problem.get("pt")), str(problem.get("en")))
    return Text("texto que não é JSON", "text that is no JSON")


def _misfit(name: str, value: Json) -> Text:
    wanted = SHAPES[ALIASES.get(name, name)] if ALIASES.get(name, name) in SHAPES else SHAPES[""]
    shape = shape_of(value)
    return Text(f"{shape} não é {wanted.pt}", f"{shape} is not {wanted.en}")


def _is_bulky(text: str) -> bool:
    return len(text) > KEPT_BYTES_MAX and len(orjson.dumps(text)) > _TEXT_BYTES


def _fits(draft: Draft) -> bool:
    return len(canonical(msgspec.to_builtins(draft))) <= _RECORD_BYTES


TOO_LARGE: Final = Text(
    "o registo passaria do limite; guardado como texto",
    "the record would be over its limit; kept as text",
)
