"""The record: one row of the registry, one event in the life of an entity.

`Draft` is what an author brings; `Record` is what the ledger holds. Both name every column in the
order of the table; `columns.py` describes each one, and a test holds the three equal.
Always holds: a value of either type has the right Python types, not yet the right sizes
(`limits.py`) nor a meaning as a LogLine (`logline.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec

Json: TypeAlias = Any
"""A JSON value: dict with text keys, list, str, int, float, bool or None."""

Visibility = Literal["private", "tenant", "public"]


class Draft(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What an author brings: every column that is theirs to choose, all optional here.

    `id` absent: a new entity. `seq` absent: the next event of the entity (0 for a new one).
    `at` absent: the moment of sealing; it is shown as `when`.
    """

    tenant_id: str | None = None
    id: UUID | None = None
    seq: int | None = None
    entity_type: str = "logline"

    who: str | None = None
    did: str | None = None
    this: str | None = None
    at: datetime | None = None
    confirmed_by: str | None = None
    if_ok: str | None = None
    if_doubt: str | None = None
    if_not: str | None = None
    status: str | None = None

    type: str | None = None
    tags: tuple[str, ...] | None = None
    subsystem: str | None = None
    source_file: str | None = None
    details: dict[str, Json] | None = None
    valid: bool | None = None
    ghost_reason: str | None = None

    parent_id: UUID | None = None
    related_to: tuple[UUID, ...] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    cause_id: UUID | None = None
    branch: Literal["ok", "doubt", "not"] | None = None

    owner_id: str | None = None
    visibility: Visibility = "tenant"
    shared_with: tuple[str, ...] | None = None
    is_deleted: bool = False

    name: str | None = None
    description: str | None = None
    code: str | None = None
    code_hash: str | None = None
    language: str | None = None
    runtime: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    effects: tuple[str, ...] | None = None

    input: Json | None = None
    output: Json | None = None
    error: Json | None = None
    output_hash: str | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    priority: int | None = None
    queue: str | None = None
    run_at: datetime | None = None
    lease_until: datetime | None = None
    worker: str | None = None
    idempotency_key: str | None = None
    simulated: bool | None = None

    cron: str | None = None
    timezone: str | None = None
    catch_up: str | None = None

    duration_ms: int | None = None
    cost_micros: int | None = None
    currency: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms: int | None = None
    score: float | None = None

    latitude: float | None = None
    longitude: float | None = None
    content_hash: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    bucket: str | None = None
    object_key: str | None = None

    metadata: dict[str, Json] | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the ledger holds: a draft with its place, its chain and its proof.

    `position` and `recorded_at` are None between sealing and appending; never in what a reader
    returns. `prev_hash` is None exactly when `seq` is 0.
    """

    tenant_id: str
    id: UUID
    seq: int
    entity_type: str
    position: int | None = None
    recorded_at: datetime | None = None

    who: str | None = None
    did: str | None = None
    this: str | None = None
    at: datetime
    confirmed_by: str | None = None
    if_ok: str | None = None
    if_doubt: str | None = None
    if_not: str | None = None
    status: str | None = None

    type: str | None = None
    tags: tuple[str, ...] | None = None
    subsystem: str | None = None
    source_file: str | None = None
    details: dict[str, Json] | None = None
    valid: bool | None = None
    ghost_reason: str | None = None

    parent_id: UUID | None = None
    related_to: tuple[UUID, ...] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    cause_id: UUID | None = None
    branch: Literal["ok", "doubt", "not"] | None = None

    owner_id: str | None = None
    visibility: Visibility
    shared_with: tuple[str, ...] | None = None
    is_deleted: bool

    name: str | None = None
    description: str | None = None
    code: str | None = None
    code_hash: str | None = None
    language: str | None = None
    runtime: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    effects: tuple[str, ...] | None = None

    input: Json | None = None
    output: Json | None = None
    error: Json | None = None
    output_hash: str | None = None
    attempt: int | None = None
    max_attempts: int | None = None
    priority: int | None = None
    queue: str | None = None
    run_at: datetime | None = None
    lease_until: datetime | None = None
    worker: str | None = None
    idempotency_key: str | None = None
    simulated: bool | None = None

    cron: str | None = None
    timezone: str | None = None
    catch_up: str | None = None

    duration_ms: int | None = None
    cost_micros: int | None = None
    currency: str | None = None
    model: str | None = None
    provider: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms: int | None = None
    score: float | None = None

    latitude: float | None = None
    longitude: float | None = None
    content_hash: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    bucket: str | None = None
    object_key: str | None = None

    prev_hash: str | None = None
    curr_hash: str
    signature: str
    public_key: str

    metadata: dict[str, Json] | None = None


DRAFT_FIELDS: Final[tuple[str, ...]] = Draft.__struct_fields__
RECORD_FIELDS: Final[tuple[str, ...]] = Record.__struct_fields__
NOT_HASHED: Final[frozenset[str]] = frozenset({"position", "recorded_at", "curr_hash", "signature"})
NINE: Final[tuple[str, ...]] = (
    "who", "did", "this", "when", "confirmed_by", "if_ok", "if_doubt", "if_not", "status",
)  # fmt: skip
"""The nine fields of a LogLine as people write them; `when` is the column `at`."""
