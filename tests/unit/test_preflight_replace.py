"""The preflight of a replace: which half comes first and why, and what is refused before anything is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_looks import LOOSE, NEW_ID, asked, checked, cluster, facts, learner, own_word, the, voter

from membership.judge_join import judge_add
from membership.judge_removal import judge_removal
from membership.model import Alarm
from membership.policy import Policy
from membership.preflight import find_member, refusal, warnings
from membership.preflight_replace import between_halves, check_replace, first_half

OLD_URL = "http://10.0.0.3:2380"
LEARNER = learner("old", "8", "http://10.0.0.8:2380")
NEW_VOTER = replace(learner(), is_learner=False)


HEALTHY = ("add-first", "the old member is healthy, so the spare never shrinks")
DOWN = ("remove-first", "the old member is down, and etcd may refuse an add while a voter is down")
SLOT = ("remove-first", "the old member is a learner and takes the learner slot")
SAME = ("remove-first", "the new member has the old one's name or peer URL")
FORWARD = ("add-first", "the new member is a voter already")
ADD_ASKED, REMOVE_ASKED = (("add-first", "asked for with --order"), ("remove-first", "asked for with --order"))
MAY_LIVE = "etcd-3 (3) may live: it does not answer, and whether the leader hears it is not known"
UNCLEAR = ("add-first", f"{MAY_LIVE}; a member that may be alive is not removed first")
ORDERS = {
    "a healthy member": (cluster(3), asked(), HEALTHY),
    "the leader": (cluster(3, leader="3"), asked(), HEALTHY),
    "a dead member": (cluster(3, down=("3",)), asked(), DOWN),
    "a member that follows nobody": (
        cluster(3, statuses={"1": own_word("1"), "2": own_word("2"), "3": own_word("3", leader="")}),
        asked(),
        DOWN,
    ),
    "a member that only this worker cannot reach": (cluster(3, down=("3",), unreached=("3",)), asked(), HEALTHY),
    "a member of which nothing is known": (cluster(3, down=("3",), unclear=("3",)), asked(), UNCLEAR),
    "a healthy member beside a dead one": (cluster(3, down=("2",)), asked(), HEALTHY),
    "a learner": (cluster(3, LEARNER), asked("old"), SLOT),
    "a learner, add-first asked for": (cluster(3, LEARNER), asked("old", order="add-first"), SLOT),
    "a wiped one: same name": (cluster(3), asked("3", "etcd-3"), SAME),
    "a wiped one: same peer URL": (cluster(3), asked("3", url=OLD_URL), SAME),
    "a wiped one, add-first asked for": (cluster(3), asked("3", "etcd-3", OLD_URL, order="add-first"), SAME),
    "the new one is a voter already": (cluster(3, NEW_VOTER, down=("3",)), asked(), FORWARD),
    "the new one is a voter, remove-first asked for": (cluster(3, NEW_VOTER), asked(order="remove-first"), FORWARD),
    "the new one is a learner still": (cluster(3, learner()), asked(), HEALTHY),
    "add-first asked for": (cluster(3, down=("3",)), asked(order="add-first"), ADD_ASKED),
    "remove-first asked for": (cluster(3), asked(order="remove-first"), REMOVE_ASKED),
    "the old one is gone": (cluster(2), asked(), ("add-first", "the old member is gone already")),
}


@pytest.mark.parametrize("case", ORDERS)
def test_order(case):
    """Which half comes first, and why? The plan says it in the same words."""
    status, request, expected = ORDERS[case]
    first = first_half(status, find_member(status, request.old), request)
    assert expected == (first.half, first.why)
    told = [c.evidence for c in checked(status, request) if c.name == "order" and c.verdict == "ok"]
    assert set(told) <= {f"{first.half}: {first.why}"}


IMPOSSIBLE = {
    "same name": (cluster(3), asked("3", "etcd-3", order="add-first"), SAME),
    "same peer URL": (cluster(3), asked("3", url=OLD_URL, order="add-first"), SAME),
    "the learner slot": (cluster(3, LEARNER), asked("old", order="add-first"), SLOT),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_order_that_is_impossible_is_refused(case):
    """Nothing was done; the reason is the one that decides the order."""
    status, request, (_, why) = IMPOSSIBLE[case]
    check = refusal(checked(status, request))
    assert (check.name, check.error) == ("order", "OrderImpossible")
    assert check.evidence.endswith(f"can't be replaced add-first: {why}")
    assert "--order remove-first" in check.hint


def test_an_old_member_by_name_must_not_share_a_peer_url_with_the_new_one():
    """Repeated, it would find the new member under that URL; the ID is nobody else's ever."""
    check = refusal(checked(cluster(3), asked(url=OLD_URL)))
    assert (check.name, check.error) == ("old member", "AmbiguousMember")
    assert "etcd-3 (3) has a peer URL of the new one, and is given by its name" in check.evidence
    assert "give the hex ID 3" in check.hint
    for wanted in ("3", voter(3)):
        assert refusal(checked(cluster(3), asked("3", url=OLD_URL), wanted=wanted)) is None


