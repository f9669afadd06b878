"""The record of earlier changes of a cluster, and the checks that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from membership.checks import Check
from membership.failures import Failure
from membership.model import ClusterStatus, Member


@dataclass(frozen=True)
class Record:
    """Temporal's record of earlier changes of a cluster, empty where it has none, or cannot be asked."""

    #: The cluster's ID, as the latest change that went through reported it.
    cluster_id: str = ""
    #: The ID of the member that the latest run of this same change removed.
    removed_id: str = ""
    #: Whether a change of this service removed a member of the name or ID that this change gives.
    was_removed: bool = False
    #: Whether a join of the name that this change gives is running.
    is_joining: bool = False


NO_RECORD = Record()


def check_identity(status: ClusterStatus, record: Record) -> tuple[Check, ...]:
    """Refuses another cluster than in earlier changes, no check where there were none."""
    if not record.cluster_id:
        return ()
    if status.cluster_id == record.cluster_id:
        return (Check("cluster", "ok", f"{status.cluster_id}, as in earlier changes"),)
    evidence = f"the cluster had the ID {record.cluster_id} in earlier changes, and now answers as {status.cluster_id}"
    hint = f'if it was rebuilt, write cluster_id = "{status.cluster_id}" in its table of the clusters file'
    return (Check("cluster", "refuse", evidence, hint, Failure.WRONG_CLUSTER),)


def check_reused(target: Member, wanted: str, record: Record) -> tuple[Check, ...]:
    """Refuses a repeated removal whose name means another member by now."""
    if target.name != wanted or record.removed_id in ("", target.id):
        return ()
    evidence = (
        f"this change has already removed {wanted}, member {record.removed_id}. By now another member has this name"
    )
    hint = f"give the hex ID {target.id} to remove that member, too"
    return (Check("member", "refuse", evidence, hint, Failure.NAME_REUSED),)


def check_absent(status: ClusterStatus, wanted: str, record: Record) -> Check:
    """A check for a member that is not in the list: an earlier change removed it, or it may never have been there."""
    if record.was_removed:
        return Check("member", "ok", f"{wanted} is not in the member list: removed already")
    known = [text for m in status.members for text in (m.name, m.id) if text]
    close = get_close_matches(wanted, known, 1)
    evidence = f"no member has the name or ID {wanted}, and no change by memberflow is known to have removed one"
    hint = f"did you mean {close[0]}? " if close else ""
    if record.is_joining:
        hint += f"A join of {wanted} is running: cancel it to take it back. "
    return Check("member", "warn", evidence, f"{hint}Nothing is removed.")
