"""A second witness for a learner whose Status hangs: when it is asked, what it must say, and what that allows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import CLUSTER_ID, LOOSE, NEW_ID, cluster, facts, learner, voter

from membership.judge_join import judge_promote, judge_sync, judge_verified
from membership.model import RaftProgress
from membership.verdicts import Done, Ready, Wait
from membership.witness import Evidence, PeerList, RaftView, accept, doubt, may_be_witnessed

LAG = 100


def hanging(voters: int = 3, member=None, **changes):
    """A look in which the newcomer's Status hung."""
    status = cluster(voters, member or learner(), down=(NEW_ID, *changes.pop("down", ())))
    return replace(status, **{"hung": (NEW_ID,), **changes})


def evidence(status=None, **changes):
    """Evidence that leaves no doubt, but for what is changed of it."""
    status = status or hanging()
    view = RaftView("1", "1", 2, 1000, {"1": RaftProgress(1000, "StateReplicate"), **status.progress})
    return replace(Evidence(PeerList(CLUSTER_ID, status.members), 1000, view), **changes)


def view(**changes):
    return {"view": replace(evidence().view, **changes)}


def at(match, state="StateReplicate"):
    return view(progress={"1": RaftProgress(1000, "StateReplicate"), NEW_ID: RaftProgress(match, state)})


def test_evidence_that_leaves_no_doubt():
    """The peer port lists it as a learner, and raft acknowledged an entry that was committed after that."""
    assert doubt(hanging(), NEW_ID, evidence(), LAG) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"told": PeerList("bad", hanging().members)}, "answers for cluster bad"),
        ({"told": PeerList(CLUSTER_ID, hanging().voters)}, "does not list it"),
        ({"told": PeerList(CLUSTER_ID, (replace(learner(), is_learner=False),))}, "not list it in its role"),
        ({"told": PeerList(CLUSTER_ID, (learner(url="http://10.0.0.8:2380"),))}, "other peer URLs"),
        (view(leader="2"), "the leader or its term has changed"),
        (view(member_id="2"), "the leader or its term has changed"),
        (view(term=3), "the leader or its term has changed"),
        (view(progress={}), "does not show it"),
        (at(1000, "StateProbe"), "does not replicate to it (StateProbe)"),
        (at(1000, "StateSnapshot"), "does not replicate to it (StateSnapshot)"),
        (at(999), "has not acknowledged raft entry 1000 (at 999)"),
        ({"commit": 800, **at(899)}, "101 raft entries behind"),
    ],
)
def test_evidence_that_is_doubted(changes, reason):
    """Each part of it is needed, and the reason names the part that is missing."""
    assert reason in doubt(hanging(), NEW_ID, evidence(**changes), LAG)


@pytest.mark.parametrize(
    "status",
    [
        cluster(3, learner()),
        hanging(hung=()),
        hanging(progress={}),
        hanging(progress={**hanging().progress, NEW_ID: RaftProgress(0, "StateSnapshot")}),
        hanging(progress={**hanging().progress, NEW_ID: RaftProgress(899, "StateReplicate")}),
        hanging(1),
        hanging(3, down=("2",)),
    ],
    ids=["it answers", "it refuses", "no view of raft", "snapshot", "too far behind", "1 to 2 voters", "one of 3 down"],
)
def test_a_witness_is_not_asked(status):
    """It costs a raft entry, and what it could say would not count."""
    assert not may_be_witnessed(status, NEW_ID, LAG)


def test_a_witness_is_asked_where_the_live_voters_are_a_quorum_of_the_new_size():
    """Three of four, and three of five that are to be six."""
    assert may_be_witnessed(hanging(), NEW_ID, LAG)
    assert may_be_witnessed(hanging(2), NEW_ID, LAG)
    assert not may_be_witnessed(hanging(5, down=("4", "5")), NEW_ID, LAG)


def test_a_witness_stands_for_the_learners_own_word():
    """In sync, and ready to be promoted."""
    status = accept(hanging(), NEW_ID, evidence())
    assert (judge_sync(status, facts(NEW_ID)), judge_promote(status, facts(NEW_ID))) == (Done(), Ready())
    assert isinstance(judge_sync(hanging(), facts(NEW_ID)), Wait)


@pytest.mark.parametrize(("voters", "down"), [(1, ()), (3, ("3",))])
def test_a_witness_alone_never_risks_the_quorum(voters, down):
    """Where the newcomer would be needed at once, only its own word counts."""
    status = replace(hanging(voters, down=down), witnessed=(NEW_ID,))
    verdict = judge_promote(status, facts(NEW_ID, LOOSE))
    assert isinstance(verdict, Wait)
    assert "needed for quorum" in verdict.reason


def test_a_verification_says_which_evidence_it_has():
    """Only the new voter's own word verifies it; the witness is named."""
    status = hanging(3, replace(voter(9)))
    wait = judge_verified(status, facts(NEW_ID))
    assert isinstance(wait, Wait)
    assert "speak for it" not in wait.reason
    wait = judge_verified(accept(status, NEW_ID, evidence(status)), facts(NEW_ID))
    assert isinstance(wait, Wait)
    assert "its peer port and the leader's log speak for it" in wait.reason
