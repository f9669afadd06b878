"""
The fault table of the join.

A row says what goes wrong, and then: exit code, outcome, final members, and the adds, promotes and removals
that reached etcd. `naive` says how a loop of add, start and promote-until-OK ends in the same trouble: the
faults are real, and the rows tell something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember
from support.checks.afterwards import Before
from support.faults.troubles import (
    FOREIGN,
    Meanwhile,
    Prepare,
    add_by_hand,
    added_and,
    advertising_another,
    at_the_peer_url_of_another,
    behind_throttle,
    blind_after,
    data_arrives,
    die,
    filled,
    free_the_slot,
    freeze,
    named_like,
    never_start,
    nothing,
    promote_by_hand,
    remove_by_hand,
    snapshot_is_seen,
    spoil,
    stall_in_mid_sync,
    start_late,
    under_puts,
    while_held,
)
from support.parts.bare_client import naive_join
from support.parts.lab import Cluster, Join, eventually


@dataclass(frozen=True)
class Row:
    """One kind of trouble, and everything that must be true afterwards. Counts are numbers or (least, most)."""

    trouble: str
    prepare: Prepare = nothing
    meanwhile: Meanwhile = Join.start_member
    args: tuple[str, ...] = ()
    policy: dict[str, Any] = field(default_factory=dict)
    syncs_for: float = 0.0  # seconds, at least: the trouble lasts as long as it should
    code: int = 0
    outcome: str = "promoted"
    says: str = ""
    voters: int = 4
    learners: int = 0
    adds: int | tuple[int, int] = 1
    promotes: int | tuple[int, int] = 1
    removes: int | tuple[int, int] = 0
    verified: bool | None = True
    settled: bool = True
    fresh: bool = False
    new: Callable[[Cluster], LocalMember] = Cluster.new_member
    again: int = 0  # further attempts, and waits without the turn
    naive: str = ""
    # What the naive loop suffers once its member has caught up, before it promotes.
    between: Callable[[Cluster, LocalMember], None] | None = None


# Events in the history of a join; of another attempt (a look, an act, a look or two, a pause), and of the way back.
JOIN, AGAIN = 110, 40

SHORT = {"start_timeout": "3s", "stall_timeout": "3s"}
ALWAYS = None

TABLE = [
    Row("no trouble", naive="promoted"),
    Row("links younger than 5 s", settled=False, adds=(2, 5), again=4),
    Row("lost promote answer", spoil(Fault("MemberPromote", "lose")), says="answer to promote was lost", naive="fails"),
    Row("UNAVAILABLE after promote", spoil(Fault("MemberPromote", "unavailable")), naive="fails"),
    Row("promote refused on the way", spoil(Fault("MemberPromote", "refuse")), again=1, naive="promoted"),
    Row("lost add answer", spoil(Fault("MemberAdd", "lose")), says="answer to add was lost", naive="fails"),
    Row("UNAVAILABLE after add", spoil(Fault("MemberAdd", "unavailable")), naive="fails"),
    Row("add refused on the way", spoil(Fault("MemberAdd", "refuse")), again=1, naive="promoted"),
    Row("failing looks", spoil(Fault("Status", "refuse", 4), Fault("MemberList", "refuse", 3))),
    Row("failing looks after a lost promote answer", blind_after("MemberPromote"), promotes=1),
    Row("failing looks after a lost add answer", blind_after("MemberAdd"), adds=1),
    Row("slow looks", spoil(Fault("Status", "delay", 6, 0.5), Fault("MemberList", "delay", 6, 0.5))),
    Row("/debug/vars blocked", spoil(Fault("GET /debug/vars", "refuse", ALWAYS))),
    Row("a learner that starts late", meanwhile=start_late),
    Row(
        "a learner that never starts",
        meanwhile=never_start,
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        says="did not start within start_timeout (3s)",
        voters=3,
        promotes=0,
        removes=1,
    ),
    Row(
        "a join that takes too long",
        meanwhile=never_start,
        policy={"join_timeout": "3s"},
        code=1,
        outcome="rolled-back",
        says="longer than join_timeout (3s)",
        voters=3,
        promotes=0,
        removes=1,
    ),
    Row(
        "a learner that stalls",
        # Few and large entries: a leader that has applied more than a hundred sends a snapshot instead of its log.
        lambda cluster, new: cluster.fill(30, size=1_000_000),
        meanwhile=stall_in_mid_sync,
        new=behind_throttle(2_500_000),
        fresh=True,
        policy={"stall_timeout": "3s", "max_lag_entries": 0},
        code=1,
        outcome="rolled-back",
        says="no progress for",
        voters=3,
        promotes=0,
        removes=1,
    ),
    Row(
        "a throttled snapshot, longer than stall_timeout",
        filled(48),
        meanwhile=snapshot_is_seen,
        new=behind_throttle(4_000_000),
        # More than the 7 s for which etcd may keep a learner silent after its snapshot.
        policy={"stall_timeout": "9s"},
        syncs_for=10,
    ),
    Row("50 MB to sync", filled(55), meanwhile=data_arrives(50)),
    # Under such a load an act may find the learner behind again, and send nothing.
    Row("the heaviest put load", filled(20), meanwhile=under_puts(least=100), again=4),
    Row(
        "promoted by somebody else",
        args=("--hold-before", "promote"),
        meanwhile=while_held(promote_by_hand),
        says="not by this change",
        promotes=0,
        naive="fails",
        between=promote_by_hand,
    ),
    Row(
        "removed by somebody else",
        meanwhile=added_and(remove_by_hand),
        code=1,
        outcome="failed",
        says="no longer in the member list",
        voters=3,
        promotes=0,
        naive="fails",
        between=remove_by_hand,
    ),
    Row("added by somebody else", add_by_hand(), says="was not added by this change", adds=0),
    Row(
        "added by somebody else, and never started",
        add_by_hand(),
        meanwhile=never_start,
        policy=SHORT,
        code=1,
        outcome="failed",
        voters=3,
        learners=1,
        adds=0,
        promotes=0,
    ),
    Row("somebody else's learner in the slot", add_by_hand(FOREIGN), meanwhile=free_the_slot, again=1),
    Row(
        "a peer URL that belongs to another member",
        new=at_the_peer_url_of_another,
        meanwhile=lambda join: None,
        code=5,
        outcome="refused",
        says="belongs to member etcd-1",
        voters=3,
        adds=0,
        promotes=0,
    ),
    Row(
        "a name that belongs to another member",
        new=named_like("etcd-2"),
        meanwhile=lambda join: None,
        code=5,
        outcome="refused",
        says="the name etcd-2 belongs",
        voters=3,
        adds=0,
        promotes=0,
    ),
    Row(
        "a learner that advertises another member's client URL",
        new=advertising_another,
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        says="answers as member",
        voters=3,
        promotes=0,
        removes=1,
        naive="promoted",
    ),
    Row(
        "a learner that dies between sync and promote",
        args=("--hold-before", "promote"),
        again=1,
        meanwhile=while_held(die),
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        voters=3,
        promotes=0,
        removes=1,
        naive="promoted",
        between=die,
    ),
    Row(
        "a learner that freezes between sync and promote",
        args=("--hold-before", "promote"),
        again=1,
        meanwhile=while_held(freeze),
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        voters=3,
        promotes=0,
        removes=1,
        naive="promoted",
        between=freeze,
    ),
]


def within(count: int, expected: int | tuple[int, int]) -> bool:
    least, most = expected if isinstance(expected, tuple) else (expected, expected)
    return least <= count <= most


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_fault(lab, row):
    """Exit code, outcome, members, calls: all as the row says."""
    cluster = lab.cluster(fresh=row.fresh or not row.settled, settled=row.settled)
    cluster.policy = row.policy
    before = Before(cluster)
    new = row.new(cluster)
    row.prepare(cluster, new)
    foreign = set(cluster.roles()) - set(before.roles)
    join = cluster.join(new, *row.args)
    row.meanwhile(join)
    end = join.wait()
    assert row.code == end.code, end
    answer = end.answer
    assert row.outcome == answer["outcome"], end
    assert row.says in answer.get("reason", "") + " ".join(answer["warnings"]), end
    after = cluster.roles()
    roles = list(after.values())
    assert (row.voters, row.learners) == (roles.count("voter"), roles.count("learner")), after
    assert all(after.get(member_id) == role for member_id, role in before.roles.items())
    adds, sent, removes = cluster.counts()
    assert within(adds, row.adds), adds
    assert within(sent, row.promotes), sent
    assert within(removes, row.removes), removes
    assert not cluster.unused_faults()
    assert len(lab.events(cluster.workflow_id(new))) <= JOIN + AGAIN * (row.again + row.code % 2)
    assert answer["seconds"].get("sync", 0) >= row.syncs_for
    if row.outcome == "promoted":
        assert set(after) - set(before.roles) == {answer["member_id"]}
        assert row.verified is answer["verified"]
        assert before.promoted() == (1, 0)
    assert set(after) - set(before.roles) <= {answer.get("member_id", ""), *foreign}


@pytest.mark.parametrize("row", [row for row in TABLE if row.naive], ids=lambda row: row.trouble)
def test_the_faults_are_real(lab, row):
    """A naive loop fails where the table says that it must, and promotes where it must not."""
    cluster = lab.cluster()
    new = row.new(cluster)
    if row.between is None:
        row.prepare(cluster, new)

    def synced():
        known, learner = cluster.progress(), cluster.id_of(new)
        return new.is_serving() and known[learner].match == max(progress.match for progress in known.values())

    def between():
        if row.between:
            eventually(synced, "the learner to catch up")
            row.between(cluster, new)

    assert row.naive == naive_join(cluster, new, between)
    assert not cluster.unused_faults()
