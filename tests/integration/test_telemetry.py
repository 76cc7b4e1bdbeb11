"""What can be seen from outside: the traces of runs, the page of metrics, the looks of `top`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from loglineos.base.entropy import SeededEntropy
from loglineos.base.errors import DatabaseUnavailable, Misconfigured
from loglineos.runtime.execution.executor import Executor
from loglineos.runtime.execution.observer import SILENT, Observer, StepSeen, TurnSeen, joined
from loglineos.runtime.execution.requests import span_of, trace_of
from loglineos.services.queue.worker import Worker, WorkerSettings
from loglineos.services.telemetry.exporting import exported
from loglineos.services.telemetry.looks import NodeLook, count_dead, count_ended, look_at_node
from loglineos.services.telemetry.metrics import LABELS_MAX, Metrics, Sources
from loglineos.services.telemetry.spans import Spans
from tests.integration.runtime_house import RuntimeHouse, open_runtime

SECRET = "s3cr3t-quarto-204"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKING = f"""import ctx

FUNCTION = {{"effects": ["confirm", "emit", "run"]}}

def main(input):
    ctx.emit({{"did": "nota", "this": "{SECRET}"}})
    answer = ctx.confirm("Reembolsar?", who="ana", timeout_s=86400, if_timeout="no")
    ctx.run("soma", {{"a": 1, "note": input["note"]}})
    return {{"answer": answer["answer"], "note": input["note"]}}
