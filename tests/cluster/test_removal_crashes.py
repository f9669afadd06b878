"""Whatever dies or stops in the middle of a removal, the member goes, and nothing takes effect twice."""

from __future__ import annotations

import pytest
from one_removal import ONCE, ONCE_OR_TWICE, Row, remove_in_trouble

from support.faults.deaths import leader_killed, leader_stopped, leader_stopped_while_it_answers, worker_killed
from support.parts.lab import Cluster

MOVE, REMOVE = "MoveLeader", "MemberRemove"
MAYBE = (0, 1)  # where the lead falls to the very member that goes, it is moved away

# Where a voter is lost beside the one that goes there are five, so that the cluster can spare both.
TABLE = [
    Row(
        "leader killed as the removal arrives",
        leader_killed(REMOVE),
        size=5,
        removes=ONCE_OR_TWICE,
        moves=MAYBE,
        spoilt=True,
    ),
    Row("leader killed after the removal", leader_killed(REMOVE, "answered"), size=5),
    Row("leader killed as the move arrives", leader_killed(MOVE), Cluster.leader, moves=ONCE, code=-9),
    Row(
        "leader stopped as the removal arrives",
        leader_stopped(REMOVE),
        size=5,
        removes=ONCE_OR_TWICE,
        moves=MAYBE,
        spoilt=True,
    ),
    Row(
        "leader stopped while it answers the removal",
        leader_stopped_while_it_answers(REMOVE),
        size=5,
        removes=ONCE_OR_TWICE,
        moves=MAYBE,
        spoilt=True,
        puts=False,
    ),
    # A leader that stops hands its lead over: the removal may be done before the relay lets the move go on.
    Row("leader stopped as the move arrives", leader_stopped(MOVE), Cluster.leader, moves=MAYBE, code=-15),
    Row(
        "worker killed as each call arrives",
        worker_killed("arrives", MOVE, REMOVE),
        Cluster.leader,
        removes=ONCE_OR_TWICE,
        moves=ONCE_OR_TWICE,
    ),
    Row("worker killed after each call", worker_killed("answered", MOVE, REMOVE), Cluster.leader, moves=ONCE),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_removal(lab, row):
    """It goes through, with at most two calls; `remove_in_trouble` says what that means."""
    remove_in_trouble(lab, row)
