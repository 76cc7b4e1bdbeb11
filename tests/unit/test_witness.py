"""Witnessing: the status table, one winner per race, and a client that trusts two answers only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.clock import ManualClock
from loglineos.base.errors import LogBehind, Unavailable
from loglineos.ledger.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from loglineos.ledger.tlog.merkle import EMPTY_ROOT, leaf_hash, root_of
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    ED25519,
    NoteSigner,
    note_signer,
    with_signatures,
)
from loglineos.ledger.tlog.proofs import consistency_proof
from loglineos.ledger.tlog.tiles import TileTree
from loglineos.ledger.tlog.witness import (
    AddCheckpoint,
    SeenTree,
    WitnessAnswer,
    add_checkpoint,
    consider_checkpoint,
    parse_add_checkpoint,
)
from loglineos.ledger.tlog.witness_client import (
    RESPONSE_BYTES_MAX,
    HttpTransport,
    WitnessReply,
    ask_witness,
)

ORIGIN = "casa.example/root"
LOG = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)
STRANGER = note_signer(ORIGIN, kind=ED25519, seed=b"s" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
LOGS = {ORIGIN: [LOG.verifier]}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLOCK = ManualClock(NOW)
LEAVES = [leaf_hash(b"%d" % number) for number in range(200)]
URL = "https://porta.example/w"


class PartialTiles:
    """The tiles of a tree below 256 leaves."""

    async def tile(self, level: int, index: int, width: int) -> bytes:
        tree = TileTree()
        tree.extend(LEAVES)
        return tree.partial_tiles()[level].hashes[: width * 32]


async def prove(old: int, new: int) -> list[bytes]:
    return await consistency_proof(PartialTiles(), old, new)


def seen(size: int) -> SeenTree:
    return SeenTree(size=size, root=root_of(LEAVES[:size]))


def checkpoint(size: int, *, signer: NoteSigner = LOG, root: bytes | None = None) -> bytes:
    body = Checkpoint(
        origin=signer.name, size=size, root=root_of(LEAVES[:size]) if root is None else root
    )
    return sign_checkpoint(body, signers=[signer])


async def request(old: int, new: int, note: bytes | None = None) -> bytes:
    proof = tuple(await prove(old, new)) if old <= new else ()
    return AddCheckpoint(old_size=old, proof=proof, checkpoint=note or checkpoint(new)).encode()


def judge(body: bytes, stored: SeenTree | None) -> WitnessAnswer:
    return consider_checkpoint(body, stored=stored, logs=LOGS, signer=WITNESS, clock=CLOCK)


class MemoryStore:
    """A witness's memory; can let another request win first."""

    def __init__(self) -> None:
        self.kept: dict[str, SeenTree] = {}
        self.writes: list[SeenTree] = []
        self.steal: SeenTree | None = None

    async def seen(self, origin: str) -> SeenTree | None:
        return self.kept.get(origin)

    async def replace(self, origin: str, *, expected: SeenTree | None, new: SeenTree) -> bool:
        if self.steal is not None:
            self.kept[origin], self.steal = self.steal, None
        if self.kept.get(origin) != expected:
            return False
        self.kept[origin] = new
        self.writes.append(new)
        return True


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 200), (1, 2), (64, 200), (7, 7), (0, 0)])
async def test_a_tree_that_grew_is_cosigned(old: int, new: int) -> None:
    answer = judge(await request(old, new), seen(old) if old else None)
    assert answer.status == 200
    assert answer.new_state == seen(new)
    note = checkpoint(new) + answer.body
    opened = open_checkpoint(note, logs=[LOG.verifier], witnesses=[WITNESS.verifier])
    assert [one.timestamp for one in opened.cosignatures] == [int(NOW.timestamp())]


async def test_an_unknown_origin_is_404() -> None:
    other = note_signer("fora.example/root", kind=ED25519, seed=b"o" * 32)
    assert judge(await request(0, 5, checkpoint(5, signer=other)), None).status == 404


