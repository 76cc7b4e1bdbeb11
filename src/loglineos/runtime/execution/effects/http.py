"""Calling other servers: granted by host, journaled before and after, through one guarded door."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from loglineos.runtime.execution.effects.effect import Call, Denied, Done, Performed, World, effect

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
TIMEOUT_S_MAX: Final = 60.0


def host_of(arguments: dict[str, Any]) -> str:
    """Name the host of a URL, in lower case, as it must be granted; nonsense is named `?`."""
    try:
        return (urlsplit(str(arguments["url"])).hostname or "?").rstrip(".").lower()
    except ValueError:
        return "?"


def needs_of(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Name what one call needs: its host, and the secret that goes with it."""
    handle = arguments["secret"]
    name = handle.get("$secret") if isinstance(handle, dict) else None
    host = f"http:{host_of(arguments)}"
    return (host,) if name is None else (host, f"secret:{name}")


@effect(
    "ctx.http",
    "external",
    needs=needs_of,
    like="(method, url, headers=None, json=None, body=None, timeout_s=10, secret=None)",
)
async def ask_server(world: World, call: Call) -> Performed:
    """Ask another server once; give status, headers and body."""
    asked = call.arguments
    method = str(asked["method"]).upper()
    if method not in METHODS:
        return _bad(f"the method is one of {', '.join(sorted(METHODS))}")
    timeout_s = asked["timeout_s"]
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        return _bad("timeout_s is a number of seconds")
    if not 0 < timeout_s <= TIMEOUT_S_MAX:
        return _bad(f"timeout_s is at most {TIMEOUT_S_MAX:.0f}")
    if asked["json"] is not None and asked["body"] is not None:
        return _bad("give json or body, not both")
    if world.is_simulated:
        return Done(value={"status": 200, "headers": {}, "body": "", "simulated": True})
    secret = None
    if asked["secret"] is not None:
        name = asked["secret"].get("$secret") if isinstance(asked["secret"], dict) else None
        secret = world.secrets.read(call.tenant, str(name)) if name else None
        if secret is None:
            return _bad("secret is what ctx.secret.use gave")
    return await world.door.request(call, secret=secret)


def _bad(why: str) -> Denied:
    return Denied(type="ValueError", message=f"ctx.http: {why}", code="invalid_input")
