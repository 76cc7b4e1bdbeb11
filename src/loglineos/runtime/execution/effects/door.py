"""The door to other servers: the one place from which code of the house reaches the network.

Always holds: every address that a name resolves to is public, or the host is one that the manifest
lets through; the connection goes to the address that was checked, under the name that was asked
for; no redirect is followed; what is read is bounded, before and after it is unpacked, and fits a
record; a secret goes into a header, encrypted unless the host is the house's own, and does not come
back when the other side repeats it.
Source: RFC 6890 (special addresses), docs/explanation/security.md.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

import httpx2
import msgspec

from loglineos.runtime.execution.effects.effect import Call, Denied, Done
from loglineos.runtime.execution.effects.scrubbing import scrub

REQUEST_BYTES_MAX: Final = 1024 * 1024
RESPONSE_BYTES_MAX: Final = 512 * 1024
TOLD_BYTES_MAX: Final = 768 * 1024
"""Of an answer as JSON, so that the record of its step holds it."""
HEADERS_MAX: Final = 50
HEADER_CHARACTERS_MAX: Final = 2_000
_OURS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "accept-encoding",
        "keep-alive",
        "http2-settings",
    }
)
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_TOLD: Final = frozenset(
    {"content-type", "date", "etag", "last-modified", "location", "retry-after", "link"}
)
_IS_LATER: Final = frozenset({408, 425, 429, 502, 503, 504})

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Names the addresses of a host; asked once for each call."""


class HttpDoor:
    """Opens one connection for each call and closes it. Use as an async context manager."""

    def __init__(self, *, resolve: Resolve | None = None) -> None:
        """Resolve names by the system, unless told otherwise."""
        self._resolve = resolve or resolve_host
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Make the client: no proxies, cookies, redirects or credentials of the environment."""
        self._client = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
            timeout=None,  # each call has its own, for the whole of it
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._client is not None:
            await self._client.aclose()

    async def request(self, call: Call, *, secrets: dict[str, str]) -> Done | Denied:
        """Perform one call whose host was granted. Never raises what the other side causes.

        A server that cannot be reached, is overloaded or silent is `is_passing`: the same call may
        be made again under the same `Idempotency-Key`.
        """
        asked = call.arguments
        try:
            target = urlsplit(str(asked["url"]))
            port = target.port or {"https": 443, "http": 80}[target.scheme]
        except (ValueError, KeyError):
            return _bad("the url begins with https:// or http:// and names a host")
        host = (target.hostname or "").rstrip(".").lower()
        if not host or target.username is not None or target.password is not None:
            return _bad("the url names a host, and no user")
        if secrets and target.scheme == "http" and host not in call.private_hosts:
            return Denied(
                type="PermissionError", code="not_confidential",
                message="ctx.http: a secret only goes to a host by https",
            )  # fmt: skip
        headers = _headers(asked, call.idempotency_key, secrets)
        if isinstance(headers, Denied):
            return headers
        body = _body(asked, headers)
        if isinstance(body, Denied):
            return body
        try:
            async with asyncio.timeout(float(asked["timeout_s"])):
                address = await self._checked_address(host, port, call.private_hosts)
                if isinstance(address, Denied):
                    return address
                headers["host"] = host if target.port is None else f"{host}:{port}"
                at = f"[{address}]" if ":" in address else address
                url = urlunsplit((target.scheme, f"{at}:{port}", target.path, target.query, ""))
                return await self._send(
                    str(asked["method"]).upper(), url, host, headers, body, secrets
                )
        except TimeoutError:
            return _later("TimeoutError", "no answer in time", "timeout")
        except (httpx2.InvalidURL, ValueError):  # ValueError: no name of a host can be so written
            return _bad("the url names no host that can be asked")
        except (httpx2.HTTPError, OSError):
            return _later("RuntimeError", "the server cannot be reached", "unreachable")

    async def _send(
        self, method: str, url: str, host: str, headers: dict[str, str], body: bytes | None,
        secrets: dict[str, str],
    ) -> Done | Denied:  # fmt: skip
        assert self._client is not None, "the door is open"
        asked = self._client.build_request(
            method, url, headers=headers, content=body, extensions={"sni_hostname": host}
        )
        answer = await self._client.send(asked, stream=True)
        try:
            read = bytearray()
            async for part in answer.aiter_raw():
                read += part
                if len(read) > RESPONSE_BYTES_MAX:
                    return _TOO_LONG
        finally:
            await answer.aclose()
        if answer.status_code in _IS_LATER:
            return _later("RuntimeError", f"the server said {answer.status_code}", "busy")
        unpacked = _unpacked(bytes(read), answer.headers.get("content-encoding", "identity"))
        if isinstance(unpacked, Denied):
            return unpacked
        told = {name: value for name, value in answer.headers.items() if name.lower() in _TOLD}
        hidden = list(secrets.values())
        value = {
            "status": answer.status_code,
            "headers": {
                name.lower(): scrub(value.encode(), hidden).decode()[:HEADER_CHARACTERS_MAX]
                for name, value in told.items()
            },
            "body": _text_of(scrub(unpacked, hidden)),
        }
        return Done(value=value) if len(msgspec.json.encode(value)) <= TOLD_BYTES_MAX else _TOO_LONG

    async def _checked_address(
        self, host: str, port: int, private: tuple[str, ...]
    ) -> str | Denied:
        """Return the address to connect to, when all addresses of the host may be reached."""
        try:
            addresses = [str(ipaddress.ip_address(host))]
        except ValueError:
            addresses = await self._resolve(host, port)
        if not addresses:
            return _later("RuntimeError", "the host has no address", "unreachable")
        if host not in private and not all(is_public(address) for address in addresses):
            return Denied(
                type="PermissionError", code="private_address",
                message="ctx.http: the host has an address of a private network; the manifest may "
                "allow it (limits.http_private_allowed)",
            )  # fmt: skip
        return addresses[0]


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def is_public(address: str) -> bool:
    """Tell whether an address is of the public network, also when written inside IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and (found in _NAT64 or int(found) >> 32 & _ISATAP_MASK == _ISATAP):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if found not in _UNICAST or found in _DOCUMENTATION:
            return False
    return found.is_global and not found.is_multicast


