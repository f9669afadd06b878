"""A gate before Temporal that refuses some calls, as a server without permissions or visibility store does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc


class _Gate(grpc.GenericRpcHandler):
    def __init__(self, channel: grpc.Channel, refused: dict[str, grpc.StatusCode]) -> None:
        self._channel = channel
        self._refused = refused

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """Forwards the bytes of every call but the refused ones."""
        refusal = self._refused.get(details.method.rpartition("/")[2])
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
def gate(address: str, **refused: grpc.StatusCode) -> Iterator[str]:
    """The address of a gate before this server; `refused` names methods and the code with which they are refused."""
    with grpc.insecure_channel(address) as channel:
        server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[_Gate(channel, refused)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None)