async def test_a_checkpoint_without_a_trusted_signature_is_403() -> None:
    assert judge(await request(0, 5, checkpoint(5, signer=STRANGER)), None).status == 403
    broken = with_signatures(checkpoint(5), lines=[LOG.sign("other\n")])
    assert judge(await request(0, 5, broken), None).status == 403


async def test_unknown_signatures_beside_a_trusted_one_are_ignored() -> None:
    body = Checkpoint(origin=ORIGIN, size=5, root=root_of(LEAVES[:5]))
    note = sign_checkpoint(body, signers=[STRANGER, LOG])
    assert judge(await request(0, 5, note), None).status == 200


async def test_an_old_size_above_the_checkpoint_is_400() -> None:
    assert judge(await request(6, 5), seen(6)).status == 400


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\n", b"old 0\n", b"old\n\n", b"old 00\n\n", b"old -1\n\n", b"new 0\n\n",
        b"old 0 \n\n", b"old 0\nAAAA\n\n", b"old 0\nnot base64\n\n", b"\xff", b"old 0\r\n\n",
        b"old 0\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64 + b"\n",
        b"old 0\n\n\n", b"old 0\n\n" + b"x" * 70_000,
    ],
)  # fmt: skip
def test_a_malformed_request_is_400(head: bytes) -> None:
    answer = judge(head + checkpoint(5), None)
    assert (answer.status, answer.new_state) == (400, None)


def test_a_request_without_a_checkpoint_is_400() -> None:
    for body in (b"old 0\n\n", b"old 0\n\nno checkpoint\n", b"old 0\n\n" + checkpoint(5)[:-1]):
        assert judge(body, None).status == 400


@pytest.mark.parametrize("stored", [None, seen(3), seen(9)])
async def test_another_old_size_than_the_stored_one_is_409_with_the_stored(
    stored: SeenTree | None,
) -> None:
    answer = judge(await request(4, 9), stored)
    assert (answer.status, answer.content_type) == (409, "text/x.tlog.size")
    assert answer.body == b"%d\n" % (stored.size if stored else 0)
    assert answer.new_state is None


async def test_what_does_not_continue_is_422() -> None:
    wrong_empty = AddCheckpoint(old_size=0, proof=(), checkpoint=checkpoint(0, root=LEAVES[0]))
    needless = AddCheckpoint(old_size=0, proof=(LEAVES[0],), checkpoint=checkpoint(5))
    no_proof = AddCheckpoint(old_size=5, proof=(), checkpoint=checkpoint(9))
    forked = AddCheckpoint(
        old_size=5, proof=tuple(await prove(5, 9)), checkpoint=checkpoint(9, root=LEAVES[0])
    )
    same_size = AddCheckpoint(old_size=5, proof=(), checkpoint=checkpoint(5, root=LEAVES[0]))
    assert judge(wrong_empty.encode(), None).status == 422
    assert judge(needless.encode(), None).status == 422
    for body in (no_proof, forked, same_size):
        answer = judge(body.encode(), seen(5))
        assert (answer.status, answer.new_state) == (422, None)


def test_a_request_for_the_empty_tree_has_its_root() -> None:
    answer = judge(
        AddCheckpoint(old_size=0, proof=(), checkpoint=checkpoint(0, root=EMPTY_ROOT)).encode(),
        None,
    )
    assert answer.status == 200


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_get_an_answer_and_never_a_cosignature(data: bytes, has_note: bool) -> None:
    body = data + checkpoint(5) if has_note else data
    if body.startswith(b"old 0\n\ncasa"):
        return
    answer = judge(body, seen(3))
    assert answer.status in (400, 403, 404, 409, 422)
    assert answer.new_state is None


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_reads_back_as_written(old: int, proof: list[bytes]) -> None:
    written = AddCheckpoint(old_size=old, proof=tuple(proof), checkpoint=checkpoint(5))
    assert parse_add_checkpoint(written.encode()) == written


