"""Voters that do not answer: the leader's acknowledged entries tell whether they live."""

from __future__ import annotations

import time
from dataclasses import replace

from made_up_looks import cluster

from etcdapi import silent_voters
from etcdapi.silent_voters import Leader, hear_silent_voters
from membership.etcd_errors import Unreachable
from membership.model import RaftProgress
from membership.witness import RaftView


class Raft:
    """A leader's view, and the followers that acknowledge its entries."""

    def __init__(self, *alive: str, states=None) -> None:
        self.alive = alive
        self.match = dict.fromkeys("123", 1000)
        self.states = {**dict.fromkeys("123", "StateReplicate"), **(states or {})}
        self.commits = 0

    def view(self) -> RaftView:
        return RaftView("1", "1", 2, 1000, {i: RaftProgress(self.match[i], self.states[i]) for i in "123"})

    def commit(self, deadline: float) -> None:
        self.commits += 1
        for member in self.alive:
            self.match[member] += 1


def heard(raft, status=None, seconds=5.0, **changes):
    """The voters that live, and those that may live."""
    leader = replace(Leader(raft.view(), raft.view, raft.commit), **changes)
    seen = hear_silent_voters(status or cluster(3, down=("3",)), leader, time.monotonic() + seconds)
    return seen.unreached, seen.unclear


def test_a_voter_whose_log_moves_lives():
    """One entry, and its acknowledgement, after the question."""
    raft = Raft("1", "2", "3")
    assert (heard(raft), raft.commits) == ((("3",), ()), 1)


def test_a_voter_that_froze_is_down(monkeypatch):
    """Raft still replicates to it, and its log stands still."""
    monkeypatch.setattr(silent_voters, "ACKNOWLEDGED_WITHIN", 0.05)
    assert heard(Raft("1", "2")) == ((), ())


def test_a_voter_whose_connection_broke_is_down_at_once():
    """The leader's own word is enough, so that a dead voter costs no entry at each look."""
    raft = Raft("1", "2", states={"3": "StateProbe"})
    assert (heard(raft), raft.commits) == (((), ()), 0)


def fails(deadline: float) -> None:
    raise Unreachable("it is gone")


def test_without_the_leaders_word_nothing_is_known():
    """Its page cannot be read, it does not lead any more, it does not commit, it was not asked, no time is left."""
    raft = Raft("1", "2", "3")
    assert heard(raft, view=None) == ((), ("3",))
    assert heard(raft, view=replace(raft.view(), progress={})) == ((), ("3",))
    assert heard(raft, commit=fails) == ((), ("3",))
    assert heard(raft, asked=False) == ((), ("3",))
    assert heard(Raft("1", "2"), seconds=0.05) == ((), ("3",))


def test_a_leader_out_of_reach_lives():
    """Another voter's linearizable list went through it. Without such a list nothing is known."""
    status = cluster(3, down=("1",))
    assert heard(Raft("1", "2"), status, view=None) == (("1",), ())
    assert heard(Raft("1", "2"), replace(status, readers=()), view=None) == ((), ("1",))


def test_nothing_is_asked_where_every_voter_answers():
    """And nothing is concluded without a leader, or from a look that did not ask every voter."""
    raft = Raft("1", "2", "3")
    down = cluster(3, down=("3",))
    for status in (cluster(3), replace(down, leader=""), replace(down, asked_all=False)):
        assert heard(raft, status) == ((), ())
    assert raft.commits == 0
