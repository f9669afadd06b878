"""A lying member: its answers are as long, as slow and as large as it likes. No look waits or grows for it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from reach import Seeming, client, seeming_voter

from etcdapi import connection, http
from etcdapi.connection import Connection
from etcdapi.http import MOST_BYTES, AnswerTooLarge, HttpEndpoint
from etcdapi.look import MOST_URLS
from etcdapi.raft import parse_view, uptime_of
from etcdapi.stubs import rpc_pb2
from membership import etcd_errors as e
from membership.errors import ClusterUnreachable
from membership.etcd import Access


class Liar:
    """A TCP server that sends each client these pieces, with a pause after each, until the client goes."""

    def __init__(self, *pieces, pause=0.0):
        self._pieces = pieces
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._lie, args=(client,), daemon=True).start()

    def _lie(self, client):
        with client:
            client.recv(65536)
            try:
                for piece in self._pieces:
                    client.sendall(piece)
                    self.sent += len(piece)
                    time.sleep(self._pause)
            except OSError:
                pass


HEAD = b"HTTP/1.1 200 OK\r\n"
DRIP = [b"x"] * 1000


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"Content-Length: 1000\r\n\r\n", *DRIP],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000],
        [HEAD + b"X: ", *DRIP],
        DRIP,
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 1000,
    ],
    ids=["body", "chunks", "header", "no HTTP", "go on"],
)
def test_a_byte_now_and_then_holds_nobody(pieces):
    """There is one deadline for all of an answer, and not one for every byte. The next request has its own."""
    liar = Liar(*pieces, pause=0.05)
    endpoint = HttpEndpoint("127.0.0.1", liar.port)
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            endpoint.get("/debug/vars", within=0.3)
        assert 0.25 < time.monotonic() - started < 1
    endpoint.close()
    liar.close()


def test_a_held_connection_holds_no_other_thread():
    """Whoever wants the connection meanwhile gives up at its own deadline."""
    liar = Liar(HEAD + b"Content-Length: 9\r\n\r\n", *DRIP, pause=0.2)
    endpoint = HttpEndpoint("127.0.0.1", liar.port)

    def hold():
        with suppress(OSError):
            endpoint.get("/debug/vars", 1.5)

    first = threading.Thread(target=hold)
    first.start()
    time.sleep(0.1)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="still under way"):
        endpoint.get("/metrics", within=0.2)
    assert time.monotonic() - started < 1
    first.join()
    endpoint.close()
    liar.close()


@pytest.mark.parametrize("length", [f"Content-Length: {10**10}", "Connection: close"])
def test_an_answer_without_an_end_fills_no_memory(length):
    """The member would send gigabytes; a little more than the limit is read, and the connection is closed."""
    liar = Liar(HEAD + length.encode() + b"\r\n\r\n", *[bytes(65536)] * 1000)
    endpoint = HttpEndpoint("127.0.0.1", liar.port)
    with pytest.raises(AnswerTooLarge):
        endpoint.get("/debug/vars", within=5)
    endpoint.close()
    liar.close()
    assert liar.sent < 2 * MOST_BYTES + 8 * 1024 * 1024  # the system's own buffers


def test_an_answer_that_breaks_off_is_none():
    """Half a page is no page."""
    liar = Liar(HEAD + b"Content-Length: 10\r\n\r\nhalf")
    one = Connection(f"http://127.0.0.1:{liar.port}", Access(()))
    with closing(one), pytest.raises(e.Unreachable, match="broke within the answer"):
        one.get("/debug/vars")
    liar.close()


def test_a_resolver_that_hangs_holds_nobody(monkeypatch):
    """The system's resolver takes 15 s and more; one thread waits for it, however often the name is asked for."""
    asked, answer = [], threading.Event()

    def hang(*args, **_):
        asked.append(args)
        answer.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    endpoint = HttpEndpoint("etcd.example", 2379)
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"etcd\.example was not resolved in time"):
            endpoint.get("/debug/vars", within=0.1)
        assert time.monotonic() - started < 1
    assert len(asked) == 1
    answer.set()


def test_an_unknown_name_is_told():
    """In one sentence, without the resolver's number."""
    with closing(Connection("http://etcd.invalid:1", Access(()))) as one, pytest.raises(e.Unreachable) as caught:
        one.get("/debug/vars")
    assert "the name etcd.invalid is unknown: " in str(caught.value).lower()


def test_a_name_with_several_addresses(monkeypatch):
    """Nothing listens at the first one; the next is tried within the same deadline."""
    liar = Liar(HEAD + b"Content-Length: 2\r\n\r\nok")
    addresses = [(socket.AF_INET, ("127.0.0.2", liar.port)), (socket.AF_INET, ("127.0.0.1", liar.port))]
    monkeypatch.setattr(http, "resolve", lambda *_: addresses)
    with closing(HttpEndpoint("etcd.example", liar.port)) as endpoint:
        assert endpoint.get("/version", within=1).body == b"ok"
    liar.close()


