"""Removals: when a member may go, who leads after it, and when it is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import NEW_ID, cluster, facts, learner, own_word

from membership.judge_removal import judge_removal, transferee
from membership.judgements import judge
from membership.model import Alarm, RaftProgress
from membership.policy import Policy
from membership.verdicts import Done, Facts, Ready, Refuse, Wait

TARGET = "3"
JOINED = replace(learner(), is_learner=False)


def loose(**policy) -> Policy:
    return Policy(**{"min_voters": 1, "min_spare": 0, **policy})


def going(policy: Policy | None = None, **more) -> Facts:
    """Facts of the removal of the third member."""
    return facts(TARGET, policy or loose(), **more)


def check(verdict, expected):
    """A text stands for a Refuse: its error, then parts of its reason; a text of no error for the reason of a Wait."""
    if not isinstance(expected, str):
        assert expected == verdict
        return
    error, *parts = expected.split("|")
    if isinstance(verdict, Wait):
        assert error in verdict.reason
        return
    assert isinstance(verdict, Refuse), verdict
    assert error == verdict.error
    assert all(part in verdict.reason for part in parts), verdict.reason


# ---- how many may be spared ----

# Voters, dead ones beside the target, whether the target lives; the spare before and after its removal.
ARITHMETIC = [
    *[(2, 0, True, 0, 0), (2, 0, False, -1, 0)],
    *[(3, 0, True, 1, 0), (3, 0, False, 0, 0), (3, 1, True, 0, -1)],
    *[(4, 0, True, 1, 1), (4, 0, False, 0, 1), (4, 1, True, 0, 0)],
    *[(5, 0, True, 2, 1), (5, 0, False, 1, 1), (5, 1, True, 1, 0), (5, 1, False, 0, 0), (5, 2, True, 0, -1)],
    *[(6, 0, True, 2, 2), (6, 0, False, 1, 2), (6, 1, True, 1, 1), (6, 1, False, 0, 1), (6, 2, True, 0, 0)],
    *[(7, 0, True, 3, 2), (7, 0, False, 2, 2), (7, 1, True, 2, 1), (7, 1, False, 1, 1), (7, 2, True, 1, 0)],
    *[(7, 2, False, 0, 0), (7, 3, True, 0, -1)],
]


def gone_from(voters: int, dead: int, *, alive: bool, policy: Policy, force: bool = False):
    """The verdict on the removal of the last voter, beside so many dead ones."""
    target = str(voters)
    down = tuple(str(voters - n) for n in range(int(alive), dead + 1))
    return judge_removal(cluster(voters, down=down), facts(target, policy, force=force))


@pytest.mark.parametrize("min_spare", range(4))
@pytest.mark.parametrize(("voters", "dead", "alive", "before", "after"), ARITHMETIC)
def test_the_spare_of_one_to_seven_voters(voters, dead, alive, before, after, min_spare):
    """Never below zero, and never below both the policy and what was there; the reason tells the numbers."""
    verdict = gone_from(voters, dead, alive=alive, policy=loose(min_spare=min_spare))
    if after >= 0 and after >= min(min_spare, before):
        assert verdict == Ready()
    else:
        live = voters - 1 - dead
        told = f"{voters - 1} voters with {live} alive would spare {after}, now it is {before}"
        check(verdict, f"QuorumAtRisk|{told}" + (f"|min_spare is {min_spare}" if after >= 0 else "|lose its quorum"))


@pytest.mark.parametrize(("voters", "dead", "alive", "before", "after"), ARITHMETIC)
def test_force_never_costs_the_quorum(voters, dead, alive, before, after):
    """It skips what is the operator's to judge, and etcd itself would refuse the rest."""
    verdict = gone_from(voters, dead, alive=alive, policy=Policy(min_spare=3), force=True)
    check(verdict, Ready() if after >= 0 else "QuorumAtRisk|lose its quorum")


def test_a_voter_that_only_this_worker_cannot_reach_counts_as_alive():
    """It acknowledged an entry to the leader: it is neither called down, nor does its silence cost spare."""
    hidden = cluster(3, down=("2",), unreached=("2",))
    assert judge_removal(hidden, going()) == Ready()
    verdict = judge_removal(hidden, going(loose(min_spare=1)))
    check(verdict, "QuorumAtRisk|now it is 1|this worker cannot reach these voters, although the leader does: etcd-2")
    assert "are down" not in verdict.reason


def test_the_removal_of_a_voter_out_of_reach_is_that_of_a_living_one():
    """Taken for dead, its removal would cost nothing. The same where nothing is known of it."""
    for found in ("unreached", "unclear"):
        gone = cluster(3, down=("3",), **{found: ("3",)})
        check(
            judge_removal(gone, going(loose(min_spare=1))),
            "QuorumAtRisk|2 voters with 2 alive would spare 0, now it is 1",
        )
    assert judge_removal(cluster(3, down=("3",)), going(loose(min_spare=1))) == Ready()


