"""Exporting: spans go to a collector in the background, in batches, and never hold a run up.

Always holds: a collector that is away costs spans, not executions; without an endpoint nothing of
OpenTelemetry is even loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from loglineos.base.errors import Misconfigured
from loglineos.base.language import Text
from loglineos.runtime.execution.observer import SILENT, Observer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

SETTING: Final = "LOGLINE_OTLP_ENDPOINT"
_PATH: Final = "/v1/traces"
_FLUSH_MS_MAX: Final = 3_000
_EXPORT_S_MAX: Final = 3.0


@asynccontextmanager
async def exported(endpoint: str | None) -> AsyncIterator[Observer]:
    """Give an observer whose spans go to the OTLP collector at `endpoint`; None: a silent one.

    Leaving sends what is left, for at most a few seconds.

    Raises:
        Misconfigured: the exporter is not installed.
    """
    if endpoint is None:
        yield SILENT
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from loglineos.services.telemetry.spans import Spans  # noqa: PLC0415

    processor = BatchSpanProcessor(_exporter(endpoint))
    try:
        yield Spans(processor)
    finally:
        await asyncio.to_thread(processor.force_flush, _FLUSH_MS_MAX)
        await asyncio.to_thread(processor.shutdown)


def _exporter(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError as cause:
        raise Misconfigured(setting=SETTING, reason=_MISSING, remedy=_INSTALL) from cause
    base = endpoint.rstrip("/")
    url = base if base.endswith(_PATH) else base + _PATH
    return OTLPSpanExporter(endpoint=url, timeout=_EXPORT_S_MAX)


_MISSING: Final = Text(
    "falta o pacote opentelemetry-exporter-otlp-proto-http",
    "the package opentelemetry-exporter-otlp-proto-http is not installed",
)
_INSTALL: Final = Text(
    "instale o extra `otlp`: pip install 'loglineos[otlp]'",
    "install the extra `otlp`: pip install 'loglineos[otlp]'",
)
