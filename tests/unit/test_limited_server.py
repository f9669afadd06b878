"""Clients that are slow, silent or many hold little of an HTTP server, and nothing of the event loop beside it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler

import pytest

from client.limited_server import LimitedServer
from monitoring.endpoint import serving


class Handler(BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format, *args):
        pass


@contextmanager
def limited(**limits):
    server = LimitedServer(("127.0.0.1", 0), Handler, **limits)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read()


@pytest.mark.parametrize("drip", [b"x", b"X: y\r\n"], ids=["request line", "headers"])
def test_a_byte_now_and_then_holds_no_place(drip):
    """A time-out for each read would begin anew with every byte."""
    with limited(patience=0.5) as port, socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" if drip.startswith(b"X") else b"G")
        started = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - started < 10:
                client.sendall(drip)
                time.sleep(0.02)
        assert time.monotonic() - started < 5


def test_silent_clients_keep_no_other_from_its_answer():
    """The ones that came first make room, so that their number costs the server no threads."""
    before = threading.active_count()
    with limited(most=3) as port, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(20)]
        assert get(port) == b"ok"
        assert silent[0].recv(1) == b""
        assert threading.active_count() - before <= 1 + 2 * 3  # each client has a thread and a timer


async def test_the_loop_goes_on_while_the_endpoint_stops():
    """Acts under way send their heartbeats there."""
    turns = 0

    async def go_on():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async with serving(("127.0.0.1", 0), {}):
        beside = asyncio.create_task(go_on())
        await asyncio.sleep(0.01)
        at_stop = turns
    assert turns > at_stop
    beside.cancel()
