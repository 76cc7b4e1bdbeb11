"""Tiles: paths, bundles, the growing tree, proofs from tiles, and the audit of a lying source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.base.errors import InvalidInput, NotFound, TooLarge, VerificationFailed
from loglineos.ledger.tlog.audit import audited_tiles, verify_tree
from loglineos.ledger.tlog.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from loglineos.ledger.tlog.proofs import consistency_proof, inclusion_proof, root_at
from loglineos.ledger.tlog.tiles import (
    FullTile,
    TileName,
    TileTree,
    bundle_path,
    decode_bundle,
    encode_bundle,
    parse_tile_path,
    tile_path,
    tile_width,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]


class MemoryTiles:
    """Every tile of a tree, cut to the width asked for; counts what it was asked."""

    def __init__(self, leaves: list[bytes]) -> None:
        tree = TileTree()
        full = tree.extend(leaves)
        self.tiles = {(one.level, one.index): one.hashes for one in full}
        self.tiles |= {(one.level, one.index): one.hashes for one in tree.partial_tiles()}
        self.root = tree.root()
        self.size = tree.size
        self.asked: list[tuple[int, int, int]] = []

    async def tile(self, level: int, index: int, width: int) -> bytes:
        self.asked.append((level, index, width))
        if (level, index) not in self.tiles:
            raise NotFound(what="tile", which=tile_path(level, index, width))
        return self.tiles[level, index][: width * 32]

    def flip(self, level: int, index: int, at: int) -> None:
        tile = bytearray(self.tiles[level, index])
        tile[at * 32] ^= 1
        self.tiles[level, index] = bytes(tile)


@pytest.fixture(scope="module")
def large() -> MemoryTiles:
    return MemoryTiles(LEAVES)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tile/0/005", TileName(level=0, index=5)),
        ("tile/0/x001/000", TileName(level=0, index=1000)),
        ("tile/0/x001/x234/067", TileName(level=0, index=1_234_067)),
        ("tile/1/001.p/17", TileName(level=1, index=1, width=17)),
        ("tile/63/000.p/1", TileName(level=63, index=0, width=1)),
        ("tile/entries/x123/456.p/255", TileName(level=None, index=123_456, width=255)),
    ],
)
def test_a_path_reads_back_as_what_it_names(path: str, name: TileName) -> None:
    assert parse_tile_path(path) == name
    if name.level is None:
        assert bundle_path(name.index, name.width) == path
    else:
        assert tile_path(name.level, name.index, name.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/5", "tile/00/005", "tile/64/005", "tile/-1/005", "tile/0/x000/005",
        "tile/0/001/005", "tile/0/x001/x005", "tile/0/005.p/0", "tile/0/005.p/256",
        "tile/0/005.p/01", "tile/0/005.p/", "/tile/0/005", "tile/0/005/", "tile/0/00٥",
        "tile/entries/../005", "tile/data/005", "tile/0/005\n",
    ],
)  # fmt: skip
def test_a_path_that_is_only_near_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        parse_tile_path(path)


@given(st.text(max_size=40))
def test_no_text_makes_the_path_reader_fail_otherwise(path: str) -> None:
    try:
        name = parse_tile_path(path)
    except InvalidInput:
        return
    again = bundle_path(name.index, name.width) if name.level is None else None
    assert (again or tile_path(name.level or 0, name.index, name.width)) == path


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_reads_back_as_its_entries(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), width=len(entries)) == entries


@given(st.binary(max_size=300), st.integers(0, 256))
def test_no_bytes_make_the_bundle_reader_fail_otherwise(bundle: bytes, width: int) -> None:
    try:
        entries = decode_bundle(bundle, width=width)
    except InvalidInput:
        return
    assert encode_bundle(entries) == bundle


def test_an_entry_may_have_65_535_bytes_and_no_more() -> None:
    assert len(encode_bundle([b"x" * 65_535])) == 65_537
    with pytest.raises(TooLarge):
        encode_bundle([b"x" * 65_536])


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_bundle_cut_short_or_prolonged_is_refused(cut: int) -> None:
    bundle = encode_bundle([b"ab", b"c"])
    with pytest.raises(InvalidInput):
        decode_bundle(bundle[:-cut], width=2)
    with pytest.raises(InvalidInput):
        decode_bundle(bundle + b"\0" * cut, width=2)


def test_a_tree_of_70_000_has_the_tiles_of_the_specification() -> None:
    tree = TileTree()
    full = tree.extend(LEAVES)
    assert [one.level for one in full].count(0) == 273
    assert [(one.level, one.index) for one in full if one.level] == [(1, 0)]
    paths = [tile_path(one.level, one.index, one.width) for one in tree.partial_tiles()]
    assert paths == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert all(len(one.hashes) == 8192 for one in full)


def test_a_tree_of_256_has_one_full_tile_and_one_hash_above() -> None:
    tree = TileTree()
    full = tree.extend(LEAVES[:256])
    assert [tile_path(one.level, one.index) for one in full] == ["tile/0/000"]
    partial = tree.partial_tiles()
    assert [tile_path(one.level, one.index, one.width) for one in partial] == ["tile/1/000.p/1"]
    assert partial[0].hashes == full[0].root == tree.root()


@given(st.lists(st.integers(0, 700), max_size=8))
@settings(max_examples=60)
def test_any_split_of_the_leaves_grows_the_same_tree(splits: list[int]) -> None:
    tree = TileTree()
    full: list[FullTile] = []
    for count in splits:
        before = tree.copy()
        full += tree.extend(LEAVES[tree.size : tree.size + count])
        assert before.root() == root_of(LEAVES[: before.size])
        tree = TileTree.load(tree.size, tree.partials)
    size = sum(splits)
    assert tree.size == size
    assert tree.root() == root_of(LEAVES[:size])
    whole = TileTree()
    assert whole.extend(LEAVES[:size]) == sorted(full, key=lambda one: (one.level, one.index))
    assert whole.partials == tree.partials
    for tile in full:
        assert tile.root == root_of([tile.hashes[at : at + 32] for at in range(0, 8192, 32)])


def test_a_copy_grows_on_its_own() -> None:
    tree = TileTree()
    tree.extend(LEAVES[:300])
    copy = tree.copy()
    copy.extend(LEAVES[300:600])
    assert (tree.size, tree.root()) == (300, root_of(LEAVES[:300]))
    assert (copy.size, copy.root()) == (600, root_of(LEAVES[:600]))


@pytest.mark.parametrize(
    ("size", "partials"),
    [
        (1, []),
        (2, [[b"x" * 32]]),
        (1, [[b"x" * 31]]),
        (0, [[b"x" * 32]]),
        (-1, []),
        (256, [[], []]),
    ],
)
def test_a_state_that_does_not_fit_its_size_is_refused(
    size: int, partials: list[list[bytes]]
) -> None:
    with pytest.raises(InvalidInput):
        TileTree.load(size, partials)


def test_a_leaf_of_another_length_is_a_mistake_of_ours() -> None:
    tree = TileTree()
    with pytest.raises(ValueError, match="32 bytes"):
        tree.extend([b"short"])
    assert tree.size == 0


@given(st.integers(1, 70_000), st.data())
@settings(max_examples=80, deadline=None)
async def test_proofs_from_tiles_hold(large: MemoryTiles, size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    new_root, old_root = root_of(LEAVES[:size]), root_of(LEAVES[:old])
    large.asked.clear()
    proof = await inclusion_proof(large, index, size)
    verify_inclusion(index, size, LEAVES[index], proof, new_root)
    assert len(set(large.asked)) == len(large.asked) <= 6
    assert all(tile_width(size, level=at, index=n) == w for at, n, w in large.asked)
    large.asked.clear()
    verify_consistency(old, size, old_root, new_root, await consistency_proof(large, old, size))
    assert len(set(large.asked)) == len(large.asked) <= 6
    assert await root_at(large, size) == new_root


async def test_a_proof_in_a_million_leaves_reads_at_most_six_tiles() -> None:
    class Blank:
        def __init__(self) -> None:
            self.asked: list[tuple[int, int, int]] = []

        async def tile(self, level: int, index: int, width: int) -> bytes:
            self.asked.append((level, index, width))
            return b"\0" * 32 * width

    for index in (0, 65_535, 500_000, 999_999):
        source = Blank()
        await inclusion_proof(source, index, 1_000_000)
        assert len(set(source.asked)) == len(source.asked) <= 6


async def test_proofs_outside_the_tree_are_refused(large: MemoryTiles) -> None:
    for index, size in ((-1, 5), (5, 5), (0, 0)):
        with pytest.raises(InvalidInput):
            await inclusion_proof(large, index, size)
    for old, new in ((-1, 5), (6, 5)):
        with pytest.raises(InvalidInput):
            await consistency_proof(large, old, new)
    assert await consistency_proof(large, 0, 5) == []
    assert await consistency_proof(large, 5, 5) == []
    assert await root_at(large, 0) == EMPTY_ROOT


async def test_a_tile_of_the_wrong_length_is_named() -> None:
    source = MemoryTiles(LEAVES[:10])
    source.tiles[0, 0] = source.tiles[0, 0][:-1]
    with pytest.raises(VerificationFailed) as raised:
        await inclusion_proof(source, 0, 10)
    assert raised.value.fields["where"] == "tile/0/000.p/10"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, 65_537, 70_000])
async def test_the_audit_reads_each_tile_of_an_honest_tree_once(size: int) -> None:
    source = MemoryTiles(LEAVES[:size])
    leaves: list[bytes] = []
    async for tile in audited_tiles(source, size, source.root):
        if tile.level == 0:
            leaves += tile.hashes
    assert leaves == LEAVES[:size]
    assert len(source.asked) == len(set(source.asked)) == len(source.tiles)


@pytest.mark.parametrize(
    ("level", "index", "at", "where"),
    [
        (0, 100, 5, "tile/0/100"),
        (0, 272, 0, "tile/0/272"),
        (1, 0, 100, "tile/1/000"),
        (1, 1, 7, "tile/1/001.p/17 #7"),
        (2, 0, 0, "tile/2/000.p/1 #0"),
        (0, 273, 111, "tile/0/273.p/112"),
    ],
)
async def test_the_audit_names_the_tile_that_lies(
    level: int, index: int, at: int, where: str
) -> None:
    source = MemoryTiles(LEAVES)
    source.flip(level, index, at)
    with pytest.raises(VerificationFailed) as raised:
        await verify_tree(source, 70_000, source.root)
    assert where in str(raised.value.fields["where"])


async def test_the_audit_names_the_entry_at_the_edge_when_it_sees_the_entries() -> None:
    async def leaves(index: int, width: int) -> list[bytes]:
        return LEAVES[index * 256 : index * 256 + width]

    source = MemoryTiles(LEAVES[:300])
    source.flip(0, 1, 3)
    with pytest.raises(VerificationFailed) as raised:
        await verify_tree(source, 300, source.root, leaves=leaves)
    assert raised.value.fields["where"] == "tile/0/001.p/44 #3"


async def test_the_audit_counts_the_tiles_and_misses_none() -> None:
    source = MemoryTiles(LEAVES[:1000])
    assert await verify_tree(source, 1000, source.root) == len(source.tiles)
    del source.tiles[0, 2]
    with pytest.raises(NotFound):
        await verify_tree(source, 1000, source.root)
