"""
The verdicts of judgements, from a look at the cluster and the facts of a change.

No clock and no I/O: the same look always gets the same verdict. State decides, never an error's text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from membership.failures import Failure
from membership.model import ClusterStatus, Member, Phase
from membership.policy import Policy


@dataclass(frozen=True)
class Done:
    """The step's effect is there."""


@dataclass(frozen=True)
class Ready:
    """The step's act may be sent."""


@dataclass(frozen=True)
class Wait:
    """The step waits until something changes."""

    #: The condition that it waits for, for a person.
    reason: str
    #: The phase of the sync. "unknown" for every other wait.
    phase: Phase = "unknown"
    #: The ID of a learner of others that takes the slot, empty when the wait has another reason.
    foreign: str = ""


@dataclass(frozen=True)
class Refuse:
    """Waiting will not help."""

    #: Names why.
    error: Failure
    #: For a person, like `hint`: the cause, and the next thing to do.
    reason: str
    hint: str = ""


Verdict = Done | Ready | Wait | Refuse


@dataclass(frozen=True)
class Facts:
    """The facts of one change, by which it is judged."""

    cluster: str
    cluster_id: str
    policy: Policy
    #: The member that joins.
    name: str
    #: The peer URLs of the member that joins.
    peer_urls: tuple[str, ...] = ()
    #: The member that the step is about, empty until it is in the list.
    member_id: str = ""
    #: Of a removal: how many voters come back later in the same change.
    returning: int = 0
    #: Of a removal: whether the operator forces it.
    force: bool = False
    #: Voters and spare that a replace began with. Its removal is judged by its final size, not by the size between
    #: the halves.
    began_with: tuple[int, int] | None = None
    #: Of a removal: the IDs of members whose removal by an ended change may still come.
    may_go: tuple[str, ...] = ()
    #: The ID and the client URLs of a member whose removal was sent: it is not asked for anything.
    avoid: tuple[str, ...] = ()


def quorum(voters: int) -> int:
    return voters // 2 + 1


def spare(voters: int, live: int) -> int:
    """Live voters minus quorum: how many more may die."""
    return live - quorum(voters)


def safe_after(policy: Policy, before: int, after: int) -> bool:
    """Whether the cluster is safe enough after a change that takes the spare from `before` to `after`."""
    return after >= 0 and after >= min(policy.min_spare, before)


def unknown_learners(status: ClusterStatus, policy: Policy) -> tuple[Member, ...]:
    """The learners that the policy does not know as lasting."""
    known = {text for name in policy.known_learners for text in (name, name.lower().removeprefix("0x").lstrip("0"))}
    return tuple(m for m in status.learners if m.id not in known and m.name not in known)


def unsettled(status: ClusterStatus) -> Wait | None:
    """Why nothing can be changed at this moment, if anything."""
    if not status.leader:
        return Wait("the cluster has no leader")
    if status.leader not in status.statuses:
        return Wait(f"the leader {status.leader} does not answer: {status.why_silent(status.leader)}")
    if status.dissent:
        return Wait(f"voters disagree about the member list: {'; '.join(status.dissent)}")
    return None


def half_seen(status: ClusterStatus) -> Wait | None:
    """Why this look does not show which voters are down, if so."""
    return None if status.asked_all else Wait("not every voter was asked for its status")


def tell_down(status: ClusterStatus) -> str:
    """Which voters are down, and which are silent without being known to be down, for a person."""
    groups = {
        "these voters are down": status.down_voters,
        "this worker cannot reach these voters, although the leader does": _members(status, status.unreached),
        "these voters do not answer, and whether the leader hears them is not known": _members(status, status.unclear),
    }
    told = [f"{what}: {_reasons(status, members)}" for what, members in groups.items() if members]
    return "; ".join(told) or "every voter is alive"


def _members(status: ClusterStatus, ids: Iterable[str]) -> list[Member]:
    return [m for m in map(status.member, ids) if m]


def _reasons(status: ClusterStatus, silent: Iterable[Member]) -> str:
    return "; ".join(f"{m.label}: {status.why_silent(m.id)}" for m in silent)


def help_for_down(status: ClusterStatus, otherwise: str) -> str:
    """The next step where voters do not answer. `otherwise`: the step for voters that are down."""
    reach = help_to_reach(status, status.unclear)
    return "; ".join(filter(None, (otherwise if status.down_voters or not reach else "", reach)))


def help_to_reach(status: ClusterStatus, ids: Iterable[str]) -> str:
    """The next step where this worker cannot reach these voters, empty where there are none."""
    names = ", ".join(m.name or m.id for m in _members(status, ids))
    if not names:
        return ""
    return f"write a client URL at which this worker reaches {names} into `endpoints` of the clusters file"


def version_of(text: str) -> tuple[int, ...]:
    """A version as numbers that compare."""
    return tuple(int(part) for part in text.split("-", maxsplit=1)[0].split(".") if part.isdigit())
