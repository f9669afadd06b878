"""
A relay in front of one etcd member that can spoil calls: lose an answer, refuse, delay.

It passes gRPC and plain HTTP through on one port (`relay_port.py`). It records every gRPC call, and every plain HTTP
request that it refused. The demo and the tests put it between the worker and etcd. `relay_process.py` runs a relay as
a process. `faults.py` has the faults and the records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar

import grpc
import grpc.aio

from etcdapi.faults import Call, Fault, describe, describe_answer
from etcdapi.relay_port import RelayPort

_STREAMS = {"Watch", "LeaseKeepAlive", "Snapshot"}
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class _Loop:
    """The event loop that all relays of a process share. It runs in its own thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                Thread(target=self._loop.run_forever, daemon=True, name="relays").start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)


_loop = _Loop()


@dataclass
class Relay:
    """Relays one loopback port to another, between `start` and `stop`."""

    #: The port that the relay listens on.
    port: int
    #: The member's client port.
    upstream: int
    #: Called with each call when it ends.
    on_call: Callable[[Call], None] = lambda _: None
    #: The calls so far, also those under way.
    calls: list[Call] = field(default_factory=list)
    #: The faults that are injected, the next one first.
    faults: list[Fault] = field(default_factory=list)
    #: Connections that were opened so far.
    connections: int = 0
    #: Plain HTTP requests that went to the member.
    gets: int = 0
    #: Calls that go on although their callers have given them up.
    _forgotten: list[asyncio.Future[tuple[bytes, grpc.StatusCode, str]]] = field(default_factory=list)

    def start(self) -> None:
        _loop.run(self._start())

    def stop(self) -> None:
        _loop.run(self._stop())

    def inject(self, fault: Fault) -> None:
        self.faults.append(fault)

    def clear(self) -> None:
        """Forgets faults and calls."""
        self.faults.clear()
        self.calls.clear()
        self.connections = self.gets = 0

    def sent(self, method: str) -> list[Call]:
        """The calls of a method that reached the member."""
        return [call for call in list(self.calls) if call.method == method and call.forwarded]

    async def _start(self) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.upstream}", options=_OPTIONS)
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_Everything(self),))
        grpc_port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._front = RelayPort(grpc_port, self.upstream, self._note_connection, self._passes)
        await self._front.listen(self.port)

    async def _stop(self) -> None:
        self._front.close()
        await self._server.stop(None)
        await self._channel.close()

    # ---- connections and plain HTTP ----

    def _note_connection(self) -> None:
        self.connections += 1

    def _passes(self, head: bytes) -> bool:
        """Whether a plain HTTP request goes to the member. A fault drops it, and records it as a call."""
        call = Call(b" ".join(head.split(b" ", 2)[:2]).decode(errors="replace"))
        fault = self._next_fault(call.method)
        if fault is None or fault.kind == "pass":
            self.gets += 1
            return True
        call.fault = fault.kind
        self.calls.append(call)
        self._finish(call)
        return False

    # ---- gRPC ----

    async def unary(self, path: str, request: bytes, context: Context) -> bytes:
        method = path.rsplit("/", 1)[1]
        fault = self._next_fault(method)
        # Tokens are not recorded.
        known = tuple((k, str(v)) for k, v in _metadata(context) if k == "hasleader")
        call = Call(method, fault=fault.kind if fault else "", metadata=known)
        describe(call, request)
        self.calls.append(call)
        try:
            return await self._answer(path, request, context, call, fault)
        finally:
            # A caller that gives up cancels this.
            if not call.ended:
                self._finish(call)

    async def _answer(self, path: str, request: bytes, context: Context, call: Call, fault: Fault | None) -> bytes:
        if fault and fault.kind == "forget":
            # Kept here because the event loop holds its tasks weakly, and this handler ends with its caller.
            self._forgotten.append(asyncio.ensure_future(self._forget(path, request, _metadata(context), call, fault)))
            answer, code, text = await asyncio.shield(self._forgotten[-1])
            if code is not grpc.StatusCode.OK:
                await context.abort(code, text)
            return answer
        if fault and fault.arrives:
            await asyncio.to_thread(fault.arrives)
        if fault and fault.kind == "refuse":
            self._finish(call)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "relay: refused before forwarding")
        if fault and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        call.forwarded = True
        answer, code, text = await self._forward(path, request, context.time_remaining(), _metadata(context))
        call.code = code.name
        describe_answer(call, answer)
        if fault and fault.kind in ("lose", "unavailable") and code is not grpc.StatusCode.OK:
            fault.missed()
            fault = None
        if fault and fault.answered:
            await asyncio.to_thread(fault.answered)
        self._finish(call)
        if fault and fault.kind == "lose":
            await asyncio.sleep(3600)
        if fault and fault.kind == "unavailable":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "relay: answered UNAVAILABLE after forwarding")
        if code is not grpc.StatusCode.OK:
            await context.abort(code, text)
        return answer

    async def _forget(
        self, path: str, request: bytes, metadata: list[tuple[str, str | bytes]], call: Call, fault: Fault
    ) -> tuple[bytes, grpc.StatusCode, str]:
        """Forwards the call whatever becomes of its caller, also where `arrives` holds it back for longer."""
        if fault.arrives:
            await asyncio.to_thread(fault.arrives)
        call.forwarded = True
        answer, code, text = await self._forward(path, request, None, metadata)
        call.code = code.name
        describe_answer(call, answer)
        if fault.answered:
            await asyncio.to_thread(fault.answered)
        return answer, code, text

    async def _forward(
        self, path: str, request: bytes, timeout: float | None, metadata: list[tuple[str, str | bytes]]
    ) -> tuple[bytes, grpc.StatusCode, str]:
        call: Any = self._channel.unary_unary(path)
        try:
            answer = await call(request, timeout=timeout, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return b"", error.code(), error.details() or ""
        return answer, grpc.StatusCode.OK, ""

    async def stream(self, path: str, requests: Any, context: Context) -> Any:
        call: Any = self._channel.stream_stream(path)
        try:
            async for answer in call(requests, metadata=_metadata(context)):
                yield answer
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")

    def _next_fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and fault.times != 0:
                fault.hit()
                return fault
        return None

    def _finish(self, call: Call) -> None:
        call.ended = time.time()
        self.on_call(call)


class _Everything(grpc.GenericRpcHandler):
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        path: str = details.method
        if path.rsplit("/", 1)[1] in _STREAMS:
            # A lambda around `stream` would not be recognised as an async generator.
            return grpc.stream_stream_rpc_method_handler(partial(self._relay.stream, path))
        return grpc.unary_unary_rpc_method_handler(self._unary(path))

    def _unary(self, path: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(request: bytes, context: Any) -> bytes:
            return await self._relay.unary(path, request, context)

        return handle


def _metadata(context: Context) -> list[tuple[str, str | bytes]]:
    return [(k, v) for k, v in context.invocation_metadata() or () if k in ("token", "authorization", "hasleader")]