async def test_the_state_is_kept_before_the_answer() -> None:
    store = MemoryStore()
    for old, new in ((0, 5), (5, 9), (9, 9)):
        answer = await add_checkpoint(
            await request(old, new), store=store, logs=LOGS, signer=WITNESS, clock=CLOCK
        )
        assert answer.status == 200
        assert store.kept == {ORIGIN: seen(new)}
    refused = await add_checkpoint(
        await request(5, 7), store=store, logs=LOGS, signer=WITNESS, clock=CLOCK
    )
    assert (refused.status, refused.body) == (409, b"9\n")
    assert store.writes == [seen(5), seen(9), seen(9)]


async def test_a_request_that_loses_the_race_is_told_what_won() -> None:
    store = MemoryStore()
    store.kept[ORIGIN] = seen(5)
    store.steal = seen(20)
    answer = await add_checkpoint(
        await request(5, 9), store=store, logs=LOGS, signer=WITNESS, clock=CLOCK
    )
    assert (answer.status, answer.body) == (409, b"20\n")
    assert store.kept == {ORIGIN: seen(20)}
    assert store.writes == []


async def test_a_malformed_or_unknown_request_touches_no_store() -> None:
    store = MemoryStore()
    other = note_signer("fora.example/root", kind=ED25519, seed=b"o" * 32)
    for body in (b"nonsense", await request(0, 5, checkpoint(5, signer=other))):
        await add_checkpoint(body, store=store, logs=LOGS, signer=WITNESS, clock=CLOCK)
    assert store.kept == {}
    assert store.writes == []


class WitnessAtHand:
    """A transport that leads straight to our own witness."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.sent: list[AddCheckpoint] = []

    async def post(
        self, url: str, body: bytes, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert (url, timeout_s) == (f"{URL}/add-checkpoint", 5.0)
        self.sent.append(parse_add_checkpoint(body))
        answer = await add_checkpoint(
            body, store=self.store, logs=LOGS, signer=WITNESS, clock=CLOCK
        )
        return answer.status, {"content-type": answer.content_type}, answer.body


class FixedAnswers:
    """A transport that gives what it was told to, the last answer for ever."""

    def __init__(self, *answers: tuple[int, Mapping[str, str], bytes]) -> None:
        self.answers = list(answers)
        self.count = 0

    async def post(
        self, url: str, body: bytes, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.count += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def ask(
    transport: WitnessAtHand | FixedAnswers | HttpTransport, size: int, old_size: int = 0
) -> WitnessReply:
    return await ask_witness(
        transport,
        url=URL + "/",
        checkpoint=checkpoint(size),
        old_size=old_size,
        proof_builder=prove,
        witness=WITNESS.verifier,
        timeout_s=5.0,
    )


async def test_a_log_that_forgot_what_its_witness_has_learns_it_and_is_cosigned() -> None:
    store = MemoryStore()
    store.kept[ORIGIN] = seen(5)
    transport = WitnessAtHand(store)
    reply = await ask(transport, 9)
    assert [one.old_size for one in transport.sent] == [0, 5]
    assert reply.old_size == 5
    note = with_signatures(checkpoint(9), lines=reply.lines)
    opened = open_checkpoint(note, logs=[LOG.verifier], witnesses=[WITNESS.verifier])
    assert len(opened.cosignatures) == 1
    assert store.kept == {ORIGIN: seen(9)}


async def test_a_witness_ahead_of_the_log_is_an_alarm() -> None:
    store = MemoryStore()
    store.kept[ORIGIN] = seen(50)
    with pytest.raises(LogBehind) as raised:
        await ask(WitnessAtHand(store), 9)
    assert raised.value.fields == {
        "origin": ORIGIN, "ours": 9, "theirs": 50, "keeper": "porta.example/w",
    }  # fmt: skip
    with pytest.raises(LogBehind):
        await ask(FixedAnswers((200, {}, b"")), 9, old_size=10)


SIZE = {"content-type": "text/x.tlog.size"}
FOREIGN_LINE = LOG.sign("x\n").encode().encode()
BROKEN_LINE = WITNESS.sign("x\n", timestamp=7).encode().encode()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b""),
        (200, {}, b"\xff\n"),
        (200, {}, FOREIGN_LINE),
        (200, {}, BROKEN_LINE),
        (200, {}, BROKEN_LINE[:-1]),
        (201, {}, BROKEN_LINE),
        (204, {}, b""),
        (301, {"location": "https://fora.example"}, b""),
        (403, {}, b"unknown log"),
        (409, {}, b"5\n"),
        (409, {"content-type": "text/plain"}, b"5\n"),
        (409, SIZE, b"5"),
        (409, SIZE, b"05\n"),
        (409, SIZE, b"\xff\n"),
        (409, SIZE, b"0\n"),
        (422, {}, b""),
        (500, {}, b"bad signature"),
        (503, {}, b""),
    ],
)
async def test_every_other_answer_is_a_failure_to_try_again(
    status: int, headers: Mapping[str, str], body: bytes
) -> None:
    transport = FixedAnswers((status, headers, body))
    with pytest.raises(Unavailable) as raised:
        await ask(transport, 9)
    assert raised.value.retryable
    assert raised.value.fields["retry_after_s"] == 30
    assert transport.count == 1


async def test_a_witness_that_names_ever_other_sizes_is_left() -> None:
    answers = [(409, SIZE, b"%d\n" % size) for size in (1, 2, 3, 4, 5)]
    transport = FixedAnswers(*answers)
    with pytest.raises(Unavailable):
        await ask(transport, 9)
    assert transport.count == 3


@pytest.mark.parametrize(("asked", "kept"), [("7", 7), ("999999", 3600), ("soon", 30), ("-1", 30)])
async def test_a_wait_that_the_witness_asks_for_is_kept_within_bounds(
    asked: str, kept: int
) -> None:
    with pytest.raises(Unavailable) as raised:
        await ask(FixedAnswers((503, {"retry-after": asked}, b"")), 9)
    assert raised.value.fields["retry_after_s"] == kept


class Stub(httpx2.AsyncBaseTransport):
    """The far end of an HTTP client."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status, self.headers, self.body = status, headers, body
        self.urls: list[str] = []
        self.error: Exception | None = None
        self.is_silent = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.urls.append(str(request.url))
        if self.error is not None:
            raise self.error
        if self.is_silent:
            await asyncio.Event().wait()
        return httpx2.Response(self.status, headers=self.headers, content=self.endless())

    async def endless(self) -> AsyncIterator[bytes]:
        yield self.body
        while self.body.startswith(b"endless"):
            yield self.body


