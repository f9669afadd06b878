"""
The open connections of a cluster.

A worker looks at many clusters, and each connection costs it an open file. So a thread that all clusters share closes
the connections that have not been used for a while. They are opened again when they are needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread
from weakref import WeakSet

from etcdapi.connection import Connection
from membership.etcd import Access

# Seconds without a call after which a connection is closed, and seconds between two searches for such connections.
IDLE_AFTER = 50.0
LOOK_EVERY = 5.0


@dataclass
class _Open:
    """A connection and its use."""

    connection: Connection
    #: The number of calls that use it now.
    calls: int = 0
    #: Seconds on the monotonic clock at which the last call ended.
    used: float = field(default_factory=time.monotonic)


class Connections:
    """One connection for each endpoint of a cluster. Threads may share it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = Lock()
        self._open: dict[str, _Open] = {}
        self._retired = False
        _closer.watch(self)

    @contextmanager
    def use(self, url: str) -> Iterator[Connection]:
        """
        The connection to an endpoint. It stays open at least until the block ends.

        Raises the errors of `Connection`.
        """
        with self._lock:
            one = self._open.get(url)
            if one is None:
                one = self._open[url] = _Open(Connection(url, self._access))
            one.calls += 1
        try:
            yield one.connection
        finally:
            with self._lock:
                one.calls -= 1
                one.used = time.monotonic()
            if self._retired:
                self.close_unused(0)

    def close_unused(self, seconds: float) -> None:
        """Closes the connections that no call has used for that many seconds."""
        since = time.monotonic() - seconds
        with self._lock:
            unused = [url for url, one in self._open.items() if one.calls == 0 and one.used <= since]
            closing = [self._open.pop(url).connection for url in unused]
        for connection in closing:
            connection.close()

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._open)

    def retire(self) -> None:
        """From now on every connection is closed as soon as its last call ends."""
        self._retired = True
        self.close_unused(0)


class _Closer:
    """The thread that closes unused connections."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watched: WeakSet[Connections] = WeakSet()
        self._thread: Thread | None = None

    def watch(self, connections: Connections) -> None:
        with self._lock:
            self._watched.add(connections)
            if self._thread is None:
                self._thread = Thread(target=self._run, daemon=True, name="close idle connections")
                self._thread.start()

    def watched(self) -> list[Connections]:
        with self._lock:
            return list(self._watched)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            for connections in self.watched():
                connections.close_unused(IDLE_AFTER)


_closer = _Closer()


def open_connections() -> int:
    """The number of open connections of this process to members of etcd."""
    return sum(connections.count for connections in _closer.watched())