def test_a_voter_of_which_nothing_is_known_does_not_count_as_alive():
    """It does not answer, and the leader was not heard about it: a URL at which it answers would help."""
    seen = cluster(3, down=("2",), unclear=("2",))
    verdict = judge_removal(seen, going())
    check(verdict, "QuorumAtRisk|do not answer, and whether the leader hears them is not known: etcd-2 (2)")
    assert (
        verdict.hint == "write a client URL at which this worker reaches etcd-2 into `endpoints` of the clusters file"
    )
    verdict = judge_removal(cluster(3, down=("2",)), going())
    check(verdict, "QuorumAtRisk|these voters are down: etcd-2 (2)")
    assert verdict.hint == "start them again first"


def test_leadership_goes_to_a_voter_that_this_worker_reaches():
    """Else no further call of the change could be sent."""
    seen = cluster(3, down=("2",), unreached=("2",))
    assert transferee(seen, facts("1")).id == "3"


def test_the_reason_names_the_others_that_are_down():
    """And not the member that goes."""
    told = judge_removal(cluster(5, down=(TARGET, "4", "5")), going()).reason
    assert "etcd-4 (4): DeadlineExceeded; etcd-5 (5): DeadlineExceeded" in told
    assert "etcd-3" not in told


@pytest.mark.parametrize(
    ("voters", "min_voters", "returning", "force", "expected"),
    [
        (4, 3, 0, False, Ready()),
        (3, 3, 0, False, "TooFewVoters|3 voters would become 2, and min_voters is 3"),
        (3, 3, 0, True, Ready()),
        (3, 3, 1, False, Ready()),
        (2, 3, 1, False, "TooFewVoters|2 voters would become 2, and min_voters is 3"),
        (2, 1, 0, False, Ready()),
    ],
)
def test_min_voters(voters, min_voters, returning, force, expected):
    """Judged on the final size of the change, not between its halves; force skips it."""
    policy = loose(min_voters=min_voters)
    verdict = judge_removal(cluster(voters), facts("2", policy, returning=returning, force=force))
    check(verdict, expected)


# ---- everything else that speaks against it ----


def alarmed(member_id: str, kind: str):
    """Three voters, of which the first tells of an alarm, as every member does."""
    words = {n: own_word(n) for n in "123"}
    return cluster(3, statuses={**words, "1": own_word("1", alarms=[Alarm(member_id, kind)])})


REMOVAL = {
    "may go": (cluster(3), going(), Ready()),
    "gone already": (cluster(2), going(Policy()), Done()),
    "the last voter": (cluster(1), facts("1", loose()), "LastVoter|etcd-1 (1)"),
    "the last voter, by force": (cluster(1), facts("1", loose(), force=True), "LastVoter"),
    "the last voter, replaced": (cluster(1), facts("1", loose(), returning=1, force=True), "LastVoter"),
    "the last voter beside a learner": (cluster(1, learner()), facts("1", loose()), "LastVoter"),
    "another is corrupt": (alarmed("2", "CORRUPT"), going(), "CorruptAlarm|active on 2|etcd-3 (3)"),
    "another is corrupt, by force": (alarmed("2", "CORRUPT"), going(force=True), Ready()),
    "a corrupt one is gone": (alarmed("7", "CORRUPT"), going(), Ready()),
    "the target is corrupt": (alarmed(TARGET, "CORRUPT"), going(), Ready()),
    "no space": (alarmed("2", "NOSPACE"), going(), Ready()),
    "a learner": (cluster(3, learner()), facts(NEW_ID), Ready()),
    "a learner of a single voter": (cluster(1, learner("")), facts(NEW_ID), Ready()),
    "a learner beside a dead voter": (cluster(3, learner(), down=("3",)), facts(NEW_ID), Ready()),
    "a learner beside a corrupt voter": (
        replace(alarmed("2", "CORRUPT"), members=cluster(3, learner()).members),
        facts(NEW_ID),
        Ready(),
    ),
    "a dead voter beside a stuck learner": (
        cluster(3, learner(""), down=(TARGET,)),
        going(Policy(min_voters=2)),
        Ready(),
    ),
    "the leader": (cluster(3, leader=TARGET), going(), "StillLeader|etcd-3 (3) leads"),
    "the leader, and too few voters": (cluster(3, leader=TARGET), going(Policy()), "TooFewVoters"),
    "lists that differ": (cluster(3, dissent=("2 lists more",)), going(), "voters disagree"),
    "a leader that is silent": (cluster(5, down=("1",)), going(), "leader 1 does not answer"),
    "no leader": (cluster(3, leader=""), going(), "no leader"),
    "no leader, the last voter": (cluster(1, leader=""), facts("1", loose()), "LastVoter"),
    "no leader for a learner to leave": (cluster(3, learner(), leader=""), facts(NEW_ID), "no leader"),
}


@pytest.mark.parametrize("case", REMOVAL)
def test_removal(case):
    """When may a member be removed?"""
    status, known, expected = REMOVAL[case]
    check(judge("remove", status, known), expected)


# ---- leadership ----

