"""Checkpoints: one spelling, signed by the log that the origin names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, LoglineError, VerificationFailed
from loglineos.ledger.tlog.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from loglineos.ledger.tlog.merkle import EMPTY_ROOT
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    ED25519,
    note_signer,
    sign_note,
    with_signatures,
)

ORIGIN = "casa.example/t/casa"
LOG = note_signer(ORIGIN, kind=ED25519, seed=b"l" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
OTHER = note_signer("casa.example/t/outra", kind=ED25519, seed=b"o" * 32)
EMPTY = Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)
ROOT_TEXT = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_the_body_has_three_lines() -> None:
    assert EMPTY.encode() == f"{ORIGIN}\n0\n{ROOT_TEXT}\n"


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_signed_opens_again(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
    note = sign_checkpoint(checkpoint, signers=[LOG])
    opened = open_checkpoint(note, logs=[LOG.verifier])
    assert opened.checkpoint == checkpoint
    assert opened.cosignatures == ()
    assert opened.note.encode() == note


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", f"\n0\n{ROOT_TEXT}\n", f"o\n00\n{ROOT_TEXT}\n", f"o\n-1\n{ROOT_TEXT}\n",
        f"o\n+1\n{ROOT_TEXT}\n", f"o\n1 \n{ROOT_TEXT}\n", f"o\n٣\n{ROOT_TEXT}\n",
        f"o\n9223372036854775808\n{ROOT_TEXT}\n", f"o\n1\n{ROOT_TEXT[:-1]}\n", "o\n1\nAAAA\n",
        f"o\n1\n{ROOT_TEXT}", f"o\n1\n{ROOT_TEXT}\n\n", f"o\n1\n{ROOT_TEXT}\n\nx\n",
        f"o\n1\n{ROOT_TEXT.replace('FU=', 'FV=')}\n", f"o\r\n1\n{ROOT_TEXT}\n",
    ],
)  # fmt: skip
def test_a_body_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_checkpoint(text)


@given(st.text(max_size=120))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    try:
        assert parse_checkpoint(text).encode() == text
    except LoglineError:
        return


@given(st.binary(max_size=300))
def test_no_bytes_make_opening_fail_otherwise(data: bytes) -> None:
    with pytest.raises(LoglineError):
        open_checkpoint(data, logs=[LOG.verifier])


def test_extensions_of_others_are_kept_but_we_sign_none() -> None:
    text = EMPTY.encode() + "extension\n"
    opened = open_checkpoint(sign_note(text, signers=[LOG]), logs=[LOG.verifier])
    assert opened.checkpoint.extensions == ("extension",)
    assert opened.checkpoint.encode() == text
    with pytest.raises(InvalidInput):
        sign_checkpoint(opened.checkpoint, signers=[LOG])


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint(origin="", size=0, root=EMPTY_ROOT),
        Checkpoint(origin="com espaço", size=0, root=EMPTY_ROOT),
        Checkpoint(origin="a+b", size=0, root=EMPTY_ROOT),
        Checkpoint(origin=ORIGIN, size=-1, root=EMPTY_ROOT),
        Checkpoint(origin=ORIGIN, size=2**63, root=EMPTY_ROOT),
        Checkpoint(origin=ORIGIN, size=0, root=b"short"),
    ],
)
def test_an_impossible_checkpoint_is_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(InvalidInput):
        sign_checkpoint(checkpoint, signers=[LOG])


def test_a_log_cannot_speak_under_another_logs_origin() -> None:
    note = sign_checkpoint(EMPTY, signers=[OTHER])
    with pytest.raises(VerificationFailed):
        open_checkpoint(note, logs=[OTHER.verifier, LOG.verifier])


def test_a_cosignature_alone_is_no_checkpoint() -> None:
    note = sign_note(EMPTY.encode(), signers=[WITNESS], timestamp=7)
    with pytest.raises(VerificationFailed):
        open_checkpoint(note, logs=[LOG.verifier], witnesses=[WITNESS.verifier])


def test_cosignatures_are_told_with_their_time() -> None:
    line = WITNESS.sign(EMPTY.encode(), timestamp=7)
    note = with_signatures(sign_checkpoint(EMPTY, signers=[LOG]), lines=[line])
    opened = open_checkpoint(note, logs=[LOG.verifier], witnesses=[WITNESS.verifier])
    assert [(one.key, one.timestamp) for one in opened.cosignatures] == [(WITNESS.verifier, 7)]
    assert [one.key for one in opened.signatures] == [LOG.verifier]
    assert open_checkpoint(note, logs=[LOG.verifier]).cosignatures == ()
