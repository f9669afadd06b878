"""Looks that ask less than everything: how much each asks, and that they ask everything as soon as one answer fails."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from threading import Event

import pytest
from reach import Seeming, client

from etcdapi.stubs import rpc_pb2
from membership.etcd import BEFORE_ADD, EFFECT, EVERYTHING, MEMBERS

CLUSTER, LEADER, NEW = 0xC0FFEE, 1, 4


class Cluster:
    """Four servers that seem to be members. The fourth is in nobody's list at first."""

    def __init__(self, stack):
        self.servers = {n: Seeming(self._answers(n)) for n in (1, 2, 3, NEW)}
        for server in self.servers.values():
            stack.callback(server.close)
        self.rows = [self.row(n) for n in (1, 2, 3)]
        self.lists = dict.fromkeys(self.servers, self.rows)
        self.leaders = dict.fromkeys(self.servers, LEADER)
        self.learns = False
        self.frozen: Event | None = None

    def freeze_leader(self):
        """The leader answers nothing any more, and the second voter leads."""
        self.frozen = Event()
        self.leaders = dict.fromkeys(self.servers, 2)
        return self.frozen

    def row(self, number, **more):
        urls = {"peerURLs": [f"http://10.0.0.{number}:2380"], "clientURLs": [self.servers[number].url]}
        return rpc_pb2.Member(ID=number, name=f"etcd-{number}", **urls, **more)

    def add(self, **more):
        self.lists = {n: [*self.rows, self.row(NEW, **more)] for n in self.servers}

    @property
    def urls(self):
        return [self.servers[n].url for n in (1, 2, 3)]

    def asked(self):
        """The questions since the last time, by member and method."""
        counts = Counter((n, method) for n, server in self.servers.items() for method, _ in server.asked)
        for server in self.servers.values():
            server.asked.clear()
        return counts

    def _answers(self, number):
        def answer(method, _):
            if self.frozen and number == LEADER:
                self.frozen.wait(20)
            header = rpc_pb2.ResponseHeader(cluster_id=CLUSTER, member_id=number)
            if method == "Status":
                learns = number == NEW and self.learns
                more = {"leader": self.leaders[number], "raftTerm": 5, "isLearner": learns}
                return rpc_pb2.StatusResponse(header=header, version="3.7.1", **more)
            return rpc_pb2.MemberListResponse(header=header, members=self.lists[number])

        return answer


@pytest.fixture
def cluster():
    with ExitStack() as stack:
        yield Cluster(stack)


def everything(*numbers):
    return Counter({(n, method): 1 for n in numbers for method in ("Status", "MemberList")})


def test_before_an_add_the_leader_alone_gives_its_list(cluster):
    """Every voter says how it is: six questions become four."""
    with client(*cluster.urls) as etcd:
        status = etcd.look(scope=BEFORE_ADD)
    assert cluster.asked() == everything(LEADER) + Counter({(2, "Status"): 1, (3, "Status"): 1})
    assert (status.leader, len(status.members), status.readers) == ("1", 3, ("1",))
    assert (status.asked_all, status.down_voters) == (True, ())


def test_a_voter_that_wrongly_calls_itself_the_leader_does_not_give_the_list(cluster):
    """Half of the voters follow it, so nobody leads, and every list is read and compared."""
    cluster.servers[3].close()
    cluster.leaders[2] = 2
    cluster.lists[2] = cluster.rows[:2]
    with client(*reversed(cluster.urls)) as etcd:
        status = etcd.look(scope=BEFORE_ADD)
    assert status.leader == ""
    assert len(status.readers) == 2
    assert status.dissent


def test_the_effect_of_an_add_is_looked_for_in_every_list(cluster):
    """The leader alone says how it is, and the look says that it did not ask the others."""
    with client(*cluster.urls) as etcd:
        etcd.look(scope=BEFORE_ADD)
        etcd.look(scope=MEMBERS)
        cluster.asked()
        cluster.add(isLearner=True)
        cluster.learns = True
        status = etcd.look(scope=EFFECT)
    lists = Counter({(n, "MemberList"): 1 for n in (1, 2, 3)})
    assert cluster.asked() == lists + Counter({(LEADER, "Status"): 1, (NEW, "Status"): 1})
    assert [m.id for m in status.learners] == ["4"]
    assert status.statuses["4"].is_learner
    assert (status.dissent, status.asked_all) == ((), False)


def test_the_effect_of_a_promote_is_looked_for_at_the_new_voter_too(cluster):
    """Its own word and a read through it are what verifies it."""
    cluster.add(isLearner=True)
    cluster.learns = True
    with client(*cluster.urls) as etcd:
        etcd.look(scope=MEMBERS)
        cluster.asked()
        cluster.add()
        cluster.learns = False
        status = etcd.look(scope=EFFECT)
    lists = Counter({(n, "MemberList"): 1 for n in (1, 2, 3)})
    assert cluster.asked() == lists + everything(NEW) + Counter({(LEADER, "Status"): 1})
    assert len(status.voters) == 4
    assert "4" in status.readers


def test_a_voter_whose_list_lags_behind_is_seen_in_the_effect(cluster):
    """Servers with different --max-learners disagree for ever, and a narrow look must not hide it."""
    with client(*cluster.urls) as etcd:
        etcd.look(scope=MEMBERS)
        cluster.add(isLearner=True)
        cluster.lists[3] = cluster.rows
        status = etcd.look(scope=EFFECT)
    assert "3 lists" in status.dissent[0]


@pytest.mark.parametrize("trouble", ["a follower is gone", "another leads"])
def test_an_effect_that_is_half_seen_is_looked_for_everywhere(cluster, trouble):
    """Then the look shows which voters are silent, as every whole look does."""
    with client(*cluster.urls) as etcd:
        etcd.look(scope=MEMBERS)
        if trouble == "another leads":
            cluster.leaders = dict.fromkeys(cluster.servers, 2)
        else:
            cluster.servers[3].close()
        status = etcd.look(scope=EFFECT)
    assert status.asked_all
    assert status.leader == str(cluster.leaders[LEADER])
    assert status.unclear == (() if trouble == "another leads" else ("3",))


def test_a_leader_that_freezes_leaves_time_for_the_whole_look(cluster):
    """A hung question of the narrow look does not use up the deadline of the look that follows it."""
    with client(*cluster.urls) as etcd:
        etcd.look(scope=MEMBERS)
        thaw = cluster.freeze_leader()
        status = etcd.look(scope=EFFECT)
        thaw.set()
    assert (status.leader, len(status.readers), status.unclear) == ("2", 2, ("1",))


def test_the_first_look_of_a_worker_is_whole(cluster):
    """There is no earlier look that it could rest on."""
    with client(*cluster.urls) as etcd:
        status = etcd.look(scope=EFFECT)
    assert cluster.asked() == everything(1, 2, 3)
    assert status.asked_all


def test_after_a_narrow_look_every_voter_is_still_known(cluster):
    """An act watches its effect through them, where the leader that gave the list has died."""
    with client(*cluster.urls) as etcd:
        etcd.look(scope=EVERYTHING)
        etcd.look(scope=BEFORE_ADD)
        cluster.servers[LEADER].close()
        assert len(etcd.members()) == 3
