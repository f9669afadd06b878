"""
The fault table of the join.

A row says what goes wrong, and then: exit code, outcome, final members, and the adds, promotes and removals
that reached etcd. `naive` says how a loop of add, start and promote-until-OK ends in the same trouble: the
faults are real, and the rows tell something.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest
from lab import Cluster, Join, eventually
from naive import naive_join
from throttle import Throttle

from etcdapi.relay import Fault
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from local.metrics import promotes

Prepare = Callable[[Cluster, LocalMember], None]


def nothing(cluster: Cluster, new: LocalMember) -> None:
    """No trouble."""


def spoil(*faults: Fault) -> Prepare:
    """These faults, in front of every member."""
    return lambda cluster, new: cluster.inject(*faults)


def blind_after(method: str) -> Prepare:
    """The answer is lost, and nobody can be asked for a while."""

    def prepare(cluster: Cluster, new: LocalMember) -> None:
        def blind() -> None:
            cluster.inject(Fault("Status", "refuse", 4), Fault("MemberList", "refuse", 4))

        cluster.inject(Fault(method, "lose", answered=blind))

    return prepare


@dataclass(frozen=True)
class Row:
    """One kind of trouble, and everything that must be true afterwards. Counts are numbers or (least, most)."""

    trouble: str
    prepare: Prepare = nothing
    meanwhile: Callable[[Join], None] = Join.start_member
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
    failures: int = 0  # promotes that etcd counts as failed: none, or somebody else's
    verified: bool | None = True
    settled: bool = True
    new: Callable[[Cluster], LocalMember] = Cluster.new_member
    naive: str = ""


def start_late(join: Join) -> None:
    join.handover()
    time.sleep(4)  # the lateness itself
    join.start_member()


def never_start(join: Join) -> None:
    join.handover()


def start_and_freeze(join: Join) -> None:
    """A member that contacts the leader and then does nothing any more."""
    join.start_member()
    eventually(lambda: any(r.name == join.new.name for r in join.cluster.rows()), "the member's name in the list")
    join.new.freeze()


def promote_by_hand(join: Join) -> None:
    """Somebody else promotes, on the leader's own port."""
    join.start_member()
    cluster, new = join.cluster, join.new
    member_id = int(cluster.id_of(new), 16)
    client = cluster.client(cluster.leader())

    def promoted() -> bool:
        try:
            client.clusterstub.MemberPromote(rpc_pb2.MemberPromoteRequest(ID=member_id), timeout=3)
        except Exception:  # noqa: BLE001  (not in sync yet)
            return False
        return True

    eventually(promoted, "a promote by hand")
    client.close()


def remove_by_hand(join: Join) -> None:
    join.handover()
    cluster = join.cluster
    client = cluster.client(cluster.leader())
    client.remove_member(int(cluster.id_of(join.new), 16))
    client.close()


def add_by_hand(url: str = "") -> Prepare:
    """Somebody else adds a learner: this one, or another."""

    def prepare(cluster: Cluster, new: LocalMember) -> None:
        client = cluster.client(cluster.leader())
        request = rpc_pb2.MemberAddRequest(peerURLs=[url or new.peer_url], isLearner=True)
        client.clusterstub.MemberAdd(request, timeout=5)
        client.close()

    return prepare


FOREIGN = "http://127.0.0.1:9"


def free_the_slot(join: Join) -> None:
    """Somebody else's learner goes after a while; until then the join waits and touches nothing."""
    cluster = join.cluster
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "takes the learner slot" in cluster.lab.waits_for(workflow_id), "the reason to wait")
    assert cluster.counts() == (0, 0, 0)
    client = cluster.client(cluster.leader())
    client.remove_member(next(r.ID for r in cluster.rows() if FOREIGN in r.peerURLs))
    client.close()
    join.start_member()


def while_held(do: Callable[[Join], None]) -> Callable[[Join], None]:
    """Between sync and promote."""

    def meanwhile(join: Join) -> None:
        join.start_member()
        lab, workflow_id = join.cluster.lab, join.cluster.workflow_id(join.new)
        eventually(lambda: lab.held(workflow_id), "the join to be held")
        do(join)
        lab.update(workflow_id, "resume")

    return meanwhile


def under_puts(join: Join) -> None:
    """As many puts as this machine sustains, from the add until the end."""
    stop, cluster = Event(), join.cluster
    cluster.single_use = True
    leader = cluster.leader()

    def put() -> None:
        client = cluster.client(leader)
        number = 0
        while not stop.is_set():
            client.put(f"load/{number % 1000}", b"x" * 256)
            number += 1
        client.close()

    writers = [Thread(target=put, daemon=True) for _ in range(8)]
    for writer in writers:
        writer.start()
    try:
        join.start_member()
        join.wait_quietly()
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def slow_snapshot(cluster: Cluster) -> LocalMember:
    """A member whose peer port lets 4 MB a second in."""
    member = cluster.new_member()
    throttle = Throttle(member.peer_port, 4_000_000)
    member.peer = throttle.url
    cluster.at_end.append(throttle.close)
    return member


