"""The warnings of a change, judged again at its end: a removed voter is not down any more, a learner may be gone."""

from __future__ import annotations

from collections.abc import Iterable

from membership.checks import Check, check_cluster
from membership.model import ClusterStatus
from membership.newcomer import check_newcomer, has_no_space
from membership.policy import Policy
from membership.preflight import check_learners

# Checks that are made only where there is something to warn of.
_SOMETIMES = ("peer URLs", "learners")


def judge_again(noticed: Iterable[Check], status: ClusterStatus, member_id: str, policy: Policy) -> dict[str, str]:
    """
    The sentence that is true now for each sentence of `noticed` that may have become untrue, empty where none is.

    `member_id`: the member that the change is about. Checks of the request or of files keep their sentences.
    """
    of_cluster = (*check_cluster(status), *check_learners(status, member_id, policy))
    judged = {check.name for check in of_cluster} | set(_SOMETIMES)
    now = [check for check in (*of_cluster, *check_newcomer(status, member_id)) if check.verdict == "warn"]
    if not status.asked_all:
        judged -= {"versions", "alarms", "database"}
    if member_id in status.statuses or has_no_space(status, member_id):
        judged |= {check.name for check in noticed if check.name.startswith("newcomer's")}
    changed = {}
    for check in noticed:
        if check.name == "voters" and not status.asked_all:
            # Not every voter was asked how it is: the voters that are gone are not down any more.
            changed[check.evidence] = (
                check.evidence if any(f"({m.id})" in check.evidence for m in status.voters) else ""
            )
            continue
        if check.name in judged:
            same = [other.evidence for other in now if other.name == check.name]
            changed[check.evidence] = check.evidence if check.evidence in same else next(iter(same), "")
    return changed
