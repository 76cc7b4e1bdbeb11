"""Trust policies: which logs are known, which witnesses, and how many of them must have cosigned.

Always holds: a policy that was read is whole: every name is defined before it is used, each
witness counts in one way only, and there is exactly one quorum. What is wrong is named with its
line.
Source: C2SP tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from loglineos.base.errors import InvalidInput, LoglineError, TooLarge, shape_of
from loglineos.base.language import Text
from loglineos.ledger.tlog.note import COSIGNATURE, ED25519, VerifierKey, parse_vkey

POLICY_BYTES_MAX: Final = 256 * 1024
NO_QUORUM: Final = "none"

_SPACE: Final = re.compile(r"[ \t]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


class PolicyLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log that is believed; its key's name is its origin."""

    key: VerifierKey
    url: str | None = None


class PolicyWitness(msgspec.Struct, frozen=True, kw_only=True):
    """A witness; `name` lives in the policy only, `url` is its submission prefix."""

    name: str
    key: VerifierKey
    url: str | None = None


class PolicyGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group that has witnessed when `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy, in the order of its file. `quorum` is a name, or `none`."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """List the keys of the logs."""
        return tuple(log.key for log in self.logs)

    @property
    def witness_keys(self) -> tuple[VerifierKey, ...]:
        """List the keys of the witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    def is_met(self, cosigners: Iterable[VerifierKey]) -> bool:
        """Tell whether cosignatures by these keys, all verified, satisfy the quorum."""
        if self.quorum == NO_QUORUM:
            return True
        signed = set(cosigners)
        has_witnessed = {one.name: one.key in signed for one in self.witnesses}
        for group in self.groups:
            count = sum(has_witnessed[member] for member in group.members)
            has_witnessed[group.name] = count >= group.threshold
        return has_witnessed[self.quorum]


def parse_policy(data: bytes) -> Policy:
    """Read a policy file.

    Raises:
        TooLarge: more than `POLICY_BYTES_MAX` bytes.
        InvalidInput: a line is wrong; `field` is `line N`.
    """
    if len(data) > POLICY_BYTES_MAX:
        raise TooLarge(
            field="policy",
            shape=shape_of(data),
            limit=POLICY_BYTES_MAX,
            limit_name="policy_bytes_max",
        )
    draft = _Draft()
    for number, raw in enumerate(data.split(b"\n"), start=1):
        # Octets above ASCII are opaque by the specification: they are carried, not judged.
        line = raw.decode("utf-8", "surrogateescape").strip(" \t")
        if _CONTROL.search(raw):
            raise _wrong(number, line, Text("tem caracteres de controlo", "control characters"))
        if line and not line.startswith("#"):
            draft.read(number, _SPACE.split(line))
    if draft.quorum is None:
        raise InvalidInput(
            field="quorum",
            shape=shape_of(data),
            reason=Text("falta a linha quorum", "the quorum line is missing"),
        )
    return Policy(
        logs=tuple(draft.logs),
        witnesses=tuple(draft.witnesses),
        groups=tuple(draft.groups),
        quorum=draft.quorum,
    )


class _Draft:
    """What the lines read so far have defined."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[PolicyGroup] = []
        self.quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()

    def read(self, number: int, words: list[str]) -> None:
        match words:
            case ["log", vkey, *rest] if len(rest) <= 1:
                key = _key(number, vkey, kind=ED25519, taken=[log.key for log in self.logs])
                self.logs.append(PolicyLog(key=key, url=rest[0] if rest else None))
            case ["witness", name, vkey, *rest] if len(rest) <= 1:
                taken = [witness.key for witness in self.witnesses]
                key = _key(number, vkey, kind=COSIGNATURE, taken=taken)
                self._define(number, name)
                url = rest[0] if rest else None
                self.witnesses.append(PolicyWitness(name=name, key=key, url=url))
            case ["group", name, count, *members] if members:
                self._group(number, name, count, members)
            case ["quorum", name]:
                self._quorum(number, name)
            case _:
                raise _wrong(
                    number,
                    " ".join(words),
                    Text(
                        "a linha começa por log, witness, group ou quorum e leva o que eles pedem",
                        "a line starts with log, witness, group or quorum and what they need",
                    ),
                )

    def _group(self, number: int, name: str, count: str, members: list[str]) -> None:
        for member in members:
            if member not in self._names:
                raise _wrong(number, member, Text("não está definido", "it is not defined"))
            if member in self._members:
                raise _wrong(number, member, Text("já está num grupo", "it is in a group already"))
            self._members.add(member)
        words = {"any": 1, "all": len(members)}
        threshold = words.get(count) or (int(count) if _THRESHOLD.fullmatch(count) else 0)
        if not 1 <= threshold <= len(members):
            raise _wrong(
                number,
                count,
                Text(
                    f"é preciso all, any ou um número de 1 a {len(members)}",
                    f"all, any or a number from 1 to {len(members)} is needed",
                ),
            )
        self._define(number, name)
        self.groups.append(PolicyGroup(name=name, threshold=threshold, members=tuple(members)))

    def _quorum(self, number: int, name: str) -> None:
        if self.quorum is not None:
            raise _wrong(number, name, Text("já há um quorum", "there is a quorum already"))
        if name != NO_QUORUM and name not in self._names:
            raise _wrong(number, name, Text("não está definido", "it is not defined"))
        self.quorum = name

    def _define(self, number: int, name: str) -> None:
        if name == NO_QUORUM or name in self._names:
            raise _wrong(number, name, Text("o nome já está tomado", "the name is taken"))
        self._names.add(name)


def _key(number: int, vkey: str, *, kind: int, taken: list[VerifierKey]) -> VerifierKey:
    try:
        key = parse_vkey(vkey)
    except LoglineError as cause:
        raise _wrong(number, vkey, Text(cause.describe("pt"), cause.describe("en"))) from cause
    if key.kind != kind:
        raise _wrong(
            number,
            vkey,
            Text(
                f"aqui é preciso uma chave do tipo {kind:#04x}",
                f"a key of kind {kind:#04x} is needed here",
            ),
        )
    if any(one.public == key.public for one in taken):
        raise _wrong(number, vkey, Text("a chave repete-se", "the key is there twice"))
    return key


def _wrong(number: int, value: str, reason: Text) -> InvalidInput:
    return InvalidInput(field=f"line {number}", shape=shape_of(value), reason=reason)
