"""Verdicts: the same look always gets the same one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import NEW_ID, NEW_URL, cluster, facts, learner, own_word, voter

from membership.judge_join import contradicts, judge_add, judge_promote, judge_rollback, judge_sync, judge_verified
from membership.judgements import judge
from membership.model import Alarm, RaftProgress
from membership.policy import Policy
from membership.preflight import check_learners
from membership.verdicts import Done, Ready, Refuse, Wait, quorum, safe_after, spare


@pytest.mark.parametrize(("voters", "expected"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_quorum(voters, expected):
    """More than half."""
    assert expected == quorum(voters)


@pytest.mark.parametrize("voters", range(1, 8))
def test_a_live_learner_never_makes_it_worse(voters):
    """It adds itself to the live voters: so 1 -> 2 -> 3 can grow, and 3 with one dead may promote."""
    for live in range(voters + 1):
        assert spare(voters + 1, live + 1) >= spare(voters, live)


@pytest.mark.parametrize(
    ("voters", "live", "left"),
    [(1, 1, 0), (2, 2, 0), (3, 3, 1), (3, 2, 0), (2, 1, -1), (4, 4, 1), (5, 5, 2), (5, 4, 1)],
)
def test_spare(voters, live, left):
    """How many more may die."""
    assert left == spare(voters, live)


@pytest.mark.parametrize(
    ("before", "after", "min_spare", "safe"),
    [
        (0, 0, 1, True),
        (1, 0, 1, False),
        (1, 1, 1, True),
        (2, 1, 1, True),
        (2, 1, 2, False),
        (0, -1, 0, False),
        (-1, -1, 0, False),
        (1, 0, 0, True),
    ],
)
def test_spare_after_a_change(before, after, min_spare, safe):
    """Never below zero, and never below both the policy and what was there."""
    assert safe is safe_after(Policy(min_spare=min_spare), before, after)


def old_words(version: str):
    """Four of five voters that answer."""
    return {n: own_word(n, version=version) for n in "1234"}


def secure(status, *ids):
    """The look, where these voters, or the first three, have https peer URLs."""
    members = tuple(
        replace(m, peer_urls=(m.peer_urls[0].replace("http:", "https:"),)) if m.id in (ids or "123") else m
        for m in status.members
    )
    return replace(status, members=members)


ADD = {
    "room for a learner": (cluster(), Ready()),
    "already added": (cluster(3, learner("")), Done()),
    "already started": (cluster(3, learner()), Done()),
    "already a voter": (cluster(3, replace(learner(), is_learner=False)), Done()),
    "peer URL under another name": (cluster(3, learner("other")), "PeerURLConflict"),
    "one of two peer URLs taken": (
        cluster(3, replace(learner(), peer_urls=(NEW_URL, "http://10.0.0.8:2380"))),
        "PeerURLConflict",
    ),
    "name taken": (cluster(3, learner("etcd-9", "8", "http://10.0.0.8:2380")), "NameConflict"),
    "somebody else's learner": (cluster(3, learner("x", "8", "http://10.0.0.8:2380")), "learner slot"),
    "the voters' peer URLs are https": (secure(cluster(3)), "InsecurePeerURL"),
    "one voter's peer URL is https": (secure(cluster(3), "2"), "InsecurePeerURL"),
    "added by somebody over http": (secure(cluster(3, learner(""))), "InsecurePeerURL"),
    "a voter over http already": (secure(cluster(3, replace(learner(), is_learner=False))), Done()),
    "one of three down": (cluster(3, down=("3",)), "refuses an add while these voters are down: etcd-3 (3)"),
    "one of five down": (cluster(5, down=("5",)), Ready()),
    "one of five down, etcd 3.5.29": (cluster(5, statuses=old_words("3.5.29")), "refuses an add while"),
    "one of five down, etcd 3.5.30": (cluster(5, statuses=old_words("3.5.30")), Ready()),
    "one of five down, etcd 3.6.10": (cluster(5, statuses=old_words("3.6.10")), "refuses an add while"),
    "one of five down, etcd 3.6.11": (cluster(5, statuses=old_words("3.6.11")), Ready()),
    "two of five down": (cluster(5, down=("4", "5")), "refuses an add while"),
    "a voter that follows nobody": (
        cluster(3, statuses={"1": own_word("1"), "2": own_word("2"), "3": own_word("3", leader="")}),
        "does not follow the leader",
    ),
    "a single voter": (cluster(1), Ready()),
    "no leader": (cluster(3, leader=""), "no leader"),
    "a leader that is silent": (cluster(3, down=("1",)), "leader 1 does not answer"),
    "lists that differ": (cluster(3, dissent=("2 lists more",)), "disagree"),
    "etcd 3.4": (cluster(1, statuses={"1": own_word("1", version="3.4.30")}), "UnsupportedVersion"),
    "etcd 3.5": (cluster(1, statuses={"1": own_word("1", version="3.5.0")}), Ready()),
    "a pre-release": (cluster(1, statuses={"1": own_word("1", version="3.8.0-alpha.0")}), Ready()),
    "a corrupt member": (cluster(1, statuses={"1": own_word("1", alarms=[Alarm("1", "CORRUPT")])}), "CorruptAlarm"),
    "a corrupt member that is gone": (
        cluster(1, statuses={"1": own_word("1", alarms=[Alarm("7", "CORRUPT")])}),
        Ready(),
    ),
    "no space": (cluster(1, statuses={"1": own_word("1", alarms=[Alarm("1", "NOSPACE")])}), Ready()),
}


def check(verdict, expected):
    """A text stands for the error of a Refuse, or a part of the reason of a Wait."""
    if isinstance(expected, str):
        assert isinstance(verdict, Refuse | Wait), verdict
        text = verdict.error if isinstance(verdict, Refuse) else verdict.reason
        assert expected in text
    else:
        assert expected == verdict


@pytest.mark.parametrize("case", ADD)
def test_add(case):
    """When may a learner be added?"""
    status, expected = ADD[case]
    check(judge("add", status, facts()), expected)


@pytest.mark.parametrize("known", ["standby", "8", "0x8"])
def test_a_learner_that_the_policy_knows_takes_no_slot(known):
    """A lasting standby, under etcd's --max-learners 2, by its name or its ID. Another learner still does."""
    standby = learner("standby", "8", "http://10.0.0.8:2380")
    policy = Policy(known_learners=(known,))
    assert judge("add", cluster(3, standby), facts(policy=policy)) == Ready()
    other = learner("x", "7", "http://10.0.0.7:2380")
    check(judge("add", cluster(3, standby, other), facts(policy=policy)), "learner x (7)")
    assert check_learners(cluster(3, standby), "3", policy) == ()


