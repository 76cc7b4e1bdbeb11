"""Frames of the pipes between host and runner: four bytes of length, then one msgpack message.

Each session has a socket of its own, so that a message needs no address, no lock and no second
thread: the host asks, the thread of that session answers.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from loglineos.runtime.sandbox.limits import RunLimits
from loglineos.runtime.sandbox.lint.findings import Finding
from loglineos.runtime.sandbox.turns import (
    Answer,
    Completed,
    Evaluated,
    Failed,
    Program,
    Settled,
    Suspended,
    Waiting,
)

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
_HEAD: Final = 4


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Begin a session; a session that was there before is closed."""

    program: Program
    value: Any
    limits: RunLimits


class Resume(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Answer the call that stands."""

    answer: Answer


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """Settle one pending call."""

    call_id: int
    answer: Settled


class Dump(msgspec.Struct, frozen=True, tag="dump"):
    """Hand out the session as it stands."""


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """Begin a session from a dump."""

    blob: bytes
    program: Program
    limits: RunLimits


class Close(msgspec.Struct, frozen=True, tag="close"):
    """End the session; has no reply."""


class Pure(msgspec.Struct, frozen=True, kw_only=True, tag="pure"):
    """Run a program without effects to its end."""

    program: Program
    value: Any
    limits: RunLimits


class Evaluate(msgspec.Struct, frozen=True, kw_only=True, tag="evaluate"):
    """Call `on(span)` for each span of a JSON array; `explain`: for the first, and say where."""

    program: Program
    spans: str
    limits: RunLimits
    explain: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True, tag="trial"):
    """Compile a Python program and check its types; `stubs` are the modules that it may import."""

    source: str
    stubs: dict[str, str]


class Tried(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="tried"):
    """What the engine said of a program when it compiled it."""

    findings: tuple[Finding, ...]


class Dumped(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="dumped"):
    """The session as bytes."""

    blob: bytes


class BatchText(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="batch"):
    """What a batch gave, as JSON text: an array with `[actions, error]` for each span.

    `error` is null or `[type, message, where]`. The text comes from the sandbox: parse it as such.
    """

    text: str
    cpu_us: int
    printed: str


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="fault"):
    """No turn: `lost` (the worker is gone), `snapshot` (no dump of ours), `turn` (out of turn)."""

    kind: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="turn", tag="ready"):
    """The first message of a runner: the layers that it lacks, or why it does not start."""

    missing: tuple[str, ...] = ()
    refused: str | None = None


Request = Start | Resume | Settle | Dump | Load | Close | Pure | Evaluate | Trial
Reply = (
    Suspended
    | Waiting
    | Completed
    | Failed
    | Evaluated
    | Tried
    | Dumped
    | BatchText
    | Fault
    | Ready
)

_encoder: Final = msgspec.msgpack.Encoder()
_request: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_reply: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)


class FrameBroken(Exception):
    """The other side sent what is no frame of ours, or too long a one."""


def encode(message: Request | Reply) -> bytes:
    """Write one message with its length before it."""
    buffer = bytearray(_HEAD)
    _encoder.encode_into(message, buffer, _HEAD)
    buffer[:_HEAD] = (len(buffer) - _HEAD).to_bytes(_HEAD, "big")
    return bytes(buffer)


def split(buffer: bytearray) -> bytes | None:
    """Take the first whole message off the buffer; None when there is none yet.

    Raises:
        FrameBroken: a length beyond `FRAME_BYTES_MAX`.
    """
    if len(buffer) < _HEAD:
        return None
    size = int.from_bytes(buffer[:_HEAD], "big")
    if size > FRAME_BYTES_MAX:
        raise FrameBroken
    if len(buffer) < _HEAD + size:
        return None
    message = bytes(buffer[_HEAD : _HEAD + size])
    del buffer[: _HEAD + size]
    return message


def decode_reply(message: bytes) -> Reply:
    """Read what a runner says.

    Raises:
        FrameBroken: it is no reply.
    """
    try:
        return _reply.decode(message)
    except (msgspec.MsgspecError, RecursionError, ValueError) as cause:
        raise FrameBroken from cause


def decode_request(message: bytes) -> Request:
    """Read what the host asks."""
    return _request.decode(message)


def read(file: int, buffer: bytearray) -> bytes | None:
    """Wait for the next whole message of a socket or pipe; None at its end."""
    while (message := split(buffer)) is None:
        part = os.read(file, 256 * 1024)
        if not part:
            return None
        buffer += part
    return message


def write(file: int, frame: bytes) -> None:
    """Write a whole frame to a socket or pipe."""
    sent = os.write(file, frame)
    while sent < len(frame):
        sent += os.write(file, memoryview(frame)[sent:])
