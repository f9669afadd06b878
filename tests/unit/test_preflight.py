"""The preflight: each check with its verdict and evidence, and the order of a replace."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import (
    CLUSTER_ID,
    LOOSE,
    NEW_ID,
    NEW_URL,
    asked,
    checked,
    cluster,
    facts,
    learner,
    own_word,
    the,
    voter,
)

from membership.judge_join import judge_add
from membership.judge_removal import judge_removal
from membership.model import Alarm
from membership.policy import Policy
from membership.preflight import check_join, check_remove, find_member, is_down, refusal, warnings, why_not_dead
from membership.preflight_replace import check_replace
from membership.record import Record, check_identity
from messages.learners import meant_by
from messages.requests import JoinRequest, RemoveRequest, ReplaceRequest

MB100 = 100_000_000
DISSENT = ("2 lists more",)


def words(**changes):
    """The words of three voters; the second's with these changes."""
    return {n: replace(own_word(n), **(changes if n == "2" else {})) for n in "123"}


def versions(*told: str):
    return cluster(3, statuses={str(n): own_word(str(n), version=v) for n, v in enumerate(told, 1)})


# ---- the checks of every change ----

OF_EVERY_CHANGE = [
    ("leader", "ok", "etcd-1 (1), term 2", cluster(3)),
    ("leader", "wait", "the cluster has no leader", cluster(3, leader="")),
    ("voters", "ok", "3 of 3 alive", cluster(3, learner())),
    ("voters", "warn", "4 of 5 alive; these voters are down: etcd-5 (5): DeadlineExceeded", cluster(5, down=("5",))),
    ("member lists", "ok", "3 voters were asked", cluster(3, learner())),
    ("member lists", "wait", "voters disagree about the member list: 2 lists more", cluster(3, dissent=DISSENT)),
    ("versions", "ok", "3.7.1", cluster(3)),
    ("versions", "wait", "no member says its version", cluster(3, statuses={})),
    ("versions", "warn", "3.9.0, 3.10.1: members run different", versions("3.10.1", "3.9.0", "3.10.1")),
    ("versions", "warn", "etcd 3.6.11, 3.6.12: MemberUpdate on a learner", versions("3.6.12", "3.6.11", "3.6.12")),
    ("versions", "refuse", "member 2 runs etcd 3.4.30, and 3.5 is the oldest", versions("3.5.31", "3.4.30")),
    ("versions", "ok", "3.6.12", versions("3.6.12", "3.6.12", "3.6.12")),
    ("alarms", "ok", "none", cluster(3)),
    ("alarms", "warn", "NOSPACE on 2", cluster(3, statuses=words(alarms=(Alarm("2", "NOSPACE"),)))),
    ("database", "ok", "7.5 MB", cluster(3, statuses=words(db_size=7_500_000))),
    ("database", "ok", "79.9 MB of a quota of 100 MB", cluster(3, statuses=words(db_size=79_900_000, db_quota=MB100))),
    ("database", "warn", "80.0 MB of a quota of 100 MB", cluster(3, statuses=words(db_size=8 * 10**7, db_quota=MB100))),
    ("database", "wait", "no member says the size of its database", cluster(3, statuses={})),
    ("links", "ok", "no voter is known to have started in the last 5 s", cluster(3, statuses=words(uptime=5.0))),
    ("links", "wait", "less than 5 s, so etcd may refuse changes: etcd-2 (2)", cluster(3, statuses=words(uptime=4.9))),
    ("links", "ok", "no voter is known", cluster(3, statuses=words(uptime=1, leader=""))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "verdict", "evidence", "status"), OF_EVERY_CHANGE)
def test_the_checks_of_every_change(name, verdict, evidence, status):
    """Each has its verdict and its evidence, whatever the change, and what is not well has a hint."""
    known = facts(policy=LOOSE)
    for checks in (
        check_join(status, known),
        check_remove(status, known, "etcd-3", force=False),
        check_remove(status, known, "nobody", force=False),
        checked(status),
    ):
        check = the(name, checks)
        assert verdict == check.verdict
        assert evidence in check.evidence
        assert bool(check.hint) == (verdict != "ok")


