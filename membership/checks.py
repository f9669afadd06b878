"""The checks that every change begins with: is the cluster fit to be changed?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from membership.judge_join import judge_version
from membership.known_bugs import bugs_of
from membership.model import ClusterStatus
from membership.names import is_loopback
from membership.verdicts import Facts, help_to_reach, tell_down, version_of

CheckVerdict = Literal["ok", "warn", "wait", "refuse"]

# A share of the quota. Etcd raises NOSPACE at the whole quota.
_FULL = 0.8
# etcd counts a link as healthy after 5 s (its HealthInterval), and refuses adds and removals until then.
_YOUNG = 5.0

_LOOK = "`memberflow status` shows why. The change goes on by itself when that is over"


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    verdict: CheckVerdict
    #: The finding, for a person.
    evidence: str
    #: The next thing to do. Empty where nothing is to be done.
    hint: str = ""
    #: Names a refusal, empty for every other verdict.
    error: str = ""


def check_cluster(status: ClusterStatus) -> tuple[Check, ...]:
    return (
        _leader(status),
        _voters(status),
        *_schemes(status),
        _lists(status),
        _versions(status),
        _alarms(status),
        _sizes(status),
        _links(status),
    )


def check_addresses(status: ClusterStatus, facts: Facts) -> tuple[Check, ...]:
    """A check only where the other members would dial themselves at a peer URL."""
    own = [url for url in facts.peer_urls if is_loopback(url)]
    elsewhere = any(not is_loopback(url) for m in status.voters for url in m.peer_urls)
    if not own or not elsewhere:
        return ()
    evidence = f"peer URL {own[0]} is a loopback address: on the machine of each voter it leads to that voter itself"
    return (Check("new address", "warn", evidence, "give the address at which the other members reach the new one"),)


def _leader(status: ClusterStatus) -> Check:
    leader = status.member(status.leader)
    if leader is None:
        hint = "an election takes a second or two. If it lasts, a majority of the voters is down: start them again"
        return Check("leader", "wait", "the cluster has no leader", hint)
    return Check("leader", "ok", f"{leader.label}, term {status.term}")


def _voters(status: ClusterStatus) -> Check:
    evidence = f"{len(status.live_voters)} of {len(status.voters)} alive"
    silent = (*status.unreached, *status.unclear)
    if not status.down_voters and not silent:
        return Check("voters", "ok", evidence)
    again = "start it again, or take it out with `memberflow replace` or `remove`" if status.down_voters else ""
    hint = "; ".join(filter(None, (again, help_to_reach(status, silent))))
    return Check("voters", "warn", f"{evidence}; {tell_down(status)}", hint)


def _schemes(status: ClusterStatus) -> tuple[Check, ...]:
    """A check only where some members send all data unencrypted, among others that do not."""
    plain = [m.label for m in status.members if any(url.startswith("http:") for url in m.peer_urls)]
    if not plain or not any(url.startswith("https:") for m in status.members for url in m.peer_urls):
        return ()
    evidence = f"members have an http peer URL among https, so their traffic is not encrypted: {', '.join(plain)}"
    hint = "start the member with certificates for https first, then change its peer URL with `etcdctl member update`"
    return (Check("peer URLs", "warn", evidence, hint),)


def _lists(status: ClusterStatus) -> Check:
    if status.dissent:
        hint = "if it lasts, compare the members' --max-learners, stop the member that differs, and replace it"
        evidence = f"voters disagree about the member list: {'; '.join(status.dissent)}"
        return Check("member lists", "wait", evidence, hint)
    return Check("member lists", "ok", f"{len(status.readers)} voters were asked and list the same members")


def _versions(status: ClusterStatus) -> Check:
    versions = sorted({s.version for s in status.statuses.values()}, key=version_of)
    if not versions:
        return Check("versions", "wait", "no member says its version", _LOOK)
    if old := judge_version(status):
        return Check("versions", "refuse", old.reason, old.hint, old.error)
    told, problems, hints = f"etcd {', '.join(versions)}", [], []
    if len({version_of(v)[:2] for v in versions}) > 1:
        problems.append("members run different minor versions")
        hints.append("finish the upgrade before changing the membership")
    if bugs := dict.fromkeys(bug for version in versions for bug in bugs_of(version)):
        problems += bugs
        hints.append("upgrade to the latest patch release")
    if problems:
        return Check("versions", "warn", f"{told}: {'; '.join(problems)}", "; ".join(hints))
    return Check("versions", "ok", told)


def _alarms(status: ClusterStatus) -> Check:
    if not status.alarms:
        return Check("alarms", "ok", "none")
    told = ", ".join(f"{a.kind} on {a.member_id}" for a in status.alarms)
    return Check(
        "alarms",
        "warn",
        f"alarms are active: {told}",
        "`etcdctl alarm list` shows them. Against NOSPACE, compact and defragment",
    )


def _sizes(status: ClusterStatus) -> Check:
    largest = max(status.statuses.values(), key=lambda s: s.db_size, default=None)
    if largest is None:
        return Check("database", "wait", "no member says the size of its database", _LOOK)
    told = f"{largest.db_size / 1e6:.1f} MB"
    if not largest.db_quota:
        return Check("database", "ok", told)
    told += f" of a quota of {largest.db_quota / 1e6:.0f} MB"
    full = largest.db_size >= _FULL * largest.db_quota
    return Check("database", "warn" if full else "ok", told, "compact and defragment" if full else "")


def _links(status: ClusterStatus) -> Check:
    answering = [m for m in status.live_voters if m.id in status.statuses]
    young = [m.label for m in answering if 0 <= status.statuses[m.id].uptime < _YOUNG]
    if young:
        evidence = f"up for less than {_YOUNG:.0f} s, so etcd may refuse changes: {', '.join(young)}"
        return Check("links", "wait", evidence, "nothing to do: it is over in a moment, and the change waits for it")
    return Check("links", "ok", f"no voter is known to have started in the last {_YOUNG:.0f} s")
