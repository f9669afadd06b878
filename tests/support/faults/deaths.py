"""Leaders, servers and workers that die or stop as a call comes; each is prepared before the change starts."""

from __future__ import annotations

import signal
from functools import partial
from threading import Thread
from typing import Literal

from etcdapi.faults import Fault
from local import loopback
from local.etcd_cluster import LocalMember
from support.faults.troubles import Prepare
from support.parts.lab import Cluster, Lab, eventually, once

Moment = Literal["arrives", "answered"]


def kill_and_restart(lab: Lab) -> None:
    assert lab.worker
    lab.worker.kill()
    lab.worker.start()


def crash(lab: Lab, cluster: Cluster, method: str, moment: Moment) -> None:
    """The worker is killed as a call arrives, or as its answer leaves, and a new one is started at once."""
    hook = once(lambda: kill_and_restart(lab))
    cluster.inject(Fault(method, "pass", arrives=hook) if moment == "arrives" else Fault(method, "pass", answered=hook))


def worker_killed(moment: Moment, *methods: str) -> Prepare:
    """kill -9 at each of these calls, and a new worker at once."""

    def prepare(cluster: Cluster, member: LocalMember) -> None:
        for method in methods:
            crash(cluster.lab, cluster, method, moment)

    return prepare


def at_leader(cluster: Cluster, fault: Fault) -> None:
    """Only at the member that leads now: its successor does not share its fate."""
    cluster.relays[cluster.leader().name].inject(fault)
    cluster.injected.append([fault])


def leader_killed(method: str, moment: Moment = "arrives", *, comes_back: bool = False) -> Prepare:
    """Before the call takes effect; or after it, and the answer is lost."""

    def prepare(cluster: Cluster, member: LocalMember) -> None:
        leader = cluster.leader()

        def kill() -> None:
            leader.kill()
            if comes_back:
                start_again(cluster, leader, method)

        fault = {
            "arrives": Fault(method, "pass", arrives=kill),
            "answered": Fault(method, "lose", answered=kill),
        }[moment]
        at_leader(cluster, fault)

    return prepare


def start_again(cluster: Cluster, member: LocalMember, method: str) -> None:
    """Once the call of this method has ended: it must not be forwarded to what has just started."""

    def start() -> None:
        calls = cluster.relays[member.name].sent
        eventually(lambda: any(call.ended for call in calls(method)), f"the end of {method}")
        member.start()

    Thread(target=start, daemon=True).start()


def leader_stopped(method: str) -> Prepare:
    """In order, by SIGTERM, as the call comes: it has handed its lead over and is gone when the call goes on."""

    def prepare(cluster: Cluster, member: LocalMember) -> None:
        leader = cluster.leader()

        def stop() -> None:
            terminate(leader)
            eventually(lambda: has_ended(leader), "the leader's end")

        at_leader(cluster, Fault(method, "pass", arrives=stop))

    return prepare


def leader_stopped_while_it_answers(method: str, *, comes_back: bool = False) -> Prepare:
    """
    With the proposal in its log and every follower frozen: the connection is cut instead of an answer.

    The followers thaw when it has ended, and find the proposal among what it had sent them.
    """

    def prepare(cluster: Cluster, member: LocalMember) -> None:
        leader = cluster.leader()
        followers = [m for m in cluster.members if m is not leader and m.process and not has_ended(m)]

        def stop() -> None:
            eventually(partial(has_begun, leader, method), f"the leader to begin {method}", pause=0)
            terminate(leader)
            eventually(lambda: has_ended(leader), "the leader's end")
            for follower in followers:
                follower.thaw()
            if comes_back:
                start_again(cluster, leader, method)

        def freeze() -> None:
            for follower in followers:
                follower.freeze()
            Thread(target=stop, daemon=True).start()

        at_leader(cluster, Fault(method, "pass", arrives=freeze))

    return prepare


def terminate(member: LocalMember) -> None:
    assert member.process
    member.process.send(signal.SIGTERM)


def has_ended(member: LocalMember) -> bool:
    assert member.process
    return member.process.exit_code() is not None


def has_begun(member: LocalMember, method: str) -> bool:
    """Whether the call has come to the member's own code."""
    lines = loopback.get(f"{member.client_url}/metrics", timeout=5).decode().splitlines()
    begun = [x for x in lines if x.startswith("grpc_server_started_total") and f'grpc_method="{method}"' in x]
    return any(float(line.rsplit(" ", 1)[1]) > 0 for line in begun)