def test_a_member_without_tls_among_others_is_warned_of():
    """By its name; where all have one scheme there is nothing to say."""
    secure = replace(voter(1), peer_urls=("https://10.0.0.1:2380",))
    mixed = replace(cluster(3), members=(secure, voter(2), voter(3)))
    check = the("peer URLs", check_remove(mixed, facts(policy=LOOSE), "nobody", force=False))
    assert (check.verdict, "etcd-2 (2), etcd-3 (3)" in check.evidence) == ("warn", True)
    assert "peer URLs" not in [c.name for c in check_remove(cluster(3), facts(policy=LOOSE), "nobody", force=False)]


# ---- who is meant ----


@pytest.mark.parametrize("wanted", ["8e9e05c52164694d", "8E9E05C52164694D", "0x8e9e05c52164694d", "0X8E9E", "etcd-9"])
def test_a_member_is_found_by_id_or_name(wanted):
    """In whatever way a person writes an ID."""
    member = learner("etcd-9", "8e9e" if wanted == "0X8E9E" else "8e9e05c52164694d")
    assert member == find_member(cluster(3, member), wanted)


def test_a_member_is_found_by_its_decimal_id():
    """As etcdctl's JSON and the HTTP gateway print it; where that reads as another one's hex ID, it is refused."""
    member = learner("etcd-9", "8e9e05c52164694d")
    assert member == find_member(cluster(3, member), str(0x8E9E05C52164694D))
    twice = cluster(3, learner("a", "10", "http://a:1"), learner("b", "a", "http://b:1"))
    assert refusal(check_remove(twice, facts(), "10", force=False)).error == "AmbiguousMember"


def test_ids_come_before_names():
    """An ID is one member's for ever; etcd pads none with zeros, people do."""
    by_id, by_name = learner("x", "abc", "http://a:1"), learner("abc", "8", "http://b:1")
    assert find_member(cluster(3, by_name, by_id), "abc") == by_id
    assert find_member(cluster(3, by_name), "abc") == by_name
    assert find_member(cluster(3, by_id), "0000000000000abc") == by_id
    assert find_member(cluster(3, learner("")), "nobody") is None
    assert find_member(cluster(3), "0") is None


def test_a_member_is_down_when_it_is_silent_or_follows_nobody():
    """And not when it is well."""
    status = cluster(3, down=("2",))
    status = replace(status, statuses={**status.statuses, "3": own_word("3", leader="")})
    assert [is_down(status, voter(n)) for n in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (cluster(3, down=("3",)), ""),
        (cluster(3), "etcd-3 (3) lives"),
        (
            cluster(3, down=("3",), unreached=("3",)),
            "etcd-3 (3) lives: this worker cannot reach it, although the leader",
        ),
        (cluster(3, down=("3",), unclear=("3",)), "etcd-3 (3) may live: it does not answer"),
        (cluster(3, down=("3",), leader=""), "etcd-3 (3) may live: the cluster has no leader"),
        (cluster(2), "etcd-3 (3) is not in the member list any more"),
    ],
)
def test_a_member_is_dead_by_evidence_alone(status, why):
    """What makes way for its removal is certain, or says why it is not."""
    assert (why_not_dead(status, voter(3))[: len(why)], is_down(status, voter(3))) == (why, not why)


TWINS = cluster(3, learner("etcd-3"))


def test_a_name_of_two_members_is_refused():
    """By name it would be a guess; by ID, and once pinned, it is none."""
    for checks in (check_remove(TWINS, facts(policy=LOOSE), "etcd-3", force=True), checked(TWINS)):
        assert [(c.verdict, c.error) for c in checks] == [("refuse", "AmbiguousMember")]
        assert f"etcd-3 fits several members: 3, {NEW_ID}" in checks[0].evidence
    for wanted in ("3", NEW_ID, voter(3)):
        assert refusal(check_remove(TWINS, facts(policy=LOOSE), wanted, force=False)) is None


# ---- joins and removals ----


