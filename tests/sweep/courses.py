"""The kinds of change that the sweep goes through, and where each must end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from membership.duration import parse_duration
from membership.policy import Policy
from messages.requests import ChangeRequest, JoinRequest, RemoveRequest, ReplaceRequest
from support.memory.cluster import MemoryCluster, Process

NEW_URL = "http://etcd-4:2380"


def joins(cluster: str) -> ChangeRequest:
    return JoinRequest(cluster=cluster, name="etcd-4", peer_urls=(NEW_URL,))


def removes(member: str) -> Callable[[str], ChangeRequest]:
    return lambda cluster: RemoveRequest(cluster=cluster, member=member)


def replaces(cluster: str) -> ChangeRequest:
    return ReplaceRequest(cluster=cluster, old="etcd-3", name="etcd-4", peer_urls=(NEW_URL,))


PATIENT = Policy()
LOOSE = Policy(min_voters=1, min_spare=0)
HASTY = Policy(start_timeout=parse_duration("1s"))


@dataclass(frozen=True)
class Course:
    """
    A kind of change: what is done to it, and where it must end, whatever goes wrong on the way.

    `voters` are the numbers of the members that vote then, of etcd-1, -2, -3, and the new etcd-4; `applied` is what
    etcd applied on the way. `doubly`: also with two troubles at a time.
    """

    name: str
    request: Callable[[str], ChangeRequest]
    ends: str
    voters: str
    applied: tuple[str, ...]
    policy: Policy = PATIENT
    dead: str = ""
    starts: bool = True
    cancelled: bool = False
    doubly: bool = False

    def prepare(self, cluster: MemoryCluster) -> asyncio.Event:
        """Who is dead and who will start; gives what tells of the add."""
        for member in list(cluster.members.values()):
            if member.name == self.dead:
                cluster.kill(member.id)
        loop, is_added = asyncio.get_running_loop(), asyncio.Event()

        def on_added(member: Process) -> None:
            if self.starts:
                cluster.start(member.id, "etcd-4")
            loop.call_soon_threadsafe(is_added.set)

        cluster.on_added = on_added
        return is_added


ROLLED_BACK = ("add", "remove")
HALF = ("remove", *ROLLED_BACK)
COURSES = (
    Course("joins", joins, "promoted", "1234", ("add", "promote"), doubly=True),
    Course("is cancelled", joins, "cancelled", "123", ROLLED_BACK, starts=False, cancelled=True, doubly=True),
    Course("never starts", joins, "StartTimeout", "123", ROLLED_BACK, starts=False, policy=HASTY),
    Course("a follower leaves", removes("etcd-3"), "removed", "12", ("remove",), LOOSE),
    Course("the leader leaves", removes("etcd-1"), "removed", "23", ("move", "remove"), LOOSE, doubly=True),
    Course("a healthy one is replaced", replaces, "replaced", "124", ("add", "promote", "remove")),
    Course("a dead one is replaced", replaces, "replaced", "124", ("remove", "add", "promote"), dead="etcd-3"),
    Course("a replace is cancelled", replaces, "cancelled", "123", ROLLED_BACK, starts=False, cancelled=True),
    Course(
        "is cancelled between the halves",
        replaces,
        "Cancelled",
        "12",
        HALF,
        dead="etcd-3",
        starts=False,
        cancelled=True,
    ),
)