BEHIND = {m: RaftProgress(1000, "StateReplicate") for m in "123"}
SYNC = {
    "caught up": (cluster(3, learner()), Done()),
    "promoted by somebody else": (cluster(3, replace(learner(), is_learner=False)), Done()),
    "removed by somebody else": (cluster(3), "RemovedByOthers"),
    "never started": (cluster(3, learner(""), progress={}), "has not started"),
    "never started, by the leader's word": (
        cluster(3, learner(""), progress={**BEHIND, NEW_ID: RaftProgress(0, "StateProbe")}),
        "has not started",
    ),
    "in a snapshot": (
        cluster(3, learner(), down=(NEW_ID,), progress={**BEHIND, NEW_ID: RaftProgress(0, "StateSnapshot")}),
        "receives a snapshot",
    ),
    "matched but silent": (cluster(3, learner(), down=(NEW_ID,)), "does not answer: DeadlineExceeded"),
    "behind, by raft's word": (
        cluster(3, learner(), progress={**BEHIND, NEW_ID: RaftProgress(899, "StateReplicate")}),
        "101 raft entries behind",
    ),
    "just near enough": (
        cluster(3, learner(), progress={**BEHIND, NEW_ID: RaftProgress(900, "StateReplicate")}),
        Done(),
    ),
    "behind, by its own word": (
        cluster(1, learner(), statuses={"1": own_word("1"), NEW_ID: own_word(NEW_ID, index=10, is_learner=True)}),
        "990 raft entries behind",
    ),
    "no /debug/vars": (cluster(3, learner(), progress={}), Done()),
    "cut off from the leader": (
        cluster(3, learner(), progress={**BEHIND, NEW_ID: RaftProgress(1000, "StateProbe")}),
        "does not replicate to the learner (StateProbe)",
    ),
    "does not know yet that it is one": (
        cluster(1, learner(), statuses={"1": own_word("1"), NEW_ID: own_word(NEW_ID)}),
        "not applied its own add",
    ),
    "no leader": (cluster(3, learner(), leader=""), "no leader"),
}


