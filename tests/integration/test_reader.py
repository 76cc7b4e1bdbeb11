"""The reader: pages, filters, lives and overviews, each checked against a plain walk in Python."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from loglineos.base.errors import InvalidInput, NotFound, UnknownTenant
from loglineos.ledger.logline import judge
from loglineos.ledger.reading.filters import Filter, parse_text
from loglineos.ledger.reading.reader import Reader, Viewer
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.verification.rebuild import rebuild
from tests.integration.conftest import NINE, NOON, House


async def reader_of(
    house: House, *, actor: str = "ana", role: str = "manager", tenant: str = "casa"
) -> Reader:
    return Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant=tenant, actor=actor, role=role)
    )


async def fill(house: House, count: int = 1500) -> list[Record]:
    """Append acts of changing shape; some backdated, some ghosts, some second events."""
    drafts = [judge(Draft(**{
        **NINE,
        "who": ("joao", "ana", "estafeta.7")[index % 3],
        "did": f"acao_{index * index % 13}",
        "this": f"pedido {index} no quarto nº {index % 20}",
        "at": NOON + timedelta(seconds=index) - timedelta(days=index % 50 == 0),
        "status": ("valid", "executed", "pending")[index % 7 % 3],
        "type": ("human", "system")[index % 2],
        "tags": (f"andar-{index % 4}", "Verão") if index % 5 else None,
        "if_not": None if index % 11 == 0 else "abrir incidente",
        "entity_type": "order" if index % 6 == 0 else "logline",
    })) for index in range(count)]  # fmt: skip
    house.clock.advance(timedelta(hours=1))
    return await house.writer.append(drafts, tenant="casa")


def folded(text: str) -> set[str]:
    plain = unicodedata.normalize("NFD", text.lower())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return set("".join(" " if c in "_.:#/-@,;()" else c for c in kept).split())


def wanted_by(wanted: Filter, record: Record) -> bool:
    """The filter in plain Python: what the database must agree with."""
    exact = ("who", "did", "this", "type", "entity_type")
    if any(getattr(wanted, n) not in (None, getattr(record, n)) for n in exact):
        return False
    if wanted.wanted_status not in (None, record.status):
        return False
    if (wanted.since and record.at < wanted.since) or (wanted.until and record.at >= wanted.until):
        return False
    if not set(wanted.tags) <= set(record.tags or ()):
        return False
    texts = (record.who, record.did, record.this, record.confirmed_by, record.name)
    words = folded(" ".join(text for text in texts if text))
    if not all(folded(word) <= words for word in wanted.words):
        return False
    return all(any(w.startswith(p.lower()) for w in words) for p in wanted.prefixes)


FILTERS = [
    Filter(), Filter(who="ana"), Filter(did="acao_4"), Filter(did="nunca"),
    Filter(status="executed"), Filter(type="system"), Filter(entity_type="order"),
    Filter(who="joao", did="acao_9"), Filter(did="acao_1", status="valid", type="human"),
    Filter(who="ana", entity_type="order", type="human"), Filter(this="pedido 77 no quarto nº 17"),
    Filter(tags=("Verão",)), Filter(tags=("andar-1", "Verão")), Filter(tags=("inverno",)),
    Filter(words=("PEDIDO", "no.quarto")), Filter(words=("77",)), Filter(words=("nada",)),
    Filter(prefixes=("acao",)), Filter(prefixes=("14",)), Filter(words=("nº",), prefixes=("13",)),
    Filter(words=("joão",)), Filter(words=("joão",), did="acao_3"), Filter(words=("%",)),
    Filter(words=("'", "\\")), Filter(words=("=wjoao",)),
    Filter(since=NOON + timedelta(seconds=700), until=NOON + timedelta(seconds=760)),
    Filter(until=NOON - timedelta(hours=1)), Filter(since=NOON + timedelta(days=9)),
    Filter(since=NOON, until=NOON + timedelta(minutes=5), words=("quarto",), status="pending"),
    Filter(until=NOON, who="estafeta.7"), Filter(tags=("Verão",), who="ana", status="ghost"),
]  # fmt: skip


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_pages_joined_are_what_a_plain_walk_finds_for_every_filter(house, oldest_first):
    stored = await fill(house)
    reader = await reader_of(house)
    everything = [await reader.at(position) for position in range(stored[0].position)] + stored
    if not oldest_first:
        everything.reverse()
    for wanted in FILTERS:
        expected = [r for r in everything if wanted_by(wanted, r)]
        found: list[Record] = []
        cursor = None
        while True:
            bound = {"after" if oldest_first else "before": cursor}
            page = await reader.timeline(wanted, limit=300, oldest_first=oldest_first, **bound)
            found += page.records
            cursor = page.next
            if cursor is None:
                break
            assert len(page.records) == 300
        assert found == expected, wanted


async def test_a_tag_or_a_text_too_long_to_be_indexed_is_still_found(house):
    many = tuple(f"etiqueta-{n}" for n in range(200))
    long = await house.add(tags=many, this="palavra " * 300 + "x" * 600 + " fim")
    await house.writer.append([Draft(**NINE) for _ in range(600)], tenant="casa")
    reader = await reader_of(house)
    for wanted in (
        Filter(tags=("etiqueta-150",)), Filter(words=("fim",)), Filter(words=("x" * 600,)),
        Filter(prefixes=("x" * 550,)), Filter(this=long.this),
    ):  # fmt: skip
        page = await reader.timeline(wanted)
        assert [record.id for record in page.records] == [long.id], wanted
    assert not (await reader.timeline(Filter(words=("x" * 599,)))).records


async def test_the_database_folds_text_as_people_read_it(house):
    connection = await house.connect("logline_reader")
    for text in ("João À Beira", "açúcar-mascavado", "a_b.c:d#e/f-g@h,i;j(k)", "ÚLTIMO ñ Ü"):
        row = await (await connection.execute("SELECT ledger.fold(%s)", [text])).fetchone()
        assert set(row[0].split()) == folded(text)


async def test_a_page_names_where_it_goes_on_only_when_it_does(house):
    await house.writer.append([Draft(**NINE) for _ in range(4)], tenant="casa")
    reader = await reader_of(house)
    first = await reader.timeline(Filter(did=NINE["did"]), limit=2)
    second = await reader.timeline(Filter(did=NINE["did"]), limit=2, before=first.next)
    assert first.next == first.records[-1].position
    assert second.next is None
    assert [*first.records, *second.records] == sorted(
        [*first.records, *second.records], key=lambda r: -r.position
    )
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidInput):
            await reader.timeline(limit=limit)
    with pytest.raises(InvalidInput):
        await reader.timeline(before=-3)


async def test_a_tombstone_hides_from_the_timeline_and_from_nothing_else(house):
    kept = await house.add(this="fica")
    gone = await house.add(this="sai", is_deleted=True)
    reader = await reader_of(house)
    for wanted in (
        Filter(who="joao"),
        Filter(words=("pedido",)),
        Filter(who="joao", did=NINE["did"]),
    ):
        assert gone.id not in {r.id for r in (await reader.timeline(wanted)).records}
    assert (await reader.timeline(Filter(words=("fica",)))).records == (kept,)
    assert not (await reader.timeline(Filter(words=("sai",)))).records
    assert await reader.get(gone.id) == gone
    assert await reader.at(gone.position) == gone


async def test_a_life_is_told_in_order_with_what_each_event_changed(house):
    first = await house.add(status="pending", tags=("a",))
    second = await house.add(id=first.id, seq=1, status="executed", tags=("a", "b"))
    third = await house.add(id=first.id, seq=2, status="executed", tags=("a", "b"), who="ana")
    reader = await reader_of(house)
    events = await reader.history(first.id)
    assert [event.record for event in events] == [first, second, third]
    assert [[(c.field, c.old, c.new) for c in event.changes] for event in events] == [
        [],
        [("status", "pending", "executed"), ("tags", ("a",), ("a", "b"))],
        [("who", "joao", "ana")],
    ]
    assert await reader.history(first.id, seq_from=1, limit=1) == events[1:2]
    assert await reader.get(first.id) == third
    assert await reader.get(first.id, seq=1) == second
    assert (await reader.timeline(Filter(latest=True, status="executed"))).records == (third,)
    assert (await reader.timeline(Filter(latest=True, status="pending"))).records == ()
    assert (await reader.timeline(Filter(latest=True, words=("pedido",), who="joao"))).records == ()
    for missing in (
        reader.get(first.id, seq=3),
        reader.get(UUID(int=5)),
        reader.history(UUID(int=5)),
        reader.at(999),
    ):
        with pytest.raises(NotFound):
            await missing


async def test_a_short_id_finds_one_entity_or_says_why_not(house):
    one = await house.add(id=UUID("0192f3ab-0000-7000-8000-000000000001"))
    two = await house.add(id=UUID("0192f3ac-0000-7000-8000-000000000002"))
    reader = await reader_of(house)
    assert await reader.find("0192f3ab") == one
    assert await reader.find("0192F3AC-0000") == two
    assert await reader.find(str(two.id)) == two
    assert await reader.find(f"{two.id}/0") == two
    assert await reader.find(f"@{one.position}") == one
    assert await reader.find(str(two.position)) == two
    with pytest.raises(InvalidInput, match="several") as refused:
        await reader.find("0192f3")
    assert str(one.id) in refused.value.advise("en")
    for missing in ("0192f3ad", "@4000", f"{two.id}/7", "123456"):
        with pytest.raises(NotFound):
            await reader.find(missing)


async def test_actions_are_offered_on_the_latest_event_only_and_never_to_an_auditor(house):
    first = await house.add(status="valid")
    latest = await house.add(id=first.id, seq=1, status="executed")
    reader = await reader_of(house)
    old, new = await reader.all_with_actions([first, latest], language="pt")
    assert (old.is_latest, old.actions) == (False, ())
    assert new.is_latest
    assert {"question": "pedir verificação", "revert": "abrir incidente"}.items() <= {
        action.gesture: action.consequence for action in new.actions
    }.items()
    auditor = await reader_of(house, role="auditor")
    assert (await auditor.with_actions(latest, language="pt")).actions == ()


async def test_ghosts_are_grouped_by_what_they_miss_and_leave_when_completed(house):
    open_ones = [
        await house.add(if_ok=None),
        await house.add(if_ok=None),
        await house.add(who=None, if_ok=None),
    ]
    done = await house.add(if_ok=None)
    await house.add(id=done.id, seq=1)
    reader = await reader_of(house)
    ghosts = await reader.ghosts(limit=2)
    assert ghosts.total == 3
    assert [(g.faults, g.count, g.oldest_position) for g in ghosts.groups] == [
        ({"missing": ("if_ok",)}, 2, open_ones[0].position),
        ({"missing": ("who", "if_ok")}, 1, open_ones[2].position),
    ]
    assert [(c.value, c.records) for c in ghosts.by_field] == [("if_ok", 3), ("who", 1)]
    assert ghosts.oldest == tuple(open_ones[:2])
    assert (await reader.timeline(Filter(ghosts=True))).records == tuple(reversed(open_ones))
    told = await reader.with_actions(open_ones[0], language="en")
    assert told.ghost_reason == "missing: if_ok"
    assert "complete" in {action.gesture for action in told.actions}
    stats = await reader.stats()
    assert (stats.ghosts_born, stats.ghosts_open, stats.ghosts_completed) == (4, 3, 1)


async def test_the_distributions_add_up_to_what_a_plain_count_finds(house):
    stored = await fill(house, 400)
    reader = await reader_of(house)
    for wanted in (
        Filter(entity_type="order"),
        Filter(words=("quarto",)),
        Filter(who="ana", since=NOON),
    ):
        expected = [record for record in stored if wanted_by(wanted, record)]
        stats = await reader.stats(wanted, top=1000)
        assert stats.records == len(expected)
        for name in ("status", "who", "did", "confirmed_by", "entity_type"):
            counted: dict[str | None, int] = {}
            for record in expected:
                counted[getattr(record, name)] = counted.get(getattr(record, name), 0) + 1
            told = getattr(stats, f"by_{name}")
            assert {one.value: one.records for one in told.values} == counted
            assert told.different == len(counted)
        assert sum(one.records for one in stats.by_day.values) == len(expected)
        assert all(a.value < b.value for a, b in pairwise(stats.by_day.values))
    few = await reader.stats(top=2)
    assert len(few.by_did.values) == 2
    assert few.by_did.different > 2
    nothing = await reader.stats(Filter(since=NOON + timedelta(days=300)))
    assert (nothing.records, nothing.by_day.values) == (0, ())


async def test_the_head_says_how_long_the_log_is(house):
    record = await house.add()
    head = await (await reader_of(house)).head()
    assert (head.size, len(head.root), head.signed_size) == (record.position + 1, 32, None)
    with pytest.raises(UnknownTenant):
        await (await reader_of(house, tenant="ninguem")).head()


async def test_a_search_crosses_stretches_of_blocks_in_order(house):
    """Three stretches: 16 blocks, 64 and the rest; rows are put there without their proofs."""
    first = (await (await reader_of(house)).head()).size
    admin = await house.connect("postgres")
    await admin.execute("SET session_replication_role = replica")
    await admin.execute(f"""
        INSERT INTO ledger.universal_registry (
          tenant_id, id, seq, entity_type, position, recorded_at,
          who, did, "this", at, status, visibility, is_deleted, curr_hash, signature, public_key)
        SELECT 'casa', gen_random_uuid(), 0, 'logline', {first} + g, now(), 'ana',
          CASE WHEN g % 2500 = 0 THEN 'raro' ELSE 'comum' END, 'x', now(), 'valid', 'tenant', false,
          repeat('a', 64), repeat('b', 128), repeat('c', 64)
        FROM generate_series(0, 99999) g""")
    await admin.execute("UPDATE ledger.log_head SET size = size + 100000 WHERE tenant_id = 'casa'")
    await rebuild(await house.connect(), tenant="casa", write=True)
    reader = await reader_of(house)
    for oldest_first in (False, True):
        for wanted in (
            Filter(words=("raro",)),
            Filter(who="ana", did="raro"),
            Filter(prefixes=("rar",)),
        ):
            found: list[int] = []
            cursor = None
            while True:
                page = await reader.timeline(
                    wanted, limit=7, oldest_first=oldest_first,
                    **{"after" if oldest_first else "before": cursor},
                )  # fmt: skip
                found += [record.position for record in page.records]
                cursor = page.next
                if cursor is None:
                    break
            expected = [first + g for g in range(0, 100_000, 2500)]
            assert found == (expected if oldest_first else expected[::-1])


async def test_punctuation_alone_asks_nothing(house):
    await house.add()
    reader = await reader_of(house)
    everything = await reader.timeline()
    words, prefixes, tags = parse_text("... -_*")
    assert await reader.timeline(Filter(words=words, prefixes=prefixes, tags=tags)) == everything