def test_a_join_tells_where_and_the_spare():
    """Before and after, for who wonders whether it helps."""
    checks = check_join(cluster(5, down=("5",)), facts())
    assert the("join", checks).evidence == f"etcd-9 can be added at {NEW_URL}"
    assert the("spare", checks).evidence == "voters that may die: 1 now, 1 after the join (5 of 6 alive)"


def test_a_removal_tells_what_would_be_done():
    """Leadership moves first; a learner in the cluster is left alone."""
    checks = check_remove(cluster(5, learner(), down=("5",)), facts(policy=LOOSE), "etcd-1", force=False)
    assert the("removal", checks).evidence == "etcd-1 (1) can be removed, after its leadership is moved"
    assert the("learners", checks).evidence == "learner etcd-9 (9) is in the cluster, and is left alone"
    assert the("spare", checks).evidence == "voters that may die: 1 now, 0 after the removal (3 of 4 alive)"
    assert the("learners", checks).verdict == "warn"
    dead = check_remove(cluster(5, down=("5",)), facts(policy=LOOSE), "5", force=False)
    assert the("removal", dead).evidence == "etcd-5 (5) can be removed"
    assert the("spare", dead).evidence == "voters that may die: 1 now, 1 after the removal (4 of 4 alive)"


def test_a_learner_costs_no_spare():
    """So nothing is said of it, nor of the learner itself."""
    checks = check_remove(cluster(3, learner()), facts(), "etcd-9", force=False)
    assert the("removal", checks).verdict == "ok"
    assert {"spare", "learners"}.isdisjoint(c.name for c in checks)


def test_a_pinned_member_that_is_gone_is_no_refusal():
    """It is not mistaken for another one of its name."""
    others = cluster(3, learner("etcd-9", "8", "http://b:1"))
    checks = check_remove(others, facts(), learner(), force=False)
    assert (checks[-1].name, checks[-1].verdict) == ("member", "ok")
    assert "etcd-9 (9) is gone" in checks[-1].evidence


@pytest.mark.parametrize("wanted", ["etcd-9", NEW_ID])
def test_a_member_that_was_removed_is_told_from_one_that_never_was(wanted):
    """A removal by memberflow is known, and another is not. A mistyped name gets a hint with the closest name."""
    known = check_remove(cluster(3), facts(), wanted, force=False, record=Record(was_removed=True))[-1]
    assert (known.verdict, "removed already" in known.evidence) == ("ok", True)
    unknown = check_remove(cluster(3), facts(), wanted, force=False)[-1]
    assert (unknown.verdict, f"no member has the name or ID {wanted}" in unknown.evidence) == ("warn", True)


def test_a_mistyped_name_gets_a_hint():
    """And a name that is just being joined gets another one."""
    slip = check_remove(cluster(3), facts(), "ectd-3", force=False, record=Record(is_joining=True))[-1]
    assert "did you mean etcd-3?" in slip.hint
    assert "A join of ectd-3 is running: cancel it" in slip.hint


def test_a_name_that_was_used_again_is_refused():
    """The repeated removal does not take the new member; by its ID it may go, and a pinned one is known."""
    earlier = Record(removed_id="c0")
    for checks in (
        check_remove(cluster(3), facts(policy=LOOSE), "etcd-3", force=False, record=earlier),
        check_replace(cluster(3), facts(policy=LOOSE), "etcd-3", asked(), earlier),
    ):
        assert [(c.verdict, c.error) for c in checks] == [("refuse", "NameReused")]
        assert "give the hex ID 3" in checks[0].hint
    for wanted in ("3", voter(3)):
        assert refusal(check_remove(cluster(3), facts(policy=LOOSE), wanted, force=False, record=earlier)) is None
    same = Record(removed_id="3")
    assert refusal(check_remove(cluster(3), facts(policy=LOOSE), "etcd-3", force=False, record=same)) is None


def test_another_cluster_than_before_is_refused():
    """With the word by which an operator accepts a rebuilt one."""
    assert check_identity(cluster(3), Record()) == ()
    assert [c.verdict for c in check_identity(cluster(3), Record(cluster_id=CLUSTER_ID))] == ["ok"]
    [check] = check_identity(cluster(3), Record(cluster_id="beef"))
    assert (check.verdict, check.error) == ("refuse", "WrongCluster")
    assert f'cluster_id = "{CLUSTER_ID}"' in check.hint


