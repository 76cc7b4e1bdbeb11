"""Functions: code of the house as its record says it, with what it declares and accepts.

Kernels, policies and the prelude are read the same way; `kind` tells them apart. What a row means
is here; whether it may run is for `stage0.py` to say.
Always holds: a schema never reaches out for another one, and its patterns run in linear time.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property, lru_cache
from typing import Any, Final, Literal
from uuid import UUID

import jsonschema_rs
import msgspec

from loglineos.base.errors import InvalidInput, shape_of
from loglineos.base.language import Text
from loglineos.ledger.canonical import canonical
from loglineos.ledger.record import Json, Record
from loglineos.runtime.ids import derived_id

Kind = Literal["function", "policy", "prelude"]
Language = Literal["python", "javascript"]
Tier = Literal["pure", "durable", "full"]
KINDS: Final[tuple[Kind, ...]] = ("function", "policy", "prelude")
ENTRIES: Final[dict[Kind, str]] = {"function": "main", "policy": "on", "prelude": ""}
TIMEOUT_MS: Final = 60_000
_FAULTS_TOLD: Final = 5


class Function(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One version of one function (or policy, or prelude module) of a house.

    `hash` is the `curr_hash` of its record. `runtime`: pure has no effects and a clock that stands
    still, durable may ask for effects and wait, full is CPython in the jail and cannot be proved.
    `paused` says who paused it, when and why.
    """

    record: Record
    kind: Kind
    id: UUID
    seq: int
    hash: str
    tenant: str
    name: str
    language: Language
    runtime: Tier
    entrypoint: str
    source: str
    code_hash: str
    effects: tuple[str, ...] = ()
    description: str | None = None
    version: str | None = None
    aliases: tuple[str, ...] = ()
    input_schema: Json = None
    output_schema: Json = None
    timeout_ms: int = TIMEOUT_MS
    max_attempts: int = 1
    queue: str = "default"
    visibility: Literal["private", "tenant", "public"] = "tenant"
    owner_id: str | None = None
    packages: tuple[str, ...] = ()
    is_kernel: bool = False
    is_scheduled: bool = False
    paused: dict[str, Json] | None = None
    quarantined: dict[str, Json] | None = None

    def check_input(self, value: Json) -> None:
        """Check what is to go in against the function's input schema, where it has one.

        Raises:
            InvalidInput: it does not fit; the first faults are named with their places.
        """
        check_value(value, self.input_schema, field="input")

    def check_output(self, value: Json) -> None:
        """Check what came out against the function's output schema, where it has one.

        Raises:
            InvalidInput: it does not fit.
        """
        check_value(value, self.output_schema, field="output")

    @cached_property
    def said_names(self) -> frozenset[str]:
        """What the function is called by, as `as_said` writes it."""
        return frozenset(as_said(name) for name in (self.name, *self.aliases))


def function_id(kind: Kind, name: str) -> UUID:
    """Return the id of a function that was not given one: it follows from its name."""
    return derived_id(kind, as_said(name))


