"""Fixtures only."""

from __future__ import annotations

import pytest
import trustme
from reach import client, looked, turn_on_auth

from local.etcd_cluster import LocalMember
from support.parts.lab import eventually


@pytest.fixture
def single(etcd_binary, tmp_path):
    """One plain member, without a relay."""
    member = LocalMember("alone", etcd_binary, tmp_path / "alone")
    member.start(
        {"ETCD_INITIAL_CLUSTER": f"alone={member.peer_url}", "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url}
    )
    member.wait_until_serving()
    yield member
    member.stop()


@pytest.fixture(scope="module")
def tls(etcd_binary, tmp_path_factory):
    """A member that wants client certificates, and the files for it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    authority.private_key_pem.write_to_path(folder / "ca.key")
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1", "localhost", common_name=name)
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.crt")
    member = LocalMember("safe", etcd_binary, folder / "safe", scheme="https")
    member.flags = (
        f"--cert-file={folder}/server.crt",
        f"--key-file={folder}/server.key",
        f"--trusted-ca-file={folder}/ca.crt",
        "--client-cert-auth",
    )
    member.start(
        {"ETCD_INITIAL_CLUSTER": f"safe={member.peer_url}", "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url}
    )
    access = {"ca": folder / "ca.crt", "cert": folder / "client.crt", "key": folder / "client.key"}
    with client(member.client_url, **access) as etcd:
        eventually(lambda: looked(etcd), "the member to serve")
    yield member, folder, access
    member.stop()


@pytest.fixture
def guarded(single, tmp_path):
    """A member with auth on; its tokens live two seconds."""
    single.stop()
    single.flags = ("--auth-token-ttl=2",)
    single.start()
    single.wait_until_serving()
    turn_on_auth(single)
    (tmp_path / "password").write_text("pass-of-root\n")
    return single