"""
SUM = "def main(input):\n    return {'total': input['a'] + 1}\n"


@pytest.fixture
async def runtime(house: Any, tmp_path: Path) -> AsyncIterator[RuntimeHouse]:
    async with open_runtime(house, tmp_path) as runtime:
        yield runtime


async def watched(runtime: RuntimeHouse, observer: Observer) -> Worker:
    """Make a worker whose runs an observer watches."""
    executor = Executor(
        world=runtime.world, laws=runtime.laws, runners=runtime.runners,
        reading=await runtime.house.pool("logline_reader"),
        work=await runtime.house.pool("logline_appender"), observer=observer,
    )  # fmt: skip
    return Worker(
        runtime.writer, executor, pool=await runtime.house.pool("logline_appender"),
        clock=runtime.clock, entropy=SeededEntropy(7), name="w1",
        settings=WorkerSettings(poll_s=0.02, drain_s=5.0), observer=observer,
    )  # fmt: skip


def in_memory() -> tuple[Spans, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return Spans(SimpleSpanProcessor(exporter)), exporter


async def test_an_execution_is_a_trace_and_each_step_a_span_as_the_records_say(
    runtime: RuntimeHouse,
):
    spans, exporter = in_memory()
    await runtime.push(SUM, name="soma.py")
    await runtime.push(ASKING)
    worker = await watched(runtime, spans)
    async with runtime.working(worker):
        asked = await runtime.ask("f", {"note": SECRET}, trace_id=TRACE)
        await runtime.waiting(asked)
        await runtime.pass_time(hours=2)
        await runtime.answer(asked, "confirm", by="ana")
        end = await runtime.ended(asked)
    assert end.status == "complete", end.error

    found = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in found} == {end.trace_id}
    by_id = {f"{span.context.span_id:016x}": span for span in found}
    assert len(by_id) == len(found), "no span is sent twice"

    root = by_id[span_of(asked.id)]
    assert (root.name, root.parent) == ("f", None)
    assert root.attributes["logline.status"] == "complete"
    assert (root.end_time - root.start_time) >= 2 * 3600 * 10**9, "waits are part of it"

    steps = {span.name: span for span in found if "logline.step" in span.attributes}
    assert {"ctx.emit", "ctx.confirm", "ctx.run"} == set(steps)
    written = {record.span_id for record in await runtime.steps(asked.id)}
    for span in steps.values():
        assert f"{span.parent.span_id:016x}" == span_of(asked.id)
        assert f"{span.context.span_id:016x}" in written
    waited = steps["ctx.confirm"]
    assert waited.end_time - waited.start_time >= 2 * 3600 * 10**9

    (child,) = [span for span in found if span.name == "soma"]
    assert f"{child.parent.span_id:016x}" == span_of(asked.id)
    turns = [span for span in found if span.name == "turn"]
    assert {span.attributes["logline.status"] for span in turns} == {"waiting", "complete"}
    assert SECRET not in "".join(span.to_json() for span in found), "no input, no output"


async def test_a_run_in_one_turn_is_one_span_and_a_failed_one_says_its_code(runtime: RuntimeHouse):
    spans, exporter = in_memory()
    await runtime.push(SUM, name="soma.py")
    worker = await watched(runtime, spans)
    async with runtime.working(worker):
        done = await runtime.ended(await runtime.ask("soma", {"a": 1}))
        failed = await runtime.ended(await runtime.ask("soma", {"a": SECRET}, trace_id=TRACE))
    assert (done.status, failed.status) == ("complete", "error")
    good, bad = exporter.get_finished_spans()
    assert (good.status.is_ok, good.attributes["logline.worker"]) == (True, "w1")
    assert (bad.status.is_ok, bad.attributes["error.type"]) == (False, "program_failed")
    assert bad.status.description is None, "what failed may be quoted by its words"
    assert f"{bad.context.trace_id:032x}" == failed.trace_id == TRACE
    assert f"{good.context.trace_id:032x}" == trace_of(done.id), "whose records name no trace"


async def test_an_observer_that_raises_is_told_of_in_the_log_and_harms_nothing(
    runtime: RuntimeHouse, caplog: pytest.LogCaptureFixture
):
    class Broken:
        def begin(self, *_: Any, **__: Any) -> None:
            raise ValueError("begin")

        step = end = begin

    spans, exporter = in_memory()
    await runtime.push(SUM, name="soma.py")
    worker = await watched(runtime, joined([Broken(), SILENT, spans]))
    async with runtime.working(worker):
        end = await runtime.ended(await runtime.ask("soma", {"a": 1}))
    assert end.status == "complete"
    assert len(exporter.get_finished_spans()) == 1
    assert [record.message for record in caplog.records].count("Broken: ValueError") == 2


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers.get("Content-Encoding"), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


async def test_spans_reach_a_collector_over_http(runtime: RuntimeHouse):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.got = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        await runtime.push(SUM, name="soma.py")
        async with (
            exported(f"http://127.0.0.1:{server.server_port}") as spans,
            runtime.working(await watched(runtime, spans)),
        ):
            end = await runtime.ended(await runtime.ask("soma", {"a": 1}, trace_id=TRACE))
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
    ((path, encoding, body),) = server.got
    assert (path, encoding) == ("/v1/traces", None)
    told = ExportTraceServiceRequest.FromString(body)
    (span,) = told.resource_spans[0].scope_spans[0].spans
    assert (span.name, span.trace_id.hex()) == ("soma", end.trace_id)
    assert span.span_id.hex() == span_of(end.id)


async def test_without_an_endpoint_nothing_watches_and_without_the_package_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
):
    async with exported(None) as observer:
        assert observer is SILENT
        assert joined([observer]) is SILENT
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(Misconfigured) as refused:
        async with exported("http://127.0.0.1:4318"):
            raise AssertionError("it must not open")
    assert "loglineos[otlp]" in refused.value.advise("en")


async def scraped(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """Scrape the page; return each sample by its name and its labels' values, by label."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sample.labels[one] for one in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sources(runtime: RuntimeHouse, pool: Any) -> Sources:
    async def look() -> NodeLook:
        return await look_at_node(pool, now=runtime.clock.now())

    return Sources(
        look=look, database_errors=lambda: {"reader": 3}, tally=lambda: runtime.runners.tally
    )


