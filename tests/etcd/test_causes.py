"""Each broken connection is told by its own cause, in one sentence: never by OpenSSL's or gRPC's numbers."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from reach import client

from etcdapi.calls import Calls
from etcdapi.stubs import rpc_pb2
from local.processes import free_port
from membership import etcd_errors as e
from membership.errors import MemberflowError
from membership.etcd import Access
from support.parts.command import eventually

NOW = datetime.now(UTC)
DUMPS = ("TSI", "SSL_ERROR", "ipv4:", "%5B", "_ssl.c", "last error")


def told(*urls, **access):
    """What a look at these endpoints fails with."""
    with client(*urls, **access) as etcd, pytest.raises(MemberflowError) as caught:
        etcd.look()
    text = str(caught.value)
    assert [word for word in DUMPS if word in text] == []
    return text


def issued(folder, authority, **more):
    """A client certificate with its key, as the clusters file would name them."""
    made = authority.issue_cert("127.0.0.1", common_name="client", **more)
    made.cert_chain_pems[0].write_to_path(folder / "own.crt")
    made.private_key_pem.write_to_path(folder / "own.key")
    return {"cert": folder / "own.crt", "key": folder / "own.key"}


def test_a_missing_client_certificate(tls):
    """The member wants one, and the clusters file names none."""
    member, _, access = tls
    wanted = "it wants a client certificate: set cert and key of this cluster in the clusters file"
    assert told(member.client_url, ca=access["ca"]) == f"{member.client_url}: {wanted}"


def test_a_foreign_client_certificate(tls, tmp_path):
    """Its issuer is named."""
    member, _, access = tls
    files = issued(tmp_path, trustme.CA(organization_name="stranger"))
    text = told(member.client_url, ca=access["ca"], **files)
    assert "it refuses the client certificate: " in text
    assert "was issued by O=stranger" in text


def test_an_expired_client_certificate(tls, tmp_path):
    """With its end."""
    member, folder, access = tls
    authority = trustme.CA.from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    files = issued(tmp_path, authority, not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
    text = told(member.client_url, ca=access["ca"], **files)
    assert "it refuses the client certificate: " in text
    assert f"expired on {NOW - timedelta(days=2):%Y-%m-%d}" in text


def test_the_wrong_ca(tls):
    """Who issued the member's certificate, and which file does not have it."""
    member, folder, access = tls
    text = told(member.client_url, **{**access, "ca": folder / "other-ca.crt"})
    assert f"{member.client_url}: its certificate was issued by " in text
    assert text.endswith(f"and not by the CA in {folder / 'other-ca.crt'}")


def test_http_to_a_tls_port(tls):
    """The scheme in the clusters file is wrong."""
    member, _, _ = tls
    url = member.client_url.replace("https", "http")
    assert told(url) == f"{url}: it speaks TLS: write https:// for it"


def test_https_to_a_plain_port(single, tls):
    """The other way round."""
    url = single.client_url.replace("http", "https")
    assert told(url, **tls[2]) == f"{url}: it speaks no TLS: write http:// for it"


