"""Turns a host name into addresses within a deadline. The system's own resolver knows no deadline."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Lock, Thread
from typing import Any

# Family and address, in the form that `socket.socket` and `connect` take.
SocketAddress = tuple[socket.AddressFamily, tuple[Any, ...]]

# Names that a thread is resolving. A resolver that hangs costs one thread for each name, however often it is asked.
_asked: dict[tuple[str, int], Future[list[SocketAddress]]] = {}
_lock = Lock()


def resolve(host: str, port: int, until: float) -> list[SocketAddress]:
    """The addresses of a host. Raises OSError when there are none, TimeoutError at `until` (a monotonic time)."""
    if is_address(host):
        return _ask(host, port)
    try:
        return _asking(host, port).result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        raise TimeoutError(f"the name {host} was not resolved in time") from None


def _asking(host: str, port: int) -> Future[list[SocketAddress]]:
    with _lock:
        future = _asked.get((host, port))
        if future is None:
            future = _asked[host, port] = Future()
            Thread(target=_answer, args=(host, port, future), daemon=True, name=f"resolve {host}").start()
        return future


def _answer(host: str, port: int, future: Future[list[SocketAddress]]) -> None:
    try:
        addresses = _ask(host, port)
    except Exception as error:  # noqa: BLE001  (the future's readers get it)
        outcome: Exception | None = error
    else:
        outcome = None
    with _lock:
        del _asked[host, port]
    if outcome:
        future.set_exception(outcome)
    else:
        future.set_result(addresses)


def _ask(host: str, port: int) -> list[SocketAddress]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(error.errno, f"the name {host} is unknown: {error.strerror}") from None
    except UnicodeError:
        raise OSError(0, f"{host} is not a host name") from None
    return [(family, address) for family, _, _, _, address in found]


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
