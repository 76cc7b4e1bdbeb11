"""The example house: deterministic, of the size asked for, true to its invariants, in any seed."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loglineos.base.clock import ManualClock
from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import InvalidInput
from loglineos.ledger.logline import faults_of, judge
from loglineos.ledger.record import NINE, Draft, Record
from loglineos.ledger.seal import seal
from loglineos.ledger.signature import signing_key
from loglineos.ledger.status import check_move
from loglineos.services.scenario import check, did_labels, generate_casa, seed_actors
from loglineos.services.scenario.house import ROLES, read_house

START = datetime(2025, 5, 5, tzinfo=UTC)
NAIVE = datetime(2001, 1, 1)  # noqa: DTZ001  what hypothesis and one bad request want


@pytest.fixture(scope="module")
def month() -> list[Draft]:
    return list(generate_casa(start=START))


def test_the_same_seed_tells_the_same_house_bit_for_bit(month: list[Draft]) -> None:
    assert list(generate_casa(start=START)) == month


def test_another_seed_tells_another_house(month: list[Draft]) -> None:
    other = list(generate_casa(start=START, seed=8))
    assert {d.id for d in other}.isdisjoint({d.id for d in month})


def test_another_tenant_lives_the_same_days_in_its_own_name(month: list[Draft]) -> None:
    other = list(generate_casa(start=START, tenant="pensao"))
    assert {d.tenant_id for d in other} == {"pensao"}
    assert [(d.id, d.seq, d.did) for d in other] == [(d.id, d.seq, d.did) for d in month]


@pytest.mark.parametrize(
    ("lines", "days", "seed"),
    [
        (3_000, 30, 7),
        (3_000, 30, 1),
        (3_000, 30, 2),
        (20_000, 30, 3),
        (2_800, 7, 4),
        (5_000, 90, 5),
    ],
)
def test_every_invariant_holds(lines: int, days: int, seed: int) -> None:
    report = check(generate_casa(start=START, lines=lines, days=days, seed=seed))
    assert report.violations == ()
    assert abs(report.figures.lines - lines) <= lines * 2 // 100


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(min_value=0, max_value=2**31),
    days=st.integers(min_value=1, max_value=12),
    start=st.datetimes(
        min_value=NAIVE, max_value=NAIVE + timedelta(days=12_000), timezones=st.just(UTC)
    ),
)
def test_every_invariant_holds_for_any_seed_length_and_season(
    seed: int, days: int, start: datetime
) -> None:
    lines = 100 * days
    report = check(generate_casa(start=start, seed=seed, days=days, lines=lines))
    assert report.violations == ()
    assert abs(report.figures.lines - lines) <= max(2, lines * 2 // 100)


@pytest.mark.parametrize(
    "start", [datetime(2025, 3, 29, tzinfo=UTC), datetime(2025, 10, 25, 23, tzinfo=UTC)]
)
def test_the_nights_when_clocks_change_lose_no_report_and_no_order(start: datetime) -> None:
    assert check(generate_casa(start=start, days=4, lines=2_000)).violations == ()


def test_everything_happens_between_the_first_and_the_last_midnight(month: list[Draft]) -> None:
    told = [d.at for d in month if d.at is not None]
    assert min(told) >= datetime(2025, 5, 4, 23, tzinfo=UTC)
    assert max(told) < datetime(2025, 5, 4, 23, tzinfo=UTC) + timedelta(days=30)


def test_about_one_act_in_thirteen_is_a_ghost_and_seven_in_ten_are_completed_by_others() -> None:
    for seed in range(4):
        figures = check(generate_casa(start=START, seed=seed)).figures
        assert 60 <= figures.ghosts * 1000 // figures.acts <= 90
        assert 650 <= figures.ghosts_completed * 1000 // figures.ghosts <= 750
        assert figures.ghosts_completed_by_other == figures.ghosts_completed


def test_ghosts_of_every_kind_appear_within_the_default_month(month: list[Draft]) -> None:
    ghosts = [d for d in month if d.seq == 0 and faults_of(d)]
    faults = Counter((f.kind, f.field) for d in ghosts for f in faults_of(d))
    for name in NINE:
        assert faults["missing", name] or faults["malformed", name], name
    for fault in (("malformed", "when"), ("unknown", "status"), ("declared", "status")):
        assert faults[fault], fault
    assert faults["unreadable", "raw"]
    assert any(len(faults_of(d)) > 2 for d in ghosts)


def test_the_ledger_judges_a_ghost_as_a_ghost_and_everything_else_as_valid(
    month: list[Draft],
) -> None:
    for draft in month:
        judged = judge(draft)
        assert (draft.valid, draft.ghost_reason) == (None, None)
        assert judged.valid is (judged.status != "ghost")
        assert judged.valid or draft.seq == 0


def test_the_ledger_seals_every_line_as_it_is(month: list[Draft]) -> None:
    key = signing_key(bytes(32))
    clock, entropy = ManualClock(START + timedelta(days=40)), SeededEntropy(1)
    heads: dict[UUID, Record] = {}
    for draft in month:
        before = heads.get(draft.id) if draft.id else None
        chain = before.curr_hash if before else None
        sealed = seal(judge(draft), key=key, clock=clock, entropy=entropy, prev_hash=chain)
        check_move(before.status if before else None, sealed.record.status)
        heads[sealed.record.id] = sealed.record
    assert len(heads) == sum(draft.seq == 0 for draft in month)


def test_one_courier_is_late_by_habit_and_can_be_found(month: list[Draft]) -> None:
    house = read_house()
    rides: Counter[bool] = Counter()
    late: Counter[bool] = Counter()
    for draft in month + list(generate_casa(start=START, seed=8, lines=9_000)):
        if draft.did == "registar_entrega" and draft.entity_type == "delivery":
            is_habitual = draft.who == house.habitually_late
            rides[is_habitual] += 1
            late[is_habitual] += "atraso" in (draft.tags or ())
    assert late[True] * rides[False] > 2 * late[False] * rides[True]


def test_the_morning_without_payments_is_one_morning_and_is_seen(month: list[Draft]) -> None:
    failed = [d for d in month if d.tags == ("falha_do_prestador",) and d.at]
    assert len({d.at.date() for d in failed if d.at}) == 1
    assert {d.did for d in failed} == {"verificar_saude", "falhar_pagamento"}
    assert all(d.at and 9 <= d.at.hour < 12 for d in failed)


def test_money_is_never_a_float(month: list[Draft]) -> None:
    def floats(value: object) -> bool:
        if isinstance(value, dict):
            return any(floats(v) for v in value.values())
        return any(map(floats, value)) if isinstance(value, list) else isinstance(value, float)

    assert not any(floats(d.details) for d in month)
    assert all(isinstance(d.cost_micros, int) for d in month if d.cost_micros is not None)
    assert all(d.currency == "EUR" for d in month if d.cost_micros is not None)


def test_every_code_has_a_label_in_both_languages_and_at_least_sixty_occur(
    month: list[Draft],
) -> None:
    labels, house = did_labels(), read_house()
    codes = {d.did for d in month if d.did}
    promised = {c for d in month for c in (d.if_ok, d.if_doubt, d.if_not) if c}
    assert len(codes) >= 60
    assert codes | promised <= set(labels)
    assert set(house.acts) | set(house.moves) <= set(labels)
    assert all(label.pt.strip() and label.en.strip() for label in labels.values())


def test_what_an_act_promises_is_itself_an_act_of_the_house() -> None:
    acts = read_house().acts
    for kind in acts.values():
        assert {kind.ok, kind.doubt, kind.not_} <= set(acts)


def test_every_role_is_in_the_house_and_every_name_is_enrolled_once(month: list[Draft]) -> None:
    actors = seed_actors("casa")
    assert {a.role for a in actors} == set(ROLES)
    names = [a.name for a in actors]
    assert len(names) == len(set(names))
    assert {d.who for d in month if d.who} <= set(names)
    assert {d.confirmed_by for d in month if d.confirmed_by} <= set(names)
    assert "lidia" not in {d.who for d in month}


def test_thirty_thousand_lines_need_little_memory_and_ten_times_the_days_need_no_more() -> None:
    def peak(lines: int, days: int) -> int:
        tracemalloc.start()
        for _ in generate_casa(start=START, lines=lines, days=days):
            pass
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    short = peak(4_000, 30)
    assert peak(30_000, 300) < short + 4_000_000
    assert peak(30_000, 30) < 12_000_000


@pytest.mark.parametrize(
    ("start", "days", "lines", "field"),
    [
        (NAIVE, 30, 3_000, "start"),
        (START, 0, 3_000, "days"),
        (START, 30, 1_199, "lines"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_before_anything_is_told(
    start: datetime, days: int, lines: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        generate_casa(start=start, days=days, lines=lines)
    assert refused.value.fields["field"] == field
