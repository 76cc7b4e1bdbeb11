"""Signed notes and vkeys: others' vectors, round trips, and whatever bytes may come."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import (
    InvalidInput,
    KeyNotTrusted,
    LoglineError,
    TooLarge,
    VerificationFailed,
)
from loglineos.ledger.tlog.note import (
    COSIGNATURE,
    ED25519,
    NOTE_BYTES_MAX,
    SIGNATURES_MAX,
    VerifierKey,
    key_id,
    note_signer,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
    with_signatures,
)

# C2SP signed-note, "Example".
SPEC_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2O"
    "NncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
# golang.org/x/mod sumdb/note, package documentation.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFup"
    "LLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# transparency-dev/formats note_cosigv1_test.go.
COSIGNER_VKEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
PLUS_VKEY = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"
COSIGNED_AT = (
    "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEB"
    "YJXORmnFBOBA=="
)

LOG = note_signer("casa.example/log", kind=ED25519, seed=b"l" * 32)
WITNESS = note_signer("porta.example/w", kind=COSIGNATURE, seed=b"w" * 32)
STRANGER = note_signer("casa.example/log", kind=ED25519, seed=b"s" * 32)


@pytest.mark.parametrize(("vkey", "note"), [(SPEC_VKEY, SPEC_NOTE), (GO_VKEY, GO_NOTE)])
def test_the_published_notes_open(vkey: str, note: bytes) -> None:
    key = parse_vkey(vkey)
    opened = open_note(note, known=[key])
    assert [one.key for one in opened.verified] == [key]
    assert opened.note.encode() == note


@pytest.mark.parametrize("vkey", [SPEC_VKEY, GO_VKEY, COSIGNER_VKEY, PLUS_VKEY])
def test_published_vkeys_read_and_write_back(vkey: str) -> None:
    key = parse_vkey(vkey)
    assert key.encode() == vkey
    assert key.kind == (COSIGNATURE if vkey is COSIGNER_VKEY else ED25519)


def test_a_published_cosignature_line_carries_its_time() -> None:
    line = parse_note(f"text\n\n— w {COSIGNED_AT}\n".encode()).signatures[0]
    assert int.from_bytes(line.signature[:8], "big") == 1_727_964_367
    assert len(line.signature) == 72


@pytest.mark.parametrize(
    "vkey",
    [
        "", "+", "bananas.example+12344556", "log.example+12345678+THIS_IS_NOT_BASE64!",
        "log.example+12345678+AwEB", SPEC_VKEY.replace("530d903a", "00000000"),
        SPEC_VKEY.replace("530d903a", "530D903A"), SPEC_VKEY.replace("example", "exa mple"),
        SPEC_VKEY + "\n", "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        SPEC_VKEY.replace("example", "ex\udcffmple"), SPEC_VKEY.replace("+Ae", "+Be"),
    ],
)  # fmt: skip
def test_a_malformed_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidInput):
        parse_vkey(vkey)


def test_a_vkey_of_an_unsafe_point_is_refused() -> None:
    weak = VerifierKey(name="casa.example", kind=ED25519, public=b"\x01" + b"\0" * 31)
    with pytest.raises(KeyNotTrusted):
        parse_vkey(weak.encode())


@given(st.text(max_size=80))
def test_no_text_makes_the_vkey_reader_fail_otherwise(text: str) -> None:
    try:
        assert parse_vkey(text).encode() == text
    except LoglineError:
        return


@given(st.binary(max_size=200))
def test_no_bytes_make_the_note_reader_fail_otherwise(data: bytes) -> None:
    try:
        assert parse_note(data).encode() == data
    except LoglineError:
        return


@given(st.binary(max_size=30), st.integers(0, len(SPEC_NOTE)))
def test_a_note_with_anything_put_in_is_refused_or_unchanged(noise: bytes, at: int) -> None:
    changed = SPEC_NOTE[:at] + noise + SPEC_NOTE[at:]
    try:
        opened = open_note(changed, known=[parse_vkey(SPEC_VKEY)])
    except LoglineError:
        return
    assert opened.note.text == "This is an example message.\n"


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"])))
def test_what_is_signed_opens_again(text: str) -> None:
    signed = sign_note(text + "\n", signers=[LOG, WITNESS], timestamp=7)
    opened = open_note(signed, known=[LOG.verifier, WITNESS.verifier])
    assert opened.note.text == text + "\n"
    assert [one.timestamp for one in opened.verified] == [None, 7]


def test_text_may_hold_empty_lines() -> None:
    signed = sign_note("uma\n\n\nduas\n\n", signers=[LOG])
    assert open_note(signed, known=[LOG.verifier]).note.text == "uma\n\n\nduas\n\n"


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "nul\0\n", "cr\r\n"])
def test_text_that_no_note_may_hold_is_not_signed(text: str) -> None:
    with pytest.raises(InvalidInput):
        sign_note(text, signers=[LOG])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\tb", "\ud800"])
def test_a_name_that_cannot_name_a_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        note_signer(name, kind=ED25519, seed=b"l" * 32)


def test_lines_by_unknown_keys_are_carried_and_ignored() -> None:
    signed = sign_note("casa\n", signers=[LOG, STRANGER])
    opened = open_note(signed, known=[LOG.verifier])
    assert [one.key for one in opened.verified] == [LOG.verifier]
    assert len(opened.note.signatures) == 2


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    signed = sign_note("casa\n", signers=[STRANGER])
    with pytest.raises(VerificationFailed):
        open_note(signed, known=[LOG.verifier])
    with pytest.raises(VerificationFailed):
        open_note(signed, known=[])


def test_one_broken_line_of_a_known_key_condemns_the_note() -> None:
    broken = WITNESS.sign("other\n", timestamp=7)
    signed = with_signatures(sign_note("casa\n", signers=[LOG]), lines=[broken])
    assert open_note(signed, known=[LOG.verifier]).note.text == "casa\n"
    with pytest.raises(VerificationFailed):
        open_note(signed, known=[LOG.verifier, WITNESS.verifier])


def test_a_signature_of_one_kind_is_none_of_the_other() -> None:
    as_witness = note_signer(LOG.name, kind=COSIGNATURE, seed=b"l" * 32)
    assert as_witness.verifier.key_id != LOG.verifier.key_id
    forged = f"casa\n\n{LOG.sign('casa' + chr(10)).encode()}".encode()
    with pytest.raises(VerificationFailed):
        open_note(forged, known=[as_witness.verifier])


def test_a_cosignature_binds_its_time() -> None:
    line = WITNESS.sign("casa\n", timestamp=7)
    material = line.key_id + (8).to_bytes(8, "big") + line.signature[8:]
    forged = f"casa\n\n— {WITNESS.name} {base64.b64encode(material).decode()}\n".encode()
    with pytest.raises(VerificationFailed):
        open_note(forged, known=[WITNESS.verifier])


def test_two_known_keys_with_one_name_and_id_are_refused() -> None:
    # Ids are four bytes: the same key under both kinds differs, a struct made by hand may not.
    class Twin(VerifierKey, frozen=True, kw_only=True):
        @property
        def key_id(self) -> bytes:
            return LOG.verifier.key_id

    twin = Twin(name=LOG.name, kind=ED25519, public=STRANGER.verifier.public)
    with pytest.raises(InvalidInput):
        open_note(sign_note("casa\n", signers=[LOG]), known=[LOG.verifier, twin])


def test_a_note_may_have_64_signatures_and_no_more() -> None:
    signers = [note_signer(f"w{n}", kind=ED25519, seed=bytes([n]) * 32) for n in range(65)]
    full = sign_note("casa\n", signers=signers[:SIGNATURES_MAX])
    known = [one.verifier for one in signers[:SIGNATURES_MAX]]
    assert len(open_note(full, known=known).verified) == SIGNATURES_MAX
    with pytest.raises(InvalidInput):
        parse_note(sign_note("casa\n", signers=signers))


def test_a_note_over_its_bytes_is_refused() -> None:
    with pytest.raises(TooLarge):
        parse_note(b"x" * (NOTE_BYTES_MAX + 1))


def test_a_line_by_the_same_key_replaces_the_older_one() -> None:
    signed = sign_note("casa\n", signers=[WITNESS], timestamp=7)
    again = with_signatures(signed, lines=[WITNESS.sign("casa\n", timestamp=8)])
    opened = open_note(again, known=[WITNESS.verifier])
    assert [one.timestamp for one in opened.verified] == [8]


def test_a_signer_does_not_show_its_secret() -> None:
    assert LOG.key.secret.hex() not in repr(LOG)
    assert repr(LOG.key.secret) not in repr(LOG)


def test_a_key_id_is_of_name_kind_and_key() -> None:
    public = LOG.verifier.public
    ids = {
        key_id("a", kind=ED25519, public=public),
        key_id("b", kind=ED25519, public=public),
        key_id("a", kind=COSIGNATURE, public=public),
        key_id("a", kind=ED25519, public=STRANGER.verifier.public),
    }
    assert len(ids) == 4
