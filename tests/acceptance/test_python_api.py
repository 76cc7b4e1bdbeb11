"""The Python API as a program uses it, on a node of its own; and its how-to page, as written."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from loglineos import Draft, Ledger
from loglineos.base.errors import MoveNotAllowed, NotFound, UnknownName
from loglineos.ledger.record import Record
from loglineos.ledger.rows import ROW_COLUMNS, record_of

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python.md"
PROMISE = {
    "confirmed_by": "ana", "if_ok": "enviar recibo", "if_doubt": "pedir verificação",
    "if_not": "abrir incidente",
}  # fmt: skip
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def kept_home() -> Iterator[Path]:
    """A data folder of this module, so that Postgres is made once."""
    folder = Path(tempfile.mkdtemp(prefix="logline-")).resolve()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def ledger(kept_home: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(kept_home, actor="joao") as opened:
        yield opened


async def life(ledger: Ledger, entity: UUID) -> list[Record]:
    async with ledger.node.reader_pool.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {ROW_COLUMNS} FROM ledger.universal_registry"
            " WHERE tenant_id = %s AND id = %s ORDER BY seq",
            (ledger.tenant, entity),
        )
        return [record_of(row) for row in await cursor.fetchall()]


async def found(ledger: Ledger, *, did: str) -> list[Record]:
    async with ledger.node.reader_pool.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {ROW_COLUMNS} FROM ledger.universal_registry"
            " WHERE tenant_id = %s AND did = %s ORDER BY position",
            (ledger.tenant, did),
        )
        return [record_of(row) for row in await cursor.fetchall()]


async def is_listening(ledger: Ledger) -> bool:
    async with ledger.node.reader_pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'logline follow' AND state = 'idle' AND query ~ '^LISTEN'"
        )
        row = await cursor.fetchone()
        return row == (1,)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_an_act_with_everything_is_valid_and_in_the_name_of_the_actor(ledger: Ledger):
    record = await ledger.add(did="registrar_entrega", this="pedido 312", **PROMISE)
    assert (record.who, record.status, record.valid, record.seq) == ("joao", "valid", True, 0)
    assert record.position is not None
    assert await life(ledger, record.id) == [record]


async def test_what_is_missing_or_does_not_fit_makes_a_ghost_that_keeps_it(ledger: Ledger):
    record = await ledger.add(who=None, did="check_in", this="reserva 12", when="ontem", **PROMISE)
    assert (record.status, record.valid) == ("ghost", False)
    assert record.ghost_reason == "faltam: who; mal formados: when"
    assert record.details == {"given": {"when": "ontem"}}


async def test_a_field_that_does_not_exist_is_refused_and_nothing_written(ledger: Ledger):
    before = await ledger.node.writer.log_size(ledger.tenant)
    with pytest.raises(UnknownName):
        await ledger.add(did="check_in", this="reserva 12", quem="ana", **PROMISE)
    assert await ledger.node.writer.log_size(ledger.tenant) == before


async def test_times_may_be_datetimes_or_text(ledger: Ledger):
    noon = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
    one = await ledger.add(did="check_in", this="reserva 12", when=noon, **PROMISE)
    two = await ledger.add(did="check_in", this="x", when="2026-03-02T13:00:00.25+01:00", **PROMISE)
    assert (one.at, two.at, two.status) == (noon, noon, "valid")


async def test_gestures_are_new_records_of_the_same_entity(ledger: Ledger):
    record = await ledger.add(did="registrar_entrega", this="pedido 313", **PROMISE)
    confirmed = await ledger.confirm(record.id, "recebido", by="ana")
    questioned = await ledger.question(str(record.id))
    denied = await ledger.deny(record.id, expected_seq=2)
    told = [(event.seq, event.status, event.who) for event in (confirmed, questioned, denied)]
    assert told == [(1, "confirmed", "ana"), (2, "under_review", "joao"), (3, "denied", "joao")]
    with pytest.raises(MoveNotAllowed):
        await ledger.revert(record.id)
    assert [event.status for event in await life(ledger, record.id)] == [
        "valid", "confirmed", "under_review", "denied",
    ]  # fmt: skip


async def test_a_ghost_is_completed_field_by_field(ledger: Ledger):
    ghost = await ledger.add(did="check_in", this="reserva 14", confirmed_by="ana")
    still = await ledger.complete(ghost.id, if_ok="dar a chave", by="ana")
    assert still.status == "ghost"
    whole = await ledger.complete(ghost.id, if_doubt="perguntar", if_not="chamar o gerente")
    assert (whole.status, whole.seq, whole.who) == ("valid", 2, "joao")
    noted = await ledger.annotate(ghost.id, "chegou tarde")
    assert (noted.status, noted.seq) == ("valid", 3)


async def test_drafts_are_appended_in_order_and_repeated_without_effect(ledger: Ledger):
    first = await ledger.append([Draft(who="ana", did="nota", this=str(n)) for n in range(3)])
    positions = [record.position or 0 for record in first]
    assert positions == list(range(positions[0], positions[0] + 3))
    assert await ledger.append_signed(first) == first


async def test_what_is_personal_is_sealed_and_can_be_forgotten(ledger: Ledger):
    record = await ledger.add(
        did="reserva", this="reserva 15", details={"telefone": "910000000"},
        personal=["details.telefone"], subject="hospede.204", **PROMISE,
    )  # fmt: skip
    assert str(record.details).count("910000000") == 0
    forgotten = await ledger.forget("hospede.204")
    assert (forgotten.entity_type, forgotten.who) == ("forgetting", "joao")
    with pytest.raises(NotFound):
        await ledger.forget("hospede.204")


async def test_what_was_written_is_read_listed_counted_and_followed(ledger: Ledger):
    start = await ledger.node.writer.log_size(ledger.tenant)
    first = await ledger.add(did="lavar", this="quarto 204", tags=["limpeza"], **PROMISE)
    second = await ledger.confirm(first.id)
    assert await ledger.get(first.id, seq=0) == first
    assert await ledger.get(str(first.id)) == second
    events = await ledger.history(first.id)
    assert [event.record for event in events] == [first, second]
    assert "status" in {change.field for change in events[1].changes}
    page = await ledger.timeline(did="lavar", limit=10)
    assert (page.records, page.next) == ((first,), None)
    assert (await ledger.timeline(text="quarto #limpeza")).records == (second, first)
    assert (await ledger.stats(did="lavar")).records == 1
    followed = ledger.follow(from_position=start)
    assert [await anext(followed), await anext(followed)] == [first, second]
    await until(lambda: is_listening(ledger))
    await followed.aclose()
    with pytest.raises(UnknownName):
        await ledger.timeline(quem="joao")


async def test_what_is_personal_is_read_until_it_is_forgotten(ledger: Ledger):
    record = await ledger.add(
        did="reserva", this="reserva 16", details={"telefone": "910000001"},
        personal=["details.telefone"], subject="hospede.205", **PROMISE,
    )  # fmt: skip
    assert (await ledger.get(record.id)).details == {"telefone": "910000001"}
    await ledger.forget("hospede.205")
    assert (await ledger.get(record.id)).details == {"telefone": None}


async def test_open_ghosts_are_listed_until_they_are_completed(ledger: Ledger):
    ghost = await ledger.add(did="check_out", this="reserva 17", **PROMISE, when=None)
    assert ghost.id in {record.id for record in (await ledger.ghosts(limit=1000)).oldest}
    await ledger.complete(ghost.id, when=datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    assert ghost.id not in {record.id for record in (await ledger.ghosts(limit=1000)).oldest}


async def test_a_record_is_proved_and_the_whole_log_verified(ledger: Ledger):
    record = await ledger.add(did="fechar", this="caixa", **PROMISE)
    receipt = await ledger.prove(record.id)
    assert (receipt.position, receipt.record_hash) == (record.position, record.curr_hash)
    with pytest.raises(NotFound):
        await ledger.prove(UUID(int=7))
    report = await ledger.verify()
    assert report.is_clean
    assert report.records >= (record.position or 0)


async def test_an_async_call_is_recorded_from_its_start_to_its_end(ledger: Ledger):
    @ledger.recorded(did="somar", this="{a} e {b}", record_args=("a",), **PROMISE)
    async def add(a: int, b: int) -> int:
        assert [r.status for r in await found(ledger, did="somar")] == ["running"]
        return a + b

    assert await add(2, b=3) == 5
    start, end = await found(ledger, did="somar")
    assert (start.id, start.seq, start.status, start.this) == (end.id, 0, "running", "2 e 3")
    assert (end.seq, end.status, end.input) == (1, "executed", {"a": 2})
    assert end.duration_ms is not None
    assert end.output is None
    assert end.output_hash is not None


async def test_a_failing_call_is_recorded_and_its_error_reaches_the_caller(ledger: Ledger):
    boom = ValueError("sem saldo")

    @ledger.recorded(did="pagar", this=lambda order: f"pedido {order}", **PROMISE)
    async def pay(order: int) -> None:
        raise boom

    with pytest.raises(ValueError, match="sem saldo") as caught:
        await pay(7)
    assert caught.value is boom
    _, end = await found(ledger, did="pagar")
    assert (end.status, end.this) == ("failed", "pedido 7")
    assert end.error == {"type": "ValueError", "message": "sem saldo"}
    assert end.input is None


async def test_a_cancelled_call_is_recorded_as_failed(ledger: Ledger):
    begun = asyncio.Event()

    @ledger.recorded(did="esperar", this="nada", **PROMISE)
    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def ended() -> bool:
        return len(await found(ledger, did="esperar")) == 2

    await until(ended)
    assert (await found(ledger, did="esperar"))[1].status == "failed"


async def test_a_plain_call_in_a_thread_is_durable_before_it_begins(ledger: Ledger):
    seen: list[str | None] = []

    @ledger.recorded(did="imprimir", this="fatura {number}", **PROMISE)
    def print_invoice(number: int) -> str:
        asked = asyncio.run_coroutine_threadsafe(found(ledger, did="imprimir"), loop)
        seen.extend(record.status for record in asked.result(10))
        return f"FT {number}"

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(print_invoice, 9) == "FT 9"
    assert seen == ["running"]
    assert [r.status for r in await found(ledger, did="imprimir")] == ["running", "executed"]


async def test_a_plain_call_on_the_loop_is_kept_before_the_ledger_closes(kept_home: Path):
    async with Ledger.open(kept_home) as first:

        @first.recorded(did="dobrar", this="{n}", **PROMISE)
        def double(n: int) -> int:
            return 2 * n

        assert [double(1), double(2)] == [2, 4]
    assert double(3) == 6  # the ledger is closed: the spool takes it
    async with Ledger.open(kept_home) as second:
        records = await found(second, did="dobrar")
        told = sorted((record.this, record.seq, record.status) for record in records)
        both = [(0, "running"), (1, "executed")]
        assert told == [(str(n), *event) for n in (1, 2, 3) for event in both]
    assert list((kept_home / "spool").iterdir()) == []


async def test_what_cannot_be_said_of_a_call_makes_a_ghost_and_the_call_runs(ledger: Ledger):
    @ledger.recorded(did="sem_nome", this="{nothing}", **PROMISE)
    async def run() -> object:
        return object()

    assert await run() is not None
    start, end = await found(ledger, did="sem_nome")
    assert (start.status, end.status, end.output_hash) == ("ghost", "ghost", None)


async def test_a_generator_is_refused(ledger: Ledger):
    with pytest.raises(TypeError):

        @ledger.recorded(did="contar", this="tudo", **PROMISE)
        def count():
            yield 1


def logger_of(handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger("loja.caixa")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    return logger


async def test_lines_of_the_log_are_recorded_with_their_level_and_error(ledger: Ledger):
    log = logger_of(ledger.log_handler())
    log.debug("nada")
    log.info("aberta %d", 1)
    log.warning("lenta")
    try:
        _ = {}["gaveta"]
    except KeyError:
        log.exception("presa")

    async def three() -> bool:
        return len(await found(ledger, did="log_error")) == 1

    await until(three)
    (info,) = await found(ledger, did="log_info")
    (warning,) = await found(ledger, did="log_warning")
    (error,) = await found(ledger, did="log_error")
    assert (info.who, info.this, info.status, info.type) == (
        "loja.caixa", "aberta 1", "executed", "system",
    )  # fmt: skip
    assert (warning.status, error.status) == ("under_review", "failed")
    assert error.error["type"] == "KeyError"
    assert "gaveta" in error.error["traceback"]
    assert await found(ledger, did="log_debug") == []


async def test_lines_of_many_threads_are_all_kept_once_though_the_queue_overflows(kept_home: Path):
    async with Ledger.open(kept_home) as first:
        handler = first.log_handler(queue_lines_max=20)
        log = logger_of(handler)

        def shout(name: int) -> None:
            for number in range(100):
                log.critical("%d/%d", name, number)

        threads = [threading.Thread(target=shout, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    log.critical("depois de fechar")
    await asyncio.to_thread(handler.flush)
    async with Ledger.open(kept_home) as second:
        told = sorted(record.this or "" for record in await found(second, did="log_critical"))
    expected = [f"{n}/{number}" for n in range(4) for number in range(100)]
    assert told == sorted([*expected, "depois de fechar"])
    assert handler.lost == 0


async def test_what_the_ledger_logs_itself_is_not_recorded(ledger: Ledger):
    handler = ledger.log_handler()
    before = await ledger.node.writer.log_size(ledger.tenant)
    for name in ("loglineos", "loglineos.ledger.writer", "psycopg.pool"):
        handler.handle(logging.LogRecord(name, logging.ERROR, __file__, 1, "x", (), None))
    await handler.detach()
    assert await ledger.node.writer.log_size(ledger.tenant) == before


def test_importing_the_package_loads_nothing():
    code = (
        "import sys, loglineos; print(sorted(m for m in sys.modules if m.startswith('loglineos.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("number", range(4))
def test_the_page_runs_as_it_is_written(number: int, kept_home: Path):
    program = PROGRAM.findall(PAGE.read_text(encoding="utf-8"))[number]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"LOGLINE_HOME": str(kept_home), "LOGLINE_ACTOR": "joao", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = re.findall(r"#> (.*)", program)
    assert ran.stdout.splitlines() == said
