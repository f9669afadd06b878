"""The judgements of a new member's peer URLs: no other member's host and port, and as safe as the voters' own."""

from __future__ import annotations

from membership.failures import Failure
from membership.model import ClusterStatus
from membership.names import place_of
from membership.verdicts import Facts, Refuse


def judge_peer_urls(status: ClusterStatus, facts: Facts) -> Refuse | None:
    """Refuses peer URLs at which the cluster's data would be unprotected, or the new member could never start."""
    if any(set(m.peer_urls) & set(facts.peer_urls) for m in status.voters):
        return None  # The new member is in already, or another member has the URL: that is judged elsewhere.
    return _judge_scheme(status, facts) or _judge_place(status, facts)


def _judge_scheme(status: ClusterStatus, facts: Facts) -> Refuse | None:
    """
    Refuses a new member whose scheme differs from the voters' peer URLs.

    Over http the voters would send it every key and value unencrypted, and ask for no certificate. Where the voters
    have both schemes, as during a change to TLS, the new member has https.
    """
    secure = any(url.startswith("https:") for m in status.voters for url in m.peer_urls)
    wrong = [url for url in facts.peer_urls if url.startswith("https:") != secure]
    if not status.voters or not wrong:
        return None
    scheme = "https" if secure else "http"
    others = ". Over http, any machine at that address would get all data of the cluster" if secure else ""
    return Refuse(
        Failure.INSECURE_PEER_URL,
        f"peer URL {wrong[0]} is not {scheme}, as the voters' peer URLs are{others}",
        f"give the new member a peer URL that begins with {scheme}://",
    )


def _judge_place(status: ClusterStatus, facts: Facts) -> Refuse | None:
    """Refuses the host and port of another member, under any scheme: only one process can listen there."""
    wanted = {place: url for url in facts.peer_urls if (place := place_of(url))}
    for member in status.members:
        if set(member.peer_urls) & set(facts.peer_urls):
            continue
        for kind, urls in (("peer", member.peer_urls), ("client", member.client_urls)):
            for url in urls:
                if (place := place_of(url)) in wanted:
                    return Refuse(
                        Failure.PEER_URL_CONFLICT,
                        f"peer URL {wanted[place]} leads to the {kind} URL {url} of member {member.label}",
                        "a member joins under a host and port of its own",
                    )
    return None
