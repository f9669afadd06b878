"""Looks made up for tests of pure code."""

from __future__ import annotations

from membership.model import ClusterStatus, Member, MemberStatus, RaftProgress
from membership.policy import Policy
from membership.preflight_replace import check_replace
from membership.verdicts import Facts
from messages.requests import ReplaceRequest

CLUSTER_ID = "c0ffee"
NEW_ID = "9"
NEW_URL = "http://10.0.0.9:2380"


def voter(number: int) -> Member:
    return Member(
        str(number), f"etcd-{number}", (f"http://10.0.0.{number}:2380",), (f"http://10.0.0.{number}:2379",), False
    )


def learner(name: str = "etcd-9", member_id: str = NEW_ID, url: str = NEW_URL) -> Member:
    return Member(member_id, name, (url,), (f"http://10.0.0.{member_id}:2379",) if name else (), True)


def own_word(
    member_id: str, *, leader: str = "1", index: int = 1000, is_learner: bool = False, version: str = "3.7.1", alarms=()
) -> MemberStatus:
    return MemberStatus(member_id, version, leader, 2, index, index, 1, 1, 0, is_learner, tuple(alarms))


def cluster(voters: int = 3, *more: Member, down=(), leader: str = "1", **changes) -> ClusterStatus:
    """A healthy look at `voters` voters and `more` members, but for the IDs in `down`."""
    members = (*(voter(n) for n in range(1, voters + 1)), *more)
    statuses = {
        m.id: own_word(m.id, leader=leader, is_learner=m.is_learner) for m in members if m.id not in down and m.name
    }
    found = {
        "cluster_id": CLUSTER_ID,
        "leader": leader,
        "term": 2,
        "members": members,
        "statuses": statuses,
        "silent": {m.id: "DeadlineExceeded" for m in members if m.id not in statuses},
        "readers": tuple(m.id for m in members if m.id in statuses and not m.is_learner),
        "progress": {
            m.id: RaftProgress(1000, "StateProbe" if m.id in down and not m.is_learner else "StateReplicate")
            for m in members
            if m.name
        },
    }
    return ClusterStatus(**{**found, **changes})


def facts(member_id: str = "", policy: Policy | None = None, name: str = "etcd-9", url: str = NEW_URL, **more) -> Facts:
    return Facts("prod", CLUSTER_ID, policy or Policy(), name, (url,), member_id, **more)


LOOSE = Policy(min_voters=1, min_spare=0)


def asked(old: str = "etcd-3", name: str = "etcd-9", url: str = NEW_URL, **more) -> ReplaceRequest:
    """A replacement as it is asked for."""
    return ReplaceRequest(cluster="prod", old=old, name=name, peer_urls=(url,), **more)


def checked(status, request=None, policy=LOOSE, wanted=None):
    """The preflight of a replacement."""
    request = request or asked()
    known = facts(policy=policy, name=request.name, url=request.peer_urls[0])
    return check_replace(status, known, wanted or request.old, request)


def the(name: str, checks):
    """The one check of this name."""
    [check] = [c for c in checks if c.name == name]
    return check
