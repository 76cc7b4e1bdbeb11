"""RFC 6962: roots and proofs against others' vectors and against a naive model."""

from __future__ import annotations

import base64
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.base.errors import VerificationFailed
from loglineos.ledger.tlog.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(os.environ.get("LOGLINE_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
LEAVES = [leaf_hash(b"%d" % number) for number in range(70)]

# The tree of RFC 9162's and Certificate Transparency's own tests: eight leaves, root by root.
KNOWN_LEAVES = [
    bytes.fromhex(text)
    for text in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f"]
]  # fmt: skip
KNOWN_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH as the RFC writes it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = largest_power_below(len(leaves))
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def largest_power_below(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def naive_inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH as the RFC writes it."""
    if len(leaves) == 1:
        return []
    split = largest_power_below(len(leaves))
    if index < split:
        return [*naive_inclusion(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_inclusion(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_consistency(old: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF as the RFC writes it."""
    if old == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    split = largest_power_below(len(leaves))
    if old <= split:
        return [
            *naive_consistency(old, leaves[:split], is_whole=is_whole),
            naive_root(leaves[split:]),
        ]
    return [
        *naive_consistency(old - split, leaves[split:], is_whole=False),
        naive_root(leaves[:split]),
    ]


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def is_rejected(name: str, case: dict[str, Any]) -> bool:
    proof = [decoded(one) for one in case["proof"] or []]
    try:
        if name.startswith("inclusion/"):
            leaf, root = decoded(case["leafHash"]), decoded(case["root"])
            verify_inclusion(case["leafIdx"], case["treeSize"], leaf, proof, root)
        else:
            roots = decoded(case["root1"]), decoded(case["root2"])
            verify_consistency(case["size1"], case["size2"], *roots, proof)
    except VerificationFailed:
        return True
    return False


def vectors() -> dict[str, dict[str, Any]]:
    """The 196 vectors of transparency-dev/merkle where they are, else four pinned ones of them."""
    path = VECTORS / "merkle_proofs.json"
    if path.exists():
        found: dict[str, dict[str, Any]] = json.loads(path.read_text())
        assert len(found) == 196
        return found
    leaf = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0="
    root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
    proof = [
        "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
        "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
        "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=",
    ]
    happy = {"leafIdx": 0, "treeSize": 8, "root": root, "leafHash": leaf, "proof": proof}
    return {
        "inclusion/1/happy-path.json": {**happy, "wantErr": False},
        "inclusion/1/leafIdx-plus-@1.json": {**happy, "leafIdx": 1, "wantErr": True},
        "inclusion/1/removed-component.json": {**happy, "proof": proof[:2], "wantErr": True},
        "inclusion/1/trailing-root.json": {**happy, "proof": [*proof, root], "wantErr": True},
    }


def test_every_vector_is_judged_as_its_authors_want() -> None:
    cases = vectors()
    wrong = [name for name, case in cases.items() if is_rejected(name, case) != case["wantErr"]]
    assert wrong == []


@pytest.mark.parametrize(("size", "root"), KNOWN_ROOTS.items())
def test_known_trees_have_their_known_roots(size: int, root: str) -> None:
    assert root_of([leaf_hash(entry) for entry in KNOWN_LEAVES[:size]]).hex() == root


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT
    assert base64.b64encode(EMPTY_ROOT) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize("size", range(70))
def test_roots_are_those_of_the_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == naive_root(LEAVES[:size])


@given(st.integers(1, 70), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index or size == 1))
    proof = naive_inclusion(index, LEAVES[:size])
    root = naive_root(LEAVES[:size])
    verify_inclusion(index, size, LEAVES[index], proof, root)
    if other != index:
        with pytest.raises(VerificationFailed):
            verify_inclusion(index, size, LEAVES[other], proof, root)
        with pytest.raises(VerificationFailed):
            verify_inclusion(other, size, LEAVES[index], proof, root)


@given(st.integers(1, 70), st.data())
def test_a_consistency_proof_holds_for_its_sizes_and_roots(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    proof = naive_consistency(old, LEAVES[:size])
    old_root, new_root = naive_root(LEAVES[:old]), naive_root(LEAVES[:size])
    verify_consistency(old, size, old_root, new_root, proof)
    with pytest.raises(VerificationFailed):
        verify_consistency(old, size, LEAVES[-1], new_root, proof)
    with pytest.raises(VerificationFailed):
        verify_consistency(old, size, old_root, LEAVES[-1], proof)
    with pytest.raises(VerificationFailed):
        verify_consistency(old, size, old_root, new_root, [*proof, new_root])


@given(st.integers(2, 70), st.data())
def test_a_proof_of_another_length_or_with_a_flipped_bit_fails(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = naive_inclusion(index, LEAVES[:size])
    root = naive_root(LEAVES[:size])
    at = data.draw(st.integers(0, len(proof) - 1))
    flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    short = proof[at][:31]
    for broken in (
        proof[:at] + proof[at + 1 :],
        [*proof[:at], flipped, *proof[at + 1 :]],
        [*proof[:at], short, *proof[at + 1 :]],
        [*proof, proof[at]],
    ):
        with pytest.raises(VerificationFailed):
            verify_inclusion(index, size, LEAVES[index], broken, root)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (3, 2), (-1, 2)])
def test_nothing_is_proved_from_the_empty_tree_or_backwards(old: int, new: int) -> None:
    with pytest.raises(VerificationFailed):
        verify_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])


def test_a_failure_says_where_in_both_languages() -> None:
    with pytest.raises(VerificationFailed) as raised:
        verify_inclusion(5, 3, LEAVES[0], [], LEAVES[0])
    assert raised.value.fields["where"] == "5/3"
    assert "fora da árvore" in raised.value.describe("pt")
    assert "outside the tree" in raised.value.describe("en")
