"""Search terms: a block tells of each record what the record alone tells, and no key is too long."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.search_terms import (
    COLUMNS,
    EVERYTHING,
    WIDTH,
    place_and_places,
    places_of,
    terms_of,
    words_in,
)

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
MAYBE = st.none() | st.sampled_from(["ana", "Estafeta.7", "João", "x" * 2_100]) | TEXT
LISTS = st.none() | st.lists(MAYBE.filter(bool), max_size=4).map(tuple)
ROW = st.tuples(
    MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE,
    st.sampled_from(["private", "tenant", "public"]), LISTS, LISTS,
)  # fmt: skip
NOTHING: tuple[Any, ...] = (None,) * len(COLUMNS)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(ROW, max_size=40), start=st.integers(0, WIDTH - 40))
def test_a_block_has_each_term_of_each_record_at_its_place_and_no_other(rows, start):
    block = [NOTHING] * start + rows + [NOTHING] * (WIDTH - start - len(rows))
    expected: dict[str, int] = {}
    for place, row in enumerate(block):
        for term in terms_of(row):
            expected[term] = expected.get(term, 0) | 1 << (WIDTH - 1 - place)
    assert places_of(block) == expected
    for bits in expected.values():
        place, places = place_and_places(bits)
        told = 1 << (WIDTH - 1 - place) if place is not None else int(places[1:], 16)
        assert told == bits
        assert (place is None) == (bits.bit_count() > 1)


@given(ROW)
def test_no_term_is_longer_than_a_key_may_be(row):
    assert all(len(term) <= 400 for term in terms_of(row))


def test_a_record_is_found_by_its_words_tags_columns_and_readers():
    row = (
        "joao", "registrar_entrega", "Pedido 7", "ana", None, "valid", "human", "logline", "rui",
        "public", ("Verão",), ("role:courier",),
    )  # fmt: skip
    assert terms_of(row) == {
        "joao", "registrar", "entrega", "pedido", "7", "ana", "#Verão", "=wjoao",
        "=dregistrar_entrega", "=svalid", "=thuman", "=elogline", "=rjoao", "=rana", "=rrui",
        "=rrole:courier", "=v",
    }  # fmt: skip


def test_a_record_of_too_much_text_is_found_by_everything():
    row = list(NOTHING)
    row[COLUMNS.index("this")] = "palavra " * 300
    assert terms_of(row) == {EVERYTHING}
    row = list(NOTHING)
    row[COLUMNS.index("tags")] = tuple(f"etiqueta-{n}" for n in range(200))
    assert terms_of(row) == {EVERYTHING}


@given(TEXT, TEXT)
def test_folding_goes_letter_by_letter_so_that_beginnings_stay_beginnings(first, rest):
    first, rest = ("".join(words_in(text)) for text in (first, rest))
    joined = "".join(words_in(first + rest))
    assert joined.startswith("".join(words_in(first)))


def test_marks_that_change_places_do_not_hide_a_word_from_its_beginning():
    tone, stem = "\u302e", "\U0001d165"  # in normal form the second stands before the first
    for first, rest in ((f"a{tone}", f"{stem}b"), (f"a{stem}", f"{tone}b"), ("a", f"{tone}{stem}")):
        (word,), (beginning,) = words_in(first + rest), words_in(first)
        assert word.startswith(beginning)


def test_a_filter_is_made_of_the_terms_of_the_records_that_it_lets_through():
    wanted = Filter(
        who="joao", did="x_y", this="pedido 77 no quarto", status="valid", type="human",
        entity_type="order", tags=("Verão",), words=("João.Só",), prefixes=("a-ent", "Qua"),
    )  # fmt: skip
    assert set(wanted.terms) == {
        "=wjoao", "=dx_y", "77", "pedido", "=svalid", "=thuman", "=eorder", "#Verão", "joao", "so",
        "a",
    }  # fmt: skip
    assert wanted.openings == ["ent", "qua"]
    assert Filter(ghosts=True).terms == ["=sghost"]
    assert Filter().terms == []
