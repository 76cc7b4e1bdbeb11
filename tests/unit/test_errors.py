"""Every error: a code of its own, a sentence and a remedy in both languages, no leak."""

from __future__ import annotations

import string

import pytest

from loglineos.base import errors
from loglineos.base.errors import InvalidInput, LoglineError, every_error, shape_of
from loglineos.base.language import Text


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_codes_are_unique_and_drawn_in_the_docstring():
    tree = every_error()
    assert len({error.code for error in tree}) == len(tree)
    assert [error.__name__ for error in tree if error.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("error", every_error())
def test_each_error_speaks_both_languages_about_the_same_things(error: type[LoglineError]):
    for text in (error.sentence, error.remedy):
        assert text.pt
        assert text.en
        assert holes(text.pt) == holes(text.en)
    assert error.exit_status in range(1, 8)
    for hole in holes(error.sentence.en):
        documented = " ".join(parent.__doc__ or "" for parent in error.__mro__)
        assert f"`{hole}`" in documented or error is LoglineError, hole


@pytest.mark.parametrize("error", every_error())
def test_each_error_can_be_told_even_without_its_fields(error: type[LoglineError]):
    one = error()
    for language in ("pt", "en"):
        problem = one.as_problem(language)
        assert problem["code"] == error.code
        assert problem["detail"]
        assert problem["remedy"]
        assert problem["retryable"] is error.retryable
    assert str(one) == one.describe("en")


def test_a_problem_keeps_the_fields_and_speaks_the_readers_language():
    error = InvalidInput(
        field="when", shape="'x'", language="fr", reason=Text("não é hora", "no time"),
        remedy=Text("dê uma hora", "give a time"),
    )  # fmt: skip
    problem = error.as_problem("pt")
    assert problem["detail"] == "when: não é hora (recebido: 'x')"
    assert problem["remedy"] == "dê uma hora"
    assert problem["fields"] == {"field": "when", "shape": "'x'", "language": "fr"}
    assert error.advise("en") == "give a time"


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, b"x" * 10**6, ["x" * 100] * 9, {"k" * 100: 1}, 10**5000, -(10**5000), 1.5, None,
     "\ud800" * 99, {1, 2}, (1,), object(), Text("a" * 99, "b" * 99)],
    ids=range(13),
)  # fmt: skip
def test_a_shape_never_repeats_more_than_sixty_characters(value: object):
    told = shape_of(value)
    assert len(told) <= 60 + len(type(value).__name__) + 1
    told.encode()