async def test_the_page_of_metrics_says_what_was_done_and_what_the_database_holds(
    runtime: RuntimeHouse,
):
    pool = await runtime.house.pool("logline_reader")
    metrics = Metrics(sources(runtime, pool))
    await runtime.push(SUM, name="soma.py")
    await runtime.push(ASKING)
    await runtime.push("def main(input):\n    while True:\n        pass\n", name="lenta.py")
    await runtime.push("FUNCTION = {'queue': 'noite'}\n" + SUM, name="fecho.py")
    worker = await watched(runtime, metrics)
    async with metrics.served(0) as port:
        async with runtime.working(worker):
            await runtime.ended(await runtime.ask("soma", {"a": 1}))
            await runtime.ended(await runtime.ask("soma", {"a": "x"}))
            await runtime.ended(await runtime.ask("lenta", None))
            await runtime.waiting(await runtime.ask("f", {"note": "n"}))
        await runtime.ask("fecho", {"a": 2})
        later = runtime.clock.now() + timedelta(hours=1)
        await runtime.ask("fecho", {"a": 3}, run_at=later)
        found = await scraped(port)
        size = await runtime.writer.log_size("casa")
    assert found["logline_database_up", ()] == 1
    assert found["logline_records_total", ("casa",)] == size
    assert found["logline_executions_ended_total", ("soma", "complete")] == 1
    assert found["logline_executions_ended_total", ("soma", "error")] == 1
    assert found["logline_turns_total", ("waiting",)] == 1
    assert found["logline_turn_seconds_count", ("soma",)] == 2
    assert found["logline_step_seconds_count", ("ctx.emit",)] == 1
    assert found["logline_queue_executions", ("default", "waiting", "casa")] == 1
    assert found["logline_queue_executions", ("noite", "ready", "casa")] == 1
    assert found["logline_queue_executions", ("noite", "later", "casa")] == 1
    assert ("logline_follower_lag_records", ("waking", "casa")) in found
    assert found["logline_database_errors_total", ("reader",)] == 3
    assert found["logline_sandbox_runs_total", ("durable",)] == 1
    assert found["logline_sandbox_runs_total", ("pure",)] >= 3
    assert found["logline_sandbox_limits_total", ("time",)] >= 1
    assert found["logline_sandbox_runners_lost_total", ()] == 0
    with pytest.raises(httpx2.ConnectError):
        await scraped(port)


async def test_a_database_that_is_away_leaves_the_page_standing(runtime: RuntimeHouse):
    async def away() -> NodeLook:
        raise DatabaseUnavailable(reason="gone", retry_after_s=1)

    told = Sources(look=away, database_errors=dict, tally=lambda: None)
    async with Metrics(told).served(0) as port:
        found = await scraped(port)
    assert found["logline_database_up", ()] == 0
    assert not [name for name, _ in found if name.startswith("logline_records")]


async def test_names_beyond_the_bound_count_as_other_and_a_taken_port_is_named(
    runtime: RuntimeHouse,
):
    metrics = Metrics(sources(runtime, await runtime.house.pool("logline_reader")))
    now = runtime.clock.now()
    execution = await runtime.house.add()
    seen = TurnSeen(
        status="complete", code=None, worker="w1", attempt=1, began=now, started=now, ended=now
    )
    for n in range(LABELS_MAX + 50):
        metrics.end(msgspec.structs.replace(execution, name=f"f{n}"), seen)
    step = StepSeen(
        n=1, epoch=0, name="ctx.emit", status="error", code="x", began=now, ended=now, cpu_us=0
    )
    metrics.step(execution, step)
    async with metrics.served(0) as port:
        found = await scraped(port)
        with pytest.raises(Misconfigured) as refused:
            async with Metrics(sources(runtime, None)).served(port):
                raise AssertionError("the port is taken")
    ended = {labels[0]: n for (name, labels), n in found.items() if name.endswith("ended_total")}
    assert (len(ended), ended["other"]) == (LABELS_MAX + 1, 50)
    assert found["logline_step_errors_total", ("ctx.emit",)] == 1
    assert refused.value.fields["setting"] == "LOGLINE_METRICS_PORT"


async def test_looks_count_only_what_the_tenant_ended_in_the_positions_asked_for(
    runtime: RuntimeHouse,
):
    pool = await runtime.house.pool("logline_reader")
    await runtime.push(SUM, name="soma.py")
    start = await runtime.writer.log_size("casa")
    await runtime.run("soma", {"a": 1})
    await runtime.run("soma", {"a": "x"})
    end = await runtime.writer.log_size("casa")
    since = runtime.clock.now() - timedelta(minutes=5)
    asked = {"start": start, "end": end, "since": since}
    found = await count_ended(pool, "casa", **asked)
    assert [(one.function, one.status, one.count) for one in found] == [
        ("soma", "complete", 1), ("soma", "error", 1),
    ]  # fmt: skip
    assert await count_ended(pool, "pensao", **asked) == []
    assert await count_ended(pool, "casa", **{**asked, "start": end, "end": end + 9}) == []
    after = {**asked, "since": runtime.clock.now() + timedelta(minutes=1)}
    assert await count_ended(pool, "casa", **after) == []
    assert await count_dead(pool, "casa") == 0
    assert json.dumps((await look_at_node(pool, now=runtime.clock.now())).sizes)