def named_like(other: str) -> Callable[[Cluster], LocalMember]:
    return lambda cluster: cluster.new_member(other)


def at_the_peer_url_of_another(cluster: Cluster) -> LocalMember:
    return cluster.new_member(peer=cluster.members[0].peer_url)


def advertising_another(cluster: Cluster) -> LocalMember:
    return cluster.new_member(advertised=cluster.members[0].advertised)


SHORT = {"start_timeout": "3s", "stall_timeout": "3s"}
ALWAYS = None

TABLE = [
    Row("no trouble", naive="promoted"),
    Row("links younger than 5 s", settled=False, adds=(2, 5)),
    Row("lost promote answer", spoil(Fault("MemberPromote", "lose")), says="answer to promote was lost", naive="fails"),
    Row("UNAVAILABLE after promote", spoil(Fault("MemberPromote", "unavailable")), naive="fails"),
    Row("promote refused on the way", spoil(Fault("MemberPromote", "refuse")), promotes=1, naive="promoted"),
    Row("lost add answer", spoil(Fault("MemberAdd", "lose")), says="answer to add was lost", naive="fails"),
    Row("UNAVAILABLE after add", spoil(Fault("MemberAdd", "unavailable")), naive="fails"),
    Row("add refused on the way", spoil(Fault("MemberAdd", "refuse")), naive="promoted"),
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
        "a learner that stalls",
        meanwhile=start_and_freeze,
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        says="no progress for",
        voters=3,
        promotes=0,
        removes=1,
    ),
    Row(
        "a throttled snapshot, longer than stall_timeout",
        lambda cluster, new: cluster.fill(30),
        new=slow_snapshot,
        policy={"stall_timeout": "2s"},
        syncs_for=4,
    ),
    Row("50 MB to sync", lambda cluster, new: cluster.fill(55)),
    Row("the heaviest put load", meanwhile=under_puts),
    Row(
        "promoted by somebody else",
        spoil(Fault("MemberPromote", "refuse", ALWAYS)),
        meanwhile=promote_by_hand,
        says="not by this change",
        promotes=0,
        failures=1,
    ),
    Row(
        "removed by somebody else",
        meanwhile=remove_by_hand,
        code=1,
        outcome="failed",
        says="no longer in the member list",
        voters=3,
        promotes=0,
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
    Row("somebody else's learner in the slot", add_by_hand(FOREIGN), meanwhile=free_the_slot),
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
        says="WrongMember",
        voters=3,
        promotes=0,
        removes=1,
        naive="promoted",
    ),
    Row(
        "a learner that dies between sync and promote",
        args=("--hold-before", "promote"),
        meanwhile=while_held(lambda join: join.new.kill()),
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        voters=3,
        promotes=0,
        removes=1,
    ),
    Row(
        "a learner that freezes between sync and promote",
        args=("--hold-before", "promote"),
        meanwhile=while_held(lambda join: join.new.freeze()),
        policy=SHORT,
        code=1,
        outcome="rolled-back",
        voters=3,
        promotes=0,
        removes=1,
    ),
]


def within(count: int, expected: int | tuple[int, int]) -> bool:
    least, most = expected if isinstance(expected, tuple) else (expected, expected)
    return least <= count <= most


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.trouble)
def test_fault(lab, row):
    """Exit code, outcome, members, calls: all as the row says."""
    cluster = lab.cluster(fresh=not row.settled, settled=row.settled)
    cluster.policy = row.policy
    before = cluster.roles()
    new = row.new(cluster)
    counted = promotes([m.client_url for m in cluster.members])
    row.prepare(cluster, new)
    foreign = set(cluster.roles()) - set(before)
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
    assert all(after.get(member_id) == role for member_id, role in before.items())
    adds, sent, removes = cluster.counts()
    assert within(adds, row.adds), adds
    assert within(sent, row.promotes), sent
    assert within(removes, row.removes), removes
    assert answer["seconds"].get("sync", 0) >= row.syncs_for
    if row.outcome == "promoted":
        assert set(after) - set(before) == {answer["member_id"]}
        assert row.verified is answer["verified"]
        succeeded, failed = promotes([m.client_url for m in cluster.members])
        assert (1, row.failures) == (succeeded - counted[0], min(1, failed - counted[1]))
    assert set(after) - set(before) <= {answer.get("member_id", ""), *foreign}


@pytest.mark.parametrize("row", [row for row in TABLE if row.naive], ids=lambda row: row.trouble)
def test_the_faults_are_real(lab, row):
    """A naive loop fails where the table says that it must, and promotes where it must not."""
    cluster = lab.cluster()
    new = row.new(cluster)
    row.prepare(cluster, new)
    assert row.naive == naive_join(cluster, new)