def test_a_peer_url(single):
    """It answers in HTTP, but it is not a client URL."""
    assert told(single.peer_url) == (
        f"{single.peer_url}: it is a peer URL: name the client URL of the member, by default at port 2379"
    )


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_grpc_proxy(single, etcd_binary, tmp_path):
    """It answers for no cluster: a change sent to it would go anywhere."""
    port = free_port()
    command = [
        etcd_binary,
        "grpc-proxy",
        "start",
        f"--endpoints={single.client_url}",
        f"--listen-addr=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("w") as log:
        proxy = subprocess.Popen([*command, f"--data-dir={tmp_path}/proxy"], stdout=log, stderr=log)
    try:
        eventually(lambda: listens(port), "the proxy to listen")
        assert f"http://127.0.0.1:{port} is a gRPC proxy and not a member" in told(f"http://127.0.0.1:{port}")
    finally:
        proxy.kill()
        proxy.wait()


def test_nothing_listens():
    """Without gRPC's addresses, of either family."""
    for host in ("127.0.0.1", "[::1]"):
        url = f"http://{host}:{free_port()}"
        assert told(url) == f"{url}: connection refused"


def test_an_unknown_name():
    """It is no cluster that is down."""
    assert told("http://etcd.invalid:2379") == ("http://etcd.invalid:2379: the name etcd.invalid cannot be resolved")


# ---- names in certificates ----


class Shown:
    """A TLS server that shows one certificate, and answers nothing. It counts the handshakes that were completed."""

    def __init__(self, folder, cert, key):
        (folder / "shown.crt").write_bytes(cert)
        (folder / "shown.key").write_bytes(key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "shown.crt", folder / "shown.key")
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.received = b""
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    self.received += secure.recv(1000)
            except ssl.SSLError:
                continue
            except OSError:
                return

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def common_name_only(name):
    """A CA, and a certificate of it that names a host in its CN alone."""
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    ca, host = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("ca", name))
    since, until = NOW - timedelta(days=1), NOW + timedelta(days=9)
    root = x509.CertificateBuilder(ca, ca, authority.public_key(), 1, since, until)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    leaf = x509.CertificateBuilder(ca, host, key.public_key(), 2, since, until)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [*(x.sign(authority, SHA256()).public_bytes(Encoding.PEM) for x in (root, leaf)), pem]


def test_a_certificate_for_another_name(tmp_path):
    """Which names it has, and which was asked for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca")
    made = authority.issue_cert("etcd-1.example", "10.0.0.1")
    server = Shown(tmp_path, made.cert_chain_pems[0].bytes(), made.private_key_pem.bytes())
    assert told(server.url, ca=tmp_path / "ca") == (
        f"{server.url}: its certificate is for etcd-1.example, 10.0.0.1, and not for localhost"
    )
    server.close()


def test_a_certificate_that_cannot_be_seen(tmp_path):
    """A server could hang up once, and show gRPC a certificate that no other client accepts. It is not called."""
    ca, _, _ = common_name_only("localhost")
    (tmp_path / "ca").write_bytes(ca)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"https://localhost:{server.getsockname()[1]}"
        calls = Calls(Access((url,), ca=tmp_path / "ca"))

        def hang_up():
            connection, _ = server.accept()
            connection.close()

        hangs_up = threading.Thread(target=hang_up)
        hangs_up.start()
        with pytest.raises(e.Unreachable):
            calls.send(url, "MemberPromote", rpc_pb2.MemberPromoteRequest(ID=1), 2)
        hangs_up.join()
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()
        calls.close()


def test_a_name_in_the_cn_alone_is_not_accepted(tmp_path):
    """gRPC would take it, and say the token to it; neither a read nor a change gets that far."""
    ca, cert, key = common_name_only("localhost")
    (tmp_path / "ca").write_bytes(ca)
    server = Shown(tmp_path, cert, key)
    text = "its certificate has no subject alternative name, and the CN 'localhost' is not accepted"
    assert told(server.url, ca=tmp_path / "ca") == f"{server.url}: {text}"
    (tmp_path / "password").write_text("secret")
    access = Access((server.url,), ca=tmp_path / "ca", username="root", password_file=tmp_path / "password")
    calls = Calls(access)
    for call in (
        lambda: calls.send(server.url, "MemberPromote", rpc_pb2.MemberPromoteRequest(ID=1), 2),
        lambda: list(calls.stream(server.url, "Snapshot", rpc_pb2.SnapshotRequest(), 2)),
        calls.auth.authenticate,
    ):
        with pytest.raises(e.Untrusted, match="the CN 'localhost' is not accepted"):
            call()
    calls.close()
    assert b"PRI * HTTP/2" not in server.received
    server.close()
