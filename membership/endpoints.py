"""The configured endpoints of a cluster, and whether they still lead to its voters."""

from __future__ import annotations

from collections.abc import Collection

from membership.checks import Check
from membership.model import ClusterStatus, Member
from membership.names import place_of

_HINT = "write client URLs of other voters into `endpoints` of the cluster's table in the clusters file"


def check_endpoints(status: ClusterStatus, endpoints: Collection[str], leaving: Member | None) -> tuple[Check, ...]:
    """
    A check only where a removal takes a configured endpoint, and leaves one or none among the voters.

    A worker that restarts afterwards finds the cluster through its configured endpoints.
    """
    if leaving is None or not _leading_to(status, endpoints, leaving):
        return ()
    left = len(_leading_to(status, endpoints, *(m for m in status.voters if m.id != leaving.id)))
    if left > 1:
        return ()
    what = "at the last configured endpoint" if left == 0 else "at one of the last two configured endpoints"
    return (Check("endpoints", "warn", f"{leaving.label} is {what}", _HINT),)


def check_all_leave(status: ClusterStatus, endpoints: Collection[str], leaving: Collection[str]) -> tuple[Check, ...]:
    """A check only where each configured endpoint leads to a member that leaves. `leaving`: their IDs."""
    staying = [member for member in status.voters if member.id not in leaving]
    going = [member for member in status.voters if member.id in leaving]
    if not _leading_to(status, endpoints, *going) or _leading_to(status, endpoints, *staying):
        return ()
    evidence = "every configured endpoint leads to a member that leaves"
    return (Check("endpoints", "warn", evidence, f"{_HINT}, as soon as the first of them has joined"),)


def check_configured(status: ClusterStatus, endpoints: Collection[str]) -> tuple[Check, ...]:
    """
    A check only where configured endpoints lead to no member, or one or none of several to a voter that is alive.

    A running worker knows other voters, too. A worker that starts afterwards only knows the configured endpoints.
    """
    stale = [url for url in endpoints if url not in _leading_to(status, endpoints, *status.members)]
    alive = _leading_to(status, endpoints, *(m for m in status.live_voters if m.id in status.statuses))
    told = [f"configured endpoints lead to no member: {', '.join(stale)}"] if stale else []
    if endpoints and not alive:
        told.append("no configured endpoint leads to a voter that is alive, so a new worker would not find the cluster")
    elif len(alive) == 1 < len(endpoints):
        told.append(f"of the configured endpoints only {alive[0]} leads to a voter that is alive")
    return (Check("endpoints", "warn", "; ".join(told), _HINT),) if told else ()


def _leading_to(status: ClusterStatus, endpoints: Collection[str], *members: Member) -> list[str]:
    """The endpoints at which these members advertise themselves, or answered."""
    places = {place_of(url) for member in members for url in _urls(status, member)}
    return [url for url in endpoints if place_of(url) in places]


def _urls(status: ClusterStatus, member: Member) -> tuple[str, ...]:
    own = status.statuses.get(member.id)
    return (*member.client_urls, *(own.urls if own else ()))
