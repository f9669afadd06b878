"""What goes wrong in the fault table: before a join, while it runs, and with its new member."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from threading import Event, Thread

from etcdapi.faults import Fault
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember
from support.faults.throttle import Throttle
from support.parts.lab import Cluster, Join, eventually

Prepare = Callable[[Cluster, LocalMember], None]
Meanwhile = Callable[[Join], None]


# ---- before it ----


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


def add_by_hand(url: str = "") -> Prepare:
    """Somebody else adds a learner: this one, or another."""

    def prepare(cluster: Cluster, new: LocalMember) -> None:
        request = rpc_pb2.MemberAddRequest(peerURLs=[url or new.peer_url], isLearner=True)
        with closing(cluster.client(cluster.leader())) as client:
            client.clusterstub.MemberAdd(request, timeout=5)

    return prepare


def filled(megabytes: int) -> Prepare:
    return lambda cluster, new: cluster.fill(megabytes)


# ---- while it runs ----


def start_late(join: Join) -> None:
    join.handover()
    time.sleep(4)  # the lateness itself
    join.start_member()


def never_start(join: Join) -> None:
    join.handover()


def while_held(do: Callable[[Cluster, LocalMember], None]) -> Meanwhile:
    """Between sync and promote."""

    def meanwhile(join: Join) -> None:
        join.start_member()
        lab, workflow_id = join.cluster.lab, join.cluster.workflow_id(join.new)
        eventually(lambda: lab.held(workflow_id), "the join to be held")
        do(join.cluster, join.new)
        lab.update(workflow_id, "resume")

    return meanwhile


def die(cluster: Cluster, new: LocalMember) -> None:
    new.kill()


def freeze(cluster: Cluster, new: LocalMember) -> None:
    new.freeze()


def promote_by_hand(cluster: Cluster, new: LocalMember) -> None:
    """Somebody else promotes, on the leader's own port."""
    request = rpc_pb2.MemberPromoteRequest(ID=int(cluster.id_of(new), 16))

    def promoted() -> bool:
        try:
            client.clusterstub.MemberPromote(request, timeout=3)
        except Exception:  # noqa: BLE001  (not in sync yet)
            return False
        return True

    with closing(cluster.client(cluster.leader())) as client:
        eventually(promoted, "a promote by hand")


def remove_by_hand(cluster: Cluster, new: LocalMember) -> None:
    with closing(cluster.client(cluster.leader())) as client:
        client.remove_member(int(cluster.id_of(new), 16))


def added_and(do: Callable[[Cluster, LocalMember], None]) -> Meanwhile:
    def meanwhile(join: Join) -> None:
        join.handover()
        do(join.cluster, join.new)

    return meanwhile


FOREIGN = "http://127.0.0.1:9"


def free_the_slot(join: Join) -> None:
    """Somebody else's learner goes after a while; until then the join waits and touches nothing."""
    cluster = join.cluster
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "takes the learner slot" in cluster.lab.waits_for(workflow_id), "the reason to wait")
    assert cluster.counts() == (0, 0, 0)
    with closing(cluster.client(cluster.leader())) as client:
        client.remove_member(next(r.ID for r in cluster.rows() if FOREIGN in r.peerURLs))
    join.start_member()


def stall_in_mid_sync(join: Join) -> None:
    """Some of the log has reached the learner when it freezes, and some has not."""
    cluster = join.cluster
    leader = cluster.id_of(cluster.leader())
    join.start_member()
    learner = cluster.id_of(join.new)

    def in_mid_sync(*states: str) -> bool:
        known = cluster.progress()
        return known[learner].state in states and 0 < known[learner].match < known[leader].match

    eventually(lambda: in_mid_sync("StateReplicate"), "the log to be on its way", pause=0.01)
    join.new.freeze()
    # The leader probes a member whose connection is stuck.
    assert in_mid_sync("StateReplicate", "StateProbe"), f"frozen too late: {cluster.progress()}"


def snapshot_is_seen(join: Join) -> None:
    """By the leader's own word, and by the change's."""
    cluster = join.cluster
    join.start_member()
    learner = cluster.id_of(join.new)
    eventually(lambda: cluster.progress()[learner].state == "StateSnapshot", "the snapshot", pause=0.01)
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: "receiving snapshot" in cluster.lab.heartbeat(workflow_id), "the phase in the heartbeat")


def data_arrives(megabytes: int) -> Meanwhile:
    """By the new member's own word."""

    def meanwhile(join: Join) -> None:
        join.start_member()
        join.wait_quietly()
        with closing(join.cluster.client(join.new)) as client:
            assert client.maintenancestub.Status(rpc_pb2.StatusRequest(), timeout=3).dbSize >= megabytes * 1_000_000

    return meanwhile


@contextmanager
def heavy_load(cluster: Cluster):
    """As many puts as this machine sustains; gives the times at which they were answered."""
    stop, leader, done = Event(), cluster.leader(), []
    cluster.single_use = True

    def put() -> None:
        with closing(cluster.client(leader)) as client:
            for number in range(10**9):
                if stop.is_set():
                    return
                client.put(f"load/{number % 1000}", b"x" * 256)
                done.append(time.time())

    writers = [Thread(target=put, daemon=True) for _ in range(8)]
    for writer in writers:
        writer.start()
    try:
        yield done
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def under_puts(least: int) -> Meanwhile:
    """From before the add until after the promote; at least so many came between the two."""

    def meanwhile(join: Join) -> None:
        cluster = join.cluster
        with heavy_load(cluster) as done:
            join.start_member()
            join.wait_quietly()
        [add], [promote] = cluster.sent("MemberAdd"), cluster.sent("MemberPromote")
        during = [at for at in done if add.ended < at < promote.at]
        assert len(during) >= least, f"{len(during)} puts in {promote.at - add.ended:.1f} s"

    return meanwhile


# ---- with its new member ----


def behind_throttle(rate: int) -> Callable[[Cluster], LocalMember]:
    """A member whose peer port lets so many bytes a second in."""

    def make(cluster: Cluster) -> LocalMember:
        member = cluster.new_member()
        throttle = Throttle(member.peer_port, rate)
        member.peer = throttle.url
        cluster.at_end.append(throttle.close)
        return member

    return make


def named_like(other: str) -> Callable[[Cluster], LocalMember]:
    return lambda cluster: cluster.new_member(other)


def at_the_peer_url_of_another(cluster: Cluster) -> LocalMember:
    return cluster.new_member(peer=cluster.members[0].peer_url)


def advertising_another(cluster: Cluster) -> LocalMember:
    return cluster.new_member(advertised=cluster.members[0].advertised)
