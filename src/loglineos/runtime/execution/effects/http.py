"""Calling other servers: granted by host, journaled before and after, through one guarded door."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from loglineos.ledger.scratch import is_scratch
from loglineos.runtime.execution.effects.effect import Call, Denied, Done, Performed, World, effect

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
TIMEOUT_S_MAX: Final = 60.0


def host_of(url: Any) -> str:
    """Name the host of a URL in lower case, as it must be granted; nonsense is named `?`."""
    try:
        return (urlsplit(str(url)).hostname or "?").rstrip(".").lower()
    except ValueError:
        return "?"


def secrets_of(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Name the secrets that a call wants to send: its own, and those of its headers."""
    headers = arguments["headers"] if isinstance(arguments["headers"], dict) else {}
    handles = [arguments["secret"], *headers.values()]
    return tuple(
        str(one["$secret"]) for one in handles if isinstance(one, dict) and "$secret" in one
    )


def needs_of(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Name what one call needs to be granted: its host, and every secret that goes with it."""
    return (
        f"http:{host_of(arguments['url'])}",
        *(f"secret:{name}" for name in secrets_of(arguments)),
    )


@effect(
    "ctx.http",
    "external",
    needs=needs_of,
    like="(method, url, headers=None, json=None, body=None, timeout_s=10, secret=None)",
)
async def ask_server(world: World, call: Call) -> Performed:
    """Ask another server once; give status, headers and body."""
    problem = _check(call.arguments)
    if problem is not None:
        return Denied(type="ValueError", message=f"ctx.http: {problem}", code="invalid_input")
    if world.is_simulated or call.execution.simulated or is_scratch(call.tenant):
        return Done(value={"status": 200, "headers": {}, "body": "", "simulated": True})
    secrets: dict[str, str] = {}
    for name in secrets_of(call.arguments):
        found = world.secrets.read(call.tenant, name)
        if found is None:
            return Denied(
                type="KeyError", message="ctx.http: there is no such secret", code="not_found"
            )
        secrets[name] = found
    return await world.door.request(call, secrets=secrets)


def _check(asked: dict[str, Any]) -> str | None:
    """Name what is wrong with a call, if anything is."""
    if str(asked["method"]).upper() not in METHODS:
        return f"the method is one of {', '.join(sorted(METHODS))}"
    timeout_s = asked["timeout_s"]
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        return "timeout_s is a number of seconds"
    if not 0 < timeout_s <= TIMEOUT_S_MAX:
        return f"timeout_s is at most {TIMEOUT_S_MAX:.0f}"
    if asked["json"] is not None and asked["body"] is not None:
        return "give json or body, not both"
    if asked["headers"] is not None and not isinstance(asked["headers"], dict):
        return "headers are an object of texts"
    if asked["secret"] is not None and not isinstance(asked["secret"], dict):
        return "secret is what ctx.secret.use gave"
    return None
