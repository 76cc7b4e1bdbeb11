"""The door to other servers, asked for what it must not do, by a real server of bad manners.

The server listens on this machine; it is reached because the test names its host among the private
ones that a manifest lets through. Where a name must lead, the resolver of the door is the test's.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest

from loglineos.ledger.record import Record
from loglineos.runtime.execution.effects.door import RESPONSE_BYTES_MAX, HttpDoor, is_public
from loglineos.runtime.execution.effects.effect import Asker, Call, Denied, Done
from loglineos.runtime.execution.effects.http import ask_server, needs_of

HERE = "127.0.0.1"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = 'pa/ss+word "47" &-0123456789'
RUN = Record(
    tenant_id="casa", id=UUID(int=7, version=4), seq=0, entity_type="execution", at=NOW, who="ana",
    visibility="tenant", is_deleted=False,
    prev_hash=None, curr_hash="0" * 64, signature="0" * 128, public_key="0" * 64,
)  # fmt: skip

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Says what it is told to say; keeps what it was asked."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.port = 0
        self.answer: Answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n")
                 if line.startswith(b"content-length:")), 0,
            )  # fmt: skip
            self.bodies.append(await reader.readexactly(length))
            await self.answer(head, reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.port}/"


def says(told: bytes) -> Answer:
    async def answer(head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(told)

    return answer


def with_body(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    lines = "".join(f"{line}\r\n" for line in headers)
    return says(
        f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
    )


def for_ever(first: bytes, again: bytes, *, pause_s: float = 0) -> Answer:
    async def answer(head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


@asynccontextmanager
async def listening() -> AsyncIterator[Server]:
    told = Server()
    server = await asyncio.start_server(told._serve, HERE, 0)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with listening() as told:
        yield told


async def ask(
    url: Any, method: Any = "GET", *, secrets: dict[str, str] | None = None,
    private: tuple[str, ...] = (HERE,), names: dict[str, list[str]] | None = None, **more: Any,
) -> Done | Denied:  # fmt: skip
    """Ask through a door of its own; `names` is what the resolver knows, and nothing else."""

    async def resolve(host: str, port: int) -> list[str]:
        assert names is not None
        return names.get(host, [])

    call = Call(
        n=1, name="ctx.http", arguments=ask_server.bind([method, url], more), execution=RUN,
        asker=Asker(id=UUID(int=9, version=4), seq=0, name="f", effects=("http:*",)), now=NOW,
        private_hosts=private,
    )  # fmt: skip
    async with HttpDoor(resolve=None if names is None else resolve) as door:
        return await door.request(call, secrets=secrets or {})


# Where it may not go ------------------------------------------------------------------------------

PRIVATE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "198.18.0.1", "192.0.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1", "2002:7f00:1::", "2001:0:1:2:3:4:80ff:fffe",
    "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "100::1",
    "4000::1", "5f00::1", "3fff::1", "2001:470:0:5efe:7f00:1", "nonsense", "",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_a_private_network_is_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1", "64:ff9b::8.8.8.8", "2002:808:808::", "::ffff:8.8.8.8"]
)
def test_an_address_of_the_public_network_is(address: str):
    assert is_public(address)


HOSTS = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "localhost", "localhost.", "LOCALHOST",
    "127.0.0.1.", "１２７.0.0.1", "127。0。0。1", "ⓛocalhost",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_this_machine_leads_to_it(server: Server, host: str):
    said = await ask(f"http://{host}:{server.port}/", private=())
    assert isinstance(said, Denied)
    assert server.heads == []


async def test_a_name_with_one_private_address_is_refused(server: Server):
    names = {"loja.example": ["8.8.8.8", HERE]}
    said = await ask(f"http://loja.example:{server.port}/", names=names)
    assert isinstance(said, Denied)
    assert said.code == "private_address"


async def test_the_connection_goes_to_the_address_that_was_checked(server: Server):
    asked = []

    async def changes(host: str, port: int) -> list[str]:
        asked.append(host)
        return [HERE] if len(asked) == 1 else ["10.0.0.1"]

    call = Call(
        n=1, name="ctx.http", execution=RUN, now=NOW, private_hosts=("loja.example",),
        arguments=ask_server.bind(["GET", f"http://loja.example:{server.port}/a?b=c"], {}),
        asker=Asker(id=UUID(int=9, version=4), seq=0, name="f", effects=()),
    )  # fmt: skip
    async with HttpDoor(resolve=changes) as door:
        said = await door.request(call, secrets={})
    assert isinstance(said, Done)
    assert asked == ["loja.example"], "asked once: what is checked is what is connected to"
    assert server.heads[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"host: loja.example:{server.port}".encode() in server.heads[0].lower()


async def test_a_redirect_is_told_and_not_followed(server: Server):
    server.answer = with_body(b"", "Location: http://169.254.169.254/", status="302 Found")
    said = await ask(server.url)
    assert isinstance(said, Done)
    assert (said.value["status"], len(server.heads)) == (302, 1)
    assert said.value["headers"]["location"] == "http://169.254.169.254/"


@pytest.mark.parametrize(
    "url",
    [
        "http://ana:secret@HOST/", "http://ana@HOST/", "http://8.8.8.8\\@HOST/", "http://@HOST/",
        "ftp://HOST/", "file:///etc/passwd", "http:///", "http://", "", "//HOST/", "HOST",
        "http://HOST:99999/", "http://HOST:-1/", "http://HOST:a/", "http://[::1/", "gopher://HOST/",
        "http://" + "a" * 64 + ".example/", "http://" + "a." * 300 + "example/", "http://..example/",
        "http://.example/", "http://exa mple/", "http://a\x00b/", "http://é.example/", "http://%00/",
        "http://" + "é" * 100 + "/", "http://HOST/" + "a" * 100_000, {"a": 1}, [], None, 5,
    ],
)  # fmt: skip
async def test_a_url_of_bad_faith_is_an_answer_and_never_an_error_of_ours(server: Server, url: Any):
    told = url.replace("HOST", f"{HERE}:{server.port}") if isinstance(url, str) else url
    said = await ask(told, names={})
    assert isinstance(said, Denied)
    assert server.heads == []


async def test_what_must_be_granted_is_the_host_that_is_asked(server: Server):
    assert needs_of({"url": "http://A.Example.:8/", "headers": None, "secret": None}) == (
        "http:a.example",
    )
    assert needs_of({"url": "http://a.example\\@b/", "headers": None, "secret": None}) == (
        "http:b",
    )


# What it may not send -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\nhost: b"}, {"x\r\nhost": "b"}, {"x": "a\nb"}, {"x": "a\x00"}, {"x y": "a"},
        {"": "a"}, {"x:": "a"}, {"host": "b"}, {"Host": "b"}, {"Content-Length": "0"},
        {"transfer-encoding": "chunked"}, {"Connection": "keep-alive"}, {"Upgrade": "h2c"},
        {"TE": "trailers"}, {"Trailer": "x"}, {"Expect": "100-continue"}, {"Proxy-Authorization": "a"},
        {"Accept-Encoding": "gzip"}, {"Keep-Alive": "x"}, {"HTTP2-Settings": "x"},
        {"x": 5}, {"x": None}, {"x": {}}, {"x": ["a"]}, {"x": {"$secret": "none"}}, {"x": "é"},
        {"x": "a" * 3_000}, {f"x{n}": "a" for n in range(60)},
    ],
)  # fmt: skip
async def test_a_header_that_is_not_the_programs_is_refused(server: Server, headers: dict):
    said = await ask(server.url, headers=headers)
    assert isinstance(said, Denied)
    assert said.code == "invalid_input"
    assert server.heads == []


@pytest.mark.parametrize(
    "more", [{"body": {"$bytes": "zz"}}, {"body": {"$bytes": 5}}, {"body": 5}, {"body": []},
             {"body": "a" * 1_100_000}, {"secret": {}}, {"secret": {"$secret": 5}}]
)  # fmt: skip
async def test_a_body_or_a_secret_of_bad_faith_is_an_answer(server: Server, more: dict):
    said = await ask(server.url, "POST", **more)
    assert isinstance(said, Denied)
    assert server.heads == []


async def test_a_path_cannot_write_a_second_request(server: Server):
    await ask(server.url + "a HTTP/1.1\r\nx: y\r\n\r\nGET /b\t", names={})
    assert all(head.count(b"HTTP/1.1\r\n") == 1 for head in server.heads)
    assert all(b"\nx: y" not in head for head in server.heads)


async def test_a_secret_does_not_travel_in_the_open(server: Server):
    names = {"loja.example": ["8.8.8.8"]}
    said = await ask(
        "http://loja.example/", names=names, secret={"$secret": "chave"}, secrets={"chave": SECRET}
    )
    assert isinstance(said, Denied)
    assert said.code == "not_confidential"


# What it may not bring back -----------------------------------------------------------------------

B64 = base64.b64encode


@pytest.mark.parametrize(
    "echo",
    [
        SECRET.encode(), f"Bearer {SECRET}".encode(), json.dumps({"a": SECRET}).encode(),
        json.dumps({"a": json.dumps(SECRET)}).encode(), quote(SECRET, safe="").encode(),
        quote(SECRET, safe="").lower().encode(), quote_plus(SECRET).encode(),
        B64(SECRET.encode()), B64(b"Bearer " + SECRET.encode()), B64(b"x" + SECRET.encode() + b"yz"),
        B64(b"xy" + SECRET.encode() + b"z"), base64.urlsafe_b64encode(SECRET.encode()),
        SECRET.encode().hex().encode(), SECRET.encode().hex().upper().encode(),
        b"\xff\xfe" + SECRET.encode(), json.dumps(SECRET).replace("/", "\\/").encode(),
        b"\xff" + B64(SECRET.encode()), SECRET.encode("utf-16-le"),
    ],
)  # fmt: skip
async def test_a_secret_that_the_server_repeats_does_not_come_back(server: Server, echo: bytes):
    server.answer = with_body(b"before " + echo + b" after", f"ETag: {SECRET}", f"Link: <{SECRET}>")
    said = await ask(server.url, secret={"$secret": "chave"}, secrets={"chave": SECRET})
    assert f"authorization: bearer {SECRET}".lower().encode() in server.heads[0].lower()
    assert isinstance(said, Done)
    body = said.value["body"]
    raw = bytes.fromhex(body["$bytes"]) if isinstance(body, dict) else body.encode()
    assert SECRET not in json.dumps(said.value["headers"])
    assert echo not in raw
    assert b"before" in raw or isinstance(body, dict)


async def test_a_secret_that_the_server_packs_does_not_come_back(server: Server):
    packed = gzip.compress(SECRET.encode())
    server.answer = with_body(packed, "Content-Encoding: gzip")
    said = await ask(server.url, secret={"$secret": "chave"}, secrets={"chave": SECRET})
    assert not isinstance(said, Done) or SECRET not in json.dumps(said.value)
    assert not isinstance(said, Done) or packed.hex() not in json.dumps(said.value)


async def test_a_short_secret_leaves_the_words_of_the_answer_alone(server: Server):
    server.answer = with_body(b"my body has a status")
    said = await ask(server.url, secret={"$secret": "chave"}, secrets={"chave": "body"})
    assert isinstance(said, Done)
    assert set(said.value) == {"status", "headers", "body"}
    assert said.value["body"] == "my *** has a status"


# How long and how much ----------------------------------------------------------------------------


async def timed(server: Server, **more: Any) -> Done | Denied:
    async with asyncio.timeout(10):
        return await ask(server.url, timeout_s=0.6, **more)


@pytest.mark.parametrize(
    "answer",
    [
        for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", pause_s=0.02),
        for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        for_ever(b"", b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", pause_s=0.001),
        for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"a", pause_s=0.02),
        for_ever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", pause_s=0.02),
        for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65_536),
        for_ever(b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 60_000 + b"\r\n"),
        for_ever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 1_000),
        for_ever(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        for_ever(b"", b"", pause_s=0.02),
    ],
)  # fmt: skip
async def test_an_answer_without_end_ends(server: Server, answer: Answer):
    server.answer = answer
    said = await timed(server)
    assert isinstance(said, Denied)
    assert said.code in ("timeout", "too_large", "unreachable")


async def test_a_slow_answer_within_its_time_is_an_answer(server: Server):
    async def late(head: bytes, reader: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5.4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server.answer = late
    said = await ask(server.url, timeout_s=20)
    assert isinstance(said, Done)
    assert said.value["body"] == "ok"


@pytest.mark.parametrize("layers", [1, 2, 3])
async def test_a_compressed_bomb_does_not_burst(server: Server, layers: int):
    bomb = b"\0" * (64 * 1024 * 1024)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    encoding = ", ".join(["gzip"] * layers)
    server.answer = with_body(bomb, f"Content-Encoding: {encoding}")
    said = await ask(server.url)
    assert isinstance(said, Denied)
    assert said.code in ("too_large", "encoded")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_an_answer_that_is_packed_all_the_same_is_read(server: Server, pack: Callable):
    server.answer = with_body(
        pack(b"bom dia"), f"Content-Encoding: {'gzip' if pack is gzip.compress else 'deflate'}"
    )
    said = await ask(server.url)
    assert isinstance(said, Done)
    assert said.value["body"] == "bom dia"


@pytest.mark.parametrize(
    "told",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 99999 OK\r\n\r\n", b"nonsense\r\n\r\n", b"\0" * 100,
        b"HTTP/1.1 200 OK\r\nx\x00y: z\r\nContent-Length: 0\r\n\r\n", b"",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
    ],
)  # fmt: skip
async def test_broken_http_is_an_answer_and_never_an_error_of_ours(server: Server, told: bytes):
    server.answer = says(told)
    said = await timed(server)
    assert isinstance(said, Denied)


@pytest.mark.parametrize("byte", [b"\xff", b"\x01", b'"', b"a", b"\\"])
async def test_what_comes_back_fits_a_record(server: Server, byte: bytes):
    server.answer = with_body(byte * RESPONSE_BYTES_MAX)
    said = await ask(server.url)
    if isinstance(said, Done):
        assert len(json.dumps(said.value)) <= 900_000
    else:
        assert said.code == "too_large"


async def test_a_body_of_tiny_parts_costs_little(server: Server):
    parts = b"1\r\na\r\n" * 100_000
    server.answer = says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    )
    said = await ask(server.url, timeout_s=60)
    assert isinstance(said, Done)
    assert len(said.value["body"]) == 100_000
