"""An etcd in memory whose n-th call goes wrong, or several of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from threading import Event, Timer
from typing import Any

from membership import etcd_errors as e
from membership.allow import Allow
from membership.credentials import Credentials
from membership.errors import ClusterUnreachable, MemberflowError, UnknownCluster, UnknownLauncher
from membership.etcd import EVERYTHING, Etcd, Scope
from membership.model import ClusterStatus, Member
from membership.policy import Policy
from membership.witness import PeerList, RaftView
from messages.launching import Launcher
from messages.notices import Receiver
from support.memory.cluster import MemoryCluster
from support.memory.etcd import MemoryEtcd

CHANGES = ("add_learner", "promote", "remove", "move_leader")
# Seconds that a call without an answer lasts. An act watches its effect meanwhile.
SILENCE = 1.0
# Seconds after which a member that froze with a call is thawed: a change that doesn't wait for it has ended by then.
THAWED_AFTER = 5.0


@dataclass(frozen=True)
class Trouble:
    """What happens to the `nth` call of a method; to all of them when it is None."""

    method: str
    nth: int | None
    kind: str

    def __str__(self) -> str:
        return f"{self.method} {self.nth or 'always'} {self.kind}"


class FaultyEtcd:
    """`membership.etcd.Etcd`; counts its calls and spoils some of them. `unused` is the trouble that never came."""

    def __init__(self, etcd: MemoryEtcd, troubles: tuple[Trouble, ...], released: Event) -> None:
        self._etcd = etcd
        self._troubles = troubles
        self._released = released
        self.unused = set(troubles)
        self.counts: Counter[str] = Counter()
        self.frozen, self.thawed = Event(), Event()
        #: Whether a frozen receiver is thawed after a while. Else the test thaws it.
        self.thaws = True

    def expecting(self, cluster_id: str, also: Collection[str] = ()) -> FaultyEtcd:
        bound = copy(self)  # its counts are shared
        bound._etcd = self._etcd.expecting(cluster_id, also)
        return bound

    def credentials(self) -> Credentials:
        return self._etcd.credentials()

    def look(
        self, avoid: Collection[str] = (), scope: Scope = EVERYTHING, *, hurry: float | None = None
    ) -> ClusterStatus:
        return self._call("look", lambda: self._etcd.look(avoid, scope, hurry=hurry))

    def members(self, avoid: Collection[str] = ()) -> tuple[Member, ...]:
        return self._call("members", lambda: self._etcd.members(avoid))

    def raft_view(self) -> RaftView | None:
        return self._etcd.raft_view()

    def peer_list(self, peer_urls: Collection[str]) -> PeerList:
        return self._etcd.peer_list(peer_urls)

    def commit(self) -> None:
        return self._call("commit", self._etcd.commit)

    def nothing_listens(self, urls: tuple[str, ...]) -> bool:
        return self._etcd.nothing_listens(urls)

    def check_access(self) -> None:
        self._etcd.check_access()

    def authenticate(self, avoid: Collection[str] = ()) -> None:
        return self._call("authenticate", lambda: self._etcd.authenticate(avoid))

    def add_learner(self, peer_urls: tuple[str, ...], deadline: float) -> Member:
        return self._call("add_learner", lambda: self._etcd.add_learner(peer_urls, deadline))

    def promote(self, member_id: str, deadline: float) -> None:
        return self._call("promote", lambda: self._etcd.promote(member_id, deadline))

    def remove(self, member_id: str, deadline: float) -> None:
        return self._call("remove", lambda: self._etcd.remove(member_id, deadline))

    def move_leader(self, member_id: str, deadline: float) -> None:
        return self._call("move_leader", lambda: self._etcd.move_leader(member_id, deadline))

    def snapshot(self, avoid: Collection[str] = ()) -> Iterator[tuple[bytes, int]]:
        return self._etcd.snapshot(avoid)

    def _call(self, method: str, call: Callable[[], Any]) -> Any:
        self.counts[method] += 1
        troubles = (t for t in self._troubles if t.method == method and t.nth in (None, self.counts[method]))
        trouble = next(troubles, None)
        if trouble is None:
            return call()
        self.unused.discard(trouble)
        match trouble.kind:
            case "runs twice":
                return _twice(call)[0]
            case "answers its repetition":
                answer = _twice(call)[1]
                if isinstance(answer, MemberflowError):
                    raise answer
                return answer
            case "is refused on the way":
                raise e.Unreachable("failed to connect to all addresses", "UNAVAILABLE")
            case "never arrives":
                self._stay_silent()
            case "loses its answer":
                call()
                self._stay_silent()
            case "freezes its receiver":
                self._freeze(call)
            case "fails":
                raise ClusterUnreachable("nobody answers")
            case "dies before":
                self._die()
            case "dies after":
                call()
                self._die()
        raise AssertionError(trouble)

    def _freeze(self, call: Callable[[], Any]) -> None:
        """The leader freezes with the call in its buffer; another one leads, until it is thawed and after."""
        cluster = self._etcd.cluster
        receiver = cluster.leader
        cluster.freeze(receiver)
        with suppress(e.DeadlineExceeded):
            call()
        self.frozen.set()

        def thaw() -> None:
            if receiver in cluster.members:
                cluster.revive(receiver)
            self.thawed.set()

        if self.thaws:
            timer = Timer(THAWED_AFTER, thaw)
            timer.daemon = True
            timer.start()
        self._stay_silent()

    def _stay_silent(self) -> None:
        self._released.wait(SILENCE)
        raise e.DeadlineExceeded("Deadline Exceeded", "DEADLINE_EXCEEDED")

    def _die(self) -> None:
        """As far as Temporal can tell, the worker is gone: no heartbeat, no answer."""
        self._released.wait(300)
        raise e.DeadlineExceeded("long after", "DEADLINE_EXCEEDED")


def _twice(call: Callable[[], Any]) -> tuple[Any, Any]:
    """Both answers; the second may be an error."""
    first = call()
    try:
        return first, call()
    except MemberflowError as error:
        return first, error


class MemoryClusters:
    """`membership.etcd.Clusters` of clusters in memory."""

    def __init__(self, task_queue: str) -> None:
        self._task_queue = task_queue
        self.clusters: dict[str, MemoryCluster] = {}
        self.etcds: dict[str, FaultyEtcd] = {}
        self.policies: dict[str, Policy] = {}
        self.cluster_ids: dict[str, str] = {}
        self.allows: dict[str, Allow] = {}
        self.launchers: dict[str, Launcher] = {}
        self.receivers: dict[str, Receiver] = {}
        self.released = Event()

    def add(self, name: str, cluster: MemoryCluster, policy: Policy, *troubles: Trouble) -> MemoryCluster:
        self.clusters[name] = cluster
        self.policies[name] = policy
        self.etcds[name] = FaultyEtcd(MemoryEtcd(cluster), troubles, self.released)
        return cluster

    def names(self) -> tuple[str, ...]:
        return tuple(self.clusters)

    def policy(self, cluster: str) -> Policy:
        if cluster not in self.policies:
            raise UnknownCluster(cluster)
        return self.policies[cluster]

    def allow(self, cluster: str) -> Allow:
        return self.allows.get(cluster, Allow())

    def endpoints(self, cluster: str) -> tuple[str, ...]:
        return ()

    def cluster_id(self, cluster: str) -> str:
        return self.cluster_ids.get(cluster, "")

    def task_queue(self, cluster: str) -> str:
        return self._task_queue

    def launcher(self, name: str) -> Launcher:
        if name not in self.launchers:
            raise UnknownLauncher(name)
        return self.launchers[name]

    def receiver(self, cluster: str) -> Receiver | None:
        return self.receivers.get(cluster)

    def problem(self, cluster: str) -> str:
        return ""

    def saw(self, cluster: str, cluster_id: str) -> None:
        """Clusters in memory share one ID."""

    def connect(self, cluster: str) -> Etcd:
        return self.etcds[cluster]