def _headers(asked: dict[str, Any], key: str, secrets: dict[str, str]) -> dict[str, str] | Denied:
    headers: dict[str, str] = {"accept-encoding": "identity", "user-agent": "loglineos"}
    given = asked["headers"] or {}
    if len(given) > HEADERS_MAX:
        return _bad(f"at most {HEADERS_MAX} headers")
    for name, value in given.items():
        told = secrets.get(str(value.get("$secret"))) if isinstance(value, dict) else value
        if not _NAME.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("proxy-"):
            return _bad(f"the header {name[:40]!r} is not yours to set")
        if not isinstance(told, str) or len(told) > HEADER_CHARACTERS_MAX or not told.isprintable():
            return _bad(f"the header {name[:40]!r} is one line of text")
        headers[name.lower()] = told
    if asked["secret"] is not None:
        told = secrets.get(str(asked["secret"].get("$secret")))
        if told is None or not told.isprintable():
            return _bad("secret is what ctx.secret.use gave, one line of text")
        headers["authorization"] = f"Bearer {told}"
    if str(asked["method"]).upper() not in ("GET", "HEAD"):
        headers["idempotency-key"] = key
    try:
        for value in headers.values():
            value.encode("ascii")
    except UnicodeEncodeError:
        return _bad("headers are ASCII")
    return headers


def _body(asked: dict[str, Any], headers: dict[str, str]) -> bytes | Denied | None:
    if asked["json"] is not None:
        body = msgspec.json.encode(asked["json"])
        headers.setdefault("content-type", "application/json")
    elif asked["body"] is None:
        return None
    elif isinstance(asked["body"], str):
        body = asked["body"].encode()
    elif isinstance(asked["body"], dict) and isinstance(asked["body"].get("$bytes"), str):
        try:
            body = bytes.fromhex(asked["body"]["$bytes"])
        except ValueError:
            return _bad("the body is a text or bytes")
    else:
        return _bad("the body is a text or bytes")
    return body if len(body) <= REQUEST_BYTES_MAX else _bad(f"at most {REQUEST_BYTES_MAX:,} bytes")


def _text_of(read: bytes) -> Any:
    try:
        text = read.decode()
    except UnicodeDecodeError:
        return {"$bytes": read.hex()}
    return {"$bytes": read.hex()} if "\0" in text else text


def _unpacked(read: bytes, encoding: str) -> bytes | Denied:
    """Unpack what came packed although nobody asked for it: once, and only as far as it may go."""
    name = encoding.strip().lower()
    if name in ("", "identity") or not read:
        return read
    if name not in ("gzip", "x-gzip", "deflate"):
        return _ENCODED
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    try:
        body = unpacking.decompress(read, RESPONSE_BYTES_MAX + 1)
    except zlib.error:
        return _ENCODED
    if len(body) > RESPONSE_BYTES_MAX:
        return _TOO_LONG
    return body if unpacking.eof else _ENCODED


def _bad(why: str) -> Denied:
    return Denied(type="ValueError", message=f"ctx.http: {why}", code="invalid_input")


def _later(kind: Any, why: str, code: str) -> Denied:
    return Denied(type=kind, message=f"ctx.http: {why}", code=code, is_passing=True)


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that is public today; what lies outside is special, reserved, or of the past."""
_DOCUMENTATION: Final = ipaddress.IPv6Network("3fff::/20")
_ISATAP: Final = 0x0000_5EFE
_ISATAP_MASK: Final = 0xFDFF_FFFF
"""The upper half of an interface that holds an IPv4 address (RFC 5214), also as a global one."""
_TOO_LONG: Final = Denied(
    type="ValueError", code="too_large",
    message=f"ctx.http: the answer is longer than {RESPONSE_BYTES_MAX:,} bytes or too long to keep",
)  # fmt: skip
_ENCODED: Final = Denied(
    type="ValueError", code="encoded", message="ctx.http: the answer is packed in an unknown way"
)
