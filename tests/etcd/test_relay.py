"""The relay on a real member: what it spoils, and what it knows of the calls that came by."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from etcdapi.client import EtcdClient
from etcdapi.connection import Connection
from etcdapi.faults import Fault
from etcdapi.relay import Relay
from local.processes import free_port
from membership import etcd_errors as e
from membership.errors import ClusterUnreachable
from membership.etcd import Access
from support.parts.lab import eventually


def test_a_kept_connection_is_spoilt_too(lab):
    """Plain HTTP, request by request; once the fault is used up, it works again."""
    cluster = lab.cluster()
    relay = cluster.relays[cluster.leader().name]
    with closing(Connection(f"http://127.0.0.1:{relay.port}", Access(()))) as connection:
        assert b"raft.status" in connection.get("/debug/vars").body
        relay.inject(fault := Fault("GET /debug/vars", "refuse", times=2))
        with pytest.raises(e.Unreachable):  # it tries a dropped connection once more
            connection.get("/debug/vars")
        gets = [(c.method, c.forwarded) for c in relay.calls if c.method.startswith("GET")]  # the worker calls, too
        assert gets == [("GET /debug/vars", False)] * 2
        assert (fault.hits, fault.times) == (2, 0)
        assert connection.get("/version")
        assert b"raft.status" in connection.get("/debug/vars").body


def test_its_end_closes_its_connections():
    """A caller then hears at once that it is gone. An open connection would be left to the garbage collection."""
    relay = Relay(free_port(), free_port())
    relay.start()
    with closing(socket.create_connection(("127.0.0.1", relay.port), timeout=10)) as connection:
        connection.sendall(b"GE")  # not enough to know the protocol
        eventually(lambda: relay.connections, "the connection")
        relay.stop()
        assert connection.recv(1) == b""


def test_a_change_is_known_by_its_member(lab):
    """Whatever became of its answer: peer URL and ID of an add, the ID of what follows."""
    cluster = lab.cluster()
    new = cluster.new_member()
    with closing(EtcdClient(Access(tuple(cluster.endpoints())))) as etcd:
        etcd.look()
        added = etcd.add_learner((new.peer_url,), 5)
        with pytest.raises(e.LearnerNotReady):
            etcd.promote(added.id, 5)
        etcd.remove(added.id, 5)
    changes = [(c.subject, c.member_id, c.code) for c in cluster.changes()]
    assert changes == [
        (new.peer_url, added.id, "OK"),
        (added.id, added.id, "FAILED_PRECONDITION"),
        (added.id, added.id, "OK"),
    ]


def test_a_call_that_its_caller_gives_up_has_ended(lab):
    """A call that counts as under way for ever would look like one that came later."""
    cluster = lab.cluster()
    relay = cluster.relays[cluster.leader().name]
    relay.inject(Fault("Status", "delay", seconds=60))
    with closing(EtcdClient(Access(tuple(cluster.endpoints())))) as etcd:
        etcd.look()
    [given_up] = [call for call in relay.calls if call.fault == "delay"]
    eventually(lambda: given_up.ended, "the relay to hear that the caller gave up", 5)


def test_a_fault_tells_whether_it_was_used(lab):
    """One that no call came for was no trouble to anybody."""
    cluster = lab.cluster()
    cluster.inject(Fault("Status", "refuse", times=1), Fault("MemberRemove", "lose"))
    with closing(EtcdClient(Access(tuple(cluster.endpoints())))) as etcd, pytest.raises(ClusterUnreachable):
        etcd.look()
    assert [f.method for f in cluster.unused_faults()] == ["MemberRemove"]