def test_a_removal_that_comes_first_is_judged_at_once():
    """On the final size: the new voter is returning. What is refused says what the judgement says."""
    remove_first = asked(order="remove-first")
    assert refusal(checked(cluster(3, down=("3",)), policy=Policy())) is None
    assert refusal(checked(cluster(3, down=("3",)), policy=Policy(min_voters=4))) is None
    cases = {
        "QuorumAtRisk": (cluster(3), Policy()),
        "LastVoter": (cluster(1), LOOSE),
    }
    for error, (status, policy) in cases.items():
        request = asked(f"etcd-{len(status.members)}", order="remove-first")
        old = find_member(status, request.old)
        verdict = judge_removal(status, facts(old.id, policy, returning=1))
        check = refusal(checked(status, request, policy))
        assert (error, verdict.reason, verdict.hint) == (check.error, check.evidence, check.hint)
    assert the("removal", checked(cluster(5), remove_first)).evidence == "etcd-3 (3) can be removed"


def test_force_is_passed_to_the_removal():
    """The operator's to judge."""
    assert refusal(checked(cluster(3), asked(order="remove-first", force=True), Policy())) is None


def test_a_removal_that_comes_last_is_told_by_its_spare():
    """The margin after each half; the look of that moment decides about the removal itself."""
    checks = checked(cluster(3))
    assert "removal" not in {c.name for c in checks}
    assert [c.evidence for c in checks if c.name == "spare"] == [
        "voters that may die: 1 now, 1 after the join (4 of 4 alive)",
        "voters that may die: 1 now, 1 after the removal (3 of 3 alive)",
    ]
    told = [
        c.evidence for c in checked(cluster(4, down=("4",)), asked("etcd-4", order="add-first")) if c.name == "spare"
    ]
    assert told[1] == "voters that may die: 0 now, 1 after the removal (4 of 4 alive)"


def test_between_its_halves_the_removal_is_judged_by_what_it_began_with():
    """A replace in a cluster of one has two voters then, and goes on to one; nobody else may shrink it like that."""
    between, request = cluster(1, NEW_VOTER), asked("etcd-1")
    known = facts(name=request.name, began_with=(1, 0))
    assert between_halves(between, "etcd-1", request).id == "1"
    assert refusal(check_replace(between, known, "etcd-1", request)) is None
    assert refusal(checked(between, request, Policy())).error == "TooFewVoters"
    assert between_halves(cluster(1), "etcd-1", request) is None
    assert between_halves(cluster(1, NEW_VOTER), "gone", request) is None


def test_a_corrupt_member_goes_first():
    """Nothing may be copied from it; the corrupt member's alarm does not stand in the way of its own replacement."""
    corrupt = {**cluster(3).statuses, "3": own_word("3", alarms=(Alarm("3", "CORRUPT"),))}
    status = cluster(3, statuses=corrupt)
    assert first_half(status, status.member("3"), asked()).half == "remove-first"
    assert refusal(checked(status)) is None
    assert refusal(checked(status, asked("etcd-2"))).error == "CorruptAlarm"


NEWCOMERS = {
    "may come": (cluster(3), asked(), "ok", "etcd-9 can be added"),
    "is there already": (cluster(3, NEW_VOTER), asked(), "ok", "etcd-9 is a voter already"),
    "in the place of a learner": (cluster(3, LEARNER), asked("old"), "ok", "etcd-9 can be added"),
    "under the old one's name and URL": (cluster(3), asked("3", "etcd-3", OLD_URL), "ok", "etcd-3 can be added"),
    "after a dead one": (cluster(3, down=("3",)), asked(), "ok", "etcd-9 can be added"),
    "before a dead one": (
        cluster(3, down=("3",)),
        asked(order="add-first"),
        "wait",
        "etcd refuses an add while these voters are down: etcd-3 (3)",
    ),
    "beside another dead one": (cluster(3, down=("2",)), asked(), "wait", "etcd refuses an add while these"),
    "beside another dead one of four": (cluster(4, down=("2",)), asked(), "ok", "etcd-9 can be added"),
    "beside somebody else's learner": (cluster(3, LEARNER), asked(), "wait", "learner old (8)"),
    "under a third one's name": (cluster(3), asked(name="etcd-2"), "refuse", "the name etcd-2 belongs to"),
    "under a third one's URL": (cluster(3), asked(url="http://10.0.0.2:2380"), "refuse", "belongs to member etcd-2"),
}


@pytest.mark.parametrize("case", NEWCOMERS)
def test_the_member_that_comes(case):
    """Judged as the cluster will be when its turn has come: without the old member only if that one goes first."""
    status, request, verdict, evidence = NEWCOMERS[case]
    check = the("join", checked(status, request))
    assert verdict == check.verdict
    assert evidence in check.evidence


def test_an_old_member_that_is_gone_is_a_warning():
    """It may be a typing error, or the second run of the same command."""
    checks = checked(cluster(2))
    assert refusal(checks) is None
    assert warnings(checks) == ["no member etcd-3 is in the list: taken as removed already"]


def test_corruption_is_not_copied():
    """A new member would take it over from whomever it learns; no order mends that."""
    status = cluster(3, statuses={"1": own_word("1", alarms=[Alarm("2", "CORRUPT")])})
    for request in (asked(order="add-first"), asked(order="remove-first")):
        check = refusal(checked(status, request))
        assert (check.error, check.evidence) == ("CorruptAlarm", judge_add(status, facts(NEW_ID)).reason)