def test_force_is_the_requests():
    """It skips the policy, as in the removal itself."""
    for force, error in ((False, "TooFewVoters"), (True, None)):
        refused = refusal(check_remove(cluster(3), facts(), "etcd-3", force=force))
        assert error == (refused.error if refused else None)


def test_warnings_are_told_apart():
    """They go into the outcome; waits and good news don't."""
    status = cluster(5, learner(), down=("5",), leader="1", dissent=DISSENT)
    assert [text.split(";")[0] for text in warnings(check_remove(status, facts(), "5", force=False))] == [
        "4 of 5 alive",
        "learner etcd-9 (9) is in the cluster, and is left alone",
    ]


# ---- the same sentences as in the change itself ----

CORRUPT = cluster(3, statuses=words(alarms=(Alarm("2", "CORRUPT"),)))
REFUSED_REMOVALS = {
    "LastVoter": (cluster(1), "etcd-1", LOOSE),
    "CorruptAlarm": (CORRUPT, "etcd-3", LOOSE),
    "TooFewVoters": (cluster(3), "etcd-3", Policy()),
    "QuorumAtRisk": (cluster(3), "3", Policy(min_voters=1)),
    "QuorumAtRisk at any rate": (cluster(3, down=("2",)), "3", LOOSE),
}


@pytest.mark.parametrize("case", REFUSED_REMOVALS)
def test_a_refused_removal_says_what_its_judgement_says(case):
    """Plan, preflight and the removal with its turn use one sentence."""
    status, wanted, policy = REFUSED_REMOVALS[case]
    check = refusal(check_remove(status, facts(policy=policy), wanted, force=False))
    member = find_member(status, wanted)
    verdict = judge_removal(status, facts(member.id, policy))
    assert (verdict.error, verdict.reason, verdict.hint) == (check.error, check.evidence, check.hint)
    assert case.startswith(verdict.error)


REFUSED_JOINS = {
    "PeerURLConflict": cluster(3, learner("other")),
    "NameConflict": cluster(3, learner(url="http://a:1")),
    "UnsupportedVersion": versions("3.4.30", "3.4.30", "3.4.30"),
    "CorruptAlarm": CORRUPT,
}


@pytest.mark.parametrize("error", REFUSED_JOINS)
def test_a_refused_join_says_what_its_judgement_says(error):
    """And so does a replace, of the member that would come."""
    verdict = judge_add(REFUSED_JOINS[error], facts())
    for checks in (check_join(REFUSED_JOINS[error], facts()), checked(REFUSED_JOINS[error])):
        check = refusal(checks)
        assert (verdict.error, verdict.reason, verdict.hint) == (check.error, check.evidence, check.hint)
    assert error == verdict.error


def test_a_wait_is_told_in_the_words_of_the_judgement():
    """For a person who plans; nothing is refused."""
    status = cluster(3, down=("3",))
    check = the("join", check_join(status, facts()))
    assert (check.verdict, check.evidence) == ("wait", judge_add(status, facts()).reason)
    assert refusal(check_join(status, facts())) is None


@pytest.mark.parametrize(
    ("request_", "meant"),
    [
        (JoinRequest(cluster="prod", name="etcd-9", peer_urls=(NEW_URL,)), {NEW_ID}),
        (JoinRequest(cluster="prod", name="etcd-8", peer_urls=("http://a:1",)), set()),
        (RemoveRequest(cluster="prod", member="etcd-2"), {"2"}),
        (RemoveRequest(cluster="prod", member=NEW_ID), {NEW_ID}),
        (RemoveRequest(cluster="prod", member="etcd-7"), set()),
        (ReplaceRequest(cluster="prod", old="etcd-2", name="etcd-9", peer_urls=(NEW_URL,)), {"2", NEW_ID}),
    ],
)
def test_whom_a_request_means(request_, meant):
    """A learner that did not start has no name, and nobody means it by that."""
    assert meant == meant_by(request_, cluster(3, learner(name="")))
