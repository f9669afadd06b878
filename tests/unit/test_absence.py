"""Why a member does not start: from the answer at its peer URL, and the leader's view of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from made_up_looks import CLUSTER_ID, NEW_ID, NEW_URL, cluster, facts, learner

from activities.absence import Absence
from membership.absence import ABSENT_AFTER, absent_after, why_absent
from membership.allow import Allow
from membership.etcd_errors import Unreachable
from membership.model import RaftProgress
from membership.verdicts import Wait
from membership.witness import PeerList

REFUSED = f"{NEW_URL}: connection refused"
NOT_STARTED = Wait("member etcd-9 has not started", "not started")


def seen(state=""):
    """A look at a learner that has not started, which the leader has in this state."""
    status = cluster(3, learner(name=""))
    return cluster(3, learner(name=""), progress={**status.progress, NEW_ID: RaftProgress(0, state)} if state else {})


@pytest.mark.parametrize(
    ("state", "told", "expected"),
    [
        ("StateProbe", REFUSED, f"{REFUSED}, and the leader gets no answer from it: is etcd running there?"),
        ("StateReplicate", REFUSED, f"{REFUSED}, and the leader reaches it: is etcd running there?"),
        ("", REFUSED, f"{REFUSED}, and the leader does not show it: is etcd running there?"),
        ("StateProbe", PeerList("beef", ()), "another cluster (beef) answers at its peer URL, so it was started with"),
        (
            "StateProbe",
            PeerList(CLUSTER_ID, ()),
            "it answers this worker at its peer URL, and the leader gets no answer from it: can the voters reach this",
        ),
    ],
)
def test_the_reason(state, told, expected):
    """Each has another thing to check."""
    assert why_absent(seen(state), facts(NEW_ID), told).startswith(expected)


class Peer:
    """The peer port of a member that does not run. It counts the questions."""

    def __init__(self):
        self.asked = 0

    def peer_list(self, urls):
        self.asked += 1
        raise Unreachable(f"{urls[0]}: connection refused")


def test_it_is_asked_now_and_then():
    """Not in the seconds in which every member starts, and not at every look afterwards."""
    peer, absence = Peer(), Absence(facts(NEW_ID), Allow)
    waits = [absence.explain(peer, seen("StateProbe"), waited, NOT_STARTED) for waited in (0, 14, 15, 16, 31)]
    assert [wait.reason == NOT_STARTED.reason for wait in waits] == [True, True, False, False, False]
    assert (peer.asked, REFUSED in waits[-1].reason) == (2, True)
    replicating = Wait("the learner is 5 raft entries behind", "replicating")
    assert absence.explain(peer, seen("StateReplicate"), 60, replicating) == replicating


def test_a_peer_url_that_the_file_does_not_allow_is_not_dialled():
    """The worker's own network must not be searched with a request."""
    peer = Peer()
    absence = Absence(facts(NEW_ID), lambda: Allow(peer_urls=("https://*.example.com:2380",)))
    assert absence.explain(peer, seen("StateProbe"), 60, NOT_STARTED) == NOT_STARTED
    assert peer.asked == 0


@pytest.mark.parametrize(("timeout", "after"), [(600, ABSENT_AFTER), (8, 4)])
def test_a_short_start_timeout_is_explained_too(timeout, after):
    """The reason is known before the clock rings."""
    assert absent_after(timedelta(seconds=timeout)) == after
