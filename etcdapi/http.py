"""
Plain HTTP GET on a member's port, over one connection that is kept.

A member may lie. So every answer has a size limit, and a single deadline from the resolution of the name to the last
byte.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from io import BufferedReader, RawIOBase
from threading import Lock
from typing import Any

from etcdapi.resolving import resolve

# Bytes. `/debug/vars` is some 20 kB, `/metrics` of a busy member some 500.
MOST_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class HttpAnswer:
    """The answer to a GET."""

    status: int
    body: bytes
    headers: Message


class AnswerTooLarge(OSError):
    """The body has more than MOST_BYTES. The connection is closed."""


class HttpEndpoint:
    """GET requests to one host and port. Threads may share it. One request is under way at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._connection = _Connection(host, port, context)
        self._lock = Lock()

    def close(self) -> None:
        """Closes the connection. The next request opens another."""
        with self._lock:
            self._connection.close()

    def certificate(self, within: float) -> bytes:
        """The certificate of the other side, as DER. Raises OSError when the handshake fails."""
        with self._lock:
            self._connection.until = time.monotonic() + within
            self._connection.connect()
            return self._connection.certificate()

    def get(self, path: str, within: float) -> HttpAnswer:
        """
        The answer, within that many seconds in all.

        Raises OSError (TimeoutError, ssl.SSLError and AnswerTooLarge among them) or HTTPException.
        """
        until = time.monotonic() + within
        if not self._lock.acquire(timeout=within):
            raise TimeoutError("another request to it is still under way")
        try:
            return self._get(path, until)
        except (OSError, HTTPException):
            self._connection.close()
            raise
        finally:
            self._lock.release()

    def _get(self, path: str, until: float) -> HttpAnswer:
        self._connection.until = until
        kept = self._connection.sock is not None
        try:
            return self._exchange(path)
        except (RemoteDisconnected, ConnectionError):
            if not kept:
                raise
            self._connection.close()  # the server closed the kept connection: a new one shows its present state
            return self._exchange(path)

    def _exchange(self, path: str) -> HttpAnswer:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise AnswerTooLarge(f"the answer is larger than {MOST_BYTES} bytes")
        if answer.length:
            raise ConnectionError("the connection broke within the answer")
        return HttpAnswer(answer.status, body, answer.headers)


class _Connection(HTTPConnection):
    """An HTTP connection on which every operation ends at `until`."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._context = context
        self.until = 0.0
        self.sock: Any = None

    def connect(self) -> None:
        """Tries the addresses of the host one after the other, each for its share of the remaining time."""
        addresses = resolve(self.host, self.port, self.until)
        for left in range(len(addresses), 0, -1):
            family, address = addresses[-left]
            try:
                self.sock = self._open(family, address, self.left() / left)
                return
            except ssl.SSLError:
                raise
            except OSError:
                if left == 1:
                    raise
        raise OSError(0, f"the name {self.host} has no address")

    def certificate(self) -> bytes:
        inner = self.sock.inner
        return inner.getpeercert(binary_form=True) or b"" if isinstance(inner, ssl.SSLSocket) else b""

    def _open(self, family: socket.AddressFamily, address: tuple[Any, ...], share: float) -> _TimedSocket:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(share)
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                return _TimedSocket(plain, self)
            plain.settimeout(self.left())
            return _TimedSocket(self._context.wrap_socket(plain, server_hostname=self.host), self)
        except BaseException:
            plain.close()
            raise

    def left(self) -> float:
        """Seconds until the deadline. Raises TimeoutError after it."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class _TimedSocket:
    """The three methods of a socket that http.client uses, each limited to the remaining time."""

    def __init__(self, inner: socket.socket, connection: _Connection) -> None:
        self.inner = inner
        self._connection = connection

    def sendall(self, data: bytes) -> None:
        self.inner.settimeout(self._connection.left())
        self.inner.sendall(data)

    def makefile(self, mode: str) -> BufferedReader:
        return BufferedReader(_TimedReader(self.inner, self._connection))

    def close(self) -> None:
        self.inner.close()


class _TimedReader(RawIOBase):
    """Reads from a socket, and keeps the socket open until the reader itself is closed, as `makefile` does."""

    def __init__(self, inner: socket.socket, connection: _Connection) -> None:
        self._inner = inner
        self._file = inner.makefile("rb", buffering=0)
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._inner.settimeout(self._connection.left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
