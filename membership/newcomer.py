"""
The newcomer's own settings, judged while it is still a learner.

They concern the whole cluster: one member with a small quota makes all of it read-only, and so does a learner.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from membership.checks import Check
from membership.model import ClusterStatus, Member
from membership.names import is_loopback, is_unspecified
from membership.verdicts import version_of


def check_newcomer(status: ClusterStatus, member_id: str) -> tuple[Check, ...]:
    """Checks of its Status and its row of the member list. Without its answer, only of the row and of its alarm."""
    member = status.member(member_id)
    alarm = tuple(_alarm(status, member_id))
    if member is None:
        return alarm
    return (*(alarm or _quota(status, member_id)), *_version(status, member_id), *_client_urls(status, member))


def has_no_space(status: ClusterStatus, member_id: str) -> bool:
    """Whether the member raised NOSPACE. Etcd keeps the alarm when the member is removed."""
    return any(alarm.kind == "NOSPACE" and alarm.member_id == member_id for alarm in status.alarms)


def _alarm(status: ClusterStatus, member_id: str) -> Iterable[Check]:
    """The writes stop at the first write beyond its quota, also before it votes."""
    if has_no_space(status, member_id):
        evidence = "it raised the alarm NOSPACE: the whole cluster is read-only until `etcdctl alarm disarm`"
        hint = "first restart it with the --quota-backend-bytes of the others, or cancel the join"
        yield Check("newcomer's quota", "warn", evidence, hint)


def _quota(status: ClusterStatus, member_id: str) -> Iterable[Check]:
    """Servers before 3.6 do not show their quota. It is 0 here."""
    own = status.statuses.get(member_id)
    others = [s for i, s in status.statuses.items() if i != member_id]
    if own is None or not own.db_quota or not others:
        return
    hint = "restart it with the --quota-backend-bytes of the others before it may vote"
    size, quota = max(s.db_size for s in others), min((s.db_quota for s in others if s.db_quota), default=0)
    told = f"its quota is {own.db_quota / 1e6:.0f} MB"
    if own.db_quota <= size:
        evidence = f"{told}, and the database has {size / 1e6:.0f} MB: the next write makes the whole cluster read-only"
        yield Check("newcomer's quota", "warn", evidence, hint)
    elif own.db_quota < quota:
        evidence = f"{told}, and the others' is {quota / 1e6:.0f} MB: the cluster is read-only as soon as it is full"
        yield Check("newcomer's quota", "warn", evidence, hint)


def _version(status: ClusterStatus, member_id: str) -> Iterable[Check]:
    own = status.statuses.get(member_id)
    others = [s.version for i, s in status.statuses.items() if i != member_id]
    if own is None or not others:
        return
    oldest = min(others, key=version_of)
    if version_of(own.version)[:2] < version_of(oldest)[:2]:
        evidence = f"it runs etcd {own.version}, which is older than the others' {oldest}"
        yield Check("newcomer's version", "warn", evidence, "start it with the version of the others")


def _client_urls(status: ClusterStatus, member: Member) -> Iterable[Check]:
    others = [url for m in status.voters if m.id != member.id for url in m.client_urls]
    all_tls = bool(others) and all(urlsplit(url).scheme == "https" for url in others)
    some_loopback = any(is_loopback(url) for url in others)
    hint = "give it its own --advertise-client-urls: clients and memberflow reach it there"
    for url in member.client_urls:
        if all_tls and urlsplit(url).scheme == "http":
            yield _url(f"it advertises {url}, without TLS, in a cluster with TLS", hint)
        if is_unspecified(url):
            yield _url(f"it advertises {url}, which is not an address that clients can reach", hint)
        elif is_loopback(url) and not some_loopback:
            yield _url(f"it advertises {url}, which only its own machine reaches", hint)


def _url(evidence: str, hint: str) -> Check:
    return Check("newcomer's client URLs", "warn", evidence, hint)
