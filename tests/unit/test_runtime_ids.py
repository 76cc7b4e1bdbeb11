"""Derived ids: the same thing has one id, different things have different ones."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglineos.ledger.trust import is_reserved
from loglineos.runtime.ids import derived_id, step_id

parts = st.lists(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x1f"), max_size=12),
    min_size=1,
    max_size=4,
)
EXECUTION = UUID("018f0000-0000-7000-8000-000000000001")


@given(parts)
def test_a_derived_id_is_stable_of_version_8_and_never_reserved(of: list[str]) -> None:
    made = derived_id(*of)
    assert made == derived_id(*of)
    assert made.version == 8
    assert made.variant == "specified in RFC 4122"
    assert not is_reserved(made)


@given(parts, parts)
def test_different_parts_have_different_ids(one: list[str], other: list[str]) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_the_ids_that_are_already_in_ledgers_stay_what_they_are() -> None:
    assert str(derived_id("step", str(EXECUTION), "0")) == str(step_id(EXECUTION, 0))
    assert str(step_id(EXECUTION, 0)) == "77f6dc7b-9cc6-8926-be3a-ce309159ea61"
    assert str(step_id(EXECUTION, 1)) == "c7b51a8e-b174-8915-9bcf-13f93a514324"


@pytest.mark.parametrize("of", [(), ("a\x1fb",)])
def test_parts_that_could_be_taken_for_others_are_refused(of: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"U\+001F"):
        derived_id(*of)
