"""Ed25519: one verifier, its accept set pinned; keys on which verifiers disagree are refused."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.ledger.signature import (
    Claim,
    is_safe_public_key,
    public_of,
    sign,
    signing_key,
    verify,
    verify_many,
)
from tests.vectors_of_others import read_vectors

PINNED_WYCHEPROOF: dict[str, Any] = {
    "testGroups": [
        {
            "publicKey": {"pk": "7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa"},
            "tests": [
                {
                    "tcId": 1, "msg": "", "result": "valid",
                    "sig": "d4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc"
                    "1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c4007",
                },
                {
                    "tcId": 2, "msg": "00", "result": "invalid",
                    "sig": "d4fbdb52bfa726b44d1786a8c0d171c3e62ca83c9e5bbe63de0bb2483f8fd6cc"
                    "1429ab72cafc41ab56af02ff8fcc43b99bfe4c7ae940f60f38ebaa9d311c4007",
                },
            ],
        }
    ]
}  # fmt: skip
PINNED_CCTV: list[dict[str, Any]] = [
    {
        "number": 0, "key": "00" * 32, "sig": "00" * 64, "msg": "ed25519vectors 3",
        "flags": ["low_order_A"],
    },
    {
        "number": 7, "msg": "ed25519vectors", "flags": ["low_order_component_A"],
        "key": "10eb7c3acfb2bed3e0d6ab89bf5a3d6afddd1176ce4812e38d9fd485058fdb1f",
        "sig": "36684ea91032ba5b1dbab2d02f4debc74c3327f2b3802e2e4d371aa42b12b56b"
        "bbfd00bd9c259d8d222d15e67a3d8228585050dbb9b9585be20d8fadc721da03",
    },
]  # fmt: skip
ACCEPTED = (
    7, 29, 50, 117, 139, 161, 182, 249, 305, 411, 425, 438, 465, 473, 481, 489, 497, 511, 525, 538,
    565, 573, 581, 589, 597, 611, 625, 638, 665, 673, 681, 689, 697, 711, 725, 738, 765, 773, 781,
    789, 797, 832, 899,
)  # fmt: skip
"""What libsodium accepts of CCTV's 914 edge points. Another set means another verifier."""

# RFC 8032 section 7.1, TEST 2 and TEST 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]

# The eight points of small order, and encodings of y that are not below 2^255-19.
UNSAFE = {
    "one": "01" + "00" * 31,
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 4": "00" * 32,
    "order 4, other sign": "00" * 31 + "80",
    "order 8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "order 8, other": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "p": "ed" + "ff" * 30 + "7f",
    "p + 1": "ee" + "ff" * 30 + "7f",
    "all ones": "ff" * 32,
    "not on the curve": "02" + "00" * 31,
}


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_signing_gives_the_bytes_of_the_rfc(seed, public, message, signature):
    assert public_of(bytes.fromhex(seed)).hex() == public
    assert sign(bytes.fromhex(seed), bytes.fromhex(message)).hex() == signature
    assert verify(bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message))


def test_every_wycheproof_vector_is_judged_as_it_says():
    told = read_vectors("wycheproof_ed25519.json", pinned=PINNED_WYCHEPROOF)
    cases = [(group, test) for group in told["testGroups"] for test in group["tests"]]
    assert len(cases) in (151, 2)
    wrong = [
        test["tcId"]
        for group, test in cases
        if verify(
            bytes.fromhex(group["publicKey"]["pk"]),
            bytes.fromhex(test["sig"]),
            bytes.fromhex(test["msg"]),
        )
        is not (test["result"] == "valid")
    ]
    assert wrong == []


def test_exactly_the_pinned_edge_points_are_accepted():
    vectors = read_vectors("cctv_ed25519.json", pinned=PINNED_CCTV)
    accepted = tuple(
        one["number"]
        for one in vectors
        if verify(bytes.fromhex(one["key"]), bytes.fromhex(one["sig"]), one["msg"].encode())
    )
    assert len(ACCEPTED) == 43
    assert accepted == tuple(n for n in ACCEPTED if n in {one["number"] for one in vectors})
    assert len(vectors) in (914, 2)


def test_no_key_of_low_or_mixed_order_or_of_another_form_may_be_enrolled():
    vectors = read_vectors("cctv_ed25519.json", pinned=PINNED_CCTV)
    bad = {"low_order_A", "low_order_component_A", "non_canonical_A"}
    unsafe = {one["key"] for one in vectors if bad & set(one["flags"] or [])}
    assert unsafe
    assert [key for key in unsafe if is_safe_public_key(bytes.fromhex(key))] == []


@pytest.mark.parametrize("name", UNSAFE)
def test_a_degenerate_key_is_not_safe(name: str):
    assert not is_safe_public_key(bytes.fromhex(UNSAFE[name]))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_not_safe_and_verifies_nothing(length: int):
    key = signing_key(b"k" * 32)
    assert not is_safe_public_key(b"\x09" * length)
    assert not verify(b"\x09" * length, key.sign(b"m"), b"m")
    assert not verify(key.public, b"\x09" * length, b"m")


@given(st.binary(min_size=32, max_size=32))
def test_every_key_made_of_a_seed_is_safe(seed: bytes):
    assert is_safe_public_key(public_of(seed))


@given(st.binary(max_size=100), st.integers(min_value=0), st.data())
def test_a_flipped_bit_anywhere_breaks_a_signature(message: bytes, place: int, data):
    key = signing_key(b"k" * 32)
    signature = key.sign(message)
    parts = [key.public, signature, message]
    which = data.draw(st.sampled_from([n for n, part in enumerate(parts) if part]))
    flipped = bytearray(parts[which])
    flipped[place // 8 % len(flipped)] ^= 1 << place % 8
    parts[which] = bytes(flipped)
    assert verify(key.public, signature, message)
    assert not verify(*parts)


def test_a_seed_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        signing_key(b"short")


def test_a_signing_key_never_shows_its_secret():
    key = signing_key(b"s" * 32)
    for told in (repr(key), str(key), f"{key}", repr([key]), repr({"key": key})):
        assert key.public.hex() in told
        assert (b"s" * 32).hex() not in told
        assert "ssssssss" not in told


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 101])
@pytest.mark.parametrize("threads", [0, 2])
def test_many_are_answered_in_their_order(count: int, threads: int):
    key, chance = signing_key(b"k" * 32), random.Random(count)
    expected = [chance.random() < 0.5 for _ in range(count)]
    claims = []
    for number, is_good in enumerate(expected):
        message = b"%d" % number
        claims.append(Claim(key.public, key.sign(message if is_good else b"other"), message))
    if not threads:
        assert verify_many(claims) == expected
        return
    with ThreadPoolExecutor(threads) as pool:
        assert verify_many(claims, pool=pool) == expected
