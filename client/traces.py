"""OpenTelemetry traces, where the standard variables ask for them. Otherwise nothing of OpenTelemetry is imported."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer
    from temporalio.client import Interceptor

    from settings import Settings

# Seconds that the end of a process waits for a collector.
_PATIENCE = 2.0

_providers: list[TracerProvider] = []


def interceptors(settings: Settings) -> list[Interceptor]:
    """The interceptors of Temporal's client, and of the workers that use it."""
    if not settings.traces:
        return []
    from client.trace_interceptor import ChangeTraces

    return [ChangeTraces(tracer())]


def tracer() -> Tracer:
    """The tracer of this process. The SDK reads the other variables, such as the collector's address, by itself."""
    if not _providers:
        _providers.append(_new_provider())
    return _providers[0].get_tracer("memberflow")


def flush() -> None:
    """Sends the spans that are left. A collector that does not answer delays the end by two seconds at most."""
    for provider in _providers:
        sending = Thread(target=provider.force_flush, daemon=True, name="send spans")
        sending.start()
        sending.join(_PATIENCE)


def _new_provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # A name in the environment comes first.
    resource = Resource.create({SERVICE_NAME: "memberflow", **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
