"""Trouble that a change must come through; each kind is prepared before the change starts."""

from __future__ import annotations

import signal
import urllib.request
from collections.abc import Callable
from functools import partial
from threading import Lock, Thread
from typing import Literal

from lab import Cluster, Lab, eventually

from etcdapi.relay import Fault
from etcdapi.stubs import rpc_pb2
from local.etcd_cluster import LocalMember

Prepare = Callable[[Cluster], None]
Moment = Literal["arrives", "answered"]


def nothing(cluster: Cluster) -> None:
    """No trouble."""


def spoil(*faults: Fault) -> Prepare:
    """These faults, in front of every member."""
    return lambda cluster: cluster.inject(*faults)


def crash(lab: Lab, cluster: Cluster, method: str, moment: Moment) -> None:
    """The worker is killed as a call arrives, or as its answer leaves, and a new one is started at once."""
    once = Lock()  # several members may be asked at the same moment

    def kill_and_restart() -> None:
        if once.acquire(blocking=False):
            assert lab.worker
            lab.worker.kill()
            lab.worker.start()

    hook = {"arrives": {"arrives": kill_and_restart}, "answered": {"answered": kill_and_restart}}[moment]
    cluster.inject(Fault(method, "pass", **hook))


def worker_killed(moment: Moment, *methods: str) -> Prepare:
    """kill -9 at each of these calls, and a new worker at once."""

    def prepare(cluster: Cluster) -> None:
        for method in methods:
            crash(cluster.lab, cluster, method, moment)

    return prepare


def leader_killed(method: str, moment: Moment = "arrives") -> Prepare:
    """Before the call takes effect; or after it, and the answer is lost."""

    def prepare(cluster: Cluster) -> None:
        leader = cluster.leader()
        fault = {
            "arrives": Fault(method, "pass", arrives=leader.kill),
            "answered": Fault(method, "lose", answered=leader.kill),
        }[moment]
        cluster.relays[leader.name].inject(fault)

    return prepare


def leader_stopped(method: str) -> Prepare:
    """In order, by SIGTERM, as the call comes: it serves nobody any more, and hands its lead over meanwhile."""

    def prepare(cluster: Cluster) -> None:
        leader = cluster.leader()

        def stop() -> None:
            terminate(leader)
            eventually(lambda: not leader.is_serving(), "the leader to close its client port")

        cluster.relays[leader.name].inject(Fault(method, "pass", arrives=stop))

    return prepare


def leader_stopped_while_it_answers(method: str) -> Prepare:
    """
    With the proposal in its log and every follower frozen: the connection is cut instead of an answer.

    The followers thaw when it has ended, and find the proposal among what it had sent them.
    """

    def prepare(cluster: Cluster) -> None:
        leader = cluster.leader()
        followers = [m for m in cluster.members if m is not leader]

        def stop() -> None:
            eventually(partial(has_begun, leader, method), f"the leader to begin {method}", pause=0)
            terminate(leader)
            eventually(lambda: leader.process and leader.process.exit_code() is not None, "the leader's end")
            for follower in followers:
                follower.thaw()

        def freeze() -> None:
            for follower in followers:
                follower.freeze()
            Thread(target=stop, daemon=True).start()

        cluster.relays[leader.name].inject(Fault(method, "pass", arrives=freeze))

    return prepare


def terminate(member: LocalMember) -> None:
    assert member.process
    member.process.send(signal.SIGTERM)


def has_begun(member: LocalMember, method: str) -> bool:
    """Whether the call has come to the member's own code."""
    with urllib.request.urlopen(f"{member.client_url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    begun = [x for x in lines if x.startswith("grpc_server_started_total") and f'grpc_method="{method}"' in x]
    return any(float(line.rsplit(" ", 1)[1]) > 0 for line in begun)


def struck(cluster: Cluster) -> bool:
    """Whether the trouble came: each spoilt method was called."""
    wanted = {fault.method for relay in cluster.relays.values() for fault in relay.faults}
    return wanted <= {call.method for relay in cluster.relays.values() for call in relay.calls if call.fault}


def set_alarm(cluster: Cluster, member_id: str, kind: str, action: str = "ACTIVATE") -> None:
    """Raises an alarm in a member's name, as etcd itself does, or disarms it."""
    client = cluster.client(cluster.leader())
    request = rpc_pb2.AlarmRequest(action=action, memberID=int(member_id, 16), alarm=kind)
    client.maintenancestub.Alarm(request, timeout=5)
    client.close()
