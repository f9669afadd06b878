"""What memberflow is measured against: add, start, and promote until the answer is OK."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from etcdapi.connection import etcd3
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from membership.model import Handover
from support.parts.lab import Cluster


def naive_join(
    cluster: Cluster, new: LocalMember, between: Callable[[], None] = lambda: None, patience: float = 6.0
) -> str:
    """
    `promoted` when a promote was answered OK, `fails` when none was in time.

    `between` is called when the member was started, before the first promote.
    """
    relay = cluster.relays[cluster.leader().name]
    client = etcd3.client("127.0.0.1", relay.port)
    try:
        deadline = time.monotonic() + patience
        added = _until_ok(
            lambda: client.clusterstub.MemberAdd(
                rpc_pb2.MemberAddRequest(peerURLs=[new.peer_url], isLearner=True), timeout=1
            ),
            deadline,
        )
        if added is None:
            return "fails"
        rows = [(r.name or new.name, url) for r in added.members for url in r.peerURLs]
        cluster_value = ",".join(f"{name}={url}" for name, url in rows)
        new.start(Handover(new.name, cluster_value, new.peer_url).env())
        between()
        request = rpc_pb2.MemberPromoteRequest(ID=added.member.ID)
        done = _until_ok(lambda: client.clusterstub.MemberPromote(request, timeout=1), time.monotonic() + patience)
        return "promoted" if done is not None else "fails"
    finally:
        client.close()


def _until_ok(call, deadline):
    while time.monotonic() < deadline:
        try:
            return call()
        except grpc.RpcError:
            time.sleep(0.1)
    return None
