"""A client that puts 50 times a second through everything, and notes how long it could not."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import Self

from lab import Cluster

from etcdapi.connection import etcd3

INTERVAL = 0.02
# One leader election: 1 to 2 s of time-out (etcd's default), the vote, and the client's way to the new leader.
ELECTION = 4.0


class Puts:
    """Between `with` and its end; `longest` is the longest time in seconds without a successful put."""

    def __init__(self, cluster: Cluster) -> None:
        self._urls = [m.client_port for m in cluster.members if m.process is not None]
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.count = 0
        self.longest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        clients = [etcd3.client("127.0.0.1", port, timeout=0.5) for port in self._urls]
        last, turn = time.monotonic(), 0
        while not self._stop.is_set():
            try:
                clients[turn].put("load", str(self.count))
            except Exception:  # noqa: BLE001  (another member is asked, as a client of several endpoints does)
                turn = (turn + 1) % len(clients)
            else:
                self.count += 1
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
            self._stop.wait(INTERVAL)
        self.longest = max(self.longest, time.monotonic() - last)
        for client in clients:
            client.close()
