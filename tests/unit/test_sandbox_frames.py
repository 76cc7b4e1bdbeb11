"""The frames of the pipe between host and runner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.runtime.sandbox import frames
from loglineos.runtime.sandbox.limits import DURABLE
from loglineos.runtime.sandbox.turns import Later, Program, Raised, Suspended, Value


@pytest.mark.parametrize(
    "request_",
    [
        frames.Start(program=Program(source="1"), value={"a": [1]}, limits=DURABLE),
        frames.Resume(answer=Value(None)),
        frames.Resume(answer=Raised("KeyError", "k")),
        frames.Resume(answer=Later()),
        frames.Settle(call_id=3, answer=Value("x")),
        frames.Dump(),
        frames.Load(blob=b"\0", program=Program(source="1"), limits=DURABLE),
        frames.Close(),
    ],
)
def test_a_request_comes_out_as_it_went_in(request_):
    buffer = bytearray(frames.encode(request_))
    assert frames.decode_request(frames.split(buffer)) == request_
    assert not buffer


@given(st.lists(st.text(max_size=30), max_size=6), st.integers(1, 7))
def test_replies_are_found_wherever_the_pipe_cuts(names, step):
    replies = [
        Suspended(kind="call", name=name, args=[name], kwargs={}, call_id=i)
        for i, name in enumerate(names)
    ]
    stream = b"".join(frames.encode(reply) for reply in replies)
    buffer, found = bytearray(), []
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        while (message := frames.split(buffer)) is not None:
            found.append(frames.decode_reply(message))
    assert found == replies


def test_a_length_beyond_the_limit_is_broken():
    with pytest.raises(frames.FrameBroken):
        frames.split(bytearray((frames.FRAME_BYTES_MAX + 1).to_bytes(4, "big")))


@given(st.binary(max_size=200))
def test_garbage_is_broken_or_a_reply_and_never_another_error(garbage):
    try:
        reply = frames.decode_reply(garbage)
    except frames.FrameBroken:
        return
    assert frames.decode_reply(frames.encode(reply)[4:]) == reply
