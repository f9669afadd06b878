"""A cluster with TLS throughout and with auth: members, clients and users prove who they are."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from etcdapi.client import EtcdClient
from etcdapi.connection import Connection
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember, kill_all
from membership.errors import ClusterUnreachable
from membership.etcd import Access
from membership.model import ClusterStatus
from support.parts.command import eventually

PASSWORD = "correct-horse-battery-staple"


class SecureCluster:
    """Three voters. `access` has a client certificate that is valid for `days`, and the user `root`."""

    def __init__(self, folder: Path, binary: Path, days: float = 20) -> None:
        self._folder = folder
        self._binary = binary
        authority = trustme.CA(organization_name="etcd")
        authority.cert_pem.write_to_path(folder / "ca.crt")
        for name, valid in (("member", 1000.0), ("client", days)):
            until = datetime.now(UTC) + timedelta(days=valid)
            issued = authority.issue_cert("127.0.0.1", common_name=name, not_after=until)
            issued.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
            issued.private_key_pem.write_to_path(folder / f"{name}.key")
            (folder / f"{name}.key").chmod(0o600)
        self.members = [self.new_member(f"etcd-{number}") for number in (1, 2, 3)]
        files = {"ca": folder / "ca.crt", "cert": folder / "client.crt", "key": folder / "client.key"}
        self._anonymous = Access(tuple(m.client_url for m in self.members), **files)
        self.access = self._of_user("root", PASSWORD)

    def _of_user(self, name: str, password: str) -> Access:
        file = self._folder / f"{name}.password"
        file.write_text(password)
        file.chmod(0o600)
        return replace(self._anonymous, username=name, password_file=file)

    def new_member(self, name: str) -> LocalMember:
        """A member with certificates, which is not started."""
        member = LocalMember(name, self._binary, self._folder / name, scheme="https")
        member.peer = f"https://127.0.0.1:{member.peer_port}"
        files = {"cert-file": "member.crt", "key-file": "member.key", "trusted-ca-file": "ca.crt"}
        flags = [f"--{kind}{key}={self._folder}/{file}" for key, file in files.items() for kind in ("", "peer-")]
        secured = ["--client-cert-auth", "--peer-client-cert-auth", f"--listen-peer-urls={member.peer}"]
        member.flags = (*flags, *secured)
        return member

    def start(self) -> None:
        """Starts the voters, and waits until they serve."""
        voters = ",".join(f"{m.name}={m.peer_url}" for m in self.members)
        for member in self.members:
            member.start({"ETCD_INITIAL_CLUSTER": voters, "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url})
            member.wait_until_it_answers_peers()
        eventually(lambda: len(self._look(self._anonymous).statuses) == 3, "three voters that serve")
        self._turn_on_auth()

    def _turn_on_auth(self) -> None:
        with closing(Connection(self.members[0].client_url, self._anonymous)) as one:
            one.auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password=PASSWORD))
            one.auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
            one.auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
            one.auth.AuthEnable(rpc_pb2.AuthEnableRequest())

    def rotate(self, name: str, password: str) -> None:
        """From now on `access` has another user with all rights, and another password."""
        token = self.token(self.access)
        with closing(Connection(self.members[0].client_url, self._anonymous)) as one:
            metadata = [("token", token)]
            one.auth.UserAdd(rpc_pb2.AuthUserAddRequest(name=name, password=password), metadata=metadata)
            one.auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user=name, role="root"), metadata=metadata)
        self.access = self._of_user(name, password)

    def another_ca(self) -> Path:
        """The file of a CA that signed nothing of this cluster."""
        file = self._folder / "other-ca.crt"
        trustme.CA().cert_pem.write_to_path(file)
        return file

    def token(self, access: Access) -> str:
        """A new token of this user."""
        client = EtcdClient(access)
        client.look()
        token = client._calls.auth.token
        client.close()
        assert token
        return token.text

    def look(self) -> ClusterStatus:
        """One look with the client's certificate and user."""
        return self._look(self.access)

    def _look(self, access: Access) -> ClusterStatus:
        def looked() -> ClusterStatus | None:
            client = EtcdClient(access)
            try:
                return client.look()
            except ClusterUnreachable:
                return None
            finally:
                client.close()

        return eventually(looked, "a look at the secure cluster")

    def stop(self) -> None:
        kill_all(self.members)
