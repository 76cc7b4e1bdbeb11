"""The manifest: the law of one house, a record that only the root key signs.

Its keys are spelt as the Bluebook spells them (section 6): `kernels`, `allowed_boot_ids`,
`throttle.per_tenant_daily_exec_limit`, `policy.slow_ms`, `override_pubkey_hex`.
Always holds: a manifest that was read is whole and within its bounds; changing it is its next
event; what is slow (`policy.slow_ms`) and what is too long (`timeout_ms`) are two settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from loglineos.base.errors import InvalidInput, UnknownName, shape_of
from loglineos.base.language import Text
from loglineos.ledger.record import Draft, Json

MANIFEST_ID: Final = UUID("00000000-0000-4000-8000-0000000000aa")
MANIFEST: Final = "manifest"
LAW_TYPES: Final = frozenset(
    {
        "tenant", "actor", "key", "forgetting", "manifest", "function", "policy", "schedule",
        "prelude", "prompt", "queue", "alias", "execution", "step", "boot_event", "policy_cursor",
    }
)  # fmt: skip
"""Types that no code of the house may emit: they say what runs, or that it ran."""

EFFECTS: Final[dict[str, bool]] = {
    "ledger.read": False, "emit": False, "enqueue": False, "run": False, "confirm": False,
    "wait": False, "http": True, "secret": True, "llm": False, "search": False, "storage": False,
}  # fmt: skip
"""Every effect that can be declared and granted; True: it needs a name after a colon."""

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAMED: Final = re.compile(r"[^\s:]{1,200}(:[0-9]{1,5})?")
_PATH: Final = re.compile(r"(?P<told>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400_000)]


class Throttle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many executions the house may run. None: as many as come."""

    per_tenant_daily_exec_limit: Count | None = 1_000_000
    per_tenant_per_minute: Count | None = None


class Slowness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on an execution counts as slow. It goes on all the same."""

    slow_ms: Milliseconds = 5000


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is kept beside the registry stays. The registry itself stays for ever."""

    snapshots_days: Count = 30
    metrics_days: Count = 90


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of this house, within those of the runtime."""

    depth_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    """How many executions may have led to one another."""
    catch_up_grace_s: Count = 60
    """How late a time of a schedule without catch-up still counts."""
    actions_per_span_max: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    http_private_allowed: tuple[str, ...] = ()
    """Hosts with a private address that `ctx.http` may reach; they must be granted as well."""


class Overrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the house does without, by name, because somebody decided so."""

    layers_missing_allowed: tuple[str, ...] = ()
    """Layers of the jail that the machine may lack."""
    full_python_allowed: bool = False
    """Functions may run in full CPython, of which no replay is a proof."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The law of one house."""

    kernels: dict[str, str] = msgspec.field(default_factory=dict)
    allowed_boot_ids: tuple[str, ...] = ()
    trusted_keys: tuple[str, ...] = ()
    """Public keys (hex) whose signature makes code of this house lawful."""
    effects_granted: tuple[str, ...] = ()
    throttle: Throttle = msgspec.field(default_factory=Throttle)
    policy: Slowness = msgspec.field(default_factory=Slowness)
    timeout_ms: Milliseconds = 60_000
    """When a run without a timeout of its own is ended."""
    override_pubkey_hex: str | None = None
    """Whoever signs a request with this key and says `force` passes the quotas."""
    retention: Retention = msgspec.field(default_factory=Retention)
    limits: Bounds = msgspec.field(default_factory=Bounds)
    sandbox: Overrides = msgspec.field(default_factory=Overrides)
    autocorrect: bool = True
    """A record that fails also runs `autocorrect`, where the house has such a function."""
    four_eyes_over_cents: Count | None = 50_000
    """Money over this needs a second person. None: never."""

    def grants(self, effect: str) -> bool:
        """Tell whether the house grants this effect, named in full: `http:api.example.org`."""
        return covers(self.effects_granted, effect)

    def granted(self, declared: Iterable[str]) -> tuple[str, ...]:
        """Return those of the declared effects that the house grants."""
        return tuple(effect for effect in declared if self.grants(effect))


def covers(patterns: Iterable[str], effect: str) -> bool:
    """Tell whether one of the patterns covers an effect.

    A pattern is the effect itself, `*`, or a word with a name that may end its left side in a
    star: `secret:*`, `http:*`, `http:*.example.org` (every host below that name, not itself).
    """
    return any(_covers(pattern, effect) for pattern in patterns)


def _covers(pattern: str, effect: str) -> bool:
    if pattern in ("*", effect):
        return True
    word, _, name = pattern.partition(":")
    asked, _, which = effect.partition(":")
    if word != asked or not which:
        return False
    return name == "*" or (name.startswith("*.") and which.endswith(name[1:]))


