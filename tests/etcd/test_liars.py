"""A member that lies about leader, term, list or itself is shown and not obeyed, where the others contradict it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from reach import Seeming, client

from etcdapi.stubs import rpc_pb2
from membership import etcd_errors as e

CLUSTER = 0xC0FFEE
LEADER, FOLLOWER, LIAR = 1, 2, 3
ABSURD = 2**63


class Cluster:
    """Three servers that seem to be voters; `says` is what one of them claims to be its status and its list."""

    def __init__(self, stack):
        self.servers = {n: stack.enter_context(Closing(self._answers(n))) for n in (LEADER, FOLLOWER, LIAR)}
        self.status = {n: {"leader": LEADER, "raftTerm": 5} for n in self.servers}
        self.ids = {n: n for n in self.servers}
        rows = [rpc_pb2.Member(ID=n, name=f"etcd-{n}", clientURLs=[self.servers[n].url]) for n in self.servers]
        self.lists = dict.fromkeys(self.servers, rows)

    @property
    def urls(self):
        return [server.url for server in self.servers.values()]

    def _answers(self, number):
        def answer(method, _):
            header = rpc_pb2.ResponseHeader(cluster_id=CLUSTER, member_id=self.ids[number])
            if method == "Status":
                return rpc_pb2.StatusResponse(header=header, version="3.6.0", **self.status[number])
            if method == "MemberList":
                return rpc_pb2.MemberListResponse(header=header, members=self.lists[number])
            return "etcdserver: member not found"

        return answer


class Closing(Seeming):
    """For a `with` block."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def cluster():
    """All of them tell the truth at first."""
    with ExitStack() as stack:
        yield Cluster(stack)


def test_an_absurd_term_is_shown_and_not_obeyed(cluster):
    """The leader stays the one that the others know, the list is theirs, and a change goes to it."""
    cluster.status[LIAR] = {"leader": LIAR, "raftTerm": ABSURD}
    cluster.lists[LIAR] = cluster.lists[LIAR][2:]
    with client(*reversed(cluster.urls)) as etcd:
        status = etcd.look()
        assert (status.leader, status.term) == ("1", 5)
        assert len(status.members) == 3
        assert status.dissent == ()
        assert status.unclear == ("3",)
        assert f"claims raft term {ABSURD} and leader 3, and 2 of 3 voters are at earlier terms" in status.silent["3"]
        with pytest.raises(e.MemberNotFound):
            etcd.promote("abc", 5)
    assert [n for n, server in cluster.servers.items() if server.count("MemberPromote")] == [LEADER]


def test_a_member_that_claims_to_lead_is_not_obeyed(cluster):
    """In the term of the others."""
    cluster.status[LIAR] = {"leader": LIAR, "raftTerm": 5}
    with client(*reversed(cluster.urls)) as etcd:
        status = etcd.look()
    assert status.leader == "1"
    assert status.unclear == ("3",)


def test_between_two_claims_nobody_leads(cluster):
    """One voter is down, and one of the other two lies: which, nobody can know, so nothing is sent."""
    cluster.status[LIAR] = {"leader": LIAR, "raftTerm": ABSURD}
    cluster.servers[FOLLOWER].close()
    with client(*cluster.urls) as etcd:
        assert etcd.look().leader == ""
        with pytest.raises(e.NoLeader):
            etcd.promote("abc", 5)


def test_a_member_cannot_speak_for_another(cluster):
    """The follower is down, and the liar answers in its name."""
    cluster.ids[LIAR] = FOLLOWER
    cluster.servers[FOLLOWER].close()
    with client(*cluster.urls) as etcd:
        status = etcd.look()
    assert list(status.statuses) == ["1"]
    assert status.silent["3"].endswith("answers as member 2")


def test_a_list_of_thousands_costs_no_thousand_connections(cluster):
    """As many are asked as a cluster could have."""
    strangers = [rpc_pb2.Member(ID=n, clientURLs=[f"http://127.0.0.1:{n}"]) for n in range(1000, 3000)]
    cluster.lists = {number: [*rows, *strangers] for number, rows in cluster.lists.items()}
    with client(*cluster.urls) as etcd:
        for _ in range(2):
            status = etcd.look()
        opened = len(etcd._calls._connections._open)
    assert len(status.members) == 2003
    assert opened < 100
