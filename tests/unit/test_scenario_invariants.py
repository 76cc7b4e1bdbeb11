"""The check of the example house finds each lie: break a true month in one place, and see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from loglineos.ledger.record import Draft
from loglineos.services.scenario import check, generate_casa

START = datetime(2025, 5, 5, tzinfo=UTC)
Breaks = Callable[[list[Draft]], list[Draft]]


@pytest.fixture(scope="module")
def month() -> list[Draft]:
    return list(generate_casa(start=START))


def _first(drafts: list[Draft], wanted: Callable[[Draft], bool]) -> int:
    return next(place for place, draft in enumerate(drafts) if wanted(draft))


def _changed(wanted: Callable[[Draft], bool], **columns: object) -> Breaks:
    def change(drafts: list[Draft]) -> list[Draft]:
        place = _first(drafts, wanted)
        return [*drafts[:place], replace(drafts[place], **columns), *drafts[place + 1 :]]

    return change


def _without(wanted: Callable[[Draft], bool]) -> Breaks:
    def drop(drafts: list[Draft]) -> list[Draft]:
        place = _first(drafts, wanted)
        return [*drafts[:place], *drafts[place + 1 :]]

    return drop


def _twice(wanted: Callable[[Draft], bool]) -> Breaks:
    def repeat(drafts: list[Draft]) -> list[Draft]:
        place = _first(drafts, wanted)
        again = replace(drafts[place], id=UUID(int=drafts[place].id.int ^ 1))  # type: ignore[union-attr]
        return [*drafts[: place + 1], again, *drafts[place + 1 :]]

    return repeat


def _unpaid(drafts: list[Draft]) -> list[Draft]:
    """Take every executed payment of the first delivered order away."""
    trace = next(d.trace_id for d in drafts if d.did == "registar_entrega" and d.seq == 2)
    return [d for d in drafts if not (d.trace_id == trace and d.did == "executar_pagamento")]


def _swapped(drafts: list[Draft]) -> list[Draft]:
    place = _first(drafts, lambda d: d.did == "confirmar_pedido")
    return [*drafts[: place - 1], drafts[place], drafts[place - 1], *drafts[place + 1 :]]


def _ghost_completed_by_author(drafts: list[Draft]) -> list[Draft]:
    place = _first(drafts, lambda d: (d.metadata or {}).get("gesture") == "complete")
    author = drafts[place].owner_id
    told = replace(drafts[place], metadata={"gesture": "complete", "by": author})
    return [*drafts[:place], told, *drafts[place + 1 :]]


LIES: list[tuple[str, Breaks, str]] = [
    ("unpaid", _unpaid, "happened before its payment"),
    ("swapped", _swapped, "is out of order"),
    ("by the author", _ghost_completed_by_author, "completed by its own author"),
    ("two reports", _twice(lambda d: d.did == "gerar_relatorio_diario"), "has 2 daily reports"),
    ("no report", _without(lambda d: d.did == "gerar_relatorio_diario"), "has 0 daily reports"),
    ("gap", _without(lambda d: d.did == "iniciar_entrega"), "does not follow seq"),
    ("headless", _without(lambda d: d.did == "criar_pedido"), "begins with another seq"),
    ("no shift", _without(lambda d: d.did == "iniciar_turno"), "is outside a shift"),
    ("endless shift", _without(lambda d: d.did == "terminar_turno"), "never ended"),
    ("flying", _changed(lambda d: d.did == "atualizar_posicao", latitude=41.0), "bicycle"),
    ("too exact", _changed(lambda d: d.latitude is not None, latitude=39.3571234), "six decimals"),
    (
        "doubt from nowhere",
        _changed(lambda d: d.status == "under_review", cause_id=None),
        "without a change or a question",
    ),
    (
        "no gesture",
        _changed(lambda d: d.status == "under_review", metadata=None),
        "became under_review by no gesture",
    ),
    (
        "denial without end",
        _without(lambda d: d.branch == "not" and d.did == "pedir_desculpa"),
        "nothing followed",
    ),
    (
        "effect before cause",
        _changed(lambda d: d.did == "emitir_fatura", cause_id=UUID(int=7)),
        "comes before its cause",
    ),
    (
        "related to nothing",
        _changed(lambda d: d.did == "emitir_fatura", related_to=(UUID(int=7),)),
        "related to something that is not there",
    ),
    (
        "impossible move",
        _changed(lambda d: d.did == "confirmar_pedido", status="scheduled"),
        "is confirm but scheduled",
    ),
    ("stranger", _changed(lambda d: d.who == "rui", who="mallory"), "names a stranger"),
    ("unlabelled", _changed(lambda d: d.did == "registar_nota", did="xpto"), "has no label"),
    ("auditor writes", _changed(lambda d: d.who == "rui", who="lidia"), "writes nothing"),
    (
        "id of another time",
        _changed(lambda d: d.did == "verificar_saude", id=UUID(int=7 << 76 | 2 << 62)),
        "has an id of another time",
    ),
]


@pytest.mark.parametrize(
    ("breaks", "told"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES]
)
def test_a_broken_month_is_found_out(month: list[Draft], breaks: Breaks, told: str) -> None:
    violations = check(breaks(month)).violations
    assert any(told in violation for violation in violations), violations[:5]


def test_a_true_month_is_left_alone(month: list[Draft]) -> None:
    assert check(month).violations == ()


def test_the_second_event_of_an_entity_must_be_later_than_the_first(month: list[Draft]) -> None:
    place = _first(month, lambda d: d.seq == 1)
    born = next(d.at for d in month if d.id == month[place].id)
    assert born is not None
    late = replace(month[place], at=born - timedelta(seconds=1))
    violations = check([*month[:place], late, *month[place + 1 :]]).violations
    assert any("is not later" in violation for violation in violations)