def check_effect(effect: str, *, field: str) -> str:
    """Check that an effect (or a pattern of one) is one that exists, and return it.

    Raises:
        UnknownName: there is no such effect.
        InvalidInput: it needs a name (`http:api.example.org`), or takes none.
    """
    word, colon, name = effect.partition(":")
    if effect == "*":
        return effect
    if word not in EFFECTS:
        raise UnknownName(field=field, shape=repr(effect)[:60], known=", ".join(EFFECTS))
    if EFFECTS[word] != bool(colon) or (colon and not _NAMED.fullmatch(name)):
        reason = _NEEDS_NAME if EFFECTS[word] else _NO_NAME
        raise InvalidInput(field=field, shape=shape_of(effect), reason=reason)
    return effect


def parse_manifest(value: Json) -> Manifest:
    """Read a manifest from the `metadata` of its record.

    Raises:
        InvalidInput, UnknownName: the error names the part, like `manifest.throttle`.
    """
    try:
        manifest = msgspec.convert(value, Manifest, strict=True)
    except msgspec.ValidationError as cause:
        raise _told(cause, value) from cause
    for effect in manifest.effects_granted:
        check_effect(effect, field="manifest.effects_granted")
    for name in ("trusted_keys", "override_pubkey_hex"):
        found = getattr(manifest, name) or ()
        for key in (found,) if isinstance(found, str) else found:
            _check(_HEX.fullmatch(key), f"manifest.{name}", key, _KEY)
    for name in ("kernels", "allowed_boot_ids"):
        found = getattr(manifest, name)
        for identity in found.values() if isinstance(found, dict) else found:
            _check(_is_id(identity), f"manifest.{name}", identity, _ID)
    return manifest


def manifest_draft(
    manifest: Manifest, *, who: str, seq: int, details: dict[str, Json] | None = None
) -> Draft:
    """Draft an event of the manifest; it is to be signed with the root key."""
    return Draft(
        id=MANIFEST_ID, seq=seq, entity_type=MANIFEST, who=who, did="define", this=MANIFEST,
        name="kernel_manifest", status="active", details=details,
        metadata=msgspec.to_builtins(manifest),
    )  # fmt: skip


def with_value(manifest: Manifest, path: str, value: Json) -> Manifest:
    """Return the manifest with one part changed; `path` is like `throttle.per_tenant_per_minute`.

    Raises:
        UnknownName: there is no such part.
        InvalidInput: the value does not fit it.
    """
    whole = msgspec.to_builtins(manifest)
    *way, last = path.split(".")
    part: Any = whole
    for name in way:
        part = part.get(name) if isinstance(part, dict) else None
    is_free = way == ["kernels"]
    if not isinstance(part, dict) or (last not in part and not is_free):
        known = ", ".join(_paths(msgspec.to_builtins(Manifest())))
        raise UnknownName(field="manifest", shape=repr(path)[:60], known=known)
    part[last] = value
    return parse_manifest(whole)


def with_item(manifest: Manifest, name: str, item: str, *, is_in: bool) -> Manifest:
    """Return the manifest with `item` in (or out of) one of its lists; the order stays.

    Raises:
        InvalidInput, UnknownName: the item does not fit there.
    """
    items: tuple[str, ...] = getattr(manifest, name)
    if (item in items) == is_in:
        return manifest
    changed = (*items, item) if is_in else tuple(one for one in items if one != item)
    return parse_manifest({**msgspec.to_builtins(manifest), name: changed})


def _told(cause: msgspec.ValidationError, value: Json) -> InvalidInput:
    found = _PATH.fullmatch(str(cause))
    told, path = (found["told"], found["path"] or "") if found else (str(cause), "")
    part = value
    for name in path.strip(".").split("."):
        part = part.get(name) if isinstance(part, dict) else part
    reason = Text(f"não se lê: {told}", told[:1].lower() + told[1:])
    return InvalidInput(field="manifest" + path, shape=shape_of(part), reason=reason)


def _check(is_right: object, field: str, value: str, reason: Text) -> None:
    if not is_right:
        raise InvalidInput(field=field, shape=shape_of(value), reason=reason)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _paths(whole: dict[str, Any]) -> list[str]:
    return [
        f"{name}.{inner}" if inner else name
        for name, part in whole.items()
        for inner in (part if isinstance(part, dict) and part else ("",))
    ]


_KEY: Final = Text(
    "não é uma chave pública: 64 algarismos hexadecimais em minúsculas",
    "is no public key: 64 lower-case hexadecimal digits",
)
_ID: Final = Text("não é um UUID em minúsculas", "is no lower-case UUID")
_NEEDS_NAME: Final = Text(
    "precisa de um nome: http:api.example.org, secret:banco",
    "needs a name: http:api.example.org, secret:bank",
)
_NO_NAME: Final = Text("não leva nome", "takes no name")
