"""Being a witness: judge another log's checkpoint against the last one seen, and cosign it.

Always holds: per origin, the size that was cosigned never shrinks and one size never has two
roots; the new state is kept before the answer leaves, by compare-and-swap, so that of two requests
at once only one can win. The judgement itself (`consider_checkpoint`) is pure.
Source: C2SP tlog-witness with the status codes of 2026-07.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from loglineos.base.clock import Clock
from loglineos.base.errors import InvalidInput, LoglineError, VerificationFailed, shape_of
from loglineos.base.language import Text
from loglineos.ledger.tlog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, verify_consistency
from loglineos.ledger.tlog.notation import base64_of, decimal_of, hash_of_base64, text_of
from loglineos.ledger.tlog.note import COSIGNATURE, NoteSigner, VerifierKey, parse_note

REQUEST_BYTES_MAX: Final = 64 * 1024
PROOF_HASHES_MAX: Final = 63
SIZE_CONTENT_TYPE: Final = "text/x.tlog.size"
TEXT_CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_ATTEMPTS_MAX: Final = 8

LogKeys = Mapping[str, Sequence[VerifierKey]]
"""The logs that are witnessed: the keys of each origin, named like it."""


class SeenTree(msgspec.Struct, frozen=True, kw_only=True):
    """The largest tree of a log that was cosigned."""

    size: int
    root: bytes


class AddCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an `add-checkpoint` request, read but not believed."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Write the request body."""
        lines = [f"old {self.old_size}", *(base64_of(one) for one in self.proof)]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint


class WitnessAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer, and (only with status 200) the state to keep before answering."""

    status: int
    content_type: str
    body: bytes
    new_state: SeenTree | None = None


class WitnessStore(Protocol):
    """Where a witness remembers, durably."""

    async def seen(self, origin: str) -> SeenTree | None:
        """Return the largest tree cosigned for `origin`, None when none was."""
        ...

    async def replace(self, origin: str, *, expected: SeenTree | None, new: SeenTree) -> bool:
        """Keep `new` if `expected` is still what is kept; tell whether it was.

        Atomic, and durable before it returns True. With `new` equal to `expected` it is a check.
        """
        ...


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Read the body of an `add-checkpoint` request.

    Raises:
        TooLarge: more than `REQUEST_BYTES_MAX` bytes.
        InvalidInput: malformed.
    """
    text = text_of(
        body, field="request", bytes_max=REQUEST_BYTES_MAX, limit_name="request_bytes_max"
    )
    head, _, note = text.partition("\n\n")
    first, *hashes = head.split("\n")
    if not first.startswith("old ") or len(hashes) > PROOF_HASHES_MAX:
        raise InvalidInput(
            field="request",
            shape=shape_of(body),
            reason=Text(
                "começa por old e traz no máximo 63 hashes",
                "it starts with old and brings at most 63 hashes",
            ),
        )
    old_size = decimal_of(first.removeprefix("old "), field="old size")
    proof = tuple(hash_of_base64(one, field="consistency hash") for one in hashes)
    parse_checkpoint(parse_note(note.encode()).text)
    return AddCheckpoint(old_size=old_size, proof=proof, checkpoint=note.encode())


def consider_checkpoint(
    body: bytes,
    *,
    stored: SeenTree | None,
    logs: LogKeys,
    signer: NoteSigner,
    clock: Clock,
) -> WitnessAnswer:
    """Judge one request. `stored` is what was last cosigned for its origin.

    Pure and total: any bytes get an answer. A 200 may be sent only after its `new_state` took the
    place of `stored`.
    """
    assert signer.kind == COSIGNATURE, "a witness signs with a cosignature key"
    try:
        request = parse_add_checkpoint(body)
    except LoglineError as cause:
        return _refusal(400, Text(cause.describe("pt"), cause.describe("en")))
    claimed = parse_checkpoint(parse_note(request.checkpoint).text)
    keys = logs.get(claimed.origin)
    if not keys:
        return _refusal(404, Text("origem desconhecida", "unknown origin"))
    try:
        opened = open_checkpoint(request.checkpoint, logs=keys)
    except LoglineError as cause:
        return _refusal(403, Text(cause.describe("pt"), cause.describe("en")))
    if request.old_size > claimed.size:
        return _refusal(400, Text("old excede o tamanho", "old exceeds the checkpoint size"))
    stored_size = stored.size if stored else 0
    if request.old_size != stored_size:
        return WitnessAnswer(
            status=409, content_type=SIZE_CONTENT_TYPE, body=f"{stored_size}\n".encode()
        )
    try:
        _demand_growth(claimed, stored, request.proof)
    except VerificationFailed as cause:
        return _refusal(422, Text(cause.describe("pt"), cause.describe("en")))
    timestamp = max(1, int(clock.now().timestamp()))
    line = signer.sign(opened.note.text, timestamp=timestamp)
    return WitnessAnswer(
        status=200,
        content_type=TEXT_CONTENT_TYPE,
        body=line.encode().encode(),
        new_state=SeenTree(size=claimed.size, root=claimed.root),
    )


async def add_checkpoint(
    body: bytes, *, store: WitnessStore, logs: LogKeys, signer: NoteSigner, clock: Clock
) -> WitnessAnswer:
    """Judge one request, keep the new state, then answer.

    A request that loses the race for its origin is judged again by what won.
    """
    origin = _origin_of(body)
    for _ in range(_ATTEMPTS_MAX):
        is_known = origin is not None and origin in logs
        stored = await store.seen(origin) if origin is not None and is_known else None
        answer = consider_checkpoint(body, stored=stored, logs=logs, signer=signer, clock=clock)
        if answer.new_state is None or origin is None:
            return answer
        if await store.replace(origin, expected=stored, new=answer.new_state):
            return answer
    return _refusal(503, Text("demasiados pedidos ao mesmo tempo", "too many requests at once"))


def _demand_growth(claimed: Checkpoint, stored: SeenTree | None, proof: tuple[bytes, ...]) -> None:
    """Raise unless the claimed tree continues the stored one (nothing stored: the empty tree)."""
    if claimed.size == 0 and claimed.root != EMPTY_ROOT:
        raise _no_growth(claimed, Text("a árvore vazia tem outra raiz", "not the empty root"))
    if stored is None or stored.size == 0:
        if proof:
            raise _no_growth(
                claimed, Text("de 0 não há prova a dar", "from 0 there is no proof to give")
            )
        return
    verify_consistency(stored.size, claimed.size, stored.root, claimed.root, proof)


def _no_growth(claimed: Checkpoint, reason: Text) -> VerificationFailed:
    return VerificationFailed(what="checkpoint", where=claimed.origin, reason=reason)


def _origin_of(body: bytes) -> str | None:
    try:
        return parse_checkpoint(parse_note(parse_add_checkpoint(body).checkpoint).text).origin
    except LoglineError:
        return None


def _refusal(status: int, reason: Text) -> WitnessAnswer:
    return WitnessAnswer(
        status=status,
        content_type=TEXT_CONTENT_TYPE,
        body=f"{reason.en}\n{reason.pt}\n".encode("utf-8", "backslashreplace"),
    )