def test_a_message_that_is_too_large_is_an_error():
    """A member list has some kB; a server that sends megabytes fails the call, and the message is not kept."""
    row = rpc_pb2.Member(ID=1, name="x" * (connection.MOST_MESSAGE_BYTES + 1))
    server = seeming_voter(0xA, 1, MemberList=rpc_pb2.MemberListResponse(members=[row]))
    with client(server.url) as etcd, pytest.raises(ClusterUnreachable, match="larger than max"):
        etcd.look()
    server.close()


def test_a_packed_message_that_is_too_large_is_an_error():
    """Forty megabytes of one letter travel as some kB, so the limit counts what they become."""
    row = rpc_pb2.Member(ID=1, name="x" * 40_000_000)
    server = seeming_voter(0xA, 1, MemberList=rpc_pb2.MemberListResponse(members=[row]), compressed=True)
    with client(server.url) as etcd, pytest.raises(ClusterUnreachable, match="larger than max"):
        etcd.look()
    server.close()


@pytest.mark.parametrize("of", ["Status", "MemberList"])
def test_a_long_answer_is_no_answer(of):
    """The look of a change is kept by Temporal, which takes two megabytes: one member would end all changes."""
    header = rpc_pb2.ResponseHeader(cluster_id=0xA, member_id=1)
    long = {
        "Status": rpc_pb2.StatusResponse(header=header, version="\x01" * 65_537, leader=1, raftTerm=2),
        "MemberList": rpc_pb2.MemberListResponse(header=header, members=[rpc_pb2.Member(ID=1, name="x" * 65_537)]),
    }
    server = seeming_voter(0xA, 1, **{of: long[of]})
    with client(server.url) as etcd, pytest.raises(ClusterUnreachable, match="bytes, more than etcd ever sends"):
        etcd.look()
    server.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n"],
        [HEAD, *[b"X: y\r\n"] * 100_000],
        [HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"],
        [HEAD + b"Content-Length: -5\r\n\r\n{}"],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"],
        [HEAD + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000],
        [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/debug/vars\r\nContent-Length: 0\r\n\r\n"],
    ],
    ids=["long header", "many headers", "packed", "negative", "endless chunk", "deep", "redirect"],
)
def test_a_page_of_another_shape_is_none(pieces):
    """Of `/debug/vars` and `/metrics`: such a page is no evidence, and no other error than these comes of it."""
    liar = Liar(*pieces)
    started = time.monotonic()
    with closing(Connection(f"http://127.0.0.1:{liar.port}", Access(()))) as one:
        with suppress(e.Unreachable):
            assert parse_view(one.get("/debug/vars").body) is None
        with suppress(e.Unreachable, ValueError):
            answer = one.get("/metrics")
            assert uptime_of(answer.body, answer.headers.get("Date", "")) is None
    assert time.monotonic() - started < 3
    liar.close()


def test_a_look_has_one_deadline(monkeypatch):
    """Its parts share it: each of them would have its own two seconds, and there is no bound to their number."""
    release = threading.Event()
    header = rpc_pb2.ResponseHeader(cluster_id=1, member_id=2)
    rows = [rpc_pb2.Member(ID=2, name="a"), rpc_pb2.Member(ID=3, name="b", clientURLs=["http://127.0.0.1:1"])]
    answers = {
        "Status": rpc_pb2.StatusResponse(header=header, version="3.6.0", leader=2, raftTerm=2),
        "MemberList": rpc_pb2.MemberListResponse(header=header, members=rows),
    }

    def slow(method, _):
        release.wait(0.6)
        return answers[method]

    server = Seeming(slow)
    monkeypatch.setattr("etcdapi.client.LOOK_DEADLINE", 0.5)
    with client(server.url) as etcd:
        started = time.monotonic()
        with pytest.raises(ClusterUnreachable):
            etcd.look()
        assert time.monotonic() - started < 1
    release.set()
    server.close()


def test_a_forged_order_leads_to_few_addresses():
    """An order names URLs at which the cluster may be. Each costs the worker a connection."""
    with client("http://127.0.0.1:1") as etcd:
        with pytest.raises(ClusterUnreachable):
            etcd.expecting("c0ffee", also=[f"http://127.0.0.1:{port}" for port in range(1, 1000)]).look()
        assert etcd._calls._connections.count <= MOST_URLS + 1


def test_the_limits_leave_room():
    """A real page must pass: `/metrics` of a busy member has half a megabyte."""
    assert http.MOST_BYTES >= 4 * 500_000
