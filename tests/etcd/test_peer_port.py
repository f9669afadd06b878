"""The question to a peer port: what it takes for an answer, how long it waits, and what it never tells."""

from __future__ import annotations

import json
import ssl
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import trustme

from etcdapi.peer_port import SIZE_LIMIT, ask_peer_port
from local.processes import free_port
from membership.etcd_errors import Unreachable

ROWS = [{"id": 12032490180134819944, "peerURLs": ["http://a:2380"], "isLearner": True, "name": "a"}, {"id": 7}]
BODY = json.dumps(ROWS).encode()
DEADLINE = 0.5


class Server(ThreadingHTTPServer):
    """Answers each GET as it is told, and keeps the requests' headers."""

    def __init__(self, *, status=200, body=BODY, headers=(("X-Etcd-Cluster-ID", "c0ffee"),), slowly=0.0):
        self.asked = []
        self.reply = (status, body, dict(headers), slowly)
        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body, headers, slowly = self.server.reply
        self.server.asked.append((self.path, dict(self.headers)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(len(body)) if slowly else ():
            time.sleep(slowly)
            self.wfile.write(body[at : at + 1])
        self.wfile.write(b"" if slowly else body)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def serve():
    """Makes servers that end with the test."""
    servers = []

    def make(**reply):
        servers.append(Server(**reply))
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_list_of_a_peer_port(serve):
    """IDs in hex, a learner as such; no credential goes there."""
    server = serve()
    told = ask_peer_port([server.url], None, DEADLINE)
    assert told.cluster_id == "c0ffee"
    assert [(m.id, m.name, m.is_learner, m.peer_urls) for m in told.members] == [
        ("7", "", False, ()),
        ("a6fbfe11664fd868", "a", True, ("http://a:2380",)),
    ]
    [(path, headers)] = server.asked
    assert path == "/members"
    assert set(headers) <= {"Host", "Accept-Encoding"}


@pytest.mark.parametrize(
    "reply",
    [
        {"status": 404},
        {"status": 302, "headers": (("Location", "/members"), ("X-Etcd-Cluster-ID", "c"))},
        {"headers": ()},
        {"headers": (("X-Etcd-Cluster-ID", "not hex"),)},
        {"body": b"nothing"},
        {"body": b'{"id": 7}'},
        {"body": b'[{"id": "x"}]'},
        {"body": b"[" + b" " * SIZE_LIMIT + b"]"},
        {"body": b"[" * 100_000},
        {"body": json.dumps([{"id": "9" * 5000}]).encode()},
        {"body": zlib.compress(BODY), "headers": (("X-Etcd-Cluster-ID", "c"), ("Content-Encoding", "deflate"))},
        {"headers": tuple((f"X-{n}", "y") for n in range(1000))},
        {"headers": (("X-Etcd-Cluster-ID", "c" * 100_000),)},
    ],
    ids=[
        "not found",
        "redirect",
        "no cluster",
        "bad cluster",
        "no JSON",
        "no list",
        "no ID",
        "too long",
        "deep",
        "long ID",
        "packed",
        "many headers",
        "long header",
    ],
)
def test_other_answers_are_none(serve, reply):
    """Nor is a redirect followed."""
    server = serve(**reply)
    with pytest.raises(Unreachable):
        ask_peer_port([server.url], None, DEADLINE)
    assert len(server.asked) == 1


def test_one_deadline_for_all_of_it(serve):
    """Also where a server sends a byte now and then, for ever."""
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no answer within"):
        ask_peer_port([serve(slowly=0.1).url], None, DEADLINE)
    assert time.monotonic() - started < 2 * DEADLINE


def test_one_of_several_urls_is_enough(serve):
    """The one that refuses costs nothing."""
    refusing = f"http://127.0.0.1:{free_port()}"
    assert ask_peer_port([refusing, serve().url], None, DEADLINE).cluster_id == "c0ffee"
    with pytest.raises(Unreachable, match="refused"):
        ask_peer_port([refusing], None, DEADLINE)


def test_an_https_peer_must_be_certified_by_the_clusters_authority(serve, tmp_path):
    """And is told no certificate of ours."""
    authority, server = trustme.CA(), serve()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for name, known in (("own", authority), ("other", trustme.CA())):
        known.cert_pem.write_to_path(tmp_path / name)
    url = server.url.replace("http:", "https:")
    assert ask_peer_port([url], tmp_path / "own", DEADLINE).cluster_id == "c0ffee"
    with pytest.raises(Unreachable, match="unable to get local issuer certificate"):
        ask_peer_port([url], tmp_path / "other", DEADLINE)
