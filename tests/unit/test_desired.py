"""The changes between a cluster and a list: which ones, in which order, and when the list cannot be reached."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_looks import LOOSE, cluster, learner, own_word, the, voter

from membership.desired import compare
from membership.failures import Failure
from membership.model import Alarm, Member
from membership.policy import Policy
from membership.preflight import refusal
from membership.verdicts import quorum


@dataclass(frozen=True)
class Listed:
    """A member of the list."""

    name: str
    peer_urls: tuple[str, ...]


def url(number):
    return f"http://10.0.0.{number}:2380"


def listed(*numbers):
    """Members etcd-1, etcd-2 …, each at its own peer URL."""
    return [Listed(f"etcd-{number}", (url(number),)) for number in numbers]


def steps(status, wanted, *, prune=True, policy=LOOSE):
    """The changes in words, each with the hex ID of the member that leaves."""
    course = compare(status, wanted, policy, prune=prune)
    assert refusal(course.checks) is None, course.checks
    return [" ".join(filter(None, (s.verb, s.member if s.verb != "remove" else "", s.old))) for s in course.steps]


def refused(status, wanted, *, prune=True, policy=LOOSE):
    course = compare(status, wanted, policy, prune=prune)
    assert course.steps == ()
    return refusal(course.checks)


CASES = {
    "as listed": (cluster(3), listed(1, 2, 3), []),
    "in another order": (cluster(3), listed(3, 1, 2), []),
    "one new": (cluster(3), listed(1, 2, 3, 4), ["join etcd-4"]),
    "one to five, in the list's order": (
        cluster(1),
        listed(1, 5, 2, 4, 3),
        ["join etcd-5", "join etcd-2", "join etcd-4", "join etcd-3"],
    ),
    "one gone": (cluster(4), listed(1, 2, 3), ["remove 4"]),
    "an even size": (cluster(5), listed(1, 2, 3, 4), ["remove 5"]),
    "from two to four": (cluster(2), listed(1, 2, 3, 4), ["join etcd-3", "join etcd-4"]),
    "one replaced": (cluster(3), listed(1, 2, 4), ["replace etcd-4 3"]),
    "all replaced, the leader last": (
        cluster(3, leader="2"),
        listed(4, 5, 6),
        ["replace etcd-4 1", "replace etcd-5 3", "replace etcd-6 2"],
    ),
    "the last voter": (cluster(1), listed(2), ["replace etcd-2 1"]),
    "more come than go: they come before healthy voters leave": (
        cluster(3),
        listed(4, 5, 6, 7, 8),
        ["join etcd-7", "join etcd-8", "replace etcd-4 2", "replace etcd-5 3", "replace etcd-6 1"],
    ),
    "fewer come than go, the leader last": (
        cluster(5, leader="1"),
        listed(6, 7, 8),
        ["replace etcd-6 2", "replace etcd-7 3", "replace etcd-8 4", "remove 5", "remove 1"],
    ),
    "a dead voter first, and then those that only join": (
        cluster(3, down=("3",)),
        listed(1, 2, 4, 5, 6),
        ["replace etcd-4 3", "join etcd-5", "join etcd-6"],
    ),
    "a dead voter before a healthy one": (
        cluster(3, leader="1", down=("3",)),
        listed(1, 4, 5),
        ["replace etcd-4 3", "replace etcd-5 2"],
    ),
    "a corrupt voter first": (
        cluster(
            3,
            leader="1",
            statuses={**cluster(3).statuses, "1": own_word("1", alarms=(Alarm("3", "CORRUPT"),))},
        ),
        listed(1, 2, 4, 5),
        ["replace etcd-4 3", "join etcd-5"],
    ),
    "a silent voter of the list stays": (cluster(3, down=("2",)), listed(1, 2, 3), []),
    "a join that is not finished": (
        cluster(3, learner("etcd-9", url=url(9))),
        listed(1, 2, 9, 4),
        ["join etcd-9", "replace etcd-4 3"],
    ),
    "a learner that has not started": (cluster(3, learner("", url=url(9))), listed(1, 2, 3, 9), ["join etcd-9"]),
    "a learner that is not in the list": (cluster(3, learner()), listed(1, 2, 4), ["remove 9", "replace etcd-4 3"]),
    "a voter that has not started": (
        cluster(3, Member("4", "", (url(4),), (), False)),
        listed(1, 2, 3, 4),
        [],
    ),
    "the same name at another peer URL": (
        cluster(3),
        [*listed(1, 2), Listed("etcd-3", (url(30),))],
        ["replace etcd-3 3"],
    ),
    "one peer URL more": (cluster(3), [*listed(1, 2), Listed("etcd-3", (url(3), url(30)))], ["replace etcd-3 3"]),
    "another name at the same peer URL": (
        cluster(3),
        [*listed(1, 2), Listed("etcd-30", (url(3),))],
        ["replace etcd-30 3"],
    ),
    "a peer URL that another replacement sets free": (
        cluster(3, leader="3"),
        [Listed("etcd-1", (url(2),)), *listed(3), Listed("etcd-2", (url(20),))],
        ["replace etcd-2 2", "replace etcd-1 1"],
    ),
    "two members of one name": (
        cluster(3, replace(voter(4), name="etcd-3")),
        listed(1, 2, 3),
        ["remove 4"],
    ),
    "between the halves of a replace: the old one is gone": (cluster(2), listed(1, 2, 4), ["join etcd-4"]),
    "between the halves of a replace: the new one is in": (cluster(4), listed(1, 2, 4), ["remove 3"]),
}


@pytest.mark.parametrize("case", CASES)
def test_with_prune(case):
    """The cluster becomes exactly the list."""
    status, wanted, expected = CASES[case]
    assert steps(status, wanted) == expected


@pytest.mark.parametrize(
    ("status", "wanted", "expected"),
    [
        (cluster(3), listed(1), []),
        (cluster(3), listed(4, 5), ["join etcd-4", "join etcd-5"]),
        (cluster(3), listed(1, 2, 3, 4), ["join etcd-4"]),
        (cluster(3, learner()), listed(4), ["join etcd-4"]),
        (cluster(3, learner("etcd-9", url=url(9))), listed(4, 9), ["join etcd-9", "join etcd-4"]),
    ],
)
def test_without_prune_nobody_leaves(status, wanted, expected):
    """Members that are not in the list stay."""
    assert steps(status, wanted, prune=False) == expected


@pytest.mark.parametrize(
    ("wanted", "failure", "told"),
    [
        (Listed("etcd-3", (url(30),)), Failure.NAME_CONFLICT, "the name etcd-3 belongs to member etcd-3 (3)"),
        (Listed("etcd-30", (url(3),)), Failure.PEER_URL_CONFLICT, f"peer URL {url(3)} of etcd-30 belongs to member"),
    ],
)
def test_without_prune_a_member_in_the_way_is_a_refusal(wanted, failure, told):
    """It names the member, and the way out."""
    check = refused(cluster(3), [*listed(1, 2), wanted], prune=False)
    assert (check.error, check.evidence.startswith(told)) == (failure, True), check
    assert "--prune" in check.hint


def test_exchanged_peer_urls_are_a_refusal():
    """Neither of the two can come first."""
    swapped = [Listed("etcd-1", (url(2),)), Listed("etcd-2", (url(1),)), *listed(3)]
    assert refused(cluster(3), swapped).error == Failure.PEER_URL_CONFLICT


def test_too_few_voters_are_refused_before_the_first_change():
    """`min_voters` is judged on the list, not at its last removal."""
    check = refused(cluster(5), listed(1, 6), policy=Policy())
    assert (check.error, check.evidence) == (Failure.TOO_FEW_VOTERS, "5 voters would become 2, and min_voters is 3")
    assert steps(cluster(5), listed(1, 2, 6), policy=Policy()) == ["replace etcd-6 3", "remove 4", "remove 5"]


def test_a_small_list_without_a_removal_is_no_refusal():
    """One voter may be replaced by one, and grow to two."""
    assert steps(cluster(1), listed(2), policy=Policy()) == ["replace etcd-2 1"]
    assert steps(cluster(1), listed(1, 2), policy=Policy()) == ["join etcd-2"]


def test_the_check_of_the_list_says_what_is_missing_and_what_stays():
    """For the first line of a plan."""
    told = the("list", compare(cluster(3), listed(1, 4), LOOSE, prune=False).checks)
    assert told.evidence == (
        "1 of 2 members are as listed; not yet: etcd-4; not in the list, and left alone: etcd-2 (2), etcd-3 (3)"
    )
    assert "and to leave" in the("list", compare(cluster(3), listed(1, 4), LOOSE, prune=True).checks).evidence


# ---- any cluster, any list ----


def after(status, step, wanted, number):
    """The cluster after this change: a new voter has the ID `number`."""
    members = [m for m in status.members if m.id != step.old]
    if step.verb != "remove":
        new = next(w for w in wanted if w.name == step.member)
        members = [m for m in members if set(m.peer_urls) != set(new.peer_urls)]
        members.append(Member(str(number), new.name, new.peer_urls, (), False))
    leader = status.leader if any(m.id == status.leader for m in members) else members[0].id
    down = {m.id for m in status.down_voters}
    statuses = {m.id: own_word(m.id, leader=leader, is_learner=m.is_learner) for m in members if m.id not in down}
    return replace(status, members=tuple(members), leader=leader, statuses=statuses)


@given(
    voters=st.integers(1, 7),
    kept=st.sets(st.integers(1, 7)),
    new=st.lists(st.integers(10, 16), unique=True, max_size=7),
    leader=st.integers(1, 7),
    down=st.sets(st.integers(1, 7), max_size=2),
)
def test_every_list_is_reached(voters, kept, new, leader, down):
    """One change after the other, looked at anew each time: to exactly the list, and the leader leaves last."""
    leader = min(leader, voters)
    down = {n for n in down if n <= voters and n != leader}
    if voters - len(down) < quorum(voters):
        down = set()
    status = cluster(voters, down=tuple(map(str, down)), leader=str(leader))
    wanted = listed(*(n for n in range(1, voters + 1) if n in kept), *new)
    if not wanted:
        return
    fewest = min(voters, len(wanted))
    left = []
    for number in range(100, 120):
        course = compare(status, wanted, LOOSE, prune=True)
        if not course.steps:
            break
        step = course.steps[0]
        left.append(step.old)
        status = after(status, step, wanted, number)
        assert len(status.voters) >= fewest
    assert {(m.name, m.peer_urls) for m in status.members} == {(w.name, w.peer_urls) for w in wanted}
    gone = [old for old in left if old]
    assert str(leader) not in gone[:-1]
