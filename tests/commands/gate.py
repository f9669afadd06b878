"""A gate before Temporal that refuses some calls, as a server without permissions or visibility store does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc


class _Gate(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.Channel, refused: dict[str, grpc.StatusCode], calls: Counter[str]) -> None:
        self._channel = channel
        self._refused = refused
        self._calls = calls

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """Forwards the bytes of every call but the refused ones."""
        method = details.method.rpartition("/")[2]
        self._calls[method] += 1
        refusal = self._refused.get(method)
        forward = self._channel.unary_unary(details.method)
        metadata = [(key, value) for key, value in details.invocation_metadata if not key.startswith("grpc-")]

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if refusal:
                context.abort(refusal, "refused by the gate")
            try:
                return forward(request, timeout=context.time_remaining(), metadata=metadata)
            except grpc.RpcError as error:
                context.set_trailing_metadata(error.trailing_metadata())
                context.abort(error.code(), error.details())
                raise

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def gate(address: str, **refused: grpc.StatusCode) -> Iterator[tuple[str, Counter[str]]]:
    """
    The address of a gate before this server, and its count of calls by method.

    `refused` names methods and the code with which they are refused.
    """
    calls: Counter[str] = Counter()
    with grpc.insecure_channel(address) as channel:
        server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[_Gate(channel, refused, calls)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}", calls
        server.stop(None)
