"""Asking a witness: send it a checkpoint with the proof it needs, bring back its cosignature.

Always holds: only two answers carry meaning, 200 with a cosignature that verifies and 409 with
the witness's size; every other answer, and silence, is a failure to be tried again later. A witness
that has seen a larger tree than ours is told as `LogBehind`: someone's history is lost or split.
Source: C2SP tlog-witness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, Self

import httpx2
import msgspec

from loglineos.base.errors import LogBehind, LoglineError, Unavailable
from loglineos.base.language import Text
from loglineos.ledger.tlog.checkpoint import Checkpoint, parse_checkpoint
from loglineos.ledger.tlog.notation import decimal_of
from loglineos.ledger.tlog.note import (
    SignatureLine,
    Verified,
    VerifierKey,
    parse_note,
    parse_signatures,
    verify_signatures,
)
from loglineos.ledger.tlog.witness import SIZE_CONTENT_TYPE, AddCheckpoint

RESPONSE_BYTES_MAX: Final = 64 * 1024
RETRY_AFTER_S: Final = 30
RETRY_AFTER_S_MAX: Final = 3600
TRIES_MAX: Final = 3
"""Requests of one call: the first, and one for each size that the witness names."""

# Uncompressed, so that the bound on what is read is a bound on what it becomes.
_HEADERS: Final = {"content-type": "text/plain; charset=utf-8", "accept-encoding": "identity"}

ProofBuilder = Callable[[int, int], Awaitable[list[bytes]]]
"""Makes the consistency proof from the first size to the second."""


class WitnessTransport(Protocol):
    """Carries one request to a witness."""

    async def post(
        self, url: str, body: bytes, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers (names in lower case) and body. Follows no redirect.

        Raises:
            Unavailable: no answer in `timeout_s`, or one that is too large.
        """
        ...


class WitnessReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a witness gave: its verified cosignatures, and the size it had before."""

    cosignatures: tuple[Verified, ...]
    old_size: int

    @property
    def lines(self) -> tuple[SignatureLine, ...]:
        """List the lines to put under the checkpoint."""
        return tuple(one.line for one in self.cosignatures)


async def ask_witness(
    transport: WitnessTransport,
    *,
    url: str,
    checkpoint: bytes,
    old_size: int,
    proof_builder: ProofBuilder,
    witness: VerifierKey,
    timeout_s: float,
) -> WitnessReply:
    """Ask the witness at the submission prefix `url` to cosign `checkpoint`, a signed note.

    `old_size` is what it is believed to have (0 when unknown); when it names another, that is
    proved from instead. Waits at most `timeout_s` for each of `TRIES_MAX` requests. Asking again
    for the same checkpoint is safe.

    Raises:
        LogBehind: the witness has cosigned a larger tree; do not sign on, see the remedy.
        Unavailable: anything else than a cosignature; retry after `retry_after_s`.
    """
    claimed = parse_checkpoint(parse_note(checkpoint).text)
    failure = _silent("tries_max")
    for _ in range(TRIES_MAX):
        if old_size > claimed.size:
            raise LogBehind(
                origin=claimed.origin, ours=claimed.size, theirs=old_size, keeper=witness.name
            )
        proof = tuple(await proof_builder(old_size, claimed.size))
        request = AddCheckpoint(old_size=old_size, proof=proof, checkpoint=checkpoint)
        status, headers, body = await transport.post(
            f"{url.rstrip('/')}/add-checkpoint", request.encode(), timeout_s
        )
        if status == 200:
            found = _cosignatures(claimed, body, witness)
            return WitnessReply(cosignatures=found, old_size=old_size)
        failure = _failed(witness, status, headers)
        named = _named_size(status, headers, body)
        if named is None or named == old_size:
            break
        old_size = named
    raise failure


class HttpTransport:
    """HTTP by `httpx2`, connections kept alive; used as an async context."""

    def __init__(self, client: httpx2.AsyncClient | None = None) -> None:
        """Use `client`, or one of its own."""
        self._client = client or httpx2.AsyncClient(follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(
        self, url: str, body: bytes, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Post `body`; see `WitnessTransport`. Reads at most `RESPONSE_BYTES_MAX` bytes."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(url, body)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as cause:
            raise _silent(str(cause) or type(cause).__name__) from cause

    async def _exchange(self, url: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        received = bytearray()
        async with self._client.stream(
            "POST",
            url,
            content=body,
            timeout=None,  # `post` bounds the whole exchange
            headers=_HEADERS,
            follow_redirects=False,
        ) as response:
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > RESPONSE_BYTES_MAX:
                    raise _silent("response_bytes_max")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, headers, bytes(received)


def _cosignatures(claimed: Checkpoint, body: bytes, witness: VerifierKey) -> tuple[Verified, ...]:
    try:
        lines = parse_signatures(body.decode("utf-8"))
        found = verify_signatures(claimed.encode(), lines=lines, known=[witness])
    except (LoglineError, UnicodeDecodeError) as cause:
        raise _failed(witness, 200, {}) from cause
    if not found or not all(one.timestamp for one in found):
        raise _failed(witness, 200, {})
    return found


def _named_size(status: int, headers: Mapping[str, str], body: bytes) -> int | None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if status != 409 or kind != SIZE_CONTENT_TYPE or not body.endswith(b"\n"):
        return None
    try:
        return decimal_of(body[:-1].decode("ascii"), field="size")
    except (LoglineError, UnicodeDecodeError):
        return None


def _failed(witness: VerifierKey, status: int, headers: Mapping[str, str]) -> Unavailable:
    asked = headers.get("retry-after", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 10
    return Unavailable(
        reason=Text(
            f"a testemunha {witness.name} respondeu {status} sem cossignatura",
            f"the witness {witness.name} answered {status} without a cosignature",
        ),
        retry_after_s=min(int(asked), RETRY_AFTER_S_MAX) if is_number else RETRY_AFTER_S,
    )


def _silent(why: str) -> Unavailable:
    return Unavailable(
        reason=Text(f"a testemunha não responde: {why}", f"the witness does not answer: {why}"),
        retry_after_s=RETRY_AFTER_S,
    )