@pytest.mark.parametrize("case", SYNC)
def test_sync(case):
    """When has a learner caught up?"""
    status, expected = SYNC[case]
    check(judge_sync(status, facts(NEW_ID)), expected)


PROMOTE = {
    "caught up and alive": (cluster(3, learner()), Ready()),
    "one voter only": (cluster(1, learner()), Ready()),
    "a voter is down, nothing gets worse": (cluster(3, learner(), down=("3",)), Ready()),
    "already a voter": (cluster(3, replace(learner(), is_learner=False)), Done()),
    "dead": (cluster(3, learner(), down=(NEW_ID,)), "does not answer"),
    "gone": (cluster(3), "RemovedByOthers"),
    "without quorum": (cluster(5, learner(), down=("3", "4", "5")), "would spare -1: these voters are down"),
}


@pytest.mark.parametrize("case", PROMOTE)
def test_promote(case):
    """When may a learner become a voter? A dead one never: etcd itself would not ask."""
    status, expected = PROMOTE[case]
    check(judge_promote(status, facts(NEW_ID)), expected)


NEW_VOTER = replace(learner(), is_learner=False)
VERIFY = {
    "all agree": (cluster(3, NEW_VOTER), Done()),
    "lists still say learner": (cluster(3, learner()), "not every voter's list"),
    "lists differ": (cluster(3, NEW_VOTER, dissent=("2 lists less",)), "not every voter's list"),
    "silent": (cluster(3, NEW_VOTER, down=(NEW_ID,)), "does not answer"),
    "no read through it": (cluster(3, NEW_VOTER, readers=("1", "2", "3")), "no linearizable read"),
    "gone": (cluster(3), "RemovedByOthers"),
}


@pytest.mark.parametrize("case", VERIFY)
def test_verified(case):
    """A promote is verified when everybody says so, the new voter included."""
    status, expected = VERIFY[case]
    check(judge_verified(status, facts(NEW_ID)), expected)
    assert not contradicts(status, facts(NEW_ID))


def test_split_view_is_a_contradiction():
    """Lists that say voter and a member that says learner: etcd#18347."""
    statuses = {"1": own_word("1"), NEW_ID: own_word(NEW_ID, is_learner=True)}
    status = cluster(1, NEW_VOTER, statuses=statuses)
    check(judge_verified(status, facts(NEW_ID)), "itself says learner")
    assert contradicts(status, facts(NEW_ID))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (cluster(3), Done()),
        (cluster(3, learner()), Ready()),
        (cluster(3, learner(""), down=("3",)), Ready()),
        (cluster(3, NEW_VOTER), "BecameVoter"),
        (cluster(3, learner(), leader=""), "no leader"),
    ],
)
def test_rollback(status, expected):
    """A rollback removes a learner and never a voter."""
    check(judge_rollback(status, facts(NEW_ID)), expected)


def test_from_every_look_of_a_join_the_next_step_follows():
    """Whatever step a join was interrupted in, judging what is there leads to the same end."""
    looks = [cluster(3), cluster(3, learner("")), cluster(3, learner()), cluster(3, NEW_VOTER)]
    expected = [Ready, Done, Done, Done], [Refuse, Wait, Done, Done], [Refuse, Wait, Ready, Done]
    for step, verdicts in zip((judge_add, judge_sync, judge_promote), expected, strict=True):
        for look, kind in zip(looks, verdicts, strict=True):
            assert isinstance(step(look, facts(NEW_ID)), kind)


def test_members_that_only_published_a_name_do_not_conflict():
    """Our own learner, started by its handover, is still ours."""
    assert Done() == judge_add(cluster(3, learner("etcd-9")), facts())
    assert voter(1).label == "etcd-1 (1)"


def test_an_endpoint_that_leads_to_another_member_stays_in_use():
    """A learner may advertise a voter's client URL: the voter is still asked while the learner is removed."""
    wrong = replace(learner(), client_urls=("http://10.0.0.1:2379", "http://10.0.0.9:2379"))
    assert cluster(3, wrong).endpoints_of(NEW_ID) == ("http://10.0.0.9:2379",)
    assert cluster(3, learner()).endpoints_of("1") == ("http://10.0.0.1:2379",)
