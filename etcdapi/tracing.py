"""
Spans of the calls to etcd. Only a worker that records traces imports this.

A span has the call's method, the member's address and the status code. It has no request, no answer and no metadata,
so no password and no token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import grpc
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span

from etcdapi.connection import INTERCEPTORS


def trace_calls(tracer: Tracer) -> None:
    """From now on each unary call on a new connection has a span, if it is made within one."""
    INTERCEPTORS[:] = [partial(_CallSpans, tracer)]


class _CallSpans(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, tracer: Tracer, url: str) -> None:
        parts = urlsplit(url)
        self._tracer = tracer
        self._host, self._port = parts.hostname or "", parts.port or 0

    def intercept_unary_unary(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        if not get_current_span().get_span_context().is_valid:
            return continuation(details, request)
        span = self._start(details.method.lstrip("/"))
        try:
            call = continuation(details, request)
        except BaseException:
            span.end()
            raise
        call.add_done_callback(lambda done: _end(span, done.code()))
        return call

    def _start(self, name: str) -> Span:
        service, _, method = name.rpartition("/")
        called = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        address: dict[str, str | int] = {"server.address": self._host, "server.port": self._port}
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes={**called, **address})


def _end(span: Span, code: grpc.StatusCode) -> None:
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code is not grpc.StatusCode.OK:
        span.set_status(StatusCode.ERROR, code.name)
    span.end()
