"""An HTTP server whose clients hold little of it: few at a time, each for seconds at most."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Lock, Timer
from typing import Any

_log = logging.getLogger("memberflow.http")

MOST_CLIENTS = 32
# Seconds from the connection to the last byte of its answer, however many bytes came.
PATIENCE = 15.0
# Seconds that a new client waits for the place of the oldest one.
_MAKES_ROOM_WITHIN = 0.5


class LimitedServer(ThreadingHTTPServer):
    """
    Serves `most` clients at a time. Where all places are taken, the client that came first loses its connection.

    Raises OSError when the address cannot be listened at.
    """

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        most: int = MOST_CLIENTS,
        patience: float = PATIENCE,
    ) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self._patience = patience
        self._room = BoundedSemaphore(most)
        self._lock = Lock()
        #: The first one came first.
        self._open: list[socket.socket] = []
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self._cut_oldest()
            if not self._room.acquire(timeout=_MAKES_ROOM_WITHIN):
                self.shutdown_request(request)
                return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread left
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            with self._limited(request):
                super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was cut off, is no event."""
        _log.debug("a request was not answered", exc_info=True)

    @contextmanager
    def _limited(self, connection: socket.socket) -> Iterator[None]:
        """Ends the connection when its time is over."""
        end = Timer(self._patience, _cut, (connection,))
        end.daemon = True
        end.start()
        with self._lock:
            self._open.append(connection)
        try:
            yield
        finally:
            end.cancel()
            with self._lock:
                self._open.remove(connection)

    def _cut_oldest(self) -> None:
        with self._lock:
            oldest = self._open[:1]
        for connection in oldest:
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
