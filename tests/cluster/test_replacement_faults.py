"""The fault table of the replacement: one member for another, each act once, whatever became of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from deaths import leader_killed, leader_stopped, worker_killed
from lab import Cluster, dead_follower, follower
from replacing import Replacing
from troubles import Prepare, spoil

from etcdapi.relay import Fault
from local.etcd_cluster import LocalMember

ACTS = ("MemberAdd", "MemberPromote", "MemberRemove")


@dataclass(frozen=True)
class Row:
    """One replacement that goes through; `twice` are the calls of which a first one may come to nothing."""

    trouble: str
    prepare: Prepare
    target: Callable[[Cluster], LocalMember] = follower
    twice: tuple[str, ...] = ()


LOST = spoil(*(Fault(method, "lose") for method in ACTS))
UNAVAILABLE = spoil(*(Fault(method, "unavailable") for method in ACTS))
REFUSED = spoil(*(Fault(method, "refuse") for method in ACTS))

TABLE = [
    Row("lost answers", LOST),
    Row("lost answers, a dead one", LOST, dead_follower),
    Row("UNAVAILABLE afterwards", UNAVAILABLE),
    Row("UNAVAILABLE afterwards, a dead one", UNAVAILABLE, dead_follower),
    Row("refused on the way", REFUSED),
    Row("refused on the way, a dead one", REFUSED, dead_follower),
    Row("worker killed as each call arrives", worker_killed("arrives", *ACTS), twice=ACTS),
    Row("worker killed after each call", worker_killed("answered", *ACTS)),
    # The cluster can spare the one that is lost.
    Row("leader killed as the promote arrives", leader_killed("MemberPromote"), twice=("MemberPromote",)),
    Row("leader stopped as the promote arrives", leader_stopped("MemberPromote"), twice=("MemberPromote",)),
    Row("leader killed as the removal arrives", leader_killed("MemberRemove"), twice=("MemberRemove",)),
    Row("leader killed after the removal", leader_killed("MemberRemove", "answered")),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_replacement(lab, row):
    """The survivors keep their IDs, one new voter is there, writes went on, and the same again changes nothing."""
    cluster = lab.cluster(fresh=True)
    old = row.target(cluster)
    row.prepare(cluster, old)
    with Replacing(cluster, old, cluster.new_member()) as run:
        pass
    run.check()
    assert not cluster.unused_faults()
    for method in ACTS:
        # etcd's own refusals, of links younger than 5 s, come to nothing.
        calls = [call for call in cluster.sent(method) if call.fault or call.code != "UNAVAILABLE"]
        assert 1 <= len(calls) <= 1 + (method in row.twice), calls
        assert [call.code for call in calls].count("OK") <= 1, calls
