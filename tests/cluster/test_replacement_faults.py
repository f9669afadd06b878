"""The fault table of the replacement: one member for another, each act once, whatever became of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from one_replacement import Replacing

from etcdapi.faults import Fault, FaultKind
from local.etcd_cluster import LocalMember
from support.faults.deaths import leader_killed, leader_stopped, leader_stopped_while_it_answers, worker_killed
from support.faults.troubles import Prepare, spoil
from support.parts.lab import Cluster, dead_follower, follower

ADD, PROMOTE, MOVE, REMOVE = "MemberAdd", "MemberPromote", "MoveLeader", "MemberRemove"
ACTS = (ADD, PROMOTE, REMOVE)


@dataclass(frozen=True)
class Row:
    """One replacement that goes through; `twice` are the calls of which a first one may come to nothing."""

    trouble: str
    prepare: Prepare
    target: Callable[[Cluster], LocalMember] = follower
    twice: tuple[str, ...] = ()
    puts: bool = True  # the cluster keeps its quorum


def each(kind: FaultKind, *more: str) -> Prepare:
    return spoil(*(Fault(method, kind) for method in (*ACTS, *more)))


def leader_comes_back(method: str, target: Callable[[Cluster], LocalMember]) -> Row:
    """etcd refuses an add while a voter is down, and of three with a dead one nobody leads without the other two."""
    trouble = f"leader killed as {method} arrives, {target.__name__}"
    return Row(trouble, leader_killed(method, comes_back=True), target, twice=(method,), puts=target is follower)


def leader_stopped_in_mid(method: str, target: Callable[[Cluster], LocalMember]) -> Row:
    trouble = f"leader stopped while it answers {method}, {target.__name__}"
    return Row(trouble, leader_stopped_while_it_answers(method, comes_back=True), target, twice=(method,), puts=False)


TABLE = [
    Row("lost answers", each("lose")),
    Row("lost answers, a dead one", each("lose"), dead_follower),
    Row("lost answers, the leader", each("lose", MOVE), Cluster.leader),
    Row("UNAVAILABLE afterwards", each("unavailable")),
    Row("UNAVAILABLE afterwards, a dead one", each("unavailable"), dead_follower),
    Row("refused on the way", each("refuse")),
    Row("refused on the way, a dead one", each("refuse"), dead_follower),
    Row("refused on the way, the leader", each("refuse", MOVE), Cluster.leader),
    Row("worker killed as each call arrives", worker_killed("arrives", *ACTS), twice=ACTS),
    Row("worker killed as each call arrives, a dead one", worker_killed("arrives", *ACTS), dead_follower, twice=ACTS),
    Row("worker killed after each call", worker_killed("answered", *ACTS)),
    Row("worker killed after each call, a dead one", worker_killed("answered", *ACTS), dead_follower),
    # The cluster can spare the one that is lost.
    Row("leader killed as the promote arrives", leader_killed(PROMOTE), twice=(PROMOTE,)),
    Row("leader stopped as the promote arrives", leader_stopped(PROMOTE), twice=(PROMOTE,)),
    Row("leader killed as the removal arrives", leader_killed(REMOVE), twice=(REMOVE,)),
    Row("leader killed after the removal", leader_killed(REMOVE, "answered")),
    leader_comes_back(ADD, follower),
    *(leader_comes_back(method, dead_follower) for method in (REMOVE, ADD, PROMOTE)),
    *(leader_stopped_in_mid(method, follower) for method in (ADD, PROMOTE, REMOVE)),
    *(leader_stopped_in_mid(method, dead_follower) for method in (REMOVE, ADD, PROMOTE)),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_replacement(lab, row):
    """The survivors keep their IDs, one new voter is there, writes went on, and the same again changes nothing."""
    cluster = lab.cluster(fresh=True)
    old = row.target(cluster)
    row.prepare(cluster, old)
    with Replacing(cluster, old, cluster.new_member(), puts=row.puts) as run:
        pass
    run.check()
    assert not cluster.unused_faults()
    for method in ACTS:
        # etcd's own refusals, of links younger than 5 s, come to nothing.
        calls = [call for call in cluster.sent(method) if call.fault or call.code != "UNAVAILABLE"]
        assert 1 <= len(calls) <= 1 + (method in row.twice), calls
        assert [call.code for call in calls].count("OK") <= 1, calls