MOVE = {
    "it leads": (cluster(3, leader=TARGET), Ready()),
    "another leads": (cluster(3), Done()),
    "gone": (cluster(2), Done()),
    "nobody leads": (cluster(3, leader=""), "no leader"),
    "lists that differ": (cluster(3, leader=TARGET, dissent=("2 lists more",)), "voters disagree"),
    "it leads and is silent": (cluster(3, leader=TARGET, down=(TARGET,)), "leader 3 does not answer"),
    "nobody else lives": (cluster(3, leader=TARGET, down=("1", "2")), "no other voter could lead: these voters are"),
    "only a learner lives": (cluster(3, learner(), leader=TARGET, down=("1", "2")), "no other voter could lead"),
}


@pytest.mark.parametrize("case", MOVE)
def test_move(case):
    """When may, and when must, leadership be moved away?"""
    status, expected = MOVE[case]
    check(judge("move", status, going()), expected)


def at(**match: int) -> dict[str, RaftProgress]:
    return {name.removeprefix("m"): RaftProgress(index, "StateReplicate") for name, index in match.items()}


HEIRS = {
    "the most caught up": (cluster(4, leader=TARGET, progress=at(m1=7, m2=9, m3=9, m4=8)), "2"),
    "never the leader itself": (cluster(2, leader="1", progress=at(m1=9, m2=7)), "2"),
    "never a corrupt one": (
        replace(
            alarmed("2", "CORRUPT"),
            leader=TARGET,
            statuses={n: own_word(n, leader=TARGET, alarms=[Alarm("2", "CORRUPT")]) for n in "123"},
            progress=at(m1=7, m2=9, m3=9),
        ),
        "1",
    ),
    "never a dead one": (cluster(3, leader=TARGET, down=("2",), progress=at(m1=7, m2=9, m3=9)), "1"),
    "never a learner": (cluster(2, learner(), leader="1", progress={**at(m1=9, m2=7), NEW_ID: at(m9=9)["9"]}), "2"),
    "never one that follows nobody": (
        cluster(3, leader=TARGET, statuses={n: own_word(n, leader=lead) for n, lead in zip("123", "303", strict=True)}),
        "1",
    ),
    "by its own word, where raft's is not known": (
        cluster(
            3,
            leader=TARGET,
            progress={},
            statuses={n: own_word(n, leader=TARGET, index=i) for n, i in {"1": 5, "2": 8, "3": 9}.items()},
        ),
        "2",
    ),
    "the one that has just joined comes last": (
        cluster(3, JOINED, leader=TARGET, progress={**at(m1=7, m2=8, m3=9), NEW_ID: at(m9=9)["9"]}),
        "2",
    ),
    "the one that has just joined, where there is no other": (
        cluster(3, JOINED, leader=TARGET, down=("1", "2")),
        NEW_ID,
    ),
}


@pytest.mark.parametrize("case", HEIRS)
def test_heir(case):
    """Who gets leadership?"""
    status, expected = HEIRS[case]
    heir = transferee(status, facts(status.leader))
    assert heir
    assert expected == heir.id


def test_no_heir():
    """A single voter has nobody to hand over to."""
    assert transferee(cluster(1, learner()), facts("1")) is None


# ---- afterwards ----

GONE = {
    "gone": (cluster(2), Done()),
    "still listed": (cluster(3), "still shows the member"),
    "gone, lists differ": (cluster(2, dissent=("2 lists more",)), "voters disagree"),
    "gone, and nobody leads": (cluster(2, leader=""), "no leader"),
    "gone, and still taken for the leader": (cluster(2, leader=TARGET), "leader 3 does not answer"),
}


@pytest.mark.parametrize("case", GONE)
def test_gone(case):
    """When is a removal complete? When every list says so, and a leader answers."""
    status, expected = GONE[case]
    check(judge("gone", status, going()), expected)


# ---- beside a removal that may still come ----


@pytest.mark.parametrize(
    ("policy", "more", "expected"),
    [
        (loose(), {}, Ready()),
        (
            loose(min_voters=3),
            {},
            "TooFewVoters|etcd-4 (4) that an ended change sent may still take effect|3 voters would become 2",
        ),
        (loose(min_voters=3), {"force": True}, Ready()),
        # The replace began with four voters, of which the earlier change took one.
        (loose(min_voters=3), {"returning": 1, "began_with": (4, 1)}, Ready()),
        (loose(min_spare=1), {}, "QuorumAtRisk|removal of etcd-4"),
    ],
)
def test_the_cluster_must_bear_a_removal_that_may_still_come(policy, more, expected):
    """The result is judged with and without the member that may go at any time."""
    check(judge_removal(cluster(4), going(policy, may_go=("4",), **more)), expected)


@pytest.mark.parametrize("gone", ["3", "7"])
def test_a_removal_that_is_asked_for_again_is_judged_once(gone):
    """Nor does it matter when a member goes that is not there any more."""
    assert judge_removal(cluster(4), going(loose(min_voters=3), may_go=(gone,))) == Ready()
