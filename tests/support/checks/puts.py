"""A client that puts 50 times a second through everything, and notes how long it could not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event, Thread
from typing import Self

from etcdapi.connection import etcd3
from support.parts.lab import Cluster

INTERVAL = 1 / 50
TIMEOUT = 0.5  # of one put: a client's way to the next member when a follower waits for a leader
# One leader election as a writer sees it: 1.0 to 2.2 s from SIGKILL to the new leader, and the put that was under way.
ELECTION = 3.0
# Acknowledged puts closer together than this are no outage. How many there are in a second is up to the machine.
_PAUSE = 0.25
# Outside of outages so many puts may fail, and this share of all: the member that was asked has been removed.
_FEW, _SHARE = 2, 0.05


class Puts:
    """Between `with` and its end; then `check` says whether writers could hardly notice."""

    def __init__(self, cluster: Cluster, *, counts: bool = True, ports: Sequence[int] = ()) -> None:
        """
        `counts`: false where the trouble itself takes the quorum away, so that there is nothing to check.

        `ports`: the client ports that the client knows. Empty: those of the members that run now.
        """
        self._counts = counts
        self._ports = ports or [m.client_port for m in cluster.members if m.process is not None]
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.count = 0
        #: Puts that failed, outside of outages.
        self.failed = 0
        self.gaps: list[float] = []  # the outages, in seconds

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Every put went through, but for some in outages of one election at most each."""
        if not self._counts:
            return
        assert max(self.gaps, default=0.0) < ELECTION, self.gaps
        assert self.count > 0, self.gaps
        assert self.failed <= _FEW + _SHARE * self.count, (self.failed, self.count, self.gaps)

    def _run(self) -> None:
        clients = [etcd3.client("127.0.0.1", port, timeout=TIMEOUT) for port in self._ports]
        last = due = time.monotonic()
        turn = failed = 0
        while not self._stop.is_set():
            try:
                clients[turn].put("load", str(self.count))
            except Exception:  # noqa: BLE001  (another member is asked, as a client of several endpoints does)
                turn = (turn + 1) % len(clients)
                failed += 1
                due = time.monotonic()
            else:
                self.count += 1
                outages = len(self.gaps)
                last = self._note(last)
                self.failed += failed if outages == len(self.gaps) else 0
                failed = 0
            due += INTERVAL
            self._stop.wait(due - time.monotonic())
        self._note(last)
        for client in clients:
            client.close()

    def _note(self, last: float) -> float:
        """The moment, up to which nothing was put since `last`."""
        now = time.monotonic()
        if now - last > _PAUSE:
            self.gaps.append(round(now - last, 3))
        return now
