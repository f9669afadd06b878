"""A collector of OpenTelemetry: it takes traces by OTLP over HTTP, and keeps every span."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """An HTTP server on loopback."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        sent = ExportTraceServiceRequest.FromString(request.rfile.read(int(request.headers["content-length"])))
        for resource in sent.resource_spans:
            told = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.services.add(told["service.name"])
            self.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        request.send_response(200 if request.path == "/v1/traces" else 404)
        request.end_headers()

    def named(self, name: str) -> list[Span]:
        """The spans of this name that have come."""
        return [span for span in list(self.spans) if span.name == name]

    def above(self, span: Span) -> list[str]:
        """The names of the spans above a span, up to the first of the trace."""
        by_id = {(s.trace_id, s.span_id): s for s in list(self.spans)}
        names = []
        while parent := by_id.get((span.trace_id, span.parent_span_id)):
            names.append(parent.name)
            span = parent
        return names

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
