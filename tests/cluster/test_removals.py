"""The fault table of the removal: its calls are spoilt, the member goes, and nothing takes effect twice."""

from __future__ import annotations

import pytest
from one_removal import ONCE, Row, remove_in_trouble

from etcdapi.faults import Fault
from support.faults.troubles import spoil
from support.parts.lab import Cluster, dead_follower

TABLE = [
    Row("no trouble"),
    Row("lost answer", spoil(Fault("MemberRemove", "lose"))),
    Row("UNAVAILABLE after the removal", spoil(Fault("MemberRemove", "unavailable"))),
    Row("refused on the way", spoil(Fault("MemberRemove", "refuse"))),
    Row("failing looks", spoil(Fault("Status", "refuse", 4), Fault("MemberList", "refuse", 3))),
    Row("a dead member of three", target=dead_follower, policy={"min_voters": 2}),
    Row("the leader goes", target=Cluster.leader, moves=ONCE),
    Row("lost answer to the move", spoil(Fault("MoveLeader", "lose")), Cluster.leader, moves=ONCE),
    Row("UNAVAILABLE after the move", spoil(Fault("MoveLeader", "unavailable")), Cluster.leader, moves=ONCE),
    Row("the move is refused on the way", spoil(Fault("MoveLeader", "refuse")), Cluster.leader, moves=ONCE),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_removal(lab, row):
    """It goes through, under load; `remove_in_trouble` says what that means."""
    remove_in_trouble(lab, row)
