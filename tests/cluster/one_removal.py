"""One removal in some trouble, under load, and what must be true of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.etcd_cluster import LocalMember
from support.checks.puts import Puts
from support.faults.troubles import Prepare, nothing
from support.parts.lab import LOOSE, Cluster, Lab, ends, follower

ONCE, ONCE_OR_TWICE = (1, 1), (1, 2)


@dataclass(frozen=True)
class Row:
    """A removal that goes through, whatever the trouble; how often each call may reach etcd: (least, most)."""

    trouble: str
    prepare: Prepare = nothing
    target: Callable[[Cluster], LocalMember] = follower
    size: int = 3
    policy: dict[str, Any] = field(default_factory=lambda: LOOSE)
    removes: tuple[int, int] = ONCE
    moves: tuple[int, int] = (0, 0)
    spoilt: bool = False  # the first removal is not answered by etcd
    code: int = 0  # the exit code of the member that goes
    puts: bool = True  # the cluster keeps its quorum


def within(count: int, expected: tuple[int, int]) -> bool:
    return expected[0] <= count <= expected[1]


def remove_in_trouble(lab: Lab, row: Row) -> None:
    """Gone from every list, the process ended in order, writes went on, and the same again changes nothing."""
    cluster = lab.cluster(row.size, fresh=True)
    cluster.policy = row.policy
    target = row.target(cluster)
    was_alive = target.process and target.process.exit_code() is None
    target_id, before = cluster.id_of(target), cluster.roles()
    row.prepare(cluster, target)
    with Puts(cluster, counts=row.puts) as puts:
        end = cluster.remove(target.name).wait()
    assert (end.code, end.answer["outcome"], end.answer["member_id"]) == (0, "removed", target_id), end
    after = cluster.roles()
    assert after == {i: role for i, role in before.items() if i != target_id}
    assert not cluster.unused_faults()
    removes, moves = cluster.sent("MemberRemove"), cluster.sent("MoveLeader")
    assert within(len(removes), row.removes), removes
    assert within(len(moves), row.moves), moves
    codes = [call.code for call in removes]
    assert codes.count("OK") <= 1, codes
    assert not row.spoilt or codes[0] != "OK", codes
    puts.check()
    if was_alive:
        ends(target, row.code)
    again = cluster.remove(target_id).wait()
    assert (again.code, again.answer["outcome"]) == (0, "already-removed"), again
    assert (after, codes) == (cluster.roles(), [call.code for call in cluster.sent("MemberRemove")])
