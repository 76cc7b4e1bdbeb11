"""Ingest: every line ends as a record, twice adds nothing, and what cannot be kept is a ghost."""

from __future__ import annotations

import asyncio
import gc
import io
from datetime import timedelta

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loglineos.base.ids import uuid7
from loglineos.ledger.intake.formats import read_items
from loglineos.ledger.intake.ingest import IngestReport, ingest
from loglineos.ledger.intake.intake import drafts_of
from loglineos.ledger.record import Draft
from tests.integration.conftest import NINE, House

ACT = {
    **{name: value for name, value in NINE.items() if name != "at"},
    "when": "2026-03-02T11:00:00Z",
}


async def take(house: House, data: bytes, *, batch_records: int = 7) -> IngestReport:
    items = read_items(io.BytesIO(data), format="auto")
    drafts = (draft for _, draft in drafts_of(items, tenant="casa"))
    return await ingest(house.writer, drafts, tenant="casa", batch_records=batch_records)


async def stored(house: House) -> list[tuple[object, ...]]:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        'SELECT status, "this", details FROM ledger.universal_registry'
        " WHERE tenant_id = 'casa' AND position > 1 ORDER BY position"
    )
    return await cursor.fetchall()


async def test_each_line_becomes_a_record_in_order_and_a_second_run_adds_nothing(
    house: House,
) -> None:
    lines = [orjson.dumps({**ACT, "this": f"pedido {n}"}) for n in range(40)]
    lines[7:7] = [b"isto nao e JSON", b'{"who": "joao"}', lines[3]]
    data = b"\n".join(lines) + b"\n"
    first = await take(house, data)
    assert (first.lines, first.added, first.present, first.ghosts) == (43, 43, 0, 2)
    rows = await stored(house)
    assert [row[0] for row in rows[7:9]] == ["ghost", "ghost"]
    assert rows[7][2]["given"]["raw"] == "isto nao e JSON"
    second = await take(house, data)
    assert (second.lines, second.added, second.present) == (43, 0, 43)
    assert await stored(house) == rows


async def test_a_file_that_grew_adds_only_what_is_new(house: House) -> None:
    lines = [orjson.dumps({**ACT, "this": f"pedido {n}"}) for n in range(20)]
    await take(house, b"\n".join(lines[:12]))
    report = await take(house, b"\n".join(lines))
    assert (report.added, report.present) == (8, 12)


async def test_lines_with_an_id_and_no_seq_are_the_next_events_and_are_not_doubled(
    house: House,
) -> None:
    entity = str(uuid7())
    lines = [orjson.dumps({**ACT, "id": entity, "this": f"passo {n}"}) for n in range(5)]
    assert (await take(house, b"\n".join(lines), batch_records=2)).added == 5
    again = await take(house, b"\n".join(lines), batch_records=2)
    assert (again.added, again.present) == (0, 5)


async def test_what_lies_in_the_future_becomes_a_ghost_that_keeps_the_time(house: House) -> None:
    ahead = house.clock.now() + timedelta(hours=2)
    draft = Draft(id=uuid7(), **{**NINE, "at": ahead})
    report = await ingest(house.writer, [draft], tenant="casa")
    assert (report.added, report.ghosts) == (1, 1)
    ((status, _, details),) = await stored(house)
    assert status == "ghost"
    assert str(ahead.year) in str(details["given"]["when"])


async def test_what_is_too_large_becomes_a_ghost_with_the_hash_of_all_of_it(house: House) -> None:
    draft = Draft(id=uuid7(), **{**NINE, "did": "x" * 5_000, "this": "y" * 200_000})
    report = await ingest(house.writer, [draft, Draft(id=uuid7(), **NINE)], tenant="casa")
    assert (report.added, report.ghosts) == (2, 1)
    rows = await stored(house)
    assert rows[0][2]["given"]["this"]["characters"] == 200_000
    assert rows[1][0] == "valid"


async def test_an_event_that_fits_nowhere_becomes_a_ghost_of_its_own_once(house: House) -> None:
    stray = Draft(id=uuid7(), seq=3, **NINE)
    for expected in (1, 0):
        report = await ingest(house.writer, [stray], tenant="casa")
        assert (report.added, report.present) == (expected, 1 - expected)
    ((status, _, details),) = await stored(house)
    assert status == "ghost"
    assert details["given"]["seq"] == 3


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=st.text(min_size=1, max_size=80) | st.binary(min_size=1, max_size=80))
async def test_any_line_of_text_is_ingested_and_never_lost(house: House, line: str | bytes) -> None:
    data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    expected = len(list(read_items(io.BytesIO(data), format="jsonl")))
    items = read_items(io.BytesIO(data), format="jsonl")
    drafts = (draft for _, draft in drafts_of(items, tenant="casa"))
    report = await ingest(house.writer, drafts, tenant="casa")
    assert report.added + report.present == report.lines == expected


async def test_many_events_of_one_life_follow_those_still_on_their_way(house: House) -> None:
    """Batches are sealed before the database knows the ones ahead of them."""
    lives = [str(uuid7()) for _ in range(3)]
    lines = [
        orjson.dumps(
            {**ACT, "id": lives[n % 3], "this": f"passo {n}"} | ({"seq": n // 3} if n % 2 else {})
        )
        for n in range(60)
    ]
    report = await take(house, b"\n".join(lines), batch_records=2)
    assert (report.added, report.present, report.ghosts) == (60, 0, 0)
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT id::text, array_agg(seq ORDER BY position) FROM ledger.universal_registry"
        " WHERE tenant_id = 'casa' AND position > 1 GROUP BY id"
    )
    assert dict(await cursor.fetchall()) == {life: list(range(20)) for life in lives}


async def test_an_ingest_leaves_the_collector_as_it_was(house: House) -> None:
    before = gc.get_threshold()
    lines = [orjson.dumps({**ACT, "this": f"pedido {n}"}) for n in range(5)]
    await asyncio.gather(*(take(house, b"\n".join(lines)) for _ in range(2)))
    assert len(await stored(house)) == 5
    assert gc.get_threshold() == before
