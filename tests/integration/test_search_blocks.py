"""Blocks of search terms: written when they are full, by whichever appender fills them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loglineos.ledger.logline import judge
from loglineos.ledger.reading.filters import Filter
from loglineos.ledger.reading.reader import STAFF, Reader, Viewer
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.search_terms import WIDTH, places_of, values_of, words_in
from loglineos.ledger.trust import ROLES
from loglineos.ledger.verification.rebuild import rebuild
from tests.integration.conftest import NINE, House


async def kept(house: House, tenant: str = "casa") -> dict[int, dict[str, list[int]]]:
    """Read the places of each term of each block."""
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT block, term, place, places::text FROM ledger.search_term WHERE tenant_id = %s",
        [tenant],
    )
    blocks: dict[int, dict[str, list[int]]] = {}
    for block, term, place, places in await cursor.fetchall():
        at = [place] if places is None else [i for i, bit in enumerate(places) if bit == "1"]
        blocks.setdefault(block, {})[term] = at
    return blocks


def told(records: list[Record]) -> dict[int, dict[str, list[int]]]:
    """Make the same of the records themselves."""
    return {
        block: {
            term: [place for place in range(WIDTH) if bits >> (WIDTH - 1 - place) & 1]
            for term, bits in places_of(
                [values_of(r) for r in records[block * WIDTH : (block + 1) * WIDTH]]
            ).items()
        }
        for block in range(len(records) // WIDTH)
    }


async def everything(house: House, tenant: str = "casa") -> list[Record]:
    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant=tenant, actor="ana", role="owner")
    )
    size = (await reader.head()).size
    page = [await reader.at(position) for position in range(min(size, 10))]
    while len(page) < size:
        more = await reader.timeline(after=len(page) - 1, limit=1000, oldest_first=True)
        page += more.records
    return page


async def fill(house: House, count: int, *, tenant: str = "casa", **more: Any) -> list[Record]:
    drafts = [
        judge(Draft(**{**NINE, "this": f"pedido {n} no quarto {n % 20}", **more}))
        for n in range(count)
    ]
    return await house.writer.append(drafts, tenant=tenant)


async def test_a_block_is_written_with_the_record_that_fills_it_and_not_before(house: House):
    size = (await fill(house, 1))[-1].position + 1
    await fill(house, WIDTH - size - 1)
    assert await kept(house) == {}
    last = await house.add(this="o último")
    assert last.position == WIDTH - 1
    records = await everything(house)
    assert await kept(house) == told(records)
    await fill(house, 2 * WIDTH + 5)
    blocks = await kept(house)
    assert blocks == told(await everything(house))
    assert sorted(blocks) == [0, 1, 2]
    assert await kept(house, "pensao") == {}


async def test_whoever_fills_a_block_writes_what_others_put_into_it(house: House):
    """Two appenders by turns, and one that begins in the middle: each reads what it did not see."""
    other = await house.new_appender()
    mine = house.writer.appender
    for number in range(12):
        house.writer.appender = (mine, other)[number % 2]
        await asyncio.gather(*[fill(house, 100) for _ in range(2)], house.add())
    house.writer.appender = await house.new_appender()
    await fill(house, 100)
    blocks = await kept(house)
    assert sorted(blocks) == [0, 1]
    assert blocks == told(await everything(house))


async def test_a_group_that_failed_leaves_no_trace_in_the_block(house: House):
    await fill(house, WIDTH - 100)
    connection = await house.connect("postgres")
    await connection.execute(
        "ALTER TABLE ledger.timeline_block ADD CONSTRAINT no CHECK (at_max < '2000-01-01') NOT VALID"
    )
    with pytest.raises(Exception, match="no"):
        await fill(house, 200, this="nunca")
    await connection.execute("ALTER TABLE ledger.timeline_block DROP CONSTRAINT no")
    await fill(house, 200)
    blocks = await kept(house)
    assert blocks == told(await everything(house))
    assert "nunca" not in blocks[0]


async def test_lies_in_the_terms_are_named_and_repaired(house: House):
    await fill(house, 2 * WIDTH)
    right = await kept(house)
    admin = await house.connect("postgres")
    for statement in (
        "UPDATE ledger.search_term SET term = 'mentira' WHERE block = 0 AND term = 'pedido'",
        "UPDATE ledger.search_term SET places = set_bit(places, 700, 0) WHERE block = 1 AND term = 'joao'",
        "INSERT INTO ledger.search_term VALUES ('casa', 'cedo', 2, 5, NULL), ('casa', 'cedo', 9, 5, NULL)",
        "DELETE FROM ledger.search_term WHERE block = 1 AND term = '=wjoao'",
    ):
        await admin.execute(statement)
    report = await rebuild(await house.connect("logline_reader"), tenant="casa")
    assert not report.is_equal
    assert report.search_terms_wrong == 6
    assert {d.key for d in report.differences} == {
        "0/mentira", "0/pedido", "1/joao", "1/=wjoao", "2/cedo", "9/cedo",
    }  # fmt: skip
    (difference,) = (d for d in report.differences if d.key == "1/joao")
    assert difference.table == "search_term"
    assert set(difference.told["positions"]) - set(difference.kept["positions"]) == {WIDTH + 700}
    await rebuild(await house.connect(), tenant="casa", write=True)
    assert await kept(house) == right
    assert (await rebuild(await house.connect(), tenant="casa")).is_equal


async def test_rows_that_no_block_can_have_are_named_and_repaired(house: House):
    await fill(house, WIDTH)
    right = await kept(house)
    admin = await house.connect("postgres")
    for statement in (
        "INSERT INTO ledger.search_term VALUES ('casa', 'pedido', -1, 5, NULL)",
        "INSERT INTO ledger.search_term VALUES ('casa', 'fora', 0, 5000, NULL)",
        "INSERT INTO ledger.search_term VALUES ('casa', 'antes', 0, -1, NULL)",
    ):
        await admin.execute(statement)
    report = await rebuild(await house.connect("logline_reader"), tenant="casa")
    assert {d.key for d in report.differences} == {"-1/pedido", "0/fora", "0/antes"}
    await rebuild(await house.connect(), tenant="casa", write=True)
    assert await kept(house) == right
    assert (await rebuild(await house.connect(), tenant="casa")).is_equal


async def test_a_search_while_others_append_passes_over_nothing_and_doubles_nothing(house: House):
    """Blocks become full between one page and the next, and below the feet of a search."""
    await fill(house, WIDTH - 300)
    other = await house.new_appender()
    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant="casa", actor="rui", role="manager")
    )

    async def append() -> None:
        mine = house.writer.appender
        for number in range(10):
            house.writer.appender = (mine, other)[number % 2]
            await fill(house, (7, 300)[number % 3 == 0])
        house.writer.appender = mine

    wanted = Filter(words=("quarto", "7"), tags=(), status="valid")
    found: list[int] = []
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(append())
        while not appending.done() or len(found) < len(await matches(house)):
            page = await reader.timeline(
                wanted, limit=10, oldest_first=True, after=found[-1] if found else None
            )
            found += [record.position for record in page.records if record.position is not None]
    assert found == await matches(house)
    assert (await rebuild(await house.connect("logline_reader"), tenant="casa")).is_equal


async def matches(house: House) -> list[int]:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT position FROM ledger.universal_registry WHERE tenant_id = 'casa'"
        " AND this ~ '(pedido 7 )|(quarto 7$)' AND status = 'valid' ORDER BY position"
    )
    rows = [row[0] for row in await cursor.fetchall()]
    await connection.close()
    return rows


async def test_houses_that_share_every_word_find_their_own_records_only(house: House):
    mine = await fill(house, WIDTH + 50, tags=("verão",))
    theirs = await fill(house, 2 * WIDTH + 50, tenant="pensao", tags=("verão",), owner_id="rui")
    wanted = Filter(words=("pedido", "9"), tags=("verão",), did="registrar_entrega")
    for tenant, records in (("casa", mine), ("pensao", theirs)):
        expected = [r for r in records if (r.this or "").endswith("quarto 9")]
        for role in ("owner", "courier"):
            viewer = Viewer(tenant=tenant, actor="rui", role=role)
            reader = Reader(await house.pool("logline_app"), viewer=viewer)
            page = await reader.timeline(wanted, limit=1000, oldest_first=True)
            may_see = role == "owner" or tenant == "pensao"
            assert list(page.records) == (expected if may_see else [])


async def test_the_longest_question_is_bounded(house: House):
    """Every sign a word of its own, as many as a text may have: what it costs has an end."""
    await fill(house, WIDTH + 50)
    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant="casa", actor="rui", role="owner")
    )
    text = ".".join(chr(0x4E00 + n) for n in range(255))
    for wanted in (
        Filter(words=(text,) * 16), Filter(prefixes=(text,) * 16), Filter(tags=(text,) * 16),
        Filter(prefixes=tuple("pnqrjaeivdotlcmx")), Filter(words=("%", "_", "\\", "=wjoao", "*")),
    ):  # fmt: skip
        async with asyncio.timeout(10):
            assert (await reader.timeline(wanted, limit=10)).records == ()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "service"])
async def test_every_role_finds_by_the_terms_exactly_what_it_may_see(house: House, role: str):
    drafts = [
        judge(Draft(**{
            **NINE, "who": ("joao", "rui", "eu")[n % 3 if n % 400 == 0 else 0],
            "did": f"acao_{n % 7}", "owner_id": "eu" if n % 601 == 0 else "outro",
            "confirmed_by": "eu" if n % 701 == 0 else "ana",
            "visibility": "private" if n % 5 == 0 else "public" if n % 501 == 0 else "tenant",
            "shared_with": (f"role:{role}",) if n % 801 == 0 else None, "tags": (f"t{n % 3}",),
        }))
        for n in range(3 * WIDTH + 200)
    ]  # fmt: skip
    stored = await house.writer.append(drafts, tenant="casa")

    def may_see(r: Record) -> bool:
        named = "eu" in (r.who, r.owner_id, r.confirmed_by) or bool(r.shared_with)
        return r.visibility == "public" or named or (r.visibility == "tenant" and role in STAFF)

    reader = Reader(
        await house.pool("logline_app"), viewer=Viewer(tenant="casa", actor="eu", role=role)
    )
    for wanted, holds in (
        (Filter(did="acao_3", status="valid"), lambda r: r.did == "acao_3"),
        (Filter(tags=("t1",), words=("acao", "2")), lambda r: r.did == "acao_2" and "t1" in r.tags),
        (Filter(prefixes=("entr",)), lambda _: False),
    ):
        expected = [r for r in stored if may_see(r) and holds(r)]
        for oldest_first in (True, False):
            found: list[Record] = []
            cursor = None
            while True:
                bound = {"after" if oldest_first else "before": cursor}
                page = await reader.timeline(wanted, limit=90, oldest_first=oldest_first, **bound)
                found += page.records
                cursor = page.next
                if cursor is None:
                    break
            assert found == (expected if oldest_first else expected[::-1]), wanted


async def test_the_terms_are_nobodys_to_read_but_the_nodes(house: House):
    await fill(house, WIDTH)
    connection = await house.connect("logline_app")
    with pytest.raises(Exception, match="permission denied"):
        await connection.execute("SELECT * FROM ledger.search_term")


async def test_what_a_session_calls_text_is_not_what_the_owners_search_calls_so(house: House):
    """Otherwise whoever may search could have a function of their own run in the owner's name."""
    told: list[str | None] = []
    connection = await house.connect("logline_app")
    connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
    for statement in (
        """CREATE FUNCTION pg_temp.spy(told varchar) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
          RAISE NOTICE 'running as %', current_user; RETURN true; END $$""",
        "CREATE DOMAIN pg_temp.text AS varchar CHECK (pg_temp.spy(VALUE))",
        "SELECT 'here'::pg_temp.text",
        "SELECT set_config('app.tenant_id', 'casa', false)",
        """SELECT * FROM ledger.search_positions('{a}', '{}', '{}', null, null, null, null, null,
          null, null, null, 0, 100, false, true, 10, '{a}', '{}')""",
    ):
        await connection.execute(statement)
    assert told == ["running as logline_app"]


async def test_terms_fold_together_whatever_the_database_folds_together(house: House):
    """Otherwise a record that a filter lets through would not be found by its terms."""
    letters = [chr(c) for c in range(1, 0x30000) if not 0xD800 <= c <= 0xDFFF]
    connection = await house.connect("logline_reader")
    cursor = await connection.execute(
        "SELECT c, ledger.fold(c) FROM unnest(%s::text[]) AS c", [letters]
    )
    rows = await cursor.fetchall()
    assert len(rows) == len(letters)
    apart = [(c, folded) for c, folded in rows if words_in(c) != words_in(folded)]
    assert apart == []