def function_of(record: Record, *, timeout_ms: int = TIMEOUT_MS) -> Function:
    """Read a record as the function that it defines; `timeout_ms` is for one that says none.

    Raises:
        InvalidInput: it does not define one; the error names the column.
    """
    kind, metadata = record.entity_type, record.metadata or {}
    if kind not in KINDS:
        raise _unfit("entity_type", kind)
    if not record.name or not record.name.strip():
        raise _unfit("name", record.name)
    if record.code is None or record.code_hash is None:
        raise _unfit("code", record.code)
    try:
        return Function(
            record=record, kind=kind, id=record.id, seq=record.seq, hash=record.curr_hash,
            tenant=record.tenant_id, name=record.name, source=record.code,
            code_hash=record.code_hash,
            language=_part(record.language or "python", Language, "language"),
            runtime=_part(record.runtime or "pure", Tier, "runtime"),
            entrypoint=record.entrypoint if record.entrypoint is not None else ENTRIES[kind],
            effects=record.effects or (), description=record.description, version=record.version,
            visibility=record.visibility, owner_id=record.owner_id,
            aliases=_part(metadata.get("aliases", ()), tuple[str, ...], "aliases"),
            input_schema=metadata.get("input_schema"), output_schema=metadata.get("output_schema"),
            timeout_ms=_part(metadata.get("timeout_ms", timeout_ms), int, "timeout_ms"),
            max_attempts=_part(metadata.get("max_attempts", 1), int, "max_attempts"),
            queue=_part(metadata.get("queue", "default"), str, "queue"),
            packages=_part(metadata.get("packages", ()), tuple[str, ...], "packages"),
            is_kernel=metadata.get("kernel") is True,
            is_scheduled=metadata.get("scheduled") is True,
            paused=_part(metadata.get("paused"), dict[str, Any] | None, "paused"),
            quarantined=_part(metadata.get("quarantined"), dict[str, Any] | None, "quarantined"),
        )  # fmt: skip
    except msgspec.ValidationError as cause:
        raise _unfit("metadata", metadata) from cause


def as_said(text: str) -> str:
    """Return a name as people say it: no case, no accents, one space between words.

    `Enviar_Recibo`, `enviar recibo` and `enviar-recibo` are one name. Source: Unicode UAX 15.
    """
    bare = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text.casefold())
        if not unicodedata.combining(letter)
    )
    kept = (letter if letter.isalnum() or letter in ".:/" else " " for letter in bare)
    return " ".join("".join(kept).split())


def check_schema(schema: Json, *, field: str) -> None:
    """Check that a schema is one that can be used here.

    Raises:
        InvalidInput: it is no JSON Schema, or refers to another document.
    """
    if schema is None:
        return
    if not isinstance(schema, (dict, bool)):
        raise InvalidInput(field=field, shape=shape_of(schema), reason=_NO_SCHEMA)
    try:
        _validator(canonical(schema, field=field))
    except (ValueError, jsonschema_rs.ReferencingError) as cause:
        reason = Text(f"não é um JSON Schema: {_first_line(cause)}", _first_line(cause))
        raise InvalidInput(field=field, shape=shape_of(schema), reason=reason) from cause


def check_value(value: Json, schema: Json, *, field: str) -> None:
    """Check a value against a schema that `check_schema` accepted; None accepts everything.

    Raises:
        InvalidInput: it does not fit; the first faults are named with their places.
    """
    if schema is None:
        return
    validator = _validator(canonical(schema, field="schema"))
    if validator.is_valid(value):
        return
    faults = [
        ".".join([field, *map(str, fault.instance_path)]) + ": " + _first_line(fault)
        for fault, _ in zip(validator.iter_errors(value), range(_FAULTS_TOLD), strict=False)
    ]
    told = "; ".join(faults)
    raise InvalidInput(field=field, shape=shape_of(value), reason=Text(told, told))


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    """Make the validator of a schema (its canonical bytes); the same bytes share one."""
    return jsonschema_rs.validator_for(
        msgspec.json.decode(schema),
        retriever=_refuse_reference,
        pattern_options=jsonschema_rs.RegexOptions(),
        validate_formats=True,
    )


def _refuse_reference(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to another document: {uri}")


def _part(value: Any, kind: Any, field: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as cause:
        raise _unfit(field, value) from cause


def _unfit(field: str, value: object) -> InvalidInput:
    return InvalidInput(field=field, shape=shape_of(value), reason=_NO_FUNCTION)


def _first_line(fault: BaseException) -> str:
    return str(fault).strip().split("\n", maxsplit=1)[0][:200]


_NO_SCHEMA: Final = Text("um JSON Schema é um objeto", "a JSON Schema is an object")
_NO_FUNCTION: Final = Text(
    "este registo não define código que se possa correr",
    "this record defines no code that can be run",
)
