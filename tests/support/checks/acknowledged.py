"""A client that puts numbered keys all along, and a check that no acknowledged one is lost."""

from __future__ import annotations

import time
from contextlib import closing
from threading import Event, Thread
from typing import Any

from etcdapi.connection import etcd3
from etcdapi.stubs import rpc_pb2
from support.parts.lab import Cluster

PREFIX = "chaos/"
INTERVAL = 0.05
# Seconds after which a put goes to the next member. A put without an answer is not acknowledged.
TIMEOUT = 0.5


class Writes:
    """Puts one new key after another into whichever members serve, from `start` to `stop`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._clients: dict[int, Any] = {}
        self._last = time.monotonic()
        #: The longest time without an acknowledged put since the last `take_gap`, in seconds.
        self._gap = 0.0
        #: The keys that etcd acknowledged, in order.
        self.acknowledged: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def take_gap(self) -> float:
        """The longest time without an acknowledged put since the last call of this, in seconds."""
        gap, self._gap = max(self._gap, time.monotonic() - self._last), 0.0
        return gap

    def lost(self, since: int = 0) -> list[str]:
        """The acknowledged keys, from number `since` on, that a linearizable read does not find."""
        acknowledged = self.acknowledged[since:]
        if not acknowledged:
            return []
        request = rpc_pb2.RangeRequest(
            key=acknowledged[0].encode(), range_end=(acknowledged[-1] + "~").encode(), keys_only=True
        )
        with closing(self._cluster.client(self._cluster.leader())) as client:
            found = {kv.key.decode() for kv in client.kvstub.Range(request, timeout=10).kvs}
        return [key for key in acknowledged if key not in found]

    def _run(self) -> None:
        number = asked = 0
        while not self._stop.is_set():
            ports = self._ports()
            key = f"{PREFIX}{number:08}"
            number += 1
            if ports and self._put(ports[asked % len(ports)], key):
                now = time.monotonic()
                self._gap, self._last = max(self._gap, now - self._last), now
                self.acknowledged.append(key)
            else:
                asked += 1
            self._stop.wait(INTERVAL)

    def _put(self, port: int, key: str) -> bool:
        client = self._clients.get(port)
        if client is None:
            client = self._clients[port] = etcd3.client("127.0.0.1", port, timeout=TIMEOUT)
        try:
            client.put(key, "x")
        except Exception:  # noqa: BLE001  (the next member is asked, as a client of several endpoints does)
            return False
        return True

    def _ports(self) -> list[int]:
        members = list(self._cluster.members)
        return [m.client_port for m in members if m.process is not None and m.process.exit_code() is None]
