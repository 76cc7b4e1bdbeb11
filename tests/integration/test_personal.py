"""Personal fields: sealed in the record, readable while their key lives, forgotten with it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from loglineos.base.errors import InvalidInput, NotFound
from loglineos.ledger.personal import MARK, finish_forgetting, forget, reveal, seal_personal
from loglineos.ledger.record import Draft, Record
from loglineos.ledger.seal import check_seal
from tests.integration.conftest import NINE, House

GUEST, OTHER = "hospede.204", "hospede.305"
DETAILS = {"telefone": "912 345 678", "quarto": 204, "contacto": {"email": "g@example.org"}}


async def add(house: House, *, subject: str = GUEST, fields=("this", "details.telefone")) -> Record:
    draft = Draft(**{**NINE, "this": "Gil Pessoa", "details": DETAILS})
    sealed = await seal_personal(house.writer, draft, tenant="casa", subject=subject, fields=fields)
    (record,) = await house.writer.append([sealed], tenant="casa")
    return record


async def shown(house: House, record: Record) -> Record:
    (one,) = await reveal(house.writer, [record], tenant="casa")
    return one


async def dump(house: House) -> str:
    connection = await house.connect("logline_reader")
    cursor = await connection.execute("SELECT r::text FROM ledger.universal_registry r")
    return "\n".join(row[0] for row in await cursor.fetchall())


async def test_what_is_personal_is_sealed_and_reads_back(house: House) -> None:
    record = await add(house, fields=("this", "details.telefone", "details.contacto"))
    stored = await dump(house)
    for plain in ("Gil Pessoa", "912 345 678", "example.org", GUEST):
        assert plain not in stored
    one = await shown(house, record)
    assert (one.this, one.details) == ("Gil Pessoa", DETAILS)
    assert (record.details or {})["quarto"] == 204
    assert check_seal(record)


async def test_the_forgotten_cannot_be_read_and_every_hash_still_holds(house: House) -> None:
    record, kept = await add(house), await add(house, subject=OTHER)
    said = await forget(house.writer, tenant="casa", subject=GUEST, by="ana")
    one = await shown(house, record)
    assert (one.this, one.details) == ("—", {**DETAILS, "telefone": None})
    assert (await shown(house, kept)).details == DETAILS
    for stored in (record, kept, said):
        assert check_seal(await house.writer.latest("casa", stored.id))
    assert GUEST not in await dump(house)
    with pytest.raises(NotFound):
        await forget(house.writer, tenant="casa", subject=GUEST, by="ana")


async def test_who_is_forgotten_may_come_again_under_a_new_key(house: House) -> None:
    old = await add(house)
    await forget(house.writer, tenant="casa", subject=GUEST, by="ana")
    new = await add(house)
    assert (await shown(house, new)).this == "Gil Pessoa"
    assert (await shown(house, old)).this == "—"


async def test_a_crash_between_the_record_and_the_key_is_finished_later(house: House) -> None:
    record, kept = await add(house), await add(house, subject=OTHER)
    key_id = str(record.this)[len(MARK) : len(MARK) + 36]
    said = Draft(entity_type="forgetting", who="ana", did="forget", this=key_id, status="executed")
    await house.writer.append([said], tenant="casa")
    assert (await shown(house, record)).this == "Gil Pessoa"
    assert await finish_forgetting(house.writer, tenant="pensao") == 0
    assert await finish_forgetting(house.writer, tenant="casa") == 1
    assert await finish_forgetting(house.writer, tenant="casa") == 0
    assert (await shown(house, record)).this == "—"
    assert (await shown(house, kept)).this == "Gil Pessoa"


async def test_text_that_only_looks_sealed_stays_what_it_is(house: House) -> None:
    real = await add(house)
    token = str(real.this)
    looks: dict[str, Any] = {
        "a": MARK, "b": f"{MARK}x:y", "c": f"{MARK}{uuid4()}:abc", "d": f" {token}",
        "e.f": f"{MARK}{uuid4()}:", "g": [token], "h": token, "i": f"{token[:-8]}AAAAAAA=",
    }  # fmt: skip
    record = await house.add(details=looks, this=f"{MARK}é")
    assert await shown(house, record) == record


async def test_a_dotted_key_that_looks_forgotten_does_not_break_reading(house: House) -> None:
    token = f"{MARK}{uuid4()}:{'A' * 60}"
    record = await house.add(details={"a.b": token, "c": {"d": token}, "e": 1})
    assert (await shown(house, record)).details == {"a.b": None, "c": {"d": None}, "e": 1}


@pytest.mark.parametrize(
    "field", ["who", "did", "details", "details.nada", "details.quarto.x", "tags", "this.x", ""]
)
async def test_what_cannot_be_personal_is_refused(house: House, field: str) -> None:
    with pytest.raises(InvalidInput):
        await add(house, fields=(field,))
    assert await house.writer.log_size("casa") == 2