async def post(stub: Stub, timeout_s: float = 5.0) -> tuple[int, Mapping[str, str], bytes]:
    async with HttpTransport(httpx2.AsyncClient(transport=stub)) as transport:
        return await transport.post(f"{URL}/add-checkpoint", b"old 0\n", timeout_s)


async def test_http_brings_status_headers_and_body() -> None:
    status, headers, body = await post(Stub(409, {"Content-Type": "text/x.tlog.size"}, b"5\n"))
    assert (status, headers["content-type"], body) == (409, "text/x.tlog.size", b"5\n")


async def test_http_follows_no_redirect() -> None:
    stub = Stub(307, {"location": "https://fora.example/"})
    status, _, _ = await post(stub)
    assert status == 307
    assert stub.urls == [f"{URL}/add-checkpoint"]


async def test_http_reads_no_more_than_its_bound() -> None:
    with pytest.raises(Unavailable, match="response_bytes_max"):
        await post(Stub(200, {}, b"endless" * 1000))
    assert (await post(Stub(200, {}, b"x" * RESPONSE_BYTES_MAX)))[2] == b"x" * RESPONSE_BYTES_MAX


async def test_http_that_breaks_or_stays_silent_is_unavailable() -> None:
    stub = Stub(200, {})
    stub.error = httpx2.ConnectError("refused")
    with pytest.raises(Unavailable):
        await post(stub)
    stub.error, stub.is_silent = None, True
    with pytest.raises(Unavailable):
        await post(stub, timeout_s=0.01)
