"""Policy files: read whole or refused by line, and quorums that mean what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, LoglineError, TooLarge
from loglineos.ledger.tlog.note import COSIGNATURE, ED25519, VerifierKey, note_signer
from loglineos.ledger.tlog.policy import POLICY_BYTES_MAX, parse_policy


def log_key(number: int, name: str = "casa.example/root") -> VerifierKey:
    return note_signer(name, kind=ED25519, seed=bytes([number]) * 32).verifier


def witness_key(number: int) -> VerifierKey:
    seed = bytes([100 + number]) * 32
    return note_signer(f"w{number}.example", kind=COSIGNATURE, seed=seed).verifier


LOG = log_key(1).encode()
W = [witness_key(number).encode() for number in range(6)]
TWO_LEVELS = f"""\
# the example of the specification
log {LOG} https://casa.example/root

witness X1 {W[0]}
  witness\tX2 {W[1]} https://x2.example/
witness X3 {W[2]}
group X-witnesses 2 X1 X2 X3

witness Y1 {W[3]}
witness Y2 {W[4]}
witness Y3 {W[5]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


@pytest.mark.parametrize(
    ("cosigners", "is_met"),
    [
        ((), False),
        ((0, 1), False),
        ((3, 4, 5), False),
        ((0, 3), False),
        ((0, 1, 3), True),
        ((1, 2, 5), True),
        ((0, 1, 2, 3, 4, 5), True),
    ],
)
def test_a_quorum_of_two_levels_counts_each_group(cosigners: tuple[int, ...], is_met: bool) -> None:
    policy = parse_policy(TWO_LEVELS)
    assert policy.is_met(witness_key(number) for number in cosigners) is is_met


def test_a_policy_is_read_whole() -> None:
    policy = parse_policy(TWO_LEVELS)
    assert policy.log_keys == (log_key(1),)
    assert policy.logs[0].url == "https://casa.example/root"
    assert policy.witness_keys == tuple(witness_key(number) for number in range(6))
    assert [one.url for one in policy.witnesses][:2] == [None, "https://x2.example/"]
    assert [(one.name, one.threshold) for one in policy.groups] == [
        ("X-witnesses", 2),
        ("Y-witnesses", 1),
        ("X-and-Y", 2),
    ]


def test_no_quorum_asks_for_nobody() -> None:
    policy = parse_policy(b"quorum none")
    assert policy.is_met([])
    assert policy.log_keys == policy.witness_keys == ()


def test_a_stranger_or_the_same_witness_twice_does_not_count() -> None:
    policy = parse_policy(
        f"witness a {W[0]}\nwitness b {W[1]}\ngroup g all a b\nquorum g\n".encode()
    )
    assert not policy.is_met([witness_key(0), witness_key(0), witness_key(5)])
    assert policy.is_met([witness_key(0), witness_key(1)])


def test_one_witness_may_be_the_quorum() -> None:
    policy = parse_policy(f"witness a {W[0]}\nquorum a\n".encode())
    assert not policy.is_met([witness_key(1)])
    assert policy.is_met([witness_key(0)])


def test_octets_above_ascii_are_carried_unread() -> None:
    policy = parse_policy(b"# \xff\xfe\nwitness jo\xe3o " + W[0].encode() + b"\nquorum jo\xe3o\n")
    assert policy.is_met([witness_key(0)])
    with pytest.raises(InvalidInput):
        parse_policy(b"witness K " + W[0].encode() + "\nquorum \u212a\n".encode())


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "what is this"),
        (1, "log"),
        (1, "log not-a-vkey"),
        (1, f"log {LOG} url more"),
        (1, f"log {W[0]}"),
        (1, f"witness a {LOG}"),
        (1, f"witness none {W[0]}"),
        (2, f"log {LOG}\nlog {log_key(1, 'another.example').encode()}"),
        (2, f"witness a {W[0]}\nwitness b {W[0]}"),
        (2, f"witness a {W[0]}\nwitness a {W[1]}"),
        (1, "group g any"),
        (1, "group g any a"),
        (2, f"witness a {W[0]}\ngroup g 0 a"),
        (2, f"witness a {W[0]}\ngroup g 2 a"),
        (2, f"witness a {W[0]}\ngroup g 01 a"),
        (2, f"witness a {W[0]}\ngroup g some a"),
        (2, f"witness a {W[0]}\ngroup a any a"),
        (2, f"witness a {W[0]}\ngroup g any a a"),
        (2, f"witness a {W[0]}\ngroup g any none"),
        (3, f"witness a {W[0]}\ngroup g any a\ngroup h any a"),
        (2, f"witness a {W[0]}\ngroup g any g"),
        (1, "quorum a"),
        (1, "quorum"),
        (2, "quorum none\nquorum none"),
        (2, f"quorum none\nwitness\u00a0a {W[0]}"),
        (1, "quorum none\r"),
        (2, "quorum none\n\x00"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line: int, text: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_policy(text.encode())
    assert raised.value.fields["field"] == f"line {line}"
    assert raised.value.describe("pt") != raised.value.describe("en")


def test_a_policy_without_a_quorum_line_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_policy(f"log {LOG}\n".encode())
    assert raised.value.fields["field"] == "quorum"


def test_32_logs_witnesses_and_groups_fit() -> None:
    lines = [f"log {log_key(number).encode()}" for number in range(32)]
    lines += [f"witness w{number} {witness_key(number).encode()}" for number in range(32)]
    lines += [f"group g{number} any w{number}" for number in range(32)]
    lines.append("group all all " + " ".join(f"g{number}" for number in range(32)))
    policy = parse_policy("\n".join([*lines, "quorum all", ""]).encode())
    assert policy.is_met(policy.witness_keys)
    assert not policy.is_met(policy.witness_keys[1:])


def test_a_policy_over_its_bytes_is_refused() -> None:
    with pytest.raises(TooLarge):
        parse_policy(b"#" * (POLICY_BYTES_MAX + 1))


WORDS = st.sampled_from(
    ["log", "witness", "group", "quorum", "any", "all", "none", "a", "b", "2", "\t", "#", LOG, *W]
)


@given(st.one_of(st.binary(max_size=200), st.lists(st.lists(WORDS, max_size=5), max_size=6)))
def test_no_bytes_make_the_reader_fail_otherwise(given_: bytes | list[list[str]]) -> None:
    if isinstance(given_, bytes):
        data = given_
    else:
        data = "\n".join(" ".join(words) for words in given_).encode()
    try:
        policy = parse_policy(data)
    except LoglineError:
        return
    assert policy.is_met(policy.witness_keys)
