"""The same little world twice: an etcd cluster in memory, and a real one."""

from __future__ import annotations

from etcdapi.client import EtcdClient
from etcdapi.faults import Fault
from membership.etcd import Access, Etcd
from membership.etcd_errors import Unhealthy
from membership.model import ClusterStatus, Member, handover
from support.memory.cluster import MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.parts.lab import Cluster, eventually

DEADLINE = 5.0


class MemoryWorld:
    """No processes, no time."""

    def __init__(self, size: int) -> None:
        self.cluster = MemoryCluster(size)
        self.etcd: Etcd = MemoryEtcd(self.cluster)

    def new_url(self) -> str:
        return f"http://new-{len(self.cluster.removed) + len(self.cluster.members)}:2380"

    def start(self, member: Member) -> None:
        self.cluster.start(member.id, "new")

    def kill(self, member_id: str) -> None:
        self.cluster.kill(member_id)

    def freeze(self, member_id: str) -> None:
        self.cluster.freeze(member_id)

    def hide(self, member_id: str) -> None:
        """The other members reach it, and no client does."""
        self.cluster.members[member_id].mute = True

    def revive(self, member_id: str) -> None:
        self.cluster.revive(member_id)

    def thaw(self, member_id: str) -> None:
        self.cluster.revive(member_id)

    def keep_call(self, method: str) -> None:
        """No caller's time-out reaches a member."""

    def close(self) -> None:
        pass


class RealWorld:
    """Processes on loopback, of the laboratory."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client = EtcdClient(Access(tuple(cluster.endpoints())))
        self.etcd: Etcd = self._client
        by_url = {m.peer_url: m for m in cluster.members}
        self._by_id = {m.id: by_url[m.peer_urls[0]] for m in self.etcd.look().members}

    def new_url(self) -> str:
        return self._cluster.new_member().peer_url

    def start(self, member: Member) -> None:
        process = self._by_id[member.id] = self._cluster.members[-1]
        process.start(handover(self.etcd.members(), member.id, process.name).env())

    def kill(self, member_id: str) -> None:
        self._by_id[member_id].kill()

    def freeze(self, member_id: str) -> None:
        self._by_id[member_id].freeze()

    def hide(self, member_id: str) -> None:
        """The other members reach it, and no client does."""
        self._cluster.hide(self._by_id[member_id])

    def revive(self, member_id: str) -> None:
        self._by_id[member_id].start()

    def thaw(self, member_id: str) -> None:
        self._by_id[member_id].thaw()

    def keep_call(self, method: str) -> None:
        """The member never learns that the caller of the next such call gave up."""
        self._cluster.inject(Fault(method, "forget"))

    def close(self) -> None:
        self._client.close()


World = MemoryWorld | RealWorld


def synced(world: World, member: Member) -> ClusterStatus:
    """The look in which the learner has caught up and answers."""

    def find():
        status = world.etcd.look()
        own, leader = status.progress.get(member.id), status.progress.get(status.leader)
        return status if member.id in status.statuses and own and own.match == leader.match else None

    return eventually(find, "the learner to catch up")


def add(world: World) -> Member:
    return world.etcd.add_learner((world.new_url(),), DEADLINE)


def add_started(world: World) -> Member:
    """A learner that has caught up; etcd takes it once links that an earlier test broke are five seconds old."""

    def try_to_add() -> Member | None:
        try:
            return add(world)
        except Unhealthy:
            return None

    member = eventually(try_to_add, "the cluster to be healthy")
    world.start(member)
    synced(world, member)
    return member
