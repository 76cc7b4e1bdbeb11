"""The Merkle tree of RFC 6962: hashes of leaves and nodes, roots, and the two kinds of proof.

Always holds: every hash is exactly 32 bytes and every proof exactly as long as its sizes demand;
nothing is padded, no last leaf is doubled. A proof that does not hold raises, it never answers
False, so that it cannot be ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from loglineos.base.errors import VerificationFailed
from loglineos.base.language import Text
from loglineos.ledger.tlog.notation import HASH_BYTES

EMPTY_ROOT: Final = sha256(b"").digest()
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """Hash one log entry. Source: RFC 6962 section 2.1."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent. Source: RFC 6962 section 2.1."""
    return sha256(NODE_PREFIX + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes (or over the roots of equal, full subtrees), in order.

    The root of nothing is SHA-256 of nothing. Source: RFC 6962 section 2.1.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [sha256(NODE_PREFIX + left + right).digest() for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def verify_inclusion(
    index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf is at `index` in the tree of `size` leaves with this `root`.

    `proof` runs from the leaf's sibling to the root's child.

    Raises:
        VerificationFailed: it is not, or the proof or a hash has the wrong length.

    Source: RFC 6962 section 2.1.1; RFC 9162 section 2.1.3.2.
    """
    where = f"{index}/{size}"
    if not 0 <= index < size:
        raise _broken(where, Text("o índice está fora da árvore", "the index is outside the tree"))
    _demand_hashes([leaf_hash, root, *proof], where)
    _demand_length(proof, _inclusion_length(index, size), where)
    position, last, node = index, size - 1, leaf_hash
    for sibling in proof:
        if position % 2 or position == last:
            while position % 2 == 0:
                position, last = position >> 1, last >> 1
            node = node_hash(sibling, node)
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if node != root:
        raise _broken(
            where,
            Text("a prova não leva à raiz", "the proof does not lead to the root"),
        )


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `new` leaves begins with the tree of `old` leaves.

    `old` must be at least 1: everything begins with the empty tree, so a proof of that says
    nothing, and a caller who knows nothing yet must decide so in the open.

    Raises:
        VerificationFailed: it does not, or the proof or a hash has the wrong length.

    Source: RFC 6962 section 2.1.2; RFC 9162 section 2.1.4.2.
    """
    where = f"{old}..{new}"
    if not 1 <= old <= new:
        raise _broken(where, Text("os tamanhos não crescem de 1", "the sizes do not grow from 1"))
    _demand_length(proof, _consistency_length(old, new), where)
    if old == new:
        # Equality is the whole proof here; the vectors want it for roots of any length.
        if old_root != new_root:
            raise _broken(where, Text("duas raízes para um tamanho", "two roots for one size"))
        return
    _demand_hashes([old_root, new_root, *proof], where)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    position, last = old - 1, new - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    before = after = path[0]
    for node in path[1:]:
        if position % 2 or position == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, node)
        position, last = position >> 1, last >> 1
    if before != old_root:
        raise _broken(
            where,
            Text(
                "a prova não leva à raiz antiga",
                "the proof does not lead to the old root",
            ),
        )
    if after != new_root:
        raise _broken(
            where,
            Text(
                "a prova não leva à raiz nova",
                "the proof does not lead to the new root",
            ),
        )


def _inclusion_length(index: int, size: int) -> int:
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def _consistency_length(old: int, new: int) -> int:
    if old == new:
        return 0
    height = (old & -old).bit_length() - 1
    seed = 0 if old == 1 << height else 1
    return seed + _inclusion_length((old - 1) >> height, ((new - 1) >> height) + 1)


def _demand_hashes(hashes: Sequence[bytes], where: str) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise _broken(where, Text("há um hash sem 32 bytes", "a hash does not have 32 bytes"))


def _demand_length(proof: Sequence[bytes], length: int, where: str) -> None:
    if len(proof) != length:
        raise _broken(
            where,
            Text(
                f"a prova tem {len(proof)} hashes e devia ter {length}",
                f"the proof has {len(proof)} hashes and should have {length}",
            ),
        )


def _broken(where: str, reason: Text) -> VerificationFailed:
    return VerificationFailed(what="Merkle proof", where=where, reason=reason)
