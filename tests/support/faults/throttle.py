"""A TCP relay that lets only so many bytes a second through, in front of a member's peer port."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Thread

from local.processes import free_port


class Throttle:
    """Forwards `port` to `upstream`; what is sent to the upstream is slowed down to `rate` bytes a second."""

    def __init__(self, upstream: int, rate: int) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", self.port))
        Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._upstream)) as server:
            back = Thread(target=_pump, args=(server, client, None), daemon=True)
            back.start()
            _pump(client, server, self._rate)
            back.join()


def _pump(source: socket.socket, target: socket.socket, rate: int | None) -> None:
    with suppress(OSError):
        while data := source.recv(16384):
            target.sendall(data)
            if rate:
                time.sleep(len(data) / rate)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
