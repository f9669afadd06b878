"""Clients of real members, and servers that only seem to be members."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import grpc

from etcdapi.client import EtcdClient
from etcdapi.connection import etcd3
from etcdapi.stubs import rpc_pb2, rpc_pb2_grpc
from local import loopback
from local.etcd_cluster import LocalMember
from membership.errors import ClusterUnreachable
from membership.etcd import Access


def client(*endpoints, **more):
    return closing(EtcdClient(Access(tuple(endpoints), **more)))


def looked(etcd):
    try:
        return etcd.look()
    except ClusterUnreachable:
        return None


def expired(member, token):
    own = etcd3.client("127.0.0.1", member.client_port, timeout=5)
    try:
        own.clusterstub.MemberList(rpc_pb2.MemberListRequest(), metadata=[("token", token)])
    except Exception as error:  # noqa: BLE001
        return "invalid auth token" in str(error)
    finally:
        own.close()
    return False


def turn_on_auth(member: LocalMember) -> None:
    """From now on only `root` may do anything."""
    own = etcd3.client("127.0.0.1", member.client_port, timeout=5)
    auth = rpc_pb2_grpc.AuthStub(own.channel)
    auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password="pass-of-root"))
    auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
    auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
    auth.AuthEnable(rpc_pb2.AuthEnableRequest())
    own.close()


def turn_on_guest(member: LocalMember) -> None:
    """A user without a role, at a member with auth on."""
    own = etcd3.client("127.0.0.1", member.client_port, timeout=5)
    auth = rpc_pb2_grpc.AuthStub(own.channel)
    token = auth.Authenticate(rpc_pb2.AuthenticateRequest(name="root", password="pass-of-root")).token
    user = rpc_pb2.AuthUserAddRequest(name="guest", password="pass-of-guest")
    auth.UserAdd(user, metadata=[("token", token)])
    own.close()


def authenticated(member: LocalMember) -> int:
    """How often somebody has sent the member a password."""
    lines = loopback.get(f"{member.client_url}/metrics", timeout=5).decode().splitlines()
    counts = [x for x in lines if x.startswith("grpc_server_started_total") and 'grpc_method="Authenticate"' in x]
    return sum(int(line.rsplit(" ", 1)[1]) for line in counts)


class Seeming(grpc.GenericRpcHandler):
    """
    A server that is no member: it answers each method as it is told, with a message or an etcd error's text.

    `asked` holds what came: the method, and the token with it.
    """

    def __init__(self, answers: Callable[[str, str], Any], *, compressed: bool = False) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answers = answers
        packing = grpc.Compression.Gzip if compressed else None
        options = (("grpc.max_send_message_length", -1),)
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=(self,), compression=packing, options=options)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()

    def count(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.asked)

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = call.method.rsplit("/", 1)[1]
        token = dict(call.invocation_metadata).get("token", "")

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append((method, token))
            told = self._answers(method, token)
            if isinstance(told, str):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)
            return told.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


def seeming_voter(cluster_id: int, member_id: int, *, compressed: bool = False, **more: Any) -> Seeming:
    """A server that answers as the one voter of a cluster; `more` are answers to further methods."""
    header = rpc_pb2.ResponseHeader(cluster_id=cluster_id, member_id=member_id)
    row = rpc_pb2.Member(ID=member_id, name=f"etcd-{member_id:x}")
    answers = {
        "Status": rpc_pb2.StatusResponse(header=header, version="3.6.0", leader=member_id, raftTerm=2),
        "MemberList": rpc_pb2.MemberListResponse(header=header, members=[row]),
        **more,
    }
    return Seeming(lambda method, _: answers.get(method, "not here"), compressed=compressed)


def lenient(authenticates: Any) -> Seeming:
    """A cluster of one of etcd 3.5.0 to 3.5.27: reads pass without a token, and Authenticate answers this."""
    header = rpc_pb2.ResponseHeader(cluster_id=1, member_id=2)
    answers = {
        "Status": rpc_pb2.StatusResponse(header=header, version="3.5.1", leader=2, raftTerm=2),
        "MemberList": rpc_pb2.MemberListResponse(header=header, members=[rpc_pb2.Member(ID=2, name="old")]),
        "Authenticate": authenticates,
    }
    return Seeming(lambda method, _: answers[method])
