"""The port of a relay, for both protocols: gRPC goes to the relay's own server, plain HTTP to the member."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")


class RelayPort:
    """Listens on one loopback port. Its end closes its connections."""

    def __init__(
        self, grpc_port: int, upstream: int, on_connection: Callable[[], None], passes: Callable[[bytes], bool]
    ) -> None:
        self._grpc_port = grpc_port
        self._upstream = upstream
        self._on_connection = on_connection
        # Whether a plain HTTP request with this head goes to the member. If not, its connection is closed.
        self._passes = passes
        # The event loop holds its tasks weakly.
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    def close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """HTTP/2 begins with `PRI`. Everything else is plain HTTP."""
        self._on_connection()
        try:
            first = await reader.readexactly(3)
            port, send = (self._grpc_port, pipe) if first == b"PRI" else (self._upstream, self._pipe_requests)
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(send(reader, upstream_writer, first), pipe(upstream_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _pipe_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        """Passes requests one by one, so that a later fault also affects a connection that is kept open."""
        try:
            while True:
                head = first + await reader.readuntil(b"\r\n\r\n")
                first = b""
                if not self._passes(head):
                    return
                length = _LENGTH.search(head)
                writer.write(head + await reader.readexactly(int(length[1]) if length else 0))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
    """Sends `first` and then everything that comes, until one side is closed."""
    try:
        writer.write(first)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
