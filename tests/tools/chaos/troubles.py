"""The troubles that may come with a change. Each ends by itself, some of them after the change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etcdapi.faults import Fault
from local.etcd_cluster import LocalMember
from support.parts.lab import once

if TYPE_CHECKING:
    from tools.chaos.world import World


@dataclass(frozen=True)
class Blow:
    """When a trouble comes, and how long it lasts."""

    method: str
    moment: str
    seconds: float


@dataclass(frozen=True)
class Trouble:
    prepare: Callable[[World, Blow], None]
    #: Whether a member is out of reach for a while, so that another leader may have to be elected.
    takes_member: bool = False


def at_call(world: World, blow: Blow, do: Callable[[LocalMember], object]) -> None:
    """Does it once, with the member that is called; other calls of the method pass."""
    first = once_with(do)
    for member in world.cluster.members:
        hook = partial(first, member)
        fault = Fault(blow.method, "pass")
        fault = replace(fault, arrives=hook) if blow.moment == "arrives" else replace(fault, answered=hook)
        world.cluster.relays[member.name].inject(fault)


def once_with(do: Callable[[LocalMember], object]) -> Callable[[LocalMember], None]:
    called: list[LocalMember] = []
    first = once(lambda: do(called[0]))

    def call(member: LocalMember) -> None:
        called.append(member)
        first()

    return call


def none(world: World, blow: Blow) -> None:
    """No trouble."""


def lost_answer(world: World, blow: Blow) -> None:
    world.cluster.inject(Fault(blow.method, "lose"))


def unavailable(world: World, blow: Blow) -> None:
    world.cluster.inject(Fault(blow.method, "unavailable"))


def refused(world: World, blow: Blow) -> None:
    world.cluster.inject(Fault(blow.method, "refuse", 2))


def late_call(world: World, blow: Blow) -> None:
    world.cluster.inject(Fault(blow.method, "delay", seconds=min(blow.seconds, 4)))


def failing_looks(world: World, blow: Blow) -> None:
    """As the call is answered or arrives, the next looks fail."""

    def blind(member: LocalMember) -> None:
        world.cluster.inject(Fault("Status", "refuse", 6), Fault("MemberList", "refuse", 6))

    at_call(world, blow, blind)


def worker_killed(world: World, blow: Blow) -> None:
    at_call(world, blow, lambda member: world.kill_worker())


def worker_killed_some_time(world: World, blow: Blow) -> None:
    world.later(blow.seconds, world.kill_worker)


def worker_frozen(world: World, blow: Blow) -> None:
    at_call(world, blow, lambda member: world.freeze_worker(blow.seconds))


def worker_frozen_and_replaced(world: World, blow: Blow) -> None:
    at_call(world, blow, lambda member: world.freeze_worker(blow.seconds, successor=True))


def temporal_restarted(world: World, blow: Blow) -> None:
    at_call(world, blow, lambda member: world.restart_temporal(min(blow.seconds, 5)))


def receiver_killed(world: World, blow: Blow) -> None:
    at_call(world, blow, lambda member: world.kill_member(member, blow.seconds))


def receiver_frozen(world: World, blow: Blow) -> None:
    """With the call in its socket buffer, where the moment is `arrives`."""
    at_call(world, blow, lambda member: world.freeze_member(member, blow.seconds))


def leader_killed_some_time(world: World, blow: Blow) -> None:
    world.later(min(blow.seconds, 6), lambda: world.kill_member(world.cluster.leader(), 2))


def follower_frozen(world: World, blow: Blow) -> None:
    world.freeze_member(world.a_follower(), blow.seconds)


def everything_refused(world: World, blow: Blow) -> None:
    """The worker reaches no member for a while."""
    methods = ("Status", "MemberList", blow.method, "GET /debug/vars")
    world.cluster.inject(*(Fault(method, "refuse", None) for method in methods))
    world.later(blow.seconds, world.cluster.mend)


TROUBLES = {
    "none": Trouble(none),
    "answer lost": Trouble(lost_answer),
    "answered UNAVAILABLE": Trouble(unavailable),
    "refused on the way": Trouble(refused),
    "call delayed": Trouble(late_call),
    "looks fail": Trouble(failing_looks),
    "nothing reachable": Trouble(everything_refused),
    "worker killed at the call": Trouble(worker_killed),
    "worker killed": Trouble(worker_killed_some_time),
    "worker frozen at the call": Trouble(worker_frozen),
    "worker frozen, another takes over": Trouble(worker_frozen_and_replaced),
    "Temporal restarted": Trouble(temporal_restarted),
    "receiver killed at the call": Trouble(receiver_killed, takes_member=True),
    "receiver frozen at the call": Trouble(receiver_frozen, takes_member=True),
    "leader killed": Trouble(leader_killed_some_time, takes_member=True),
    "follower frozen": Trouble(follower_frozen, takes_member=True),
}
