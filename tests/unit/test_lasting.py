"""Warnings are judged again at the end of a change: none that has become untrue is in the outcome."""

from __future__ import annotations

from dataclasses import replace

from made_up_looks import NEW_ID, cluster, learner, own_word, voter

from membership.checks import Check, check_cluster
from membership.lasting import judge_again
from membership.newcomer import check_newcomer
from membership.policy import Policy
from membership.preflight import check_learners


def noticed(*checks):
    """The checks that warn."""
    return [check for check in checks if check.verdict == "warn"]


def test_a_removed_voter_is_not_down():
    """It was down when its removal began."""
    seen = cluster(3, down=("3",))
    [down] = noticed(*check_cluster(seen))
    assert "these voters are down: etcd-3" in down.evidence
    assert judge_again([down], cluster(2), "3", Policy()) == {down.evidence: ""}
    assert judge_again([down], seen, "3", Policy()) == {down.evidence: down.evidence}


def test_a_warning_that_holds_has_the_figures_of_the_end():
    """One voter of five was down. Now two of four are."""
    [down] = noticed(*check_cluster(cluster(5, down=("5",))))
    again = judge_again([down], cluster(4, down=("3", "4")), "5", Policy())[down.evidence]
    assert again.startswith("2 of 4 alive; these voters are down: etcd-3")


def test_a_learner_that_is_gone_is_not_left_alone():
    """It was in the cluster when the removal of another member began."""
    [beside] = check_learners(cluster(3, learner()), "3", Policy())
    assert judge_again([beside], cluster(2), "3", Policy()) == {beside.evidence: ""}
    assert judge_again([beside], cluster(2, learner()), "3", Policy()) == {beside.evidence: beside.evidence}


def test_a_newcomer_that_was_restarted_with_other_settings():
    """Its quota is good by now. While it is silent, the last known quota counts."""
    small = replace(own_word(NEW_ID), db_quota=5)
    seen = cluster(3, voter(9))
    others = {i: replace(s, db_size=3, db_quota=9) for i, s in seen.statuses.items() if i != NEW_ID}
    before = replace(seen, statuses={**others, NEW_ID: small})
    [quota] = check_newcomer(before, NEW_ID)
    mended = replace(seen, statuses={**others, NEW_ID: replace(small, db_quota=9)})
    assert judge_again([quota], mended, NEW_ID, Policy()) == {quota.evidence: ""}
    assert judge_again([quota], replace(seen, statuses=others), NEW_ID, Policy()) == {}


def test_other_warnings_keep_their_sentences():
    """Those of the request and of files."""
    assert judge_again([Check("new address", "warn", "it is loopback")], cluster(3), "3", Policy()) == {}


def test_a_look_that_asked_few_members_refutes_little():
    """It shows who is gone, and not who is alive or has which version."""
    down = Check("voters", "warn", "2 of 3 alive; these voters are down: etcd-3 (3): refused")
    versions = Check("versions", "warn", "members run different minor versions")
    narrow = replace(cluster(2), asked_all=False, statuses={})
    assert judge_again([down, versions], narrow, "3", Policy()) == {down.evidence: ""}
    narrow = replace(cluster(3), asked_all=False, statuses={})
    assert judge_again([down, versions], narrow, "9", Policy()) == {down.evidence: down.evidence}
